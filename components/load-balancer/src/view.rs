//! What is known of virtual addresses now, for whoever asks, and for those who want to hear of
//! changes.
//!
//! A listener has a set of what changed since it last looked: a slow one gets several changes of
//! one service as one, and never costs more than there are services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::vips::cluster::Node;
use crate::vips::label::Host;
use crate::vips::offer::{Problem, Service};
use crate::wire::{Entry, Gone, Line, NameLine, Named};

/// All services and who listens.
#[derive(Debug, Default)]
pub(crate) struct View {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the cluster is known at all.
    known: bool,
    /// Whether a master tells of changes.
    led: bool,
    /// Grows with each change.
    version: u64,
    services: BTreeMap<Service, Arc<Entry>>,
    /// Names with an address, each with how many services it has.
    names: BTreeMap<Arc<str>, (Ipv4Addr, usize)>,
    nodes: Arc<[KnownNode]>,
    problems: Arc<[(Problem, usize)]>,
    listeners: Vec<Weak<Pending>>,
}

/// A node, and since when it is known so.
#[derive(Clone, Debug)]
pub(crate) struct KnownNode {
    pub(crate) node: Node,
    pub(crate) updated: Arc<str>,
}

/// What a listener has not heard yet.
#[derive(Debug, Default)]
struct Pending {
    changed: Mutex<Changed>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Changed {
    /// Whether it heard the beginning.
    begun: bool,
    services: BTreeSet<Service>,
    names: BTreeSet<Arc<str>>,
}

/// Hears of changes.
#[derive(Debug)]
pub(crate) struct Listener {
    pending: Arc<Pending>,
    /// Where services were when they were told, to say which are gone.
    told: BTreeMap<Service, Gone>,
}

/// A moment's answer to `/v1/vips`.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) known: bool,
    pub(crate) led: bool,
    pub(crate) version: u64,
    pub(crate) services: Vec<Arc<Entry>>,
}

/// What becomes of a service: none, it is no more.
pub(crate) type Update = (Service, Option<Arc<Entry>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl View ===

impl View {
    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = lock(&self.state);
        Snapshot {
            known: state.known,
            led: state.led,
            version: state.version,
            services: state.services.values().cloned().collect(),
        }
    }

    /// How many services, names and backends there are.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        let state = lock(&self.state);
        let backends = state.services.values().map(|entry| entry.backends.len()).sum();
        (state.services.len(), state.names.len(), backends)
    }

    pub(crate) fn nodes(&self) -> Arc<[KnownNode]> {
        lock(&self.state).nodes.clone()
    }

    pub(crate) fn problems(&self) -> Arc<[(Problem, usize)]> {
        lock(&self.state).problems.clone()
    }

    /// Those that were not known before are from `now`.
    pub(crate) fn set_nodes(&self, nodes: Vec<Node>, now: &Arc<str>) {
        let mut state = lock(&self.state);
        let known: BTreeMap<IpAddr, &KnownNode> =
            state.nodes.iter().map(|known| (known.node.private_ip, known)).collect();
        let of = |node: Node| {
            let before = known.get(&node.private_ip).filter(|known| known.node == node);
            let updated = before.map_or(now, |known| &known.updated).clone();
            KnownNode { node, updated }
        };
        let nodes = nodes.into_iter().map(of).collect();
        state.nodes = nodes;
    }

    pub(crate) fn set_problems(&self, problems: Vec<(Problem, usize)>) {
        lock(&self.state).problems = problems.into();
    }

    pub(crate) fn set_led(&self, led: bool) {
        lock(&self.state).led = led;
    }

    /// Enters changes and tells listeners of them.
    pub(crate) fn publish(&self, updates: Vec<Update>) {
        let mut state = lock(&self.state);
        let first = !std::mem::replace(&mut state.known, true);
        let mut changed = Changed::default();
        for (service, entry) in updates {
            let old = match &entry {
                Some(entry) => state.services.insert(service.clone(), entry.clone()),
                None => state.services.remove(&service),
            };
            if old == entry {
                continue;
            }
            if let Host::Name(name) = &service.host {
                let before = state.names.get(name).map(|(ip, _)| *ip);
                if let Some(entry) = &entry {
                    let named = state.names.entry(name.clone()).or_insert((entry.ip, 0));
                    *named = (entry.ip, named.1 + 1);
                }
                if old.is_some()
                    && let Some((_, services)) = state.names.get_mut(name)
                {
                    *services -= 1;
                    if *services == 0 {
                        state.names.remove(name);
                    }
                }
                if state.names.get(name).map(|(ip, _)| *ip) != before {
                    changed.names.insert(name.clone());
                }
            }
            changed.services.insert(service);
        }
        if changed.services.is_empty() && !first {
            return;
        }
        state.version += 1;
        state.listeners.retain(|one| one.strong_count() > 0);
        for one in state.listeners.iter().filter_map(Weak::upgrade) {
            let mut pending = lock(&one.changed);
            // One that has not heard the beginning will hear all of it.
            if pending.begun {
                pending.services.extend(changed.services.iter().cloned());
                pending.names.extend(changed.names.iter().cloned());
            }
            drop(pending);
            one.ready.notify_one();
        }
    }

    /// None, if there are too many already.
    pub(crate) fn listen(&self, most: usize) -> Option<Listener> {
        let pending = Arc::new(Pending::default());
        let mut state = lock(&self.state);
        state.listeners.retain(|one| one.strong_count() > 0);
        if state.listeners.len() >= most {
            return None;
        }
        state.listeners.push(Arc::downgrade(&pending));
        Some(Listener { pending, told: BTreeMap::new() })
    }
}

