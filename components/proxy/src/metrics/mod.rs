//! What the engine counts.
//!
//! Each worker counts for itself, in memory that no other worker writes; the counts are added up
//! when somebody reads them. Names are bounded: routes are those given at the start, upstreams
//! beyond [`MOST_UPSTREAMS`] are counted together.

mod render;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustc_hash::FxHashMap;

use crate::{AccessLog, Refusal, RouteId};

/// The upper ends of the classes of latency, in microseconds.
pub(crate) const BUCKETS: [u64; 6] = [8_000, 40_000, 200_000, 1_000_000, 5_000_000, 25_000_000];
/// Upstreams with counts of their own, a worker.
const MOST_UPSTREAMS: usize = 1000;
/// What the others are counted under.
const OTHERS: &str = "others";

/// Every count of one server.
pub struct Metrics {
    routes: Vec<String>,
    workers: Vec<Arc<WorkerMetrics>>,
    started: SystemTime,
    access_log: Option<Arc<AccessLog>>,
}

/// A number that only its worker's thread changes: anybody may read it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// One worker's counts. Aligned so that no two workers write to one line of a cache.
#[repr(align(128))]
pub struct WorkerMetrics {
    routes: Vec<RouteMetrics>,
    upstreams: Mutex<FxHashMap<Arc<str>, Arc<UpstreamMetrics>>>,
    refused: [Counter; REASONS.len()],
    pub connections: Counter,
    pub connections_open: Counter,
    /// Connections with a request on them.
    pub requests_open: Counter,
    pub handshakes: Counter,
    pub handshakes_resumed: Counter,
    pub handshakes_failed: Counter,
    pub http2_connections: Counter,
    pub http2_rapid_resets: Counter,
    /// Tunnels (WebSocket and others) that are open.
    pub upgrades_open: Counter,
}

/// One route's counts.
#[derive(Default)]
struct RouteMetrics {
    /// By the first digit of the status; what has none is at 0.
    classes: [Counter; 6],
    /// One more than there are ends.
    buckets: [Counter; BUCKETS.len() + 1],
    microseconds: Counter,
    received: Counter,
    sent: Counter,
}

/// One upstream's counts. Kept by whoever keeps the connections to it.
#[derive(Default)]
pub struct UpstreamMetrics {
    pub requests: [Counter; 6],
    pub microseconds: Counter,
    pub connects: Counter,
    pub connects_failed: Counter,
    /// Requests on a connection that had served one before.
    pub reused: Counter,
    pub retries: Counter,
    pub failures: Counter,
    pub timeouts: Counter,
    pub open: Counter,
}

/// Why requests and connections are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Malformed,
    HeadTooLarge,
    TooManyHeaders,
    TargetTooLong,
    BodyTooLarge,
    RequestTimeout,
    Unsupported,
    BadGateway,
    Unavailable,
    GatewayTimeout,
    /// More connections than are allowed.
    Connections,
    /// More TLS handshakes at once than are allowed.
    Handshakes,
    /// HTTP on the TLS port, or TLS on the plain one.
    WrongPort,
    /// An HTTP/2 connection that only makes work.
    Http2Abuse,
}

/// In the order of [`Reason`].
const REASONS: [(Reason, &str); 14] = [
    (Reason::Malformed, "malformed"),
    (Reason::HeadTooLarge, "head_too_large"),
    (Reason::TooManyHeaders, "too_many_headers"),
    (Reason::TargetTooLong, "target_too_long"),
    (Reason::BodyTooLarge, "body_too_large"),
    (Reason::RequestTimeout, "request_timeout"),
    (Reason::Unsupported, "unsupported"),
    (Reason::BadGateway, "bad_gateway"),
    (Reason::Unavailable, "unavailable"),
    (Reason::GatewayTimeout, "gateway_timeout"),
    (Reason::Connections, "connections"),
    (Reason::Handshakes, "handshakes"),
    (Reason::WrongPort, "wrong_port"),
    (Reason::Http2Abuse, "http2_abuse"),
];

// === impl Metrics ===

impl Metrics {
    /// `routes` are the names behind [`RouteId`], in order.
    pub fn new(
        routes: Vec<String>,
        workers: usize,
        access_log: Option<Arc<AccessLog>>,
    ) -> Arc<Metrics> {
        let worker = || Arc::new(WorkerMetrics::new(routes.len()));
        let workers = (0..workers.max(1)).map(|_| worker()).collect();
        Arc::new(Metrics { routes, workers, started: SystemTime::now(), access_log })
    }

