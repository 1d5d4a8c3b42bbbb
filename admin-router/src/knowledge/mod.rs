//! What is known of the cluster: the leader, agents, frameworks and services, as told by events.

mod name;
mod settings;
mod snapshot;

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Agent, Cluster, Known, Leader, Resolution};
pub use settings::{Authorization, Settings};
pub use snapshot::{Snapshot, Source};

use snapshot::LookUp;

/// What is known right now; cheap to clone, clones see the same.
#[derive(Clone, Debug)]
pub struct Knowledge {
    now: Arc<ArcSwap<Snapshot>>,
}

/// Follows the cluster until `shutdown`; the task ends then.
pub fn start(_settings: Settings, shutdown: CancellationToken) -> (Knowledge, JoinHandle<()>) {
    (Knowledge::nothing(), tokio::spawn(async move { shutdown.cancelled().await }))
}

// === impl Knowledge ===

impl Knowledge {
    /// Knows nothing of the cluster, and never will: a gateway on an agent.
    pub fn nothing() -> Knowledge {
        Knowledge { now: Arc::new(ArcSwap::from_pointee(Snapshot::default())) }
    }

    /// All that is known at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.now.load_full()
    }
}

impl Cluster for Knowledge {
    fn leader(&self) -> Known<Arc<Leader>> {
        self.now.load().leader()
    }

    fn agent(&self, id: &str) -> Known<Agent> {
        self.now.load().agent(id)
    }

    fn marathon_leader(&self) -> Known<Arc<Leader>> {
        self.now.load().marathon_leader()
    }

    fn service(&self, segments: &[Cow<'_, str>]) -> Resolution {
        match self.now.load().service(segments, 1) {
            LookUp::Found(service) => Resolution::Found(service),
            LookUp::Failed(failure) => Resolution::Failed(failure),
            // There is no Mesos-DNS to ask.
            LookUp::Missing | LookUp::Ask { .. } => Resolution::Missing,
        }
    }
}
