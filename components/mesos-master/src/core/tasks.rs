//! The life of a task in the books: added, updated, ended, removed.
use std::sync::Arc;

use mesos_messages::{resources::Resources, time::Now, v1};
use v1::{
    TaskState,
    task_status::{Reason, Source},
};

use super::{
    MasterCore,
    outbound::{self, News},
    state::{AgentKey, FrameworkKey, TaskKey},
};
use crate::model::{Id, OperatorEvent, Status, Task, TaskSpec};

/// A status that the master itself gives to a task.
pub(super) struct MasterStatus<'a> {
    pub(super) state: TaskState,
    pub(super) reason: Reason,
    pub(super) message: &'a str,
    pub(super) unreachable_ns: Option<i64>,
}

impl MasterCore {
    pub(super) fn add_launched_task(
        &mut self,
        key: FrameworkKey,
        agent: AgentKey,
        info: &v1::TaskInfo,
        resources: Resources,
        role: &Id,
    ) {
        let command = info.command.as_deref();
        let of_executor =
            || info.executor.as_ref().and_then(|executor| executor.command.as_deref());
        let user = command
            .and_then(|command| command.user.as_deref())
            .or_else(|| of_executor().and_then(|command| command.user.as_deref()));
        let spec = TaskSpec::of_launch(info, resources, role.clone(), user.map(Into::into));
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let Some(record) = self.agents.records.get(agent) else { return };
        let task = Task {
            id: info.task_id.value.as_str().into(),
            framework_id: framework.record.id.clone(),
            agent_id: record.id.clone(),
            executor_id: info.executor.as_ref().map(|executor| {
                let id = &executor.executor_id.value;
                let known = framework.executor(agent, id);
                known.map_or_else(|| Id::from(id.as_str()), |known| known.shared_id.clone())
            }),
            spec: framework.specs.share(spec),
            state: TaskState::TaskStaging,
            status_update_state: None,
            status_update_uuid: None,
            statuses: Vec::new(),
        };
        self.insert_task(key, agent, task);
    }

    /// Puts a task into the books; its resources count as used unless it has ended.
    pub(super) fn insert_task(&mut self, key: FrameworkKey, agent: AgentKey, task: Task) {
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let id = task.id.clone();
        let spec = task.spec.clone();
        let is_over = is_over(task.state);
        if !is_terminal(task.state) {
            framework.active.add(task.state);
        }
        let task = Arc::new(task);
        let shown = self.observed.then(|| task.clone());
        let slot = framework.tasks.insert(task);
        framework.task_slots.insert(id, slot);
        if !is_over {
            framework.record_mut().used += &spec.resources;
            if let Some(record) = self.agents.records.get_mut(agent) {
                record.used += &spec.resources;
            }
        }
        if let Some(state) = self.agents.state_mut(agent) {
            state.tasks.insert(TaskKey { framework: key, slot });
        }
        if let Some(task) = shown {
            self.tell_operators(|| OperatorEvent::TaskAdded(task));
        }
    }

    /// Enters a status; frees the resources of a task that ends by it.
    pub(super) fn apply_status(
        &mut self,
        key: FrameworkKey,
        slot: u32,
        agent: AgentKey,
        status: &v1::TaskStatus,
        latest: Option<TaskState>,
    ) {
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let Some(task) = framework.tasks.get_mut(slot) else { return };
        let state = latest.unwrap_or(status.state());
        let ends = !is_over(task.state) && is_over(state);
        if !is_terminal(task.state) && task.state != state {
            framework.active.remove(task.state);
            if is_terminal(state) {
                framework.terminal.add(state);
            } else {
                framework.active.add(state);
            }
            task.state = state;
        }
        let mut tell = matches!(
            status.reason(),
            Reason::TaskCheckStatusUpdated | Reason::TaskHealthCheckStatusUpdated
        ) && status.reason.is_some();
        let mut none = None;
        let networks = self.agents.state_mut(agent).map(|state| &mut state.networks);
        let record = Status::from_proto(status, task, networks.unwrap_or(&mut none));
        match task.statuses.last_mut().filter(|last| last.state == record.state) {
            Some(last) => *last = record,
            None => {
                tell = true;
                task.statuses.reserve_exact(1);
                task.statuses.push(record);
            }
        }
        let (spec, latest) = (task.spec.clone(), task.state);
        let id = task.framework_id.clone();
        if tell {
            self.tell_operators(|| OperatorEvent::TaskUpdated {
                framework_id: id,
                status: Arc::new(status.clone()),
                state: latest,
            });
        }
        if ends {
            self.release(key, agent, &spec.resources);
            self.count_terminal(
                status.state(),
                status.source(),
                status.reason.map(|_| status.reason()),
            );
        }
    }

