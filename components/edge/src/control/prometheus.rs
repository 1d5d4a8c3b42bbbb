//! For Prometheus: the engine's own metrics, and services as HAProxy's exporter calls them.

use std::fmt::Write;
use std::sync::atomic::AtomicU64;

use super::{Control, csv};
use crate::live::{Counts, Table};

/// A counter's name, whether it only grows, and where it stands.
type Series = (&'static str, bool, fn(&Counts) -> &AtomicU64);

const SERIES: [Series; 8] = [
    ("current_sessions", false, |counts| &counts.active),
    ("sessions_total", true, |counts| &counts.total),
    ("bytes_in_total", true, |counts| &counts.received),
    ("bytes_out_total", true, |counts| &counts.sent),
    ("requests_denied_total", true, |counts| &counts.denied),
    ("connection_errors_total", true, |counts| &counts.connect_errors),
    ("response_errors_total", true, |counts| &counts.response_errors),
    ("redispatch_warnings_total", true, |counts| &counts.redispatches),
];

pub(super) fn render(control: &Control, table: &Table) -> String {
    let mut out = control.metrics.render();
    for kind in [csv::Kind::Frontend, csv::Kind::Backend, csv::Kind::Server] {
        let prefix = match kind {
            csv::Kind::Frontend => "haproxy_frontend",
            csv::Kind::Backend => "haproxy_backend",
            csv::Kind::Server => "haproxy_server",
        };
        for (name, grows, of) in SERIES {
            let kind_of = if grows { "counter" } else { "gauge" };
            // Writing into a String cannot fail.
            let _ = writeln!(out, "# TYPE {prefix}_{name} {kind_of}");
            csv::each(control, table, |row| {
                if row.kind == kind {
                    let labels = labels(row);
                    let _ = writeln!(
                        out,
                        "{prefix}_{name}{{{labels}}} {}",
                        Counts::get(of(row.counts))
                    );
                }
            });
        }
        let _ = writeln!(out, "# TYPE {prefix}_http_responses_total counter");
        csv::each(control, table, |row| {
            if row.kind != kind {
                return;
            }
            for (at, class) in row.counts.classes.iter().enumerate() {
                let code = if at == 0 { "other".to_owned() } else { format!("{at}xx") };
                let (labels, count) = (labels(row), Counts::get(class));
                let _ = writeln!(
                    out,
                    "{prefix}_http_responses_total{{{labels},code=\"{code}\"}} {count}"
                );
            }
        });
        let _ = writeln!(out, "# TYPE {prefix}_up gauge");
        csv::each(control, table, |row| {
            if row.kind == kind {
                let up = u8::from(matches!(row.status, "UP" | "OPEN"));
                let _ = writeln!(out, "{prefix}_up{{{}}} {up}", labels(row));
            }
        });
    }
    let _ = writeln!(out, "# TYPE edge_label_problems gauge");
    let _ = writeln!(out, "edge_label_problems {}", control.problems(table).len());
    let connected = control.connected.load(std::sync::atomic::Ordering::Relaxed);
    let _ = writeln!(out, "# TYPE edge_marathon_connected gauge");
    let _ = writeln!(out, "edge_marathon_connected {}", u8::from(connected));
    let _ = writeln!(out, "# TYPE edge_changes_total counter");
    let _ = writeln!(out, "edge_changes_total {}", Counts::get(&control.changes.total));
    out
}

fn labels(row: &csv::Row<'_>) -> String {
    match row.kind {
        csv::Kind::Server => format!("proxy=\"{}\",server=\"{}\"", row.proxy, row.name),
        _ => format!("proxy=\"{}\"", row.proxy),
    }
}
