//! Executors arriving: registering over v0, subscribing over v1, coming back after a restart.

use super::{
    Answer, Channel, Core, Effect, Effects, Framework, Outbound, RequestId, State,
    executor::{Executor, ExecutorState, Queued},
    kill::{send_shutdown, shutdown_event},
};
use crate::checkpoint::{Run, Write};
use mesos_messages::{
    internal::{self, StatusUpdate},
    time::Now,
    v1::{
        self, TaskState,
        executor::{Call, Event, call, event},
        task_status::Reason,
    },
};
use std::{collections::BTreeSet, sync::Arc};

impl Core {
    // === v0 ===

    pub(super) fn register_executor(
        &mut self,
        now: Now,
        from: &str,
        message: internal::RegisterExecutorMessage,
        fx: &mut Effects,
    ) {
        let pid: Arc<str> = Arc::from(from);
        let expected = self
            .living(&message.framework_id.value, &message.executor_id.value)
            .filter(|executor| executor.state == ExecutorState::Registering)
            .filter(|_| matches!(self.state, State::Disconnected | State::Running))
            .map(|executor| Arc::clone(&executor.run));
        let Some(run) = expected else {
            tracing::warn!(%from, "shutting down an executor that should not be there");
            send_shutdown(&Channel::V0(pid), fx);
            return;
        };
        let agent = self.info_for_v0();
        let Some(framework) = self.frameworks.get_mut(&run.framework_id) else { return };
        let Some(executor) = framework.executors.get_mut(&run.executor_id) else { return };
        executor.state = ExecutorState::Running;
        executor.channel = Some(Channel::V0(Arc::clone(&pid)));
        executor.known_pid = Some(Arc::clone(&pid));
        if executor.checkpoint {
            Self::write(Write::LibprocessPid(Arc::clone(&run), from.to_owned()), fx);
        }
        fx.push(Effect::Link(Arc::clone(&pid)));
        let message = internal::ExecutorRegisteredMessage {
            executor_info: (*executor.info).clone(),
            framework_id: v1::FrameworkId { value: run.framework_id.clone() },
            framework_info: (*framework.info).clone(),
            slave_id: agent.id.clone().unwrap_or_default(),
            slave_info: agent,
        };
        Self::send(&pid, Outbound::ExecutorRegistered(Box::new(message)), fx);
        self.push_limits(now, &run, fx);
    }

    /// An executor that lived through the agent's restart.
    pub(super) fn reregister_executor(
        &mut self,
        now: Now,
        from: &str,
        message: internal::ReregisterExecutorMessage,
        fx: &mut Effects,
    ) {
        let pid: Arc<str> = Arc::from(from);
        let expected = self
            .living(&message.framework_id.value, &message.executor_id.value)
            .filter(|executor| executor.state == ExecutorState::Registering)
            .filter(|_| self.state != State::Terminating)
            .map(|executor| Arc::clone(&executor.run));
        let Some(run) = expected else {
            tracing::warn!(%from, "shutting down an executor that came back too late");
            send_shutdown(&Channel::V0(pid), fx);
            return;
        };
        if let Some(executor) = self.executor_mut(&run) {
            executor.state = ExecutorState::Running;
            executor.channel = Some(Channel::V0(Arc::clone(&pid)));
            executor.known_pid = Some(Arc::clone(&pid));
            executor.served = true;
        }
        fx.push(Effect::Link(Arc::clone(&pid)));
        let reply = internal::ExecutorReregisteredMessage {
            slave_id: self.agent_id(),
            slave_info: self.info_for_v0(),
        };
        Self::send(&pid, Outbound::ExecutorReregistered(Box::new(reply)), fx);
        let held: BTreeSet<_> = message.tasks.into_iter().map(|task| task.task_id.value).collect();
        self.executor_is_back(now, &run, &Channel::V0(pid), message.updates, &held, fx);
    }

    // === v1 ===

    /// Whether the executor that calls has a stream in this life of the agent.
    fn is_back(&self, call: &Call) -> bool {
        let framework = self.frameworks.get(&call.framework_id.value);
        let executor = framework.and_then(|f| f.executors.get(&call.executor_id.value));
        executor.is_some_and(|executor| matches!(executor.channel, Some(Channel::V1(_))))
    }

