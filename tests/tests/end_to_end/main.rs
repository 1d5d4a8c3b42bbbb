//! Whole clusters, real clients, faults: the real binary as child processes.
//!
//! Each test has its own cluster on free ports and its own folder. What runs is
//! found through `endpoints.json`, as any client would.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

mod bad_input;
mod catalog;
mod conformance;
mod edge;
mod failures;
mod gateway;
mod gateway_cli;
mod knowledge;
mod marathon_python;
mod network;
mod packages;
mod permissions;
mod pymesos;
mod services;
mod task_run;
mod up;
mod v0;
mod v1_by_hand;
