//! Deployments: their steps one after the other, the actions of a step side by side.

use super::{Core, Timer, index::PRESENT};
use crate::{ActionState, CurrentStep, Deployment, EventKind, Write};
use marathon_model::{
    PathId,
    change::Change,
    plan::{ActionKind, Plan},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{sync::Arc, time::Duration};

/// What is kept of a running deployment.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: Arc<str>,
    pub(super) plan: Arc<Plan>,
    /// From 0; the number of steps: done.
    pub(super) step: usize,
    /// Where an app is among the actions of the step.
    pub(super) actions: FxHashMap<PathId, usize>,
    /// Those of the step that are not done.
    pub(super) open: FxHashSet<PathId>,
    pub(super) rollback: bool,
    pub(super) last_progress: Duration,
    /// Of each app: the most instances that were ready, and the fewest that were still to go.
    pub(super) best: FxHashMap<PathId, (u32, u32)>,
    /// Failures of new instances since one of them was ready.
    pub(super) failures: FxHashMap<PathId, u32>,
}

/// The text the original gives to those who wait for a deployment that was taken away.
pub(super) const CANCELLED: &str = "The upgrade has been cancelled";

// === impl Core ===

impl Core {
    pub(super) fn running(&self, id: &str) -> Option<&Running> {
        self.deployments.iter().find(|running| &*running.id == id)
    }

    pub(super) fn running_mut(&mut self, id: &str) -> Option<&mut Running> {
        self.deployments.iter_mut().find(|running| &*running.id == id)
    }

    /// Begins a deployment whose plan is stored.
    pub(super) fn begin(&mut self, plan: Arc<Plan>) {
        let (id, rollback): (Arc<str>, bool) = (plan.id.as_str().into(), plan.rollback);
        self.view.metrics.deployments_started += 1;
        for app in plan.affected() {
            self.locks.insert(app.clone(), id.clone());
            let before = plan.changed.get(app).and_then(|changed| changed.before.clone());
            let data = self.apps.entry(app.clone()).or_default();
            // Until its turn comes, what fails is launched again as it was.
            if let Some(before) = before {
                let after = plan.changed.get(app).and_then(|changed| changed.after.as_ref());
                let (old, new) = (before.instances, after.map_or(0, |after| after.instances));
                let present = data.index.total(&PRESENT);
                // It may be half done already, by a process or a deployment before.
                data.held = Some(if old <= new { old } else { present.clamp(new, old) });
                data.target = Some(before);
            }
            let state = super::instances::entry(&mut self.view.apps, app);
            Arc::make_mut(state).deployments = vec![id.clone()];
        }
        self.view.deployments.push_back(Arc::new(Deployment {
            plan: plan.clone(),
            started_at: self.at(),
            current_step: 0,
            actions: imbl::Vector::new(),
            reason: None,
            last_progress: self.at(),
            rollback,
        }));
        self.deployments.push(Running {
            id: id.clone(),
            plan,
            step: 0,
            actions: FxHashMap::default(),
            open: FxHashSet::default(),
            rollback,
            last_progress: self.now.mono,
            best: FxHashMap::default(),
            failures: FxHashMap::default(),
        });
        self.timers.set(self.now.mono + self.config.stalled_after, Timer::Stalled(id.clone()));
        self.enter_step(&id, 0);
    }

    /// Begins the actions of a step.
    fn enter_step(&mut self, id: &Arc<str>, step: usize) {
        let Some(running) = self.running_mut(id) else { return };
        let plan = running.plan.clone();
        let Some(actions) = plan.steps.get(step).map(|step| &step.actions) else {
            running.step = plan.steps.len();
            return self.succeed(id);
        };
        running.step = step;
        running.actions =
            actions.iter().enumerate().map(|(at, action)| (action.app.id.clone(), at)).collect();
        running.best.clear();
        running.open = actions.iter().map(|action| action.app.id.clone()).collect();
        self.progress(id);
        let states = actions.iter().map(|action| ActionState {
            kind: action.kind,
            app: action.app.id.clone(),
            done: false,
            ready: 0,
            wanted: if action.kind == ActionKind::Stop { 0 } else { action.app.instances },
        });
        let states: imbl::Vector<ActionState> = states.collect();
        self.show_deployment(id, |shown| {
            shown.current_step = step + 1;
            shown.actions = states;
        });
        let current = self.current_step(&plan, step);
        self.event(EventKind::DeploymentInfo { plan: plan.clone(), step: current });
        for action in actions {
            self.begin_action(action);
        }
        if actions.is_empty() {
            self.due.push(id.clone());
        }
    }

    fn current_step(&self, plan: &Plan, step: usize) -> CurrentStep {
        let actions = plan.steps.get(step).map(|step| step.actions.as_slice()).unwrap_or_default();
        let actions = actions.iter().map(|action| (action.kind, action.app.id.clone())).collect();
        CurrentStep { number: step + 1, actions }
    }

