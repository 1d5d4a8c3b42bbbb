//! What the records look like to clients: the classic JSON, the JSON and the protobuf of v1.
pub(crate) mod agent;
pub(crate) mod framework;
pub(crate) mod roles;
pub(crate) mod summary;
pub(crate) mod task;
pub(crate) mod task_v1;

use http_kit::json;
use mesos_messages::v1;

use super::render::text::{double, quoted};

/// Nanoseconds of a time in seconds.
pub(crate) fn time_info(seconds: f64) -> v1::TimeInfo {
    v1::TimeInfo { nanoseconds: (seconds * 1e9) as i64 }
}

/// `,"name":` before a value.
pub(crate) fn member(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

pub(crate) fn member_string(out: &mut Vec<u8>, name: &str, value: &str) {
    member(out, name);
    quoted(out, value);
}

pub(crate) fn member_double(out: &mut Vec<u8>, name: &str, value: f64) {
    member(out, name);
    double(out, value);
}

pub(crate) fn member_bool(out: &mut Vec<u8>, name: &str, value: bool) {
    member(out, name);
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// `[{"key":..,"value":..}]`, the classic form of labels.
pub(crate) fn write_labels(out: &mut Vec<u8>, labels: &v1::Labels) {
    json::list(out, &labels.labels, |out, label| {
        out.extend_from_slice(b"{\"key\":");
        quoted(out, &label.key);
        if let Some(value) = &label.value {
            member_string(out, "value", value);
        }
        out.push(b'}');
    });
}
