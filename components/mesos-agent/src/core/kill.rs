//! Ending tasks, executors and frameworks on request.

use super::{
    Channel, Core, Effect, Effects, Framework, Outbound, Timer, dropped,
    executor::{Executor, ExecutorState},
    launch::grace_period,
};
use crate::checkpoint::Run;
use mesos_messages::{
    internal,
    time::Now,
    v1::{
        self, TaskState,
        executor::{Event, event},
        task_status::Reason,
    },
};
use std::sync::Arc;

impl Core {
    pub(super) fn kill_task(
        &mut self,
        now: Now,
        message: internal::KillTaskMessage,
        fx: &mut Effects,
    ) {
        let framework_id = message.framework_id.value.as_str();
        let task_id = message.task_id.value.as_str();
        let Some(framework) = self.frameworks.get(framework_id) else {
            // The master thinks there is such a task, or it would not ask: tell it otherwise.
            self.kill_unknown(now, framework_id, task_id, true, fx);
            return;
        };
        if framework.terminating {
            return;
        }
        let Some(executor) = framework.executor_of(task_id) else {
            let aware = framework.is_partition_aware();
            self.kill_unknown(now, framework_id, task_id, aware, fx);
            return;
        };
        let run = Arc::clone(&executor.run);
        match executor.state {
            ExecutorState::Registering | ExecutorState::Running if executor.is_queued(task_id) => {
                self.kill_queued(now, &run, task_id, fx);
            }
            ExecutorState::Running => send_kill(executor, message, fx),
            // Found again after a restart, not yet back: the master repeats a kill.
            ExecutorState::Registering | ExecutorState::Terminating | ExecutorState::Terminated => {
                tracing::warn!(task = %task_id, state = ?executor.state, "ignored a kill");
            }
        }
    }

    fn kill_unknown(
        &mut self,
        now: Now,
        framework_id: &str,
        task_id: &str,
        aware: bool,
        fx: &mut Effects,
    ) {
        // Its last update is on its way and says what became of it.
        if self.streams.front(&(framework_id.to_owned(), task_id.to_owned())).is_some() {
            return;
        }
        let update = self.agent_update(
            now,
            framework_id,
            task_id,
            None,
            dropped(aware),
            Reason::ExecutorTerminated,
            "Cannot find executor".to_owned(),
        );
        self.stream_update(now, Arc::new(update), None, fx);
    }

    fn kill_queued(&mut self, now: Now, run: &Arc<Run>, task_id: &str, fx: &mut Effects) {
        let update = self.agent_update(
            now,
            &run.framework_id,
            task_id,
            Some(&run.executor_id),
            TaskState::TaskKilled,
            Reason::TaskKilledDuringLaunch,
            "Killed before delivery to the executor".to_owned(),
        );
        self.status_update(now, update, None, fx);
        let unused = self.executor(run).is_some_and(|executor| {
            !executor.served && executor.queued.is_empty() && executor.launched.is_empty()
        });
        if unused {
            self.shutdown_executor(now, run, fx);
        }
    }

    pub(super) fn shutdown_executor_message(
        &mut self,
        now: Now,
        message: &internal::ShutdownExecutorMessage,
        fx: &mut Effects,
    ) {
        let run = message
            .framework_id
            .as_ref()
            .zip(message.executor_id.as_ref())
            .and_then(|(framework, executor)| {
                self.frameworks.get(&framework.value)?.executors.get(&executor.value)
            })
            .map(|executor| Arc::clone(&executor.run));
        match run {
            Some(run) => self.shutdown_executor(now, &run, fx),
            None => tracing::warn!("ignored the shutdown of an unknown executor"),
        }
    }

    /// Asks an executor to stop, and kills it when it does not.
    pub(super) fn shutdown_executor(&mut self, now: Now, run: &Arc<Run>, fx: &mut Effects) {
        let default = self.settings.executor_shutdown_grace_period;
        let Some(executor) = self.executor_mut(run) else { return };
        if !matches!(executor.state, ExecutorState::Registering | ExecutorState::Running) {
            return;
        }
        executor.state = ExecutorState::Terminating;
        let container_id = run.container_id.clone();
        let Some(channel) = &executor.channel else {
            // It would not hear a request.
            fx.push(Effect::Destroy(container_id));
            return;
        };
        send_shutdown(channel, fx);
        let grace = grace_period(executor, default);
        self.timers.add(now.mono + grace, Timer::ExecutorShutdown(container_id));
    }

    pub(super) fn shutdown_timeout(&mut self, container_id: &str, fx: &mut Effects) {
        let Some((run, executor)) = self.in_container(container_id) else { return };
        if executor.state == ExecutorState::Terminating {
            tracing::info!(executor = %run.executor_id, "the executor did not stop in time: killing it");
            fx.push(Effect::Destroy(container_id.to_owned()));
        }
    }

    pub(super) fn shutdown_framework(&mut self, now: Now, id: &str, fx: &mut Effects) {
        // Nobody will acknowledge anything of it any more.
        self.streams.cleanup(id);
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        if framework.terminating {
            return;
        }
        tracing::info!(framework = %id, "shutting down a framework");
        framework.terminating = true;
        let runs: Vec<_> =
            framework.executors.values().map(|e| (Arc::clone(&e.run), e.state)).collect();
        for (run, state) in runs {
            if state == ExecutorState::Terminated {
                self.remove_executor(now, &run, fx);
            } else {
                self.shutdown_executor(now, &run, fx);
            }
        }
        self.remove_framework_if_idle(now, id);
    }

    /// A framework with nothing left becomes a completed one.
    pub(super) fn remove_framework_if_idle(&mut self, now: Now, id: &str) {
        let idle = |framework: &Framework| framework.executors.is_empty();
        if !self.frameworks.get(id).is_some_and(idle) || !self.streams.is_idle(id) {
            return;
        }
        let Some(framework) = self.frameworks.remove(id) else { return };
        if let Some(agent) = self.info.id.clone() {
            let path = self.settings.layout.framework(&agent.value, id);
            self.schedule_removal(now, path);
            if framework.checkpoint() {
                let path = self.settings.layout.meta_framework(&agent.value, id);
                self.schedule_removal(now, path);
            }
        }
        let view = super::snapshot::completed_framework(framework);
        while self.completed_frameworks.len() >= self.settings.max_completed_frameworks.max(1) {
            self.completed_frameworks.pop_front();
        }
        self.completed_frameworks.push_back(view);
    }
}

fn send_kill(executor: &Executor, message: internal::KillTaskMessage, fx: &mut Effects) {
    match &executor.channel {
        Some(Channel::V0(pid)) => Core::send(pid, Outbound::KillTask(message), fx),
        Some(Channel::V1(stream)) => {
            let kill = event::Kill { task_id: message.task_id, kill_policy: message.kill_policy };
            let event = Event {
                r#type: Some(event::Type::Kill as i32),
                kill: Some(kill),
                ..Event::default()
            };
            Core::event(*stream, event, fx);
        }
        None => tracing::warn!(
            task = %message.task_id.value,
            "cannot tell a disconnected executor to kill a task"
        ),
    }
}

pub(super) fn send_shutdown(channel: &Channel, fx: &mut Effects) {
    match channel {
        Channel::V0(pid) => {
            let message = internal::ShutdownExecutorMessage::default();
            Core::send(pid, Outbound::ShutdownExecutor(message), fx);
        }
        Channel::V1(stream) => Core::event(*stream, shutdown_event(), fx),
    }
}

pub(super) fn shutdown_event() -> v1::executor::Event {
    Event { r#type: Some(event::Type::Shutdown as i32), ..Event::default() }
}
