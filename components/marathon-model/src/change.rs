//! Every write there is, and what it comes to.

mod apps;
mod draft;
mod groups;
mod revert;
#[cfg(test)]
mod tests;

use crate::{
    App, ModelError, PathId, Timestamp,
    group::{Group, Root},
    group_update::GroupUpdate,
    plan::Plan,
    settings::Settings,
    update::AppUpdate,
};
use draft::Draft;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A write.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// POST: the app may not exist.
    CreateApp(AppUpdate),
    /// PUT and PATCH. `partial`: absent fields stay. `create`: the app may be new.
    UpdateApp {
        id: PathId,
        update: AppUpdate,
        partial: bool,
        create: bool,
    },
    /// The same for several, each with its id.
    UpdateApps {
        updates: Vec<AppUpdate>,
        partial: bool,
        create: bool,
    },
    /// The app becomes what it was in a stored version.
    RestoreApp {
        id: PathId,
        app: Arc<App>,
    },
    DeleteApp {
        id: PathId,
    },
    /// Every instance is replaced though nothing changed.
    RestartApp {
        id: PathId,
    },
    /// The number of instances of each.
    ScaleApps(BTreeMap<PathId, u32>),
    /// POST: the group may not exist. `id` is the request's path, the update's id is relative to it.
    CreateGroup {
        id: PathId,
        update: GroupUpdate,
    },
    /// PUT. An update with a `version` is [`Change::RestoreGroup`].
    UpdateGroup {
        id: PathId,
        update: GroupUpdate,
    },
    /// Instances of every app below, times `factor`, rounded up.
    ScaleGroup {
        id: PathId,
        factor: f64,
    },
    /// The group becomes what it was: everything below it (`groups` includes itself).
    RestoreGroup {
        id: PathId,
        apps: Vec<Arc<App>>,
        groups: Vec<Arc<Group>>,
    },
    /// With everything in it; of the root only what is in it.
    DeleteGroup {
        id: PathId,
    },
    /// No deployment comes of it, and no new version.
    PatchGroup {
        id: PathId,
        enforce_role: Option<bool>,
    },
    /// What the plan changed becomes what it was before; later changes of other apps stay.
    RevertDeployment {
        plan: Arc<Plan>,
    },
}

/// What a change does to one app.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub before: Option<Arc<App>>,
    pub after: Option<Arc<App>>,
}

/// What a change does to one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupChanged {
    pub before: Option<Arc<Group>>,
    pub after: Option<Arc<Group>>,
}

/// What a change comes to. Nothing in it is bigger than the change.
#[derive(Clone, Debug)]
pub struct Applied {
    pub root: Root,
    /// Apps that are new, gone or other than they were; not those that a change names and
    /// leaves as they are.
    pub changed: BTreeMap<PathId, Changed>,
    pub groups_changed: BTreeMap<PathId, GroupChanged>,
    /// Apps of `changed` whose instances are replaced though only their version is new.
    pub restarted: BTreeSet<PathId>,
    /// Whether an app or group that the request names is new (201 instead of 200).
    pub created: bool,
}

// === impl Root ===

impl Root {
    /// What becomes of everything with this change. `force`: the operator takes what it costs
    /// (a resident app's new role).
    pub fn apply(
        &self,
        change: &Change,
        force: bool,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Applied, ModelError> {
        let mut draft = Draft::new(self, force, now, settings);
        match change {
            Change::CreateApp(update) => draft.create_app(update)?,
            Change::UpdateApp { id, update, partial, create } => {
                draft.created = self.app(id).is_none();
                draft.update_app(id, update, *partial, *create)?;
            }
            Change::UpdateApps { updates, partial, create } => {
                draft.update_apps(updates, *partial, *create)?;
            }
            Change::RestoreApp { id, app } => draft.restore_app(id, app)?,
            Change::DeleteApp { id } => draft.delete_app(id)?,
            Change::RestartApp { id } => {
                self.app(id).ok_or_else(|| ModelError::no_app(id, None))?;
                draft.restart(id);
            }
            Change::ScaleApps(instances) => draft.scale_apps(instances)?,
            Change::CreateGroup { id, update } => draft.create_group(id, update)?,
            Change::UpdateGroup { id, update } => draft.update_group(id, update)?,
            Change::ScaleGroup { id, factor } => draft.scale_group(id, *factor)?,
            Change::RestoreGroup { id, apps, groups } => draft.restore_group(id, apps, groups),
            Change::DeleteGroup { id } => draft.delete_group(id)?,
            Change::PatchGroup { id, enforce_role } => {
                draft.patch_group(id, *enforce_role)?;
                return Ok(draft.finish_unversioned());
            }
            Change::RevertDeployment { plan } => draft.revert(plan),
        }
        let applied = draft.finish()?;
        crate::size::check(&applied)?;
        Ok(applied)
    }
}
