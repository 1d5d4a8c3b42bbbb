//! `/v1/vips`: the list as dcos-net writes it.

use std::hash::{Hash, Hasher};
use std::net::Ipv4Addr;
use std::sync::PoisonError;

use bytes::Bytes;
use rustc_hash::FxHasher;
use serde::Serialize;

use super::Shared;
use crate::view::Snapshot;
use crate::vips::label::Protocol;
use crate::vips::name::ZONE;
use crate::wire::Entry;

/// The list of a version, which is asked for again and again.
#[derive(Debug)]
pub(crate) struct Answer {
    version: u64,
    body: Bytes,
    etag: String,
}

/// In the original's order.
#[derive(Serialize)]
struct Vip {
    backend: Vec<Backend>,
    protocol: Protocol,
    vip: String,
    /// Where it listens, if that is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    listening: Option<String>,
}

#[derive(Serialize)]
struct Backend {
    ip: Ipv4Addr,
    port: u16,
}

/// The list, and how its state is called.
pub(super) fn answer(shared: &Shared, snapshot: &Snapshot) -> (Bytes, String) {
    let mut kept = shared.answer.lock().unwrap_or_else(PoisonError::into_inner);
    let listens = shared.listening.is_some();
    if let Some(answer) = kept.as_ref().filter(|one| one.version == snapshot.version && !listens) {
        return (answer.body.clone(), answer.etag.clone());
    }
    let all: Vec<Vip> = snapshot.services.iter().map(|entry| vip(shared, entry)).collect();
    let body = Bytes::from(serde_json::to_vec(&all).unwrap_or_default());
    let mut hasher = FxHasher::default();
    body.hash(&mut hasher);
    // The same list has the same name, whoever tells it.
    let etag = format!("\"{:016x}-{:x}\"", hasher.finish(), body.len());
    *kept = Some(Answer { version: snapshot.version, body: body.clone(), etag: etag.clone() });
    (body, etag)
}

fn vip(shared: &Shared, entry: &Entry) -> Vip {
    let backend = entry.backends.iter().map(|one| Backend { ip: one.ip, port: one.port });
    let name = match entry.vip.parse::<Ipv4Addr>() {
        Ok(_) => format!("{}:{}", entry.vip, entry.port),
        Err(_) => format!("{}.{ZONE}:{}", entry.vip, entry.port),
    };
    let listening = shared.listening.as_ref().and_then(|listening| listening.get(entry.key()));
    Vip {
        backend: backend.collect(),
        protocol: entry.protocol,
        vip: name,
        listening: listening.map(|at| at.to_string()),
    }
}

/// Whether one of the states in `If-None-Match` is this one.
pub(super) fn matches(all: &str, etag: &str) -> bool {
    all.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}
