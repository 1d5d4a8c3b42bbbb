//! Coarse deadlines: one clock a worker looks at all of its connections a few times a second, so
//! that a request costs no timer.
//!
//! A connection sets its deadline by writing a number. When the time is over, or when the server
//! is told to stop, the clock wakes the connection's task, and the task asks why.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// How often the clock looks.
pub(crate) const TICK: Duration = Duration::from_millis(50);

const NEVER: u64 = u64::MAX;

/// The deadlines of one worker.
#[derive(Debug)]
pub(crate) struct Deadlines {
    start: Instant,
    /// Milliseconds since the start, as of the last tick.
    now: Cell<u64>,
    watches: RefCell<Vec<Rc<Shared>>>,
    stopping: Cell<bool>,
    aborted: Cell<bool>,
}

/// The deadline of one task.
#[derive(Debug)]
pub(crate) struct Watch {
    deadlines: Rc<Deadlines>,
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    place: Cell<usize>,
    deadline: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

// === impl Deadlines ===

impl Deadlines {
    pub(crate) fn new(start: Instant) -> Rc<Deadlines> {
        Rc::new(Deadlines {
            start,
            now: Cell::new(0),
            watches: RefCell::default(),
            stopping: Cell::new(false),
            aborted: Cell::new(false),
        })
    }

    /// A watch without a deadline.
    pub(crate) fn watch(self: &Rc<Deadlines>) -> Watch {
        let mut watches = self.watches.borrow_mut();
        let shared = Rc::new(Shared {
            place: Cell::new(watches.len()),
            deadline: Cell::new(NEVER),
            waker: RefCell::default(),
        });
        watches.push(Rc::clone(&shared));
        Watch { deadlines: Rc::clone(self), shared }
    }

    /// The time as of the last tick.
    pub(crate) fn now(&self) -> Duration {
        Duration::from_millis(self.now.get())
    }

    /// Wakes every task whose time is over.
    pub(crate) fn tick(&self, now: Instant) {
        let now = millis(now.saturating_duration_since(self.start));
        self.now.set(now);
        for watch in self.watches.borrow().iter() {
            if watch.deadline.get() <= now {
                watch.wake();
            }
        }
    }

    /// From now on [`Watch::stopping`] holds; every task hears of it.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        self.wake_all();
    }

    /// The grace is over: from now on every watch has expired.
    pub(crate) fn abort(&self) {
        self.aborted.set(true);
        self.wake_all();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.watches.borrow().is_empty()
    }

    fn wake_all(&self) {
        self.watches.borrow().iter().for_each(|watch| watch.wake());
    }
}

// === impl Watch ===

impl Watch {
    /// Another watch of the same worker, for a task of its own (a stream of HTTP/2).
    pub(crate) fn another(&self) -> Watch {
        self.deadlines.watch()
    }

    /// The task that is woken. Needed again only when another task goes on with the watch.
    pub(crate) fn attach(&self, waker: &Waker) {
        let mut own = self.shared.waker.borrow_mut();
        if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
    }

    /// The clock's present is up to a tick old: one more is added, so that none fires early.
    pub(crate) fn set(&self, limit: Option<Duration>) {
        let now = self.deadlines.now.get();
        let deadline = match limit {
            Some(limit) => now.saturating_add(millis(limit.saturating_add(TICK))).min(NEVER - 1),
            None => NEVER,
        };
        self.shared.deadline.set(deadline);
    }

    /// Whether the deadline has passed, or the server's grace is over.
    pub(crate) fn expired(&self) -> bool {
        self.shared.deadline.get() <= self.deadlines.now.get() || self.aborted()
    }

    /// Whether the server ends without waiting any longer.
    pub(crate) fn aborted(&self) -> bool {
        self.deadlines.aborted.get()
    }

    /// Whether the server was told to stop: what is idle ends, what is in flight goes on.
    pub(crate) fn stopping(&self) -> bool {
        self.deadlines.stopping.get()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let place = self.shared.place.get();
        let mut watches = self.deadlines.watches.borrow_mut();
        if place < watches.len() {
            watches.swap_remove(place);
        }
        if let Some(moved) = watches.get(place) {
            moved.place.set(place);
        }
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Count>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn only_what_is_over_is_woken() {
        let start = Instant::now();
        let deadlines = Deadlines::new(start);
        let (early, late) = (deadlines.watch(), deadlines.watch());
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        early.attach(&Waker::from(Arc::clone(&counts[0])));
        late.attach(&Waker::from(Arc::clone(&counts[1])));
        early.set(Some(Duration::from_secs(1)));
        late.set(Some(Duration::from_secs(2)));
        deadlines.tick(start + Duration::from_millis(1049));
        assert!(!early.expired());
        deadlines.tick(start + Duration::from_millis(1500));
        assert!(early.expired() && !late.expired());
        let woken = counts.each_ref().map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken, [1, 0]);
        early.set(None);
        assert!(!early.expired());
    }

    #[test]
    fn the_others_stay_when_one_goes() {
        let deadlines = Deadlines::new(Instant::now());
        let first = deadlines.watch();
        let second = deadlines.watch();
        let third = first.another();
        drop(first);
        drop(third);
        second.set(Some(Duration::ZERO));
        assert!(!deadlines.is_empty() && !second.expired());
        drop(second);
        assert!(deadlines.is_empty());
    }

    #[test]
    fn a_stop_is_heard_and_an_abort_ends_all() {
        let deadlines = Deadlines::new(Instant::now());
        let watch = deadlines.watch();
        let count = Arc::new(Count::default());
        watch.attach(&Waker::from(Arc::clone(&count)));
        deadlines.stop();
        assert!(watch.stopping() && !watch.expired());
        deadlines.abort();
        assert!(watch.expired() && watch.aborted());
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
