//! What a caller says about the fetcher and about one fetch.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use mesos_messages::v1;

/// How the fetcher works; the same for all fetches.
#[derive(Clone, Debug)]
pub struct FetcherConfig {
    /// Emptied at start.
    pub cache_dir: PathBuf,
    pub cache_size: u64,
    /// Relative URIs are paths below it.
    pub frameworks_home: Option<PathBuf>,
    /// A download that brings nothing for so long has failed.
    pub stall_timeout: Duration,
    /// The program that can become the helper: the product's own binary.
    pub helper: PathBuf,
    /// What makes it one.
    pub helper_args: Vec<OsString>,
    /// What one archive may hold at most.
    pub max_archive_entries: u64,
    pub max_extracted_bytes: u64,
}

impl FetcherConfig {
    pub fn new(cache_dir: impl Into<PathBuf>, helper: impl Into<PathBuf>) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            cache_size: 2 << 30,
            frameworks_home: None,
            stall_timeout: Duration::from_secs(60),
            helper: helper.into(),
            helper_args: vec!["fetcher-helper".into()],
            max_archive_entries: 1_000_000,
            max_extracted_bytes: 64 << 30,
        }
    }
}

/// One container's URIs.
#[derive(Clone, Debug, Default)]
pub struct FetchRequest {
    pub container_id: v1::ContainerId,
    pub uris: Vec<v1::command_info::Uri>,
    pub sandbox: PathBuf,
    /// The user to fetch as; none: the agent's. Only root can be another than itself.
    pub user: Option<String>,
}
