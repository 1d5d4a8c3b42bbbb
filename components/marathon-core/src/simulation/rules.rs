//! What must hold, whatever happens.

use crate::{
    Call, Command, Condition, Effects, Goal, Input, Instance, View,
    testing::{Fate, World},
};
use marathon_model::{App, PathId, TaskId, plan::ActionKind};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Running, and not known to be sick; whose health is not known is judged by what it really is.
fn good(world: &World, one: &Instance) -> bool {
    let sick = || {
        let task = world.cluster.tasks.get(&one.task_id().to_string());
        !one.spec.health_checks.is_empty() && task.is_none_or(|task| task.fate == Fate::Sick)
    };
    (one.healthy.is_some() || !sick())
        && one.condition == Condition::Running
        && one.goal == Goal::Running
        && !one.killing
        && one.healthy != Some(false)
}

/// Nobody can know yet how it fares.
fn young(world: &World, one: &Instance) -> bool {
    let age = one.started_at.map(|at| world.now.wall.saturating_sub(at.wall()));
    let unknown = one.healthy.is_none() && !one.spec.health_checks.is_empty();
    unknown && age.is_none_or(|age| age < Duration::from_secs(60))
}

/// As good as an upgrade wants its new instances.
fn ready(world: &World, one: &Instance) -> bool {
    good(world, one)
        && one.ready
        && (one.spec.health_checks.is_empty() || one.healthy == Some(true))
}

/// The app an upgrade goes to, if one is at it.
fn upgrading(view: &View, app: &PathId) -> Option<Arc<App>> {
    view.deployments.iter().find_map(|shown| {
        let step = shown.plan.steps.get(shown.current_step.checked_sub(1)?)?;
        let action = step.actions.iter().find(|action| action.app.id == *app)?;
        (action.kind == ActionKind::Restart).then(|| action.app.clone())
    })
}

/// Whether a deployment will do something with the app, in a later step than the current one.
fn before_its_turn(view: &View, app: &PathId) -> bool {
    view.deployments.iter().any(|shown| {
        let later = shown.plan.steps.iter().skip(shown.current_step);
        later.flat_map(|step| &step.actions).any(|action| action.app.id == *app)
    })
}

fn min_healthy(app: &App) -> usize {
    (f64::from(app.instances) * app.upgrade_strategy.minimum_health_capacity).ceil() as usize
}

fn max_capacity(app: &App) -> usize {
    let over = app.upgrade_strategy.maximum_over_capacity;
    let max = (f64::from(app.instances) * (1.0 + over)).floor() as usize;
    if max == min_healthy(app) { max + 1 } else { max }
}

/// After each input: no upgrade kills below the minimum, none launches above the maximum.
pub(crate) fn after_input(world: &World, before: &View, input: &Input, effects: &Effects) {
    let after = world.core.view();
    for call in &effects.calls {
        if let Call::Accept { operations, .. } = call {
            let launches = operations.iter().filter_map(|operation| operation.launch.as_ref());
            for task in launches.flat_map(|launch| &launch.task_infos) {
                let id = TaskId::parse(&task.task_id.value).unwrap();
                capacity(&after, &id.instance.app());
            }
        }
    }
    let command = matches!(input, Input::Command(..));
    if matches!(input, Input::Command(_, Command::Kill { .. })) {
        return;
    }
    for (id, state) in &before.apps {
        if !command && before_its_turn(before, id) && before_its_turn(&after, id) {
            let ends = |one: &&Arc<Instance>| {
                let now = after.instance(&one.id);
                one.goal == Goal::Running && now.is_some_and(|now| now.goal != Goal::Running)
            };
            let gone = state.instances.values().filter(ends).count();
            assert!(gone == 0, "{id}: {gone} end before its turn: {:#?}", states(before, id));
        }
        let Some(app) = upgrading(&after, id) else { continue };
        if !command && upgrading(before, id).is_none() {
            continue;
        }
        // New ones count when they are ready, old ones while they are not known to be sick.
        let counts = |one: &Instance| match one.spec.version == app.version {
            true => ready(world, one),
            false => good(world, one),
        };
        let let_go = |one: &&Arc<Instance>| {
            let Some(now) = after.instance(&one.id).filter(|now| now.goal != Goal::Running) else {
                return false;
            };
            // One that the same input showed to be sick was no loss.
            let still = Instance { goal: Goal::Running, killing: false, ..(**now).clone() };
            counts(one) && counts(&still) && !young(world, one)
        };
        let gone = state.instances.values().filter(let_go).count();
        let left = after.app(id).into_iter().flat_map(|state| state.instances.values());
        let healthy = left.filter(|one| counts(one)).count();
        assert!(
            gone == 0 || healthy >= min_healthy(&app),
            "{id}: {gone} killed, {healthy} healthy ones are left of {} after {input:?}: {:#?}",
            min_healthy(&app),
            (states(before, id), states(&after, id), &app.upgrade_strategy, app.instances),
        );
    }
}

