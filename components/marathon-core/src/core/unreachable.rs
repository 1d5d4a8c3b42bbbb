//! Tasks nobody can reach, and launches nobody heard of.

use super::{Core, Timer};
use crate::{Call, Condition, Goal};
use marathon_model::{InstanceId, app::UnreachableStrategy};
use mesos_messages::v1;
use std::time::Duration;

// === impl Core ===

impl Core {
    /// The agent of a task is cut off.
    pub(super) fn unreachable(&mut self, id: &InstanceId, status: &v1::TaskStatus) {
        let Some(instance) = self.instance(id) else { return };
        if instance.goal != Goal::Running {
            // It was asked to go and cannot answer; if it comes back, it is killed.
            return self.expunge(id, Condition::Unreachable);
        }
        if matches!(instance.condition, Condition::Unreachable | Condition::UnreachableInactive) {
            return;
        }
        let state = status.state();
        self.modify(id, |one| {
            one.condition = Condition::Unreachable;
            one.mesos_state = Some(state);
        });
        self.still_unreachable(id);
    }

    /// What the app's strategy says after this time.
    pub(super) fn still_unreachable(&mut self, id: &InstanceId) {
        let Some(instance) = self.instance(id) else { return };
        let cut_off =
            matches!(instance.condition, Condition::Unreachable | Condition::UnreachableInactive);
        let UnreachableStrategy::After { inactive_seconds, expunge_seconds } =
            instance.spec.unreachable_strategy
        else {
            return;
        };
        if !cut_off {
            return;
        }
        let (inactive, gone) =
            (Duration::from_secs(inactive_seconds), Duration::from_secs(expunge_seconds));
        let since = self.mono_of(instance.since);
        let elapsed = self.now.wall.saturating_sub(instance.since.wall());
        if elapsed >= gone {
            return self.expunge(id, instance.condition);
        }
        if elapsed >= inactive && instance.condition == Condition::Unreachable {
            self.modify(id, |one| one.condition = Condition::UnreachableInactive);
            self.rescale_later(instance.app());
        }
        let next = if elapsed >= inactive { gone } else { inactive.min(gone) };
        // A whole millisecond more, since moments are cut to milliseconds.
        let at = since.saturating_add(next).saturating_add(Duration::from_millis(1));
        self.timers.set(at.max(self.now.mono), Timer::Unreachable(id.clone()));
    }

    /// Sets the timer of a launch.
    pub(super) fn expect_launch(&mut self, id: &InstanceId, incarnation: u64, staged: Duration) {
        let patience = self.config.launch_confirm_timeout.min(self.config.launch_timeout);
        self.timers.set(staged + patience, Timer::Overdue(id.clone(), incarnation));
    }

    /// A launch took too long.
    pub(super) fn overdue(&mut self, id: &InstanceId, incarnation: u64) {
        let Some(instance) = self.instance(id).filter(|one| one.incarnation == incarnation) else {
            return;
        };
        let patience = match instance.condition {
            Condition::Provisioned => self.config.launch_confirm_timeout,
            Condition::Staging | Condition::Starting => self.config.launch_timeout,
            _ => return,
        };
        let staged = instance.staged_at.map_or(self.now.mono, |at| self.mono_of(at));
        if staged + patience > self.now.mono {
            self.timers.set(staged + patience, Timer::Overdue(id.clone(), incarnation));
            return;
        }
        self.kill(id, instance.goal);
        // If the master has never heard of it, only this brings an answer.
        let agent = instance.placement.as_ref().map(|placement| placement.agent_id.clone());
        let task = instance.task_id().to_string();
        self.out.calls.push(Call::Reconcile(vec![(task, agent)]));
    }

    /// An agent is gone for good: what it refused says nothing any more.
    pub(super) fn agent_lost(&mut self, agent: &v1::AgentId) {
        self.seen.lost(&agent.value);
        let waiting: Vec<_> = self.view.queued.iter().cloned().collect();
        for app in waiting {
            if let Some(data) = self.apps.get_mut(&app) {
                data.refusals.agent_lost(agent);
            }
            self.refresh_queue(&app);
        }
    }
}
