//! What can go wrong before a container runs, and around it.

use std::{io, path::PathBuf};

/// Why a container was not launched; nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("Container '{0}' exists already")]
    Exists(String),
    #[error("'{0}' cannot be a container's id")]
    InvalidId(String),
    #[error("Container '{0}' was destroyed while it was being launched")]
    Destroyed(String),
    #[error("Failed to find user '{user}': {reason}")]
    User { user: String, reason: String },
    #[error("Cannot run as user '{user}': this agent is not root and runs as '{own}'")]
    SwitchUser { user: String, own: String },
    #[error("Unsupported container: {0}")]
    Unsupported(String),
    #[error("Invalid rlimit: {0}")]
    RLimit(String),
    #[error("Volume '{container_path}': {reason}")]
    Volume { container_path: String, reason: String },
    #[error("Failed to {action} '{}'", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The supervisor's own words: what it could not do.
    #[error("{0}")]
    Supervisor(String),
}

/// What can go wrong around containers that exist.
#[derive(Debug, thiserror::Error)]
pub enum ContainerizerError {
    #[error("Unknown container '{0}'")]
    Unknown(String),
    #[error("The linux launcher was asked for, but {0}")]
    NoLinuxLauncher(String),
    #[error("Failed to {action} '{}'", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("Failed to update container '{id}': {reason}")]
    Update { id: String, reason: String },
    #[error("Container '{id}' could not be destroyed: {reason}")]
    Destroy { id: String, reason: String },
}
