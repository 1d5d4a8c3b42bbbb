//! What a real Mesos sent and was sent, through our types and back.
//!
//! The recordings lie outside the repository: where `DAIS_GOLDEN` says, or beside the workspace. Without them the
//! tests pass over.
#![allow(clippy::expect_used, clippy::panic)]

#[path = "recordings/errors.rs"]
mod errors;
#[path = "recordings/files.rs"]
mod files;
#[path = "recordings/messages.rs"]
mod messages;
#[path = "recordings/streams.rs"]
mod streams;
