//! Counters of requests per endpoint.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::StatusCode;

/// What one endpoint answered, by class of status, and how long it took.
#[derive(Debug, Default)]
pub struct RouteStats {
    classes: [AtomicU64; 5],
    busy_micros: AtomicU64,
}

/// A reading of [`RouteStats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// Answers with 1xx, 2xx, 3xx, 4xx, 5xx.
    pub classes: [u64; 5],
    /// Sum of the times from request to head of the answer.
    pub busy: Duration,
}

impl RouteStats {
    /// Counts one answer.
    pub fn count(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.classes.get(class) {
            counter.fetch_add(1, Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if micros > 0 {
            self.busy_micros.fetch_add(micros, Relaxed);
        }
    }

    /// The counts so far.
    pub fn read(&self) -> RouteCounts {
        RouteCounts {
            classes: std::array::from_fn(|i| {
                self.classes.get(i).map_or(0, |counter| counter.load(Relaxed))
            }),
            busy: Duration::from_micros(self.busy_micros.load(Relaxed)),
        }
    }
}
