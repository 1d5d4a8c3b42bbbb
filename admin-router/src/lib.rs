//! The gateway of a cluster: the routes of Admin Router, who may use them, and where they lead.
//!
//! 1. [`start`] runs it: certificate, knowledge of the cluster, policy of IAM, then the engine.
//! 2. [`Config`] is what an operator says; `settings` reads it from flags, a file and the
//!    environment variables of the original.
//! 3. [`Cluster`] is what routes ask about the cluster; `knowledge` answers from events.
//!
//! It is not: a proxying engine (that is `proxy`), nor the keeper of users (that is `iam`).
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod access;
mod certificate;
mod cluster;
mod config;
#[allow(clippy::panic, reason = "a finding is told by a panic")]
pub mod fuzz;
mod gateway;
pub mod knowledge;
mod origin;
mod pages;
mod routes;
mod run;
pub mod settings;
mod upstream_tls;

pub use certificate::CertificateError;
pub use cluster::{Agent, Cluster, Failure, Known, Leader, Resolution, Service};
pub use config::{Challenge, Config, Role, Secret, Site, Upstreams};
pub use origin::{Origin, OriginError};
pub use run::{Error, Running, start, start_with};
