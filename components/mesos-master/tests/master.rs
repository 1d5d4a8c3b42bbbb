//! A whole master on loopback: schedulers over HTTP, agents and drivers over libprocess.
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "master/support.rs"]
mod support;

#[path = "master/flow.rs"]
mod flow;
#[path = "master/recordings.rs"]
mod recordings;
#[path = "master/refusals.rs"]
mod refusals;
