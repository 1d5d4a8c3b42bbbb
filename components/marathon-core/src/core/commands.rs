//! What users ask for, and what is answered.

use super::{Core, deploy::CANCELLED};
use crate::{Command, Done, EventKind, Goal, Instance, KillWhat, Refusal, Reply, RequestId, Write};
use marathon_model::{
    App, InstanceId, ModelError, PathId,
    app::VolumeSource,
    change::{Applied, Change},
    plan::{Plan, plan},
};
use std::{collections::BTreeSet, sync::Arc};

// === impl Core ===

impl Core {
    pub(super) fn command(&mut self, request: RequestId, command: Command) {
        let reply = match command {
            Command::Change { change, force } => self.change(&change, force),
            Command::DryRun { change } => self.dry_run(&change),
            Command::Kill { what, scale, wipe, force } => self.kill_some(&what, scale, wipe, force),
            Command::CancelDeployment { id, force } => self.cancel_deployment(&id, force),
            Command::ResetDelay { app } => self.reset_delay(&app),
        };
        self.out.replies.push((request, reply));
    }

    pub(super) fn apply(&self, change: &Change, force: bool) -> Result<Applied, ModelError> {
        self.view.root.apply(change, force, self.at(), &self.config.model)
    }

    fn change(&mut self, change: &Change, force: bool) -> Reply {
        let result = self
            .apply(change, force)
            .and_then(|applied| self.deploy(applied, change, force, false));
        match result {
            Ok(done) => Ok(done),
            Err(error) => {
                let (group, version) = (group_of(change), self.view.root.version());
                let reason = error.to_string();
                self.event(EventKind::GroupChangeFailed { group, version, reason });
                Err(error.into())
            }
        }
    }

    /// Makes an applied change real.
    pub(super) fn deploy(
        &mut self,
        applied: Applied,
        change: &Change,
        force: bool,
        rollback: bool,
    ) -> Result<Done, ModelError> {
        refuse_resident(&applied)?;
        let created = applied.created;
        let mut plan = plan(&applied, self.ids.random());
        plan.rollback = rollback;
        let plan = Arc::new(plan);
        let conflicts = self.conflicts(&plan);
        if !conflicts.is_empty() && !force {
            return Err(ModelError::locked(conflicts.iter().map(ToString::to_string).collect()));
        }
        let limit = self.config.max_running_deployments;
        let running = self.deployments.len().saturating_sub(conflicts.len());
        if running >= limit && !plan.steps.is_empty() {
            return Err(ModelError::too_many_deployments(limit));
        }
        for id in conflicts {
            self.cancel(&id, CANCELLED);
        }
        self.store(&applied);
        let app = match applied.changed.len() {
            1 => applied.changed.values().next().and_then(|changed| changed.after.clone()),
            _ => None,
        };
        self.view.root = applied.root;
        self.take_roles(applied.changed.values().filter_map(|changed| changed.after.as_ref()));
        let version = self.view.root.version();
        self.event(EventKind::GroupChangeSuccess { group: group_of(change), version });
        if matches!(change, Change::PatchGroup { .. }) {
            return Ok(Done::Nothing);
        }
        let id = plan.id.clone();
        if plan.steps.is_empty() {
            for (app, changed) in applied.changed {
                self.apps.entry(app).or_default().target = changed.after;
            }
            self.view.metrics.deployments_started += 1;
            self.view.metrics.deployments_succeeded += 1;
            self.event(EventKind::DeploymentSuccess { plan });
        } else {
            self.out.writes.push(Write::PutDeployment(plan.clone()));
            self.begin(plan);
        }
        Ok(Done::Deployment { id, version, app, created })
    }

    pub(super) fn conflicts(&self, plan: &Plan) -> Vec<Arc<str>> {
        let mut conflicts: Vec<Arc<str>> = Vec::new();
        if self.locks.is_empty() {
            return conflicts;
        }
        for id in plan.affected().iter().filter_map(|app| self.locks.get(app)) {
            if !conflicts.contains(id) {
                conflicts.push(id.clone());
            }
        }
        conflicts
    }

    /// Writes every app and group of the change.
    fn store(&mut self, applied: &Applied) {
        let writes = &mut self.out.writes;
        let at = applied.root.version();
        writes.push(Write::RootVersion(at));
        for (id, changed) in &applied.groups_changed {
            writes.push(match &changed.after {
                Some(group) => Write::PutGroup(group.clone()),
                None => Write::DeleteGroup { id: id.clone(), at },
            });
        }
        for (id, changed) in &applied.changed {
            writes.push(match &changed.after {
                Some(app) => Write::PutApp(app.clone()),
                None => Write::DeleteApp { id: id.clone(), at },
            });
        }
    }

