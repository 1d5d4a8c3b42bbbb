//! The orchestrator: apps and deployments in, launches and kills out.
//!
//! It is not: an HTTP API, a scheduler client or a store. It is a state machine without sockets,
//! disks, clocks or randomness; the `marathon` crate is its shell.
//!
//! - [`Core::handle`] takes one [`Input`] and appends to [`Effects`]. The shell makes all writes
//!   of a batch durable before anything else of it is done, so a restart from what was written
//!   ([`Recovered`]) goes on where the core was, with nothing told to anybody that is forgotten.
//! - [`Core::deadline`] says when it wants an [`Input::Tick`].
//! - [`Core::view`] is what readers see: persistent maps that cost nothing to clone.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod command;
mod config;
mod core;
mod effects;
mod event;
pub mod health;
mod input;
mod instance;
pub mod launch;
mod recovered;
mod view;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;

pub use self::core::Core;
pub use command::{Command, Done, KillWhat, Refusal, Reply};
pub use config::Config;
pub use effects::{Call, Effects, MAX_PROBE_WAIT, ProbeId, ProbeRequest, ProbeTarget, Write};
pub use event::{CurrentStep, Event, EventKind};
pub use input::{FailedCall, Input, ProbeOutcome, RequestId};
pub use instance::{
    Condition, Goal, HealthState, Instance, InstanceRecord, IpAddress, ReadinessResponse,
    ReadinessResult, TaskFailure,
};
pub use recovered::Recovered;
pub use view::{ActionState, AppState, Counts, Deployment, Metrics, QueueItem, View};
