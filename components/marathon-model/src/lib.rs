//! The objects of Marathon's API: apps, groups, plans; reading, checking, printing them.
//!
//! It is not: state or I/O. Every function is pure; times and ids are handed in.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod app;
#[cfg(test)]
mod arbitrary;
pub mod change;
pub mod constraint;
mod dependencies;
pub mod error;
pub mod fuzz;
pub mod group;
pub mod group_update;
pub mod ids;
pub mod impact;
pub mod json;
mod normalise;
pub mod path;
pub mod plan;
pub mod ports;
mod roles;
pub mod rollback;
pub mod selector;
pub mod settings;
pub mod size;
#[cfg(test)]
mod testing;
pub mod timestamp;
pub mod update;
pub mod validate;

pub use app::{App, is_config_change};
pub use change::{Applied, Change, Changed, GroupChanged};
pub use error::{ModelError, Violation};
pub use group::{Group, Root};
pub use group_update::GroupUpdate;
pub use ids::{InstanceId, TaskId};
pub use path::PathId;
pub use plan::{Action, ActionKind, Plan, Step, StoredPlan};
pub use settings::Settings;
pub use timestamp::Timestamp;
pub use update::AppUpdate;
