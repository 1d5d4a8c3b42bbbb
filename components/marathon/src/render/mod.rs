//! The JSON of everything that can be read, with exactly the original's fields.
//!
//! It is written by hand where there is much of it: tasks, counts, lists. Large answers are made
//! piece by piece, see [`pieces`].

pub(crate) mod app;
pub(crate) mod deployment;
pub(crate) mod event;
pub(crate) mod group;
pub(crate) mod metrics;
pub(crate) mod pieces;
pub(crate) mod queue;
pub(crate) mod stats;
pub(crate) mod task;
#[cfg(test)]
mod tests;

use http_kit::json;
use marathon_model::Timestamp;
use serde::Serialize;

/// Appends a moment.
pub(crate) fn moment(out: &mut Vec<u8>, at: Timestamp) {
    use std::io::Write;
    let _ = write!(out, "\"{at}\"");
}

/// Appends anything that has a JSON of its own.
pub(crate) fn value(out: &mut Vec<u8>, value: &impl Serialize) {
    // Writing to memory does not fail, and there are no maps with other keys than text.
    let _ = serde_json::to_writer(out, value);
}

/// A member that is there only with a value.
pub(crate) fn optional(object: &mut json::Object<'_>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        object.string(name, text);
    }
}

/// A moment that is there only when it has come.
pub(crate) fn optional_moment(object: &mut json::Object<'_>, name: &str, at: Option<Timestamp>) {
    if let Some(at) = at {
        moment(object.key(name), at);
    }
}
