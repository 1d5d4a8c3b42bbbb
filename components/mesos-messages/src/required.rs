//! Looks at a protobuf body before it is decoded: whether it has every required field of its message, at every depth,
//! and how much memory it will take.
//!
//! The decoder fills in missing required fields with defaults and says nothing; the original refuses such bodies.
//! And an empty message takes two bytes of a body but may take two thousand in memory. So a body is walked along a
//! table that the build script writes.
use crate::json::JsonMessage;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use std::fmt::Write;

struct Message {
    /// What one takes in a list.
    size: usize,
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

impl Message {
    fn field(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }
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

/// How much memory a message may take that comes in so many bytes.
///
/// What real calls take is a few times their length.
pub(crate) fn budget(body: usize) -> usize {
    const FREE: usize = 32 << 20;
    const RATIO: usize = 16;
    body.saturating_mul(RATIO).saturating_add(FREE)
}

/// What a look at a body tells.
pub(crate) struct Survey {
    /// Nothing is missing. When false, [`missing_required`] has the last word.
    pub(crate) complete: bool,
    /// What the elements of lists will take, in bytes.
    pub(crate) size: usize,
}

/// Takes any bytes; of those that do not decode it looks at what comes before the fault.
pub(crate) fn survey<M: JsonMessage>(body: &[u8]) -> Survey {
    let mut survey = Survey { complete: true, size: 0 };
    look(M::DESCRIPTOR, body, MAX_DEPTH, &mut survey);
    survey
}

/// Names the required fields that a body of message `M` lacks, as the original does: `subscribe.framework_info.user`.
pub fn missing_required<M: JsonMessage>(body: &[u8]) -> Vec<String> {
    let mut missing = Vec::new();
    if !survey::<M>(body).complete {
        name_missing(M::DESCRIPTOR, body, &mut String::new(), MAX_DEPTH, &mut missing);
    }
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
fn look(message: usize, mut body: &[u8], depth: usize, survey: &mut Survey) {
    let Some(message) = MESSAGES.get(message) else { return };
    let Some(depth) = depth.checked_sub(1) else { return };
    let mut seen = 0u64;
    while let Some((number, content)) = next_field(&mut body) {
        let Some(field) = message.field(number) else { continue };
        if let Some(bit) = field.bit.filter(|_| counts(&field.shape, &content)) {
            seen |= 1 << bit;
        }
        let Content::Bytes(content) = content else { continue };
        match field.shape {
            Shape::Single(inner) => look(inner, content, depth, survey),
            Shape::Repeated(inner) => {
                survey.size =
                    survey.size.saturating_add(MESSAGES.get(inner).map_or(0, |inner| inner.size));
                look(inner, content, depth, survey);
            }
            Shape::Map(inner) => {
                if let Some(value) = map_value(content) {
                    look(inner, &value, depth, survey);
                }
            }
            Shape::Enum(_) | Shape::Other => {}
        }
    }
    survey.complete &= seen.count_ones() as usize == message.required.len();
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
    let mut inner = 0u64;
    let mut rest = body;
    while let Some((number, content)) = next_field(&mut rest) {
        let field = message.fields.iter().enumerate().find(|(_, field)| field.number == number);
        let Some((at, field)) = field else { continue };
        inner |= 1 << (at % 64);
        if let Some(bit) = field.bit.filter(|_| counts(&field.shape, &content)) {
            seen |= 1 << bit;
        }
    }
    for (bit, name) in message.required.iter().enumerate() {
        if seen & (1 << bit) == 0 && missing.len() < MAX_MISSING {
            missing.push(format!("{path}{name}"));
        }
    }
    for (at, field) in message.fields.iter().enumerate() {
        if inner & 1 << (at % 64) != 0 {
            name_missing_in(field, body, path, depth, missing);
        }
    }
}

/// As [`name_missing`], for all that a body has of one field.
fn name_missing_in(
    field: &Field,
    body: &[u8],
    path: &mut String,
    depth: usize,
    missing: &mut Vec<String>,
) {
    let length = path.len();
    let mut rest = body;
    let mut contents = std::iter::from_fn(|| next_field(&mut rest)).filter_map(
        |(number, content)| match content {
            Content::Bytes(content) if number == field.number => Some(content),
            _ => None,
        },
    );
    // Writing to a string cannot fail.
    match field.shape {
        Shape::Enum(_) | Shape::Other => {}
        Shape::Single(inner) => {
            let _ = write!(path, "{}.", field.name);
            name_missing(inner, &contents.collect::<Vec<_>>().concat(), path, depth, missing);
        }
        Shape::Repeated(inner) => {
            for (index, content) in contents.enumerate() {
                if missing.len() >= MAX_MISSING {
                    break;
                }
                let _ = write!(path, "{}[{index}].", field.name);
                name_missing(inner, content, path, depth, missing);
                path.truncate(length);
            }
        }
        Shape::Map(inner) => {
            for (index, value) in contents.by_ref().filter_map(map_value).enumerate() {
                let _ = write!(path, "{}[{index}].value.", field.name);
                name_missing(inner, &value, path, depth, missing);
                path.truncate(length);
            }
        }
    }
    path.truncate(length);
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
    fn many_empty_messages_are_weighed() {
        // accept { operations {} operations {} ... }
        let operations = b"\x12\x00".repeat(100);
        let mut body = b"\x22\xc8\x01".to_vec();
        body.extend(operations);
        let survey = survey::<v1::scheduler::Call>(&body);
        assert!(survey.complete);
        assert_eq!(survey.size, 100 * size_of::<v1::offer::Operation>());
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
