//! The one way in which instances change: everything that is counted stays in step.

use super::{AppData, Core, index::Class};
use crate::{
    AppState, Condition, Counts, EventKind, Goal, Instance, Metrics, Write, launch::Placed,
};
use marathon_model::{App, InstanceId, PathId};
use std::sync::Arc;

// === impl Core ===

impl Core {
    pub(super) fn instance(&self, id: &InstanceId) -> Option<Arc<Instance>> {
        self.view.instance(id).cloned()
    }

    /// Makes places for `count` more instances.
    pub(super) fn schedule(&mut self, spec: &Arc<App>, count: u32) {
        for _ in 0..count {
            let id = self.ids.instance(&spec.id, self.now);
            let mut instance = Instance::scheduled(id, spec.clone(), self.at());
            instance.created_at = instance.created_at.max(self.view.root.version());
            self.swap(&spec.id, None, Some(Arc::new(instance)));
        }
    }

    /// Takes over an instance that is known from the store.
    pub(super) fn restore(&mut self, app: &PathId, instance: Instance) {
        self.swap(app, None, Some(Arc::new(instance)));
    }

    /// Changes an instance; returns what it is then.
    pub(super) fn modify(
        &mut self,
        id: &InstanceId,
        change: impl FnOnce(&mut Instance),
    ) -> Option<Arc<Instance>> {
        let before = self.instance(id)?;
        let mut after = (*before).clone();
        change(&mut after);
        if after.condition != before.condition {
            // An unreachable one keeps the time since when it is.
            if after.condition != Condition::UnreachableInactive {
                after.since = self.at();
            }
            after.active_since = match after.condition {
                Condition::Running if after.active_since.is_none() => Some(self.at()),
                condition if condition.active() => after.active_since,
                _ => None,
            };
        }
        let after = Arc::new(after);
        let app = before.app().clone();
        self.swap(&app, Some(before), Some(after.clone()));
        Some(after)
    }

    /// Forgets an instance, which ended as `condition`.
    pub(super) fn expunge(&mut self, id: &InstanceId, condition: Condition) {
        let Some(before) = self.instance(id) else { return };
        if before.condition != condition {
            self.changed_event(&Instance { condition, ..(*before).clone() });
        }
        self.kills.done(id);
        self.unwatch(id);
        let app = before.app().clone();
        self.swap(&app, Some(before), None);
        self.rescale_later(&app);
    }

    pub(super) fn rescale_later(&mut self, app: &PathId) {
        self.apps.entry(app.clone()).or_default().rescale = true;
        self.mark(app);
    }

    /// Its task is over and it is to run: it waits for another offer.
    pub(super) fn reschedule(&mut self, id: &InstanceId) {
        let Some(before) = self.instance(id) else { return };
        self.kills.done(id);
        self.unwatch(id);
        let data = self.apps.get(before.app());
        let target = data.and_then(|data| data.target.clone());
        let replaced = data.and_then(|data| data.replacing);
        match target {
            // Another one of the new version takes its place.
            Some(_) if replaced.is_some_and(|version| version != before.spec.version) => {
                self.expunge(id, before.condition);
            }
            Some(target) => {
                let held = self.apps.get(before.app()).is_some_and(|data| data.held.is_some());
                let spec = if held { before.spec.clone() } else { target };
                self.modify(id, |instance| {
                    instance.ready = spec.readiness_checks.is_empty();
                    instance.spec = spec;
                    instance.condition = Condition::Scheduled;
                    instance.placement = None;
                    instance.host_ports = Vec::new();
                    instance.staged_at = None;
                    instance.started_at = None;
                    instance.mesos_state = None;
                    instance.ips = Vec::new();
                    instance.healthy = None;
                    instance.health = Vec::new();
                    instance.check = None;
                    instance.killing = false;
                });
            }
            None => self.expunge(id, before.condition),
        }
    }

    /// What waits for an offer and is of no deployment's concern is launched as the app is now.
    pub(super) fn renew_waiting(&mut self, app: &PathId) {
        let Some(data) = self.apps.get(app) else { return };
        let Some(target) = data.target.clone() else { return };
        let waiting: Vec<InstanceId> = data.index.of_class(Class::Waiting).cloned().collect();
        let old = |id: &InstanceId| {
            self.view.instance(id).is_some_and(|one| one.spec.version != target.version)
        };
        for id in waiting.into_iter().filter(old).collect::<Vec<_>>() {
            self.modify(&id, |instance| {
                instance.ready = target.readiness_checks.is_empty();
                instance.spec = target.clone();
            });
        }
    }

    /// Puts `after` in the place of `before`; everything that depends on instances follows.
    fn swap(&mut self, app: &PathId, before: Option<Arc<Instance>>, after: Option<Arc<Instance>>) {
        let data = self.apps.entry(app.clone()).or_default();
        let state = Arc::make_mut(entry(&mut self.view.apps, app));
        let metrics = &mut self.view.metrics;
        if let Some(before) = &before {
            data.index.remove(before);
            count(&mut state.counts, metrics, before, u32::wrapping_sub, u64::wrapping_sub);
        }
        match &after {
            Some(after) => {
                data.index.add(after);
                count(&mut state.counts, metrics, after, u32::wrapping_add, u64::wrapping_add);
                state.instances.insert(after.id.clone(), after.clone());
            }
            None => {
                if let Some(before) = &before {
                    state.instances.remove(&before.id);
                    state.readiness.remove(&before.id);
                }
            }
        }
        place(data, before.as_deref(), after.as_deref());
        self.mark(app);
        self.write_and_tell(before, after);
    }

