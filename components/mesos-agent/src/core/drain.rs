//! Draining: everything is killed, nothing is launched, until the agent is empty.

use super::{Core, Effects, Framework};
use crate::checkpoint::Write;
use mesos_messages::{
    internal::{self, StatusUpdate},
    time::Now,
    v1::{self, TaskState, task_status::Reason},
};
use std::time::Duration;

/// A drain that is under way.
#[derive(Debug, Clone)]
pub struct Drain {
    /// As the operator asked for it.
    pub config: v1::DrainConfig,
    /// When it began, since the Unix epoch.
    pub since: Duration,
}

impl Core {
    pub(super) fn drain(
        &mut self,
        now: Now,
        message: internal::DrainSlaveMessage,
        fx: &mut Effects,
    ) {
        // It is repeated at every registration.
        if self.drain.as_ref().is_none_or(|drain| drain.config != message.config) {
            tracing::info!(config = ?message.config, "draining");
            Self::write(Write::Drain(Some(message.config)), fx);
            self.drain = Some(Drain { config: message.config, since: now.wall });
        }
        for kill in self.kills() {
            self.kill_task(now, kill, fx);
        }
        self.finish_drain(fx);
    }

    /// A kill for every task, within the operator's patience.
    fn kills(&self) -> Vec<internal::KillTaskMessage> {
        let longest = self
            .drain
            .as_ref()
            .and_then(|drain| drain.config.max_grace_period.as_ref())
            .map(v1::DurationInfo::to_duration);
        let tasks = self.frameworks.values().flat_map(|framework| {
            framework.executors.values().flat_map(|executor| executor.active_tasks())
        });
        tasks
            .map(|task| {
                let own = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
                let grace = longest.map(|longest| match own {
                    Some(own) => own.to_duration().min(longest),
                    None => longest,
                });
                internal::KillTaskMessage {
                    framework_id: task.framework_id.clone(),
                    task_id: task.task_id.clone(),
                    kill_policy: grace
                        .map(|grace| v1::KillPolicy { grace_period: Some(grace.into()) }),
                }
            })
            .collect()
    }

    /// Tasks that die now do so because of the drain.
    pub(super) fn explain_by_drain(&self, framework: &Framework, update: &mut StatusUpdate) {
        let Some(drain) = &self.drain else { return };
        let state = update.status.state();
        if !matches!(state, TaskState::TaskKilled | TaskState::TaskKilling) {
            return;
        }
        update.status.reason = Some(Reason::AgentDraining as i32);
        if state == TaskState::TaskKilled
            && drain.config.mark_gone()
            && framework.is_partition_aware()
        {
            update.status.state = TaskState::TaskGoneByOperator as i32;
        }
    }

    /// Ends the drain of an agent that is empty.
    pub(super) fn finish_drain(&mut self, fx: &mut Effects) {
        if self.drain.is_some() && self.frameworks.is_empty() && self.loaded {
            tracing::info!("drained");
            self.drain = None;
            Self::write(Write::Drain(None), fx);
        }
    }
}
