//! Status updates on their way to schedulers, acknowledgements on their way back, and kills.
use libprocess::Upid;
use mesos_messages::{internal, v1};
use v1::scheduler::call;

use super::{
    MasterCore, Outgoing,
    outbound::{self, Forwarded, News},
    state::{FrameworkKey, TaskKey},
    tasks::is_terminal,
};

impl MasterCore {
    pub(super) fn status_update(&mut self, from: &Upid, message: internal::StatusUpdateMessage) {
        self.counters.messages_status_update += 1;
        if self.forward_update(from, message).is_none() {
            self.counters.invalid_status_updates += 1;
        } else {
            self.counters.valid_status_updates += 1;
        }
    }

    /// None if the update does not fit what the master knows, or nobody could be told.
    fn forward_update(
        &mut self,
        from: &Upid,
        message: internal::StatusUpdateMessage,
    ) -> Option<()> {
        let internal::StatusUpdateMessage { update, pid } = message;
        let agent_id = update.slave_id.as_ref()?;
        let (agent, record, state) = self.agents.by_id(&agent_id.value)?;
        if state.pid != *from {
            return None;
        }
        let uuid: [u8; 16] = update.uuid.as_ref()?.as_ref().try_into().ok()?;
        let pid = pid.filter(|pid| !pid.is_empty()).unwrap_or_else(|| record.pid.to_string());
        let key = self.frameworks.key(&update.framework_id.value)?;
        let framework = self.frameworks.get_mut(key)?;
        let connected = framework.is_connected();
        let slot = framework.task_slots.get(update.status.task_id.value.as_str()).copied();
        // The same id may be in use on another agent.
        let slot = slot.filter(|slot| {
            framework.tasks.get(*slot).is_some_and(|task| *task.agent_id == *agent_id.value)
        });
        if let Some(slot) = slot.filter(|_| connected)
            && let Some(task) = framework.tasks.get_mut(slot)
        {
            // An update that was overtaken must not hide that the end was forwarded.
            let state = update.status.state();
            if is_terminal(state) || !task.status_update_state.is_some_and(is_terminal) {
                task.status_update_state = Some(state);
                task.status_update_uuid = Some(uuid);
            }
        }
        let latest = update.latest_state.and_then(|state| v1::TaskState::try_from(state).ok());
        let forwarded = Forwarded { pid, latest_state: update.latest_state };
        let status = delivered(update);
        if let Some(slot) = slot {
            self.apply_status(key, slot, agent, &status, latest);
        }
        if connected {
            self.tell(key, News::Update { status, agent: Some(forwarded) });
        }
        (connected && slot.is_some()).then_some(())
    }

    pub(super) fn acknowledge(&mut self, key: FrameworkKey, acknowledge: call::Acknowledge) {
        self.counters.messages_status_update_acknowledgement += 1;
        if self.pass_acknowledgement(key, acknowledge).is_none() {
            self.counters.invalid_status_update_acknowledgements += 1;
        } else {
            self.counters.valid_status_update_acknowledgements += 1;
        }
    }

    fn pass_acknowledgement(
        &mut self,
        key: FrameworkKey,
        acknowledge: call::Acknowledge,
    ) -> Option<()> {
        let (agent, record, state) = self.agents.by_id(&acknowledge.agent_id.value)?;
        if !record.connected {
            return None;
        }
        let to = state.pid.clone();
        let agent_id = record.id.clone();
        let framework = self.frameworks.get(key)?;
        let framework_id = outbound::framework_id(&framework.record.id);
        let slot = framework.task_slots.get(acknowledge.task_id.value.as_str()).copied();
        let task = slot.and_then(|slot| framework.tasks.get(slot));
        if let (Some(slot), Some(task)) = (slot, task.filter(|task| task.agent_id == agent_id)) {
            // An update that this master never forwarded is not its scheduler's to acknowledge;
            // the agent sends it again.
            let forwarded = task.status_update_state?;
            let is_it = task.status_update_uuid.is_some_and(|uuid| *acknowledge.uuid == uuid);
            if is_terminal(forwarded) && is_it {
                self.remove_task(key, slot, agent, false);
            }
        }
        let message = internal::StatusUpdateAcknowledgementMessage {
            slave_id: acknowledge.agent_id,
            framework_id,
            task_id: acknowledge.task_id,
            uuid: acknowledge.uuid,
        };
        self.send(to, Outgoing::Acknowledge(message));
        Some(())
    }

    pub(super) fn kill(&mut self, key: FrameworkKey, kill: call::Kill) {
        self.counters.messages_kill_task += 1;
        let Some(framework) = self.frameworks.get(key) else { return };
        let slot = framework.task_slots.get(kill.task_id.value.as_str()).copied();
        let Some((slot, task)) = slot.and_then(|slot| Some((slot, framework.tasks.get(slot)?)))
        else {
            let task = call::reconcile::Task { task_id: kill.task_id, agent_id: kill.agent_id };
            return self.reconcile(key, call::Reconcile { tasks: vec![task] });
        };
        if kill.agent_id.as_ref().is_some_and(|agent| *agent.value != *task.agent_id) {
            return;
        }
        let framework_id = outbound::framework_id(&framework.record.id);
        let Some(agent) = self.agents.key(&task.agent_id) else { return };
        let Some(state) = self.agents.state_mut(agent) else { return };
        // Sent again if the agent turns out not to have got it.
        state.killed.insert(TaskKey { framework: key, slot });
        let to = state.pid.clone();
        if self.is_agent_connected(agent) {
            let message = internal::KillTaskMessage {
                framework_id,
                task_id: kill.task_id,
                kill_policy: kill.kill_policy,
            };
            self.send(to, Outgoing::KillTask(message));
        }
    }

    pub(super) fn is_agent_connected(&self, agent: u32) -> bool {
        self.agents.records.get(agent).is_some_and(|record| record.connected)
    }

    /// A message of an executor to its scheduler.
    pub(super) fn executor_message(&mut self, message: internal::ExecutorToFrameworkMessage) {
        self.counters.messages_executor_to_framework += 1;
        let key = self.frameworks.key(&message.framework_id.value);
        let key = key.filter(|key| {
            self.frameworks.get(*key).is_some_and(|framework| framework.is_connected())
        });
        let known = self.agents.key(&message.slave_id.value).is_some();
        let Some(key) = key.filter(|_| known) else {
            self.counters.invalid_executor_to_framework_messages += 1;
            return;
        };
        self.counters.valid_executor_to_framework_messages += 1;
        self.tell(
            key,
            News::Message {
                agent: message.slave_id,
                executor: message.executor_id,
                data: message.data,
            },
        );
    }

    /// Whether a message about an agent comes from it.
    pub(super) fn is_from(&self, from: &Upid, agent: &str) -> bool {
        self.agents.by_id(agent).is_some_and(|(_, _, state)| state.pid == *from)
    }
}

/// The status with what its envelope says.
fn delivered(update: internal::StatusUpdate) -> v1::TaskStatus {
    let mut status = update.status;
    status.agent_id = update.slave_id.or(status.agent_id);
    status.executor_id = update.executor_id.or(status.executor_id);
    status.timestamp = Some(update.timestamp);
    status.uuid = update.uuid;
    status
}
