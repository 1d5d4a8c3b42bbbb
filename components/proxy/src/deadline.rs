//! Coarse deadlines: one clock a worker looks at all of its connections a few times a second, so
//! that a request costs no timer.
//!
//! A connection sets its deadline by writing a number. When the time is over, or when the server
//! is told to stop, the clock wakes the connection's task, and the task asks why. The numbers stand
//! side by side, and as long as the earliest of them has not come, nobody looks at them.

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
    /// None of the deadlines is earlier; they may all be later by now.
    earliest: Cell<u64>,
    /// By the place of their watch.
    times: RefCell<Vec<u64>>,
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
            earliest: Cell::new(NEVER),
            times: RefCell::default(),
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
        self.times.borrow_mut().push(NEVER);
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
        if self.earliest.get() > now {
            return;
        }
        let watches = self.watches.borrow();
        let mut earliest = NEVER;
        for (place, time) in self.times.borrow().iter().enumerate() {
            earliest = earliest.min(*time);
            if *time <= now
                && let Some(watch) = watches.get(place)
            {
                watch.wake();
            }
        }
        // What is over and not heard yet is told again with the next tick.
        self.earliest.set(earliest);
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
        let deadlines = &self.deadlines;
        if let Some(time) = deadlines.times.borrow_mut().get_mut(self.shared.place.get()) {
            *time = deadline;
        }
        deadlines.earliest.set(deadlines.earliest.get().min(deadline));
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
        let mut times = self.deadlines.times.borrow_mut();
        if place < watches.len() && place < times.len() {
            watches.swap_remove(place);
            times.swap_remove(place);
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
    fn a_deadline_stays_with_its_watch_when_places_change() {
        let start = Instant::now();
        let deadlines = Deadlines::new(start);
        let first = deadlines.watch();
        let watches: Vec<_> = (0..5).map(|_| deadlines.watch()).collect();
        let counts: Vec<_> = watches.iter().map(|_| Arc::new(Count::default())).collect();
        first.set(Some(Duration::ZERO));
        for (second, (watch, count)) in (1..).zip(watches.iter().zip(&counts)) {
            watch.attach(&Waker::from(Arc::clone(count)));
            watch.set(Some(Duration::from_secs(second)));
        }
        // The last one takes the place of the first.
        drop(first);
        watches[4].set(Some(Duration::from_millis(1500)));
        let woken = |at: u64| {
            deadlines.tick(start + Duration::from_millis(at));
            counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect::<Vec<_>>()
        };
        assert_eq!(woken(500), [0, 0, 0, 0, 0]);
        assert_eq!(woken(1100), [1, 0, 0, 0, 0]);
        watches[0].set(None);
        assert_eq!(woken(1600), [1, 0, 0, 0, 1]);
        // Until somebody hears of it.
        assert_eq!(woken(1650), [1, 0, 0, 0, 2]);
        watches[4].set(Some(Duration::from_secs(60)));
        assert_eq!(woken(2100), [1, 1, 0, 0, 2]);
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
