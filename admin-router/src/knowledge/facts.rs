//! What the cluster's servers tell, in the words of the table: no wire types beyond here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub(crate) use cluster_events::asking::LeaderFact;
use cluster_events::marathon::EventOf;
pub(crate) use cluster_events::marathon::Turn;

use super::labels::Labelled;
use super::marathon::Services;

/// Something that happened, in the order in which it was told.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Mesos(MesosInput),
    Marathon(Turn, MarathonInput),
    /// Time has passed.
    Tick,
}

#[derive(Clone, Debug)]
pub(crate) enum MesosInput {
    /// Everything, at the beginning of a stream.
    State(Box<MesosState>),
    AgentAdded(AgentFact),
    AgentRemoved(Arc<str>),
    Framework(FrameworkFact),
    FrameworkRemoved(Arc<str>),
    TaskAdded(TaskFact),
    /// The ports of `TaskFact` are not told here.
    TaskUpdated(TaskFact),
    /// The stream broke.
    Cut,
}

/// What is told of Marathon.
pub(crate) type MarathonInput = EventOf<Services>;

/// All that a master knows and matters here.
#[derive(Clone, Debug, Default)]
pub(crate) struct MesosState {
    pub(crate) leader: Option<LeaderFact>,
    pub(crate) agents: Vec<AgentFact>,
    pub(crate) frameworks: Vec<FrameworkFact>,
    pub(crate) tasks: Vec<TaskFact>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentFact {
    pub(crate) id: Arc<str>,
    /// As it is offered to frameworks: that is what Marathon calls the host of a task.
    pub(crate) hostname: Arc<str>,
    /// Of its process id.
    pub(crate) address: Option<SocketAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameworkFact {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    /// None for a null of JSON.
    pub(crate) webui_url: Option<Arc<str>>,
    pub(crate) is_active: bool,
    pub(crate) is_connected: bool,
    /// When it registered first.
    pub(crate) since: i64,
}

/// A task as a master tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskFact {
    pub(crate) id: Arc<str>,
    pub(crate) framework: Arc<str>,
    pub(crate) agent: Arc<str>,
    pub(crate) phase: Phase,
    /// When it began to run, in microseconds; that of the first running task is the service.
    pub(crate) since: Option<u64>,
    /// The first address of its container.
    pub(crate) ip: Option<IpAddr>,
    /// Ports on the host as far as the task says itself in which order they are.
    pub(crate) ports: Vec<u16>,
}

/// A task as Marathon tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MarathonTask {
    pub(crate) id: Arc<str>,
    pub(crate) app: Arc<str>,
    pub(crate) phase: Phase,
    /// Empty where it is not told.
    pub(crate) host: Arc<str>,
    pub(crate) ports: Vec<u16>,
    pub(crate) ip: Option<IpAddr>,
}

#[derive(Clone, Debug)]
pub(crate) struct AppFact {
    pub(crate) id: Arc<str>,
    /// What its labels say, or why they cannot be used.
    pub(crate) labelled: Result<Arc<Labelled>, String>,
    pub(crate) tasks: Vec<MarathonTask>,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not running, but it may.
    Waiting,
    Running,
    /// It never runs again.
    Ended,
}

// === impl Phase ===

impl Phase {
    /// Of a state as Mesos names it.
    pub(crate) fn of(state: &str) -> Phase {
        match state {
            "TASK_RUNNING" => Phase::Running,
            "TASK_FINISHED"
            | "TASK_FAILED"
            | "TASK_KILLED"
            | "TASK_ERROR"
            | "TASK_DROPPED"
            | "TASK_GONE"
            | "TASK_GONE_BY_OPERATOR" => Phase::Ended,
            // One that is lost or unreachable may be found again.
            _ => Phase::Waiting,
        }
    }
}
