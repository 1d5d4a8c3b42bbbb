//! Recorded requests, sent to ours in the same situation, and compared: status,
//! headers, content type, shape of JSON, text of errors.

mod auth;
mod exceptions;
mod reads;
mod session;

use std::collections::BTreeMap;

use mesos_messages::json::JsonMessage;
use mesos_messages::v1;
use prost::Message;
use serde_json::Value;

use crate::support::golden::Exchange;
use crate::support::http::{self, Response};
use crate::support::shape::{self, Allowed};

/// Sends the recorded request to `address`, with recorded words replaced by ours.
fn replay(exchange: &Exchange, address: &str, replace: &[(&str, String)]) -> Response {
    let target = replaced(&exchange.target, replace);
    let body = match std::str::from_utf8(&exchange.body) {
        Ok(text) => replaced(text, replace).into_bytes(),
        Err(_) => exchange.body.clone(),
    };
    let headers: Vec<(&str, &str)> =
        exchange.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::send(address, &exchange.method, &target, &headers, &body)
}

fn replaced(text: &str, replace: &[(&str, String)]) -> String {
    replace.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// Every difference of our answer that no exception covers.
fn compare(exchange: &Exchange, ours: &Response) -> Vec<String> {
    let theirs = &exchange.answer;
    if ours.status != theirs.status {
        return vec![format!(
            "status {}, should be {}: {}",
            ours.status,
            theirs.status,
            ours.text()
        )];
    }
    let mut found = compare_headers(theirs, ours);
    found.extend(compare_bodies(exchange, ours));
    found
}

/// Headers whose values name a moment, a size or a place.
const VARYING: [&str; 4] = ["date", "content-length", "location", "mesos-stream-id"];

/// How a body and a connection end is the server's choice; the original does not
/// announce that it closes.
const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

fn compare_headers(theirs: &Response, ours: &Response) -> Vec<String> {
    let fields = |response: &Response| -> BTreeMap<String, String> {
        let fields = response.headers.iter().map(|(n, v)| (n.to_lowercase(), v.clone()));
        fields.filter(|(name, _)| !FRAMING.contains(&name.as_str())).collect()
    };
    let (theirs, ours) = (fields(theirs), fields(ours));
    let mut found = Vec::new();
    for (name, value) in &theirs {
        match ours.get(name) {
            None => found.push(format!("header {name} is missing")),
            Some(other) if other != value && !VARYING.contains(&name.as_str()) => {
                found.push(format!("header {name} is {other:?}, should be {value:?}"));
            }
            Some(_) => {}
        }
    }
    found.extend(
        ours.keys().filter(|n| !theirs.contains_key(*n)).map(|n| format!("header {n} is too much")),
    );
    found
}

fn compare_bodies(exchange: &Exchange, ours: &Response) -> Vec<String> {
    let theirs = &exchange.answer;
    let content = theirs.header("content-type").unwrap_or_default();
    let allowed = exceptions::allowed(&exchange.name);
    if content.starts_with("application/x-protobuf") {
        let both = (decoded(exchange, &theirs.body), decoded(exchange, &ours.body));
        let (Some(theirs), Some(ours)) = both else { return vec!["not the protobuf".to_owned()] };
        return shape::differences(&theirs, &ours, &allowed);
    }
    if theirs.header("content-encoding").is_some() || exchange.method == "HEAD" {
        return Vec::new();
    }
    if content.starts_with("application/json") {
        return match serde_json::from_slice::<Value>(&ours.body) {
            Ok(ours) => shape::differences(&neutral(theirs.json()), &neutral(ours), &allowed),
            Err(error) => vec![format!("not JSON: {error}: {}", ours.text())],
        };
    }
    let is_page = content.starts_with("text/html");
    if is_page || exceptions::any_text(&exchange.name) || theirs.body == ours.body {
        return Vec::new();
    }
    vec![format!("says {:?}, should be {:?}", ours.text(), theirs.text())]
}

/// Without the ids in names of fields: metrics and maps of frameworks have them.
fn neutral(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(n, v)| (without_ids(&n), neutral(v))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(neutral).collect()),
        other => other,
    }
}

fn without_ids(name: &str) -> String {
    const LENGTH: usize = 36;
    let is_id = |text: &str| {
        let dashes = text.match_indices('-').map(|(at, _)| at);
        dashes.eq([8, 13, 18, 23]) && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
    };
    let start = (0..name.len()).find(|&at| name.get(at..at + LENGTH).is_some_and(is_id));
    match start {
        Some(at) => format!("{}<id>{}", &name[..at], without_ids(&name[at + LENGTH..])),
        None => name.to_owned(),
    }
}

/// The JSON form of a protobuf answer of the operator APIs.
fn decoded(exchange: &Exchange, body: &[u8]) -> Option<Value> {
    let json = if exchange.to_agent {
        v1::agent::Response::decode(body).ok()?.to_json()
    } else {
        v1::master::Response::decode(body).ok()?.to_json()
    };
    serde_json::from_slice(&json).ok()
}

/// Shows all differences of many exchanges at once.
fn assert_none(differences: &BTreeMap<String, Vec<String>>) {
    let count: usize = differences.values().map(Vec::len).sum();
    let lines = differences
        .iter()
        .flat_map(|(name, found)| found.iter().take(12).map(move |line| format!("{name}: {line}")));
    assert_eq!(
        count,
        0,
        "{} exchanges differ:\n{}",
        differences.len(),
        lines.collect::<Vec<_>>().join("\n")
    );
}

/// The exceptions of one exchange, as the comparison of shapes wants them.
type Exceptions = Vec<Allowed>;
