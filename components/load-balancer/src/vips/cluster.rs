//! The table as the picture of the cluster changes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use cluster_events::picture::{Agent, Changed, Input, Picture, Task, TaskKey};
use rustc_hash::FxHashMap;

use super::address::Pool;
use super::name;
use super::offer::{self, Offer, Surroundings};
use super::table::{Changes, Table};

/// The picture of the cluster, and what follows from it.
#[derive(Debug, Default)]
pub struct Cluster {
    picture: Picture,
    table: Table,
    /// Addresses of agents, each with how many have it.
    agents: FxHashMap<Ipv4Addr, usize>,
}

/// A node, for the list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub private_ip: IpAddr,
    pub hostname: String,
}

// === impl Cluster ===

impl Cluster {
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Whether the cluster is known: before, that something is not there means nothing.
    pub fn known(&self) -> bool {
        self.picture.known()
    }

    /// Whether a master tells what happens.
    pub fn is_led(&self) -> bool {
        self.picture.leader().is_some()
    }

    /// The machines that run agents.
    pub fn nodes(&self) -> Vec<Node> {
        let of = |agent: &Arc<Agent>| {
            let private_ip = agent.address?.ip();
            Some(Node { private_ip, hostname: agent.hostname.to_string() })
        };
        let mut nodes: Vec<Node> = self.picture.agents().filter_map(of).collect();
        nodes.sort_by_key(|node| node.private_ip);
        nodes.dedup_by_key(|node| node.private_ip);
        nodes
    }

    /// A stream of the master that leads begins.
    pub fn connected(
        &mut self,
        leader: std::net::SocketAddr,
        input: Input,
        pool: &Pool,
        changes: &mut Changes,
    ) {
        let changed = self.picture.connected(Some(leader), input);
        self.follow(changed, pool, changes);
    }

    /// The stream ended: what was known stays.
    pub fn cut(&mut self) {
        self.picture.cut();
    }

    /// Enters what is told.
    pub fn apply(&mut self, input: Input, pool: &Pool, changes: &mut Changes) {
        let changed = self.picture.apply(input);
        self.follow(changed, pool, changes);
    }

    fn follow(&mut self, changed: Vec<Changed>, pool: &Pool, changes: &mut Changes) {
        for one in changed {
            match one {
                Changed::All => {
                    let agents: Vec<_> = self.picture.agents().cloned().collect();
                    agents.iter().for_each(|agent| self.count(agent, 1));
                    let tasks = self.picture.tasks().cloned().collect();
                    self.offer_all(tasks, pool, changes);
                }
                Changed::Task { old, new } => {
                    if let Some(task) = new.or(old) {
                        self.offer(&task, pool, changes);
                    }
                }
                Changed::Framework { old, new } => {
                    let name = |one: &Option<Arc<cluster_events::picture::Framework>>| {
                        one.as_ref().map(|one| one.name.clone())
                    };
                    if name(&old) != name(&new)
                        && let Some(framework) = new.or(old)
                    {
                        let tasks = self.picture.tasks_of(&framework.id).cloned().collect();
                        self.offer_all(tasks, pool, changes);
                    }
                }
                Changed::Agent { old, new } => self.agent(old, new, pool, changes),
                Changed::Leader => {}
            }
        }
    }

    fn agent(
        &mut self,
        old: Option<Arc<Agent>>,
        new: Option<Arc<Agent>>,
        pool: &Pool,
        changes: &mut Changes,
    ) {
        if let Some(new) = &new {
            self.count(new, 1);
        }
        if let Some(old) = &old {
            self.count(old, -1);
        }
        let address = |one: &Option<Arc<Agent>>| one.as_ref().and_then(|one| one.address);
        if address(&old) == address(&new) {
            return;
        }
        let Some(agent) = new.or(old) else { return };
        let mut tasks: Vec<_> = self.picture.tasks_on(&agent.id).cloned().collect();
        // Whether labels may have this address is different now.
        let keys: Vec<TaskKey> = self.table.with_addresses();
        let found = keys.iter().filter_map(|(framework, id)| self.picture.task(framework, id));
        tasks.extend(found.cloned());
        self.offer_all(tasks, pool, changes);
    }

    fn count(&mut self, agent: &Agent, by: isize) {
        let Some(IpAddr::V4(address)) = agent.address.map(|address| address.ip()) else { return };
        let agents = self.agents.entry(address).or_default();
        *agents = agents.saturating_add_signed(by);
        if *agents == 0 {
            self.agents.remove(&address);
        }
    }

    fn offer_all(&mut self, tasks: Vec<Arc<Task>>, pool: &Pool, changes: &mut Changes) {
        tasks.iter().for_each(|task| self.offer(task, pool, changes));
    }

    /// What this task offers now, if it is still there and its surroundings are known.
    fn offer(&mut self, task: &Task, pool: &Pool, changes: &mut Changes) {
        let offer = self.offered(task, pool).unwrap_or_default();
        self.table.put(&task.key(), offer, changes);
    }

    fn offered(&self, task: &Task, pool: &Pool) -> Option<Offer> {
        let task = self.picture.task(&task.framework, &task.id)?;
        if !offer::asks(task) {
            return None;
        }
        let framework = self.picture.framework(&task.framework)?;
        let IpAddr::V4(agent) = self.picture.agent(&task.agent)?.address?.ip() else { return None };
        let around = Surroundings { framework: &framework.name, agent };
        Some(offer::of(task, around, |address| self.owner(address, pool)))
    }

    /// Whose an address is that a label must not take: it would lead all nodes' traffic for the
    /// owner to a task.
    fn owner(&self, address: Ipv4Addr, pool: &Pool) -> Option<String> {
        if self.agents.contains_key(&address) {
            return Some("an agent".to_owned());
        }
        if self.picture.leader().is_some_and(|leader| leader.ip() == address) {
            return Some("the leading master".to_owned());
        }
        pool.owner(address).map(|name| format!("{name}.{}", name::ZONE))
    }
}

#[cfg(test)]
#[path = "cluster_tests.rs"]
mod tests;
