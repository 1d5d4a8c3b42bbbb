//! From the master's RunTask to the task in its executor's hands.

use super::{
    Channel, Core, Effect, Effects, Framework, Launch, Outbound, State, Timer,
    command::{command_executor, new_task},
    dropped,
    executor::{Executor, ExecutorState, PendingTermination, Queued},
    scheduler_pid,
};
use crate::checkpoint::{Run, Write};
use mesos_messages::{
    internal,
    time::Now,
    v1::{self, TaskState, task_status::Reason},
    validate::ids::validate_id,
};
use std::{sync::Arc, time::Duration};

impl Core {
    pub(super) fn run_task(
        &mut self,
        now: Now,
        message: internal::RunTaskMessage,
        fx: &mut Effects,
    ) {
        let task = message.task;
        let Some(framework_id) = message.framework.id.as_ref().map(|id| id.value.clone()) else {
            tracing::warn!("ignored a task of a framework without id");
            return;
        };
        if Some(&task.agent_id) != self.info.id.as_ref() || self.state == State::Terminating {
            tracing::warn!(task = %task.task_id.value, "ignored a task that is not for this agent");
            return;
        }
        if validate_id(&framework_id).is_err() {
            tracing::warn!("ignored a task of a framework with an impossible id");
            return;
        }
        let pid = scheduler_pid(message.pid.as_deref());
        if !self.admit_framework(&framework_id, message.framework, pid, fx) {
            return;
        }
        let launch_executor = message.launch_executor;
        if let Err(text) = names_fit(&task) {
            let update = self.agent_update(
                now,
                &framework_id,
                &task.task_id.value,
                Some(executor_id(&task)),
                TaskState::TaskError,
                Reason::TaskInvalid,
                text,
            );
            self.stream_update(now, Arc::new(update), None, fx);
            self.exited_if_expected(&framework_id, &task, launch_executor, fx);
        } else if let Some((reason, text)) = self.refusal(&task, &message.resource_version_uuids) {
            self.drop_task(now, &framework_id, &task, reason, text, fx);
            self.exited_if_expected(&framework_id, &task, launch_executor, fx);
        } else if let Err(text) = self.executor_fits(&framework_id, &task, launch_executor) {
            self.drop_task(now, &framework_id, &task, Reason::ExecutorTerminated, text, fx);
            // Tells the master that the executor it counted on is none.
            self.exited_if_expected(&framework_id, &task, Some(true), fx);
        } else {
            self.accept_task(now, &framework_id, task, fx);
        }
        self.remove_framework_if_idle(now, &framework_id);
    }

    /// Makes the framework known. False if it is on its way out.
    fn admit_framework(
        &mut self,
        id: &str,
        info: v1::FrameworkInfo,
        pid: Option<Arc<str>>,
        fx: &mut Effects,
    ) -> bool {
        if let Some(framework) = self.frameworks.get(id) {
            if framework.terminating {
                tracing::warn!(framework = %id, "ignored a task of a framework that is ending");
            }
            return !framework.terminating;
        }
        let mut framework = Framework::new(info, pid);
        // One that was here before brings its past along.
        if let Some(at) = self.completed_frameworks.iter().position(|old| old.id() == id)
            && let Some(old) = self.completed_frameworks.remove(at)
        {
            framework.completed = old.completed_executors.into();
        }
        if framework.checkpoint() {
            let pid = framework.pid.as_ref().map(ToString::to_string);
            Self::write(Write::Framework { info: Arc::clone(&framework.info), pid }, fx);
        }
        if let Some(agent) = &self.info.id {
            let layout = &self.settings.layout;
            self.gc.unschedule(&layout.framework(&agent.value, id));
            self.gc.unschedule(&layout.meta_framework(&agent.value, id));
        }
        self.frameworks.insert(id.to_owned(), framework);
        true
    }

    /// Why this agent cannot run the task, whatever its executor.
    fn refusal(
        &self,
        task: &v1::TaskInfo,
        versions: &[internal::ResourceVersionUuid],
    ) -> Option<(Reason, String)> {
        if self.drain.is_some() {
            let text =
                format!("Task '{}' was dropped because the agent is draining", task.task_id.value);
            return Some((Reason::AgentDraining, text));
        }
        let stale = versions.iter().any(|version| {
            version.resource_provider_id.is_none() && version.uuid.value != self.resource_version
        });
        if stale {
            return Some((
                Reason::InvalidOffers,
                "Task assumes outdated resource state".to_owned(),
            ));
        }
        let own = task.executor.as_ref().map_or(&[][..], |executor| &executor.resources);
        if task.resources.iter().chain(own).any(is_checkpointed) {
            return Some((
                Reason::ResourcesUnknown,
                format!(
                    "The checkpointed resources being used by task '{}' are unknown to the agent",
                    task.task_id.value
                ),
            ));
        }
        None
    }

