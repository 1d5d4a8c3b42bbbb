//! The tree of roles, its charges, and the order in which roles are asked.
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::amounts::{Amounts, Scale};
use crate::client::{Load, Rank};

pub(crate) const ROOT: u32 = 0;

/// Among the children of a role that has both, stands for the role's own clients.
const OWN: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub path: Arc<str>,
    pub parent: u32,
    children: Vec<u32>,
    /// The children with active clients, and `OWN`; sorted.
    order: Vec<u32>,
    weight: f64,
    priority: i32,
    /// Charged to this role and all below.
    pub sub: Load,
    /// Charged to this role itself.
    own: Load,
    rank: Rank,
    own_rank: Rank,
    /// Active clients of this role and all below.
    active_below: u32,
    /// All clients of this role.
    pub clients: Vec<u32>,
    /// The active ones; sorted unless `unsorted`.
    pub client_order: Vec<u32>,
    pub unsorted: bool,
}

impl Node {
    fn new(path: Arc<str>, parent: u32, weight: f64, priority: i32) -> Node {
        Node {
            path,
            parent,
            children: Vec::new(),
            order: Vec::new(),
            weight,
            priority,
            sub: Load::default(),
            own: Load::default(),
            rank: Rank::default(),
            own_rank: Rank::default(),
            active_below: 0,
            clients: Vec::new(),
            client_order: Vec::new(),
            unsorted: false,
        }
    }

    pub(crate) fn is_nested(&self) -> bool {
        self.parent != ROOT
    }

    pub(crate) fn weight(&self) -> f64 {
        self.weight
    }
}

#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    vacant: Vec<u32>,
    by_path: FxHashMap<Arc<str>, u32>,
    weights: BTreeMap<String, f64>,
    priorities: BTreeMap<String, i32>,
    /// The priorities of roles with active clients, highest first.
    classes: Vec<i32>,
    scale: Scale,
    unsorted: bool,
}

impl Tree {
    pub(crate) fn new(weights: BTreeMap<String, f64>, priorities: BTreeMap<String, i32>) -> Tree {
        Tree {
            nodes: vec![Node::new("".into(), ROOT, 1.0, 0)],
            vacant: Vec::new(),
            by_path: FxHashMap::default(),
            weights,
            priorities,
            classes: Vec::new(),
            scale: Scale::default(),
            unsorted: true,
        }
    }

