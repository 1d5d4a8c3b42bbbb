//! Whether a protobuf body has every required field of its message, at every depth.
//!
//! The decoder fills in missing required fields with defaults and says nothing; the original refuses such bodies.
//! So a body is walked a second time, along a table that the build script writes.
use crate::json::JsonMessage;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use std::fmt::Write;

struct Message {
    /// In the order of their declaration; the index is the bit.
    required: &'static [&'static str],
    /// Those of interest, by number.
    fields: &'static [Field],
}

struct Field {
    number: u32,
    name: &'static str,
    bit: Option<u32>,
    shape: Shape,
}

/// What to do with a field. The numbers are places in the table.
enum Shape {
    Single(usize),
    Repeated(usize),
    Map(usize),
    /// A number that names nothing counts as absent.
    Enum(fn(i32) -> bool),
    Other,
}

static MESSAGES: &[Message] = &include!(concat!(env!("OUT_DIR"), "/required.rs"));

/// The decoder goes no deeper either.
const MAX_DEPTH: usize = 100;
/// Missing fields beyond this many are not named.
const MAX_MISSING: usize = 1000;

/// Names the required fields that a body of message `M` lacks, as the original does: `subscribe.framework_info.user`.
///
/// Takes a body that decodes; of another it looks at what comes before the fault.
pub fn missing_required<M: JsonMessage>(body: &[u8]) -> Vec<String> {
    if is_complete(M::DESCRIPTOR, body, MAX_DEPTH) {
        return Vec::new();
    }
    let mut missing = Vec::new();
    name_missing(M::DESCRIPTOR, body, &mut String::new(), MAX_DEPTH, &mut missing);
    missing
}

/// One field of a body.
enum Content<'a> {
    Bytes(&'a [u8]),
    Varint(u64),
    Other,
}

fn next_field<'a>(body: &mut &'a [u8]) -> Option<(u32, Content<'a>)> {
    if body.is_empty() {
        return None;
    }
    let (number, wire_type) = decode_key(body).ok()?;
    let content = match wire_type {
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(body).ok()?).ok()?;
            let content = body.get(..length)?;
            body.advance(length);
            Content::Bytes(content)
        }
        WireType::Varint => Content::Varint(decode_varint(body).ok()?),
        _ => {
            skip_field(wire_type, number, body, DecodeContext::default()).ok()?;
            Content::Other
        }
    };
    Some((number, content))
}

/// Whether a field is there, as far as this occurrence tells.
fn counts(shape: &Shape, content: &Content<'_>) -> bool {
    match (shape, content) {
        (Shape::Enum(known), Content::Varint(value)) => known(*value as i32),
        _ => true,
    }
}

/// The quick answer. A message in pieces that are complete only together is left to [`name_missing`].
fn is_complete(message: usize, mut body: &[u8], depth: usize) -> bool {
    let Some(message) = MESSAGES.get(message) else { return true };
    let Some(depth) = depth.checked_sub(1) else { return true };
    let mut seen = 0u64;
    while let Some((number, content)) = next_field(&mut body) {
        let Some(field) = message.fields.iter().find(|field| field.number == number) else {
            continue;
        };
        if let Some(bit) = field.bit.filter(|_| counts(&field.shape, &content)) {
            seen |= 1 << bit;
        }
        let complete = match (&field.shape, content) {
            (Shape::Single(inner) | Shape::Repeated(inner), Content::Bytes(body)) => {
                is_complete(*inner, body, depth)
            }
            (Shape::Map(inner), Content::Bytes(entry)) => {
                map_value(entry).is_none_or(|value| is_complete(*inner, &value, depth))
            }
            _ => true,
        };
        if !complete {
            return false;
        }
    }
    seen.count_ones() as usize == message.required.len()
}

/// The value of a map's entry; a second one is merged into the first, which in protobuf is to append it.
///
/// None at all is a default value, as encoders of our kind leave it out; it is not held to be incomplete.
fn map_value(mut entry: &[u8]) -> Option<Vec<u8>> {
    let mut value = None;
    while let Some((number, content)) = next_field(&mut entry) {
        if let (2, Content::Bytes(content)) = (number, content) {
            value.get_or_insert_with(Vec::new).extend_from_slice(content);
        }
    }
    value
}

