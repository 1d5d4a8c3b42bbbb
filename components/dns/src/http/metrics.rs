//! `/metrics`: how fresh the names are, and what was asked, in Prometheus's form.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use http_kit::routes::EndpointCounts;
use http_kit::stats::RouteStats;
use http_kit::{Response, prometheus, respond};

use super::route;
use crate::feed::Report;
use crate::serve::Counts;

/// Counts the answers of each path.
pub(super) struct Stats(BTreeMap<&'static str, RouteStats>);

// === impl Stats ===

impl Stats {
    pub(super) fn new() -> Stats {
        Stats(route::patterns().map(|pattern| (pattern, RouteStats::default())).collect())
    }

    pub(super) fn count(&self, pattern: &str, status: StatusCode, took: Duration) {
        if let Some(stats) = self.0.get(pattern) {
            stats.count(status, took);
        }
    }
}

pub(super) fn answer(stats: &Stats, report: Report, counts: &Counts) -> Response {
    let mut out = String::new();
    let number = |count: usize| count as f64;
    for (name, value) in [
        ("follows_master", f64::from(u8::from(report.follows))),
        // Nothing was ever told: as old as can be.
        ("data_age_seconds", report.age.map_or(f64::INFINITY, |age| age.as_secs_f64())),
        ("tasks", number(report.tasks)),
        ("tasks_kept", number(report.kept)),
        ("names", number(report.names)),
    ] {
        let _ = writeln!(out, "# TYPE dns_{name} gauge\ndns_{name} {}", shown(value));
    }
    for (name, value) in [
        ("states", report.states),
        ("events", report.events),
        ("changes", report.changes),
        ("answers", counts.answered),
        ("answers_unknown", counts.unknown),
        ("answers_failed", counts.failed),
        ("answers_refused", counts.refused),
        ("answers_forwarded", counts.forwarded),
        ("packets_dropped", counts.dropped),
    ] {
        let _ = writeln!(out, "# TYPE dns_{name}_total counter\ndns_{name}_total {value}");
    }
    let paths = stats.0.iter();
    let paths: Vec<EndpointCounts> = paths
        .map(|(path, stats)| EndpointCounts { path: (*path).to_owned(), counts: stats.read() })
        .collect();
    prometheus::requests(&mut out, &paths);
    respond::with_body(StatusCode::OK, HeaderValue::from_static(prometheus::CONTENT_TYPE), out)
}

/// In the format's own words.
fn shown(value: f64) -> String {
    if value.is_infinite() { "+Inf".to_owned() } else { value.to_string() }
}
