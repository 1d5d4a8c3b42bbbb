//! Between the compact records of [`crate::model`] and the wire messages.
use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use mesos_messages::{resources::Resources, v1};

use crate::model::{
    Agent, ContainerStatus, Executor, Framework, Id, Offer, OfferParts, RoleView, Snapshot, Status,
    StatusMore, Task, TaskSpec, TaskSpecMore,
};

// === impl Task ===

impl Task {
    /// The message that stands for the whole task.
    pub fn to_proto(&self) -> v1::Task {
        let more = self.spec.more.as_deref();
        v1::Task {
            name: self.spec.name.to_string(),
            task_id: v1::TaskId { value: self.id.to_string() },
            framework_id: v1::FrameworkId { value: self.framework_id.to_string() },
            executor_id: self.executor_id.as_deref().map(executor_id),
            agent_id: v1::AgentId { value: self.agent_id.to_string() },
            state: self.state as i32,
            resources: self.spec.resources.to_proto(),
            statuses: self.statuses.iter().map(|status| status.to_proto(self)).collect(),
            status_update_state: self.status_update_state.map(|state| state as i32),
            status_update_uuid: self.status_update_uuid.map(uuid),
            labels: more.and_then(|more| more.labels.clone()),
            discovery: more.and_then(|more| more.discovery.clone()),
            container: more.and_then(|more| more.container.clone()),
            health_check: more.and_then(|more| more.health_check.clone()),
            kill_policy: more.and_then(|more| more.kill_policy),
            user: self.spec.user.as_deref().map(str::to_owned),
            limits: more.map(|more| more.limits.clone()).unwrap_or_default(),
        }
    }

    /// The answer to a scheduler that reconciles: the last state it was told of, or the latest.
    pub fn latest_status(&self, timestamp: f64) -> v1::TaskStatus {
        v1::TaskStatus {
            message: Some("Reconciliation: Latest task state".to_owned()),
            reason: Some(v1::task_status::Reason::Reconciliation as i32),
            ..self.current_status(self.status_update_state.unwrap_or(self.state), timestamp)
        }
    }

    /// A status of the master about the task, with the health and the container last reported.
    pub(crate) fn current_status(&self, state: v1::TaskState, timestamp: f64) -> v1::TaskStatus {
        let last = self.statuses.last();
        let container = self.statuses.iter().rev().find_map(|status| status.container.as_ref());
        v1::TaskStatus {
            task_id: v1::TaskId { value: self.id.to_string() },
            state: state as i32,
            source: Some(v1::task_status::Source::Master as i32),
            agent_id: Some(v1::AgentId { value: self.agent_id.to_string() }),
            executor_id: self.executor_id.as_deref().map(executor_id),
            timestamp: Some(timestamp),
            healthy: last.and_then(|status| status.healthy),
            check_status: last
                .and_then(|status| status.more.as_ref())
                .and_then(|more| more.check_status.clone()),
            container_status: container.map(|container| Box::new(container.to_proto())),
            ..v1::TaskStatus::default()
        }
    }
}

// === impl TaskSpec ===

impl TaskSpec {
    /// What a task to launch has in common with others like it.
    pub(crate) fn of_launch(
        task: &v1::TaskInfo,
        resources: Resources,
        role: Id,
        user: Option<Box<str>>,
    ) -> Self {
        let more = TaskSpecMore {
            limits: task.limits.clone(),
            labels: task.labels.clone(),
            discovery: task.discovery.clone(),
            container: task.container.clone(),
            health_check: task.health_check.clone(),
            kill_policy: task.kill_policy,
        };
        Self::new(&task.name, resources, role, user, more)
    }

    /// The same for a task that an agent reports.
    pub(crate) fn of_report(task: &v1::Task, resources: Resources, role: Id) -> Self {
        let more = TaskSpecMore {
            limits: task.limits.clone(),
            labels: task.labels.clone(),
            discovery: task.discovery.clone(),
            container: task.container.clone(),
            health_check: task.health_check.clone(),
            kill_policy: task.kill_policy,
        };
        Self::new(&task.name, resources, role, task.user.as_deref().map(Into::into), more)
    }

    fn new(
        name: &str,
        resources: Resources,
        role: Id,
        user: Option<Box<str>>,
        more: TaskSpecMore,
    ) -> Self {
        let more = (more != TaskSpecMore::default()).then(|| Box::new(more));
        Self { name: name.into(), role, resources, user, more }
    }
}

// === impl Status ===

