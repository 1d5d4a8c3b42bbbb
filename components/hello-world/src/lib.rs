//! A small web service: the first package that anybody installs.
//!
//! It is not: part of a cluster; it runs as an ordinary task.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
