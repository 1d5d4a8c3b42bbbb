//! Starting on what an earlier process wrote down.

use super::{
    Core, Drain, Effect, Effects, Framework, Outbound, State, Stop, Timer,
    executor::{Executor, ExecutorState, PendingTermination, record_status},
    input::ContainerEnd,
    updates::is_terminal,
};
use crate::checkpoint::{Recovered, RecoveredExecutor, RecoveredTask, Run};
use bytes::Bytes;
use mesos_messages::{
    internal::{self, StatusUpdate, status_update_record},
    time::{DurationText, Now},
    v1::{self, TaskState, task_status::Reason},
};
use std::{sync::Arc, time::Duration};

/// The state of a task's stream as written.
#[derive(Debug, Default)]
struct Replayed {
    task: v1::Task,
    pending: Vec<Arc<StatusUpdate>>,
    seen: Vec<Bytes>,
    completed: bool,
}

impl Core {
    pub(super) fn recover(&mut self, now: Now, recovered: Recovered, fx: &mut Effects) {
        self.loaded = true;
        self.timers.add(now.mono + self.settings.disk_watch_interval, Timer::Disk);
        fx.push(Effect::MeasureDisk);
        self.counters.recovery_errors = recovered.errors.len() as u64;
        if let Some(agent) = recovered.agent {
            let mut info = self.settings.info.clone();
            info.id = agent.id;
            self.info = Arc::new(info);
        }
        let mut gone = Vec::new();
        for framework in recovered.frameworks {
            let Some(id) = framework.info.id.as_ref().map(|id| id.value.clone()) else { continue };
            let pid = super::scheduler_pid(framework.pid.as_deref());
            self.frameworks.insert(id.clone(), Framework::new(framework.info, pid));
            for executor in framework.executors {
                let alive = !recovered.rebooted
                    && recovered.containers.contains(&executor.run.container_id);
                let container = executor.run.container_id.clone();
                self.restore_executor(executor);
                if alive {
                    self.awaited.insert(container);
                } else {
                    gone.push(container);
                }
            }
        }
        self.drain = recovered.drain.map(|config| Drain { config, since: now.wall });
        self.old_paths(now, recovered.old);
        for container in gone {
            let message = recovered.rebooted.then(|| "The agent's machine was rebooted".to_owned());
            let end = ContainerEnd { message, ..ContainerEnd::default() };
            self.terminated(now, &container, &end, fx);
        }
        let idle: Vec<String> = self.frameworks.keys().cloned().collect();
        for framework in idle {
            self.remove_framework_if_idle(now, &framework);
        }
        self.reconnect(now, fx);
    }

    fn restore_executor(&mut self, recovered: RecoveredExecutor) {
        let run = Arc::new(recovered.run);
        let agent = self.agent_id().value;
        let directory = self.settings.layout.run(&agent, &run);
        let switch_user = self.settings.switch_user;
        let mut executor = Executor {
            run: Arc::clone(&run),
            info: Arc::new(recovered.info),
            directory,
            state: ExecutorState::Registering,
            generated: recovered.generated,
            checkpoint: true,
            user: None,
            channel: None,
            known_pid: recovered.libprocess_pid.as_deref().map(Arc::from),
            http: recovered.http,
            forked_pid: recovered.forked_pid,
            early: None,
            queued: Default::default(),
            launched: Default::default(),
            unheard: Default::default(),
            terminated: Default::default(),
            completed: Default::default(),
            pending_termination: None,
            limits: Default::default(),
            updating: false,
            served: true,
        };
        for task in recovered.tasks {
            self.restore_task(&run, &mut executor, task);
        }
        executor.limits = executor.wanted_limits();
        if let Some(framework) = self.frameworks.get_mut(&run.framework_id) {
            let user = executor.info.command.as_ref().and_then(|command| command.user.clone());
            executor.user =
                user.or_else(|| Some(framework.info.user.clone())).filter(|_| switch_user);
            framework.executors.insert(run.executor_id.clone(), executor);
            self.containers.insert(run.container_id.clone(), run);
        }
    }

