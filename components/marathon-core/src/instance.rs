//! An instance of an app: what is known about one place in its count.

use crate::launch::Placement;
use marathon_model::{App, InstanceId, PathId, TaskId, Timestamp, app::HealthProbe};
use mesos_messages::v1;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One of the `instances` of an app. Its id stays when its task fails; the incarnation counts launches.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub id: InstanceId,
    /// The launch that runs now or ran last; 0 before the first.
    pub incarnation: u64,
    /// The version it is (to be) launched with.
    pub spec: Arc<App>,
    pub goal: Goal,
    pub condition: Condition,
    /// When its place was made; never before the version of the root that asked for it.
    pub created_at: Timestamp,
    /// When the condition was entered.
    pub since: Timestamp,
    /// When it began to run; gone when it no longer does.
    pub active_since: Option<Timestamp>,
    /// Where its task was launched; none while it waits for an offer.
    pub placement: Option<Arc<Placement>>,
    pub host_ports: Vec<u16>,
    pub staged_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    /// The last state the master told; none before the first update.
    pub mesos_state: Option<v1::TaskState>,
    pub ips: Vec<IpAddress>,
    /// None: no check has told anything yet, or there is none.
    pub healthy: Option<bool>,
    /// One result per health check of the spec, in its order; empty before the first.
    pub health: Vec<HealthState>,
    /// The result of the spec's `check`.
    pub check: Option<Arc<v1::CheckStatusInfo>>,
    /// Whether the readiness checks of the spec passed in the deployment that launched it.
    /// True where there is none.
    pub ready: bool,
    /// Its task was asked to end. With the goal still to run it is launched again then.
    pub killing: bool,
}

/// What is to become of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Goal {
    /// Run; started again after a failure.
    Running,
    /// End, but keep what is reserved for it.
    Stopped,
    /// End and be forgotten.
    Decommissioned,
}

/// The state of an instance in Marathon's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Condition {
    /// Waits for an offer.
    Scheduled,
    /// Launched; nothing heard yet.
    Provisioned,
    Staging,
    Starting,
    Running,
    Killing,
    Unreachable,
    /// Unreachable so long that a replacement was started.
    UnreachableInactive,
    Error,
    Failed,
    Finished,
    Killed,
    Gone,
    Dropped,
    Unknown,
}

/// An address of the task's network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IpAddress {
    pub address: String,
    pub v6: bool,
}

/// The results of one health check of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthState {
    pub alive: bool,
    pub consecutive_failures: u32,
    pub first_success: Option<Timestamp>,
    pub last_success: Option<Timestamp>,
    pub last_failure: Option<Timestamp>,
    pub last_failure_cause: Option<String>,
}

/// The last answer of a readiness check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessResult {
    /// The name of the check.
    pub name: String,
    pub task: TaskId,
    pub ready: bool,
    /// Kept where the check says so.
    pub last_response: Option<ReadinessResponse>,
}

/// The answer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessResponse {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// The last task of an app that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskFailure {
    pub app_id: PathId,
    pub host: String,
    pub message: String,
    /// `TASK_FAILED` and such.
    pub state: String,
    pub task_id: String,
    pub timestamp: Timestamp,
    pub version: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slave_id: Option<String>,
}

/// An instance as it is stored: its spec by version only, nothing that is measured again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceRecord {
    pub id: InstanceId,
    pub incarnation: u64,
    pub version: Timestamp,
    pub goal: Goal,
    pub condition: Condition,
    pub created_at: Timestamp,
    pub since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mesos_state: Option<i32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpAddress>,
    /// As told by the executor; results of Marathon's own checks are measured again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    #[serde(default)]
    pub ready: bool,
    /// Asked to end, whatever comes after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub killing: bool,
}

// === impl Instance ===

