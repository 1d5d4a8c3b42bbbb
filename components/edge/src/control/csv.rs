//! Statistics with HAProxy's columns: tools that deploy read them.

use crate::control::Control;
use crate::live::{Counts, Table};

const COLUMNS: [&str; 62] = [
    "pxname",
    "svname",
    "qcur",
    "qmax",
    "scur",
    "smax",
    "slim",
    "stot",
    "bin",
    "bout",
    "dreq",
    "dresp",
    "ereq",
    "econ",
    "eresp",
    "wretr",
    "wredis",
    "status",
    "weight",
    "act",
    "bck",
    "chkfail",
    "chkdown",
    "lastchg",
    "downtime",
    "qlimit",
    "pid",
    "iid",
    "sid",
    "throttle",
    "lbtot",
    "tracked",
    "type",
    "rate",
    "rate_lim",
    "rate_max",
    "check_status",
    "check_code",
    "check_duration",
    "hrsp_1xx",
    "hrsp_2xx",
    "hrsp_3xx",
    "hrsp_4xx",
    "hrsp_5xx",
    "hrsp_other",
    "hanafail",
    "req_rate",
    "req_rate_max",
    "req_tot",
    "cli_abrt",
    "srv_abrt",
    "comp_in",
    "comp_out",
    "comp_byp",
    "comp_rsp",
    "lastsess",
    "last_chk",
    "last_agt",
    "qtime",
    "ctime",
    "rtime",
    "ttime",
];

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Frontend = 0,
    Backend = 1,
    Server = 2,
}

/// One line.
pub(super) struct Row<'a> {
    pub(super) proxy: &'a str,
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) status: &'static str,
    pub(super) counts: &'a Counts,
    /// Of servers that get requests.
    pub(super) usable: usize,
    pub(super) backup: bool,
    pub(super) proxy_id: usize,
    pub(super) server_id: u16,
}

pub(super) fn render(control: &Control, table: &Table) -> String {
    let mut out = format!("# {},\n", COLUMNS.join(","));
    each(control, table, |row| line(&mut out, row));
    out
}

/// Every row, in HAProxy's order.
pub(super) fn each(control: &Control, table: &Table, mut row: impl FnMut(&Row<'_>)) {
    let counts = &control.inner.counts;
    let mut id = 1;
    let mut next = || {
        id += 1;
        id
    };
    let shared = [
        ("marathon_http_in", &counts.http, control.ports.http.is_some()),
        ("marathon_http_appid_in", &counts.app_id, control.ports.app_id.is_some()),
        ("marathon_https_in", &counts.https, control.ports.https.is_some()),
    ];
    let front = |proxy, counts, proxy_id| Row {
        proxy,
        name: "FRONTEND",
        kind: Kind::Frontend,
        status: "OPEN",
        counts,
        usable: 0,
        backup: false,
        proxy_id,
        server_id: 0,
    };
    for (proxy, counts, open) in shared {
        let proxy_id = next();
        if open {
            row(&front(proxy, counts, proxy_id));
        }
    }
    for (_, backend) in table.places() {
        row(&front(&backend.service.name, &backend.front, next()));
    }
    for backend in &table.backends {
        let (proxy, proxy_id, servers) = (&*backend.service.name, next(), backend.servers());
        for entry in &servers.all {
            let fact = &entry.fact;
            row(&Row {
                proxy,
                name: &fact.name,
                kind: Kind::Server,
                status: if fact.draining { "MAINT" } else { "UP" },
                counts: &entry.server.counts,
                usable: usize::from(!fact.draining),
                backup: fact.lost,
                proxy_id,
                server_id: fact.id,
            });
        }
        let usable = servers.usable();
        row(&Row {
            proxy,
            name: "BACKEND",
            kind: Kind::Backend,
            status: if usable > 0 { "UP" } else { "DOWN" },
            counts: &backend.counts,
            usable,
            backup: false,
            proxy_id,
            server_id: 0,
        });
    }
}

fn line(out: &mut String, row: &Row<'_>) {
    for column in COLUMNS {
        out.push_str(&field(column, row));
        out.push(',');
    }
    out.push('\n');
}

fn field(column: &str, row: &Row<'_>) -> String {
    let counts = row.counts;
    let of = |counter| Counts::get(counter).to_string();
    let class = |at: usize| counts.classes.get(at).map(of).unwrap_or_default();
    let server = row.kind == Kind::Server;
    let front = row.kind == Kind::Frontend;
    match column {
        "pxname" => row.proxy.to_owned(),
        "svname" => row.name.to_owned(),
        "qcur" | "qmax" if !front => "0".to_owned(),
        "scur" => of(&counts.active),
        "smax" => of(&counts.most_active),
        "stot" => of(&counts.total),
        "bin" => of(&counts.received),
        "bout" => of(&counts.sent),
        "dreq" => of(&counts.denied),
        "dresp" | "ereq" => "0".to_owned(),
        "econ" if !front => of(&counts.connect_errors),
        "eresp" if !front => of(&counts.response_errors),
        "wretr" if !front => of(&counts.retries),
        "wredis" if !front => of(&counts.redispatches),
        "status" => row.status.to_owned(),
        "weight" if !front => if server { 1 } else { row.usable }.to_string(),
        "act" if !front => if row.backup { 0 } else { row.usable }.to_string(),
        "bck" if !front => u8::from(row.backup).to_string(),
        "pid" => "1".to_owned(),
        "iid" => row.proxy_id.to_string(),
        "sid" => row.server_id.to_string(),
        "lbtot" if !front => of(&counts.total),
        "type" => (row.kind as u8).to_string(),
        "hrsp_1xx" => class(1),
        "hrsp_2xx" => class(2),
        "hrsp_3xx" => class(3),
        "hrsp_4xx" => class(4),
        "hrsp_5xx" => class(5),
        "hrsp_other" => class(0),
        "req_tot" => of(&counts.total),
        "cli_abrt" => of(&counts.client_aborts),
        "srv_abrt" if !front => of(&counts.response_errors),
        "lastsess" if !front => since(Counts::get(&counts.last)),
        "rtime" | "ttime" if !front => counts.mean_milliseconds().to_string(),
        _ => String::new(),
    }
}

/// Seconds since then; -1 for never.
fn since(last: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    if last == 0 { "-1".to_owned() } else { now.saturating_sub(last).to_string() }
}
