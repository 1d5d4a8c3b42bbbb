//! `/metrics`: how fresh the names are, and what was asked, in Prometheus's form.

use std::collections::BTreeMap;
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
    prometheus::metrics(
        &mut out,
        [
            ("dns_follows_master", f64::from(u8::from(report.follows))),
            // Nothing was ever told: as old as can be.
            ("dns_data_age_seconds", report.age.map_or(f64::INFINITY, |age| age.as_secs_f64())),
            ("dns_tasks", number(report.tasks)),
            ("dns_tasks_kept", number(report.kept)),
            ("dns_names", number(report.names)),
            ("dns_states_total", report.states as f64),
            ("dns_events_total", report.events as f64),
            ("dns_changes_total", report.changes as f64),
            ("dns_answers_total", counts.answered as f64),
            ("dns_answers_unknown_total", counts.unknown as f64),
            ("dns_answers_failed_total", counts.failed as f64),
            ("dns_answers_refused_total", counts.refused as f64),
            ("dns_answers_forwarded_total", counts.forwarded as f64),
            ("dns_packets_dropped_total", counts.dropped as f64),
        ],
    );
    let paths = stats.0.iter();
    let paths: Vec<EndpointCounts> = paths
        .map(|(path, stats)| EndpointCounts { path: (*path).to_owned(), counts: stats.read() })
        .collect();
    prometheus::requests(&mut out, &paths);
    respond::with_body(StatusCode::OK, HeaderValue::from_static(prometheus::CONTENT_TYPE), out)
}
