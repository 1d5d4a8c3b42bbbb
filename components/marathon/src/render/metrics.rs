//! Metrics under the original's names, as JSON and in Prometheus' form.

use std::fmt::Write;

use marathon_core::View;
use serde_json::{Map, Value, json};

/// What the HTTP layer counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HttpNumbers {
    /// Answers by the hundreds of their status, from 1xx.
    pub(crate) responses: [u64; 5],
    /// Requests being answered.
    pub(crate) active: u64,
    /// Open event streams.
    pub(crate) streams: u64,
    /// Bytes sent to event streams.
    pub(crate) stream_bytes: u64,
    pub(crate) uptime_seconds: f64,
}

/// The names of what only grows, with the values.
fn counters(view: &View, http: &HttpNumbers) -> Vec<(&'static str, u64)> {
    let core = &view.metrics;
    let [informational, success, redirection, client_error, server_error] = http.responses;
    vec![
        ("marathon.deployments.counter", core.deployments_started),
        ("marathon.deployments.succeeded.counter", core.deployments_succeeded),
        ("marathon.deployments.failed.counter", core.deployments_failed),
        ("marathon.http.event-streams.responses.size.counter.bytes", http.stream_bytes),
        ("marathon.http.responses.1xx.counter", informational),
        ("marathon.http.responses.2xx.counter", success),
        ("marathon.http.responses.3xx.counter", redirection),
        ("marathon.http.responses.4xx.counter", client_error),
        ("marathon.http.responses.5xx.counter", server_error),
        ("marathon.instances.failed.counter", core.instances_failed),
        ("marathon.instances.kills.counter", core.kills_sent),
        ("marathon.mesos.calls.revive.counter", core.revives),
        ("marathon.mesos.calls.suppress.counter", core.suppresses),
        ("marathon.mesos.offer-operations.launch.counter", core.instances_launched),
        ("marathon.mesos.offers.declined.counter", core.offers_declined),
        ("marathon.mesos.offers.incoming.counter", core.offers_processed),
        ("marathon.mesos.offers.rescinded.counter", core.offers_rescinded),
        ("marathon.mesos.offers.used.counter", core.offers_used),
        ("marathon.mesos.task-updates.counter", core.status_updates),
        ("marathon.health-checks.probes.counter", core.health_probes),
        ("marathon.tasks.launched.counter", core.instances_launched),
    ]
}

/// The names of what rises and falls, with the values.
fn gauges(view: &View, http: &HttpNumbers) -> Vec<(&'static str, f64)> {
    let core = &view.metrics;
    // Counts of things in memory are exact in a double.
    let count = |count: usize| count as f64;
    let number = |number: u64| number as f64;
    vec![
        ("marathon.apps.active.gauge", count(view.root.apps().len())),
        ("marathon.deployments.active.gauge", count(view.deployments.len())),
        ("marathon.groups.active.gauge", count(view.root.groups().len())),
        ("marathon.health-checks.active.gauge", number(core.health_monitored)),
        ("marathon.http.event-streams.active.gauge", number(http.streams)),
        ("marathon.http.requests.active.gauge", number(http.active)),
        ("marathon.instances.gauge", number(core.instances_total)),
        ("marathon.instances.running.gauge", number(core.instances_running)),
        ("marathon.instances.scheduled.gauge", number(core.instances_scheduled)),
        ("marathon.instances.staged.gauge", number(core.instances_staged)),
        ("marathon.leadership.duration.gauge.seconds", http.uptime_seconds),
        ("marathon.pods.active.gauge", 0.0),
        ("marathon.queue.apps.gauge", count(view.queued.len())),
        ("marathon.uptime.gauge.seconds", http.uptime_seconds),
    ]
}

/// `/metrics`.
pub(crate) fn json(view: &View, http: &HttpNumbers) -> Value {
    let counters = counters(view, http).into_iter();
    let counters: Map<String, Value> =
        counters.map(|(name, count)| (name.to_owned(), json!({"count": count}))).collect();
    let gauges = gauges(view, http).into_iter();
    let gauges: Map<String, Value> =
        gauges.map(|(name, value)| (name.to_owned(), json!({"value": value}))).collect();
    json!({
        "version": "4.0.0",
        "counters": counters,
        "gauges": gauges,
        "histograms": {},
        "meters": {},
        "timers": {},
    })
}

/// `/metrics/prometheus`.
pub(crate) fn prometheus(view: &View, http: &HttpNumbers) -> String {
    let mut out = String::new();
    for (name, value) in gauges(view, http) {
        let name = identifier(name);
        let _ = writeln!(out, "# TYPE {name} gauge\n{name} {value}");
    }
    for (name, count) in counters(view, http) {
        let name = identifier(name);
        let _ = writeln!(out, "# TYPE {name} counter\n{name} {count}");
    }
    out
}

fn identifier(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}