    /// All actions of the step are done, unless something was undone since.
    pub(super) fn step_done(&mut self, id: &Arc<str>) {
        let Some(running) = self.running(id).filter(|running| running.open.is_empty()) else {
            return;
        };
        let (plan, step) = (running.plan.clone(), running.step);
        if step < plan.steps.len() {
            let current = self.current_step(&plan, step);
            self.event(EventKind::DeploymentStepSuccess { plan, step: current });
            self.enter_step(id, step + 1);
        }
    }

    /// An action of the current step is done.
    pub(super) fn action_done(&mut self, id: &Arc<str>, app: &PathId) {
        let Some(running) = self.running_mut(id) else { return };
        if running.open.remove(app) && running.open.is_empty() {
            self.due.push(id.clone());
        }
        self.progress(id);
    }

    fn succeed(&mut self, id: &Arc<str>) {
        self.view.metrics.deployments_succeeded += 1;
        if let Some(plan) = self.end(id) {
            self.event(EventKind::DeploymentSuccess { plan });
        }
    }

    /// Takes a deployment away; what it has done stays.
    pub(super) fn cancel(&mut self, id: &Arc<str>, reason: &str) {
        let Some(running) = self.running(id) else { return };
        let (plan, step) = (running.plan.clone(), running.step);
        let current = self.current_step(&plan, step);
        self.view.metrics.deployments_failed += 1;
        self.event(EventKind::DeploymentStepFailure { plan, step: current });
        if let Some(plan) = self.end(id) {
            let reason = Some(reason.to_owned());
            self.event(EventKind::DeploymentFailed { plan, reason });
        }
    }

    /// Its apps are free again.
    fn end(&mut self, id: &Arc<str>) -> Option<Arc<Plan>> {
        let at = self.deployments.iter().position(|running| running.id == *id)?;
        let plan = self.deployments.remove(at).plan;
        self.view.deployments.retain(|shown| shown.plan.id != plan.id);
        self.out.writes.push(Write::DeleteDeployment(plan.id.clone()));
        for app in plan.affected() {
            if self.locks.get(app) == Some(id) {
                self.locks.remove(app);
            }
            let target = self.view.root.app(app).cloned();
            let data = self.apps.entry(app.clone()).or_default();
            (data.target, data.replacing, data.held) = (target, None, None);
            if let Some(state) = self.view.apps.get_mut(app) {
                let state = Arc::make_mut(state);
                state.deployments.clear();
                state.readiness.clear();
            }
            self.end_readiness(app);
            self.renew_waiting(app);
            self.mark(app);
        }
        Some(plan)
    }

    /// Something moved: it does not stand still.
    pub(super) fn progress(&mut self, id: &str) {
        let (now, at) = (self.now.mono, self.at());
        let Some(running) = self.running_mut(id) else { return };
        if running.last_progress == now && now > Duration::ZERO {
            return;
        }
        running.last_progress = now;
        self.show_deployment(id, |shown| {
            shown.last_progress = at;
            shown.reason = None;
        });
    }

    pub(super) fn show_deployment(&mut self, id: &str, change: impl FnOnce(&mut Deployment)) {
        let at = self.view.deployments.iter().position(|shown| shown.plan.id == id);
        if let Some(shown) = at.and_then(|at| self.view.deployments.get_mut(at)) {
            change(Arc::make_mut(shown));
        }
    }

    /// A new instance of an update failed. Enough of them take the update back, if the app asks
    /// for that.
    pub(super) fn count_failure(&mut self, app: &PathId, spec: &marathon_model::App) {
        let Some(id) = self.locks.get(app).cloned() else { return };
        let replacing = self.apps.get(app).and_then(|data| data.replacing);
        if replacing != Some(spec.version) {
            return;
        }
        let limit = self.auto_rollback_limit(app);
        let Some(running) = self.running_mut(&id) else { return };
        let count = running.failures.entry(app.clone()).or_default();
        *count += 1;
        let enough = limit.is_some_and(|limit| *count >= limit);
        if enough && !running.rollback {
            self.rollbacks.push((id, app.clone()));
        }
    }

    fn auto_rollback_limit(&self, app: &PathId) -> Option<u32> {
        let target = self.view.root.app(app)?;
        marathon_model::rollback::failures_allowed(target)
    }

    /// Takes back an update whose instances keep failing.
    pub(super) fn auto_rollback(&mut self, id: &Arc<str>, app: &PathId) {
        let Some(running) = self.running(id) else { return };
        let plan = running.plan.clone();
        let failures = running.failures.get(app).copied().unwrap_or_default();
        let reason = format!(
            "{failures} new instances of {app} failed and none became ready: rolled back automatically"
        );
        let change = Change::RevertDeployment { plan };
        let applied = self.apply(&change, true);
        self.cancel(id, &reason);
        if let Ok(applied) = applied {
            // Nobody waits for it; what goes wrong shows in the deployment itself.
            let _ = self.deploy(applied, &change, true, true);
        }
    }
}
