//! The orchestrator: apps and deployments in, launches and kills out.
//!
//! It is not: an HTTP API, a scheduler client or a store. It is a state machine without sockets,
//! disks, clocks or randomness; the `marathon` crate is its shell.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
