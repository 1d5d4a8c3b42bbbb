//! Long-running services: Marathon's REST API, its store, and the framework behind it.
//!
//! It is not: where decisions are made; those are in `marathon-core`.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod config;
pub mod events;
mod framework;
pub mod fuzz;
pub mod handle;
mod http;
mod owner;
mod probes;
mod render;
mod run;
mod sse;
pub mod store;

pub use config::Config;
pub use handle::{Handle, Inbox, Info};
pub use http::permissions::TABLE as PERMISSIONS;
pub use http::service;
pub use run::{Error, Running, run, start};