    pub(super) fn call(&mut self, now: Now, request: RequestId, call: Call, fx: &mut Effects) {
        let answer = |status: u16, text: &str| {
            Effect::Answer(request, Answer::Refused(status, text.to_owned()))
        };
        let kind = call.r#type();
        if kind == call::Type::Heartbeat {
            fx.push(Effect::Answer(request, Answer::Accepted));
            return;
        }
        // The original refuses all calls while it waits for other executors to come back, and
        // an update that is not tried again is lost. Who has subscribed again is heard.
        let subscribe = kind == call::Type::Subscribe;
        let heard = subscribe || self.is_back(&call);
        if !self.loaded || (self.state == State::Recovering && !heard) {
            fx.push(answer(503, "Agent has not finished recovery"));
            return;
        }
        let Some(framework) = self.frameworks.get(&call.framework_id.value) else {
            fx.push(answer(400, "Framework cannot be found"));
            return;
        };
        let Some(executor) = framework.executors.get(&call.executor_id.value) else {
            fx.push(answer(400, "Executor cannot be found"));
            return;
        };
        if kind == call::Type::Subscribe {
            let subscribe = call.subscribe.unwrap_or_default();
            let run = Arc::clone(&executor.run);
            self.subscribe(now, request, &run, subscribe, fx);
            return;
        }
        let Some(channel @ Channel::V1(_)) = executor.channel.clone() else {
            fx.push(answer(403, "Executor is not subscribed"));
            return;
        };
        match kind {
            call::Type::Update => {
                let status = call.update.unwrap_or_default().status;
                let update = update_of(&call.framework_id, &call.executor_id, status);
                self.executor_update(now, update, &channel, fx);
                fx.push(Effect::Answer(request, Answer::Accepted));
            }
            call::Type::Message => {
                let message = internal::ExecutorToFrameworkMessage {
                    slave_id: self.agent_id(),
                    framework_id: call.framework_id,
                    executor_id: call.executor_id,
                    data: call.message.unwrap_or_default().data,
                };
                self.executor_message(message, fx);
                fx.push(Effect::Answer(request, Answer::Accepted));
            }
            _ => fx.push(Effect::Answer(request, Answer::Refused(501, String::new()))),
        }
    }

    fn subscribe(
        &mut self,
        now: Now,
        request: RequestId,
        run: &Arc<Run>,
        subscribe: call::Subscribe,
        fx: &mut Effects,
    ) {
        fx.push(Effect::Answer(request, Answer::Stream));
        if !self.may_subscribe(run) {
            Self::event(request, shutdown_event(), fx);
            fx.push(Effect::CloseStream(request));
            return;
        }
        let agent = Arc::clone(&self.info);
        let Some(framework) = self.frameworks.get_mut(&run.framework_id) else { return };
        let Some(executor) = framework.executors.get_mut(&run.executor_id) else { return };
        // A second stream replaces the first.
        if let Some(Channel::V1(old)) = executor.channel.replace(Channel::V1(request)) {
            fx.push(Effect::CloseStream(old));
            self.connections.remove(&old);
        }
        self.connections.insert(request, run.container_id.clone());
        let first = !executor.http;
        let was_awaited = executor.state == ExecutorState::Registering && !first;
        executor.state = ExecutorState::Running;
        executor.http = true;
        if executor.checkpoint && first {
            Self::write(Write::HttpMarker(Arc::clone(run)), fx);
        }
        executor.served |= was_awaited;
        let subscribed = event::Subscribed {
            executor_info: (*executor.info).clone(),
            framework_info: (*framework.info).clone(),
            agent_info: (*agent).clone(),
            container_id: Some(v1::ContainerId { value: run.container_id.clone(), parent: None }),
        };
        let event = Event {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(subscribed),
            ..Event::default()
        };
        Self::event(request, event, fx);
        let held: BTreeSet<_> =
            subscribe.unacknowledged_tasks.into_iter().map(|task| task.task_id.value).collect();
        let framework_id = v1::FrameworkId { value: run.framework_id.clone() };
        let executor_id = v1::ExecutorId { value: run.executor_id.clone() };
        let updates = subscribe
            .unacknowledged_updates
            .into_iter()
            .map(|update| update_of(&framework_id, &executor_id, update.status))
            .collect();
        self.executor_is_back(now, run, &Channel::V1(request), updates, &held, fx);
    }

