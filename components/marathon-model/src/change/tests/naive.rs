//! The same rules over a plain tree, with every question answered by looking at everything.

use crate::{PathId, testing::path};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) apps: BTreeMap<String, Leaf>,
    pub(super) groups: BTreeMap<String, Tree>,
    pub(super) dependencies: BTreeSet<PathId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) cmd: u8,
    pub(super) instances: u32,
    pub(super) dependencies: BTreeSet<PathId>,
}

pub(super) type Flat = (BTreeMap<PathId, Leaf>, BTreeMap<PathId, BTreeSet<PathId>>);

// === impl Tree ===

impl Tree {
    /// The group, made with all above it where it is missing.
    pub(super) fn make(&mut self, id: &PathId) -> &mut Tree {
        id.segments().fold(self, |tree, name| tree.groups.entry(name.to_owned()).or_default())
    }

    pub(super) fn find(&self, id: &PathId) -> Option<&Tree> {
        id.segments().try_fold(self, |tree, name| tree.groups.get(name))
    }

    pub(super) fn app(&self, id: &PathId) -> Option<&Leaf> {
        self.find(&id.parent()?)?.apps.get(id.name())
    }

    pub(super) fn put(&mut self, id: &PathId, leaf: Leaf) {
        let group = self.make(&id.parent().unwrap());
        if group.groups.get(id.name()).is_some_and(|inner| !inner.has_apps()) {
            group.groups.remove(id.name());
        }
        group.apps.insert(id.name().to_owned(), leaf);
    }

    fn has_apps(&self) -> bool {
        !self.apps.is_empty() || self.groups.values().any(Tree::has_apps)
    }

    /// `halves` of an instance for each instance.
    pub(super) fn scale(&mut self, halves: u32) {
        for app in self.apps.values_mut() {
            app.instances = (app.instances * halves).div_ceil(2);
        }
        self.groups.values_mut().for_each(|group| group.scale(halves));
    }

    pub(super) fn flat(&self) -> Flat {
        let mut flat = Flat::default();
        self.flatten(&PathId::root(), &mut flat);
        flat
    }

    fn flatten(&self, id: &PathId, flat: &mut Flat) {
        flat.1.insert(id.clone(), self.dependencies.clone());
        flat.0.extend(self.apps.iter().map(|(name, leaf)| (id.child(name), leaf.clone())));
        for (name, group) in &self.groups {
            group.flatten(&id.child(name), flat);
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.names_differ() && classes(&self.flat()).is_some()
    }

    fn names_differ(&self) -> bool {
        !self.apps.keys().any(|name| self.groups.contains_key(name))
            && self.groups.values().all(Tree::names_differ)
    }
}

/// Every single dependency of one app on another.
pub(super) fn edges((apps, groups): &Flat) -> BTreeSet<(PathId, PathId)> {
    let in_group = |group: &PathId| apps.keys().filter(|id| id.is_below(group)).collect::<Vec<_>>();
    let mut edges = BTreeSet::new();
    for (id, app) in apps {
        for target in &app.dependencies {
            if apps.contains_key(target) {
                edges.insert((id.clone(), target.clone()));
            } else if groups.contains_key(target) {
                edges.extend(in_group(target).into_iter().map(|to| (id.clone(), to.clone())));
            }
        }
    }
    for (group, dependencies) in groups {
        for target in dependencies.iter().filter(|target| groups.contains_key(target)) {
            for from in in_group(group) {
                edges.extend(in_group(target).into_iter().map(|to| (from.clone(), to.clone())));
            }
        }
    }
    edges
}

/// The longest chain below each app; none if a chain never ends.
pub(super) fn classes(flat: &Flat) -> Option<BTreeMap<PathId, usize>> {
    let edges = edges(flat);
    let mut classes: BTreeMap<PathId, usize> = flat.0.keys().map(|id| (id.clone(), 1)).collect();
    for _ in 0..=flat.0.len() {
        let mut settled = true;
        for (from, to) in &edges {
            let longer = classes[to] + 1;
            if classes[from] < longer {
                classes.insert(from.clone(), longer);
                settled = false;
            }
        }
        if settled {
            return Some(classes);
        }
    }
    None
}

#[test]
fn classes_of_a_diamond() {
    let leaf = |dependencies: &[&str]| Leaf {
        cmd: 0,
        instances: 1,
        dependencies: dependencies.iter().map(|id| path(id)).collect(),
    };
    let mut tree = Tree::default();
    tree.put(&path("/a"), leaf(&["/b", "/g"]));
    tree.put(&path("/b"), leaf(&["/g/c"]));
    tree.put(&path("/g/c"), leaf(&[]));
    let found = classes(&tree.flat()).unwrap();
    assert_eq!(found.into_values().collect::<Vec<_>>(), [3, 2, 1]);
    tree.put(&path("/g/c"), leaf(&["/g"]));
    assert!(!tree.is_valid());
}
