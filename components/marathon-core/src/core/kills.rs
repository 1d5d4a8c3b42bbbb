//! Kills: some at a time, again and again until the task is over.

use super::{Core, Timer};
use crate::{Call, Condition, Goal};
use marathon_model::InstanceId;
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// Who is to be killed, and who was asked to go.
#[derive(Debug, Default)]
pub(super) struct Kills {
    queue: VecDeque<InstanceId>,
    sent: FxHashMap<InstanceId, Duration>,
    by_time: BTreeSet<(Duration, InstanceId)>,
}

// === impl Kills ===

impl Kills {
    /// The task is over.
    pub(super) fn done(&mut self, id: &InstanceId) {
        if let Some(at) = self.sent.remove(id) {
            self.by_time.remove(&(at, id.clone()));
        }
    }

    fn again(&mut self, id: InstanceId) {
        self.done(&id);
        self.queue.push_back(id);
    }

    /// Asks again, if it was asked.
    pub(super) fn resend(&mut self, id: &InstanceId) {
        if self.sent.contains_key(id) {
            self.again(id.clone());
        }
    }

    /// How many were asked to go and have not answered.
    pub(super) fn in_flight(&self) -> usize {
        self.sent.len()
    }
}

// === impl Core ===

impl Core {
    /// Ends the task of an instance, if it has one. With the goal to run it will be launched
    /// again, otherwise it is forgotten when the task is over.
    pub(super) fn kill(&mut self, id: &InstanceId, goal: Goal) {
        let Some(instance) = self.instance(id) else { return };
        let ends = super::instances::ends(goal);
        match instance.condition {
            Condition::Scheduled if ends => self.expunge(id, Condition::Killed),
            Condition::Scheduled => {}
            // No answer can be expected: if the task comes back, it is killed as an unknown one.
            Condition::Unreachable | Condition::UnreachableInactive => {
                self.send_kill(id);
                self.expunge(id, Condition::Killed);
            }
            _ => {
                self.modify(id, |instance| {
                    if ends {
                        instance.goal = goal;
                    }
                    instance.killing = true;
                });
                if !instance.killing {
                    self.kills.queue.push_back(id.clone());
                }
            }
        }
    }

    /// It was asked to end by the process before.
    pub(super) fn kill_again(&mut self, id: &InstanceId) {
        self.kills.queue.push_back(id.clone());
    }

    /// Sends what may be sent now.
    pub(super) fn send_kills(&mut self) {
        if self.view.master.is_none() {
            return;
        }
        while self.kills.in_flight() < self.config.kill_chunk.max(1) {
            let Some(id) = self.kills.queue.pop_front() else { break };
            let wanted = self.view.instance(&id).is_some_and(|one| one.killing && one.launched());
            if !wanted || self.kills.sent.contains_key(&id) {
                continue;
            }
            self.send_kill(&id);
            if self.kills.by_time.is_empty() {
                self.timers.set(self.now.mono + self.config.kill_retry, Timer::KillRetry);
            }
            self.kills.sent.insert(id.clone(), self.now.mono);
            self.kills.by_time.insert((self.now.mono, id));
        }
    }

    fn send_kill(&mut self, id: &InstanceId) {
        let Some(instance) = self.view.instance(id) else { return };
        let grace = instance.spec.task_kill_grace_period_seconds;
        let call = Call::Kill {
            task: instance.task_id().to_string(),
            agent: instance.placement.as_ref().map(|placement| placement.agent_id.clone()),
            grace: grace.map(|seconds| Duration::from_secs(seconds.into())),
        };
        self.view.metrics.kills_sent += 1;
        self.out.calls.push(call);
    }

    /// Those that have not answered for long are asked again, after all others.
    pub(super) fn retry_kills(&mut self) {
        let retry = self.config.kill_retry;
        while let Some((at, id)) = self.kills.by_time.first().cloned() {
            if at + retry > self.now.mono {
                return self.timers.set(at + retry, Timer::KillRetry);
            }
            self.kills.again(id);
        }
    }

    /// The master may be another one, and know nothing of what was sent.
    pub(super) fn resend_kills(&mut self) {
        let sent: Vec<InstanceId> = self.kills.by_time.iter().map(|(_, id)| id.clone()).collect();
        for id in sent {
            self.kills.again(id);
        }
    }
}
