//! Containers as processes: launchers, isolation, limits, statistics, and the end of every descendant.
//!
//! It is not: aware of tasks, executors or status updates; it never talks to the network.
//!
//! * Every container has a supervisor, a small process of its own (`init`), that outlives the
//!   agent: it carries the container's output into the sandbox, reaps, kills whatever is left when
//!   the main process ends, and writes the exit status where an agent that restarted finds it.
//! * Supervisors are forked from one process, the nursery, that is executed once; where it is
//!   missing they are executed one by one.
//! * What isolates a container is the launcher's: `posix` needs no privilege and isolates nothing
//!   but the end of its processes; `linux` adds namespaces and cgroups.
//! * A container's record stays on disk until `Containerizer::remove`: the caller writes down
//!   what it learned first.
//! * The processes of a container are found by descent, never by name.

mod afterlife;
mod cgroups;
mod config;
mod containerizer;
mod entry;
mod error;
mod kill;
mod launch;
mod nursery;
mod pidfd;
mod plan;
mod procfs;
mod record;
mod rlimits;
mod stats;
mod users;
mod volumes;

/// The supervisor's side; runs in a process of its own.
pub mod init;

pub use config::{ContainerConfig, ContainerizerConfig, LauncherChoice, LogLimits, ResourceLimits};
pub use containerizer::{Containerizer, Launched, Limitation, Recovered, Termination};
pub use error::{ContainerizerError, LaunchError};
