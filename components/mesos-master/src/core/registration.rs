//! Agents that come, or come back.
use std::sync::Arc;

use libprocess::Upid;
use mesos_messages::{
    internal::{self, RegisterSlaveMessage, ReregisterSlaveMessage},
    resources::Resources,
    v1,
};
use rustc_hash::FxHashSet;
use smallvec::{SmallVec, smallvec};

use super::{
    Admitted, Change, Effect, MasterCore, Outgoing, Registry, outbound,
    state::{AgentKey, AgentState, Newcomer, Pending, Removal},
    subscribe::update_message,
    timers::Timer,
    validate,
};
use crate::model::{Agent, Id, OperatorEvent};

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
        let newcomer = self.newcomer(
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
        let newcomer = self.newcomer(
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
        let version = self.last_agent.version(message.version.as_deref().unwrap_or_default());
        let capabilities = self.last_agent.capabilities(&message.agent_capabilities);
        let Some(record) = self.agents.records.get_mut(agent) else { return };
        record.pid = pid;
        record.reregistered_time = Some(now);
        record.version = version;
        record.capabilities = capabilities;
        let same = record.info_proto() == message.slave;
        if !same && let Ok(resources) = Resources::from_proto(&message.slave.resources) {
            record.total = total(&resources, &message.checkpointed_resources);
            record.info_resources = resources;
            record.info = Arc::new(bare(message.slave.clone()));
        }
        self.alloc_update_agent(agent);
    }

    /// Reads what an agent says of itself; none if its resources cannot be read.
    fn newcomer(
        &mut self,
        info: &v1::AgentInfo,
        version: Option<&str>,
        capabilities: &[v1::agent_info::Capability],
        checkpointed: &[v1::Resource],
        resource_version: Option<v1::Uuid>,
    ) -> Option<Newcomer> {
        let resources = self.last_agent.resources(&info.resources)?;
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
            version: self.last_agent.version(version.unwrap_or_default()),
            capabilities: self.last_agent.capabilities(capabilities),
            resource_version,
        })
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

/// What agents on equal machines share.
#[derive(Debug, Default)]
pub(super) struct Alike {
    wire: Vec<v1::Resource>,
    resources: Resources,
    version: Option<Arc<str>>,
    capabilities: Option<Arc<[i32]>>,
}

// === impl Alike ===

impl Alike {
    fn resources(&mut self, wire: &[v1::Resource]) -> Option<Resources> {
        if *self.wire != *wire {
            self.resources = Resources::from_proto(wire).ok()?;
            self.wire = wire.to_vec();
        }
        Some(self.resources.clone())
    }

    fn version(&mut self, version: &str) -> Arc<str> {
        match &self.version {
            Some(known) if **known == *version => known.clone(),
            _ => self.version.insert(version.into()).clone(),
        }
    }

    fn capabilities(&mut self, list: &[v1::agent_info::Capability]) -> Arc<[i32]> {
        let new: SmallVec<[i32; 16]> = list.iter().filter_map(|one| one.r#type).collect();
        match &self.capabilities {
            Some(known) if **known == *new => known.clone(),
            _ => self.capabilities.insert(new.as_slice().into()).clone(),
        }
    }
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
