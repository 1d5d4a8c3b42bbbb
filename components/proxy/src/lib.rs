//! The one HTTP and TLS proxying engine: reads requests strictly, asks a policy what to do with
//! each, forwards them, streams both ways.
//!
//! 1. [`RequestHead`] is a request as a policy sees it: already checked, its path normalised
//!    ([`path`]). HTTP/1.1 and HTTP/2 make the same one.
//! 2. A [`Policy`] turns it into a [`Decision`]: forward to an [`Upstream`], or answer.
//! 3. The engine does the rest: connections, pools, streaming, limits, timeouts, logs, metrics.
//!
//! It is not: a policy. Which request goes where, and who may send it, is said by whoever
//! implements [`Policy`].
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod access_log;
mod buffer;
mod config;
mod deadline;
mod exchange;
pub mod fuzz;
mod h1;
mod h2;
mod head;
pub mod metrics;
mod observe;
mod outbox;
pub mod path;
mod policy;
mod server;
mod settle;
pub mod tls;
mod upstream;
mod wire;
mod worker;

pub use access_log::{AccessLog, Entry, Writer};
pub use config::{HeadLimits, Network, NetworkError, ServerConfig, Timeouts};
pub use head::{HeadError, RequestHead};
pub use metrics::Metrics;
pub use path::{Path, PathError};
pub use policy::{
    Decision, Follow, Forward, HeaderEdits, Host, Later, Limits, Outcome, Peer, Policy, Refusal,
    Response, ResponseEdit, ResponseHead, RouteId, Scheme, Upgrade,
};
pub use server::{Doors, Running, Server, ServerError};
pub use upstream::{Address, Protocol, Upstream};