impl Status {
    /// Compacts a status of `task`, sharing with the status before it what did not change.
    pub(crate) fn from_proto(
        status: &v1::TaskStatus,
        task: &Task,
        networks: &mut Option<Arc<[v1::NetworkInfo]>>,
    ) -> Self {
        let more = StatusMore {
            message: status.message.as_deref().map(Into::into),
            labels: status.labels.clone(),
            check_status: status.check_status.clone(),
            limitation: status.limitation.clone(),
            unreachable_time_ns: status.unreachable_time.as_ref().map(|time| time.nanoseconds),
        };
        Self {
            state: status.state(),
            source: status.source.and_then(|n| v1::task_status::Source::try_from(n).ok()),
            reason: status.reason.and_then(|n| v1::task_status::Reason::try_from(n).ok()),
            healthy: status.healthy,
            timestamp: status.timestamp.unwrap_or(0.0),
            uuid: status.uuid.as_ref().and_then(|bytes| bytes.as_ref().try_into().ok()),
            executor_id: status.executor_id.as_ref().map(|id| share(&id.value, task)),
            container: status
                .container_status
                .as_deref()
                .map(|container| container_status(container, task, networks)),
            more: (more != StatusMore::default()).then(|| Box::new(more)),
        }
    }

    /// The status message, without `data`.
    pub fn to_proto(&self, task: &Task) -> v1::TaskStatus {
        let more = self.more.as_deref();
        v1::TaskStatus {
            task_id: v1::TaskId { value: task.id.to_string() },
            state: self.state as i32,
            message: more.and_then(|more| more.message.as_deref()).map(str::to_owned),
            source: self.source.map(|source| source as i32),
            reason: self.reason.map(|reason| reason as i32),
            agent_id: Some(v1::AgentId { value: task.agent_id.to_string() }),
            executor_id: self.executor_id.as_deref().map(executor_id),
            timestamp: Some(self.timestamp),
            uuid: self.uuid.map(uuid),
            healthy: self.healthy,
            labels: more.and_then(|more| more.labels.clone()),
            container_status: self.container.as_deref().map(|c| Box::new(c.to_proto())),
            unreachable_time: more
                .and_then(|more| more.unreachable_time_ns)
                .map(|nanoseconds| v1::TimeInfo { nanoseconds }),
            check_status: more.and_then(|more| more.check_status.clone()),
            limitation: more.and_then(|more| more.limitation.clone()),
            ..v1::TaskStatus::default()
        }
    }
}

fn share(executor: &str, task: &Task) -> Id {
    if *executor == *task.id {
        return task.id.clone();
    }
    if let Some(known) = task.executor_id.as_ref().filter(|known| ***known == *executor) {
        return known.clone();
    }
    executor.into()
}

fn container_status(
    container: &v1::ContainerStatus,
    task: &Task,
    networks: &mut Option<Arc<[v1::NetworkInfo]>>,
) -> Arc<ContainerStatus> {
    let last = task.statuses.iter().rev().find_map(|status| status.container.as_ref());
    if let Some(last) = last.filter(|last| last.is(container)) {
        return last.clone();
    }
    let network_infos = match networks {
        Some(known) if **known == *container.network_infos => known.clone(),
        _ => {
            let new: Arc<[v1::NetworkInfo]> = container.network_infos.as_slice().into();
            *networks = Some(new.clone());
            new
        }
    };
    Arc::new(ContainerStatus {
        container_id: container.container_id.clone().map(Box::new),
        network_infos,
        cgroup_info: container.cgroup_info.clone(),
        executor_pid: container.executor_pid,
    })
}

// === impl ContainerStatus ===

impl ContainerStatus {
    fn is(&self, other: &v1::ContainerStatus) -> bool {
        self.container_id.as_deref() == other.container_id.as_ref()
            && self.executor_pid == other.executor_pid
            && self.cgroup_info == other.cgroup_info
            && *self.network_infos == *other.network_infos
    }

    /// The message.
    pub fn to_proto(&self) -> v1::ContainerStatus {
        v1::ContainerStatus {
            container_id: self.container_id.as_deref().cloned(),
            network_infos: self.network_infos.to_vec(),
            cgroup_info: self.cgroup_info.clone(),
            executor_pid: self.executor_pid,
        }
    }
}

// === impl Agent ===

impl Agent {
    /// The registered info, resources included.
    pub fn info_proto(&self) -> v1::AgentInfo {
        let mut info = v1::AgentInfo::clone(&self.info);
        info.resources = self.info_resources.to_proto();
        info
    }

    /// Whether it told that it has `capability`.
    pub fn capable(&self, capability: v1::agent_info::capability::Type) -> bool {
        self.capabilities.contains(&(capability as i32))
    }
}

// === impl Framework ===

