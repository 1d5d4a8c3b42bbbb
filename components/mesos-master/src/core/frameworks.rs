//! Frameworks that go: disconnected, deactivated, timed out, torn down.
use std::{sync::Arc, time::Duration};

use libprocess::Upid;
use mesos_messages::{internal, time, v1};

use super::{
    Effect, MasterCore, Outgoing,
    outbound::{self, News},
    state::{Connection, FrameworkKey},
    tasks::MasterStatus,
    timers::Timer,
};
use crate::{
    handle::TeardownError,
    model::{OperatorEvent, Task},
};

/// How often a stream shows a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(15);

impl MasterCore {
    pub(super) fn stream_closed(&mut self, stream: &str) {
        let Some(key) = self.frameworks.streams.remove(stream) else { return };
        self.framework_exited(key);
    }

    /// The scheduler is gone; it has its failover timeout to come back.
    pub(super) fn framework_exited(&mut self, key: FrameworkKey) {
        self.disconnect_framework(key);
        let Some(framework) = self.frameworks.get(key) else { return };
        // Who leads to its pages learns at once that nobody is there.
        let record = framework.record.clone();
        self.tell_operators(|| OperatorEvent::FrameworkUpdated(record));
        let Some(framework) = self.frameworks.get(key) else { return };
        // A negative timeout is accepted, and means none.
        let seconds = framework.record.info.failover_timeout().max(0.0);
        let timeout = time::from_seconds(seconds).unwrap_or(Duration::MAX);
        let connection = framework.connection_number;
        let deadline = self.now.mono.saturating_add(timeout);
        self.timers.set(deadline, Timer::Failover { framework: key, connection });
        if timeout.is_zero() {
            self.failover_due(key, connection);
        }
    }

    pub(super) fn disconnect_framework(&mut self, key: FrameworkKey) {
        self.deactivate_framework(key, true);
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let connection = std::mem::replace(&mut framework.connection, Connection::None);
        framework.connection_number += 1;
        framework.record_mut().connected = false;
        match connection {
            Connection::None => {}
            Connection::Http { stream } => {
                self.frameworks.streams.remove(&stream);
                self.out.push(Effect::CloseStream { stream });
            }
            Connection::Pid(pid) => {
                self.frameworks.pids.remove(&pid);
            }
        }
    }

    /// No more offers, and none outstanding.
    pub(super) fn deactivate_framework(&mut self, key: FrameworkKey, rescind: bool) {
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        if !framework.record.active {
            return;
        }
        framework.record_mut().active = false;
        self.alloc_deactivate_framework(key);
        if rescind {
            self.rescind_offers(key);
        } else {
            self.discard_offers(key);
        }
    }

    /// A driver that aborts says so.
    pub(super) fn deactivate_by_driver(&mut self, from: &Upid, framework: &str) {
        self.counters.messages_deactivate_framework += 1;
        if let Some(key) = self.frameworks.key(framework)
            && self.frameworks.pids.get(from) == Some(&key)
        {
            self.deactivate_framework(key, true);
        }
    }

    pub(super) fn failover_due(&mut self, key: FrameworkKey, connection: u64) {
        let Some(framework) = self.frameworks.get(key) else { return };
        if framework.connection_number == connection && !framework.is_connected() {
            tracing::info!(framework = %framework.record.id, "failover timeout");
            self.remove_framework(key);
        }
    }

    pub(super) fn heartbeat_due(&mut self, key: FrameworkKey, connection: u64) {
        let Some(framework) = self.frameworks.get(key) else { return };
        if framework.connection_number == connection && framework.is_http() {
            self.timers
                .set(self.now.mono + HEARTBEAT, Timer::Heartbeat { framework: key, connection });
            self.tell(key, News::Heartbeat);
        }
    }

    pub(super) fn teardown_by_operator(&mut self, id: &str) -> Result<(), TeardownError> {
        let key = self.frameworks.key(id).ok_or(TeardownError::UnknownFramework)?;
        self.teardown(key);
        Ok(())
    }

    pub(super) fn teardown(&mut self, key: FrameworkKey) {
        self.counters.messages_unregister_framework += 1;
        self.remove_framework(key);
    }

    /// The framework ends, and with it everything it runs.
    pub(super) fn remove_framework(&mut self, key: FrameworkKey) {
        self.deactivate_framework(key, false);
        let Some(framework) = self.frameworks.get(key) else { return };
        let id = framework.record.id.clone();
        tracing::info!(framework = %id, "removing framework");
        let text = format!("Framework {id} removed");
        let slots: Vec<u32> = framework.tasks.entries().map(|(slot, _)| slot).collect();
        self.shut_down_everywhere(&id);
        for slot in slots {
            let status = MasterStatus {
                state: v1::TaskState::TaskKilled,
                reason: v1::task_status::Reason::FrameworkRemoved,
                message: &text,
                unreachable_ns: None,
            };
            // The scheduler is not told.
            self.end_task(key, slot, &status, false);
        }
        self.complete_unreachable(key, &text);
        self.remove_executors_of(key);
        self.disconnect_framework(key);
        self.alloc_remove_framework(key);
        let Some(mut framework) = self.frameworks.remove(key) else { return };
        framework.record_mut().unregistered_time = self.now.seconds();
        let record = framework.record.clone();
        self.frameworks.completed_ids.insert(id);
        self.frameworks.completed.push_back(Arc::new(framework.view()));
        self.frameworks.completed_metrics.push_back(framework.metrics());
        while self.frameworks.completed.len() > self.config.max_completed_frameworks {
            if let Some(oldest) = self.frameworks.completed.pop_front() {
                self.frameworks.completed_ids.remove(&oldest.framework.id);
                self.frameworks.completed_metrics.pop_front();
            }
        }
        self.tell_operators(|| OperatorEvent::FrameworkRemoved(record));
    }

    fn shut_down_everywhere(&mut self, id: &crate::model::Id) {
        let agents: Vec<Upid> = self
            .agents
            .records
            .entries()
            .filter_map(|(agent, _)| Some(self.agents.get(agent)?.1.pid.clone()))
            .collect();
        for agent in agents {
            let framework_id = outbound::framework_id(id);
            let message = internal::ShutdownFrameworkMessage { framework_id };
            self.send(agent, Outgoing::ShutdownFramework(message));
        }
    }

    /// Unreachable tasks end too, though nobody can be told.
    fn complete_unreachable(&mut self, key: FrameworkKey, text: &str) {
        let now = self.now;
        let limit = self.config.max_completed_tasks_per_framework;
        let Some(framework) = self.frameworks.get_mut(key) else { return };
        let lost = std::mem::take(&mut framework.unreachable);
        for task in lost.iter() {
            let mut task = Task::clone(task);
            let status = MasterStatus {
                state: v1::TaskState::TaskKilled,
                reason: v1::task_status::Reason::FrameworkRemoved,
                message: text,
                unreachable_ns: None,
            };
            if task.state == v1::TaskState::TaskUnreachable {
                task.state = v1::TaskState::TaskKilled;
                framework.active.remove(v1::TaskState::TaskUnreachable);
                framework.terminal.add(v1::TaskState::TaskKilled);
            }
            task.statuses.push(status.record(&task, now));
            framework.complete(Arc::new(task), limit);
        }
    }
}