    /// Whether the executor is there, or not there, as the master believes.
    fn executor_fits(
        &self,
        framework_id: &str,
        task: &v1::TaskInfo,
        launch_executor: Option<bool>,
    ) -> Result<(), String> {
        let id = executor_id(task);
        let executor =
            self.frameworks.get(framework_id).and_then(|framework| framework.executors.get(id));
        match (executor, launch_executor) {
            (None, Some(false)) => {
                Err("No executor is expected to launch and there is no executor running".to_owned())
            }
            (Some(executor), Some(true)) => Err(match executor.state {
                ExecutorState::Registering | ExecutorState::Running => {
                    "Executor is expected to launch but it is already running".to_owned()
                }
                ExecutorState::Terminating | ExecutorState::Terminated => {
                    "Executor terminating/terminated".to_owned()
                }
            }),
            (Some(executor), _)
                if matches!(
                    executor.state,
                    ExecutorState::Terminating | ExecutorState::Terminated
                ) =>
            {
                Err("Executor terminating/terminated".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn exited_if_expected(
        &mut self,
        framework_id: &str,
        task: &v1::TaskInfo,
        launch_executor: Option<bool>,
        fx: &mut Effects,
    ) {
        // The master keeps no account of executors made for command tasks.
        if launch_executor == Some(true)
            && let Some(executor) = &task.executor
        {
            self.send_exited(framework_id, &executor.executor_id.value, -1, fx);
        }
    }

    pub(super) fn send_exited(
        &self,
        framework: &str,
        executor: &str,
        status: i32,
        fx: &mut Effects,
    ) {
        let message = internal::ExitedExecutorMessage {
            slave_id: self.agent_id(),
            framework_id: v1::FrameworkId { value: framework.to_owned() },
            executor_id: v1::ExecutorId { value: executor.to_owned() },
            status,
        };
        self.send_to_master(Outbound::ExitedExecutor(message), fx);
    }

    fn drop_task(
        &mut self,
        now: Now,
        framework_id: &str,
        task: &v1::TaskInfo,
        reason: Reason,
        text: String,
        fx: &mut Effects,
    ) {
        let aware = self.frameworks.get(framework_id).is_some_and(Framework::is_partition_aware);
        tracing::warn!(task = %task.task_id.value, %text, "dropped a task");
        let executor = executor_id(task);
        let update = self.agent_update(
            now,
            framework_id,
            &task.task_id.value,
            Some(executor),
            dropped(aware),
            reason,
            text,
        );
        self.stream_update(now, Arc::new(update), None, fx);
    }

    /// Task groups need the default executor, which this agent does not have.
    pub(super) fn run_task_group(
        &mut self,
        now: Now,
        message: internal::RunTaskGroupMessage,
        fx: &mut Effects,
    ) {
        let Some(framework_id) = message.framework.id.as_ref().map(|id| id.value.clone()) else {
            return;
        };
        for task in &message.task_group.tasks {
            let update = self.agent_update(
                now,
                &framework_id,
                &task.task_id.value,
                Some(&message.executor.executor_id.value),
                TaskState::TaskError,
                Reason::TaskGroupInvalid,
                "Task groups are not supported by this agent".to_owned(),
            );
            self.stream_update(now, Arc::new(update), None, fx);
        }
        if message.launch_executor == Some(true) {
            self.send_exited(&framework_id, &message.executor.executor_id.value, -1, fx);
        }
    }

    fn accept_task(&mut self, now: Now, framework_id: &str, info: v1::TaskInfo, fx: &mut Effects) {
        let Some(framework) = self.frameworks.get(framework_id) else { return };
        let checkpoint = framework.checkpoint();
        let executor_key = executor_id(&info).to_owned();
        let task = Arc::new(new_task(framework_id, &info));
        let running = framework.executors.get(&executor_key).map(|e| Arc::clone(&e.run));
        let is_new = running.is_none();
        let run = running.unwrap_or_else(|| self.new_executor(framework_id, &info, fx));
        if checkpoint {
            Self::write(Write::Task(Arc::clone(&run), Arc::clone(&task)), fx);
        }
        let Some(executor) = self.executor_mut(&run) else { return };
        executor.queued.push_back(Queued { info: Arc::new(info), task });
        if is_new {
            self.launch_executor(now, &run, fx);
        } else if executor.state == ExecutorState::Running {
            self.push_limits(now, &run, fx);
        }
    }

    fn new_executor(
        &mut self,
        framework_id: &str,
        task: &v1::TaskInfo,
        fx: &mut Effects,
    ) -> Arc<Run> {
        let container_id = self.uuid_text();
        let generated = task.executor.is_none();
        let (program, arguments) = &self.settings.command_executor;
        let info = match &task.executor {
            Some(executor) => (**executor).clone(),
            None => command_executor(framework_id, task, program, arguments),
        };
        let run = Arc::new(Run {
            framework_id: framework_id.to_owned(),
            executor_id: info.executor_id.value.clone(),
            container_id: container_id.clone(),
        });
        let agent = self.agent_id().value;
        let layout = &self.settings.layout;
        let directory = layout.run(&agent, &run);
        for path in [
            layout.executor(&agent, framework_id, &run.executor_id),
            layout.meta_executor(&agent, framework_id, &run.executor_id),
        ] {
            self.gc.unschedule(&path);
        }
        let switch_user = self.settings.switch_user;
        if let Some(framework) = self.frameworks.get_mut(framework_id) {
            let command = task.command.as_ref().or(info.command.as_ref());
            let user = command
                .and_then(|command| command.user.clone())
                .or_else(|| Some(framework.info.user.clone()).filter(|user| !user.is_empty()));
            let executor = Executor {
                run: Arc::clone(&run),
                info: Arc::new(info),
                directory,
                state: ExecutorState::Registering,
                generated,
                checkpoint: framework.checkpoint(),
                user: user.filter(|_| switch_user),
                channel: None,
                known_pid: None,
                http: false,
                forked_pid: None,
                early: Some(Vec::new()),
                queued: Default::default(),
                launched: Default::default(),
                unheard: Default::default(),
                terminated: Default::default(),
                completed: Default::default(),
                pending_termination: None,
                limits: Default::default(),
                updating: false,
                served: false,
            };
            if executor.checkpoint {
                let info = Arc::clone(&executor.info);
                Self::write(Write::Executor { run: Arc::clone(&run), info, generated }, fx);
            }
            framework.executors.insert(run.executor_id.clone(), executor);
        }
        self.containers.insert(container_id, Arc::clone(&run));
        run
    }

    fn launch_executor(&mut self, now: Now, run: &Arc<Run>, fx: &mut Effects) {
        let timeout = self.settings.executor_registration_timeout;
        let grace = self.settings.executor_shutdown_grace_period;
        let Some(executor) = self.executor_mut(run) else { return };
        executor.limits = executor.wanted_limits();
        fx.push(Effect::Launch(Box::new(Launch {
            container_id: run.container_id.clone(),
            framework_id: run.framework_id.clone(),
            executor: Arc::clone(&executor.info),
            directory: executor.directory.clone(),
            user: executor.user.clone(),
            checkpoint: executor.checkpoint,
            generated: executor.generated,
            limits: executor.limits,
            grace: grace_period(executor, grace),
        })));
        self.timers.add(now.mono + timeout, Timer::ExecutorRegistration(run.container_id.clone()));
    }

    /// The executor's process runs, or could not be started.
    pub(super) fn launched(
        &mut self,
        now: Now,
        container_id: &str,
        result: Result<u32, String>,
        fx: &mut Effects,
    ) {
        let Some((run, executor)) = self.in_container(container_id) else { return };
        let early = executor.early.take().unwrap_or_default();
        match result {
            Ok(pid) => {
                executor.forked_pid = Some(pid);
                if executor.checkpoint {
                    Self::write(Write::ForkedPid(run, pid), fx);
                }
                for (update, channel) in early {
                    self.status_update(now, update, Some(&channel), fx);
                }
            }
            Err(message) => {
                executor.pending_termination.get_or_insert(PendingTermination {
                    state: Some(TaskState::TaskFailed),
                    reason: Reason::ContainerLaunchFailed,
                    message: format!("Failed to launch container: {message}"),
                });
                self.counters.container_launch_errors += 1;
                self.terminated(now, container_id, &Default::default(), fx);
            }
        }
    }

    pub(super) fn registration_timeout(&mut self, container_id: &str, fx: &mut Effects) {
        let timeout = self.settings.executor_registration_timeout;
        let Some((run, executor)) = self.in_container(container_id) else { return };
        if executor.state != ExecutorState::Registering {
            return;
        }
        tracing::warn!(executor = %run.executor_id, ?timeout, "the executor did not register");
        executor.state = ExecutorState::Terminating;
        executor.pending_termination = Some(PendingTermination {
            state: Some(TaskState::TaskFailed),
            reason: Reason::ExecutorRegistrationTimeout,
            message: format!(
                "Executor did not register within {}",
                mesos_messages::time::DurationText(timeout)
            ),
        });
        fx.push(Effect::Destroy(container_id.to_owned()));
    }

    /// Sets the container's limits to what its tasks need now, then sends the queued tasks.
    pub(super) fn push_limits(&mut self, now: Now, run: &Arc<Run>, fx: &mut Effects) {
        let Some(executor) = self.executor_mut(run) else { return };
        if executor.updating {
            return;
        }
        let wanted = executor.wanted_limits();
        // A command executor's container got its only task's share at launch, and ends with it.
        let ending = executor.generated && executor.active_tasks().next().is_none();
        if wanted == executor.limits || ending {
            self.deliver(now, run, fx);
            return;
        }
        executor.updating = true;
        executor.limits = wanted;
        fx.push(Effect::Update { container_id: run.container_id.clone(), limits: wanted });
    }

    pub(super) fn limits_updated(
        &mut self,
        now: Now,
        container_id: &str,
        result: Result<(), String>,
        fx: &mut Effects,
    ) {
        let Some((run, executor)) = self.in_container(container_id) else { return };
        executor.updating = false;
        match result {
            // The wish may have changed meanwhile.
            Ok(()) => self.push_limits(now, &run, fx),
            Err(text) if matches!(executor.state, ExecutorState::Running) => {
                let message = format!("Failed to update resources for container: {text}");
                tracing::error!(executor = %run.executor_id, %message);
                executor.state = ExecutorState::Terminating;
                executor.pending_termination = Some(PendingTermination {
                    state: Some(TaskState::TaskGone),
                    reason: Reason::ContainerUpdateFailed,
                    message,
                });
                fx.push(Effect::Destroy(container_id.to_owned()));
            }
            Err(_) => {}
        }
    }

    /// Sends the queued tasks to an executor that runs.
    pub(super) fn deliver(&mut self, _now: Now, run: &Arc<Run>, fx: &mut Effects) {
        let Some(framework) = self.frameworks.get_mut(&run.framework_id) else { return };
        let Some(executor) = framework.executors.get_mut(&run.executor_id) else { return };
        if executor.state != ExecutorState::Running {
            return;
        }
        let Some(channel) = executor.channel.clone() else { return };
        while let Some(Queued { info, task }) = executor.queued.pop_front() {
            executor.served = true;
            executor.launched.insert(task.task_id.value.clone(), task);
            if executor.generated {
                executor.unheard.insert(info.task_id.value.clone(), Arc::clone(&info));
            }
            let info = Arc::unwrap_or_clone(info);
            match &channel {
                Channel::V0(pid) => {
                    let message = internal::RunTaskMessage {
                        framework: (*framework.info).clone(),
                        pid: Some(framework.pid.as_deref().unwrap_or("@0.0.0.0:0").to_owned()),
                        task: info,
                        ..Default::default()
                    };
                    Self::send(pid, Outbound::RunTask(Box::new(message)), fx);
                }
                Channel::V1(stream) => {
                    use v1::executor::{Event, event};
                    let event = Event {
                        r#type: Some(event::Type::Launch as i32),
                        launch: Some(event::Launch { task: info }),
                        ..Event::default()
                    };
                    Self::event(*stream, event, fx);
                }
            }
        }
    }
}

/// How long an executor has to stop by itself.
pub(super) fn grace_period(executor: &Executor, default: Duration) -> Duration {
    match &executor.info.shutdown_grace_period {
        Some(grace) => grace.to_duration(),
        None => default,
    }
}

/// The id of the executor of a task: its own id for a command task.
fn executor_id(task: &v1::TaskInfo) -> &str {
    match &task.executor {
        Some(executor) => &executor.executor_id.value,
        None => &task.task_id.value,
    }
}

/// Ids become names of directories. A master checks them; who speaks to us may be none.
fn names_fit(task: &v1::TaskInfo) -> Result<(), String> {
    for id in [&task.task_id.value, executor_id(task)] {
        validate_id(id).map_err(|error| format!("'{id}' is not a valid id: {error}"))?;
    }
    Ok(())
}

/// Whether the agent would have to hold a reservation or a volume for this resource.
fn is_checkpointed(resource: &v1::Resource) -> bool {
    use v1::resource::reservation_info::Type;
    let dynamic = resource.reservation.is_some()
        || resource.reservations.iter().any(|reservation| reservation.r#type() == Type::Dynamic);
    dynamic || resource.disk.as_ref().is_some_and(|disk| disk.persistence.is_some())
}
