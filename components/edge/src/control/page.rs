//! The page for people.

use std::fmt::Write;

use super::{Control, csv};
use crate::live::{Counts, Table};

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222}\
    table{border-collapse:collapse;margin:0 0 1.5rem}\
    td,th{padding:.15rem .6rem;border-bottom:1px solid #ddd;text-align:right}\
    td:first-child,th:first-child{text-align:left}th{color:#666;font-weight:500}\
    .UP td:nth-child(2),.OPEN td:nth-child(2){color:#197a2f}\
    .MAINT td:nth-child(2){color:#a66a00}.DOWN td:nth-child(2){color:#b00020}\
    .backend td{font-weight:600}h2{font-size:1.1rem}";

pub(super) fn render(control: &Control, table: &Table) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>Statistics Report for edge-lb</title><style>{STYLE}</style></head>\n<body>\
         <h1>edge-lb</h1><p>pid {}, up for {} s, {} services. \
         <a href=\"/haproxy?stats;csv\">CSV</a> <a href=\"/_edge/stats\">JSON</a> \
         <a href=\"/metrics\">metrics</a> <a href=\"/_haproxy_getconfig\">as HAProxy's \
         configuration</a></p>\n",
        std::process::id(),
        control.started.elapsed().as_secs(),
        table.backends.len(),
    );
    problems(&mut out, control, table);
    let mut last = String::new();
    csv::each(control, table, |row| {
        if last != row.proxy {
            if !last.is_empty() {
                out.push_str("</table>\n");
            }
            row.proxy.clone_into(&mut last);
            // Writing into a String cannot fail.
            let _ = writeln!(
                out,
                "<h2>{}</h2><table><tr><th></th><th>status</th><th>now</th><th>most</th>\
                 <th>total</th><th>in</th><th>out</th><th>2xx</th><th>3xx</th><th>4xx</th>\
                 <th>5xx</th><th>errors</th><th>denied</th></tr>",
                escaped(row.proxy)
            );
        }
        let counts = row.counts;
        let of = Counts::get;
        let class = |at: usize| counts.classes.get(at).map(of).unwrap_or_default();
        let kind = if row.kind == csv::Kind::Backend { "backend" } else { "" };
        let cells = [
            of(&counts.active),
            of(&counts.most_active),
            of(&counts.total),
            of(&counts.received),
            of(&counts.sent),
            class(2),
            class(3),
            class(4),
            class(5),
            of(&counts.connect_errors) + of(&counts.response_errors),
            of(&counts.denied),
        ];
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let (name, status) = (escaped(row.name), row.status);
        let _ = writeln!(
            out,
            "<tr class=\"{status} {kind}\"><td>{name}</td><td>{status}</td>{cells}</tr>"
        );
    });
    if !last.is_empty() {
        out.push_str("</table>\n");
    }
    out.push_str("</body></html>\n");
    out
}

fn problems(out: &mut String, control: &Control, table: &Table) {
    let problems = control.problems(table);
    let (listeners, refused) = (control.listeners.troubles(), control.keyring.refused());
    if problems.is_empty() && listeners.is_empty() && refused.is_empty() {
        return;
    }
    out.push_str("<h2>Problems</h2><table><tr><th>app</th><th>label</th><th></th><th></th></tr>\n");
    let mut row = |cells: [&str; 4]| {
        let cells: String =
            cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        let _ = writeln!(out, "<tr>{cells}</tr>");
    };
    for reported in &problems {
        let problem = &reported.problem;
        row([&reported.app, &problem.label, problem.kind.name(), &problem.text]);
    }
    for ((port, _), text) in &listeners {
        row(["", &format!("port {port}"), "listener", text]);
    }
    for (file, text) in &refused {
        row(["", file, "certificate", text]);
    }
    out.push_str("</table>\n");
}

pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            letter => safe.push(letter),
        }
    }
    safe
}
