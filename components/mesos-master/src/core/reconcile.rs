//! What schedulers learn when they ask how their tasks and operations are.
use std::sync::Arc;

use libprocess::Upid;
use mesos_messages::{internal, v1};
use v1::{
    OperationState, TaskState,
    agent_info::capability::Type as AgentCapability,
    scheduler::call,
    task_status::{Reason, Source},
};

use super::{
    Effect, MasterCore, Outgoing,
    outbound::{self, News},
    state::{Connection, FrameworkKey},
};
use crate::{handle::StreamEvent, model::Task};

impl MasterCore {
    pub(super) fn reconcile(&mut self, key: FrameworkKey, reconcile: call::Reconcile) {
        self.counters.messages_reconcile_tasks += 1;
        if reconcile.tasks.is_empty() {
            return self.reconcile_all(key);
        }
        for asked in reconcile.tasks {
            let Some(framework) = self.frameworks.get(key) else { return };
            let slot = framework.task_slots.get(asked.task_id.value.as_str()).copied();
            if let Some(task) = slot.and_then(|slot| framework.tasks.get(slot)) {
                self.tell_latest(key, task.clone());
            } else if let Some(status) = self.about_unknown(key, asked) {
                self.tell(key, News::Update { status, agent: None });
            }
        }
    }

    /// One update for each task, and nothing that marks the end.
    fn reconcile_all(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get(key) else { return };
        let tasks: Vec<Arc<Task>> = framework.tasks.iter().cloned().collect();
        for task in tasks {
            self.tell_latest(key, task);
        }
    }

    fn tell_latest(&mut self, key: FrameworkKey, task: Arc<Task>) {
        let timestamp = self.now.seconds();
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        if let Connection::Http { stream } = &framework.connection {
            let stream = stream.clone();
            framework.counters.events += 1;
            framework.counters.events_update += 1;
            let event = StreamEvent::Latest { task, timestamp };
            self.out.push(Effect::Event { stream, event });
        } else {
            let status = task.latest_status(timestamp);
            self.tell(key, News::Update { status, agent: None });
        }
    }

    /// The answer for a task the master does not have, if one can be given yet.
    fn about_unknown(
        &self,
        key: FrameworkKey,
        asked: call::reconcile::Task,
    ) -> Option<v1::TaskStatus> {
        let agent = asked.agent_id.as_ref().map(|id| id.value.as_str());
        let agents = &self.agents;
        let waits = match agent {
            Some(id) => agents.recovered.contains_key(id),
            None => !agents.recovered.is_empty(),
        };
        if waits {
            return None;
        }
        let since = agent.and_then(|id| agents.unreachable.get(id)).copied();
        let (state, message) = match agent {
            Some(id) if agents.key(id).is_some() => {
                (TaskState::TaskGone, "Reconciliation: Task is unknown to the agent")
            }
            Some(_) if since.is_some() => {
                (TaskState::TaskUnreachable, "Reconciliation: Task is unreachable")
            }
            Some(id) if agents.gone.contains_key(id) => {
                (TaskState::TaskGoneByOperator, "Reconciliation: Task is gone")
            }
            _ => (TaskState::TaskUnknown, "Reconciliation: Task is unknown"),
        };
        Some(v1::TaskStatus {
            task_id: asked.task_id,
            state: self.lost_or(key, state) as i32,
            message: Some(message.to_owned()),
            source: Some(Source::Master as i32),
            reason: Some(Reason::Reconciliation as i32),
            agent_id: asked.agent_id,
            timestamp: Some(self.now.seconds()),
            unreachable_time: since.map(|nanoseconds| v1::TimeInfo { nanoseconds }),
            ..v1::TaskStatus::default()
        })
    }

    pub(super) fn reconcile_operations(
        &mut self,
        key: FrameworkKey,
        reconcile: call::ReconcileOperations,
    ) {
        self.counters.messages_reconcile_operations += 1;
        let Some(framework) = self.frameworks.get(key) else { return };
        let framework_id = outbound::framework_id(&framework.record.id);
        let mut forwarded: Vec<(Upid, internal::ReconcileOperationsMessage)> = Vec::new();
        for asked in reconcile.operations {
            if let Some(to) = self.agent_to_ask(&asked) {
                let operation = internal::reconcile_operations_message::Operation {
                    operation_id: Some(asked.operation_id),
                    resource_provider_id: asked.resource_provider_id,
                    ..Default::default()
                };
                match forwarded.iter_mut().find(|(other, _)| *other == to) {
                    Some((_, message)) => message.operations.push(operation),
                    None => forwarded.push((
                        to,
                        internal::ReconcileOperationsMessage {
                            operations: vec![operation],
                            framework_id: Some(framework_id.clone()),
                        },
                    )),
                }
                continue;
            }
            let status = self.about_operation(asked);
            self.tell(key, News::OperationStatus(status));
        }
        for (to, message) in forwarded {
            self.send(to, Outgoing::ReconcileOperations(message));
        }
    }

    /// The agent that may know an operation of a resource provider the master does not know.
    fn agent_to_ask(&self, asked: &call::reconcile_operations::Operation) -> Option<Upid> {
        asked.resource_provider_id.as_ref()?;
        let (_, record, state) = self.agents.by_id(&asked.agent_id.as_ref()?.value)?;
        record.capable(AgentCapability::AgentOperationFeedback).then(|| state.pid.clone())
    }

    fn about_operation(&self, asked: call::reconcile_operations::Operation) -> v1::OperationStatus {
        let agents = &self.agents;
        let (state, message) = match asked.agent_id.as_ref().map(|id| id.value.as_str()) {
            None => (
                OperationState::OperationUnknown,
                "Reconciliation: Operation is unknown and no 'agent_id' was provided",
            ),
            Some(id) if agents.recovered.contains_key(id) => (
                OperationState::OperationRecovering,
                "Reconciliation: Agent is recovered but has not re-registered",
            ),
            Some(id) if agents.key(id).is_some() => {
                (OperationState::OperationUnknown, "Reconciliation: Operation is unknown")
            }
            Some(id) if agents.unreachable.contains_key(id) => {
                (OperationState::OperationUnreachable, "Reconciliation: Agent is unreachable")
            }
            Some(id) if agents.gone.contains_key(id) => (
                OperationState::OperationGoneByOperator,
                "Reconciliation: Agent marked gone by operator",
            ),
            Some(_) => (
                OperationState::OperationUnknown,
                "Reconciliation: Both operation and agent are unknown",
            ),
        };
        v1::OperationStatus {
            operation_id: Some(asked.operation_id),
            state: state as i32,
            message: Some(message.to_owned()),
            agent_id: asked.agent_id,
            resource_provider_id: asked.resource_provider_id,
            ..v1::OperationStatus::default()
        }
    }
}
