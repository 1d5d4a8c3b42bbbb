//! Containers ending, and what is told about their tasks.

use super::{
    CompletedExecutor, Core, Effect, Effects, Framework, State,
    executor::{ExecutorState, PendingTermination},
    input::ContainerEnd,
};
use crate::checkpoint::{Run, Write};
use mesos_messages::{
    time::Now,
    v1::{TaskState, task_status::Reason},
};
use std::sync::Arc;

impl Core {
    /// A container is gone with all its processes.
    pub(super) fn terminated(
        &mut self,
        now: Now,
        container_id: &str,
        end: &ContainerEnd,
        fx: &mut Effects,
    ) {
        self.awaited.remove(container_id);
        let Some((run, executor)) = self.in_container(container_id) else {
            fx.push(Effect::Release(container_id.to_owned()));
            return;
        };
        if executor.state == ExecutorState::Terminated {
            return;
        }
        executor.state = ExecutorState::Terminated;
        if let Some(super::Channel::V1(stream)) = executor.channel.take() {
            fx.push(Effect::CloseStream(stream));
        }
        let generated = executor.generated;
        let pending = executor.pending_termination.take();
        let tasks: Vec<String> =
            executor.active_tasks().map(|task| task.task_id.value.clone()).collect();
        let framework = self.frameworks.get(&run.framework_id);
        let ending = framework.is_none_or(|framework| framework.terminating);
        let aware = framework.is_some_and(Framework::is_partition_aware);
        if !ending {
            let (state, reason, message) = verdict(end, pending.as_ref(), aware);
            for task in tasks {
                self.fail_task(now, &run, &task, state, reason, &message, end, fx);
            }
        }
        if !generated {
            self.send_exited(&run.framework_id, &run.executor_id, end.status.unwrap_or(-1), fx);
        }
        let idle = self.executor(&run).is_some_and(super::executor::Executor::is_idle);
        if ending || idle {
            self.remove_executor(now, &run, fx);
            self.remove_framework_if_idle(now, &run.framework_id);
        }
        if self.state == State::Recovering && self.awaited.is_empty() {
            self.recovered(now, fx);
        }
    }

    fn fail_task(
        &mut self,
        now: Now,
        run: &Arc<Run>,
        task_id: &str,
        state: TaskState,
        reason: Reason,
        message: &str,
        end: &ContainerEnd,
        fx: &mut Effects,
    ) {
        let mut update = self.agent_update(
            now,
            &run.framework_id,
            task_id,
            Some(&run.executor_id),
            state,
            reason,
            message.to_owned(),
        );
        update.status.limitation = end.limitation.clone().map(Box::new);
        self.status_update(now, update, None, fx);
    }

    /// Everything about an executor is settled: it becomes a completed one.
    pub(super) fn remove_executor(&mut self, now: Now, run: &Arc<Run>, fx: &mut Effects) {
        let keep = self.settings.max_completed_executors_per_framework;
        let Some(framework) = self.frameworks.get_mut(&run.framework_id) else { return };
        let Some(executor) = framework.executors.remove(&run.executor_id) else { return };
        if executor.checkpoint {
            Self::write(Write::Sentinel(Arc::clone(run)), fx);
        }
        let (checkpoint, directory) = (executor.checkpoint, executor.directory.clone());
        if framework.completed.len() >= keep {
            framework.completed.pop_front();
        }
        if keep > 0 {
            framework.completed.push_back(Arc::new(CompletedExecutor::new(executor)));
        }
        self.counters.executors_terminated += 1;
        self.containers.remove(&run.container_id);
        fx.push(Effect::Release(run.container_id.clone()));
        let agent = self.agent_id().value;
        let layout = self.settings.layout.clone();
        self.schedule_removal(now, directory);
        self.schedule_removal(now, layout.executor(&agent, &run.framework_id, &run.executor_id));
        if checkpoint {
            self.schedule_removal(now, layout.meta_run(&agent, run));
            let path = layout.meta_executor(&agent, &run.framework_id, &run.executor_id);
            self.schedule_removal(now, path);
        }
    }
}

/// What becomes of the tasks of an executor that ended: the container's own account first, then
/// why the agent ended it, then nothing more specific.
fn verdict(
    end: &ContainerEnd,
    pending: Option<&PendingTermination>,
    partition_aware: bool,
) -> (TaskState, Reason, String) {
    let state = pending.and_then(|pending| pending.state).unwrap_or(TaskState::TaskFailed);
    let state = match state {
        TaskState::TaskGone if !partition_aware => TaskState::TaskLost,
        state => state,
    };
    let reason =
        end.reason.or(pending.map(|pending| pending.reason)).unwrap_or(Reason::ExecutorTerminated);
    let messages: Vec<&str> = end
        .message
        .as_deref()
        .into_iter()
        .chain(pending.map(|pending| pending.message.as_str()))
        .filter(|message| !message.is_empty())
        .collect();
    let message =
        if messages.is_empty() { "Executor terminated".to_owned() } else { messages.join("; ") };
    (state, reason, message)
}
