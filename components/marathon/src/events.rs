//! Events to whoever follows them; one that reads too slowly is cut off.
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use marathon_core::Event;
use tokio::sync::mpsc;

/// How many events may wait for a subscriber. One batch may be larger: that ten thousand
/// instances change at once is nobody's slowness.
const WAITING: usize = 1024;

/// What happened together.
pub type Batch = Arc<[Event]>;

/// All subscribers.
#[derive(Debug, Default)]
pub struct Events {
    subscribers: Mutex<Vec<Subscriber>>,
}

/// The events from the moment of subscribing on.
#[derive(Debug)]
pub struct Subscription {
    batches: mpsc::Receiver<Batch>,
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Subscriber {
    batches: mpsc::Sender<Batch>,
    waiting: Arc<AtomicUsize>,
}

// === impl Events ===

impl Events {
    /// Follows everything from now on.
    pub fn subscribe(&self) -> Subscription {
        // A batch has one event at least, so this many batches are enough.
        let (sender, batches) = mpsc::channel(WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        self.lock().push(Subscriber { batches: sender, waiting: waiting.clone() });
        Subscription { batches, waiting }
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
        subscribers.retain(|subscriber| subscriber.push(&batch));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Subscriber>> {
        // Nothing that panics runs under the lock.
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Subscriber ===

impl Subscriber {
    /// False when it is gone, or so far behind that it must be cut off.
    fn push(&self, batch: &Batch) -> bool {
        if self.waiting.load(Ordering::Relaxed) > WAITING {
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
}
