//! Agents that come, or come back.
use std::sync::Arc;

use libprocess::Upid;
use mesos_messages::{
    internal::{self, RegisterSlaveMessage, ReregisterSlaveMessage},
    resources::Resources,
    v1,
};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::smallvec;
use v1::task_status::{Reason, Source};

use super::{
    Admitted, Change, Effect, MasterCore, Outgoing, Registry,
    outbound::{self, News},
    state::{AgentKey, AgentState, FrameworkKey, Newcomer, Pending, Removal, TaskKey},
    subscribe::update_message,
    tasks::{is_over, is_terminal},
    timers::Timer,
    validate,
};
use crate::model::{Agent, Id, OperatorEvent, Status, Task, TaskSpec};

impl MasterCore {
    /// Takes over what the registry says.
    pub(super) fn recover(&mut self, registry: Registry) {
        self.agents.unreachable = registry.unreachable.into_iter().collect();
        self.agents.gone = registry.gone.into_iter().collect();
        for admitted in registry.admitted {
            let Some(id) = admitted.info.id.as_ref().map(|id| Id::from(id.value.as_str())) else {
                continue;
            };
            // An agent that did not notice that this master restarted re-registers
            // on hearing that the master does not think it connected.
            if let Some(pid) = admitted.pid.clone() {
                let observer = self.next_observer();
                self.ping_from(observer, pid, false);
            }
            self.agents.recovered.insert(id, admitted);
        }
        if !self.agents.recovered.is_empty() {
            let deadline = self.now.mono + self.config.agent_reregister_timeout;
            self.timers.set(deadline, Timer::RecoveredAgents);
        }
    }

    fn next_observer(&mut self) -> u64 {
        self.agents.next_observer += 1;
        self.agents.next_observer
    }

    pub(super) fn register(&mut self, from: Upid, mut message: RegisterSlaveMessage) {
        self.counters.messages_register_slave += 1;
        if let Err(reason) = validate::register(&message) {
            tracing::warn!(%from, %reason, "dropping a registration");
            return;
        }
        if self.agents.registering.contains(&from)
            || !self.is_admissible(&from, &message.slave, message.version.as_deref())
        {
            return;
        }
        if let Some(agent) = self.agents.pids.get(&from).copied()
            && let Some((record, _)) = self.agents.get(agent)
        {
            let id = record.id.clone();
            if record.connected {
                return self.send_registered(&from, &id);
            }
            self.begin_removal(
                &id,
                "a new agent registered at the same address",
                Removal::Registered,
            );
        }
        let id = format!("{}-S{}", self.master.info.id, self.next_agent);
        self.next_agent += 1;
        message.slave.id = Some(v1::AgentId { value: id });
        let newcomer = newcomer(
            &message.slave,
            message.version.as_deref(),
            &message.agent_capabilities,
            &message.checkpointed_resources,
            message.resource_version_uuid,
        );
        let Some(newcomer) = newcomer else { return };
        self.agents.registering.insert(from.clone());
        let admitted = Admitted { info: message.slave, pid: Some(from.clone()) };
        let changes = smallvec![Change::Put(Box::new(admitted))];
        self.ticket(changes, Pending::Register { from, newcomer: Box::new(newcomer) });
    }

    /// The admission is durable.
    pub(super) fn registered(&mut self, from: Upid, newcomer: Newcomer) {
        self.agents.registering.remove(&from);
        let Some(agent) = self.insert_agent(from.clone(), newcomer, None) else { return };
        self.counters.slave_registrations += 1;
        self.alloc_add_agent(agent, &[]);
        if let Some(record) = self.agents.records.get(agent) {
            let (record, id) = (record.clone(), record.id.clone());
            tracing::info!(agent = %id, pid = %from, "registered agent");
            self.send_registered(&from, &id);
            self.tell_operators(|| OperatorEvent::AgentAdded(record));
        }
        self.start_pings(agent);
    }

