//! Why a fetch failed.

use std::{io, path::PathBuf};

/// A failed fetch fails the container's launch.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// `reason` names the URI and what was wrong with it.
    #[error("Failed to fetch all URIs for container '{container_id}': {reason}")]
    Failed { container_id: String, reason: String },
    #[error("Fetching for container '{0}' was cancelled")]
    Cancelled(String),
    #[error("Failed to find user '{user}': {reason}")]
    User { user: String, reason: String },
    #[error("Failed to {action} '{}'", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}
