//! Virtual addresses of services: which there are, where they lead, and the kernel's rules that
//! carry connections there.
//!
//! 1. `vips`, pure: the table of virtual addresses, by the labels of the tasks in the picture of
//!    the cluster.
//! 2. A controller follows the leading master, gives each name an address that it keeps
//!    (`addresses`), and tells DNS and nodes (`view`, `wire`).
//! 3. A node hears of a controller (`remote`) or of its own process (`local`) and has it balanced
//!    by the kernel (`kernel`), or by itself where the kernel cannot (`user_space`).
//! 4. `http` answers as dcos-net does.
//!
//! It is not: a proxy for traffic from outside, which is `edge`.

#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod addresses;
mod config;
mod controller;
#[allow(clippy::panic, reason = "a finding is told by a panic")]
pub mod fuzz;
mod http;
pub mod kernel;
mod local;
mod metrics;
mod node;
mod remote;
mod run;
mod user_space;
mod view;
pub mod vips;
pub mod wire;

pub use crate::http::permissions::TABLE as PERMISSIONS;
pub use config::{Config, NodeConfig, Role, UserSpaceLimits, Way};
pub use run::{Mode, Running, StartError, start};
