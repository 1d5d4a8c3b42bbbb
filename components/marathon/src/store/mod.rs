//! Everything Marathon knows, as many small keys in the cluster's state.
//!
//! 1. Apps and groups: the current form under a key of its own, old versions beside them, at
//!    most `--zk_max_versions` of each. A change writes what it changes, however much there is.
//! 2. A version of the root is one small key. A group as it was at a version is put together
//!    from the latest version of each app that is not later.
//! 3. What belongs together is written all or not at all, however large it is (`batch`).
//! 4. One commits at a time; anybody may read.
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

use std::sync::{Arc, Mutex, PoisonError};

use cluster_state::ClusterState;
use marathon_core::{Recovered, Write};

use commit::Committer;
pub use error::StoreError;

/// The way to what is stored; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    state: Arc<dyn ClusterState>,
    /// Versions kept of each app and of the root.
    max_versions: usize,
    /// There after a load, and until a write fails.
    committer: Arc<Mutex<Option<Committer>>>,
}

impl Store {
    /// What is stored in `state`.
    pub fn new(state: Arc<dyn ClusterState>, max_versions: usize) -> Self {
        Self { state, max_versions, committer: Arc::default() }
    }

    /// Reads everything back and finishes what a crash interrupted.
    pub async fn load(&self) -> Result<Recovered, StoreError> {
        self.replace(None);
        let (recovered, committer) = load::load(self.state.clone(), self.max_versions).await?;
        self.replace(Some(committer));
        Ok(recovered)
    }

    /// Writes all of `writes` durably, in one transaction where the limits of the state allow
    /// it. A crash in between leaves either all changes of apps, groups, versions and
    /// deployments or none of them; instances follow, each on its own.
    ///
    /// One at a time. After an error, or when dropped before the end, what happened is unknown
    /// and everything has to be loaded anew.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut committer = self.replace(None).ok_or(StoreError::NotLoaded)?;
        committer.commit(writes).await?;
        self.replace(Some(committer));
        Ok(())
    }

    fn replace(&self, committer: Option<Committer>) -> Option<Committer> {
        let mut place = self.committer.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, committer)
    }
}