    fn release(&mut self, key: FrameworkKey, agent: AgentKey, resources: &Resources) {
        if let Some(framework) = self.frameworks.get_mut(key) {
            framework.record_mut().used -= resources;
        }
        if let Some(record) = self.agents.records.get_mut(agent) {
            record.used -= resources;
        }
        self.alloc_recover(key, agent, resources, None);
    }

    /// Ends a task by word of the master and takes it out of the books.
    pub(super) fn end_task(
        &mut self,
        key: FrameworkKey,
        slot: u32,
        status: &MasterStatus<'_>,
        tell: bool,
    ) {
        let Some(task) = self.frameworks.get(key).and_then(|framework| framework.tasks.get(slot))
        else {
            return;
        };
        let Some(agent) = self.agents.key(&task.agent_id) else { return };
        let message = status.message_for(task, self.now);
        self.apply_status(key, slot, agent, &message, None);
        self.remove_task(key, slot, agent, status.unreachable_ns.is_some());
        if tell {
            self.tell(key, News::Update { status: message, agent: None });
        }
    }

    /// Takes a task out of the books: to the completed ones, or to the unreachable ones.
    pub(super) fn remove_task(
        &mut self,
        key: FrameworkKey,
        slot: u32,
        agent: AgentKey,
        unreachable: bool,
    ) {
        let limit = self.config.max_completed_tasks_per_framework;
        let limit_unreachable = self.config.max_unreachable_tasks_per_framework;
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let Some(task) = framework.tasks.remove(slot) else { return };
        framework.task_slots.remove(&task.id);
        let at = TaskKey { framework: key, slot };
        if let Some(state) = self.agents.state_mut(agent) {
            state.tasks.remove(&at);
            state.killed.remove(&at);
        }
        if !is_over(task.state) {
            framework.active.remove(task.state);
            let spec = task.spec.clone();
            framework.complete(task, limit);
            return self.release(key, agent, &spec.resources);
        }
        if unreachable {
            let place = self.agents.unreachable_tasks.entry(task.agent_id.clone()).or_default();
            place.push((task.framework_id.clone(), task.id.clone()));
            framework.lose(task, limit_unreachable);
        } else {
            framework.complete(task, limit);
        }
    }

    /// Counts a task that has ended, by state and by reason.
    pub(super) fn count_terminal(
        &mut self,
        state: TaskState,
        source: Source,
        reason: Option<Reason>,
    ) {
        let counters = &mut self.counters;
        let counter = match state {
            TaskState::TaskFinished => &mut counters.tasks_finished,
            TaskState::TaskFailed => &mut counters.tasks_failed,
            TaskState::TaskKilled => &mut counters.tasks_killed,
            TaskState::TaskLost => &mut counters.tasks_lost,
            TaskState::TaskError => &mut counters.tasks_error,
            TaskState::TaskDropped => &mut counters.tasks_dropped,
            TaskState::TaskGone => &mut counters.tasks_gone,
            TaskState::TaskGoneByOperator => &mut counters.tasks_gone_by_operator,
            _ => return,
        };
        *counter += 1;
        if let Some(reason) = reason {
            *self.task_reasons.entry((state as i32, source as i32, reason as i32)).or_default() +=
                1;
        }
    }
}

// === impl MasterStatus ===

impl MasterStatus<'_> {
    pub(super) fn message_for(&self, task: &Task, now: Now) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: outbound::task_id(&task.id),
            state: self.state as i32,
            message: Some(self.message.to_owned()),
            source: Some(Source::Master as i32),
            reason: Some(self.reason as i32),
            agent_id: Some(outbound::agent_id(&task.agent_id)),
            executor_id: task
                .executor_id
                .as_ref()
                .map(|id| v1::ExecutorId { value: id.to_string() }),
            timestamp: Some(now.seconds()),
            unreachable_time: self.unreachable_ns.map(|nanoseconds| v1::TimeInfo { nanoseconds }),
            ..v1::TaskStatus::default()
        }
    }

    pub(super) fn record(&self, task: &Task, now: Now) -> Status {
        Status::from_proto(&self.message_for(task, now), task, &mut None)
    }
}

/// Whether a task in `state` never changes again.
pub(super) fn is_terminal(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFinished
            | TaskState::TaskFailed
            | TaskState::TaskKilled
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
    )
}

/// Whether a task in `state` uses no resources.
pub(super) fn is_over(state: TaskState) -> bool {
    is_terminal(state) || state == TaskState::TaskUnreachable
}
