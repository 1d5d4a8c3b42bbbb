//! The gateway of a cluster: the routes of Admin Router, who may use them, and where they lead.
//!
//! It is not: a proxying engine (that is `proxy`), nor the keeper of users (that is `iam`).
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
