//! Events to whoever follows them; one that reads too slowly is cut off.
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use marathon_core::Event;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What happened together.
pub type Batch = Arc<[Event]>;

/// All subscribers.
#[derive(Debug)]
pub struct Events {
    /// How many events may wait for one of them. One batch may be larger: that ten thousand
    /// instances change at once is nobody's slowness.
    limit: usize,
    subscribers: Mutex<Vec<Subscriber>>,
}

/// The events from the moment of subscribing on.
#[derive(Debug)]
pub struct Subscription {
    batches: mpsc::Receiver<Batch>,
    waiting: Arc<AtomicUsize>,
    cut: CancellationToken,
}

#[derive(Debug)]
struct Subscriber {
    batches: mpsc::Sender<Batch>,
    waiting: Arc<AtomicUsize>,
    /// Tells the reader that nothing more comes.
    _cut: DropGuard,
}

// === impl Events ===

impl Events {
    /// Cuts off who lags by more than `limit` events.
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.clamp(1, 1 << 20), subscribers: Mutex::default() }
    }

    /// Follows everything from now on.
    pub fn subscribe(&self) -> Subscription {
        // A batch has one event at least, so this many batches are enough.
        let (sender, batches) = mpsc::channel(self.limit + 1);
        let waiting = Arc::new(AtomicUsize::new(0));
        let cut = CancellationToken::new();
        let (count, guard) = (waiting.clone(), cut.clone().drop_guard());
        self.lock().push(Subscriber { batches: sender, waiting: count, _cut: guard });
        Subscription { batches, waiting, cut }
    }

    /// Tells everybody; never waits.
    pub fn publish(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut subscribers = self.lock();
        if subscribers.is_empty() {
            return;
        }
        let batch: Batch = events.into();
        subscribers.retain(|subscriber| subscriber.push(&batch, self.limit));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Subscriber>> {
        // Nothing that panics runs under the lock.
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Subscriber ===

impl Subscriber {
    /// False when it is gone, or so far behind that it must be cut off.
    fn push(&self, batch: &Batch, limit: usize) -> bool {
        if self.waiting.load(Ordering::Relaxed) > limit {
            return false;
        }
        self.waiting.fetch_add(batch.len(), Ordering::Relaxed);
        self.batches.try_send(batch.clone()).is_ok()
    }
}

// === impl Subscription ===

impl Subscription {
    /// What happened next; none when cut off, or when the service has stopped.
    pub async fn next(&mut self) -> Option<Batch> {
        let batch = self.batches.recv().await?;
        self.waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        Some(batch)
    }

    /// Waits until it is cut off, or the service has stopped: also while nobody reads.
    pub async fn cut_off(&self) {
        self.cut.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use marathon_core::EventKind;

    fn event() -> Event {
        Event { at: Default::default(), kind: EventKind::SchedulerDisconnected }
    }

    #[tokio::test]
    async fn one_batch_may_be_large_but_nobody_may_lag() {
        let events = Events::new(4);
        let (mut reader, mut sleeper) = (events.subscribe(), events.subscribe());
        events.publish(vec![event(); 10]);
        assert_eq!(reader.next().await.map(|batch| batch.len()), Some(10));
        events.publish(vec![event()]);
        assert_eq!(reader.next().await.map(|batch| batch.len()), Some(1));
        assert_eq!(sleeper.next().await.map(|batch| batch.len()), Some(10));
        sleeper.cut_off().await;
        assert!(sleeper.next().await.is_none(), "cut off");
    }
}
