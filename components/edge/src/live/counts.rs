//! What is counted of servers, services and frontends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The counts of one of them. Many threads write; a count is a little behind at worst.
#[derive(Debug, Default)]
pub struct Counts {
    pub active: AtomicU64,
    pub most_active: AtomicU64,
    /// Requests, or connections where nobody looks into them.
    pub total: AtomicU64,
    pub received: AtomicU64,
    pub sent: AtomicU64,
    /// By the first digit of the status; what has none is at 0.
    pub classes: [AtomicU64; 6],
    /// Could not be connected to.
    pub connect_errors: AtomicU64,
    /// Ended by the server before the end.
    pub response_errors: AtomicU64,
    /// Ended by the client before the end.
    pub client_aborts: AtomicU64,
    /// Tried once more, here or elsewhere.
    pub retries: AtomicU64,
    pub redispatches: AtomicU64,
    /// Not let in.
    pub denied: AtomicU64,
    /// The last request, in seconds since 1970.
    pub last: AtomicU64,
    microseconds: AtomicU64,
    answered: AtomicU64,
}

/// Something under way; counted as such until this is dropped.
#[derive(Debug)]
pub(crate) struct Active<T: AsRef<Counts>>(Arc<T>);

// === impl Counts ===

impl Counts {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) {
        Counts::add(&self.total, 1);
        let active = self.active.fetch_add(1, Ordering::Relaxed) + 1;
        if active > Counts::get(&self.most_active) {
            self.most_active.fetch_max(active, Ordering::Relaxed);
        }
    }

    pub(crate) fn end(&self) {
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, status: u16, received: u64, sent: u64, took: Option<Duration>) {
        let class = usize::from(status / 100);
        if let Some(class) = self.classes.get(if class > 5 { 0 } else { class }) {
            Counts::add(class, 1);
        }
        Counts::add(&self.received, received);
        Counts::add(&self.sent, sent);
        if let Some(took) = took {
            Counts::add(&self.answered, 1);
            Counts::add(&self.microseconds, u64::try_from(took.as_micros()).unwrap_or_default());
        }
    }

    pub(crate) fn seen(&self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last.store(since.as_secs(), Ordering::Relaxed);
    }

    /// The mean time to an answer, in milliseconds.
    pub fn mean_milliseconds(&self) -> u64 {
        Counts::get(&self.microseconds) / Counts::get(&self.answered).max(1) / 1000
    }
}

// === impl Active ===

impl<T: AsRef<Counts>> Active<T> {
    pub(crate) fn new(counted: Arc<T>) -> Active<T> {
        (*counted).as_ref().begin();
        Active(counted)
    }

    pub(crate) fn counts(&self) -> &Counts {
        (*self.0).as_ref()
    }

    pub(crate) fn counted(&self) -> &T {
        &self.0
    }
}

impl<T: AsRef<Counts>> Drop for Active<T> {
    fn drop(&mut self) {
        self.counts().end();
    }
}
