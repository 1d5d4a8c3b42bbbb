//! Metrics in the Prometheus text form, from the original's slashed names.

use std::fmt::Write;

use crate::routes::EndpointCounts;

/// The content type of the text form.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes metrics named like `master/tasks_running` as `mesos_master_tasks_running`.
/// Names of frameworks and roles become labels: they are data, and unbounded.
pub fn metrics<'a>(out: &mut String, metrics: impl IntoIterator<Item = (&'a str, f64)>) {
    for (name, value) in metrics {
        sample(out, name, value);
    }
}

fn sample(out: &mut String, name: &str, value: f64) {
    let labelled = [
        ("master/frameworks/", "framework"),
        ("frameworks/", "principal"),
        ("allocator/mesos/roles/", "role"),
        ("allocator/mesos/quota/roles/", "role"),
        ("allocator/mesos/offer_filters/roles/", "role"),
    ];
    for (prefix, label) in labelled {
        if let Some(rest) = name.strip_prefix(prefix) {
            let (subject, metric) = split_subject(label, rest);
            let base = format!("{}{metric}", prefix);
            let _ = write!(out, "mesos_{}{{{label}=\"", identifier(&base));
            escape_label(out, subject);
            let _ = writeln!(out, "\"}} {value}");
            return;
        }
    }
    let _ = writeln!(out, "mesos_{} {value}", identifier(name));
}

/// A framework's subject is `<name>/<id>`; the others are one role or principal,
/// in which slashes may occur, so the metric is recognised from its known tail.
fn split_subject<'a>(label: &str, rest: &'a str) -> (&'a str, &'a str) {
    if label == "framework" {
        let mut slashes = rest.match_indices('/').map(|(at, _)| at);
        let second = slashes.nth(1);
        return second.map_or((rest, ""), |at| {
            (rest.get(..at).unwrap_or(rest), rest.get(at + 1..).unwrap_or(""))
        });
    }
    let tail = ["/shares/", "/resources/", "/active", "/messages_", "/suppressed"]
        .iter()
        .filter_map(|tail| rest.rfind(tail))
        .max();
    match tail {
        Some(at) => (rest.get(..at).unwrap_or(rest), rest.get(at + 1..).unwrap_or("")),
        None => (rest, ""),
    }
}

fn identifier(name: &str) -> String {
    let mut last = '_';
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || last != '_' {
            text.push(c);
        }
        last = c;
    }
    while text.ends_with('_') {
        text.pop();
    }
    text
}

fn escape_label(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// Writes the request counters of a set of endpoints.
pub fn requests(out: &mut String, endpoints: &[EndpointCounts]) {
    out.push_str("# TYPE http_requests_total counter\n");
    for endpoint in endpoints {
        for (class, count) in endpoint.counts.classes.iter().enumerate() {
            if *count > 0 {
                let _ = writeln!(
                    out,
                    "http_requests_total{{path=\"{}\",class=\"{}xx\"}} {count}",
                    endpoint.path,
                    class + 1
                );
            }
        }
    }
    out.push_str("# TYPE http_request_seconds_total counter\n");
    for endpoint in endpoints {
        if !endpoint.counts.busy.is_zero() {
            let _ = writeln!(
                out,
                "http_request_seconds_total{{path=\"{}\"}} {}",
                endpoint.path,
                endpoint.counts.busy.as_secs_f64()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_identifiers_and_subjects_labels() {
        let mut out = String::new();
        metrics(
            &mut out,
            [
                ("master/tasks_running", 3.0),
                ("master/frameworks/my%20fw/id-1/calls/accept", 2.0),
                ("allocator/mesos/roles/a/b/shares/dominant", 0.5),
                ("allocator/mesos/allocation_run_ms/p50", 0.25),
            ],
        );
        assert_eq!(
            out,
            "mesos_master_tasks_running 3\n\
             mesos_master_frameworks_calls_accept{framework=\"my%20fw/id-1\"} 2\n\
             mesos_allocator_mesos_roles_shares_dominant{role=\"a/b\"} 0.5\n\
             mesos_allocator_mesos_allocation_run_ms_p50 0.25\n"
        );
    }
}
