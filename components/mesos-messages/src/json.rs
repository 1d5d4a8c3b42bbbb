//! Mesos-flavoured JSON for every message, both ways.
//!
//! - Field names as in the protobuf, 64-bit integers as numbers (numeric strings are taken too), bytes as base64,
//!   enums by name, maps as objects, `null` and unknown fields ignored.
//! - An optional field with an explicit default is printed even when unset, unless it is deprecated.
//! - Messages go straight between bytes and their types: no tree of values in between.
//! - Errors read as the original's, position included.
//!
//! The code for each message is written by the build script; what it calls stands in `write` and `read`.
#[cfg(test)]
mod cross_check;
mod decimal;
mod lexer;
mod read;
#[cfg(test)]
mod rules;
mod scalar;
mod write;

/// The code for each message, written by the build script.
#[allow(clippy::all)]
mod generated {
    use super::{JsonEnum, JsonMessage, read as r, write as w};
    include!(concat!(env!("OUT_DIR"), "/json.rs"));
}

pub use decimal::write_double;
pub use write::write_string;

use serde_json::Value;

/// A message with its JSON form.
pub trait JsonMessage:
    prost::Message + Clone + Default + PartialEq + std::fmt::Debug + read::Fields + write::Put
{
    /// The full name in protobuf: `mesos.v1.TaskInfo`.
    const NAME: &'static str;

    /// Where the message stands in the table of required fields.
    #[doc(hidden)]
    const DESCRIPTOR: usize;

    /// Appends the message.
    fn write_json(&self, out: &mut Vec<u8>) {
        self.put(out);
    }

    /// The message on its own.
    fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.put(&mut out);
        out
    }

    /// The message as text.
    fn to_json_string(&self) -> String {
        String::from_utf8(self.to_json()).unwrap_or_default()
    }

    /// Reads a message out of text. The fast way: nothing is built but the message.
    fn from_json_slice(text: &[u8]) -> Result<Self, JsonError> {
        let mut message = Self::default();
        read::message(text, &mut message)?;
        Ok(message)
    }

    /// Reads a message out of a tree of values.
    fn from_json(value: &Value) -> Result<Self, JsonError> {
        Self::from_json_slice(value.to_string().as_bytes())
    }

    /// Reads an array of messages.
    fn list_from_json_slice(text: &[u8]) -> Result<Vec<Self>, JsonError> {
        let mut list = Vec::new();
        read::list(text, &mut list)?;
        Ok(list)
    }

    /// Appends an array of messages.
    fn write_json_list(list: &[Self], out: &mut Vec<u8>) {
        write::list(out, b"", list);
    }
}

/// An enum, which JSON has by name.
#[doc(hidden)]
pub trait JsonEnum {
    fn number_of(name: &str) -> Option<i32>;
    fn name_of(number: i32) -> Option<&'static str>;
}

/// Why JSON was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// It is no JSON.
    #[error("{0}")]
    Syntax(String),
    /// It is JSON, but not of this message.
    #[error("{0}")]
    Mismatch(String),
}
