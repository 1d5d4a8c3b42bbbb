//! Bodies of answers and calls.
use crate::files::{Exchange, matching, read};
use mesos_messages::content::{ContentType, decode};
use mesos_messages::json::JsonMessage;
use mesos_messages::v1::{agent, executor, master, scheduler};
use serde_json::Value;

fn value(text: &[u8]) -> Value {
    serde_json::from_slice(text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

/// Equality, but for the last digit of a double, which `Value` is not exact about.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .all(|(key, value)| theirs.get(key).is_some_and(|other| same(value, other)))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Number(ours), Value::Number(theirs)) if ours.is_f64() && theirs.is_f64() => {
            let (ours, theirs) =
                (ours.as_f64().unwrap_or(f64::NAN), theirs.as_f64().unwrap_or(f64::NAN));
            (ours - theirs).abs() <= ours.abs() * 4.0 * f64::EPSILON
        }
        _ => ours == theirs,
    }
}

/// Reads a body and prints it again: the same JSON must come out, and the same message by way of protobuf.
pub(crate) fn round_trip<M: JsonMessage>(name: &str, text: &[u8]) -> M {
    let message: M =
        decode(ContentType::Json, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let printed = message.to_json();
    assert!(same(&value(&printed), &value(text)), "{name}:\n{}", message.to_json_string());
    let bytes = message.encode_to_vec();
    let again: M =
        decode(ContentType::Protobuf, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(again, message, "{name} by way of protobuf");
    message
}

/// As [`round_trip`], to the byte.
pub(crate) fn same_text<M: JsonMessage>(name: &str, text: &[u8]) -> M {
    let message: M = round_trip(name, text);
    assert_eq!(message.to_json_string(), String::from_utf8_lossy(text), "{name}");
    message
}

/// Reads a call, which need not spell out its defaults: what we print of it must read the same.
fn call<M: JsonMessage>(name: &str, text: &[u8]) -> M {
    let message: M =
        decode(ContentType::Json, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let bytes = message.encode_to_vec();
    assert_eq!(decode(ContentType::Protobuf, &bytes).as_ref(), Ok(&message), "{name}");
    let printed: M = decode(ContentType::Json, &message.to_json())
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(printed.to_json(), message.to_json(), "{name}");
    message
}

#[test]
fn answers_of_the_master() {
    for (name, text) in matching("http_running", "master_v1_", ".json") {
        round_trip::<master::Response>(&name, &text);
    }
}

#[test]
fn answers_of_the_agent() {
    for (name, text) in matching("http_running", "agent_v1_", ".json") {
        round_trip::<agent::Response>(&name, &text);
    }
}

#[test]
fn the_two_forms_of_an_answer_say_the_same() {
    const SAME: &[&str] =
        &["FLAGS", "FRAMEWORKS", "HEALTH", "LIST_FILES", "MASTER", "QUOTA", "ROLES", "VERSION"];
    for (name, body) in matching("http_running", "master_v1_", "_protobuf.body") {
        let response: master::Response =
            decode(ContentType::Protobuf, &body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let what = name.trim_start_matches("master_v1_GET_").trim_start_matches("master_v1_");
        let what = what.trim_end_matches("_protobuf.body");
        let json = name.replace("_protobuf.body", ".json");
        if let (true, Some(text)) = (SAME.contains(&what), read(&format!("http_running/{json}"))) {
            assert!(same(&value(&response.to_json()), &value(&text)), "{name}");
        }
    }
}

#[test]
fn events_of_a_scheduler() {
    for line in read("v1_scheduler/events.jsonl").unwrap_or_default().split(|byte| *byte == b'\n') {
        if !line.is_empty() {
            same_text::<scheduler::Event>("events.jsonl", line);
        }
    }
}

#[test]
fn calls_of_a_scheduler() {
    for (name, text) in matching("v1_scheduler", "call_", ".http") {
        call::<scheduler::Call>(&name, &Exchange::new(&text).request);
    }
}

#[test]
fn operator_calls_that_write() {
    for (name, text) in matching("op_writes", "", ".http") {
        let exchange = Exchange::new(&text);
        let refused = exchange.response_head.starts_with("HTTP/1.1 400");
        if !exchange.request_head.starts_with("POST /api/v1 ") || refused {
            continue;
        }
        let json = exchange.response_head.contains("Content-Type: application/json");
        let answer = exchange.response.trim_ascii();
        if name.contains("_agent_") {
            call::<agent::Call>(&name, &exchange.request);
            json.then(|| round_trip::<agent::Response>(&name, answer));
        } else {
            call::<master::Call>(&name, &exchange.request);
            json.then(|| round_trip::<master::Response>(&name, answer));
        }
    }
}

#[test]
fn a_minimal_executor_call() {
    let text = br#"{"executor_id":{"value":"e"},"framework_id":{"value":"f"},"type":"SUBSCRIBE","subscribe":{}}"#;
    let call = call::<executor::Call>("subscribe", text);
    assert_eq!(call.r#type(), executor::call::Type::Subscribe);
}
