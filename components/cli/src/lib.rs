//! The client commands: what a person or a script types against a running cluster.
//!
//! The words, flags and columns are those of the dcos CLI, so that `alias dcos=dais`
//! serves scripts written for it.
//!
//! 1. [`Command`] and [`TaskCommand`] are clap's view of the commands; the binary puts
//!    them beside its own.
//! 2. [`run`] performs one of them and gives the status to end with.
//! 3. [`Io`] is everything a command reads from or writes to the outside other than the
//!    network, so that tests see exactly what a person would.
//!
//! It is not a component, and it knows no component's types: everything goes over the
//! public HTTP APIs, read leniently, so that it serves older and newer clusters, and the
//! originals, alike.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod commands;
mod config;
mod context;
mod endpoints;
mod failure;
mod follow;
pub mod fuzz;
mod input;
mod json;
mod login;
mod server;
mod table;
mod terminal;

pub use commands::task::{List as TaskList, TaskCommand};
pub use commands::{Command, master_address, run, run_task};
pub use context::Globals;
pub use terminal::{Environment, Io};