// === impl Listener ===

impl Listener {
    /// Waits until there is something that was not heard. Safe to cancel.
    pub(crate) async fn changed(&self) {
        self.pending.ready.notified().await;
    }

    /// What was not heard of services: nothing before the cluster is known.
    pub(crate) fn services(&mut self, view: &View) -> Vec<Line> {
        let state = lock(&view.state);
        let mut pending = lock(&self.pending.changed);
        if !state.known {
            return Vec::new();
        }
        if !std::mem::replace(&mut pending.begun, true) {
            let services = state.services.iter();
            self.told = services.map(|(key, one)| (key.clone(), one.key().into())).collect();
            let all = state.services.values().map(|entry| Entry::clone(entry)).collect();
            return vec![Line { vips: Some(all), ..Line::default() }];
        }
        pending.names.clear();
        let (mut gone, mut put) = (Vec::new(), Vec::new());
        for service in std::mem::take(&mut pending.services) {
            let now = state.services.get(&service);
            let is: Option<Gone> = now.map(|entry| entry.key().into());
            let was = match is {
                Some(is) => self.told.insert(service, is),
                None => self.told.remove(&service),
            };
            gone.extend(was.filter(|was| Some(*was) != is));
            put.extend(now.map(|entry| Entry::clone(entry)));
        }
        // What goes first makes room for what comes to its address.
        let gone = gone.into_iter().map(|one| Line { gone: Some(one), ..Line::default() });
        let put = put.into_iter().map(|one| Line { put: Some(one), ..Line::default() });
        gone.chain(put).collect()
    }

    /// What was not heard of names: nothing before the cluster is known.
    pub(crate) fn names(
        &mut self,
        view: &View,
        shown: impl Fn(Ipv4Addr) -> Ipv4Addr,
    ) -> Vec<NameLine> {
        let state = lock(&view.state);
        let mut pending = lock(&self.pending.changed);
        if !state.known {
            return Vec::new();
        }
        let named = |name: &Arc<str>, ip: Ipv4Addr| Named { name: name.to_string(), ip: shown(ip) };
        if !std::mem::replace(&mut pending.begun, true) {
            let all = state.names.iter().map(|(name, (ip, _))| named(name, *ip)).collect();
            return vec![NameLine { vips: Some(all), ..NameLine::default() }];
        }
        pending.services.clear();
        let line = |name: Arc<str>| match state.names.get(&name) {
            Some((ip, _)) => NameLine { put: Some(named(&name, *ip)), ..NameLine::default() },
            None => NameLine { gone: Some(name.to_string()), ..NameLine::default() },
        };
        std::mem::take(&mut pending.names).into_iter().map(line).collect()
    }
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
