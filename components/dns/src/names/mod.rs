//! What is named how: the names of tasks, agents, frameworks and masters as Mesos-DNS and
//! dcos-net make them, made anew only where something changed.
//!
//! Pure: what happened comes in as a [`Picture`] and its changes, what names hold from now on goes
//! out. Names may be shared by many tasks; `book` counts who holds what.

mod book;
mod canonical;
mod cluster;
mod fuzz;
pub mod labels;
mod task;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cluster_events::picture::{Agent, Changed, Framework, Id, Picture, TaskKey};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::record::{Change, Data};
use crate::zone::{Alias, Zone};
use book::Book;
pub(crate) use fuzz::fuzz;
use labels::Rule;
pub(crate) use task::Placed;

/// The zone of dcos-net's names of tasks.
pub const DCOS: &str = "dcos.thisdcos.directory";
/// That of the names of virtual addresses.
pub const VIPS: &str = "l4lb.thisdcos.directory";
pub const THIS_NODE: &str = "thisnode.thisdcos.directory";
const DIRECTORY: &str = "thisdcos.directory";
/// Where a cluster was called what it calls `thisdcos.directory` itself, once.
const GLOBAL: &str = "thisdcos.global";
/// Seconds; those of the names that dcos-net makes.
const DCOS_TTL: u32 = 5;

/// Where the addresses of a task are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpSource {
    /// The agent's.
    Host,
    /// Those of its container, as its status says.
    Netinfo,
    /// Those of a label with which Docker's were told once.
    Docker,
    /// Those of a label with which Mesos's own containers' were told once.
    Mesos,
}

/// What names are made of besides what happens.
#[derive(Clone, Debug)]
pub struct Settings {
    pub domain: String,
    pub ip_sources: Vec<IpSource>,
    pub rule: Rule,
    pub srv_weight: u16,
    /// In the order in which they are counted.
    pub masters: Vec<SocketAddr>,
    /// What this server is called, and where it listens.
    pub name_server: String,
    pub listeners: Vec<IpAddr>,
    pub zookeepers: Vec<IpAddr>,
    pub node_ips: Vec<IpAddr>,
    pub public_ips: Vec<IpAddr>,
}

/// Of the zone [`Settings::domain`].
#[derive(Clone, Debug)]
pub struct Authority {
    pub ttl: u32,
    pub mailbox: String,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
}

/// All names and what they hold.
#[derive(Debug)]
pub struct Names {
    settings: Settings,
    book: Book,
    tasks: FxHashMap<TaskKey, Placed>,
    frameworks: FxHashMap<Id, Arc<Framework>>,
    agents: FxHashMap<Id, Arc<Agent>>,
    masters: Vec<(String, Data)>,
    vips: FxHashMap<Box<str>, Vec<IpAddr>>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            domain: "mesos".into(),
            ip_sources: vec![IpSource::Netinfo, IpSource::Mesos, IpSource::Host],
            rule: Rule::Rfc1123,
            srv_weight: 1,
            masters: Vec::new(),
            name_server: "ns1.mesos".into(),
            listeners: Vec::new(),
            zookeepers: Vec::new(),
            node_ips: Vec::new(),
            public_ips: Vec::new(),
        }
    }
}

// === impl Settings ===

impl Settings {
    /// The zones in which all names are. Those that depend on what happens are named by
    /// [`task_zones`](Self::task_zones) and [`VIPS`].
    pub fn zones(&self, authority: &Authority) -> Vec<Zone> {
        let mesos = Zone {
            name: self.domain.as_str().into(),
            ttl: authority.ttl,
            primary: self.name_server.as_str().into(),
            mailbox: authority.mailbox.as_str().into(),
            refresh: authority.refresh,
            retry: authority.retry,
            expire: authority.expire,
        };
        let others = [DIRECTORY, DCOS, VIPS, "zk", "spartan", "localhost"].map(|name| Zone {
            primary: "ns.spartan".into(),
            mailbox: authority.mailbox.as_str().into(),
            ..Zone::new(name, DCOS_TTL)
        });
        std::iter::once(mesos).chain(others).collect()
    }

    /// The zones whose names come and go with tasks.
    pub fn task_zones(&self) -> [&str; 2] {
        [&self.domain, DCOS]
    }

    /// The zones that are known as soon as we run.
    pub fn fixed_zones(&self) -> [&'static str; 4] {
        [DIRECTORY, "zk", "spartan", "localhost"]
    }