    /// The counts of one worker; of the last one when there are fewer.
    pub fn worker(&self, index: usize) -> Option<Arc<WorkerMetrics>> {
        self.workers.get(index).or(self.workers.last()).map(Arc::clone)
    }

    /// The name of a route.
    pub fn route(&self, route: RouteId) -> &str {
        self.routes.get(usize::from(route.0)).map_or(OTHERS, String::as_str)
    }

    /// All of it as Prometheus reads it.
    pub fn render(&self) -> String {
        render::render(self)
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

// === impl Counter ===

impl Counter {
    /// Load and store: there is one writer, so that nothing is lost, and no bus is locked.
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    pub fn sub(&self, less: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(less), Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts as one for as long as it is there: a task that panics leaves nothing behind.
#[must_use]
pub(crate) struct Held<'a>(&'a Counter);

impl Counter {
    /// Adds one until what this returns is dropped.
    pub(crate) fn hold(&self) -> Held<'_> {
        self.add(1);
        Held(self)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

// === impl WorkerMetrics ===

impl WorkerMetrics {
    pub(crate) fn new(routes: usize) -> WorkerMetrics {
        WorkerMetrics {
            // The last one is for names nobody gave.
            routes: (0..=routes).map(|_| RouteMetrics::default()).collect(),
            upstreams: Mutex::default(),
            refused: Default::default(),
            connections: Counter::default(),
            connections_open: Counter::default(),
            requests_open: Counter::default(),
            handshakes: Counter::default(),
            handshakes_resumed: Counter::default(),
            handshakes_failed: Counter::default(),
            http2_connections: Counter::default(),
            http2_rapid_resets: Counter::default(),
            upgrades_open: Counter::default(),
        }
    }

    /// Counts a request that is over.
    pub fn request(&self, route: RouteId, status: u16, took: Duration, received: u64, sent: u64) {
        let last = self.routes.len().saturating_sub(1);
        let Some(route) = self.routes.get(usize::from(route.0).min(last)) else { return };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        class(&route.classes, status).add(1);
        let bucket = BUCKETS.iter().position(|end| micros <= *end).unwrap_or(BUCKETS.len());
        if let Some(bucket) = route.buckets.get(bucket) {
            bucket.add(1);
        }
        route.microseconds.add(micros);
        route.received.add(received);
        route.sent.add(sent);
    }

    /// Counts what the engine refused.
    pub fn refused(&self, reason: Reason) {
        if let Some(counter) = self.refused.get(reason as usize) {
            counter.add(1);
        }
    }

    /// The counts of an upstream, to be kept with the connections to it. When there are too many
    /// names, those that nobody keeps any more go first.
    pub fn upstream(&self, name: &Arc<str>) -> Arc<UpstreamMetrics> {
        let mut upstreams = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = upstreams.get(name) {
            return Arc::clone(known);
        }
        if upstreams.len() >= MOST_UPSTREAMS {
            upstreams.retain(|_, counts| Arc::strong_count(counts) > 1);
        }
        let name = if upstreams.len() < MOST_UPSTREAMS { Arc::clone(name) } else { OTHERS.into() };
        Arc::clone(upstreams.entry(name).or_default())
    }
}

// === impl UpstreamMetrics ===

impl UpstreamMetrics {
    /// Counts an answer of the upstream's.
    pub fn answered(&self, status: u16, took: Duration) {
        class(&self.requests, status).add(1);
        self.microseconds.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }
}

// === impl Reason ===

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Reason {
        match refusal {
            Refusal::Malformed(_) => Reason::Malformed,
            Refusal::HeadTooLarge { .. } => Reason::HeadTooLarge,
            Refusal::TooManyHeaders { .. } => Reason::TooManyHeaders,
            Refusal::TargetTooLong { .. } => Reason::TargetTooLong,
            Refusal::BodyTooLarge { .. } => Reason::BodyTooLarge,
            Refusal::RequestTimeout { .. } => Reason::RequestTimeout,
            Refusal::Unsupported { .. } => Reason::Unsupported,
            Refusal::BadGateway { .. } => Reason::BadGateway,
            Refusal::Unavailable { .. } => Reason::Unavailable,
            Refusal::GatewayTimeout { .. } => Reason::GatewayTimeout,
        }
    }
}

fn class(classes: &[Counter; 6], status: u16) -> &Counter {
    let [none, rest @ ..] = classes;
    rest.get(usize::from(status / 100).wrapping_sub(1)).unwrap_or(none)
}

#[cfg(test)]
mod tests;
