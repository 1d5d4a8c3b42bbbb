//! The v0 protocol, by peers of the tests' own, compared step by step with the
//! traffic of the original.

mod agent;
mod framework;
mod master;

use mesos_messages::json::JsonMessage;
use serde_json::Value;

use crate::support::golden::{self, Captured};
use crate::support::libprocess::Arrived;
use crate::support::shape::{self, Allowed};
use crate::support::textpb;

/// A message from its JSON form.
fn message<M: JsonMessage>(value: &Value) -> M {
    M::from_json(value).unwrap_or_else(|error| panic!("{error:?} in {value:#}"))
}

fn as_json(message: &impl JsonMessage) -> Value {
    serde_json::from_slice(&message.to_json()).expect("JSON")
}

/// Fields that our JSON prints with their defaults, while a capture shows what
/// was on the wire. Whether they were sent makes no difference to a receiver.
const DEFAULTS: [&str; 6] = ["role", "shell", "failover_timeout", "checkpoint", "port", "protocol"];

/// Fields of v0 that the JSON form of v1 does not show; tests read them by name.
const NOT_IN_V1: [Allowed; 2] = [
    Allowed { path: ".slave.checkpoint", why: "v1 has no such field" },
    Allowed { path: ".slave_info.checkpoint", why: "v1 has no such field" },
];

/// Compares a message that arrived here with the first one of its name that was
/// captured, on its way to the same kind of process.
fn compare<M: JsonMessage>(arrived: &Arrived, file: &str, to: &str, allowed: &[Allowed]) {
    if golden::folder().is_none() {
        return;
    }
    let captured = golden::capture(file);
    let same = |c: &&Captured| c.name() == arrived.name && c.head[0].contains(to);
    let theirs = captured
        .iter()
        .find(same)
        .unwrap_or_else(|| panic!("{} to {to} is not in {file}", arrived.name));
    compare_heads(arrived, theirs);
    let ours = renamed(as_json(&arrived.decode::<M>()));
    let recorded = renamed(textpb::parse(&theirs.text));
    let allowed = [allowed, &NOT_IN_V1].concat();
    let differences = shape::message_differences(&recorded, &ours, &allowed);
    let (too_much, other): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|line| line.ends_with("is too much"));
    let is_default = |line: &&String| {
        let path = line.split(' ').next().unwrap_or_default();
        path.rsplit('.').next().is_some_and(|name| DEFAULTS.contains(&name))
    };
    let remaining: Vec<_> =
        too_much.iter().filter(|line| !is_default(line)).chain(&other).collect();
    assert!(
        remaining.is_empty(),
        "{} to {to}: {remaining:#?}\nours: {ours:#}\ntheirs: {recorded:#}",
        arrived.name
    );
}

/// Headers: the same ones in the same order; the parts that name processes differ.
fn compare_heads(ours: &Arrived, theirs: &Captured) {
    let names = |head: &[String]| -> Vec<String> {
        let headers = head.iter().skip(1).filter_map(|line| line.split_once(':'));
        headers.map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(names(&ours.head), names(&theirs.head), "headers of {}", ours.name);
    assert!(ours.head[0].starts_with("POST /") && ours.head[0].ends_with(" HTTP/1.1"));
    for (line, start) in [(1, "User-Agent: libprocess/"), (2, "Libprocess-From: ")] {
        assert!(ours.head[line].starts_with(start), "{:?}", ours.head);
    }
    assert!(ours.head[1].ends_with(&ours.from), "{:?}", ours.head);
}

/// Captures carry v0's names.
fn renamed(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed_fields = fields.into_iter().map(|(name, inner)| {
                let name = match name.as_str() {
                    "slave_id" => "agent_id".to_owned(),
                    _ => name,
                };
                (name, renamed(inner))
            });
            Value::Object(renamed_fields.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(renamed).collect()),
        other => other,
    }
}
