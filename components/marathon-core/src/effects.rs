//! What the core tells the shell to do.

use crate::{Event, Instance, Reply, RequestId, TaskFailure};
use marathon_model::{App, InstanceId, PathId, Timestamp, group::Group, plan::Plan};
use mesos_messages::v1;
use std::{sync::Arc, time::Duration};

/// All writes are performed durably first, then the rest in this order.
#[derive(Debug, Default)]
pub struct Effects {
    pub writes: Vec<Write>,
    pub calls: Vec<Call>,
    pub events: Vec<Event>,
    pub replies: Vec<(RequestId, Reply)>,
    pub probes: Vec<ProbeRequest>,
}

/// A change of what is stored. Writes of one batch to the same key: the last one counts.
#[derive(Clone, Debug)]
pub enum Write {
    FrameworkId(String),
    /// The root group has a new version. Before the apps and groups of that version.
    RootVersion(Timestamp),
    /// One more version of an app.
    PutApp(Arc<App>),
    /// The app is gone since this version of the root.
    DeleteApp {
        id: PathId,
        at: Timestamp,
    },
    PutGroup(Arc<Group>),
    DeleteGroup {
        id: PathId,
        at: Timestamp,
    },
    PutInstance(Arc<Instance>),
    DeleteInstance(InstanceId),
    PutDeployment(Arc<Plan>),
    DeleteDeployment(String),
    PutFailure(Arc<TaskFailure>),
    DeleteFailure(PathId),
}

/// A call to the master.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// Offers of one agent and role; an empty list of operations does not happen.
    Accept {
        offers: Vec<v1::OfferId>,
        operations: Vec<v1::offer::Operation>,
        refuse: Duration,
    },
    Decline {
        offers: Vec<v1::OfferId>,
        refuse: Duration,
    },
    Kill {
        task: String,
        agent: Option<String>,
        grace: Option<Duration>,
    },
    Revive {
        roles: Vec<String>,
    },
    Suppress {
        roles: Vec<String>,
    },
    /// Task and agent; empty: all.
    Reconcile(Vec<(String, Option<String>)>),
    Acknowledge(Box<v1::TaskStatus>),
    /// The roles the framework is subscribed with, and those of them that want no offers.
    UpdateFramework {
        roles: Vec<String>,
        suppressed: Vec<String>,
    },
}

/// Names a probe until its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeId(pub u64);

/// How long a probe may wait to be made; after that it is answered with `ProbeOutcome::NotMade`.
pub const MAX_PROBE_WAIT: Duration = Duration::from_secs(5);

/// A probe over the network that is to be made now. Each is answered by one `Input::Probed`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeRequest {
    pub id: ProbeId,
    /// Whose it is: each app gets its turn.
    pub app: PathId,
    pub target: ProbeTarget,
    pub timeout: Duration,
    /// Bytes of the answer's body that are wanted; 0: only the status.
    pub body_limit: usize,
}

/// What is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeTarget {
    /// Certificates are not checked; redirects are not followed.
    Http {
        https: bool,
        host: String,
        port: u16,
        path: String,
    },
    Tcp {
        host: String,
        port: u16,
    },
}

// === impl Effects ===

impl Effects {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.calls.is_empty()
            && self.events.is_empty()
            && self.replies.is_empty()
            && self.probes.is_empty()
    }
}