    pub(crate) fn find(&self, path: &str) -> Option<u32> {
        self.by_path.get(path).copied()
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Node> {
        self.nodes.get_mut(id as usize)
    }

    pub(crate) fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// All roles in the tree, by path.
    pub(crate) fn roles(&self) -> Vec<u32> {
        let mut roles: Vec<(&Arc<str>, u32)> =
            self.by_path.iter().map(|(path, id)| (path, *id)).collect();
        roles.sort_unstable();
        roles.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn scale(&self) -> &Scale {
        &self.scale
    }

    pub(crate) fn set_scale(&mut self, scale: Scale) {
        self.scale = scale;
        self.unsorted = true;
        self.nodes.iter_mut().for_each(|node| node.unsorted = true);
    }

    pub(crate) fn set_weight(&mut self, path: &str, weight: f64) {
        self.weights.insert(path.to_owned(), weight);
        if let Some(node) = self.find(path).and_then(|id| self.get_mut(id)) {
            node.weight = weight;
        }
        self.unsorted = true;
    }

    /// The role's node; it and its ancestors are made if need be.
    pub(crate) fn ensure(&mut self, path: &str) -> u32 {
        if let Some(id) = self.find(path) {
            return id;
        }
        let parent = match path.rsplit_once('/') {
            Some((parent, _)) => self.ensure(parent),
            None => ROOT,
        };
        let weight = self.weights.get(path).copied().unwrap_or(1.0);
        let inherited = self.get(parent).map_or(0, |parent| parent.priority);
        let priority = self.priorities.get(path).copied().unwrap_or(inherited);
        let path: Arc<str> = path.into();
        let node = Node::new(path.clone(), parent, weight, priority);
        let id = match self.vacant.pop() {
            Some(id) => {
                if let Some(slot) = self.get_mut(id) {
                    *slot = node;
                }
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.by_path.insert(path, id);
        if let Some(parent) = self.get_mut(parent) {
            parent.children.push(id);
        }
        self.unsorted = true;
        id
    }

    /// Removes the role and those above it for as far as nobody needs them.
    pub(crate) fn remove_unused(&mut self, mut id: u32) {
        while id != ROOT {
            let Some(node) = self.get(id) else { return };
            if !node.clients.is_empty() || !node.children.is_empty() {
                return;
            }
            let (path, parent) = (node.path.clone(), node.parent);
            self.by_path.remove(&path);
            self.vacant.push(id);
            if let Some(parent) = self.get_mut(parent) {
                parent.children.retain(|child| *child != id);
            }
            self.unsorted = true;
            id = parent;
        }
    }

    /// The role and those above it, without the root.
    pub(crate) fn upwards(&self, role: u32) -> impl Iterator<Item = u32> + '_ {
        let start = (role != ROOT).then_some(role);
        std::iter::successors(start, |id| {
            let parent = self.get(*id)?.parent;
            (parent != ROOT).then_some(parent)
        })
    }

    /// One client of the role became active or ceased to be.
    pub(crate) fn count_active(&mut self, role: u32, active: bool) {
        let mut id = role;
        while let Some(node) = self.get_mut(id) {
            let count = node.active_below;
            node.active_below =
                if active { count.saturating_add(1) } else { count.saturating_sub(1) };
            if id == ROOT {
                break;
            }
            id = node.parent;
        }
        if let Some(node) = self.get_mut(role) {
            node.unsorted = true;
        }
        self.unsorted = true;
    }

    /// Charges the role and all above it the same.
    pub(crate) fn charge(&mut self, role: u32, amounts: &Amounts) {
        if let Some(node) = self.get_mut(role) {
            node.own.amounts.add(amounts);
            node.own.count += 1;
        }
        let mut id = role;
        while let Some(node) = self.get_mut(id) {
            node.sub.amounts.add(amounts);
            node.sub.count += 1;
            if id == ROOT {
                break;
            }
            id = node.parent;
        }
    }

    /// The orders of the role must be sorted anew before they are used.
    pub(crate) fn unsort(&mut self, role: u32) {
        if let Some(node) = self.get_mut(role) {
            node.unsorted = true;
        }
        self.unsorted = true;
    }

    pub(crate) fn discharge(&mut self, role: u32, amounts: &Amounts) {
        if let Some(node) = self.get_mut(role) {
            node.own.amounts.subtract(amounts);
            node.unsorted = true;
        }
        let mut id = role;
        while let Some(node) = self.get_mut(id) {
            node.sub.amounts.subtract(amounts);
            if id == ROOT {
                break;
            }
            id = node.parent;
        }
        self.unsorted = true;
    }

    /// Charges one level more (or less), for shared resources that it has (or had) but once.
    pub(crate) fn charge_level(&mut self, id: u32, own: bool, amounts: &Amounts, add: bool) {
        let Some(node) = self.get_mut(id) else { return };
        let change = |load: &mut Load| {
            if add { load.amounts.add(amounts) } else { load.amounts.subtract(amounts) }
        };
        change(&mut node.sub);
        if own {
            change(&mut node.own);
        }
        self.unsorted = true;
    }

    /// Ranks and sorts what changes since the last pass may have moved.
    pub(crate) fn sort(&mut self) {
        if !self.unsorted {
            return;
        }
        self.unsorted = false;
        let ids: Vec<u32> = self.by_path.values().copied().chain([ROOT]).collect();
        ids.iter().for_each(|id| self.rank(*id));
        let mut classes = Vec::new();
        for id in ids {
            let Some(node) = self.get(id) else { continue };
            let mut order: Vec<u32> = node.children.clone();
            order.retain(|child| self.get(*child).is_some_and(|child| child.active_below > 0));
            if has_active_own(node) {
                classes.push(node.priority);
                if !node.children.is_empty() {
                    order.push(OWN);
                }
            }
            order.sort_unstable_by(|left, right| self.compare(id, *left, *right));
            if let Some(node) = self.get_mut(id) {
                node.order = order;
            }
        }
        classes.sort_unstable_by_key(|class| std::cmp::Reverse(*class));
        classes.dedup();
        self.classes = classes;
    }

    fn rank(&mut self, id: u32) {
        let Some(node) = self.nodes.get_mut(id as usize) else { return };
        let share = self.scale.dominant_share(&node.sub.amounts) / node.weight;
        node.rank = Rank::new(share, node.sub.count, 0);
        if !node.children.is_empty() {
            node.own_rank =
                Rank::new(self.scale.dominant_share(&node.own.amounts), node.own.count, 0);
        }
    }

    /// The order of two entries of `parent`.
    fn compare(&self, parent: u32, left: u32, right: u32) -> Ordering {
        let (left, right) = (self.key(parent, left), self.key(parent, right));
        left.0.cmp(&right.0).then_with(|| name(left.1).cmp(name(right.1)))
    }

    /// Where an entry of `parent`'s order stands in it: by rank, then by its path's end.
    fn key(&self, parent: u32, entry: u32) -> (Rank, &str) {
        if entry == OWN {
            return (self.get(parent).map_or(Rank::default(), |node| node.own_rank), ".");
        }
        self.get(entry).map_or((Rank::default(), ""), |node| (node.rank, &node.path))
    }

    /// Moves the role, and those above it, to where they belong after a charge.
    pub(crate) fn moved(&mut self, role: u32) {
        self.rank(role);
        self.shift(role, OWN);
        let mut id = role;
        while id != ROOT {
            let Some(parent) = self.get(id).map(|node| node.parent) else { return };
            self.shift(parent, id);
            if parent != ROOT {
                self.rank(parent);
            }
            id = parent;
        }
    }

    /// Moves an entry back past all that now come before it.
    fn shift(&mut self, parent: u32, entry: u32) {
        let Some(node) = self.get_mut(parent) else { return };
        let mut order = std::mem::take(&mut node.order);
        if let Some(at) = order.iter().position(|other| *other == entry) {
            let behind = order.get(at + 1..).unwrap_or_default();
            let passed =
                passed(behind, |other| self.compare(parent, other, entry) == Ordering::Less);
            if let Some(part) = order.get_mut(at..=at + passed) {
                part.rotate_left(1);
            }
        }
        if let Some(node) = self.get_mut(parent) {
            node.order = order;
        }
    }

    /// The dominant share of the role's clients, as metrics show it.
    pub(crate) fn share(&self, id: u32, scale: &Scale) -> f64 {
        let Some(node) = self.get(id) else { return 0.0 };
        if node.children.is_empty() {
            scale.dominant_share(&node.sub.amounts) / node.weight
        } else {
            scale.dominant_share(&node.own.amounts)
        }
    }
}

/// How many of `sorted` come before; sought from the end, where most that are charged belong.
pub(crate) fn passed(sorted: &[u32], comes_before: impl Fn(u32) -> bool) -> usize {
    let mut end = sorted.len();
    let mut step = 1;
    while let Some(at) = end.checked_sub(step) {
        if sorted.get(at).is_some_and(|other| comes_before(*other)) {
            let start = at + 1;
            let rest = sorted.get(start..end).unwrap_or_default();
            return start + rest.partition_point(|other| comes_before(*other));
        }
        end = at;
        step *= 2;
    }
    sorted.get(..end).unwrap_or_default().partition_point(|other| comes_before(*other))
}

/// The last component, by which siblings with equal ranks are ordered.
fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn has_active_own(node: &Node) -> bool {
    !node.client_order.is_empty()
}

/// Walks the roles with active clients in their order, without borrowing the tree meanwhile.
#[derive(Debug)]
pub(crate) struct Cursor {
    class: usize,
    /// Nodes being walked and how far.
    stack: Vec<(u32, usize)>,
}

impl Cursor {
    /// The memory of `stack` is used again.
    pub(crate) fn new(mut stack: Vec<(u32, usize)>) -> Cursor {
        stack.clear();
        stack.push((ROOT, 0));
        Cursor { class: 0, stack }
    }

    pub(crate) fn into_stack(self) -> Vec<(u32, usize)> {
        self.stack
    }

    pub(crate) fn next(&mut self, tree: &Tree) -> Option<u32> {
        loop {
            let class = *tree.classes.get(self.class)?;
            match self.next_leaf(tree) {
                Some(leaf) => {
                    let single = tree.classes.len() == 1;
                    if single || tree.get(leaf).is_some_and(|node| node.priority == class) {
                        return Some(leaf);
                    }
                }
                None => {
                    self.class += 1;
                    self.stack.push((ROOT, 0));
                }
            }
        }
    }

    fn next_leaf(&mut self, tree: &Tree) -> Option<u32> {
        loop {
            let (id, at) = self.stack.last_mut()?;
            let id = *id;
            let Some(entry) = tree.get(id).and_then(|node| node.order.get(*at)) else {
                self.stack.pop();
                continue;
            };
            *at += 1;
            if *entry == OWN {
                return Some(id);
            }
            if tree.get(*entry).is_some_and(|child| child.children.is_empty()) {
                return Some(*entry);
            }
            self.stack.push((*entry, 0));
        }
    }
}

#[cfg(test)]
mod tests {
    use mesos_messages::resources::Resources;

    use super::*;

    fn amounts(text: &str) -> Amounts {
        Amounts::of(&Resources::parse(text, "*").unwrap())
    }

    fn tree(roles: &[&str], priorities: &[(&str, i32)]) -> Tree {
        let priorities = priorities.iter().map(|(role, it)| ((*role).to_owned(), *it)).collect();
        let mut tree = Tree::new(BTreeMap::new(), priorities);
        for (at, role) in roles.iter().enumerate() {
            let id = tree.ensure(role);
            tree.get_mut(id).unwrap().client_order.push(at as u32);
            tree.get_mut(id).unwrap().clients.push(at as u32);
            tree.count_active(id, true);
        }
        tree.set_scale(Scale::new(&amounts("cpus:100"), &[]));
        tree.sort();
        tree
    }

    fn order(tree: &Tree) -> Vec<String> {
        let mut cursor = Cursor::new(Vec::new());
        std::iter::from_fn(|| cursor.next(tree))
            .map(|id| tree.get(id).unwrap().path.to_string())
            .collect()
    }

    fn charge(tree: &mut Tree, role: &str, text: &str) {
        let id = tree.find(role).unwrap();
        tree.charge(id, &amounts(text));
        tree.moved(id);
    }

    #[test]
    fn siblings_compare_their_subtrees() {
        let mut tree = tree(&["b", "a/x", "a/y", "a"], &[]);
        assert_eq!(order(&tree), ["a", "a/x", "a/y", "b"]);
        charge(&mut tree, "a/x", "cpus:10");
        assert_eq!(order(&tree), ["b", "a", "a/y", "a/x"]);
        charge(&mut tree, "b", "cpus:20");
        assert_eq!(order(&tree), ["a", "a/y", "a/x", "b"]);
        charge(&mut tree, "a", "cpus:5");
        assert_eq!(order(&tree), ["a/y", "a", "a/x", "b"]);
    }

    #[test]
    fn moving_gives_the_same_order_as_sorting() {
        let roles = ["a", "b", "c/d", "c/e", "c"];
        let mut tree = tree(&roles, &[]);
        for step in 0..200usize {
            let role = roles[(step * 7 + step / 3) % roles.len()];
            charge(&mut tree, role, &format!("cpus:{}", step % 5 + 1));
            let moved = order(&tree);
            tree.unsorted = true;
            tree.sort();
            assert_eq!(moved, order(&tree), "step {step}");
        }
    }

    #[test]
    fn weights_divide_shares() {
        let mut tree = tree(&["a", "b"], &[]);
        tree.set_weight("b", 3.0);
        charge(&mut tree, "a", "cpus:10");
        charge(&mut tree, "b", "cpus:20");
        tree.sort();
        assert_eq!(order(&tree), ["b", "a"]);
        charge(&mut tree, "b", "cpus:20");
        assert_eq!(order(&tree), ["a", "b"]);
    }

    #[test]
    fn priorities_come_before_shares_and_are_inherited() {
        let mut tree = tree(&["a", "b/x", "b/y", "c"], &[("b", 2), ("b/y", -1), ("c", 1)]);
        charge(&mut tree, "b/x", "cpus:90");
        assert_eq!(order(&tree), ["b/x", "c", "a", "b/y"]);
    }

    #[test]
    fn unused_roles_vanish() {
        let mut tree = tree(&["a"], &[]);
        let id = tree.ensure("x/y/z");
        assert_eq!(tree.roles().len(), 4);
        tree.remove_unused(id);
        assert_eq!(tree.roles().len(), 1);
        let again = tree.ensure("x");
        assert_eq!(tree.get(again).unwrap().parent, ROOT);
    }
}
