//! Status updates on their way from executors (and from the agent itself) to the master.

use super::{
    Channel, Core, Effects, Outbound, Timer,
    executor::ExecutorState,
    updates::{Acked, StreamKey, is_terminal},
};
use crate::checkpoint::{Run, Write};
use mesos_messages::{
    internal::{self, StatusUpdate},
    time::Now,
    v1::{
        self, TaskState,
        task_status::{Reason, Source},
    },
};
use std::{sync::Arc, time::Duration};

/// An executor with more to say before the news of its start is told without its pid.
const MAX_EARLY: usize = 64;

impl Core {
    /// An update that the agent makes itself.
    pub(super) fn agent_update(
        &mut self,
        now: Now,
        framework_id: &str,
        task_id: &str,
        executor_id: Option<&str>,
        state: TaskState,
        reason: Reason,
        message: String,
    ) -> StatusUpdate {
        let uuid = self.uuid();
        let executor_id = executor_id.map(|id| v1::ExecutorId { value: id.to_owned() });
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task_id.to_owned() },
            state: state as i32,
            message: Some(message),
            source: Some(Source::Agent as i32),
            reason: Some(reason as i32),
            agent_id: Some(self.agent_id()),
            executor_id: executor_id.clone(),
            timestamp: Some(now.seconds()),
            uuid: Some(uuid.clone()),
            ..Default::default()
        };
        StatusUpdate {
            framework_id: v1::FrameworkId { value: framework_id.to_owned() },
            executor_id,
            slave_id: Some(self.agent_id()),
            status,
            timestamp: now.seconds(),
            uuid: Some(uuid),
            latest_state: None,
        }
    }

    /// An update from an executor, over either protocol.
    pub(super) fn v0_status_update(
        &mut self,
        now: Now,
        from: &str,
        message: internal::StatusUpdateMessage,
        fx: &mut Effects,
    ) {
        let update = message.update;
        // A task in this state was never started: the executor does not know what it does.
        if update.status.state() == TaskState::TaskStaging {
            if let Some(run) = self.run_of(&update) {
                self.shutdown_executor(now, &run, fx);
            }
            self.counters.invalid_status_updates += 1;
            return;
        }
        let channel = Channel::V0(Arc::from(from));
        self.executor_update(now, update, &channel, fx);
    }

    fn run_of(&self, update: &StatusUpdate) -> Option<Arc<Run>> {
        let framework = self.frameworks.get(&update.framework_id.value)?;
        let named = update.executor_id.as_ref().and_then(|id| framework.executors.get(&id.value));
        let executor = match named {
            Some(executor) => executor,
            None => framework.executor_of(&update.status.task_id.value)?,
        };
        Some(Arc::clone(&executor.run))
    }

    /// Takes an update that an executor sent; it is acknowledged on `channel` once it is safe.
    pub(super) fn executor_update(
        &mut self,
        now: Now,
        mut update: StatusUpdate,
        channel: &Channel,
        fx: &mut Effects,
    ) {
        let uuid = match update.uuid.clone().or_else(|| update.status.uuid.clone()) {
            Some(uuid) if uuid.len() == 16 => uuid,
            _ => {
                // Very old executors send none; without one nobody could acknowledge it.
                self.uuid()
            }
        };
        update.uuid = Some(uuid.clone());
        update.status.uuid = Some(uuid);
        update.status.source = Some(Source::Executor as i32);
        update.status.agent_id = Some(self.agent_id());
        update.slave_id = Some(self.agent_id());
        update.status.timestamp.get_or_insert(update.timestamp);
        let run = self.run_of(&update);
        let executor = run.as_ref().and_then(|run| self.executor_mut(run));
        // Frameworks are told the pid, which the start's answer brings.
        if let Some(early) = executor.and_then(|executor| executor.early.as_mut())
            && early.len() < MAX_EARLY
        {
            early.push((update, channel.clone()));
            return;
        }
        self.status_update(now, update, Some(channel), fx);
    }

    /// Takes an update, whoever made it.
    pub(super) fn status_update(
        &mut self,
        now: Now,
        mut update: StatusUpdate,
        channel: Option<&Channel>,
        fx: &mut Effects,
    ) {
        let Some(framework) = self.frameworks.get(&update.framework_id.value) else {
            tracing::warn!(framework = %update.framework_id.value, "update of an unknown framework");
            self.counters.invalid_status_updates += 1;
            return;
        };
        if framework.terminating {
            self.counters.invalid_status_updates += 1;
            return;
        }
        self.explain_by_drain(framework, &mut update);
        let key = (update.framework_id.value.clone(), update.status.task_id.value.clone());
        if self.streams.seen(&key, update.uuid.as_deref().unwrap_or_default()) {
            if let Some(channel) = channel {
                self.acknowledge_to_executor(channel, &update, fx);
            }
            return;
        }
        let Some(run) = self.run_of(&update) else {
            self.counters.valid_status_updates += 1;
            self.stream_update(now, Arc::new(update), None, fx);
            return;
        };
        self.complete_status(&run, &mut update);
        let Some(executor) = self.executor_mut(&run) else { return };
        if let Err(bad) = executor.update_task(&update.status) {
            tracing::warn!(task = %key.1, ?bad, "ignored a status update");
            self.counters.invalid_status_updates += 1;
            // Acknowledged nevertheless: repeating it would not make it right.
            if let Some(channel) = channel {
                self.acknowledge_to_executor(channel, &update, fx);
            }
            return;
        }
        let checkpoint = executor.checkpoint.then(|| Arc::clone(&run));
        let terminal = is_terminal(update.status.state);
        self.counters.valid_status_updates += 1;
        if terminal {
            self.counters.count_terminal(update.status.state());
        }
        let update = Arc::new(update);
        let front = self.push_update(&update, checkpoint, fx);
        if let Some(channel) = channel {
            self.acknowledge_to_executor(channel, &update, fx);
        }
        if front {
            self.forward(now, &key, fx);
        }
        if terminal {
            self.task_ended(now, &run, fx);
        }
    }

    /// What the agent knows better than the executor.
    fn complete_status(&self, run: &Arc<Run>, update: &mut StatusUpdate) {
        let Some(executor) = self.executor(run) else { return };
        let id = v1::ExecutorId { value: run.executor_id.clone() };
        update.executor_id = Some(id.clone());
        update.status.executor_id = Some(id);
        let status = update.status.container_status.get_or_insert_default();
        if status.container_id.is_none() {
            status.container_id =
                Some(v1::ContainerId { value: run.container_id.clone(), parent: None });
        }
        if status.executor_pid.is_none() {
            status.executor_pid = executor.forked_pid;
        }
        if status.network_infos.is_empty() {
            status.network_infos.push(v1::NetworkInfo::default());
        }
        for network in &mut status.network_infos {
            if network.ip_addresses.is_empty() {
                network.ip_addresses.push(v1::network_info::IpAddress {
                    protocol: None,
                    ip_address: Some(self.own_ip().to_owned()),
                });
            }
        }
    }

    fn own_ip(&self) -> &str {
        let address = self.settings.pid.split_once('@').map_or("", |(_, address)| address);
        address.rsplit_once(':').map_or(address, |(ip, _)| ip)
    }

    /// A task of an executor reached its end: the container needs less, or nothing any more.
    fn task_ended(&mut self, now: Now, run: &Arc<Run>, fx: &mut Effects) {
        let Some(executor) = self.executor(run) else { return };
        // A command executor ends with its task.
        if !executor.generated && executor.state == ExecutorState::Running {
            self.push_limits(now, run, fx);
        }
    }

    /// Stores an update and forwards it when its turn comes.
    pub(super) fn stream_update(
        &mut self,
        now: Now,
        update: Arc<StatusUpdate>,
        checkpoint: Option<Arc<Run>>,
        fx: &mut Effects,
    ) {
        if is_terminal(update.status.state) {
            self.counters.count_terminal(update.status.state());
        }
        if self.push_update(&update, checkpoint, fx) {
            let key = (update.framework_id.value.clone(), update.status.task_id.value.clone());
            self.forward(now, &key, fx);
        }
    }

    fn push_update(
        &mut self,
        update: &Arc<StatusUpdate>,
        checkpoint: Option<Arc<Run>>,
        fx: &mut Effects,
    ) -> bool {
        if let Some(run) = &checkpoint {
            Self::write(Write::Update(Arc::clone(run), Arc::clone(update)), fx);
        }
        let key = (update.framework_id.value.clone(), update.status.task_id.value.clone());
        self.streams.push(key, checkpoint, Arc::clone(update))
    }

    /// Sends the update in flight of one task to the master.
    pub(super) fn forward(&mut self, now: Now, key: &StreamKey, fx: &mut Effects) {
        if self.state != super::State::Running {
            return;
        }
        let Some(update) = self.streams.front(key).cloned() else { return };
        let mut update = (*update).clone();
        let task = self
            .frameworks
            .get_mut(&key.0)
            .and_then(|framework| framework.executor_of_mut(&key.1)?.task_mut(&key.1));
        if let Some(task) = task {
            update.latest_state = Some(task.state);
            let task = Arc::make_mut(task);
            task.status_update_state = Some(update.status.state);
            task.status_update_uuid = update.uuid.clone();
        } else {
            update.latest_state = Some(update.status.state);
        }
        let message =
            internal::StatusUpdateMessage { update, pid: Some(self.settings.pid.clone()) };
        self.send_to_master(Outbound::StatusUpdate(Box::new(message)), fx);
        if let Some(at) = self.streams.mark_sent(now.mono, key) {
            self.arm_retry(at);
        }
    }

    fn arm_retry(&mut self, at: Duration) {
        if self.retry_timer.is_none_or(|armed| at < armed) {
            self.retry_timer = Some(at);
            self.timers.add(at, Timer::RetryUpdates);
        }
    }

    pub(super) fn retry_updates(&mut self, now: Now, fx: &mut Effects) {
        if self.retry_timer.is_some_and(|at| at > now.mono) {
            return;
        }
        self.retry_timer = None;
        if self.state == super::State::Running {
            for key in self.streams.expired(now.mono) {
                self.resend(&key, fx);
            }
            if let Some(next) = self.streams.next_retry() {
                self.arm_retry(next);
            }
        }
    }

    fn resend(&mut self, key: &StreamKey, fx: &mut Effects) {
        let Some(update) = self.streams.front(key) else { return };
        tracing::debug!(task = %key.1, "resending an update that was not acknowledged");
        let mut update = (**update).clone();
        let latest = self
            .frameworks
            .get(&key.0)
            .and_then(|framework| framework.executor_of(&key.1))
            .and_then(|executor| {
                executor.all_tasks().find(|task| task.task_id.value == key.1).map(|task| task.state)
            });
        update.latest_state = Some(latest.unwrap_or(update.status.state));
        let message =
            internal::StatusUpdateMessage { update, pid: Some(self.settings.pid.clone()) };
        self.send_to_master(Outbound::StatusUpdate(Box::new(message)), fx);
    }

    /// Sends every update in flight again, of one framework or of all.
    pub(super) fn resend_updates(&mut self, now: Now, framework: Option<&str>, fx: &mut Effects) {
        for key in self.streams.keys(framework) {
            self.forward(now, &key, fx);
        }
    }

    /// The framework has taken note of an update.
    pub(super) fn acknowledgement(
        &mut self,
        now: Now,
        message: &internal::StatusUpdateAcknowledgementMessage,
        fx: &mut Effects,
    ) {
        let key = (message.framework_id.value.clone(), message.task_id.value.clone());
        let (path, closed, next) = match self.streams.acknowledge(&key, &message.uuid) {
            Acked::Unexpected => {
                tracing::debug!(task = %key.1, "ignored an unexpected acknowledgement");
                return;
            }
            Acked::More { path, next } => (path, false, next),
            Acked::Closed { path } => (path, true, false),
        };
        if let Some(run) = path {
            let uuid = message.uuid.clone();
            Self::write(Write::Ack { run, task_id: key.1.clone(), uuid }, fx);
        }
        if next {
            self.forward(now, &key, fx);
        }
        if closed {
            self.task_completed(now, &key, fx);
        }
    }

    fn task_completed(&mut self, now: Now, key: &StreamKey, fx: &mut Effects) {
        let keep = self.settings.max_completed_tasks_per_executor;
        let Some(framework) = self.frameworks.get_mut(&key.0) else { return };
        if let Some(executor) = framework.executor_of_mut(&key.1) {
            executor.complete_task(&key.1, keep);
            if executor.state == ExecutorState::Terminated && executor.is_idle() {
                let run = Arc::clone(&executor.run);
                self.remove_executor(now, &run, fx);
            }
        }
        self.remove_framework_if_idle(now, &key.0);
    }

    // Frameworks change too: their schedulers move, their facts are updated.
    pub(super) fn update_framework(
        &mut self,
        now: Now,
        message: internal::UpdateFrameworkMessage,
        fx: &mut Effects,
    ) {
        let id = message.framework_id.value;
        let Some(framework) = self.frameworks.get_mut(&id) else { return };
        if framework.terminating {
            return;
        }
        framework.pid = super::scheduler_pid(message.pid.as_deref());
        if let Some(info) = message.framework_info {
            framework.info = Arc::new(info);
        }
        if framework.checkpoint() {
            let (info, pid) = (Arc::clone(&framework.info), framework.pid.clone());
            Self::write(Write::Framework { info, pid: pid.map(|pid| pid.to_string()) }, fx);
        }
        self.resend_updates(now, Some(&id), fx);
    }

    /// A scheduler's message for an executor, by way of the master or straight from a driver.
    pub(super) fn framework_message(
        &mut self,
        from: &str,
        message: internal::FrameworkToExecutorMessage,
        fx: &mut Effects,
    ) {
        let framework = self.frameworks.get(&message.framework_id.value);
        let driver = framework.and_then(|framework| framework.pid.as_deref());
        if !self.is_master(from) && driver != Some(from) {
            self.counters.invalid_framework_messages += 1;
            return self.ignore_stranger(from);
        }
        let channel = framework
            .filter(|framework| !framework.terminating)
            .and_then(|framework| framework.executors.get(&message.executor_id.value))
            .filter(|executor| executor.state == ExecutorState::Running)
            .and_then(|executor| executor.channel.clone());
        match channel {
            None => self.counters.invalid_framework_messages += 1,
            Some(Channel::V0(pid)) => {
                self.counters.valid_framework_messages += 1;
                Self::send(&pid, Outbound::FrameworkToExecutor(message), fx);
            }
            Some(Channel::V1(stream)) => {
                use v1::executor::{Event, event};
                self.counters.valid_framework_messages += 1;
                let event = Event {
                    r#type: Some(event::Type::Message as i32),
                    message: Some(event::Message { data: message.data }),
                    ..Event::default()
                };
                Self::event(stream, event, fx);
            }
        }
    }

    /// An executor's message for its scheduler: straight to one that speaks v0.
    pub(super) fn executor_message(
        &mut self,
        message: internal::ExecutorToFrameworkMessage,
        fx: &mut Effects,
    ) {
        let Some(framework) = self
            .frameworks
            .get(&message.framework_id.value)
            .filter(|framework| !framework.terminating && self.state == super::State::Running)
        else {
            self.counters.invalid_framework_messages += 1;
            return;
        };
        let to = framework.pid.clone().unwrap_or_else(|| Arc::clone(&self.master.pid));
        self.counters.valid_framework_messages += 1;
        Self::send(&to, Outbound::ExecutorToFramework(message), fx);
    }
}