    fn send_registered(&mut self, to: &Upid, id: &Id) {
        let message = internal::SlaveRegisteredMessage {
            slave_id: outbound::agent_id(id),
            connection: Some(self.agent_connection()),
        };
        self.send(to.clone(), Outgoing::AgentRegistered(message));
    }

    fn agent_connection(&self) -> internal::MasterSlaveConnection {
        let timeout = self.config.total_ping_timeout();
        internal::MasterSlaveConnection { total_ping_timeout_seconds: Some(timeout.as_secs_f64()) }
    }

    fn is_admissible(&self, from: &Upid, info: &v1::AgentInfo, version: Option<&str>) -> bool {
        let refused = if !is_supported(version.unwrap_or_default()) {
            "its version is not supported"
        } else if info.domain.is_some() && self.master.info.domain.is_none() {
            "it has a domain and the master has none"
        } else if info.domain.is_none() && self.config.require_agent_domain {
            "it has no domain"
        } else {
            return true;
        };
        tracing::warn!(%from, refused, "ignoring an agent");
        false
    }

    pub(super) fn reregister(&mut self, from: Upid, message: ReregisterSlaveMessage) {
        self.counters.messages_reregister_slave += 1;
        let id: Id = message.slave.id.as_ref().map_or("", |id| &id.value).into();
        if self.agents.busy.contains(&id) {
            return;
        }
        if self.agents.gone.contains_key(&id) {
            return self.shut_agent_down(from, "Agent has been marked gone");
        }
        if let Err(reason) = validate::reregister(&message) {
            tracing::warn!(%from, %reason, "dropping a re-registration");
            return;
        }
        if !self.is_admissible(&from, &message.slave, message.version.as_deref()) {
            return;
        }
        let admitted = Admitted { info: message.slave.clone(), pid: Some(from.clone()) };
        if let Some((_, record, state)) = self.agents.by_id(&id) {
            let moved = state.pid.address.ip() != from.address.ip()
                || record.info.hostname != message.slave.hostname;
            if moved {
                let text = "Agent attempted to reregister with different IP / hostname";
                return self.shut_agent_down(from, text);
            }
            if record.info_proto() == message.slave && state.pid == from {
                return self.reregistered(from, message);
            }
            self.agents.busy.insert(id);
            let changes = smallvec![Change::Put(Box::new(admitted))];
            self.ticket(changes, Pending::Update { from, message: Box::new(message) });
        } else if let Some(known) = self.agents.recovered.get(&id) {
            if known.info == message.slave {
                if known.pid.as_ref() != Some(&from) {
                    let changes = smallvec![Change::Put(Box::new(admitted))];
                    self.ticket(changes, Pending::Nothing);
                }
                return self.readmit(from, message);
            }
            self.agents.busy.insert(id);
            let changes = smallvec![Change::Put(Box::new(admitted))];
            self.ticket(changes, Pending::Readmit { from, message: Box::new(message) });
        } else {
            let changes = smallvec![Change::Put(Box::new(admitted)), Change::Reachable(id.clone())];
            self.agents.busy.insert(id);
            // Boxed pairs are written at once or not at all.
            self.ticket(changes, Pending::Readmit { from, message: Box::new(message) });
        }
    }

    fn shut_agent_down(&mut self, to: Upid, text: &str) {
        let message = internal::ShutdownMessage { message: Some(text.to_owned()) };
        self.send(to, Outgoing::Shutdown(message));
    }