/// The exact answer: the message's own fields first, then those within it by number and index.
fn name_missing(
    message: usize,
    body: &[u8],
    path: &mut String,
    depth: usize,
    missing: &mut Vec<String>,
) {
    let Some(message) = MESSAGES.get(message) else { return };
    let Some(depth) = depth.checked_sub(1) else { return };
    let mut seen = 0u64;
    let mut inner: Vec<(&Field, Vec<Vec<u8>>)> = Vec::new();
    let mut rest = body;
    while let Some((number, content)) = next_field(&mut rest) {
        let Some(field) = message.fields.iter().find(|field| field.number == number) else {
            continue;
        };
        if let Some(bit) = field.bit.filter(|_| counts(&field.shape, &content)) {
            seen |= 1 << bit;
        }
        let Content::Bytes(content) = content else { continue };
        let content = match field.shape {
            Shape::Enum(_) | Shape::Other => continue,
            Shape::Map(_) => match map_value(content) {
                Some(value) => value,
                None => continue,
            },
            Shape::Single(_) | Shape::Repeated(_) => content.to_vec(),
        };
        match inner.iter_mut().find(|(other, _)| other.number == number) {
            None => inner.push((field, vec![content])),
            Some((_, bodies)) => match (&field.shape, bodies.first_mut()) {
                (Shape::Single(_), Some(first)) => first.extend_from_slice(&content),
                _ => bodies.push(content),
            },
        }
    }
    for (bit, name) in message.required.iter().enumerate() {
        if seen & (1 << bit) == 0 && missing.len() < MAX_MISSING {
            missing.push(format!("{path}{name}"));
        }
    }
    inner.sort_by_key(|(field, _)| field.number);
    for (field, bodies) in inner {
        let length = path.len();
        for (index, body) in bodies.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = match field.shape {
                Shape::Repeated(_) => write!(path, "{}[{index}].", field.name),
                Shape::Map(_) => write!(path, "{}[{index}].value.", field.name),
                _ => write!(path, "{}.", field.name),
            };
            if let Shape::Single(inner) | Shape::Repeated(inner) | Shape::Map(inner) = field.shape {
                name_missing(inner, body, path, depth, missing);
            }
            path.truncate(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;
    use prost::Message;

    fn check<M: JsonMessage>(body: &[u8], expected: &[&str]) {
        assert_eq!(missing_required::<M>(body), expected, "{body:?}");
    }

    #[test]
    fn names_what_is_missing() {
        check::<v1::executor::Call>(b"", &["executor_id", "framework_id"]);
        check::<v1::scheduler::Call>(b"", &[]);
        // subscribe { framework_info { name: "x" } }
        check::<v1::scheduler::Call>(
            b"\x1a\x05\x0a\x03\x12\x01x",
            &["subscribe.framework_info.user"],
        );
        // kill { task_id {} }
        check::<v1::scheduler::Call>(b"\x32\x02\x0a\x00", &["kill.task_id.value"]);
        // decline { offer_ids { value: "a" } offer_ids {} }
        check::<v1::scheduler::Call>(
            b"\x2a\x07\x0a\x03\x0a\x01a\x0a\x00",
            &["decline.offer_ids[1].value"],
        );
    }

    #[test]
    fn pieces_of_one_message_count_together() {
        // framework_info { name: "x" } framework_info { user: "y" }
        let body = b"\x1a\x0a\x0a\x03\x12\x01x\x0a\x03\x0a\x01y";
        check::<v1::scheduler::Call>(body, &[]);
        assert!(v1::scheduler::Call::decode(&body[..]).is_ok());
    }

    #[test]
    fn an_unknown_number_is_no_enum() {
        let task = |state| {
            v1::TaskStatus {
                task_id: v1::TaskId { value: "t".into() },
                state,
                ..Default::default()
            }
            .encode_to_vec()
        };
        check::<v1::TaskStatus>(&task(v1::TaskState::TaskRunning as i32), &[]);
        check::<v1::TaskStatus>(&task(4711), &["state"]);
    }

    #[test]
    fn values_of_maps_are_looked_into() {
        // limits { key: "cpus" value {} }
        check::<v1::TaskInfo>(
            b"\x0a\x01n\x12\x03\x0a\x01t\x1a\x03\x0a\x01a\x7a\x08\x0a\x04cpus\x12\x00",
            &["limits[0].value.value"],
        );
    }

    #[test]
    fn depth_is_bounded() {
        let mut body = Vec::new();
        for _ in 0..2000 {
            let mut outer = vec![0x12];
            prost::encoding::encode_varint(body.len() as u64, &mut outer);
            outer.extend_from_slice(&body);
            body = outer;
        }
        assert!(missing_required::<v1::ContainerId>(&body).len() <= MAX_DEPTH);
        assert!(v1::ContainerId::decode(body.as_slice()).is_err());
    }
}
