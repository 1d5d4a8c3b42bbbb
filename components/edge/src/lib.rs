//! Traffic from outside the cluster to its services, as the labels of apps say.
//!
//! 1. [`labels`] reads what Marathon-LB's users write; whatever is not honoured is told of.
//! 2. [`routes`] makes of apps, tasks and health what is served where. Pure.
//! 3. [`live`] is what is served right now: read by every request, changed without a lock.
//! 4. The rest puts it on sockets: a policy of the engine in `proxy`, listeners that come and go
//!    with services, statistics as HAProxy shows them.
//! 5. [`haproxy`] writes the configuration with which HAProxy would do the same.
//!
//! It is not: the gateway of the cluster's own APIs, which is `admin-router`.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod auth;
pub mod certificates;
mod config;
mod control;
mod follow;
#[allow(clippy::panic, reason = "a finding is told by a panic")]
pub mod fuzz;
pub mod haproxy;
pub mod labels;
mod listeners;
pub mod live;
mod policy;
pub mod render;
pub mod routes;
mod run;
pub mod settings;
mod tcp;

pub use config::{AccessLog, Config, Credentials};
pub use run::{Running, StartError, start};