    /// Names that stand for others. `cluster` is the name that other clusters know this one by:
    /// `mesos.<cluster>.dcos.directory`.
    pub fn aliases(&self, cluster: Option<&str>) -> Vec<Alias> {
        let mut roots = vec![DIRECTORY.to_owned(), GLOBAL.to_owned()];
        roots.extend(cluster.map(|id| format!("{id}.dcos.directory")));
        let mut aliases = Vec::new();
        for root in roots {
            let mut alias = |name: String, target: &str| {
                aliases.push(Alias { name: name.into(), target: target.into() });
            };
            alias(format!("mesos.{root}"), &self.domain);
            alias(format!("dclb.{root}"), VIPS);
            if root != DIRECTORY {
                alias(root, DIRECTORY);
            }
        }
        aliases
    }
}

// === impl Names ===

impl Names {
    pub fn new(settings: Settings) -> Names {
        let mut names = Names {
            settings,
            book: Book::default(),
            tasks: FxHashMap::default(),
            frameworks: FxHashMap::default(),
            agents: FxHashMap::default(),
            masters: Vec::new(),
            vips: FxHashMap::default(),
        };
        for (name, data) in cluster::fixed(&names.settings) {
            names.book.hold(&name, data);
        }
        names.lead(None);
        names
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.book.len()
    }

    pub fn is_empty(&self) -> bool {
        self.book.len() == 0
    }

    /// Everything that all names hold.
    pub fn all(&mut self) -> Vec<Change> {
        self.book.all()
    }

    /// What is different since the last call of this or [`all`](Self::all).
    pub fn changes(&mut self) -> Vec<Change> {
        self.book.changes(usize::MAX)
    }

    /// The same in pieces: the rest of what is different comes with the next call.
    pub fn some_changes(&mut self, most: usize) -> Vec<Change> {
        self.book.changes(most)
    }

    /// Takes over what has changed in a picture.
    pub fn update(&mut self, picture: &Picture, changed: &[Changed]) {
        let mut tasks: FxHashSet<TaskKey> = FxHashSet::default();
        let mut of = |found: Vec<TaskKey>| tasks.extend(found);
        for change in changed {
            match change {
                Changed::All => return self.rebuild(picture),
                Changed::Task { old, new } => {
                    of(old.iter().chain(new).map(|task| task.key()).collect());
                }
                Changed::Framework { old, new } => {
                    let Some(framework) = new.as_ref().or(old.as_ref()) else { continue };
                    self.put_framework(&framework.id, picture);
                    let name =
                        |one: &Option<Arc<Framework>>| one.as_ref().map(|one| one.name.clone());
                    if name(old) != name(new) {
                        of(picture.tasks_of(&framework.id).map(|task| task.key()).collect());
                    }
                }
                Changed::Agent { old, new } => {
                    let Some(agent) = new.as_ref().or(old.as_ref()) else { continue };
                    self.put_agent(&agent.id, picture);
                    let address = |one: &Option<Arc<Agent>>| one.as_ref().map(|one| one.address);
                    if address(old) != address(new) {
                        of(picture.tasks_on(&agent.id).map(|task| task.key()).collect());
                    }
                }
                Changed::Leader => self.lead(picture.leader()),
            }
        }
        for key in tasks {
            self.put_task(key, picture);
        }
    }

    /// As if nothing had been known; names that hold the same as before are not different.
    fn rebuild(&mut self, picture: &Picture) {
        let ids: FxHashSet<Id> = self
            .frameworks
            .keys()
            .chain(picture.frameworks().map(|one| &one.id))
            .cloned()
            .collect();
        ids.iter().for_each(|id| self.put_framework(id, picture));
        let ids: FxHashSet<Id> =
            self.agents.keys().chain(picture.agents().map(|one| &one.id)).cloned().collect();
        ids.iter().for_each(|id| self.put_agent(id, picture));
        let gone: Vec<TaskKey> = self.tasks.keys().cloned().collect();
        gone.into_iter().for_each(|key| self.put_task(key, picture));
        let tasks: Vec<TaskKey> = picture.tasks().map(|task| task.key()).collect();
        tasks.into_iter().for_each(|key| self.put_task(key, picture));
        self.lead(picture.leader());
    }

