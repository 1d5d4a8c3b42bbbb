//! In which order apps may be started: how long the longest chain of dependencies below each is.
//!
//! An app depends on the apps and groups it names and on those that the groups it is in name; on
//! a group means on every app in it. Groups stay nodes of their own here: only what has
//! dependencies is ever visited, never all the apps of a group.

use crate::{PathId, group::Root};
use std::collections::HashMap;

/// The lengths found so far.
pub(crate) struct Classes<'a> {
    root: &'a Root,
    /// None while the node is being visited.
    known: HashMap<Node, Option<u32>>,
}

/// Somewhere a chain of dependencies comes back to where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cycle;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Node {
    App(PathId),
    /// The longest chain of any app in the group; 0 without one.
    Group(PathId),
}

/// A node, and what is added to its length.
type Edge = (Node, u32);

struct Visit {
    node: Node,
    edges: Vec<Edge>,
    length: u32,
}

// === impl Classes ===

impl<'a> Classes<'a> {
    pub(crate) fn new(root: &'a Root) -> Self {
        Self { root, known: HashMap::new() }
    }

    /// 1 for an app without dependencies.
    pub(crate) fn of_app(&mut self, app: &PathId) -> Result<u32, Cycle> {
        self.of(Node::App(app.clone()))
    }

    /// The highest class in a group.
    pub(crate) fn of_group(&mut self, group: &PathId) -> Result<u32, Cycle> {
        self.of(Node::Group(group.clone()))
    }

    /// Depth first without recursion: chains are as long as users make them.
    fn of(&mut self, start: Node) -> Result<u32, Cycle> {
        if let Some(Some(length)) = self.known.get(&start) {
            return Ok(*length);
        }
        let mut stack = vec![self.enter(start)];
        let mut last = 0;
        while let Some(visit) = stack.last_mut() {
            let Some((node, added)) = visit.edges.pop() else {
                last = visit.length;
                self.known.insert(visit.node.clone(), Some(last));
                stack.pop();
                continue;
            };
            match self.known.get(&node) {
                // A group without apps adds nothing.
                Some(Some(0)) => {}
                Some(Some(length)) => visit.length = visit.length.max(length + added),
                Some(None) => return Err(Cycle),
                None => {
                    visit.edges.push((node.clone(), added));
                    let deeper = self.enter(node);
                    stack.push(deeper);
                }
            }
        }
        Ok(last)
    }

    fn enter(&mut self, node: Node) -> Visit {
        self.known.insert(node.clone(), None);
        let mut edges = Vec::new();
        let length = match &node {
            Node::App(app) => {
                self.root.count_work(1);
                for id in self.root.app(app).iter().flat_map(|app| &app.dependencies) {
                    edges.extend(self.target(id).map(|node| (node, 1)));
                }
                self.inherited(app, &mut edges);
                1
            }
            Node::Group(group) if self.root.apps_below(group).next().is_none() => 0,
            Node::Group(group) => {
                self.own(group, &mut edges);
                self.inherited(group, &mut edges);
                self.inside(group, &mut edges);
                1
            }
        };
        Visit { node, edges, length }
    }

    fn target(&self, id: &PathId) -> Option<Node> {
        if self.root.app(id).is_some() {
            return Some(Node::App(id.clone()));
        }
        self.root.group(id).map(|_| Node::Group(id.clone()))
    }

    /// A group depends on groups only; each app in it does.
    fn own(&self, group: &PathId, edges: &mut Vec<Edge>) {
        for id in self.root.group(group).iter().flat_map(|group| &group.dependencies) {
            if self.root.group(id).is_some() {
                edges.push((Node::Group(id.clone()), 1));
            }
        }
    }

    fn inherited(&self, id: &PathId, edges: &mut Vec<Edge>) {
        for group in id.ancestors() {
            self.own(&group, edges);
        }
    }

    fn inside(&self, group: &PathId, edges: &mut Vec<Edge>) {
        for app in self.root.dependent_apps_below(group) {
            self.root.count_work(1);
            edges.push((Node::App(app.clone()), 0));
        }
        for inner in self.root.dependent_groups_below(group) {
            self.root.count_work(1);
            if self.root.apps_below(inner).next().is_some() {
                self.own(inner, edges);
            }
        }
    }
}
