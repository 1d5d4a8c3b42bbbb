//! A plan as it is kept: small, because apps stand in it by id and version only.

use super::{Action, ActionKind, Plan, Step};
use crate::{
    App, PathId, Timestamp,
    change::{Changed, GroupChanged},
    group::Group,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use thiserror::Error;

/// The stored form of a [`Plan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredPlan {
    id: String,
    version: Timestamp,
    steps: Vec<Vec<StoredAction>>,
    apps: Vec<StoredChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<StoredGroupChange>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rollback: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredAction {
    action: String,
    app: PathId,
}

/// The versions of an app before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredChange {
    id: PathId,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredGroupChange {
    id: PathId,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<StoredGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<StoredGroup>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredGroup {
    dependencies: BTreeSet<PathId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforce_role: Option<bool>,
}

/// Why a stored plan cannot be read.
#[derive(Debug, Error)]
pub enum StoredPlanError {
    #[error("the stored plan is not understood: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the stored plan has an action {0:?}")]
    Action(String),
    #[error("app {id} of the stored plan is not there in version {version}")]
    NoVersion { id: PathId, version: Timestamp },
    #[error("the stored plan has an action on {0}, which it does not change")]
    Unchanged(PathId),
}

// === impl StoredPlan ===

impl From<&Plan> for StoredPlan {
    fn from(plan: &Plan) -> Self {
        let action = |action: &Action| StoredAction {
            action: action.kind.as_str().to_owned(),
            app: action.app.id.clone(),
        };
        let version = |app: &Option<Arc<App>>| app.as_ref().map(|app| app.version);
        let apps = plan.changed.iter().map(|(id, changed)| StoredChange {
            id: id.clone(),
            before: version(&changed.before),
            after: version(&changed.after),
        });
        let groups = plan.groups_changed.iter().map(|(id, changed)| StoredGroupChange {
            id: id.clone(),
            before: changed.before.as_deref().map(StoredGroup::from),
            after: changed.after.as_deref().map(StoredGroup::from),
        });
        Self {
            id: plan.id.clone(),
            version: plan.version,
            steps: plan.steps.iter().map(|s| s.actions.iter().map(action).collect()).collect(),
            apps: apps.collect(),
            groups: groups.collect(),
            rollback: plan.rollback,
        }
    }
}

impl StoredPlan {
    /// Reads what [`StoredPlan::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoredPlanError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        // There is nothing in it that JSON could not say.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Of the deployment.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The versions of apps that [`StoredPlan::resolve`] will ask for.
    pub fn references(&self) -> impl Iterator<Item = (&PathId, Timestamp)> {
        self.apps.iter().flat_map(|change| {
            change.before.into_iter().chain(change.after).map(|version| (&change.id, version))
        })
    }

    /// The plan, with its apps from wherever they are kept.
    pub fn resolve(
        &self,
        mut app: impl FnMut(&PathId, Timestamp) -> Option<Arc<App>>,
    ) -> Result<Plan, StoredPlanError> {
        let mut find = |id: &PathId, version: Option<Timestamp>| match version {
            None => Ok(None),
            Some(version) => app(id, version)
                .map(Some)
                .ok_or_else(|| StoredPlanError::NoVersion { id: id.clone(), version }),
        };
        let mut changed = BTreeMap::new();
        for change in &self.apps {
            let before = find(&change.id, change.before)?;
            let after = find(&change.id, change.after)?;
            changed.insert(change.id.clone(), Changed { before, after });
        }
        let groups_changed = self.groups.iter().map(StoredGroupChange::resolve).collect();
        let steps =
            self.steps.iter().map(|actions| step(actions, &changed)).collect::<Result<_, _>>()?;
        Ok(Plan {
            id: self.id.clone(),
            version: self.version,
            steps,
            affected: changed.keys().cloned().collect(),
            changed,
            groups_changed,
            rollback: self.rollback,
        })
    }
}

fn step(
    actions: &[StoredAction],
    changed: &BTreeMap<PathId, Changed>,
) -> Result<Step, StoredPlanError> {
    let action = |stored: &StoredAction| {
        let kind = ActionKind::parse(&stored.action)
            .ok_or_else(|| StoredPlanError::Action(stored.action.clone()))?;
        let changed = changed.get(&stored.app);
        let app = match kind {
            ActionKind::Stop => changed.and_then(|changed| changed.before.clone()),
            _ => changed.and_then(|changed| changed.after.clone()),
        };
        let app = app.ok_or_else(|| StoredPlanError::Unchanged(stored.app.clone()))?;
        Ok::<_, StoredPlanError>(Action { kind, app })
    };
    Ok(Step { actions: actions.iter().map(action).collect::<Result<_, _>>()? })
}

// === impl StoredGroupChange ===

impl StoredGroupChange {
    fn resolve(&self) -> (PathId, GroupChanged) {
        let group = |stored: &StoredGroup| {
            Arc::new(Group {
                id: self.id.clone(),
                dependencies: stored.dependencies.clone(),
                enforce_role: stored.enforce_role,
            })
        };
        let before = self.before.as_ref().map(group);
        (self.id.clone(), GroupChanged { before, after: self.after.as_ref().map(group) })
    }
}

impl From<&Group> for StoredGroup {
    fn from(group: &Group) -> Self {
        Self { dependencies: group.dependencies.clone(), enforce_role: group.enforce_role }
    }
}
