//! What the actions of a deployment do, and the check of counts outside of deployments.

use super::{
    Core, Timer,
    arithmetic::{Tally, decide},
    commands::is_resident,
    index::{Class, PRESENT, RUNNING},
};
use crate::{EventKind, Goal, Write, launch};
use marathon_model::{
    App, InstanceId, PathId, Timestamp,
    app::Operator,
    plan::{Action, ActionKind, Plan},
};
use std::sync::Arc;

/// Healthy, or not known to be otherwise.
const GOOD: [Class; 3] = [Class::Unknown, Class::NotReady, Class::Ready];
/// With a task that serves nobody.
const BAD: [Class; 3] = [Class::Unreachable, Class::Staged, Class::Unhealthy];
/// What is not there yet as it shall be.
const UNFINISHED: [Class; 7] = [
    Class::Waiting,
    Class::Killing,
    Class::Unreachable,
    Class::Staged,
    Class::Unhealthy,
    Class::Unknown,
    Class::NotReady,
];

// === impl Core ===

impl Core {
    /// An action's turn has come.
    pub(super) fn begin_action(&mut self, action: &Action) {
        let id = &action.app.id;
        let replaces = action.kind == ActionKind::Restart;
        let data = self.apps.entry(id.clone()).or_default();
        data.target = Some(action.app.clone()).filter(|_| action.kind != ActionKind::Stop);
        data.replacing = replaces.then_some(action.app.version);
        data.held = None;
        match action.kind {
            ActionKind::Start | ActionKind::Restart => {
                for check in &action.app.health_checks {
                    let (app, version) = (id.clone(), action.app.version);
                    self.event(EventKind::AddHealthCheck { app, version, check: check.clone() });
                }
            }
            ActionKind::Stop => {
                if !action.app.health_checks.is_empty() {
                    self.event(EventKind::RemoveHealthCheck { app: id.clone() });
                }
            }
            ActionKind::Scale => {}
        }
        if matches!(action.kind, ActionKind::Restart | ActionKind::Stop) {
            self.reset_backoff(id);
        }
        self.begin_readiness(id);
        self.mark(id);
    }

    /// The next move of the deployment that works on this app.
    pub(super) fn advance(&mut self, app: &PathId) {
        let Some(deployment) = self.locks.get(app).cloned() else { return };
        let Some(running) = self.running(&deployment) else { return };
        let at = running.actions.get(app).copied().filter(|_| running.open.contains(app));
        let plan = running.plan.clone();
        let step = plan.steps.get(running.step);
        let Some((at, action)) = at.and_then(|at| Some((at, step?.actions.get(at)?))) else {
            // Before or after its turn the app is kept as it is.
            let step = running.step;
            let lost = |data: &mut super::AppData| std::mem::take(&mut data.rescale);
            if self.apps.get_mut(app).is_some_and(lost) && !is_to_come(&plan, step, app) {
                self.rescale(app);
            }
            return;
        };
        let done = match action.kind {
            ActionKind::Start => true,
            ActionKind::Scale => self.advance_scale(&action.app, plan.version),
            ActionKind::Restart => self.advance_restart(&action.app),
            ActionKind::Stop => self.advance_stop(&action.app),
        };
        self.note_progress(&deployment, app, action, at, done);
        if done {
            if let Some(data) = self.apps.get_mut(app) {
                (data.rescale, data.replacing) = (false, None);
            }
            self.action_done(&deployment, app);
        }
    }

    /// Keeps what is shown of the action, and notices whether anything moves.
    fn note_progress(
        &mut self,
        deployment: &Arc<str>,
        app: &PathId,
        action: &Action,
        at: usize,
        done: bool,
    ) {
        let Some(data) = self.apps.get(app) else { return };
        let version = action.app.version;
        let replaces = action.kind == ActionKind::Restart;
        let (ready, left) = if replaces {
            let old = data.index.count_others(version, &PRESENT);
            (data.index.count(version, &[Class::Ready]), old + data.index.total(&[Class::Going]))
        } else {
            (data.index.total(&[Class::Ready]), data.index.total(&[Class::Going]))
        };
        let Some(running) = self.running_mut(deployment) else { return };
        let best = running.best.entry(app.clone()).or_insert((0, u32::MAX));
        let moved = ready > best.0 || left < best.1;
        if ready > best.0 {
            running.failures.remove(app);
        }
        let best = running.best.entry(app.clone()).or_default();
        *best = (best.0.max(ready), best.1.min(left));
        if moved {
            self.progress(deployment);
        }
        self.show_deployment(deployment, |shown| {
            let known = shown
                .actions
                .get(at)
                .is_some_and(|state| (state.ready, state.done) == (ready, done));
            if let Some(state) = shown.actions.get_mut(at).filter(|_| !known) {
                (state.ready, state.done) = (ready, done);
            }
        });
    }