    fn write_and_tell(&mut self, before: Option<Arc<Instance>>, after: Option<Arc<Instance>>) {
        match (before, after) {
            (before, Some(after)) => {
                if before.as_deref().is_none_or(|before| !same_record(before, &after)) {
                    self.out.writes.push(Write::PutInstance(after.clone()));
                }
                let changed = |before: &Arc<Instance>| {
                    (before.condition, before.goal, before.killing)
                        != (after.condition, after.goal, after.killing)
                };
                if before.as_ref().is_none_or(changed) {
                    self.changed_event(&after);
                }
                let healthy = before.and_then(|before| before.healthy);
                if healthy != after.healthy && after.condition != Condition::Scheduled {
                    self.event(EventKind::InstanceHealthChanged {
                        instance: after.id.clone(),
                        app: after.app().clone(),
                        version: after.spec.version,
                        healthy: after.healthy,
                    });
                }
            }
            (Some(before), None) => {
                self.out.writes.push(Write::DeleteInstance(before.id.clone()));
            }
            (None, None) => {}
        }
    }

    pub(super) fn changed_event(&mut self, instance: &Instance) {
        self.event(EventKind::InstanceChanged {
            instance: instance.id.clone(),
            condition: instance.condition,
            app: instance.app().clone(),
            agent: instance.placement.as_ref().map(|placement| placement.agent_id.clone()),
            host: instance.placement.as_ref().map(|placement| placement.host.clone()),
            version: instance.spec.version,
            goal: instance.goal,
            killing: instance.killing,
        });
    }

    /// Makes sure that the app's index of places is about the configuration of `spec`.
    pub(super) fn index_places(&mut self, spec: &App) {
        let Some(data) = self.apps.get_mut(&spec.id) else { return };
        let config = spec.version_info.last_config_change_at;
        if data.placed_for == Some(config) {
            return;
        }
        data.placed_for = Some(config);
        data.placed = Placed::new(spec);
        let state = self.view.apps.get(&spec.id).filter(|_| !spec.constraints.is_empty());
        for instance in state.iter().flat_map(|state| state.instances.values()) {
            place(data, None, Some(instance));
        }
    }
}

/// The record of an app, made if there is none.
pub(super) fn entry<'a>(
    apps: &'a mut imbl::OrdMap<PathId, Arc<AppState>>,
    app: &PathId,
) -> &'a mut Arc<AppState> {
    apps.entry(app.clone()).or_default()
}

fn place(data: &mut AppData, before: Option<&Instance>, after: Option<&Instance>) {
    let placed = |instance: &&Instance| {
        instance.placement.is_some() && Class::of(instance) != Class::Inactive
    };
    match (before.filter(placed), after.filter(placed)) {
        (None, Some(after)) => {
            if let Some(placement) = &after.placement {
                data.placed.add(&after.id, after.spec.version, placement);
            }
        }
        (Some(before), None) => data.placed.remove(&before.id),
        _ => {}
    }
}

fn count(
    counts: &mut Counts,
    metrics: &mut Metrics,
    instance: &Instance,
    op: fn(u32, u32) -> u32,
    wide: fn(u64, u64) -> u64,
) {
    let add = |field: &mut u32| *field = op(*field, 1);
    add(&mut counts.total);
    metrics.instances_total = wide(metrics.instances_total, 1);
    match instance.condition {
        Condition::Scheduled => {
            add(&mut counts.scheduled);
            metrics.instances_scheduled = wide(metrics.instances_scheduled, 1);
        }
        Condition::Provisioned | Condition::Staging | Condition::Starting => {
            add(&mut counts.staged);
            metrics.instances_staged = wide(metrics.instances_staged, 1);
        }
        Condition::Running => {
            add(&mut counts.running);
            metrics.instances_running = wide(metrics.instances_running, 1);
            match instance.healthy {
                Some(true) => add(&mut counts.healthy),
                Some(false) => add(&mut counts.unhealthy),
                None => {}
            }
        }
        Condition::Unreachable | Condition::UnreachableInactive => add(&mut counts.unreachable),
        _ => {}
    }
}

/// Whether the stored form of both is the same.
fn same_record(a: &Instance, b: &Instance) -> bool {
    let small = |one: &Instance| {
        let version = one.spec.version;
        let times = (one.since, one.active_since, one.staged_at, one.started_at);
        let flags = (one.ready, one.killing);
        (one.incarnation, version, one.goal, one.condition, times, one.mesos_state, flags)
    };
    small(a) == small(b)
        && a.host_ports == b.host_ports
        && a.ips == b.ips
        && a.placement.is_some() == b.placement.is_some()
        && (a.healthy == b.healthy || a.own_checks())
}

/// Whether a goal means that the instance ends.
pub(super) fn ends(goal: Goal) -> bool {
    goal != Goal::Running
}
