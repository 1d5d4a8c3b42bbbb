//! Random sequences of changes do what the naive tree does, and their plans keep their promises.

use super::naive::{Leaf, Tree, classes, edges};
use crate::{
    ActionKind, App, Applied, Change, GroupUpdate, PathId, Plan, Root, StoredPlan,
    plan::plan,
    testing::{World, path, update},
};
use proptest::{collection::vec, option, prelude::*};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

#[derive(Clone, Debug)]
enum Op {
    Put {
        id: PathId,
        leaf: Leaf,
    },
    Scale {
        id: PathId,
        instances: u32,
    },
    Delete {
        id: PathId,
    },
    Restart {
        id: PathId,
    },
    PutGroup {
        id: PathId,
        parts: Parts,
    },
    DeleteGroup {
        id: PathId,
    },
    ScaleGroup {
        id: PathId,
        halves: u32,
    },
    /// Of the change right before.
    Revert,
}

#[derive(Clone, Debug)]
struct Parts {
    apps: Option<BTreeMap<String, Leaf>>,
    groups: Option<BTreeSet<String>>,
    dependencies: Option<BTreeSet<PathId>>,
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn id() -> impl Strategy<Value = PathId> {
    vec(name(), 1..4).prop_map(|names| path(&names.join("/")))
}

fn ids() -> impl Strategy<Value = BTreeSet<PathId>> {
    vec(id(), 0..3).prop_map(|ids| ids.into_iter().collect())
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let few = prop_oneof![3 => Just(BTreeSet::new()), 1 => ids()];
    (0u8..3, 0u32..4, few).prop_map(|(cmd, instances, dependencies)| Leaf {
        cmd,
        instances,
        dependencies,
    })
}

fn parts() -> impl Strategy<Value = Parts> {
    let apps = vec((name(), leaf()), 0..3).prop_map(|apps| apps.into_iter().collect());
    let groups = vec(name(), 0..3).prop_map(|names| names.into_iter().collect());
    (option::of(apps), option::of(groups), option::of(ids()))
        .prop_map(|(apps, groups, dependencies)| Parts { apps, groups, dependencies })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (id(), leaf()).prop_map(|(id, leaf)| Op::Put { id, leaf }),
        2 => (id(), 0u32..5).prop_map(|(id, instances)| Op::Scale { id, instances }),
        2 => id().prop_map(|id| Op::Delete { id }),
        1 => id().prop_map(|id| Op::Restart { id }),
        3 => (id(), parts()).prop_map(|(id, parts)| Op::PutGroup { id, parts }),
        1 => id().prop_map(|id| Op::DeleteGroup { id }),
        1 => (id(), 0u32..5).prop_map(|(id, halves)| Op::ScaleGroup { id, halves }),
        1 => Just(Op::Revert),
    ]
}