impl Instance {
    /// A new one that waits for an offer.
    pub fn scheduled(id: InstanceId, spec: Arc<App>, now: Timestamp) -> Self {
        let ready = spec.readiness_checks.is_empty();
        Self {
            id,
            incarnation: 0,
            spec,
            goal: Goal::Running,
            condition: Condition::Scheduled,
            created_at: now,
            since: now,
            active_since: None,
            placement: None,
            host_ports: Vec::new(),
            staged_at: None,
            started_at: None,
            mesos_state: None,
            ips: Vec::new(),
            healthy: None,
            health: Vec::new(),
            check: None,
            ready,
            killing: false,
        }
    }

    /// The app it belongs to.
    pub fn app(&self) -> &PathId {
        &self.spec.id
    }

    /// The id of the task it has or had last.
    pub fn task_id(&self) -> TaskId {
        TaskId { instance: self.id.clone(), incarnation: self.incarnation }
    }

    /// Whether a task of it may exist in the cluster.
    pub fn launched(&self) -> bool {
        self.placement.is_some() && self.condition != Condition::Scheduled
    }

    /// Whether some of its checks are not made by the executor.
    pub(crate) fn own_checks(&self) -> bool {
        let own = |probe: &HealthProbe| {
            matches!(probe, HealthProbe::Http { .. } | HealthProbe::Tcp { .. })
        };
        self.spec.health_checks.iter().any(|check| own(&check.probe))
    }

    /// What of it is stored.
    pub fn record(&self) -> InstanceRecord {
        InstanceRecord {
            id: self.id.clone(),
            incarnation: self.incarnation,
            version: self.spec.version,
            goal: self.goal,
            condition: self.condition,
            created_at: self.created_at,
            since: self.since,
            active_since: self.active_since,
            placement: self.placement.as_deref().cloned(),
            host_ports: self.host_ports.clone(),
            staged_at: self.staged_at,
            started_at: self.started_at,
            mesos_state: self.mesos_state.map(Into::into),
            ips: self.ips.clone(),
            healthy: self.healthy.filter(|_| !self.own_checks()),
            ready: self.ready,
            killing: self.killing,
        }
    }
}

impl InstanceRecord {
    /// The instance; `spec` is the app in the version named here.
    pub fn restore(self, spec: Arc<App>) -> Instance {
        Instance {
            id: self.id,
            incarnation: self.incarnation,
            goal: self.goal,
            condition: self.condition,
            created_at: self.created_at,
            since: self.since,
            active_since: self.active_since,
            placement: self.placement.map(Arc::new),
            host_ports: self.host_ports,
            staged_at: self.staged_at,
            started_at: self.started_at,
            mesos_state: self.mesos_state.and_then(|state| state.try_into().ok()),
            ips: self.ips,
            healthy: self.healthy,
            health: Vec::new(),
            check: None,
            ready: self.ready,
            killing: self.killing,
            spec,
        }
    }
}

// === impl Condition ===

impl Condition {
    /// The word in events and pods.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "Scheduled",
            Self::Provisioned => "Provisioned",
            Self::Staging => "Staging",
            Self::Starting => "Starting",
            Self::Running => "Running",
            Self::Killing => "Killing",
            Self::Unreachable => "Unreachable",
            Self::UnreachableInactive => "UnreachableInactive",
            Self::Error => "Error",
            Self::Failed => "Failed",
            Self::Finished => "Finished",
            Self::Killed => "Killed",
            Self::Gone => "Gone",
            Self::Dropped => "Dropped",
            Self::Unknown => "Unknown",
        }
    }

    /// Its task is over.
    pub fn terminal(self) -> bool {
        matches!(
            self,
            Self::Error
                | Self::Failed
                | Self::Finished
                | Self::Killed
                | Self::Gone
                | Self::Dropped
                | Self::Unknown
        )
    }

    /// Its task was launched and may yet run, or runs.
    pub fn active(self) -> bool {
        matches!(
            self,
            Self::Provisioned
                | Self::Staging
                | Self::Starting
                | Self::Running
                | Self::Killing
                | Self::Unreachable
        )
    }
}

impl Goal {
    /// The word in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Stopped => "Stopped",
            Self::Decommissioned => "Decommissioned",
        }
    }
}
