//! Agents as they live: pinged, disconnected, updated, leaving.
use std::net::SocketAddr;

use libprocess::Upid;
use mesos_messages::{internal, resources::Resources, v1};
use smallvec::smallvec;
use v1::{TaskState, task_status::Reason};

use super::{
    Change, Effect, MasterCore, Outgoing, Sender,
    outbound::News,
    state::{AgentKey, FrameworkKey, Pending, Removal, TaskKey},
    tasks::MasterStatus,
    timers::Timer,
};
use crate::model::Id;

impl MasterCore {
    pub(super) fn exited(&mut self, address: SocketAddr) {
        let at_address = self.frameworks.pids.iter().filter(|(pid, _)| pid.address == address);
        let mut frameworks: Vec<FrameworkKey> = at_address.map(|(_, key)| *key).collect();
        frameworks.sort_unstable();
        for key in frameworks {
            // It may still be listening.
            self.tell(key, News::Error("Framework disconnected".to_owned()));
            self.framework_exited(key);
        }
        for agent in self.agents.at.get(&address).cloned().unwrap_or_default() {
            self.agent_exited(agent);
        }
    }

    fn agent_exited(&mut self, agent: AgentKey) {
        let Some((record, state)) = self.agents.get(agent) else { return };
        if !record.connected {
            return;
        }
        tracing::info!(agent = %record.id, "agent disconnected");
        let observer = state.observer;
        if let Some(record) = self.agents.records.get_mut(agent) {
            record.connected = false;
            record.active = false;
        }
        self.alloc_deactivate_agent(agent);
        self.rescind_offers_on(agent);
        self.remove_volatile(agent);
        let Some(state) = self.agents.state_mut(agent) else { return };
        state.disconnections += 1;
        let disconnection = state.disconnections;
        let deadline = self.now.mono + self.config.agent_reregister_timeout;
        self.timers.set(deadline, Timer::AgentReregister { observer, disconnection });
    }

    /// What frameworks that do not checkpoint run dies with the agent's connection.
    fn remove_volatile(&mut self, agent: AgentKey) {
        let Some((record, state)) = self.agents.get(agent) else { return };
        let text = format!("Agent {} disconnected", record.info.hostname);
        let tasks = sorted(state.tasks.iter().copied());
        let executors: Vec<(FrameworkKey, u32)> = state.executors.iter().copied().collect();
        let is_volatile = |core: &Self, key: FrameworkKey| {
            core.frameworks.get(key).is_some_and(|f| !f.record.info.checkpoint())
        };
        for task in tasks {
            if is_volatile(self, task.framework) {
                let status = MasterStatus {
                    state: TaskState::TaskLost,
                    reason: Reason::AgentDisconnected,
                    message: &text,
                    unreachable_ns: None,
                };
                self.end_task(task.framework, task.slot, &status, true);
            }
        }
        for (key, slot) in executors {
            if is_volatile(self, key) {
                self.remove_executor(key, agent, slot);
            }
        }
    }

    pub(super) fn agent_reregister_due(&mut self, observer: u64, disconnection: u64) {
        let Some(agent) = self.agents.observers.get(&observer).copied() else { return };
        let Some((record, state)) = self.agents.get(agent) else { return };
        if record.connected || state.disconnections != disconnection {
            return;
        }
        let id = record.id.clone();
        self.counters.slave_unreachable_scheduled += 1;
        self.counters.slave_unreachable_completed += 1;
        let timeout = mesos_messages::time::format_duration(self.config.agent_reregister_timeout);
        let text = format!("agent did not reregister within {timeout} after disconnecting");
        self.mark_unreachable(&id, text, false);
    }

    /// The first ping to a new agent, and the clock for the next.
    pub(super) fn start_pings(&mut self, agent: AgentKey) {
        let Some((_, state)) = self.agents.get(agent) else { return };
        let observer = state.observer;
        self.ping(agent);
        self.timers.set(self.now.mono + self.config.agent_ping_timeout, Timer::Ping { observer });
    }

    fn ping(&mut self, agent: AgentKey) {
        let connected = self.is_agent_connected(agent);
        let Some(state) = self.agents.state_mut(agent) else { return };
        state.pinged = true;
        let (observer, to) = (state.observer, state.pid.clone());
        self.ping_from(observer, to, connected);
    }

    pub(super) fn ping_from(&mut self, observer: u64, to: Upid, connected: bool) {
        self.out.push(Effect::Send {
            from: Sender::Observer(observer),
            to,
            message: Outgoing::Ping(internal::PingSlaveMessage { connected }),
        });
    }

