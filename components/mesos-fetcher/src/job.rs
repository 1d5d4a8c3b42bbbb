//! What the agent hands to a helper through its standard input, and what comes back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One run of a helper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Who to become before anything is touched; none: stay who the agent is.
    pub(crate) identity: Option<Identity>,
    pub(crate) sandbox: PathBuf,
    pub(crate) items: Vec<Item>,
    pub(crate) frameworks_home: Option<PathBuf>,
    pub(crate) stall_timeout_ms: u64,
    pub(crate) limits: Limits,
}

/// A user as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// What one archive may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) uri: String,
    pub(crate) executable: bool,
    pub(crate) extract: bool,
    pub(crate) output_file: Option<String>,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    /// Straight into the sandbox.
    Bypass,
    /// Only into this file of the cache.
    Download(PathBuf),
    /// From this file of the cache into the sandbox.
    Retrieve(PathBuf),
}

/// A helper's last words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Fetched,
    Failed(String),
}
