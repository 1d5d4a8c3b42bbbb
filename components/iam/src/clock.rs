//! The time, which tests set.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[derive(Clone)]
pub(crate) struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Clock {
    /// The machine's.
    pub(crate) fn system() -> Clock {
        Clock(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        }))
    }

    /// One that a test sets.
    #[cfg(test)]
    pub(crate) fn of(now: Arc<std::sync::atomic::AtomicI64>) -> Clock {
        Clock(Arc::new(move || now.load(std::sync::atomic::Ordering::SeqCst)))
    }

    pub(crate) fn now(&self) -> i64 {
        (self.0)()
    }
}
