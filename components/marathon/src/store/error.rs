//! Why something could not be read or written.

use cluster_state::StateError;
use thiserror::Error;

/// After an error of a write the store must be loaded anew: whether it happened is unknown.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    #[error("the state cannot be read or written")]
    State(#[from] StateError),
    #[error("'{key}' holds something that cannot be read: {reason}")]
    Corrupt { key: String, reason: String },
    #[error("a task of the store failed: {0}")]
    Task(String),
}

impl StoreError {
    pub(crate) fn corrupt(key: &str, reason: impl ToString) -> Self {
        Self::Corrupt { key: key.to_owned(), reason: reason.to_string() }
    }
}

impl From<tokio::task::JoinError> for StoreError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task(error.to_string())
    }
}