    /// An agent that is not registered, with what it runs.
    pub(super) fn readmit(&mut self, from: Upid, message: ReregisterSlaveMessage) {
        let id: Id = message.slave.id.as_ref().map_or("", |id| &id.value).into();
        self.agents.busy.remove(&id);
        let was_unreachable = self.agents.unreachable.remove(&id).is_some();
        let was_recovered = self.agents.recovered.remove(&id).is_some();
        self.forget_lost_tasks(&id);
        let newcomer = newcomer(
            &message.slave,
            message.version.as_deref(),
            &message.agent_capabilities,
            &message.checkpointed_resources,
            message.resource_version_uuid,
        );
        let now = Some(self.now.seconds());
        let agent = newcomer.and_then(|one| self.insert_agent(from.clone(), one, now));
        let Some(agent) = agent else { return };
        self.counters.slave_reregistrations += 1;
        self.recover_frameworks(&message.frameworks);
        for info in message.executor_infos {
            self.add_reported_executor(agent, info);
        }
        let returns = (!was_recovered).then_some(if was_unreachable {
            "Unreachable agent re-reregistered"
        } else {
            "Unknown agent reregistered"
        });
        for task in message.tasks {
            self.add_reported_task(agent, task, returns);
        }
        self.add_archived(message.completed_frameworks);
        let used = self.used_by_framework(agent);
        self.alloc_add_agent(agent, &used);
        if let Some(record) = self.agents.records.get(agent).cloned() {
            tracing::info!(agent = %id, pid = %from, "re-registered agent");
            self.tell_operators(|| OperatorEvent::AgentAdded(record));
        }
        self.send_reregistered(&from, &id, Vec::new());
        self.start_pings(agent);
        self.tell_agent_of_frameworks(&from, &message.frameworks);
    }

    /// An agent that is registered, connected or not.
    pub(super) fn reregistered(&mut self, from: Upid, message: ReregisterSlaveMessage) {
        let id: Id = message.slave.id.as_ref().map_or("", |id| &id.value).into();
        self.agents.busy.remove(&id);
        let Some(agent) = self.agents.key(&id) else { return };
        self.agents.move_to(agent, from.clone());
        self.out.push(Effect::Link(from.clone()));
        self.counters.slave_reregistrations += 1;
        self.refresh_agent(agent, &from, &message);
        self.recover_frameworks(&message.frameworks);
        let reconciliations = self.unreported(agent, &message.tasks);
        self.send_reregistered(&from, &id, reconciliations);
        let held = self.used_by_framework(agent);
        self.match_executors(agent, message.executor_infos);
        self.match_tasks(agent, &from, message.tasks);
        self.recharge(agent, &held);
        if let Some(record) = self.agents.records.get_mut(agent)
            && !record.connected
        {
            record.connected = true;
            if !record.deactivated {
                record.active = true;
                self.alloc_activate_agent(agent);
            }
        }
        self.tell_agent_of_frameworks(&from, &message.frameworks);
    }

    fn refresh_agent(&mut self, agent: AgentKey, from: &Upid, message: &ReregisterSlaveMessage) {
        let now = self.now.seconds();
        let pid: Arc<str> = from.to_string().into();
        if let Some(state) = self.agents.state_mut(agent) {
            state.pinged = false;
            state.missed_pings = 0;
            if message.resource_version_uuid.is_some() {
                state.resource_version = message.resource_version_uuid.clone();
            }
        }
        let Some(record) = self.agents.records.get_mut(agent) else { return };
        record.pid = pid;
        record.reregistered_time = Some(now);
        record.version = message.version.as_deref().unwrap_or_default().into();
        record.capabilities = numbers(&message.agent_capabilities);
        let same = record.info_proto() == message.slave;
        if !same && let Ok(resources) = Resources::from_proto(&message.slave.resources) {
            record.total = total(&resources, &message.checkpointed_resources);
            record.info_resources = resources;
            record.info = Arc::new(bare(message.slave.clone()));
        }
        self.alloc_update_agent(agent);
    }

    fn insert_agent(
        &mut self,
        pid: Upid,
        newcomer: Newcomer,
        reregistered_time: Option<f64>,
    ) -> Option<AgentKey> {
        let id: Id = newcomer.info.id.as_ref()?.value.as_str().into();
        if self.agents.key(&id).is_some() {
            return None;
        }
        let record = Agent {
            id,
            pid: pid.to_string().into(),
            version: newcomer.version,
            capabilities: newcomer.capabilities,
            registered_time: self.now.seconds(),
            reregistered_time,
            connected: true,
            active: true,
            deactivated: false,
            total: newcomer.total,
            used: Resources::new(),
            offered: Resources::new(),
            info_resources: newcomer.resources,
            info: Arc::new(newcomer.info),
        };
        let state = AgentState {
            pid: pid.clone(),
            observer: self.next_observer(),
            tasks: FxHashSet::default(),
            killed: FxHashSet::default(),
            executors: FxHashSet::default(),
            offers: Default::default(),
            resource_version: newcomer.resource_version,
            pinged: false,
            missed_pings: 0,
            disconnections: 0,
            networks: None,
        };
        self.out.push(Effect::Link(pid));
        Some(self.agents.insert(record, state))
    }

