//! The root group: every app and group there is, flat and persistent.
//!
//! A clone costs nothing and a change costs what it changes, however many apps there are: beside
//! the maps there are indexes of what a change has to look up.

use crate::{App, PathId, Timestamp, ports::ServicePorts};
use imbl::{OrdMap, OrdSet};
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
    /// Apps with dependencies of their own.
    dependent_apps: OrdSet<PathId>,
    /// Groups with dependencies of their own.
    dependent_groups: OrdSet<PathId>,
    service_ports: ServicePorts,
}

// === impl Group ===

impl Group {
    /// A group without dependencies.
    pub fn new(id: PathId, enforce_role: bool) -> Self {
        let enforce_role = is_top_level(&id).then_some(enforce_role);
        Self { id, dependencies: BTreeSet::new(), enforce_role }
    }
}

/// Whether a group is right below the root.
pub(crate) fn is_top_level(id: &PathId) -> bool {
    id.parent().is_some_and(|parent| parent.is_root())
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
        Self {
            apps: OrdMap::new(),
            groups: OrdMap::unit(PathId::root(), root),
            version,
            dependent_apps: OrdSet::new(),
            dependent_groups: OrdSet::new(),
            service_ports: ServicePorts::default(),
        }
    }

    /// What was stored: groups that apps and groups are in exist even if they were not stored, and
    /// the version is at least that of the newest app.
    pub fn load(
        version: Timestamp,
        groups: impl IntoIterator<Item = Arc<Group>>,
        apps: impl IntoIterator<Item = Arc<App>>,
    ) -> Self {
        let mut root = Self::new(version);
        for group in groups {
            root.make_ancestors(&group.id, false);
            root.put_group(group);
        }
        for app in apps {
            root.version = root.version.max(app.version);
            root.make_ancestors(&app.id, false);
            root.put_app(app);
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
        self.apps
            .range(from(group))
            .skip_while(move |(id, _)| *id == group)
            .take_while(move |(id, _)| id.is_below(group))
            .inspect(|_| self.count_work(1))
            .map(|(_, app)| app)
    }

    /// Every group below a group, at any depth.
    pub fn groups_below<'a>(
        &'a self,
        group: &'a PathId,
    ) -> impl Iterator<Item = &'a Arc<Group>> + 'a {
        self.groups
            .range(from(group))
            .skip_while(move |(id, _)| *id == group)
            .take_while(move |(id, _)| id.is_below(group))
            .inspect(|_| self.count_work(1))
            .map(|(_, group)| group)
    }

    pub(crate) fn dependent_apps_below<'a>(
        &'a self,
        group: &'a PathId,
    ) -> impl Iterator<Item = &'a PathId> + 'a {
        below(&self.dependent_apps, group)
    }

    pub(crate) fn dependent_groups_below<'a>(
        &'a self,
        group: &'a PathId,
    ) -> impl Iterator<Item = &'a PathId> + 'a {
        below(&self.dependent_groups, group)
    }

    pub(crate) fn service_ports(&self) -> &ServicePorts {
        &self.service_ports
    }

    pub(crate) fn set_version(&mut self, version: Timestamp) {
        self.version = version;
    }

    pub(crate) fn put_app(&mut self, app: Arc<App>) {
        self.count_work(1);
        self.remove_app(&app.id);
        for port in app.service_ports() {
            self.service_ports.take(port);
        }
        if !app.dependencies.is_empty() {
            self.dependent_apps.insert(app.id.clone());
        }
        self.apps.insert(app.id.clone(), app);
    }

    pub(crate) fn remove_app(&mut self, id: &PathId) {
        let Some(app) = self.apps.remove(id) else { return };
        for port in app.service_ports() {
            self.service_ports.release(port);
        }
        self.dependent_apps.remove(id);
    }

    pub(crate) fn put_group(&mut self, group: Arc<Group>) {
        self.count_work(1);
        if group.dependencies.is_empty() {
            self.dependent_groups.remove(&group.id);
        } else {
            self.dependent_groups.insert(group.id.clone());
        }
        self.groups.insert(group.id.clone(), group);
    }

    /// Only this entry; the root itself stays.
    pub(crate) fn remove_group(&mut self, id: &PathId) {
        if !id.is_root() {
            self.groups.remove(id);
            self.dependent_groups.remove(id);
        }
    }

    /// Creates the groups that `id` is in, and says which are new.
    pub(crate) fn make_ancestors(&mut self, id: &PathId, enforce_role: bool) -> Vec<PathId> {
        // Where a group exists those above it do.
        let missing: Vec<PathId> =
            id.ancestors().take_while(|group| !self.groups.contains_key(group)).collect();
        for id in &missing {
            self.put_group(Arc::new(Group::new(id.clone(), enforce_role)));
        }
        missing
    }
}

fn from(group: &PathId) -> RangeFrom<PathId> {
    group.clone()..
}

fn below<'a>(ids: &'a OrdSet<PathId>, group: &'a PathId) -> impl Iterator<Item = &'a PathId> + 'a {
    ids.range(from(group))
        .skip_while(move |id| *id == group)
        .take_while(move |id| id.is_below(group))
}

/// Tests count what a change touches: no clock tells it as surely.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local!(static WORK: Cell<u64> = const { Cell::new(0) });

    pub(crate) fn take() -> u64 {
        WORK.take()
    }

    impl super::Root {
        pub(crate) fn count_work(&self, amount: u64) {
            WORK.set(WORK.get() + amount);
        }

        pub(crate) fn same_indexes(&self, other: &Self) -> bool {
            self.dependent_apps == other.dependent_apps
                && self.dependent_groups == other.dependent_groups
                && self.service_ports == other.service_ports
        }
    }
}

#[cfg(not(test))]
impl Root {
    #[inline]
    pub(crate) fn count_work(&self, _amount: u64) {}
}
