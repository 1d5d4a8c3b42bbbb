//! The root group: every app and group there is, flat and persistent.
//!
//! A clone costs nothing and a change costs what it changes, however many apps there are.

use crate::{App, PathId, Timestamp};
use imbl::OrdMap;
use std::{collections::BTreeSet, ops::RangeFrom, sync::Arc};

/// A group of its own; what is in it are the entries of [`Root`] below its id.
///
/// Every group has the version of the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub id: PathId,
    pub dependencies: BTreeSet<PathId>,
    /// Whether its name is the role of its apps. Some for top-level groups, none for all others.
    pub enforce_role: Option<bool>,
}

/// Every app and every group.
#[derive(Clone, Debug)]
pub struct Root {
    apps: OrdMap<PathId, Arc<App>>,
    groups: OrdMap<PathId, Arc<Group>>,
    version: Timestamp,
}

// === impl Group ===

impl Group {
    /// A group without dependencies.
    pub fn new(id: PathId, enforce_role: bool) -> Self {
        let top = id.parent().is_some_and(|parent| parent.is_root());
        Self { id, dependencies: BTreeSet::new(), enforce_role: top.then_some(enforce_role) }
    }
}

// === impl Root ===

impl Default for Root {
    fn default() -> Self {
        Self::new(Timestamp(0))
    }
}

impl Root {
    /// A root group with nothing in it.
    pub fn new(version: Timestamp) -> Self {
        let root = Arc::new(Group::new(PathId::root(), false));
        Self { apps: OrdMap::new(), groups: OrdMap::unit(PathId::root(), root), version }
    }

    /// What was stored: groups that apps are in exist even if they were not stored.
    pub fn load(
        version: Timestamp,
        groups: impl IntoIterator<Item = Arc<Group>>,
        apps: impl IntoIterator<Item = Arc<App>>,
    ) -> Self {
        let mut root = Self::new(version);
        for group in groups {
            root.groups.insert(group.id.clone(), group);
        }
        for app in apps {
            root.apps.insert(app.id.clone(), app);
        }
        root
    }

    /// Of the last change.
    pub fn version(&self) -> Timestamp {
        self.version
    }

    /// Every app, sorted.
    pub fn apps(&self) -> &OrdMap<PathId, Arc<App>> {
        &self.apps
    }

    /// Every group and the root itself, sorted.
    pub fn groups(&self) -> &OrdMap<PathId, Arc<Group>> {
        &self.groups
    }

    /// One app.
    pub fn app(&self, id: &PathId) -> Option<&Arc<App>> {
        self.apps.get(id)
    }

    /// One group.
    pub fn group(&self, id: &PathId) -> Option<&Arc<Group>> {
        self.groups.get(id)
    }

    /// Every app below a group, at any depth.
    pub fn apps_below<'a>(&'a self, group: &'a PathId) -> impl Iterator<Item = &'a Arc<App>> + 'a {
        let all: RangeFrom<PathId> = group.clone()..;
        self.apps
            .range(all)
            .skip_while(move |(id, _)| *id == group)
            .take_while(move |(id, _)| id.is_below(group))
            .map(|(_, app)| app)
    }

    /// Every group below a group, at any depth.
    pub fn groups_below<'a>(
        &'a self,
        group: &'a PathId,
    ) -> impl Iterator<Item = &'a Arc<Group>> + 'a {
        let all: RangeFrom<PathId> = group.clone()..;
        self.groups
            .range(all)
            .skip_while(move |(id, _)| *id == group)
            .take_while(move |(id, _)| id.is_below(group))
            .map(|(_, group)| group)
    }
}
