//! What has to be done, in which order, to get from one root group to another.

use crate::{
    App, PathId, Timestamp,
    change::{Applied, Changed},
};
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
    affected: BTreeSet<PathId>,
}

/// What is done at the same time.
#[derive(Clone, Debug, PartialEq)]
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
}

// === impl Plan ===

/// The plan of a change.
pub fn plan(applied: &Applied, id: String) -> Plan {
    let affected = applied.changed.keys().cloned().collect();
    Plan {
        id,
        version: applied.root.version(),
        steps: Vec::new(),
        changed: applied.changed.clone(),
        affected,
    }
}

impl Plan {
    /// A plan that was made before and stored in parts.
    pub fn restore(
        id: String,
        version: Timestamp,
        steps: Vec<Step>,
        changed: BTreeMap<PathId, Changed>,
    ) -> Self {
        let affected = changed.keys().cloned().collect();
        Self { id, version, steps, changed, affected }
    }

    /// The apps it works on; another deployment of one of them is a conflict.
    pub fn affected(&self) -> &BTreeSet<PathId> {
        &self.affected
    }
}