/// For messages: what there is of an app.
fn states(view: &View, id: &PathId) -> Vec<String> {
    let all = view.app(id).into_iter().flat_map(|state| state.instances.values());
    let text = |one: &Arc<Instance>| {
        let (version, id) = (one.spec.version.0 % 1_000_000, one.id.as_str());
        format!(
            "{id} {version} {:?} {:?} {:?} killing {} ready {}",
            one.condition, one.goal, one.healthy, one.killing, one.ready
        )
    };
    all.map(text).collect()
}

fn capacity(view: &View, id: &PathId) {
    let Some(app) = upgrading(view, id) else { return };
    let all = view.app(id).into_iter().flat_map(|state| state.instances.values());
    let tasks =
        |one: &&Arc<Instance>| one.launched() && one.condition != Condition::UnreachableInactive;
    let (tasks, max) = (all.filter(tasks).count(), max_capacity(&app));
    let states = states(view, id);
    assert!(tasks <= max, "{id}: {tasks} tasks, at most {max} may be: {states:#?}");
}

/// No instance has two tasks.
pub(crate) fn nothing_doubled(world: &World) {
    let mut seen = BTreeMap::new();
    for (id, _) in world.cluster.live() {
        let instance = TaskId::parse(id).unwrap().instance;
        let other = seen.insert(instance, id);
        assert!(other.is_none(), "{id} and {other:?} run");
    }
}

/// Some time after the last fault: every deployment is over or says why not; every app that could
/// run runs, as often as it is wanted.
pub(crate) fn at_rest(world: &World) -> Result<(), String> {
    nothing_doubled(world);
    let view = world.core.view();
    let mut live: BTreeMap<PathId, usize> = BTreeMap::new();
    for (id, _) in world.cluster.live() {
        *live.entry(TaskId::parse(id).unwrap().instance.app()).or_default() += 1;
    }
    for id in live.keys() {
        ensure(view.root.app(id).is_some(), || format!("{id} has tasks and does not exist"))?;
    }
    for (id, app) in view.root.apps() {
        let state = view.app(id);
        let known = state.map(|state| state.instances.len()).unwrap_or_default();
        let counted = state.map(|state| state.counts).unwrap_or_default();
        assert_eq!(counted.total as usize, known, "{id}");
        let free = state.is_none_or(|state| state.deployments.is_empty());
        if free && can_run(app) {
            let wanted = app.instances as usize;
            let tasks = live.get(id).copied().unwrap_or_default();
            let waits = state.and_then(|state| state.queue.as_ref());
            let is = || {
                let why = waits.map(|item| item.reasons.join("; ")).unwrap_or_default();
                format!("{id}: {tasks} tasks, {known} instances, {wanted} wanted; {why}")
            };
            ensure((tasks, known) == (wanted, wanted), is)?;
        }
    }
    for shown in &view.deployments {
        ensure(shown.reason.is_some(), || format!("no reason: {shown:?}"))?;
        let step = shown.current_step.checked_sub(1).and_then(|at| shown.plan.steps.get(at));
        let actions = step.map(|step| step.actions.as_slice()).unwrap_or_default();
        let mut open = shown.actions.iter().zip(actions).filter(|(state, _)| !state.done);
        // Only what cannot run is an excuse, or what is sick and must not be killed for it.
        let excused = open.any(|(_, action)| {
            let app = &action.app;
            let sick = view.app(&app.id).is_some_and(|state| state.counts.unhealthy > 0);
            let spared = app.health_checks.iter().any(|one| one.max_consecutive_failures == 0);
            action.kind != ActionKind::Stop && (!can_run(app) || sick && spared)
        });
        ensure(excused, || format!("stuck: {:?} {:?}", shown.reason, shown.plan))?;
    }
    Ok(())
}

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text()) }
}

/// A constraint may leave no place, however much room there is elsewhere.
fn can_run(app: &App) -> bool {
    app.constraints.is_empty() && app.cmd.as_deref().is_some_and(|cmd| cmd.contains("fine"))
}