    fn recover_frameworks(&mut self, infos: &[v1::FrameworkInfo]) {
        for info in infos {
            let id = info.id.as_ref().map_or("", |id| id.value.as_str());
            if self.frameworks.key(id).is_none() && !self.frameworks.completed_ids.contains(id) {
                self.recover_framework(info);
            }
        }
    }

    fn add_reported_executor(&mut self, agent: AgentKey, mut info: v1::ExecutorInfo) {
        let id = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
        let Some(key) = self.frameworks.key(id) else { return };
        self.inject_allocation(key, &mut info.resources);
        if let Ok(resources) = Resources::from_proto(&info.resources) {
            self.add_executor(key, agent, info, resources);
        }
    }

    /// Agents that know no multi-role frameworks report resources without their role.
    fn inject_allocation(&self, key: FrameworkKey, resources: &mut [v1::Resource]) {
        if resources.iter().all(|resource| resource.allocation_info.is_some()) {
            return;
        }
        let Some(framework) = self.frameworks.get(key) else { return };
        let role = framework.record.roles.first().map(|role| role.to_string());
        for resource in resources.iter_mut().filter(|one| one.allocation_info.is_none()) {
            resource.allocation_info = Some(v1::resource::AllocationInfo { role: role.clone() });
        }
    }

    /// A task in an agent's report; `returns` says how it comes that the scheduler must be told.
    fn add_reported_task(
        &mut self,
        agent: AgentKey,
        mut reported: v1::Task,
        returns: Option<&str>,
    ) {
        let Some(key) = self.frameworks.key(&reported.framework_id.value) else { return };
        self.inject_allocation(key, &mut reported.resources);
        let Some(task) = self.reported_task(key, agent, &reported) else { return };
        let id = task.id.clone();
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        if framework.task_slots.contains_key(&id) {
            return;
        }
        if returns.is_some() {
            framework.retain_unreachable(|other| other.id != id);
            if framework.completed.iter().any(|other| other.id == id) {
                Arc::make_mut(&mut framework.completed).retain(|other| other.id != id);
            }
        }
        let status = returns.map(|text| v1::TaskStatus {
            message: Some(text.to_owned()),
            reason: Some(Reason::AgentReregistered as i32),
            ..task.current_status(task.state, self.now.seconds())
        });
        self.insert_task(key, agent, task);
        if let Some(status) = status {
            self.tell(key, News::Update { status, agent: None });
        }
    }

    fn reported_task(
        &mut self,
        key: FrameworkKey,
        agent: AgentKey,
        reported: &v1::Task,
    ) -> Option<Task> {
        let resources = self.read_resources(&reported.resources)?;
        let record_id = self.agents.records.get(agent)?.id.clone();
        let framework = self.frameworks.get_mut(key)?;
        let role = resources.allocation_role().cloned().unwrap_or_else(|| "*".into());
        let executor_id = reported.executor_id.as_ref().map(|executor| {
            let known = framework.executor(agent, &executor.value);
            known.map_or_else(|| executor.value.as_str().into(), |known| known.shared_id.clone())
        });
        let spec = TaskSpec::of_report(reported, resources, role);
        let mut task = Task {
            id: reported.task_id.value.as_str().into(),
            framework_id: framework.record.id.clone(),
            agent_id: record_id,
            executor_id,
            spec: framework.specs.share(spec),
            state: reported.state(),
            status_update_state: reported
                .status_update_state
                .map(|_| reported.status_update_state()),
            status_update_uuid: reported
                .status_update_uuid
                .as_ref()
                .and_then(|uuid| uuid.as_ref().try_into().ok()),
            statuses: Vec::with_capacity(reported.statuses.len()),
        };
        let networks = &mut self.agents.state_mut(agent)?.networks;
        for status in &reported.statuses {
            let status = Status::from_proto(status, &task, networks);
            task.statuses.push(status);
        }
        Some(task)
    }

