//! What is counted of balancing, in Prometheus's text form.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::view::View;

/// Counters of a node.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    changes: AtomicU64,
    services: AtomicU64,
    failures: AtomicU64,
    microseconds: AtomicU64,
    last: AtomicU64,
    failing: AtomicBool,
}

// === impl Metrics ===

impl Metrics {
    /// A change of so many services took so long.
    pub(crate) fn changed(&self, services: usize, took: Duration, failed: bool) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.services.fetch_add(services as u64, Ordering::Relaxed);
        self.failures.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.microseconds.fetch_add(took, Ordering::Relaxed);
        self.last.store(took, Ordering::Relaxed);
        self.failing.store(failed, Ordering::Relaxed);
    }

    /// All of it, with what the view knows.
    pub(crate) fn text(&self, view: &View) -> String {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let (services, names, backends) = view.sizes();
        let snapshot = view.snapshot();
        let problems = view.problems().len();
        let mut out = String::new();
        let mut put = |name: &str, kind: &str, help: &str, value: f64| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        put("l4lb_vips", "gauge", "The number of VIPs.", services as f64);
        put("l4lb_vip_names", "gauge", "Names that have an address.", names as f64);
        put("l4lb_vip_backends", "gauge", "Backends of all VIPs.", backends as f64);
        put("l4lb_invalid_labels", "gauge", "Labels that lead nowhere.", problems as f64);
        put("l4lb_nodes", "gauge", "Nodes that run agents.", view.nodes().len() as f64);
        let led = f64::from(u8::from(snapshot.led));
        put("l4lb_master_connected", "gauge", "Whether the leading master is followed.", led);
        put("l4lb_changes_total", "counter", "Changes made on this node.", get(&self.changes));
        let changed = get(&self.services);
        put("l4lb_changed_vips_total", "counter", "VIPs changed on this node.", changed);
        put("l4lb_failures_total", "counter", "Changes that failed.", get(&self.failures));
        let seconds = get(&self.microseconds) / 1e6;
        put("l4lb_change_seconds_total", "counter", "Time taken by changes.", seconds);
        let last = get(&self.last) / 1e6;
        put("l4lb_last_change_seconds", "gauge", "Time taken by the last change.", last);
        let failing = f64::from(u8::from(self.failing.load(Ordering::Relaxed)));
        put("l4lb_failing", "gauge", "Whether the last change failed.", failing);
        out
    }
}
