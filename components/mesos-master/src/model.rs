//! What the master knows, as its readers see it: immutable records, shared by pointer, replaced on change.
//!
//! The owner of the state keeps the same records and copies one only when it
//! changes it while a reader holds it. Ids are shared (`Arc<str>`); what equal
//! tasks of one service have in common is one [`TaskSpec`].
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use mesos_messages::{resources::Resources, v1};

pub use crate::cow::CowSlab;

/// An id, shared between all records that name it.
pub type Id = Arc<str>;

/// Everything at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub master: Arc<MasterRecord>,
    /// Registered agents, connected or not.
    pub agents: CowSlab<Agent>,
    /// Agents of the registry that have not come back since the master started.
    pub recovered_agents: Vec<Arc<v1::AgentInfo>>,
    pub unreachable_agents: Vec<LostAgent>,
    pub gone_agents: Vec<LostAgent>,
    pub frameworks: Vec<Arc<FrameworkView>>,
    /// Removed frameworks, oldest first.
    pub completed_frameworks: Vec<Arc<FrameworkView>>,
    /// Weights that differ from 1.
    pub weights: Arc<BTreeMap<String, f64>>,
}

/// The master itself.
#[derive(Clone, Debug)]
pub struct MasterRecord {
    pub info: v1::MasterInfo,
    pub cluster: Option<String>,
    /// Seconds since the epoch.
    pub start_time: f64,
    pub elected_time: f64,
}

/// A registered agent.
#[derive(Clone, Debug)]
pub struct Agent {
    pub id: Id,
    /// As registered, but for `resources`, which stand in [`Agent::info_resources`].
    pub info: Arc<v1::AgentInfo>,
    /// The resources as registered.
    pub info_resources: Resources,
    /// Text of the libprocess address, `slave(1)@127.0.0.1:5051`.
    pub pid: Arc<str>,
    pub version: Arc<str>,
    /// Numbers of `AgentInfo.Capability.Type`, in the order given.
    pub capabilities: Arc<[i32]>,
    /// Seconds since the epoch.
    pub registered_time: f64,
    pub reregistered_time: Option<f64>,
    pub connected: bool,
    /// Whether its resources are offered.
    pub active: bool,
    /// Whether an operator took it out of service.
    pub deactivated: bool,
    /// All it has, the oversubscribed included.
    pub total: Resources,
    /// In use by tasks and executors, allocated to roles.
    pub used: Resources,
    /// Offered at this moment, allocated to roles.
    pub offered: Resources,
}

/// An agent given up, temporarily or for good.
#[derive(Clone, Debug)]
pub struct LostAgent {
    pub id: Id,
    /// Nanoseconds since the epoch.
    pub since_ns: i64,
}

/// A framework and all that belongs to it.
#[derive(Clone, Debug)]
pub struct FrameworkView {
    pub framework: Arc<Framework>,
    pub tasks: CowSlab<Task>,
    /// Oldest first.
    pub unreachable_tasks: Arc<VecDeque<Arc<Task>>>,
    /// Oldest first.
    pub completed_tasks: Arc<VecDeque<Arc<Task>>>,
    pub executors: CowSlab<Executor>,
    pub offers: CowSlab<Offer>,
}

/// A framework.
#[derive(Clone, Debug)]
pub struct Framework {
    pub id: Id,
    /// Always with `id`.
    pub info: Arc<v1::FrameworkInfo>,
    /// Text of the libprocess address; none for a framework connected over HTTP.
    pub pid: Option<Arc<str>>,
    pub active: bool,
    pub connected: bool,
    /// Known only from what agents reported.
    pub recovered: bool,
    /// Roles it is subscribed to, sorted.
    pub roles: Arc<[Id]>,
    pub suppressed_roles: Arc<[Id]>,
    /// Seconds since the epoch.
    pub registered_time: f64,
    pub reregistered_time: f64,
    /// 0 while registered.
    pub unregistered_time: f64,
    /// In use on all agents, allocated to roles.
    pub used: Resources,
    pub offered: Resources,
    /// As given at subscription or by the last update.
    pub offer_constraints: Option<Arc<v1::scheduler::OfferConstraints>>,
}

/// An executor that runs on an agent, command executors excepted.
#[derive(Clone, Debug)]
pub struct Executor {
    /// Its id, as its tasks share it.
    pub shared_id: Id,
    pub framework_id: Id,
    pub agent_id: Id,
    pub info: Arc<v1::ExecutorInfo>,
    /// Allocated to its role.
    pub resources: Resources,
}

