//! Printing: what the code of each message calls, a field at a time.
//!
//! Every field begins with a comma. [`close`] turns the first of an object into its brace, so no field has to know
//! whether another came before it.
use super::{JsonEnum, decimal::write_double};
use crate::v1;
use base64::Engine;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What can be printed as a JSON value.
pub trait Put {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
}

impl Put for str {
    fn put(&self, out: &mut Vec<u8>) {
        write_string(out, self);
    }
}

impl Put for String {
    fn put(&self, out: &mut Vec<u8>) {
        write_string(out, self);
    }
}

impl Put for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        let start = out.len();
        out.resize(start + self.len().div_ceil(3) * 4, 0);
        let space = out.get_mut(start..).unwrap_or_default();
        let written = base64::engine::general_purpose::STANDARD.encode_slice(self, space);
        // The space is exact; were it not, what is there is still no invalid JSON.
        out.truncate(start + written.unwrap_or(0));
        out.push(b'"');
    }
}

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Put for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        write_double(out, *self);
    }
}

macro_rules! put_integer {
    ($($integer:ty)*) => {$(
        impl Put for $integer {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }
        }
    )*};
}
put_integer!(i32 u32 i64 u64);

impl<T: Put> Put for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a string in quotes, escaping what JSON must and nothing more.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    // No early exit, so that the loop is a few wide comparisons.
    let special = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
    if bytes.iter().fold(false, |found, byte| found | special(byte)) {
        bytes.iter().for_each(|byte| write_escaped(out, *byte));
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0..0x20 => {
            let digit = |at: u8| HEX.get(usize::from(at)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
        _ => return out.push(byte),
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Ends the object whose fields began at `start`.
pub(super) fn close(out: &mut Vec<u8>, start: usize) {
    match out.get_mut(start) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}

/// A field that is there.
pub(super) fn required<T: Put + ?Sized>(out: &mut Vec<u8>, key: &[u8], value: &T) {
    out.extend_from_slice(key);
    value.put(out);
}

/// A field that may be there.
pub(super) fn optional<T: Put>(out: &mut Vec<u8>, key: &[u8], value: &Option<T>) {
    if let Some(value) = value {
        required(out, key, value);
    }
}

/// A field without a presence of its own.
pub(super) fn nonzero<T: Put + Default + PartialEq>(out: &mut Vec<u8>, key: &[u8], value: &T) {
    if *value != T::default() {
        required(out, key, value);
    }
}

/// A list, left out when it is empty.
pub(super) fn repeated<T: Put>(out: &mut Vec<u8>, key: &[u8], values: &[T]) {
    if !values.is_empty() {
        list(out, key, values);
    }
}

/// A list, empty or not.
pub(super) fn list<T: Put>(out: &mut Vec<u8>, key: &[u8], values: &[T]) {
    out.extend_from_slice(key);
    let start = out.len();
    for value in values {
        out.push(b',');
        value.put(out);
    }
    close_list(out, start);
}

fn close_list(out: &mut Vec<u8>, start: usize) {
    match out.get_mut(start) {
        Some(comma) => *comma = b'[',
        None => out.push(b'['),
    }
    out.push(b']');
}

/// A map, left out when it is empty.
pub(super) fn map<V: Put>(out: &mut Vec<u8>, key: &[u8], map: &BTreeMap<String, V>) {
    if map.is_empty() {
        return;
    }
    out.extend_from_slice(key);
    let start = out.len();
    for (key, value) in map {
        out.push(b',');
        write_string(out, key);
        out.push(b':');
        value.put(out);
    }
    close(out, start);
}

/// An agent as the operator API shows it: with the field that v1 does not have.
pub(super) fn agent_info(out: &mut Vec<u8>, key: &[u8], agent: &v1::AgentInfo) {
    required(out, key, agent);
    if let Some(checkpoint) = &agent.checkpoint {
        out.pop();
        required(out, b",\"checkpoint\":", checkpoint);
        out.push(b'}');
    }
}

/// An enum that is there. A number without a name is one that a newer peer sent: not known here, not printed.
pub(super) fn required_enum<E: JsonEnum>(out: &mut Vec<u8>, key: &[u8], value: &i32) {
    if let Some(name) = E::name_of(*value) {
        required(out, key, name);
    }
}

/// An enum that may be there.
pub(super) fn optional_enum<E: JsonEnum>(out: &mut Vec<u8>, key: &[u8], value: &Option<i32>) {
    if let Some(value) = value {
        required_enum::<E>(out, key, value);
    }
}

/// Enums, left out when there is none.
pub(super) fn repeated_enum<E: JsonEnum>(out: &mut Vec<u8>, key: &[u8], values: &[i32]) {
    if values.is_empty() {
        return;
    }
    out.extend_from_slice(key);
    let start = out.len();
    for name in values.iter().filter_map(|value| E::name_of(*value)) {
        out.push(b',');
        write_string(out, name);
    }
    close_list(out, start);
}