    /// The last leader keeps its names while there is none: it may well come back.
    fn lead(&mut self, leader: Option<SocketAddr>) {
        if leader.is_none() && !self.masters.is_empty() {
            return;
        }
        let new = cluster::masters(&self.settings, leader);
        let old = std::mem::replace(&mut self.masters, new.clone());
        self.exchange(old, new);
    }

    fn put_framework(&mut self, id: &Id, picture: &Picture) {
        let new = picture.framework(id);
        let records = |one: Option<&Arc<Framework>>| {
            one.map(|one| cluster::framework(&self.settings, one)).unwrap_or_default()
        };
        let (old, records) = (records(self.frameworks.get(id)), records(new));
        self.exchange(old, records);
        match new {
            Some(new) => drop(self.frameworks.insert(new.id.clone(), new.clone())),
            None => drop(self.frameworks.remove(id)),
        }
    }

    fn put_agent(&mut self, id: &Id, picture: &Picture) {
        let new = picture.agent(id);
        let records = |one: Option<&Arc<Agent>>| {
            one.map(|one| cluster::agent(&self.settings, one)).unwrap_or_default()
        };
        let (old, records) = (records(self.agents.get(id)), records(new));
        self.exchange(old, records);
        match new {
            Some(new) => drop(self.agents.insert(new.id.clone(), new.clone())),
            None => drop(self.agents.remove(id)),
        }
    }

    /// What stays is held twice for a moment, and so never looks as if it had gone.
    fn exchange(&mut self, old: Vec<(String, Data)>, new: Vec<(String, Data)>) {
        for (name, data) in new {
            self.book.hold(&name, data);
        }
        for (name, data) in old {
            self.book.release(&name, &data);
        }
    }

    /// Only tasks that run, on an agent and of a framework that are known, have names.
    fn put_task(&mut self, key: TaskKey, picture: &Picture) {
        let new = picture.task(&key.0, &key.1).filter(|task| task.is_running()).and_then(|task| {
            let agent = picture.agent(&task.agent)?.clone();
            let framework = picture.framework(&task.framework)?.clone();
            Some(Placed { task: task.clone(), agent, framework })
        });
        let is_like = match (&new, self.tasks.get(&key)) {
            (Some(new), Some(old)) => new.is_like(old),
            (None, None) => return,
            _ => false,
        };
        let (book, settings) = (&mut self.book, &self.settings);
        if let Some(new) = new.as_ref().filter(|_| !is_like) {
            new.records(settings, &mut |name, raw| {
                let data = raw.data(|target| book.name(target));
                book.hold(name, data);
            });
        }
        let old = match new {
            Some(new) => self.tasks.insert(key, new),
            None => self.tasks.remove(&key),
        };
        if let Some(old) = old.filter(|_| !is_like) {
            old.records(settings, &mut |name, raw| {
                let data = raw.data(|target| book.name(target));
                book.release(name, &data);
            });
        }
    }

    /// The address of a virtual service, by its name as in `web.marathon`; none: it is gone.
    pub fn put_vip(&mut self, name: &str, addresses: Vec<IpAddr>) {
        let records = |all: &[IpAddr]| -> Vec<(String, Data)> {
            let full = format!("{}.{VIPS}", name.to_ascii_lowercase());
            all.iter().map(|ip| (full.clone(), book::address(*ip))).collect()
        };
        let old = self.vips.get(name).map(|all| records(all)).unwrap_or_default();
        let new = records(&addresses);
        if addresses.is_empty() {
            self.vips.remove(name);
        } else {
            self.vips.insert(name.into(), addresses);
        }
        self.exchange(old, new);
    }

    /// All virtual services there are.
    pub fn set_vips(&mut self, all: Vec<(Box<str>, Vec<IpAddr>)>) {
        let names: FxHashSet<Box<str>> = all.iter().map(|(name, _)| name.clone()).collect();
        let gone: Vec<Box<str>> =
            self.vips.keys().filter(|name| !names.contains(*name)).cloned().collect();
        gone.iter().for_each(|name| self.put_vip(name, Vec::new()));
        all.into_iter().for_each(|(name, addresses)| self.put_vip(&name, addresses));
    }

    /// Every framework with its tasks that have names, in no order.
    pub(crate) fn placed(&self) -> (Vec<Arc<Framework>>, Vec<Placed>) {
        (self.frameworks.values().cloned().collect(), self.tasks.values().cloned().collect())
    }
}