impl Framework {
    /// Whether it told that it has `capability`.
    pub fn capable(&self, capability: v1::framework_info::capability::Type) -> bool {
        self.info.capabilities.iter().any(|known| known.r#type == Some(capability as i32))
    }

    /// In use and offered.
    pub fn allocated(&self) -> Resources {
        &self.used + &self.offered
    }
}

// === impl Executor ===

impl Executor {
    /// The id the framework gave it.
    pub fn id(&self) -> &str {
        &self.info.executor_id.value
    }
}

// === impl Offer ===

impl Offer {
    /// The message, for a framework that keeps `allocation_info` and refined reservations.
    pub fn to_proto(&self, agent: &Agent) -> v1::Offer {
        v1::Offer {
            id: v1::OfferId { value: self.id.to_string() },
            framework_id: v1::FrameworkId { value: self.framework_id.to_string() },
            agent_id: v1::AgentId { value: self.agent_id.to_string() },
            hostname: agent.info.hostname.clone(),
            url: agent_url(agent),
            domain: agent.info.domain.clone(),
            resources: self.resources.to_proto(),
            attributes: agent.info.attributes.clone(),
            allocation_info: Some(v1::resource::AllocationInfo {
                role: Some(self.role.to_string()),
            }),
            ..v1::Offer::default()
        }
    }
}

// === impl OfferParts ===

impl OfferParts {
    /// The message in the form its framework understands.
    pub fn to_proto(&self, framework: &Framework) -> v1::Offer {
        use v1::framework_info::capability::Type as Capability;
        let mut shown = self.offer.to_proto(&self.agent);
        shown.executor_ids.clone_from(&self.executors);
        if !framework.capable(Capability::ReservationRefinement)
            && let Ok(resources) = self.offer.resources.to_proto_pre_refinement()
        {
            shown.resources = resources;
        }
        if !framework.capable(Capability::MultiRole) {
            shown.allocation_info = None;
            shown.resources.iter_mut().for_each(|resource| resource.allocation_info = None);
        }
        shown
    }
}

fn agent_url(agent: &Agent) -> Option<v1::Url> {
    let (id, address) = agent.pid.split_once('@')?;
    let (ip, port) = address.rsplit_once(':')?;
    Some(v1::Url {
        scheme: "http".to_owned(),
        address: v1::Address {
            hostname: Some(agent.info.hostname.clone()),
            ip: Some(ip.to_owned()),
            port: port.parse().ok()?,
        },
        path: Some(format!("/{id}")),
        ..v1::Url::default()
    })
}

// === impl Snapshot ===

impl Snapshot {
    /// Every role that exists: subscribed to, allocated, reserved, weighted, and all their ancestors.
    ///
    /// Computed by the reader; sorted by name.
    pub fn roles(&self, whitelist: Option<&[String]>) -> Vec<RoleView> {
        let mut roles = BTreeMap::<Arc<str>, RoleView>::new();
        for name in whitelist.into_iter().flatten().chain(self.weights.keys()) {
            roles.entry(name.as_str().into()).or_default();
        }
        for view in &self.frameworks {
            add_framework(&mut roles, &view.framework);
        }
        for agent in self.agents.iter() {
            for (name, resources) in agent.total.reservations() {
                roles.entry(name).or_default().reserved += &resources;
            }
        }
        let ancestors: Vec<Arc<str>> = roles.keys().flat_map(|name| parents(name)).collect();
        for name in ancestors {
            roles.entry(name).or_default();
        }
        roles
            .into_iter()
            .map(|(name, role)| RoleView {
                weight: self.weights.get(&*name).copied().unwrap_or(1.0),
                name,
                ..role
            })
            .collect()
    }
}

fn add_framework(roles: &mut BTreeMap<Arc<str>, RoleView>, framework: &Framework) {
    let used = framework.used.allocations();
    let offered = framework.offered.allocations();
    let mut names: Vec<&Arc<str>> =
        framework.roles.iter().chain(used.keys()).chain(offered.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let role = roles.entry(name.clone()).or_default();
        role.frameworks.push(framework.id.clone());
        if let Some(used) = used.get(name) {
            role.allocated += used;
        }
        if let Some(offered) = offered.get(name) {
            role.offered += offered;
        }
    }
}

fn parents(role: &str) -> impl Iterator<Item = Arc<str>> {
    role.match_indices('/').filter_map(|(at, _)| role.get(..at)).map(Into::into)
}

fn executor_id(id: &str) -> v1::ExecutorId {
    v1::ExecutorId { value: id.to_owned() }
}

fn uuid(bytes: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&bytes)
}
