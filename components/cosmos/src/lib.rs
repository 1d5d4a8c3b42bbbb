//! The package service, in Cosmos's API: repositories, install, update, uninstall.
//!
//! It is not: a renderer (that is `universe`) or an orchestrator (that is Marathon, spoken to over
//! its public API).
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