fn app_json(leaf: &Leaf) -> String {
    let Leaf { cmd, instances, dependencies } = leaf;
    let dependencies = serde_json::to_string(dependencies).unwrap();
    format!(r#"{{"cmd": "c{cmd}", "instances": {instances}, "dependencies": {dependencies}}}"#)
}

fn change(op: &Op, last: Option<&Arc<Plan>>) -> Option<Change> {
    Some(match op.clone() {
        Op::Put { id, leaf } => {
            let update = update(&app_json(&leaf));
            Change::UpdateApp { id, update, partial: false, create: true }
        }
        Op::Scale { id, instances } => Change::ScaleApps([(id, instances)].into()),
        Op::Delete { id } => Change::DeleteApp { id },
        Op::Restart { id } => Change::RestartApp { id },
        Op::DeleteGroup { id } => Change::DeleteGroup { id },
        Op::ScaleGroup { id, halves } => Change::ScaleGroup { id, factor: f64::from(halves) / 2.0 },
        Op::Revert => Change::RevertDeployment { plan: last?.clone() },
        Op::PutGroup { id, parts } => {
            let named = |(name, leaf)| {
                let mut update = update(&app_json(&leaf));
                update.id = Some(name);
                update
            };
            let group = |name| GroupUpdate { id: Some(name), ..GroupUpdate::default() };
            let dependencies =
                parts.dependencies.map(|ids| ids.iter().map(PathId::to_string).collect());
            let update = GroupUpdate {
                apps: parts.apps.map(|apps| apps.into_iter().map(named).collect()),
                groups: parts.groups.map(|names| names.into_iter().map(group).collect()),
                dependencies,
                ..GroupUpdate::default()
            };
            Change::UpdateGroup { id, update }
        }
    })
}

/// None where the change is to be refused.
fn naive(tree: &Tree, op: &Op, before_last: &Tree) -> Option<Tree> {
    let mut tree = tree.clone();
    match op {
        Op::Put { id, leaf } => tree.put(id, leaf.clone()),
        Op::Scale { id, instances } => {
            let leaf = Leaf { instances: *instances, ..tree.app(id)?.clone() };
            tree.put(id, leaf);
        }
        Op::Delete { id } => {
            tree.app(id)?;
            tree.make(&id.parent()?).apps.remove(id.name());
        }
        Op::Restart { id } => drop(tree.app(id)?.clone()),
        Op::PutGroup { id, parts } => put_group(&mut tree, id, parts),
        Op::DeleteGroup { id } => {
            tree.find(id)?;
            tree.make(&id.parent()?).groups.remove(id.name());
        }
        Op::ScaleGroup { id, halves } => tree.make(id).scale(*halves),
        Op::Revert => tree = before_last.clone(),
    }
    tree.is_valid().then_some(tree)
}

fn put_group(tree: &mut Tree, id: &PathId, parts: &Parts) {
    let group = tree.make(id);
    if let Some(dependencies) = &parts.dependencies {
        group.dependencies = dependencies.clone();
    }
    if let Some(apps) = &parts.apps {
        group.apps.clear();
        for (name, leaf) in apps {
            tree.put(&id.child(name), leaf.clone());
        }
    }
    if let Some(groups) = &parts.groups {
        let group = tree.make(id);
        group.groups.retain(|name, _| groups.contains(name));
        for name in groups {
            group.groups.entry(name.clone()).or_default();
        }
    }
}

fn leaf_of(app: &App) -> Leaf {
    let cmd = app.cmd.as_ref().and_then(|cmd| cmd.strip_prefix('c')?.parse().ok()).unwrap();
    Leaf { cmd, instances: app.instances, dependencies: app.dependencies.clone() }
}

fn check_root(root: &Root, tree: &Tree) -> Result<(), TestCaseError> {
    let apps = root.apps().iter().map(|(id, app)| (id.clone(), leaf_of(app))).collect();
    let groups =
        root.groups().iter().map(|(id, group)| (id.clone(), group.dependencies.clone())).collect();
    prop_assert_eq!((apps, groups), tree.flat());
    // The indexes are those of a root group that was never changed.
    let groups = root.groups().values().cloned();
    let fresh = Root::load(root.version(), groups, root.apps().values().cloned());
    prop_assert!(root.same_indexes(&fresh));
    let ports: Vec<u16> = root.apps().values().flat_map(|app| app.service_ports()).collect();
    let different: BTreeSet<&u16> = ports.iter().collect();
    prop_assert_eq!(different.len(), ports.len());
    prop_assert!(ports.iter().all(|port| *port >= 10_000));
    prop_assert!(root.apps().values().all(|app| app.version <= root.version()));
    Ok(())
}

/// Every changed app once (new ones are started before); nothing before what it depends on.
fn check_plan(before: &Root, applied: &Applied, tree: &Tree) -> Result<(), TestCaseError> {
    let plan = plan(applied, "id".to_owned());
    let mut at: BTreeMap<&PathId, usize> = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        prop_assert!(!step.actions.is_empty());
        for action in &step.actions {
            let id = &action.app.id;
            if action.kind == ActionKind::Start {
                prop_assert!(before.app(id).is_none() && !at.contains_key(id));
            } else {
                prop_assert!(at.insert(id, index).is_none(), "{} twice", id);
            }
        }
    }
    prop_assert!(at.keys().copied().eq(plan.affected()));
    let both = before.apps().keys().chain(applied.root.apps().keys());
    let differ: BTreeSet<PathId> =
        both.filter(|id| before.app(id) != applied.root.app(id)).cloned().collect();
    prop_assert_eq!(plan.affected(), &differ);

    let flat = tree.flat();
    let classes = classes(&flat).unwrap();
    for (from, to) in edges(&flat) {
        if let (Some(from), Some(to)) = (at.get(&from), at.get(&to)) {
            prop_assert!(to < from);
        }
    }
    let present: Vec<_> = at.iter().filter(|(id, _)| classes.contains_key(**id)).collect();
    for (one, step) in &present {
        for (other, other_step) in &present {
            prop_assert_eq!(classes[**one] == classes[**other], step == other_step);
        }
    }
    check_stored(&plan)
}

fn check_stored(plan: &Plan) -> Result<(), TestCaseError> {
    let stored = StoredPlan::from_bytes(&StoredPlan::from(plan).to_bytes()).unwrap();
    let known: BTreeMap<_, _> = plan
        .changed
        .values()
        .flat_map(|changed| changed.before.iter().chain(&changed.after))
        .map(|app| ((app.id.clone(), app.version), app.clone()))
        .collect();
    prop_assert_eq!(stored.references().count(), known.len());
    let resolved = stored.resolve(|id, version| known.get(&(id.clone(), version)).cloned());
    prop_assert_eq!(&resolved.unwrap(), plan);
    prop_assert!(known.is_empty() || stored.resolve(|_, _| None).is_err());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changes_do_what_they_do_to_a_plain_tree(ops in vec(op(), 1..25)) {
        let (mut world, mut tree) = (World::default(), Tree::default());
        let (mut last, mut before_last) = (None, Tree::default());
        for op in ops {
            let Some(change) = change(&op, last.as_ref()) else { continue };
            let expected = naive(&tree, &op, &before_last);
            let (before, result) = (world.root.clone(), world.apply(change.clone()));
            let Some(expected) = expected else {
                prop_assert!(result.is_err(), "{:?} was not refused", op);
                continue;
            };
            let applied = match result {
                Ok(applied) => applied,
                Err(error) => return Err(TestCaseError::fail(format!("{op:?}: {error:?}"))),
            };
            check_root(&applied.root, &expected)?;
            check_plan(&before, &applied, &expected)?;
            prop_assert!(applied.root.version() > before.version());
            // The same again comes to nothing.
            if !matches!(op, Op::Delete { .. } | Op::DeleteGroup { .. } | Op::ScaleGroup { .. }) {
                let again = world.clone().apply(change).unwrap();
                let restarts = matches!(op, Op::Restart { .. });
                prop_assert!(again.groups_changed.is_empty());
                prop_assert_eq!(plan(&again, String::new()).steps.len(), usize::from(restarts));
            }
            last = Some(Arc::new(plan(&applied, String::new())));
            before_last = std::mem::replace(&mut tree, expected);
        }
    }
}