    /// As many as are wanted; those that came with this deployment must be ready.
    fn advance_scale(&mut self, app: &Arc<App>, since: Timestamp) -> bool {
        self.balance(app);
        let Some(data) = self.apps.get(&app.id) else { return app.instances == 0 };
        let index = &data.index;
        if index.total(&PRESENT) != app.instances || index.total(&[Class::Going]) > 0 {
            return false;
        }
        if index.total(&[Class::Ready]) == app.instances {
            return true;
        }
        // How those fare that were there before is not this deployment's business.
        let view = &self.view;
        let new = |id: &InstanceId| view.instance(id).is_some_and(|one| one.created_at >= since);
        !UNFINISHED.iter().any(|class| index.of_class(*class).any(new))
    }

    fn advance_restart(&mut self, app: &Arc<App>) -> bool {
        let version = app.version;
        self.drop_old(app);
        let Some(data) = self.apps.get(&app.id) else { return app.instances == 0 };
        let index = &data.index;
        let tally = Tally {
            wanted: app.instances,
            old_good: index.count_others(version, &GOOD),
            old_bad: index.count_others(version, &BAD),
            started: index.count(version, &PRESENT),
            waiting: index.count(version, &[Class::Waiting]),
            ready: index.count(version, &[Class::Ready]),
            going: index.total(&[Class::Going]),
            resident: is_resident(app),
        };
        let mut decision = decide(&tally, app.upgrade_strategy);
        let (unproven, until) = &data.unproven;
        if !unproven.is_empty() && *until > self.now.mono {
            // Who serves and who does not is not known yet.
            (decision.kill_good, decision.surplus) = (0, 0);
        }
        let old: Vec<Timestamp> =
            index.versions().into_iter().filter(|known| *known != version).collect();
        let selection = app.kill_selection;
        let mut victims = Vec::new();
        for class in BAD {
            let left = (decision.kill_bad as usize).saturating_sub(victims.len());
            index.victims(&old, &[class], selection, left, &mut victims);
        }
        // Those that may yet turn out to be sick before those that serve.
        let good = victims.len() + decision.kill_good as usize;
        for class in GOOD {
            let left = good.saturating_sub(victims.len());
            index.victims(&old, &[class], selection, left, &mut victims);
        }
        let unlaunch = decision.unlaunch as usize;
        index.victims(&[version], &[Class::Waiting], selection, unlaunch, &mut victims);
        let surplus = decision.surplus.saturating_sub(decision.unlaunch);
        victims.extend(self.surplus(app, &[version], surplus));
        for id in victims {
            self.kill(&id, Goal::Decommissioned);
        }
        self.schedule(app, decision.start);
        decision.done
    }

    /// Old ones without a task, or with one that nobody counts on, go at once.
    fn drop_old(&mut self, app: &App) {
        let Some(data) = self.apps.get(&app.id) else { return };
        let mut gone: Vec<InstanceId> = Vec::new();
        for version in data.index.versions().into_iter().filter(|known| *known != app.version) {
            for class in [Class::Waiting, Class::Inactive, Class::Killing] {
                gone.extend(data.index.of(version, class).cloned());
            }
        }
        for id in gone {
            self.kill(&id, Goal::Decommissioned);
        }
    }

    fn advance_stop(&mut self, app: &App) -> bool {
        self.decommission(&app.id);
        if self.apps.get(&app.id).is_some_and(|data| !data.index.is_empty()) {
            return false;
        }
        let failed = self.view.apps.get(&app.id).is_some_and(|state| state.last_failure.is_some());
        if failed {
            self.out.writes.push(Write::DeleteFailure(app.id.clone()));
        }
        self.event(EventKind::AppTerminated { app: app.id.clone() });
        true
    }

