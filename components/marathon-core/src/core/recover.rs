//! Going on where the last process was: everything follows from what was written.

use super::{Core, Timer};
use crate::{Condition, Effects, Goal, Instance, Recovered};
use std::sync::Arc;

// === impl Core ===

impl Core {
    pub(super) fn recover(&mut self, recovered: Recovered) {
        let Recovered { framework_id, root, instances, deployments, failures } = recovered;
        self.view.framework_id = framework_id.map(|id| id.as_str().into());
        self.view.root = root;
        for (id, app) in self.view.root.apps().clone() {
            self.roles.add(&app.role);
            self.apps.entry(id).or_default().target = Some(app);
        }
        for failure in failures {
            let state = super::instances::entry(&mut self.view.apps, &failure.app_id);
            Arc::make_mut(state).last_failure = Some(Arc::new(failure));
        }
        let mut instances = instances;
        instances.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        for instance in instances {
            self.adopt(instance);
        }
        // All of this is known already.
        self.out = Effects::default();
        self.let_go();
        for plan in deployments {
            let plan = Arc::new(plan);
            for app in plan.affected() {
                if let Some(id) = self.locks.get(app).cloned() {
                    self.cancel(&id, super::deploy::CANCELLED);
                }
            }
            self.begin(plan);
        }
        self.timers.set(self.now.mono + self.config.scale_check_initial, Timer::ScaleCheck);
    }

    fn adopt(&mut self, instance: Instance) {
        let (id, app) = (instance.id.clone(), instance.app().clone());
        let (condition, incarnation) = (instance.condition, instance.incarnation);
        self.roles.add(&instance.spec.role);
        let killing = instance.killing && instance.launched();
        let staged = instance.staged_at.map(|at| self.mono_of(at));
        self.restore(&app, instance);
        if killing {
            self.kill_again(&id);
        }
        match condition {
            Condition::Provisioned | Condition::Staging | Condition::Starting => {
                self.expect_launch(&id, incarnation, staged.unwrap_or(self.now.mono));
            }
            Condition::Running => {
                self.watch(&id);
                self.await_proof(&id);
            }
            Condition::Unreachable | Condition::UnreachableInactive => {
                // Agents get the time to come back that follows a start.
                let at = self.link.started + self.config.expunge_initial;
                self.timers.set(at, Timer::Unreachable(id));
            }
            _ => {}
        }
    }

    /// Those that were to end, end; so do those whose app nobody knows.
    fn let_go(&mut self) {
        let mut ending = Vec::new();
        for state in self.view.apps.values() {
            for instance in state.instances.values() {
                let unknown = self.view.root.app(instance.app()).is_none();
                if instance.goal != Goal::Running || unknown {
                    ending.push(instance.id.clone());
                }
            }
        }
        for id in ending {
            self.kill(&id, Goal::Decommissioned);
        }
    }
}
