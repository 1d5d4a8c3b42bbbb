//! What has to be done, in which order, to get from one root group to another.

mod stored;
#[cfg(test)]
mod tests;

pub use stored::{StoredPlan, StoredPlanError};

use crate::{
    App, PathId, Timestamp,
    app::is_config_change,
    change::{Applied, Changed, GroupChanged},
    dependencies::Classes,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// An ordered list of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Of the deployment.
    pub id: String,
    /// Of the root group after it.
    pub version: Timestamp,
    pub steps: Vec<Step>,
    /// What the change did to each app: enough to take it back.
    pub changed: BTreeMap<PathId, Changed>,
    pub groups_changed: BTreeMap<PathId, GroupChanged>,
    /// It takes back another one, and is not taken back for the failures of its instances.
    pub rollback: bool,
    affected: BTreeSet<PathId>,
}

/// What is done at the same time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub actions: Vec<Action>,
}

/// What is done with one app.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    pub kind: ActionKind,
    /// What it shall be; for [`ActionKind::Stop`] what it was.
    pub app: Arc<App>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionKind {
    /// A new app; its instances come with a later `Scale`.
    Start,
    /// Only the number of instances is another.
    Scale,
    /// Every instance is replaced, as the upgrade strategy says.
    Restart,
    /// The app is gone.
    Stop,
}

// === impl ActionKind ===

impl ActionKind {
    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "StartApplication",
            Self::Scale => "ScaleApplication",
            Self::Restart => "RestartApplication",
            Self::Stop => "StopApplication",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Start, Self::Scale, Self::Restart, Self::Stop]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

// === impl Step ===

impl Step {
    fn of<'a>(kind: ActionKind, apps: impl Iterator<Item = &'a Arc<App>>) -> Self {
        Self { actions: apps.map(|app| Action { kind, app: app.clone() }).collect() }
    }

    /// `{"actions": [{"action": "StartApplication", "app": "/a"}]}`.
    pub fn json(&self) -> Value {
        let actions = self.actions.iter();
        let actions = actions.map(|a| json!({"action": a.kind.as_str(), "app": a.app.id}));
        json!({"actions": actions.collect::<Value>()})
    }
}

// === impl Plan ===

/// The plan of a change: stop what is gone, start what is new with no instances, then level by
/// level of dependencies bring every app to what it shall be.
pub fn plan(applied: &Applied, id: String) -> Plan {
    let gone = applied.changed.values().filter(|changed| changed.after.is_none());
    let new = applied.changed.values().filter(|changed| changed.before.is_none());
    let mut steps = vec![
        Step::of(ActionKind::Stop, gone.filter_map(|changed| changed.before.as_ref())),
        Step::of(ActionKind::Start, new.filter_map(|changed| changed.after.as_ref())),
    ];
    steps.extend(levels(applied));
    steps.retain(|step| !step.actions.is_empty());
    Plan {
        id,
        version: applied.root.version(),
        steps,
        changed: applied.changed.clone(),
        groups_changed: applied.groups_changed.clone(),
        rollback: false,
        affected: applied.changed.keys().cloned().collect(),
    }
}

fn levels(applied: &Applied) -> impl Iterator<Item = Step> {
    let mut classes = Classes::new(&applied.root);
    let mut levels: BTreeMap<u32, Step> = BTreeMap::new();
    for (id, changed) in &applied.changed {
        let Some(after) = &changed.after else { continue };
        // There are no cycles: they are found when the change is made.
        let class = classes.of_app(id).unwrap_or(u32::MAX);
        let kind = kind(changed.before.as_deref(), after);
        levels.entry(class).or_default().actions.push(Action { kind, app: after.clone() });
    }
    levels.into_values()
}

fn kind(before: Option<&App>, after: &App) -> ActionKind {
    let only_scaled =
        |before: &App| before.instances != after.instances && !is_config_change(before, after);
    match before {
        None => ActionKind::Scale,
        Some(before) if after.instances == 0 || only_scaled(before) => ActionKind::Scale,
        Some(_) => ActionKind::Restart,
    }
}

impl Plan {
    /// A plan that was made before and stored in parts. [`StoredPlan`] keeps the groups too.
    pub fn restore(
        id: String,
        version: Timestamp,
        steps: Vec<Step>,
        changed: BTreeMap<PathId, Changed>,
    ) -> Self {
        let affected = changed.keys().cloned().collect();
        let groups_changed = BTreeMap::new();
        Self { id, version, steps, changed, groups_changed, rollback: false, affected }
    }

    /// The apps it works on; another deployment of one of them is a conflict.
    pub fn affected(&self) -> &BTreeSet<PathId> {
        &self.affected
    }

    /// Whether both work on one app.
    pub fn conflicts_with(&self, other: &Plan) -> bool {
        let (few, many) = if self.affected.len() <= other.affected.len() {
            (&self.affected, &other.affected)
        } else {
            (&other.affected, &self.affected)
        };
        few.iter().any(|id| many.contains(id))
    }

    /// `[{"actions": [..]}]`.
    pub fn steps_json(&self) -> Value {
        self.steps.iter().map(Step::json).collect()
    }

    /// As events carry it: `{"id", "steps", "version"}`.
    pub fn light_json(&self) -> Value {
        json!({"id": self.id, "steps": self.steps_json(), "version": self.version})
    }
}
