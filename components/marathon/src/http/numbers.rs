//! What the API counts of itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use http::StatusCode;

use crate::render::metrics::HttpNumbers;

/// Counters of everything answered so far.
#[derive(Debug)]
pub(crate) struct Numbers {
    started: Instant,
    active: AtomicUsize,
    responses: [AtomicU64; 5],
    pub(crate) streams: AtomicU64,
    pub(crate) stream_bytes: AtomicU64,
}

/// A request that is being answered; over when dropped.
pub(crate) struct Active {
    numbers: Arc<Numbers>,
    number: usize,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            active: AtomicUsize::default(),
            responses: Default::default(),
            streams: AtomicU64::default(),
            stream_bytes: AtomicU64::default(),
        }
    }
}

impl Numbers {
    /// One more request.
    pub(crate) fn enter(self: &Arc<Self>) -> Active {
        let number = self.active.fetch_add(1, Ordering::Relaxed) + 1;
        Active { numbers: self.clone(), number }
    }

    pub(crate) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.responses.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> HttpNumbers {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let [a, b, c, d, e] = &self.responses;
        HttpNumbers {
            responses: [a, b, c, d, e].map(load),
            active: self.active.load(Ordering::Relaxed) as u64,
            streams: load(&self.streams),
            stream_bytes: load(&self.stream_bytes),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
        }
    }
}

impl Active {
    /// How many requests there were at once when it came, itself included.
    pub(crate) fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.numbers.active.fetch_sub(1, Ordering::Relaxed);
    }
}
