//! What goes on once the registry says so; agents that are removed.
use mesos_messages::v1;
use smallvec::smallvec;
use v1::{TaskState, task_status::Reason};

use super::{
    Change, MasterCore,
    agents::sorted,
    outbound::News,
    state::{AgentKey, FrameworkKey, Pending, Removal},
    tasks::MasterStatus,
};
use crate::model::{Id, OperatorEvent};

impl MasterCore {
    pub(super) fn written(&mut self, ticket: u64) {
        match self.pending.remove(&ticket) {
            Some(Pending::Register { from, newcomer }) => self.registered(from, *newcomer),
            Some(Pending::Readmit { from, message }) => self.readmit(from, *message),
            Some(Pending::Update { from, message }) => self.reregistered(from, *message),
            Some(Pending::Remove { agent, cause, reason }) => {
                self.agents.busy.remove(&agent);
                self.removed(&agent, cause, reason);
            }
            Some(Pending::Unreachable { agent, since_ns, message, recovered }) => {
                self.agents.busy.remove(&agent);
                self.unreachable(&agent, since_ns, &message, recovered);
            }
            Some(Pending::Nothing) | None => {}
        }
    }

    fn unreachable(&mut self, id: &Id, since_ns: i64, message: &str, recovered: bool) {
        self.counters.slave_removals += 1;
        self.counters.slave_removals_unhealthy += 1;
        self.agents.unreachable.insert(id.clone(), since_ns);
        if recovered {
            self.agents.recovered.remove(id);
            self.counters.recovery_slave_removals += 1;
            return self.tell_agent_lost(id);
        }
        let Some(agent) = self.agents.key(id) else { return };
        self.alloc_remove_agent(agent);
        self.end_tasks_of(agent, |core, key| MasterStatus {
            state: core.lost_or(key, TaskState::TaskUnreachable),
            reason: Reason::AgentRemoved,
            message,
            unreachable_ns: Some(since_ns),
        });
        self.forget_agent(agent);
        self.tell_agent_lost(id);
    }

    fn removed(&mut self, id: &Id, cause: &str, reason: Removal) {
        let Some((agent, record, _)) = self.agents.by_id(id) else { return };
        self.counters.slave_removals += 1;
        match reason {
            Removal::Registered => self.counters.slave_removals_registered += 1,
            Removal::Unregistered => self.counters.slave_removals_unregistered += 1,
        }
        let text = format!("Agent {} removed: {cause}", record.info.hostname);
        self.alloc_remove_agent(agent);
        self.end_tasks_of(agent, |_, _| MasterStatus {
            state: TaskState::TaskLost,
            reason: Reason::AgentRemoved,
            message: &text,
            unreachable_ns: None,
        });
        self.forget_agent(agent);
        self.tell_agent_lost(id);
        let id = id.clone();
        self.tell_operators(|| OperatorEvent::AgentRemoved(id));
    }

    fn end_tasks_of<'a>(
        &mut self,
        agent: AgentKey,
        status: impl Fn(&Self, FrameworkKey) -> MasterStatus<'a>,
    ) {
        let Some((_, state)) = self.agents.get(agent) else { return };
        for task in sorted(state.tasks.iter().copied()) {
            let status = status(self, task.framework);
            self.end_task(task.framework, task.slot, &status, true);
        }
    }

    fn forget_agent(&mut self, agent: AgentKey) {
        let Some((_, state)) = self.agents.get(agent) else { return };
        let mut executors: Vec<(FrameworkKey, u32)> = state.executors.iter().copied().collect();
        executors.sort_unstable();
        for (key, slot) in executors {
            self.remove_executor(key, agent, slot);
        }
        self.rescind_offers_on(agent);
        self.agents.remove(agent);
    }

    fn tell_agent_lost(&mut self, id: &Id) {
        let connected: Vec<FrameworkKey> = self
            .frameworks
            .iter()
            .filter(|(_, framework)| framework.is_connected())
            .map(|(key, _)| key)
            .collect();
        for key in connected {
            self.tell(key, News::AgentLost(id.clone()));
        }
    }

    /// Old unreachable and gone agents leave the registry.
    pub(super) fn registry_gc(&mut self) {
        let age = self.now.wall.saturating_sub(self.config.registry_max_agent_age);
        let oldest = mesos_messages::time::nanos(age);
        let max = self.config.registry_max_agent_count;
        let mut forgotten = outdated(&self.agents.unreachable, oldest, max);
        forgotten.retain(|id| !self.agents.busy.contains(id));
        for id in &forgotten {
            self.agents.unreachable.remove(id);
            self.agents.unreachable_tasks.remove(id);
        }
        let gone = outdated(&self.agents.gone, oldest, max);
        for id in &gone {
            self.agents.gone.remove(id);
        }
        forgotten.extend(gone);
        for id in forgotten {
            self.ticket(smallvec![Change::Forget(id)], Pending::Nothing);
        }
    }
}

fn outdated(agents: &std::collections::BTreeMap<Id, i64>, oldest: i64, max: usize) -> Vec<Id> {
    let mut by_age: Vec<(&Id, i64)> = agents.iter().map(|(id, since)| (id, *since)).collect();
    by_age.sort_by_key(|(_, since)| *since);
    let surplus = by_age.len().saturating_sub(max);
    let old = by_age.iter().enumerate().filter(|(at, (_, since))| *at < surplus || *since < oldest);
    old.map(|(_, (id, _))| (*id).clone()).collect()
}
