//! Frameworks and their clients: subscribing, suppressing, reviving, leaving.
use super::Engine;
use crate::client::Verdict;
use crate::{FrameworkKey, FrameworkSpec};

#[derive(Debug, Default)]
pub(super) struct Framework {
    pub spec: FrameworkSpec,
    active: bool,
    /// One for each role it is subscribed to or holds resources in.
    pub clients: Vec<u32>,
}

impl Engine {
    /// The framework's client in the role; both are made if need be. A framework of which only
    /// its resources are known is inactive and subscribed to nothing.
    pub(super) fn ensure_client(&mut self, key: FrameworkKey, role: &str) -> u32 {
        if let Some(client) = self.client_of(key, role) {
            return client;
        }
        let node = self.tree.ensure(role);
        let client = self.clients.insert(key, node);
        if let Some(node) = self.tree.get_mut(node) {
            node.clients.push(client);
        }
        self.frameworks.entry(key).or_default().clients.push(client);
        client
    }

    /// Forgets a client that is neither subscribed nor holds anything.
    pub(super) fn release_client(&mut self, id: u32) {
        let Some(client) = self.clients.get(id) else { return };
        if client.subscribed || client.holdings > 0 {
            return;
        }
        let (key, role) = (client.framework, client.role);
        if let Some(node) = self.tree.get_mut(role) {
            node.clients.retain(|other| *other != id);
        }
        if let Some(framework) = self.frameworks.get_mut(&key) {
            framework.clients.retain(|other| *other != id);
        }
        self.set_minimum(id, None);
        self.clients.remove(id);
        self.tree.remove_unused(role);
    }

    fn set_minimum(&mut self, id: u32, minimum: Option<crate::MinAllocatable>) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let before = usize::from(client.min_allocatable.is_some());
        let after = usize::from(minimum.is_some());
        client.min_allocatable = minimum.map(Box::new);
        self.own_minimums = (self.own_minimums + after).saturating_sub(before);
    }

    pub(super) fn set_framework(
        &mut self,
        key: FrameworkKey,
        spec: FrameworkSpec,
        active: Option<bool>,
    ) {
        let framework = self.frameworks.entry(key).or_default();
        if let Some(active) = active {
            framework.active = active;
        }
        let others = framework.clients.clone();
        let mut subscribed = Vec::with_capacity(spec.roles.len());
        let mut blocked_otherwise = false;
        for role in &spec.roles {
            let id = self.ensure_client(key, role);
            subscribed.push(id);
            blocked_otherwise |= self.subscribe(id, role, &spec);
        }
        let left: Vec<u32> = others.into_iter().filter(|id| !subscribed.contains(id)).collect();
        for id in &left {
            if let Some(client) = self.clients.get_mut(*id) {
                client.subscribed = false;
                client.suppressed = false;
                client.drop_filters();
            }
            self.set_minimum(*id, None);
        }
        if let Some(framework) = self.frameworks.get_mut(&key) {
            framework.spec = spec;
        }
        self.refresh_clients(key);
        left.into_iter().for_each(|id| self.release_client(id));
        if blocked_otherwise {
            self.agents.iter_mut().for_each(|agent| agent.changed());
        }
    }

    /// Says whether filters may block other offers than before.
    fn subscribe(&mut self, id: u32, role: &str, spec: &FrameworkSpec) -> bool {
        self.set_minimum(id, spec.min_allocatable.get(role).cloned());
        let Some(client) = self.clients.get_mut(id) else { return false };
        let suppressed = spec.suppressed.iter().any(|suppressed| suppressed == role);
        if client.suppressed && !suppressed {
            client.drop_filters();
        }
        client.suppressed = suppressed;
        client.subscribed = true;
        let other_capabilities = client.capabilities != spec.capabilities;
        client.capabilities = spec.capabilities;
        client.constraints = spec.constraints.clone().filter(|all| all.concerns(role));
        client.verdicts = Vec::new();
        other_capabilities && client.filters > 0
    }

    /// Puts the framework's clients into the orders of their roles, or takes them out.
    fn refresh_clients(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get(&key) else { return };
        let active = framework.active;
        for id in framework.clients.clone() {
            let Some(client) = self.clients.get_mut(id) else { continue };
            let wanted = active && client.subscribed && !client.suppressed;
            if client.active == wanted {
                continue;
            }
            client.active = wanted;
            let role = client.role;
            if let Some(node) = self.tree.get_mut(role) {
                if wanted {
                    node.client_order.push(id);
                } else {
                    node.client_order.retain(|other| *other != id);
                }
            }
            self.tree.count_active(role, wanted);
        }
        self.generation += 1;
    }

    pub(super) fn set_framework_active(&mut self, key: FrameworkKey, active: bool) {
        let Some(framework) = self.frameworks.get_mut(&key) else { return };
        framework.active = active;
        if !active {
            for id in framework.clients.clone() {
                if let Some(client) = self.clients.get_mut(id) {
                    client.drop_filters();
                }
            }
        }
        self.refresh_clients(key);
    }

    pub(super) fn set_suppressed(&mut self, key: FrameworkKey, roles: &[String], suppress: bool) {
        let Some(framework) = self.frameworks.get(&key) else { return };
        for id in framework.clients.clone() {
            let Some(client) = self.clients.get_mut(id) else { continue };
            let path = self.tree.get(client.role).map(|node| &*node.path);
            let meant = roles.is_empty() || roles.iter().any(|role| Some(role.as_str()) == path);
            if !meant || !client.subscribed {
                continue;
            }
            client.suppressed = suppress;
            if !suppress {
                client.drop_filters();
            }
        }
        self.refresh_clients(key);
    }

    pub(super) fn drop_framework(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get_mut(&key) else { return };
        framework.active = false;
        let clients = framework.clients.clone();
        self.refresh_clients(key);
        let holds = |id: &u32| self.clients.get(*id).is_some_and(|client| client.holdings > 0);
        let slots = if clients.iter().any(holds) { self.agents.slots() } else { Vec::new() };
        for slot in slots {
            let Some(agent) = self.agents.get(slot) else { continue };
            let held: Vec<_> =
                agent.held().filter(|held| clients.contains(&held.client)).cloned().collect();
            for one in held {
                self.release(slot, one.client, &one.entries.unallocated(), true);
            }
        }
        for id in clients {
            if let Some(client) = self.clients.get_mut(id) {
                client.subscribed = false;
                client.holdings = 0;
            }
            self.release_client(id);
        }
        self.frameworks.remove(&key);
    }

    /// Whether offer constraints keep the agent from the client.
    pub(super) fn is_excluded(&mut self, slot: u32, id: u32) -> bool {
        let Some(client) = self.clients.get_mut(id) else { return true };
        let Some(constraints) = &client.constraints else { return false };
        let (Some(agent), Some(role)) = (self.agents.get(slot), self.tree.get(client.role)) else {
            return true;
        };
        let at = slot as usize;
        if client.verdicts.len() <= at {
            client.verdicts.resize(at + 1, Verdict::default());
        }
        let Some(verdict) = client.verdicts.get_mut(at) else { return true };
        if verdict.facts != agent.facts {
            let excluded = constraints.excludes(&role.path, &agent.spec);
            *verdict = Verdict { facts: agent.facts, excluded };
        }
        verdict.excluded
    }
}
