//! `/metrics`, in Prometheus's form.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use http_kit::routes::EndpointCounts;
use http_kit::stats::RouteStats;
use http_kit::{Response, prometheus, respond};

use super::route;
use crate::service::Iam;

/// Counts the answers of each endpoint.
pub(super) struct Counters(BTreeMap<&'static str, RouteStats>);

// === impl Counters ===

impl Counters {
    pub(super) fn new() -> Counters {
        Counters(route::all().iter().map(|r| (r.name(), RouteStats::default())).collect())
    }

    pub(super) fn count(&self, name: &str, status: StatusCode, took: Duration) {
        if let Some(stats) = self.0.get(name) {
            stats.count(status, took);
        }
    }

    pub(super) fn answer(&self, iam: &Iam) -> Response {
        let counts: Vec<EndpointCounts> = self
            .0
            .iter()
            .map(|(name, stats)| EndpointCounts { path: (*name).to_owned(), counts: stats.read() })
            .collect();
        let mut out = String::new();
        prometheus::requests(&mut out, &counts);
        let state = iam.state();
        let gauges = [
            ("iam_users", state.users().count()),
            ("iam_groups", state.groups().count()),
            ("iam_acls", state.acls().count()),
            ("iam_policy_followers", iam.feed.followers()),
            ("iam_throttled_entries", iam.throttle().entries()),
            ("iam_audit_low", usize::from(iam.audit.is_low())),
            ("iam_audit_failing", usize::from(iam.audit.is_failing())),
        ];
        for (name, value) in gauges {
            let _ = writeln!(out, "# TYPE {name} gauge\n{name} {value}");
        }
        let version = iam.feed.snapshot().version;
        let _ = writeln!(out, "# TYPE iam_policy_version counter\niam_policy_version {version}");
        let kind = HeaderValue::from_static(prometheus::CONTENT_TYPE);
        respond::with_body(StatusCode::OK, kind, out)
    }
}
