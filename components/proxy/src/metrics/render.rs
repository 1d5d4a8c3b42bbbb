//! The counts in Prometheus' text form.
//!
//! What the original's nginx says of the whole server stands under its names; what is ours
//! stands under `dais_gateway_`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use super::WorkerMetrics;
use super::{BUCKETS, Counter, Metrics, OTHERS, REASONS, RouteMetrics, UpstreamMetrics};

const CLASSES: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// A worker's counter with its name and help.
type Scalar = (&'static str, &'static str, &'static str, fn(&WorkerMetrics) -> &Counter);

const SCALARS: [Scalar; 8] = [
    ("connections_total", "counter", "Connections that clients made", |w| &w.connections),
    ("connections_open", "gauge", "Connections of clients that are open", |w| &w.connections_open),
    ("upgrades_open", "gauge", "Tunnels that are open", |w| &w.upgrades_open),
    ("tls_handshakes_total", "counter", "TLS handshakes that were made", |w| &w.handshakes),
    ("tls_handshakes_resumed_total", "counter", "Those of a session before", |w| {
        &w.handshakes_resumed
    }),
    ("tls_handshakes_failed_total", "counter", "TLS handshakes that failed", |w| {
        &w.handshakes_failed
    }),
    ("http2_connections_total", "counter", "Connections that speak HTTP/2", |w| {
        &w.http2_connections
    }),
    ("http2_rapid_resets_total", "counter", "HTTP/2 connections closed for their resets", |w| {
        &w.http2_rapid_resets
    }),
];

/// An upstream's counter with its name and help.
type OfUpstream = (&'static str, &'static str, &'static str, fn(&UpstreamMetrics) -> &Counter);

const UPSTREAM: [OfUpstream; 7] = [
    ("connects_total", "counter", "Connections made to an upstream", |u| &u.connects),
    ("connects_failed_total", "counter", "Connections that could not be made", |u| {
        &u.connects_failed
    }),
    ("connections_open", "gauge", "Connections to an upstream that are open", |u| &u.open),
    ("reused_total", "counter", "Requests on a connection that served one before", |u| &u.reused),
    ("retries_total", "counter", "Requests that were sent again", |u| &u.retries),
    ("failures_total", "counter", "Requests that an upstream did not answer properly", |u| {
        &u.failures
    }),
    ("timeouts_total", "counter", "Requests that an upstream did not answer in time", |u| {
        &u.timeouts
    }),
];

/// One route over all workers.
#[derive(Default)]
struct RouteSum {
    classes: [u64; 6],
    buckets: [u64; BUCKETS.len() + 1],
    microseconds: u64,
    received: u64,
    sent: u64,
}

/// The text, a metric at a time.
struct Page {
    text: String,
    families: usize,
}

// === impl RouteSum ===

impl RouteSum {
    fn add(&mut self, route: &RouteMetrics) {
        let counters = route.classes.iter().chain(&route.buckets);
        let counters = counters.chain([&route.microseconds, &route.received, &route.sent]);
        for (sum, counter) in self.all().zip(counters) {
            *sum += counter.get();
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut u64> {
        let rest = [&mut self.microseconds, &mut self.received, &mut self.sent];
        self.classes.iter_mut().chain(&mut self.buckets).chain(rest)
    }

    fn merge(&mut self, mut other: RouteSum) {
        for (sum, more) in self.all().zip(other.all()) {
            *sum += *more;
        }
    }

    fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }
}

// === impl Page ===

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.families += 1;
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn push(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = self.text.write_fmt(line);
    }
}

pub(super) fn render(metrics: &Metrics) -> String {
    let mut page = Page { text: String::with_capacity(32 * 1024), families: 0 };
    let routes = routes(metrics);
    let mut total = RouteSum::default();
    for (_, route) in &routes {
        total.merge(RouteSum { ..*route });
    }
    nginx(&mut page, metrics, &total);
    own_routes(&mut page, &routes);
    for (name, kind, help, counter) in SCALARS {
        let name = format!("dais_gateway_{name}");
        page.family(&name, kind, help);
        page.push(format_args!("{name} {}\n", sum(metrics, counter)));
    }
    refused(&mut page, metrics);
    upstreams(&mut page, metrics);
    if let Some(log) = &metrics.access_log {
        let name = "dais_gateway_access_log_dropped_total";
        page.family(name, "counter", "Lines of the access log that were dropped");
        page.push(format_args!("{name} {}\n", log.dropped()));
    }
    page.text
}

/// The metrics of nginx's traffic module that speak of the whole server.
fn nginx(page: &mut Page, metrics: &Metrics, total: &RouteSum) {
    page.family("nginx_vts_info", "gauge", "Nginx info");
    let version = env!("CARGO_PKG_VERSION");
    page.push(format_args!(
        "nginx_vts_info{{hostname=\"\",version=\"dais-{version}\",module_version=\"\"}} 1\n"
    ));
    page.family("nginx_vts_start_time_seconds", "gauge", "Nginx start time");
    let started = metrics.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    page.push(format_args!("nginx_vts_start_time_seconds {}\n", Seconds(started.as_micros())));
    page.family("nginx_vts_main_connections", "gauge", "Nginx connections");
    let accepted = sum(metrics, |worker| &worker.connections);
    let active = sum(metrics, |worker| &worker.connections_open);
    let busy = sum(metrics, |worker| &worker.requests_open);
    let waiting = active.saturating_sub(busy);
    let states = [
        ("accepted", accepted),
        ("active", active),
        ("handled", accepted),
        ("requests", total.requests()),
        ("waiting", waiting),
        ("writing", busy),
    ];
    for (status, value) in states {
        page.push(format_args!("nginx_vts_main_connections{{status=\"{status}\"}} {value}\n"));
    }
    page.family("nginx_vts_server_bytes_total", "counter", "The request/response bytes");
    for (direction, bytes) in [("in", total.received), ("out", total.sent)] {
        page.push(format_args!(
            "nginx_vts_server_bytes_total{{host=\"*\",direction=\"{direction}\"}} {bytes}\n"
        ));
    }
    page.family("nginx_vts_server_requests_total", "counter", "The requests counter");
    for (class, count) in CLASSES.iter().zip(total.classes).skip(1) {
        page.push(format_args!(
            "nginx_vts_server_requests_total{{host=\"*\",code=\"{class}\"}} {count}\n"
        ));
    }
    page.family(
        "nginx_vts_server_request_duration_seconds",
        "histogram",
        "The histogram of request processing time",
    );
    histogram(page, "nginx_vts_server_request_duration_seconds", "host=\"*\"", total);
}

fn own_routes(page: &mut Page, routes: &[(String, RouteSum)]) {
    let name = "dais_gateway_requests_total";
    page.family(name, "counter", "Requests by route and class of the answer");
    for (route, sum) in routes {
        for (class, count) in CLASSES.iter().zip(sum.classes).filter(|(_, count)| *count > 0) {
            page.push(format_args!("{name}{{route=\"{route}\",code=\"{class}\"}} {count}\n"));
        }
    }
    let name = "dais_gateway_bytes_total";
    page.family(name, "counter", "Bytes of bodies by route");
    for (route, sum) in routes {
        for (direction, bytes) in [("in", sum.received), ("out", sum.sent)] {
            page.push(format_args!(
                "{name}{{route=\"{route}\",direction=\"{direction}\"}} {bytes}\n"
            ));
        }
    }
    let name = "dais_gateway_request_duration_seconds";
    page.family(name, "histogram", "From a request's head to the end of its answer");
    for (route, sum) in routes {
        histogram(page, name, &format!("route=\"{route}\""), sum);
    }
}

fn histogram(page: &mut Page, name: &str, label: &str, sum: &RouteSum) {
    let mut below = 0;
    for (end, count) in BUCKETS.iter().zip(sum.buckets) {
        below += count;
        let end = Seconds(u128::from(*end));
        page.push(format_args!("{name}_bucket{{{label},le=\"{end}\"}} {below}\n"));
    }
    let count = sum.requests();
    let seconds = Seconds(u128::from(sum.microseconds));
    page.push(format_args!("{name}_bucket{{{label},le=\"+Inf\"}} {count}\n"));
    page.push(format_args!("{name}_sum{{{label}}} {seconds}\n"));
    page.push(format_args!("{name}_count{{{label}}} {count}\n"));
}

fn refused(page: &mut Page, metrics: &Metrics) {
    let name = "dais_gateway_refused_total";
    page.family(name, "counter", "Requests and connections that were refused, by reason");
    for (at, (_, reason)) in REASONS.iter().enumerate() {
        let counters = metrics.workers.iter().filter_map(|worker| worker.refused.get(at));
        let count: u64 = counters.map(Counter::get).sum();
        page.push(format_args!("{name}{{reason=\"{reason}\"}} {count}\n"));
    }
}

fn upstreams(page: &mut Page, metrics: &Metrics) {
    let mut found: BTreeMap<Arc<str>, Vec<Arc<UpstreamMetrics>>> = BTreeMap::new();
    for worker in &metrics.workers {
        let upstreams = worker.upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, counts) in upstreams.iter() {
            found.entry(Arc::clone(name)).or_default().push(Arc::clone(counts));
        }
    }
    let found: Vec<_> = found.into_iter().map(|(name, counts)| (label(&name), counts)).collect();
    let name = "dais_gateway_upstream_requests_total";
    page.family(name, "counter", "Answers of an upstream by their class");
    for (upstream, counts) in &found {
        for (at, class) in CLASSES.iter().enumerate() {
            let counters = counts.iter().filter_map(|counts| counts.requests.get(at));
            let count: u64 = counters.map(Counter::get).sum();
            if count > 0 {
                page.push(format_args!(
                    "{name}{{upstream=\"{upstream}\",code=\"{class}\"}} {count}\n"
                ));
            }
        }
    }
    let name = "dais_gateway_upstream_seconds_total";
    page.family(name, "counter", "Time that an upstream's answers took");
    for (upstream, counts) in &found {
        let micros: u64 = counts.iter().map(|counts| counts.microseconds.get()).sum();
        let seconds = Seconds(u128::from(micros));
        page.push(format_args!("{name}{{upstream=\"{upstream}\"}} {seconds}\n"));
    }
    for (short, kind, help, counter) in UPSTREAM {
        let name = format!("dais_gateway_upstream_{short}");
        page.family(&name, kind, help);
        for (upstream, counts) in &found {
            let count: u64 = counts.iter().map(|counts| counter(counts).get()).sum();
            page.push(format_args!("{name}{{upstream=\"{upstream}\"}} {count}\n"));
        }
    }
}

/// Each route's name and sums; those of no route last, where there are any.
fn routes(metrics: &Metrics) -> Vec<(String, RouteSum)> {
    let names = metrics.routes.iter().map(|name| label(name));
    let names = names.chain([OTHERS.to_string()]);
    let mut sums: Vec<_> = names.map(|name| (name, RouteSum::default())).collect();
    for worker in &metrics.workers {
        for ((_, sum), route) in sums.iter_mut().zip(&worker.routes) {
            sum.add(route);
        }
    }
    if sums.last().is_some_and(|(_, sum)| sum.requests() == 0) {
        sums.pop();
    }
    sums
}

fn sum(metrics: &Metrics, counter: fn(&WorkerMetrics) -> &Counter) -> u64 {
    metrics.workers.iter().map(|worker| counter(worker).get()).sum()
}

/// A label's value: names of services come from outside.
fn label(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out
}

/// Microseconds as seconds, without the zeros at the end.
struct Seconds(u128);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if micros == 0 {
            return write!(f, "{whole}");
        }
        let text = format!("{micros:06}");
        write!(f, "{whole}.{}", text.trim_end_matches('0'))
    }
}
