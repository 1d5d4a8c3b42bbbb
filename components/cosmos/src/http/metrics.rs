//! `/metrics`: what was asked, and how the repositories do, in Prometheus's form.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use http_kit::routes::EndpointCounts;
use http_kit::stats::RouteStats;
use http_kit::{Response, prometheus, respond};

use super::route;
use crate::repositories::{Listed, Status};

/// Counts the answers of each call.
pub(super) struct Counters(BTreeMap<&'static str, RouteStats>);

// === impl Counters ===

impl Counters {
    pub(super) fn new() -> Counters {
        Counters(route::names().map(|name| (name, RouteStats::default())).collect())
    }

    pub(super) fn count(&self, name: &str, status: StatusCode, took: Duration) {
        if let Some(stats) = self.0.get(name) {
            stats.count(status, took);
        }
    }

    pub(super) fn answer(&self, repositories: &[(Listed, Status)]) -> Response {
        let counts: Vec<EndpointCounts> = self
            .0
            .iter()
            .map(|(name, stats)| EndpointCounts { path: (*name).to_owned(), counts: stats.read() })
            .collect();
        let mut out = String::new();
        prometheus::requests(&mut out, &counts);
        gauge(&mut out, "packages", repositories, |status| status.packages);
        gauge(&mut out, "broken", repositories, |status| usize::from(status.error.is_some()));
        let kind = HeaderValue::from_static(prometheus::CONTENT_TYPE);
        respond::with_body(StatusCode::OK, kind, out)
    }
}

fn gauge(
    out: &mut String,
    name: &str,
    repositories: &[(Listed, Status)],
    value: impl Fn(&Status) -> usize,
) {
    let _ = writeln!(out, "# TYPE cosmos_repository_{name} gauge");
    for (listed, status) in repositories {
        let (label, value) = (escaped(&listed.name), value(status));
        let _ = writeln!(out, "cosmos_repository_{name}{{repository=\"{label}\"}} {value}");
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
