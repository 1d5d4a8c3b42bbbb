//! The Mesos agent: registers with a master, runs tasks in containers, tells what became of them.
//!
//! [`core`] decides: a state machine without sockets, files or clocks that turns messages into
//! effects. [`checkpoint`] knows the layout on disk, and the shell around them moves bytes:
//! libprocess to the master and to v0 executors, the v1 executor API, the HTTP endpoints, the
//! containerizer and the fetcher. An effect that promises something to the outside follows the
//! write it depends on, and the shell keeps that order.
//!
//! It is not: a containerizer; it decides what runs, mesos-containerizer runs it. It keeps no
//! state of its process in globals: several agents may live in one process.
#![forbid(unsafe_code)]
// A refusal is an answer: it is moved once and then sent.
#![allow(clippy::result_large_err)]

pub mod checkpoint;
pub mod config;
pub mod core;
mod detect;
mod error;
mod http;
mod shell;

pub use config::AgentConfig;
pub use error::AgentError;
pub use http::permissions::TABLE as PERMISSIONS;

use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

/// A started agent.
pub struct RunningAgent {
    /// Where it listens (the port is known even when the configuration said 0).
    pub address: SocketAddr,
    /// The text form of its libprocess address, `slave(1)@ip:port`.
    pub pid: String,
    /// Ends when the agent has stopped: cancelled, told to by the master, or failed.
    pub join: tokio::task::JoinHandle<Result<(), AgentError>>,
    inbox: tokio::sync::mpsc::Sender<shell::Event>,
}

impl RunningAgent {
    /// Leaves the cluster for good, as SIGUSR1 does: executors are ended, the master is told,
    /// and `join` ends when all are gone.
    pub async fn leave(&self) {
        let _ = self.inbox.send(shell::Event::Input(core::Input::Leave)).await;
    }
}

/// Binds the agent's port, starts it, and returns as soon as it listens.
///
/// Cancelling `shutdown` stops the agent as SIGTERM does: nothing is sent, executors of
/// checkpointing frameworks go on running and are found again by the next start on the same
/// work directory.
///
/// # Errors
///
/// Where the configuration is unusable, the port taken or the checkpoints of another kind of
/// agent than this one.
pub async fn start(
    config: AgentConfig,
    shutdown: CancellationToken,
) -> Result<RunningAgent, AgentError> {
    let running = shell::start(config, None, shutdown).await?;
    Ok(RunningAgent {
        address: running.address,
        pid: running.upid.to_string(),
        join: running.join,
        inbox: running.handle.inbox,
    })
}
