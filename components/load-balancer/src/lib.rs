//! Virtual addresses of services: which there are, where they lead, and the kernel's rules that
//! carry connections there.
//!
//! It is not: a proxy for traffic from outside, which is `edge`.

#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod config;
pub mod kernel;
mod run;
pub mod vips;

pub use config::{Config, NodeConfig, Role, UserSpaceLimits, Way};
pub use run::{Mode, Running, StartError, start};
