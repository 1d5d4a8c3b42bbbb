//! Everything that can go wrong, told apart by what the caller can do about it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Version, When};

/// Why an operation did not happen.
///
/// After [`StateError::Storage`] the outcome of a write is unknown: it may or
/// may not be found after a restart. After every other error nothing was written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    #[error("key {key:?} is invalid: {reason}")]
    InvalidKey { key: String, reason: &'static str },
    #[error("the value of {key:?} has {size} bytes; the limit is {limit}")]
    ValueTooLarge { key: String, size: usize, limit: usize },
    #[error("the transaction has {size} {unit}; the limit is {limit}")]
    TransactionTooLarge { size: usize, unit: &'static str, limit: usize },
    #[error("key {key:?} appears more than once in one transaction")]
    DuplicateKey { key: String },
    #[error("conflict at {key:?}: wanted {wanted}, found {}", describe(found))]
    Conflict { key: String, wanted: When, found: Option<Version> },
    #[error("no longer the leader of {election:?}")]
    Fenced { election: String },
    #[error("the data file {} is in use by another process", path.display())]
    Locked { path: PathBuf },
    #[error("the data file {} has format {found}; this program knows up to {known}", path.display())]
    UnknownFormat { path: PathBuf, found: u64, known: u64 },
    #[error("the storage failed: {0}")]
    Storage(Arc<dyn std::error::Error + Send + Sync>),
    #[error("the store is closed")]
    Closed,
}

impl StateError {
    pub(crate) fn storage(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        StateError::Storage(Arc::new(source))
    }
}

fn describe(found: &Option<Version>) -> String {
    found.map_or_else(|| "no such key".to_owned(), |version| version.to_string())
}