    /// Every instance of an app goes.
    pub(super) fn decommission(&mut self, app: &PathId) {
        let Some(data) = self.apps.get(app) else { return };
        let all = PRESENT.iter().chain(&[Class::Inactive]);
        let ids: Vec<InstanceId> =
            all.flat_map(|class| data.index.of_class(*class)).cloned().collect();
        for id in ids {
            self.kill(&id, Goal::Decommissioned);
        }
    }

    /// Starts what is missing, kills what is too many.
    fn balance(&mut self, app: &Arc<App>) {
        let data = self.apps.entry(app.id.clone()).or_default();
        let present = data.index.total(&PRESENT);
        let versions = data.index.versions();
        let surplus = self.surplus(app, &versions, present.saturating_sub(app.instances));
        let mut gone = surplus;
        if app.instances == 0 {
            let index = self.apps.get(&app.id).map(|data| &data.index);
            gone.extend(
                index.into_iter().flat_map(|index| index.of_class(Class::Inactive)).cloned(),
            );
        }
        for id in gone {
            self.kill(&id, Goal::Decommissioned);
        }
        self.schedule(app, app.instances.saturating_sub(present));
    }

    /// Which instances go first when there are `count` too many.
    fn surplus(&self, app: &App, versions: &[Timestamp], count: u32) -> Vec<InstanceId> {
        let mut victims = Vec::new();
        let Some(data) = self.apps.get(&app.id).filter(|_| count > 0) else { return victims };
        let count = count as usize;
        // While some are awaited, evenness counts for less than health.
        let awaited = data.replacing.is_some();
        if !awaited && app.constraints.iter().any(|one| one.operator == Operator::GroupBy) {
            let ids = PRESENT.iter().flat_map(|class| {
                versions.iter().flat_map(move |version| data.index.of(*version, *class))
            });
            let all: Vec<_> = ids.filter_map(|id| self.view.instance(id).cloned()).collect();
            let chosen = launch::victims(app, &all, count);
            return chosen.into_iter().map(|one| one.id.clone()).collect();
        }
        // Beyond the original, sick ones go before healthy ones; where some are awaited, so do
        // those that are not there yet.
        let running: &[&[Class]] = match awaited {
            true => &[&[Class::Unknown], &[Class::NotReady], &[Class::Ready]],
            false => &[&RUNNING],
        };
        let first =
            [Class::Killing, Class::Waiting, Class::Unreachable, Class::Staged, Class::Unhealthy];
        let classes = first.iter().map(std::slice::from_ref).chain(running.iter().copied());
        for class in classes {
            let left = count.saturating_sub(victims.len());
            data.index.victims(versions, class, app.kill_selection, left, &mut victims);
        }
        victims
    }

    /// The count of an app that no deployment changes now is set right.
    pub(super) fn rescale(&mut self, app: &PathId) {
        let data = self.apps.entry(app.clone()).or_default();
        match data.target.clone() {
            Some(_) if data.replacing.is_some() => {}
            Some(target) => match data.held {
                Some(held) => {
                    let missing = held.saturating_sub(data.index.total(&PRESENT));
                    self.schedule(&target, missing);
                }
                None => self.balance(&target),
            },
            None => self.decommission(app),
        }
    }

    /// All apps, now and then.
    pub(super) fn scale_check(&mut self) {
        let unlocked: Vec<PathId> =
            self.apps.keys().filter(|app| !self.locks.contains_key(*app)).cloned().collect();
        let wrong = |app: &PathId| {
            let data = self.apps.get(app)?;
            let wanted = data.target.as_ref().map_or(0, |target| target.instances);
            let present = data.index.total(&PRESENT);
            (present != wanted).then(|| app.clone())
        };
        let mut wrong: Vec<PathId> = unlocked.iter().filter_map(wrong).collect();
        wrong.sort_unstable();
        for app in wrong {
            self.rescale(&app);
        }
        self.timers.set(self.now.mono + self.config.scale_check_interval, Timer::ScaleCheck);
    }
}

/// Whether the app is new and its instances come with a later step.
fn is_to_come(plan: &Plan, step: usize, app: &PathId) -> bool {
    let new = plan.changed.get(app).is_some_and(|changed| changed.before.is_none());
    let later = plan.steps.iter().skip(step + 1).flat_map(|step| &step.actions);
    new && later.map(|action| &action.app.id).any(|id| id == app)
}