    fn kill_some(&mut self, what: &KillWhat, scale: bool, wipe: bool, force: bool) -> Reply {
        if scale && wipe {
            let text = "You cannot use scale and wipe at the same time.";
            return Err(ModelError::BadRequest(text.to_owned()).into());
        }
        let chosen = self.chosen(what)?;
        if !scale {
            let goal = if wipe { Goal::Decommissioned } else { Goal::Running };
            for instance in &chosen {
                self.kill(&instance.id, goal);
            }
            return Ok(Done::Killed(chosen));
        }
        let counts = self.view.counts_without(&chosen);
        let done = self.change(&Change::ScaleApps(counts), force)?;
        for instance in &chosen {
            self.kill(&instance.id, Goal::Decommissioned);
        }
        Ok(done)
    }

    fn chosen(&self, what: &KillWhat) -> Result<Vec<Arc<Instance>>, Refusal> {
        let known = |app: &PathId| match self.view.root.app(app) {
            Some(_) => Ok(()),
            None => Err(ModelError::no_app(app, None)),
        };
        match what {
            KillWhat::App { id, host } => {
                known(id)?;
                let host = host.as_deref().filter(|host| *host != "*");
                let state = self.view.apps.get(id);
                let all = state.iter().flat_map(|state| state.instances.values());
                let there = |one: &&Arc<Instance>| {
                    let placement = one.placement.as_ref();
                    host.is_none_or(|host| placement.is_some_and(|at| at.host == host))
                };
                Ok(all.filter(there).cloned().collect())
            }
            KillWhat::Ids(ids) => {
                let mut chosen = Vec::new();
                let mut seen: BTreeSet<&InstanceId> = BTreeSet::new();
                for id in ids.iter().filter(|id| seen.insert(id)) {
                    let Some(instance) = self.view.instance(id) else { continue };
                    known(instance.app())?;
                    chosen.push(instance.clone());
                }
                Ok(chosen)
            }
        }
    }

    fn cancel_deployment(&mut self, id: &str, force: bool) -> Reply {
        let Some(running) = self.running(id) else {
            let text = format!("Deployment {id} does not exist");
            return Err(ModelError::NotFound(text).into());
        };
        let (id, plan) = (running.id.clone(), running.plan.clone());
        if force {
            self.cancel(&id, CANCELLED);
            return Ok(Done::Nothing);
        }
        let change = Change::RevertDeployment { plan };
        let applied = self.apply(&change, true)?;
        // A plan that changes nothing back has no conflict with the one that is to end.
        self.cancel(&id, CANCELLED);
        Ok(self.deploy(applied, &change, true, true)?)
    }

    fn reset_delay(&mut self, app: &PathId) -> Reply {
        if self.view.apps.get(app).is_none_or(|state| state.queue.is_none()) {
            let text = format!("Application {app} not found in tasks queue.");
            return Err(ModelError::NotFound(text).into());
        }
        self.reset_backoff(app);
        Ok(Done::Nothing)
    }
}

/// Whether an app has volumes that outlive its tasks.
pub(super) fn is_resident(app: &App) -> bool {
    let mut volumes = app.container.iter().flat_map(|container| &container.volumes);
    volumes.any(|volume| matches!(volume.source, VolumeSource::Persistent(_)))
}

/// Volumes that outlive tasks need reservations, which agents here do not make yet.
pub(super) fn refuse_resident(applied: &Applied) -> Result<(), ModelError> {
    for changed in applied.changed.values() {
        if changed.after.as_deref().is_some_and(is_resident) {
            let text = "persistent volumes are not supported by this cluster yet";
            return Err(ModelError::invalid("/container/volumes", text));
        }
    }
    Ok(())
}

/// The group that events name for a change.
fn group_of(change: &Change) -> PathId {
    let parent = |id: &PathId| id.parent().unwrap_or_else(PathId::root);
    match change {
        Change::UpdateApp { id, .. }
        | Change::RestoreApp { id, .. }
        | Change::DeleteApp { id }
        | Change::RestartApp { id } => parent(id),
        Change::CreateApp(update) => {
            let id = update.id.as_deref().and_then(|id| PathId::parse(id).ok());
            id.as_ref().map_or_else(PathId::root, parent)
        }
        Change::CreateGroup { id, .. }
        | Change::UpdateGroup { id, .. }
        | Change::ScaleGroup { id, .. }
        | Change::RestoreGroup { id, .. }
        | Change::DeleteGroup { id }
        | Change::PatchGroup { id, .. } => id.clone(),
        Change::UpdateApps { .. } | Change::ScaleApps(_) | Change::RevertDeployment { .. } => {
            PathId::root()
        }
    }
}
