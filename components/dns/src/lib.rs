//! The names of the cluster: `.mesos` and `thisdcos.directory`, made when tasks change and served
//! over UDP, TCP and HTTP; everything else is forwarded.
//!
//! It is not: a general name server with zone files, nor a recursive one for strangers.

#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod config;
mod feed;
pub mod forward;
#[allow(clippy::panic, reason = "a finding is told by a panic")]
pub mod fuzz;
mod http;
pub mod names;
pub mod record;
mod run;
pub mod serve;
pub mod zone;

pub use crate::config::{Config, ConfigError};
pub use crate::http::permissions::TABLE as PERMISSIONS;
pub use run::{Running, StartError, start};
