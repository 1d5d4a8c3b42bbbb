//! Everything Marathon knows, as many small keys in the cluster's state.
//!
//! 1. Apps and groups: the current form under a key of its own, old versions beside them, at
//!    most `--zk_max_versions` of each. A change writes what it changes, however much there is.
//! 2. A version of the root is one small key. A group as it was at a version is put together
//!    from the latest version of each app that is not later.
//! 3. What belongs together is written all or not at all, however large it is (`batch`).
//! 4. Only [`Committer`] writes, and there is one; anybody may read through [`Store`].
//!
//! It is not: a cache. Readers of the present look at the orchestrator's view.

mod batch;
mod codec;
mod commit;
mod error;
mod keys;
mod load;
#[cfg(test)]
mod tests;
mod versions;

use std::sync::Arc;

use cluster_state::ClusterState;
use marathon_core::Recovered;

pub use commit::Committer;
pub use error::StoreError;

/// The way to what is stored; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    state: Arc<dyn ClusterState>,
}

impl Store {
    /// What is stored in `state`.
    pub fn new(state: Arc<dyn ClusterState>) -> Self {
        Self { state }
    }

    /// Reads everything back and finishes what a crash interrupted. `max_versions` of each app,
    /// and of the root, are kept from now on.
    ///
    /// There must be one writer only: an earlier [`Committer`] must not be used any more.
    pub async fn load(&self, max_versions: usize) -> Result<(Recovered, Committer), StoreError> {
        load::load(self.state.clone(), max_versions).await
    }
}

/// Reads bytes as each kind of value there is.
pub(crate) fn read_anything(value: &[u8]) {
    let _ = codec::read_app("/", value);
    let _ = codec::read_group("/", marathon_model::PathId::root(), value);
    let _ = codec::read_instance("/", value);
    let _ = codec::read_failure("/", value);
    let _ = codec::read_plan("/", value);
    let _ = codec::read_timestamp("/", value);
    let _ = commit::join(&[bytes::Bytes::copy_from_slice(value)]);
    batch::decode_all(&mut bytes::Bytes::copy_from_slice(value));
}
