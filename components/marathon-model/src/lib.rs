//! The objects of Marathon's API: apps, groups, plans; reading, checking, printing them.
//!
//! It is not: state or I/O. Every function is pure; times and ids are handed in.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod app;
pub mod ids;
pub mod path;
pub mod timestamp;

pub use app::App;
pub use ids::{InstanceId, TaskId};
pub use path::PathId;
pub use timestamp::Timestamp;
