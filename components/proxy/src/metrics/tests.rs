//! Counts add up over workers, names are bounded, the text is Prometheus'.

use std::sync::Arc;
use std::time::Duration;

use super::{MOST_UPSTREAMS, Metrics, REASONS, Reason};
use crate::RouteId;

fn metrics() -> Arc<Metrics> {
    Metrics::new(vec!["mesos".into(), "od\"d".into()], 2, None)
}

fn value(text: &str, series: &str) -> Option<String> {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map(str::to_string)
}

#[test]
fn counts_of_workers_add_up() {
    let metrics = metrics();
    for index in 0..2 {
        let worker = metrics.worker(index).unwrap();
        worker.request(RouteId(0), 200, Duration::from_millis(8), 1, 10);
        worker.request(RouteId(0), 404, Duration::from_millis(41), 0, 0);
        worker.request(RouteId(1), 502, Duration::from_secs(60), 0, 0);
        worker.request(RouteId(7), 999, Duration::ZERO, 0, 0);
        worker.refused(Reason::Http2Abuse);
        let upstream = worker.upstream(&"master".into());
        upstream.answered(200, Duration::from_millis(1));
        upstream.reused.add(3);
    }
    let text = metrics.render();
    let expected = [
        ("dais_gateway_requests_total{route=\"mesos\",code=\"2xx\"}", "2"),
        ("dais_gateway_requests_total{route=\"mesos\",code=\"4xx\"}", "2"),
        ("dais_gateway_requests_total{route=\"od\\\"d\",code=\"5xx\"}", "2"),
        ("dais_gateway_requests_total{route=\"others\",code=\"other\"}", "2"),
        ("dais_gateway_request_duration_seconds_bucket{route=\"mesos\",le=\"0.008\"}", "2"),
        ("dais_gateway_request_duration_seconds_bucket{route=\"mesos\",le=\"0.04\"}", "2"),
        ("dais_gateway_request_duration_seconds_bucket{route=\"mesos\",le=\"0.2\"}", "4"),
        ("dais_gateway_request_duration_seconds_bucket{route=\"od\\\"d\",le=\"25\"}", "0"),
        ("dais_gateway_request_duration_seconds_bucket{route=\"od\\\"d\",le=\"+Inf\"}", "2"),
        ("dais_gateway_request_duration_seconds_sum{route=\"mesos\"}", "0.098"),
        ("dais_gateway_bytes_total{route=\"mesos\",direction=\"out\"}", "20"),
        ("dais_gateway_refused_total{reason=\"http2_abuse\"}", "2"),
        ("dais_gateway_upstream_reused_total{upstream=\"master\"}", "6"),
        ("dais_gateway_upstream_requests_total{upstream=\"master\",code=\"2xx\"}", "2"),
        ("nginx_vts_server_requests_total{host=\"*\",code=\"2xx\"}", "2"),
        ("nginx_vts_main_connections{status=\"requests\"}", "8"),
    ];
    for (series, count) in expected {
        assert_eq!(value(&text, series).as_deref(), Some(count), "{series} in {text}");
    }
}

#[test]
fn the_page_begins_as_the_originals_does() {
    assert!(metrics().render().starts_with("# HELP nginx_vts_info "));
}

#[test]
fn every_series_stands_under_its_family_once() {
    let text = metrics().render();
    let mut family = String::new();
    let mut seen = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap().to_string();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&family), "{line} under {family}");
            assert!(seen.insert(line.rsplit_once(' ').unwrap().0.to_string()), "{line} twice");
        }
    }
}

#[test]
fn reasons_stand_in_their_order() {
    for (at, (reason, _)) in REASONS.iter().enumerate() {
        assert_eq!(*reason as usize, at);
    }
}

#[test]
fn names_of_upstreams_are_bounded_and_those_nobody_keeps_go() {
    let metrics = metrics();
    let worker = metrics.worker(0).unwrap();
    let name = |at: usize| Arc::from(format!("service-{at}"));
    let kept: Vec<_> = (0..MOST_UPSTREAMS).map(|at| worker.upstream(&name(at))).collect();
    worker.upstream(&name(MOST_UPSTREAMS)).connects.add(1);
    worker.upstream(&name(MOST_UPSTREAMS + 1)).connects.add(1);
    let text = metrics.render();
    let others = "dais_gateway_upstream_connects_total{upstream=\"others\"}";
    assert_eq!(value(&text, others).as_deref(), Some("1"), "nobody kept the first");
    drop(kept);
    worker.upstream(&name(MOST_UPSTREAMS + 2)).connects.add(1);
    let text = metrics.render();
    assert!(value(&text, "dais_gateway_upstream_connects_total{upstream=\"service-0\"}").is_none());
    let last = format!("dais_gateway_upstream_connects_total{{upstream=\"service-{}\"}}", 1002);
    assert_eq!(value(&text, &last).as_deref(), Some("1"));
}
