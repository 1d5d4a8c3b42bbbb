//! Everything at once, written in pieces: a large cluster has millions of records.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use cluster_events::picture::Id;
use http::StatusCode;
use http_kit::{Body, Response, respond};
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Shared;
use crate::config::Config;
use crate::feed::Everything;
use crate::names::{Placed, Settings};
use crate::record::Data;
use crate::zone::Zones;

/// Pieces that wait for whoever reads them.
const WAITING: usize = 8;
const PIECE: usize = 64 * 1024;

/// A record as lists have it.
#[derive(Serialize)]
struct Record<'r> {
    name: &'r str,
    host: &'r str,
    rtype: &'static str,
}

#[derive(Serialize)]
struct TaskRecords<'t> {
    name: &'t str,
    id: &'t str,
    records: Vec<Value>,
}

/// Writes to whoever reads, who may leave at any time.
struct Out {
    held: Vec<u8>,
    to: mpsc::Sender<Bytes>,
    is_over: bool,
}

// === impl Out ===

impl Out {
    fn put(&mut self, text: &str) {
        self.held.extend_from_slice(text.as_bytes());
        if self.held.len() >= PIECE {
            self.flush();
        }
    }

    fn value(&mut self, value: &impl Serialize) {
        // Nothing that is written here can fail to be written to memory.
        if serde_json::to_writer(&mut self.held, value).is_ok() && self.held.len() >= PIECE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let piece = Bytes::from(std::mem::take(&mut self.held));
        if !self.is_over && !piece.is_empty() {
            self.is_over = self.to.blocking_send(piece).is_err();
        }
    }
}

// === impl Shared ===

impl Shared {
    pub(super) async fn records(&self) -> Response {
        let zones = Arc::clone(&self.zones);
        self.dump(move |out| records(&zones, out)).await
    }

    pub(super) async fn axfr(&self) -> Response {
        let (zones, config, serial) = (Arc::clone(&self.zones), self.config.clone(), self.serial());
        self.dump(move |out| axfr(&zones, &config, serial, out)).await
    }

    pub(super) async fn enumerate(&self) -> Response {
        let Some(everything) = self.desk.everything().await else {
            return respond::status(StatusCode::SERVICE_UNAVAILABLE);
        };
        // Where masters are and how services are weighted is in no task's record.
        let settings = self.config.settings(Vec::new(), Vec::new());
        self.dump(move |out| enumerate(&settings, everything, out)).await
    }

    async fn dump(&self, write: impl FnOnce(&mut Out) + Send + 'static) -> Response {
        let Ok(place) = Arc::clone(&self.dumps).acquire_owned().await else {
            return respond::status(StatusCode::SERVICE_UNAVAILABLE);
        };
        let (to, body) = Body::channel(WAITING);
        // Ends when all is written or nobody reads any more.
        tokio::task::spawn_blocking(move || {
            let mut out = Out { held: Vec::with_capacity(PIECE), to, is_over: false };
            write(&mut out);
            out.flush();
            drop(place);
        });
        respond::json(body)
    }
}

fn records(zones: &Zones, out: &mut Out) {
    out.put("[");
    let mut is_first = true;
    zones.for_each(|name, all| {
        if out.is_over {
            return;
        }
        for data in &all {
            let Some((rtype, host)) = shown(data, "") else { continue };
            out.put(if std::mem::take(&mut is_first) { "" } else { ",\n" });
            out.value(&Record { name, host: &host, rtype });
        }
    });
    out.put("]");
}

fn axfr(zones: &Zones, config: &Config, serial: u32, out: &mut Out) {
    let head = json!({
        "TTL": config.ttl,
        "Serial": serial,
        "RefreshSeconds": 0,
        "Mname": format!("{}.", config.soa_mname),
        "Rname": format!("{}.", config.soa_rname),
        "Domain": config.domain,
    });
    let head = head.to_string();
    out.put(head.trim_end_matches('}'));
    out.put(",\"Records\":{");
    let below = format!(".{}", config.domain);
    for (at, (kind, key)) in [("A", "As"), ("AAAA", "AAAAs"), ("SRV", "SRVs")].iter().enumerate() {
        out.put(if at == 0 { "\"" } else { ",\"" });
        out.put(key);
        out.put("\":{");
        let mut is_first = true;
        zones.for_each(|name, all| {
            if out.is_over || !name.ends_with(&below) {
                return;
            }
            let shown = all.iter().filter_map(|data| shown(data, "."));
            let hosts: Vec<String> =
                shown.filter(|(rtype, _)| rtype == kind).map(|(_, host)| host).collect();
            if !hosts.is_empty() {
                out.put(if std::mem::take(&mut is_first) { "" } else { "," });
                out.value(&format!("{name}."));
                out.put(":");
                out.value(&hosts);
            }
        });
        out.put("}");
    }
    out.put("}}");
}

fn enumerate(settings: &Settings, (frameworks, tasks): Everything, out: &mut Out) {
    let mut by_framework: BTreeMap<Id, Vec<Placed>> = BTreeMap::new();
    for task in tasks {
        by_framework.entry(task.framework.id.clone()).or_default().push(task);
    }
    // A record that several tasks hold is listed with the first of them only.
    let (hasher, mut seen) = (RandomState::new(), FxHashSet::default());
    let mut is_new = |name: &str, host: &str| seen.insert(hasher.hash_one((name, host)));
    out.put("{\"frameworks\":[");
    for (at, framework) in frameworks.iter().enumerate() {
        out.put(if at == 0 { "{\"tasks\":[" } else { ",{\"tasks\":[" });
        let tasks = by_framework.remove(&framework.id).unwrap_or_default();
        for (at, placed) in tasks.iter().enumerate() {
            if out.is_over {
                return;
            }
            out.put(if at == 0 { "" } else { "," });
            let records = task_records(settings, placed, &mut is_new);
            out.value(&TaskRecords { name: &placed.task.name, id: &placed.task.id, records });
        }
        out.put("],\"name\":");
        out.value(&&*framework.name);
        out.put("}");
    }
    out.put("]}");
}

fn task_records(
    settings: &Settings,
    placed: &Placed,
    is_new: &mut impl FnMut(&str, &str) -> bool,
) -> Vec<Value> {
    let mut records = Vec::new();
    placed.mesos_records(settings, &mut |name, raw| {
        let Some((rtype, host)) = shown(&raw.data(|name| name.into()), ".") else { return };
        let name = format!("{name}.");
        if crate::names::labels::is_name(name.trim_end_matches('.')) && is_new(&name, &host) {
            records.push(json!({"name": name, "host": host, "rtype": rtype}));
        }
    });
    records
}

/// What kind of record it is, and what it says; `end` follows names.
fn shown(data: &Data, end: &str) -> Option<(&'static str, String)> {
    match data {
        Data::A(ip) => Some(("A", ip.to_string())),
        Data::Aaaa(ip) => Some(("AAAA", ip.to_string())),
        Data::Srv { port, target, .. } => Some(("SRV", format!("{target}{end}:{port}"))),
        Data::Ns(_) | Data::Txt(_) => None,
    }
}

pub(super) fn address(data: &Data) -> Option<String> {
    match data {
        Data::A(ip) => Some(ip.to_string()),
        Data::Aaaa(ip) => Some(ip.to_string()),
        _ => None,
    }
}
