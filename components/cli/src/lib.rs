//! The client commands: what a person or a script types against a running cluster.
//!
//! It is not: a component; everything goes over the public HTTP APIs.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
