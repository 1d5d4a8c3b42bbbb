//! What can keep an agent from starting or running.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why an agent did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A setting that cannot be used.
    #[error("{0}")]
    Config(String),
    /// The master's address names no host.
    #[error("the master's address '{address}' cannot be resolved")]
    MasterAddress {
        /// As configured.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The port is taken or the address not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A directory or file the agent needs.
    #[error("cannot use {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The checkpoint of the agent itself is damaged (anything below it is skipped and logged).
    #[error("the checkpoint {} is damaged: {reason}", path.display())]
    Checkpoint {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The work directory belongs to an agent with other facts.
    #[error(
        "the agent's {what} changed since it last ran ({old} became {new}); \
         to start afresh remove {}", latest.display()
    )]
    Incompatible {
        /// What differs.
        what: &'static str,
        /// As checkpointed.
        old: String,
        /// As configured now.
        new: String,
        /// The link to remove.
        latest: PathBuf,
    },
    /// The containerizer cannot work here.
    #[error("the containerizer cannot start: {0}")]
    Containerizer(String),
    /// The fetcher cannot work here.
    #[error("the fetcher cannot start: {0}")]
    Fetcher(String),
    /// The master sent a shutdown message.
    #[error("the master asked the agent to shut down: {0}")]
    ShutDownByMaster(String),
    /// A task of the agent itself failed.
    #[error("the agent stopped unexpectedly: {0}")]
    Internal(String),
}