    pub(super) fn ping_due(&mut self, observer: u64) {
        let Some(agent) = self.agents.observers.get(&observer).copied() else { return };
        let max = self.config.max_agent_ping_timeouts;
        let Some(state) = self.agents.state_mut(agent) else { return };
        if state.pinged {
            state.missed_pings += 1;
            if state.missed_pings >= max
                && let Some(id) = self.agents.records.get(agent).map(|record| record.id.clone())
            {
                self.counters.slave_unreachable_scheduled += 1;
                self.counters.slave_unreachable_completed += 1;
                self.mark_unreachable(&id, "health check timed out".to_owned(), false);
            }
        }
        self.start_pings(agent);
    }

    pub(super) fn pong(&mut self, observer: u64) {
        let Some(agent) = self.agents.observers.get(&observer).copied() else { return };
        if let Some(state) = self.agents.state_mut(agent) {
            state.pinged = false;
            state.missed_pings = 0;
        }
    }

    /// Begins to give an agent up; it is done when it is written.
    pub(super) fn mark_unreachable(&mut self, id: &Id, message: String, recovered: bool) {
        if !self.agents.busy.insert(id.clone()) {
            return;
        }
        tracing::warn!(agent = %id, %message, "marking agent unreachable");
        let since_ns = mesos_messages::time::nanos(self.now.wall);
        let changes = smallvec![Change::Unreachable(id.clone(), since_ns)];
        let agent = id.clone();
        self.ticket(changes, Pending::Unreachable { agent, since_ns, message, recovered });
    }

    pub(super) fn recovered_agents_due(&mut self) {
        let late: Vec<Id> = self.agents.recovered.keys().cloned().collect();
        for id in late {
            let text = "Agent did not reregister after master failover".to_owned();
            self.mark_unreachable(&id, text, true);
        }
    }

    /// An agent says that it leaves for good.
    pub(super) fn unregister(&mut self, from: &Upid, id: &str) {
        self.counters.messages_unregister_slave += 1;
        if self.is_from(from, id) {
            self.begin_removal(id, "the agent unregistered", Removal::Unregistered);
        }
    }

    pub(super) fn begin_removal(&mut self, id: &str, cause: &'static str, reason: Removal) {
        let id: Id = id.into();
        if self.agents.busy.insert(id.clone()) {
            let changes = smallvec![Change::Remove(id.clone())];
            self.ticket(changes, Pending::Remove { agent: id, cause, reason });
        }
    }

    pub(super) fn update_agent(&mut self, from: &Upid, message: internal::UpdateSlaveMessage) {
        self.counters.messages_update_slave += 1;
        if !self.is_from(from, &message.slave_id.value) {
            return;
        }
        let Some(agent) = self.agents.key(&message.slave_id.value) else { return };
        let oversubscribes = message.update_oversubscribed_resources.unwrap_or(true);
        let Some(total) = self.new_total(agent, &message, oversubscribes) else { return };
        let Some(record) = self.agents.records.get(agent) else { return };
        let changed = record.total != total;
        if let Some(state) = self.agents.state_mut(agent)
            && message.resource_version_uuid.is_some()
        {
            state.resource_version = message.resource_version_uuid;
        }
        if !changed {
            return;
        }
        if let Some(record) = self.agents.records.get_mut(agent) {
            record.total = total;
        }
        self.alloc_update_agent(agent);
        self.rescind_stale(agent, oversubscribes);
    }

    /// Everything the agent has after an update; none if the update is not valid.
    fn new_total(
        &self,
        agent: AgentKey,
        message: &internal::UpdateSlaveMessage,
        oversubscribes: bool,
    ) -> Option<Resources> {
        let record = self.agents.records.get(agent)?;
        let own = record.total.filter(|item| item.provider_id().is_none());
        let mut total = own.non_revocable();
        if oversubscribes {
            total += &Resources::from_proto(&message.oversubscribed_resources).ok()?;
        } else {
            total += &own.revocable();
        }
        match &message.resource_providers {
            Some(providers) => {
                for provider in &providers.providers {
                    total += &Resources::from_proto(&provider.total_resources).ok()?;
                }
            }
            None => total += &record.total.filter(|item| item.provider_id().is_some()),
        }
        Some(total)
    }

    /// Offers of oversubscribed or provided resources no longer say the truth.
    fn rescind_stale(&mut self, agent: AgentKey, oversubscribes: bool) {
        let numbers = self.agents.get(agent).map(|(_, state)| state.offers.clone());
        for number in numbers.into_iter().flatten() {
            let stale = self.offer_record(number).is_some_and(|(_, offer)| {
                offer.resources.iter().any(|item| {
                    (oversubscribes && item.is_revocable()) || item.provider_id().is_some()
                })
            });
            if stale {
                self.rescind_offer(number);
            }
        }
    }
}

/// In an order that does not depend on hashing.
pub(super) fn sorted(tasks: impl Iterator<Item = TaskKey>) -> Vec<TaskKey> {
    let mut tasks: Vec<TaskKey> = tasks.collect();
    tasks.sort_unstable_by_key(|task| (task.framework, task.slot));
    tasks
}