    /// Reads resources; most are like the ones before them.
    fn read_resources(&mut self, resources: &[v1::Resource]) -> Option<Resources> {
        if let Some((_, known)) = self.last_read.as_ref().filter(|(wire, _)| *wire == resources) {
            return Some(known.clone());
        }
        let read = Resources::from_proto(resources).ok()?;
        self.last_read = Some((resources.to_vec(), read.clone()));
        Some(read)
    }

    /// The tasks that were lost with the agent are not lost any more.
    fn forget_lost_tasks(&mut self, id: &Id) {
        for (framework, task) in self.agents.unreachable_tasks.remove(id).unwrap_or_default() {
            if let Some(key) = self.frameworks.key(&framework)
                && let Some(framework) = self.frameworks.get_mut(key)
            {
                framework.retain_unreachable(|other| other.id != task);
            }
        }
    }

    fn add_archived(&mut self, archived: Vec<internal::archive::Framework>) {
        let limit = self.config.max_completed_tasks_per_framework;
        for archive in archived {
            let id = archive.framework_info.id.as_ref().map_or("", |id| id.value.as_str());
            let Some(key) = self.frameworks.key(id) else { continue };
            for task in &archive.tasks {
                let Some(agent) = self.agents.key(&task.agent_id.value) else { continue };
                if let Some(task) = self.reported_task(key, agent, task)
                    && let Some(framework) = self.frameworks.get_mut(key)
                {
                    framework.complete(Arc::new(task), limit);
                }
            }
        }
    }

    fn used_by_framework(&self, agent: AgentKey) -> Vec<(FrameworkKey, Resources)> {
        let Some((_, state)) = self.agents.get(agent) else { return Vec::new() };
        let mut used: FxHashMap<FrameworkKey, Resources> = FxHashMap::default();
        for at in &state.tasks {
            let framework = self.frameworks.get(at.framework);
            if let Some(task) = framework.and_then(|framework| framework.tasks.get(at.slot))
                && !is_over(task.state)
            {
                *used.entry(at.framework).or_default() += &task.spec.resources;
            }
        }
        for (key, slot) in &state.executors {
            let framework = self.frameworks.get(*key);
            if let Some(executor) = framework.and_then(|framework| framework.executors.get(*slot)) {
                *used.entry(*key).or_default() += &executor.resources;
            }
        }
        let mut used: Vec<(FrameworkKey, Resources)> = used.into_iter().collect();
        used.sort_unstable_by_key(|(key, _)| *key);
        used
    }

    /// Tells the allocator if the agent turned out to run more than was known.
    fn recharge(&mut self, agent: AgentKey, before: &[(FrameworkKey, Resources)]) {
        let used = self.used_by_framework(agent);
        let grew = used.iter().any(|(key, now)| {
            let before = before.iter().find(|(other, _)| other == key);
            before.is_none_or(|(_, before)| !before.contains(now))
        });
        if grew {
            self.rescind_offers_on(agent);
            self.alloc_remove_agent(agent);
            self.alloc_add_agent(agent, &used);
            if self.agents.records.get(agent).is_some_and(|record| !record.active) {
                self.alloc_deactivate_agent(agent);
            }
        }
    }

    fn send_reregistered(
        &mut self,
        to: &Upid,
        id: &Id,
        reconciliations: Vec<internal::ReconcileTasksMessage>,
    ) {
        let message = internal::SlaveReregisteredMessage {
            slave_id: outbound::agent_id(id),
            reconciliations,
            connection: Some(self.agent_connection()),
        };
        self.send(to.clone(), Outgoing::AgentReregistered(message));
    }