/// Resources offered to a framework and not yet answered.
#[derive(Clone, Debug)]
pub struct Offer {
    pub id: Id,
    pub framework_id: Id,
    pub agent_id: Id,
    pub role: Id,
    /// Allocated to `role`.
    pub resources: Resources,
}

/// An offer with what its message is made of.
#[derive(Clone, Debug)]
pub struct OfferParts {
    pub offer: Arc<Offer>,
    pub agent: Arc<Agent>,
    /// The framework's executors on the agent.
    pub executors: Vec<v1::ExecutorId>,
}

/// What equal tasks have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskSpec {
    pub name: Box<str>,
    /// The role its resources are allocated to.
    pub role: Id,
    /// Allocated to `role`.
    pub resources: Resources,
    pub user: Option<Box<str>>,
    /// The parts most tasks lack.
    pub more: Option<Box<TaskSpecMore>>,
}

/// The rarer parts of a [`TaskSpec`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskSpecMore {
    pub limits: BTreeMap<String, v1::value::Scalar>,
    pub labels: Option<v1::Labels>,
    pub discovery: Option<Box<v1::DiscoveryInfo>>,
    pub container: Option<Box<v1::ContainerInfo>>,
    pub health_check: Option<Box<v1::HealthCheck>>,
    pub kill_policy: Option<v1::KillPolicy>,
}

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    pub id: Id,
    pub framework_id: Id,
    pub agent_id: Id,
    /// None for a command task.
    pub executor_id: Option<Id>,
    pub spec: Arc<TaskSpec>,
    /// The latest state the agent reported.
    pub state: v1::TaskState,
    /// The state of the last update forwarded to the scheduler.
    pub status_update_state: Option<v1::TaskState>,
    pub status_update_uuid: Option<[u8; 16]>,
    /// The last status of each run of equal states.
    pub statuses: Vec<Status>,
}

/// A task status, without what the task already says and without `data`.
#[derive(Clone, Debug)]
pub struct Status {
    pub state: v1::TaskState,
    pub source: Option<v1::task_status::Source>,
    pub reason: Option<v1::task_status::Reason>,
    pub healthy: Option<bool>,
    /// Seconds since the epoch.
    pub timestamp: f64,
    pub uuid: Option<[u8; 16]>,
    pub executor_id: Option<Id>,
    /// Shared with the statuses before it while it stays the same.
    pub container: Option<Arc<ContainerStatus>>,
    /// The parts most statuses lack.
    pub more: Option<Box<StatusMore>>,
}

/// The rarer parts of a [`Status`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusMore {
    pub message: Option<Box<str>>,
    pub labels: Option<v1::Labels>,
    pub check_status: Option<Box<v1::CheckStatusInfo>>,
    pub limitation: Option<Box<v1::TaskResourceLimitation>>,
    pub unreachable_time_ns: Option<i64>,
}

/// `v1::ContainerStatus`, with the networks shared between equal ones.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerStatus {
    pub container_id: Option<Box<v1::ContainerId>>,
    pub network_infos: Arc<[v1::NetworkInfo]>,
    pub cgroup_info: Option<Box<v1::CgroupInfo>>,
    pub executor_pid: Option<u32>,
}

/// Resources of a role, over all frameworks and agents.
#[derive(Clone, Debug)]
pub struct RoleView {
    pub name: Id,
    pub weight: f64,
    /// Ids of the frameworks subscribed to it or holding resources of it.
    pub frameworks: Vec<Id>,
    pub allocated: Resources,
    pub offered: Resources,
    pub reserved: Resources,
}

/// What the operator event stream tells.
#[derive(Clone, Debug)]
pub enum OperatorEvent {
    TaskAdded(Arc<Task>),
    TaskUpdated {
        framework_id: Id,
        /// As it was forwarded.
        status: Arc<v1::TaskStatus>,
        /// The latest state, which may be ahead of the status.
        state: v1::TaskState,
    },
    AgentAdded(Arc<Agent>),
    AgentRemoved(Id),
    FrameworkAdded(Arc<Framework>),
    FrameworkUpdated(Arc<Framework>),
    FrameworkRemoved(Arc<Framework>),
}

impl Default for RoleView {
    fn default() -> Self {
        Self {
            name: Id::from(""),
            weight: 1.0,
            frameworks: Vec::new(),
            allocated: Resources::default(),
            offered: Resources::default(),
            reserved: Resources::default(),
        }
    }
}