    fn restore_task(&mut self, run: &Arc<Run>, executor: &mut Executor, task: RecoveredTask) {
        let replayed = replay(task);
        let id = replayed.task.task_id.value.clone();
        let task = Arc::new(replayed.task);
        if replayed.completed {
            executor.completed.push_back(task);
            return;
        }
        if is_terminal(task.state) {
            executor.terminated.insert(id.clone(), task);
        } else {
            executor.launched.insert(id.clone(), task);
        }
        if !replayed.seen.is_empty() {
            let key = (run.framework_id.clone(), id);
            self.streams.restore(key, Arc::clone(run), replayed.seen, replayed.pending);
        }
    }

    /// Calls the executors that may still live, and waits for them.
    fn reconnect(&mut self, now: Now, fx: &mut Effects) {
        if self.awaited.is_empty() {
            self.recovered(now, fx);
            return;
        }
        let slave_id = self.agent_id();
        let mut hopeless = Vec::new();
        let framework_executors = self.frameworks.values().flat_map(|f| f.executors.values());
        for executor in framework_executors {
            let container = &executor.run.container_id;
            if !self.awaited.contains(container) {
                continue;
            }
            match &executor.known_pid {
                _ if self.settings.cleanup => hopeless.push(container.clone()),
                Some(pid) => {
                    let message = internal::ReconnectExecutorMessage { slave_id: slave_id.clone() };
                    Self::send(pid, Outbound::ReconnectExecutor(message), fx);
                }
                // It subscribes again by itself.
                None if executor.http => {}
                // It was launched and had not yet said anything: it still may.
                None => {}
            }
        }
        for container in hopeless {
            if let Some((_, executor)) = self.in_container(&container) {
                executor.state = ExecutorState::Terminating;
            }
            fx.push(Effect::Destroy(container));
        }
        tracing::info!(executors = self.awaited.len(), "waiting for executors to come back");
        let timeout = self.settings.executor_reregistration_timeout;
        self.timers.add(now.mono + timeout, Timer::Reregistration);
    }

    pub(super) fn reregistration_timeout(&mut self, now: Now, fx: &mut Effects) {
        if self.state != State::Recovering {
            return;
        }
        let timeout = self.settings.executor_reregistration_timeout;
        for container in std::mem::take(&mut self.awaited) {
            let Some((run, executor)) = self.in_container(&container) else { continue };
            if executor.state != ExecutorState::Registering {
                continue;
            }
            tracing::warn!(executor = %run.executor_id, "the executor did not come back: killing it");
            executor.state = ExecutorState::Terminating;
            executor.pending_termination = Some(PendingTermination {
                state: Some(TaskState::TaskGone),
                reason: Reason::ExecutorReregistrationTimeout,
                message: format!("Executor did not reregister within {}", DurationText(timeout)),
            });
            fx.push(Effect::Destroy(container));
        }
        self.recovered(now, fx);
    }

    /// Recovery is over: look for the master.
    pub(super) fn recovered(&mut self, now: Now, fx: &mut Effects) {
        if self.state != State::Recovering {
            return;
        }
        self.counters.recovery_time = now.mono;
        if self.settings.cleanup {
            self.shut_down(now, Stop::Left, fx);
        } else {
            self.detect(now, Duration::ZERO);
        }
    }
}

/// Follows the records of one task.
fn replay(recovered: RecoveredTask) -> Replayed {
    let mut replayed = Replayed { task: recovered.task, ..Replayed::default() };
    let mut last_acked: Option<i32> = None;
    for record in recovered.records {
        match (record.r#type(), record.update, record.uuid) {
            (status_update_record::Type::Update, Some(update), _) => {
                let uuid = update.uuid.clone().unwrap_or_default();
                // A torn append may have been repeated.
                if replayed.seen.contains(&uuid) {
                    continue;
                }
                record_status(&mut replayed.task, &update.status);
                replayed.seen.push(uuid);
                replayed.pending.push(Arc::new(update));
            }
            (status_update_record::Type::Ack, _, Some(uuid)) => {
                let front = replayed.pending.first();
                if front.is_some_and(|update| update.uuid.as_ref() == Some(&uuid)) {
                    last_acked = Some(replayed.pending.remove(0).status.state);
                }
            }
            _ => {}
        }
    }
    replayed.completed = last_acked.is_some_and(is_terminal);
    replayed
}
