//! What is known of the cluster: the leader, agents, frameworks and services, as told by events.
//!
//! 1. Two followers of [`cluster_events`] keep a stream each: the leading master's and
//!    Marathon's. Nothing is asked again and again.
//! 2. One task owns the [`table::Table`], applies what they tell in its order, and publishes a
//!    [`Snapshot`]; a look-up loads it and waits for nobody.
//! 3. Whether a task runs is taken from the master, because it knows before Marathon does; names
//!    and labels are taken from Marathon, because they are its own. The ports of a task come from
//!    whoever tells them first without doubt about their order.
//! 4. A stream that breaks leaves what was told last in use, up to an age that can be set.
//!    Another one is opened at once, and begins with everything there is.

mod describe;
mod dns;
mod facts;
pub mod fuzz;
mod keeper;
mod labels;
mod marathon;
mod mesos;
mod name;
mod settings;
mod snapshot;
mod table;
mod task_id;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Agent, Cluster, Failure, Known, Leader, Resolution, Service};
use dns::Dns;
pub use settings::{Authorization, Settings};
use snapshot::LookUp;
pub use snapshot::{Snapshot, Source};

/// What is known right now; cheap to clone, clones see the same.
#[derive(Clone)]
pub struct Knowledge {
    now: Arc<ArcSwap<Snapshot>>,
    /// When the table's clock began.
    began: Instant,
    dns: Option<Arc<Dns>>,
}

/// Follows the cluster until `shutdown`; the task ends then.
pub fn start(settings: &Settings, shutdown: CancellationToken) -> (Knowledge, JoinHandle<()>) {
    let upstreams = settings.upstreams();
    let dns = Dns::new(settings, upstreams.clone()).map(Arc::new);
    let knowledge = Knowledge { dns, ..Knowledge::nothing() };
    let keeper = keeper::Keeper::start(settings, upstreams, &knowledge);
    (knowledge, tokio::spawn(keeper.run(shutdown)))
}

// === impl Knowledge ===

impl Knowledge {
    /// Knows nothing of the cluster, and never will: a gateway on an agent.
    pub fn nothing() -> Knowledge {
        Knowledge { now: Arc::default(), began: Instant::now(), dns: None }
    }

    /// All that is known at this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.now.load_full()
    }

    /// All that is known at this moment, for people who look for a fault.
    pub fn describe(&self) -> Value {
        self.now.load().describe(self.began.elapsed())
    }
}

impl std::fmt::Debug for Knowledge {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Knowledge").field("now", &self.now.load()).finish_non_exhaustive()
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
        let snapshot = self.now.load();
        let dns = self.dns.as_ref();
        match snapshot.service(segments, 1, dns.is_some()) {
            LookUp::Found(service) => Resolution::Found(service),
            LookUp::Missing => Resolution::Missing,
            LookUp::Failed(failure) => Resolution::Failed(failure),
            LookUp::Ask(question) => {
                let Some(dns) = dns.cloned() else { return Resolution::Missing };
                let segments = segments.iter().map(|one| Cow::Owned(one.to_string())).collect();
                let snapshot = Arc::clone(&snapshot);
                Resolution::Later(Box::pin(ask(dns, snapshot, segments, question)))
            }
        }
    }
}

/// Goes on with a look-up by asking Mesos-DNS.
async fn ask(
    dns: Arc<Dns>,
    snapshot: Arc<Snapshot>,
    segments: Vec<Cow<'static, str>>,
    mut question: snapshot::Question,
) -> Resolution {
    loop {
        match dns.find(&question.dotted).await {
            Ok(Some(upstream)) => return Resolution::Found(Arc::new(by_dns(&question, upstream))),
            Ok(None) => {}
            Err(dns::Failed) => return Resolution::Failed(Failure::MesosDns),
        }
        match snapshot.service(&segments, question.depth + 1, true) {
            LookUp::Found(service) => return Resolution::Found(service),
            LookUp::Missing => return Resolution::Missing,
            LookUp::Failed(failure) => return Resolution::Failed(failure),
            LookUp::Ask(next) => question = next,
        }
    }
}

fn by_dns(question: &snapshot::Question, upstream: Arc<proxy::Upstream>) -> Service {
    Service {
        path: question.asked.as_str().into(),
        depth: question.depth,
        rid: Arc::clone(&question.rid),
        upstream,
        scheme: proxy::Scheme::Http,
        base: "".into(),
        rewrite: true,
        buffering: true,
    }
}