    /// Tasks the agent should have and did not report: it must say what became of them.
    fn unreported(
        &self,
        agent: AgentKey,
        tasks: &[v1::Task],
    ) -> Vec<internal::ReconcileTasksMessage> {
        let Some((record, state)) = self.agents.get(agent) else { return Vec::new() };
        let reported: FxHashSet<(&str, &str)> = tasks
            .iter()
            .map(|task| (task.framework_id.value.as_str(), task.task_id.value.as_str()))
            .collect();
        let mut missing: Vec<internal::ReconcileTasksMessage> = Vec::new();
        let mut last = None;
        for at in super::agents::sorted(state.tasks.iter().copied()) {
            let Some(framework) = self.frameworks.get(at.framework) else { continue };
            let Some(task) = framework.tasks.get(at.slot) else { continue };
            if reported.contains(&(&*task.framework_id, &*task.id)) {
                continue;
            }
            if last.replace(at.framework) != Some(at.framework) {
                missing.push(internal::ReconcileTasksMessage {
                    framework_id: outbound::framework_id(&task.framework_id),
                    statuses: Vec::new(),
                    framework: Some(v1::FrameworkInfo::clone(&framework.record.info)),
                });
            }
            if let Some(message) = missing.last_mut() {
                message.statuses.push(v1::TaskStatus {
                    task_id: outbound::task_id(&task.id),
                    state: task.status_update_state.unwrap_or(task.state) as i32,
                    message: Some("Reconciliation request".to_owned()),
                    source: Some(Source::Master as i32),
                    reason: Some(Reason::Reconciliation as i32),
                    agent_id: Some(outbound::agent_id(&record.id)),
                    timestamp: Some(self.now.seconds()),
                    ..v1::TaskStatus::default()
                });
            }
        }
        missing
    }

    fn match_executors(&mut self, agent: AgentKey, reported: Vec<v1::ExecutorInfo>) {
        let Some((_, state)) = self.agents.get(agent) else { return };
        let mut known: Vec<(FrameworkKey, u32)> = state.executors.iter().copied().collect();
        known.sort_unstable();
        for (key, slot) in known {
            let is_reported = self
                .frameworks
                .get(key)
                .and_then(|framework| framework.executors.get(slot))
                .is_some_and(|executor| reported.iter().any(|info| is_same(info, executor)));
            if !is_reported {
                self.remove_executor(key, agent, slot);
            }
        }
        for info in reported {
            let id = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
            let is_known = self.frameworks.by_id(id).is_none_or(|framework| {
                framework.executor(agent, &info.executor_id.value).is_some()
            });
            if !is_known {
                // The allocator hears of it as of something newly used.
                self.add_reported_executor(agent, info);
            }
        }
    }

    /// Kills what should be dead, and takes back what was given up too early.
    fn match_tasks(&mut self, agent: AgentKey, from: &Upid, tasks: Vec<v1::Task>) {
        for task in tasks {
            if is_terminal(task.state()) {
                continue;
            }
            let Some(key) = self.frameworks.key(&task.framework_id.value) else { continue };
            let slot = self
                .frameworks
                .get(key)
                .and_then(|framework| framework.task_slots.get(task.task_id.value.as_str()))
                .copied();
            let Some(slot) = slot else {
                if !self.ended_by_agent(key, &task.task_id.value) {
                    self.add_reported_task(agent, task, Some("Unknown agent reregistered"));
                }
                continue;
            };
            let at = TaskKey { framework: key, slot };
            if self.agents.get(agent).is_some_and(|(_, state)| state.killed.contains(&at)) {
                let message = internal::KillTaskMessage {
                    framework_id: task.framework_id,
                    task_id: task.task_id,
                    kill_policy: None,
                };
                self.send(from.clone(), Outgoing::KillTask(message));
            }
        }
    }

