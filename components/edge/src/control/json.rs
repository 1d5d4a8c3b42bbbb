//! The same for programs.

use serde_json::{Value, json};

use super::{Control, csv};
use crate::live::{Counts, Table};

/// What is wrong, by app and label.
pub(super) fn problems(control: &Control, table: &Table) -> String {
    let labels: Vec<Value> = control
        .problems(table)
        .iter()
        .map(|reported| {
            let problem = &reported.problem;
            json!({
                "app": &*reported.app,
                "label": &*problem.label,
                "kind": problem.kind.name(),
                "text": &*problem.text,
            })
        })
        .collect();
    let listeners: Vec<Value> = control
        .listeners
        .troubles()
        .into_iter()
        .map(|((port, address), text)| {
            json!({"port": port, "address": address.map(|ip| ip.to_string()), "text": text})
        })
        .collect();
    let certificates: Vec<Value> = control
        .keyring
        .refused()
        .into_iter()
        .map(|(file, text)| json!({"file": file, "text": text}))
        .collect();
    let all = json!({
        "labels": labels,
        "listeners": listeners,
        "certificates": certificates,
        "connected": control.connected.load(std::sync::atomic::Ordering::Relaxed),
    });
    format!("{all}\n")
}

/// Counts of everything.
pub(super) fn stats(control: &Control, table: &Table) -> String {
    let mut rows = Vec::new();
    csv::each(control, table, |row| {
        let counts = row.counts;
        let of = Counts::get;
        let kind = match row.kind {
            csv::Kind::Frontend => "frontend",
            csv::Kind::Backend => "backend",
            csv::Kind::Server => "server",
        };
        rows.push(json!({
            "proxy": row.proxy,
            "name": row.name,
            "kind": kind,
            "status": row.status,
            "active": of(&counts.active),
            "most_active": of(&counts.most_active),
            "total": of(&counts.total),
            "received": of(&counts.received),
            "sent": of(&counts.sent),
            "answers": counts.classes.iter().map(of).collect::<Vec<_>>(),
            "connect_errors": of(&counts.connect_errors),
            "response_errors": of(&counts.response_errors),
            "client_aborts": of(&counts.client_aborts),
            "redispatches": of(&counts.redispatches),
            "denied": of(&counts.denied),
            "mean_ms": counts.mean_milliseconds(),
        }));
    });
    let address = |address: Option<std::net::SocketAddr>| address.map(|one| one.to_string());
    let all = json!({
        "http": address(control.ports.http),
        "https": address(control.ports.https),
        "app_id": address(control.ports.app_id),
        "uptime_seconds": control.started.elapsed().as_secs(),
        "changes": Counts::get(&control.changes.total),
        "rows": rows,
    });
    format!("{all}\n")
}
