//! Executors in the books.
use std::sync::Arc;

use mesos_messages::{internal, resources::Resources, v1};

use super::{
    MasterCore,
    outbound::News,
    state::{AgentKey, FrameworkKey},
};
use crate::model::Executor;

impl MasterCore {
    pub(super) fn add_executor(
        &mut self,
        key: FrameworkKey,
        agent: AgentKey,
        info: v1::ExecutorInfo,
        resources: Resources,
    ) {
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let Some(record) = self.agents.records.get_mut(agent) else { return };
        framework.record_mut().used += &resources;
        record.used += &resources;
        let executor = Executor {
            shared_id: info.executor_id.value.as_str().into(),
            framework_id: framework.record.id.clone(),
            agent_id: record.id.clone(),
            info: Arc::new(info),
            resources,
        };
        let slot = framework.executors.insert(Arc::new(executor));
        framework.executor_slots.entry(agent).or_default().push(slot);
        if let Some(state) = self.agents.state_mut(agent) {
            state.executors.insert((key, slot));
        }
    }

    pub(super) fn remove_executor(&mut self, key: FrameworkKey, agent: AgentKey, slot: u32) {
        if let Some(state) = self.agents.state_mut(agent) {
            state.executors.remove(&(key, slot));
        }
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        if let Some(slots) = framework.executor_slots.get_mut(&agent) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                framework.executor_slots.remove(&agent);
            }
        }
        let Some(executor) = framework.executors.remove(slot) else { return };
        framework.record_mut().used -= &executor.resources;
        if let Some(record) = self.agents.records.get_mut(agent) {
            record.used -= &executor.resources;
        }
        self.alloc_recover(key, agent, &executor.resources, None);
    }

    pub(super) fn remove_executors_of(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get(key) else { return };
        let all: Vec<(AgentKey, u32)> = framework
            .executor_slots
            .iter()
            .flat_map(|(agent, slots)| slots.iter().map(|slot| (*agent, *slot)))
            .collect();
        for (agent, slot) in all {
            self.remove_executor(key, agent, slot);
        }
    }

    pub(super) fn exited_executor(&mut self, message: internal::ExitedExecutorMessage) {
        self.counters.messages_exited_executor += 1;
        let Some(agent) = self.agents.key(&message.slave_id.value) else { return };
        let Some(key) = self.frameworks.key(&message.framework_id.value) else { return };
        let slot = self
            .frameworks
            .get(key)
            .and_then(|framework| framework.executor_slot(agent, &message.executor_id.value));
        let Some(slot) = slot else { return };
        self.remove_executor(key, agent, slot);
        self.tell(
            key,
            News::ExecutorExited {
                agent: message.slave_id,
                executor: message.executor_id,
                status: message.status,
            },
        );
    }
}