    /// Whether a task ended by the word of its agent, so that an older report means nothing.
    fn ended_by_agent(&self, key: FrameworkKey, id: &str) -> bool {
        let Some(framework) = self.frameworks.get(key) else { return false };
        let ended = framework.completed.iter().rev().find(|task| *task.id == *id);
        ended
            .and_then(|task| task.statuses.last())
            .is_some_and(|last| last.source != Some(Source::Master))
    }

    /// What the agent's frameworks are now, and which of them are no more.
    fn tell_agent_of_frameworks(&mut self, to: &Upid, infos: &[v1::FrameworkInfo]) {
        for info in infos {
            let id = info.id.as_ref().map_or("", |id| id.value.as_str());
            if let Some(framework) = self.frameworks.by_id(id) {
                let message = Box::new(update_message(&framework.record));
                self.send(to.clone(), Outgoing::UpdateFramework(message));
            } else if self.frameworks.completed_ids.contains(id) {
                let framework_id = v1::FrameworkId { value: id.to_owned() };
                let message = internal::ShutdownFrameworkMessage { framework_id };
                self.send(to.clone(), Outgoing::ShutdownFramework(message));
            }
        }
    }
}

/// Reads what an agent says of itself; none if its resources cannot be read.
fn newcomer(
    info: &v1::AgentInfo,
    version: Option<&str>,
    capabilities: &[v1::agent_info::Capability],
    checkpointed: &[v1::Resource],
    resource_version: Option<v1::Uuid>,
) -> Option<Newcomer> {
    let resources = Resources::from_proto(&info.resources).ok()?;
    Some(Newcomer {
        info: v1::AgentInfo {
            hostname: info.hostname.clone(),
            port: info.port,
            resources: Vec::new(),
            attributes: info.attributes.clone(),
            id: info.id.clone(),
            domain: info.domain.clone(),
            checkpoint: info.checkpoint,
        },
        total: total(&resources, checkpointed),
        resources,
        version: version.unwrap_or_default().into(),
        capabilities: numbers(capabilities),
        resource_version,
    })
}

fn numbers(capabilities: &[v1::agent_info::Capability]) -> Arc<[i32]> {
    capabilities.iter().filter_map(|capability| capability.r#type).collect()
}

/// The info without the resources, which are kept in a smaller form.
fn bare(info: v1::AgentInfo) -> v1::AgentInfo {
    v1::AgentInfo { resources: Vec::new(), ..info }
}

/// Version 1.0.0 or later.
fn is_supported(version: &str) -> bool {
    let mut parts = version.splitn(3, '.');
    let major = parts.next().and_then(|part| part.parse::<u32>().ok());
    let minor = parts.next().is_some_and(|part| part.parse::<u32>().is_ok());
    major.is_some_and(|major| major >= 1) && minor && parts.next().is_some()
}

fn is_same(info: &v1::ExecutorInfo, executor: &crate::model::Executor) -> bool {
    info.executor_id.value == executor.id()
        && info.framework_id.as_ref().is_some_and(|id| *id.value == *executor.framework_id)
}

/// What the agent has, with dynamic reservations and volumes in the place of what they were made of.
fn total(resources: &Resources, checkpointed: &[v1::Resource]) -> Resources {
    let mut total = resources.clone();
    for resource in checkpointed {
        let Ok(converted) = Resources::from_proto(std::slice::from_ref(resource)) else { continue };
        let Ok(original) = Resources::from_proto(&[stripped(resource)]) else { continue };
        match total.checked_sub(&original) {
            Some(rest) => total = rest + converted,
            None => tracing::warn!(%converted, "a checkpointed resource is not among the agent's"),
        }
    }
    total
}

fn stripped(resource: &v1::Resource) -> v1::Resource {
    use v1::resource::reservation_info::Type;
    let mut resource = resource.clone();
    mesos_messages::resources::to_post_refinement(&mut resource);
    resource.reservations.retain(|reservation| reservation.r#type() != Type::Dynamic);
    resource.shared = None;
    if let Some(disk) = &mut resource.disk {
        disk.persistence = None;
        disk.volume = None;
        if disk.source.is_none() {
            resource.disk = None;
        }
    }
    resource
}