    /// Whether an executor that asks may have a stream; otherwise it is told to stop.
    fn may_subscribe(&self, run: &Run) -> bool {
        let Some(framework) = self.frameworks.get(&run.framework_id) else { return false };
        let Some(executor) = framework.executors.get(&run.executor_id) else { return false };
        let alive = matches!(executor.state, ExecutorState::Registering | ExecutorState::Running);
        let idle = !executor.served
            && executor.queued.is_empty()
            && executor.launched.is_empty()
            && executor.terminated.is_empty();
        // One that never got a task and gets none now has nothing to do.
        alive && !framework.terminating && self.state != State::Terminating && !idle
    }

    pub(super) fn stream_closed(&mut self, stream: RequestId) {
        let Some(container_id) = self.connections.remove(&stream) else { return };
        if let Some((run, executor)) = self.in_container(&container_id)
            && executor.channel == Some(Channel::V1(stream))
        {
            tracing::debug!(executor = %run.executor_id, "the executor disconnected");
            executor.channel = None;
        }
    }

    // === both ===

    fn living(&self, framework: &str, executor: &str) -> Option<&Executor> {
        self.frameworks
            .get(framework)
            .filter(|framework| !framework.terminating)?
            .executors
            .get(executor)
    }

    /// Takes over what an executor holds, and settles what it never got.
    fn executor_is_back(
        &mut self,
        now: Now,
        run: &Arc<Run>,
        channel: &Channel,
        updates: Vec<StatusUpdate>,
        held: &BTreeSet<String>,
        fx: &mut Effects,
    ) {
        let holds_nothing = updates.is_empty() && held.is_empty();
        for update in updates {
            self.executor_update(now, update, channel, fx);
        }
        let lost: Vec<String> = self
            .executor(run)
            .into_iter()
            .flat_map(|executor| executor.launched.values())
            .filter(|task| {
                task.state == TaskState::TaskStaging as i32 && !held.contains(&task.task_id.value)
            })
            .map(|task| task.task_id.value.clone())
            .collect();
        let aware =
            self.frameworks.get(&run.framework_id).is_some_and(Framework::is_partition_aware);
        let lost = self.requeue(run, lost);
        for task in lost {
            let update = self.agent_update(
                now,
                &run.framework_id,
                &task,
                Some(&run.executor_id),
                super::dropped(aware),
                Reason::AgentRestarted,
                "Task launched during agent restart".to_owned(),
            );
            self.status_update(now, update, None, fx);
        }
        // A command executor without its only task has nothing to live for.
        let useless = self
            .executor(run)
            .is_some_and(|executor| executor.generated && executor.active_tasks().next().is_none());
        if useless && holds_nothing {
            self.shutdown_executor(now, run, fx);
        }
        self.push_limits(now, run, fx);
        if self.awaited.remove(&run.container_id) && self.awaited.is_empty() {
            self.recovered(now, fx);
        }
    }
}

impl Core {
    /// Queues again what our own executor lost with its stream: it lists what it holds, so what
    /// it does not list it never got. Returns what cannot be sent again.
    fn requeue(&mut self, run: &Arc<Run>, lost: Vec<String>) -> Vec<String> {
        let Some(executor) = self.executor_mut(run) else { return lost };
        let mut hopeless = Vec::new();
        for id in lost {
            match (executor.unheard.remove(&id), executor.launched.remove(&id)) {
                (Some(info), Some(task)) => {
                    tracing::warn!(task = %id, "sending a launch again that was lost with its stream");
                    executor.queued.push_back(Queued { info, task });
                }
                (_, Some(task)) => {
                    executor.launched.insert(id.clone(), task);
                    hopeless.push(id);
                }
                (_, None) => {}
            }
        }
        hopeless
    }
}

/// An update of the v1 API in the shape of v0's.
fn update_of(
    framework_id: &v1::FrameworkId,
    executor_id: &v1::ExecutorId,
    status: v1::TaskStatus,
) -> StatusUpdate {
    StatusUpdate {
        framework_id: framework_id.clone(),
        executor_id: Some(executor_id.clone()),
        slave_id: None,
        timestamp: status.timestamp.unwrap_or_default(),
        uuid: status.uuid.clone(),
        latest_state: None,
        status,
    }
}
