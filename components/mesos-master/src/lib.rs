//! The master: admits agents, offers their resources to frameworks, launches tasks and keeps their state.
//!
//! 1. Everything that decides is in [`core`], a state machine without I/O; one
//!    task owns it and everybody else talks to it through a [`handle::MasterHandle`].
//! 2. Readers get immutable records ([`model`]) and never stop the owner.
//! 3. What promises something to the outside is written to the registry first.
//!
//! It is not: a place for allocation policy (`mesos-allocator`), nor for wire
//! formats (`mesos-messages`, `libprocess`).
#![forbid(unsafe_code)]

pub mod config;
mod convert;
pub mod core;
mod cow;
pub mod handle;
pub mod http;
pub mod metrics;
pub mod model;
mod owner;
mod registrar;
mod run;
mod timing;
pub mod wire;

pub use run::{MasterError, RunningMaster, run, start};
