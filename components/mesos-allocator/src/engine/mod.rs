//! The books of all frameworks and agents, and the events that change them.
//!
//! Offers are made in [`pass`]. Quota would come in at two places: a pass before the regular one
//! for unsatisfied guarantees, and in the regular pass a cut of unreserved scalars to limits and
//! headroom ([`Resources::shrunk_to`]).

mod frameworks;
mod pass;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mesos_messages::attributes;
use mesos_messages::resources::operation::Conversion;
use mesos_messages::resources::{Entries, Name, Resources};
use rustc_hash::FxHashMap;

use crate::agent::{Agent, Agents, Held, Tick};
use crate::amounts::{Amounts, Scale};
use crate::client::Clients;
use crate::tree::Tree;
use crate::{
    AgentKey, AgentSpec, Allocator, FrameworkKey, FrameworkSpec, OfferSpec, Policy, PolicyConfig,
    Report, RoleReport,
};
use frameworks::Framework;

/// Filters of more than a year are of a year.
const LONGEST_FILTER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[derive(Debug)]
pub(crate) struct Engine {
    config: PolicyConfig,
    excluded: Vec<Name>,
    tree: Tree,
    clients: Clients,
    frameworks: FxHashMap<FrameworkKey, Framework>,
    agents: Agents,
    /// What all agents have together.
    total: Amounts,
    rescale: bool,
    whitelist: Option<BTreeSet<String>>,
    /// Grows whenever a client may newly want what it could not have before.
    generation: u64,
    /// Clients with a minimum of their own.
    own_minimums: usize,
    next_facts: u64,
    all_dirty: bool,
    dirty: Vec<u32>,
    runs: u64,
    scratch: pass::Scratch,
}

impl Engine {
    pub(crate) fn new(config: PolicyConfig) -> Engine {
        let priorities = match &config.policy {
            Policy::HierarchicalDrf => Default::default(),
            Policy::StrictPriority { priorities } => priorities.clone(),
        };
        Engine {
            excluded: config
                .fair_sharing_excluded
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            tree: Tree::new(config.weights.clone(), priorities),
            config,
            clients: Clients::default(),
            frameworks: FxHashMap::default(),
            agents: Agents::default(),
            total: Amounts::default(),
            rescale: true,
            whitelist: None,
            generation: 1,
            own_minimums: 0,
            next_facts: 1,
            all_dirty: false,
            dirty: Vec::new(),
            runs: 0,
            scratch: pass::Scratch::default(),
        }
    }

    /// Charges resources about to be booked for the client on the agent.
    fn charge(&mut self, slot: u32, client: u32, resources: &Resources, amounts: &Amounts) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let role = state.role;
        state.load.count += 1;
        if resources.iter().any(|entry| entry.is_shared()) {
            state.load.amounts.add(&Amounts::of(&resources.non_shared()));
            self.tree.charge(role, &Amounts::of(&resources.non_shared()));
            self.charge_shared(slot, client, role, &resources.shared(), true);
        } else {
            state.load.amounts.add(amounts);
            self.tree.charge(role, amounts);
        }
    }

    /// [`Engine::charge`] for resources none of which are shared.
    fn charge_plain(&mut self, client: u32, amounts: &Amounts) {
        let Some(state) = self.clients.get_mut(client) else { return };
        state.load.count += 1;
        state.load.amounts.add(amounts);
        self.tree.charge(state.role, amounts);
    }

    /// [`Engine::discharge`] for resources none of which are shared.
    fn discharge_plain(&mut self, client: u32, amounts: &Amounts) {
        let Some(state) = self.clients.get_mut(client) else { return };
        state.load.amounts.subtract(amounts);
        self.tree.discharge(state.role, amounts);
    }

    /// Takes back a charge; the resources must be off the books already.
    fn discharge(&mut self, slot: u32, client: u32, resources: &Resources, amounts: &Amounts) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let role = state.role;
        if resources.iter().any(|entry| entry.is_shared()) {
            state.load.amounts.subtract(&Amounts::of(&resources.non_shared()));
            self.tree.discharge(role, &Amounts::of(&resources.non_shared()));
            self.charge_shared(slot, client, role, &resources.shared(), false);
        } else {
            state.load.amounts.subtract(amounts);
            self.tree.discharge(role, amounts);
        }
    }

    /// A shared resource counts once for a client, and once for each role, however often held.
    fn charge_shared(&mut self, slot: u32, client: u32, role: u32, shared: &Resources, add: bool) {
        let Some(agent) = self.agents.get(slot) else { return };
        let shared = shared.unallocated();
        let once = Resources::from_proto(&shared.to_proto()).unwrap_or_default();
        let new_to = |counts: &dyn Fn(u32) -> bool| {
            Amounts::of(&once.filter(|entry| {
                !agent
                    .held()
                    .any(|held| counts(held.client) && held.entries.unallocated().has_entry(entry))
            }))
        };
        let amounts = new_to(&|other| other == client);
        if let Some(state) = self.clients.get_mut(client) {
            let load = &mut state.load.amounts;
            if add { load.add(&amounts) } else { load.subtract(&amounts) }
        }
        let mut level = role;
        loop {
            let below = |other: u32| {
                self.clients.get(other).is_some_and(|other| {
                    level == crate::tree::ROOT
                        || self.tree.upwards(other.role).any(|role| role == level)
                })
            };
            let amounts = new_to(&below);
            self.tree.charge_level(level, level == role, &amounts, add);
            let Some(parent) = self.tree.get(level).map(|node| node.parent) else { return };
            if level == crate::tree::ROOT {
                return;
            }
            level = parent;
        }
    }

    fn update_holdings(&mut self, slot: u32, client: u32, before: u32) {
        let after = self.agents.get(slot).map_or(0, |agent| agent.holdings(client));
        if let Some(state) = self.clients.get_mut(client) {
            state.holdings = (state.holdings + after).saturating_sub(before);
        }
        self.release_client(client);
    }

    /// Strikes what the client holds off the agent's books and makes it free.
    fn release(&mut self, slot: u32, client: u32, resources: &Resources, offered: bool) {
        let Some(agent) = self.agents.get_mut(slot) else { return };
        let before = agent.holdings(client);
        let Some(struck) = agent.strike(client, resources, offered) else { return };
        let amounts = Amounts::of(&struck);
        self.discharge(slot, client, &struck, &amounts);
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.give_back(Entries::of(&struck), &amounts);
        }
        self.update_holdings(slot, client, before);
    }

    /// Books resources as used by the framework, in the role they are allocated to.
    fn hold(&mut self, slot: u32, framework: FrameworkKey, resources: &Resources) {
        for (role, part) in resources.allocations() {
            let client = self.ensure_client(framework, &role);
            let before = self.agents.get(slot).map_or(0, |agent| agent.holdings(client));
            self.charge(slot, client, &part, &Amounts::of(&part));
            if let Some(role) = self.clients.get(client).map(|client| client.role) {
                self.tree.unsort(role);
            }
            if let Some(agent) = self.agents.get_mut(slot) {
                agent.use_more(client, &part);
            }
            self.update_holdings(slot, client, before);
        }
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.recompute();
        }
    }

    fn is_whitelisted(&self, hostname: &str) -> bool {
        self.whitelist.as_ref().is_none_or(|hosts| hosts.contains(hostname))
    }

    fn is_remote(&self, spec: &AgentSpec) -> bool {
        match (&self.config.local_region, &spec.region) {
            (Some(local), Some(region)) => local != region,
            _ => false,
        }
    }

    /// Works out anew what follows from the agent's spec and the configuration.
    fn refresh_agent(&mut self, slot: u32) {
        let Some(agent) = self.agents.get(slot) else { return };
        let offerable = agent.activated && self.is_whitelisted(&agent.spec.hostname);
        let remote = self.is_remote(&agent.spec);
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.offerable = offerable;
            agent.remote = remote;
            agent.facts = self.next_facts;
            agent.recompute();
        }
        self.next_facts += 1;
    }

    fn set_activated(&mut self, key: AgentKey, activated: bool) {
        let Some(slot) = self.agents.slot(key) else { return };
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.activated = activated;
        }
        self.refresh_agent(slot);
    }

    fn client_of(&self, framework: FrameworkKey, role: &str) -> Option<u32> {
        let role = self.tree.find(role)?;
        let clients = &self.frameworks.get(&framework)?.clients;
        clients.iter().copied().find(|id| self.clients.get(*id).is_some_and(|it| it.role == role))
    }

    fn refuse(
        &mut self,
        slot: u32,
        client: u32,
        entries: Entries,
        refuse: Option<Duration>,
        now: Duration,
    ) {
        let Some(refuse) = refuse.filter(|refuse| !refuse.is_zero()) else { return };
        let Some(epoch) = self.clients.get(client).map(|client| client.epoch) else { return };
        let length = refuse.min(LONGEST_FILTER).max(self.config.allocation_interval);
        let expires = Tick::ceil(now.saturating_add(length));
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.add_filter(client, epoch, expires, entries, &mut self.clients);
        }
    }

    /// Where among the agent's offers these very resources are, if they are the framework's.
    fn offer_at(&self, slot: u32, framework: FrameworkKey, resources: &Resources) -> Option<usize> {
        let role = resources.allocation_role()?;
        self.agents.get(slot)?.offers.iter().position(|held| {
            held.entries.is_same_object(resources)
                && self.clients.get(held.client).is_some_and(|client| {
                    client.framework == framework
                        && self.tree.get(client.role).is_some_and(|node| node.path == *role)
                })
        })
    }

    /// The common way back: an offer as it was made.
    fn recover_offer(
        &mut self,
        (slot, at): (u32, usize),
        resources: Resources,
        refuse: Option<Duration>,
        now: Duration,
    ) {
        let Some(agent) = self.agents.get_mut(slot) else { return };
        let Held { client, entries, amounts } = agent.offers.swap_remove(at);
        if agent.plain {
            agent.give_back(entries, &amounts);
            self.discharge_plain(client, &amounts);
        } else {
            agent.give_back(entries, &amounts);
            self.discharge(slot, client, &resources, &amounts);
        }
        if let Some(state) = self.clients.get_mut(client) {
            state.holdings = state.holdings.saturating_sub(1);
        }
        self.refuse(slot, client, Entries::from_resources(resources), refuse, now);
        self.release_client(client);
    }

    /// Takes the resources because a filter may keep them.
    fn recover_owned(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: Resources,
        refuse: Option<Duration>,
        now: Duration,
    ) {
        let Some(slot) = self.agents.slot(agent) else { return };
        if let Some(at) = self.offer_at(slot, framework, &resources) {
            return self.recover_offer((slot, at), resources, refuse, now);
        }
        for (role, part) in resources.allocations() {
            let Some(client) = self.client_of(framework, &role) else { continue };
            self.refuse(slot, client, Entries::of(&part), refuse, now);
            self.release(slot, client, &part, refuse.is_some());
        }
    }
}

impl Allocator for Engine {
    fn add_framework(&mut self, key: FrameworkKey, spec: FrameworkSpec, active: bool) {
        self.set_framework(key, spec, Some(active));
        if active {
            self.all_dirty = true;
        }
    }

    fn update_framework(&mut self, key: FrameworkKey, spec: FrameworkSpec) {
        if self.frameworks.contains_key(&key) {
            self.set_framework(key, spec, None);
        }
    }

    fn remove_framework(&mut self, key: FrameworkKey) {
        self.drop_framework(key);
    }

    fn activate_framework(&mut self, key: FrameworkKey) {
        self.set_framework_active(key, true);
        self.all_dirty = true;
    }

    fn deactivate_framework(&mut self, key: FrameworkKey) {
        self.set_framework_active(key, false);
    }

    fn suppress(&mut self, key: FrameworkKey, roles: &[String]) {
        self.set_suppressed(key, roles, true);
    }

    fn revive(&mut self, key: FrameworkKey, roles: &[String]) {
        self.set_suppressed(key, roles, false);
        self.all_dirty = true;
    }

    fn add_agent(&mut self, key: AgentKey, spec: AgentSpec, used: &[(FrameworkKey, Resources)]) {
        self.remove_agent(key);
        self.total.add(&Amounts::of(&spec.total));
        self.rescale = true;
        let slot = self.agents.insert(Agent::new(key, spec));
        self.refresh_agent(slot);
        for (framework, resources) in used {
            self.hold(slot, *framework, resources);
        }
        self.dirty.push(slot);
    }

    fn update_agent(&mut self, key: AgentKey, spec: AgentSpec) {
        let Some(slot) = self.agents.slot(key) else { return };
        let Some(agent) = self.agents.get_mut(slot) else { return };
        if !attributes::same(&agent.spec.attributes, &spec.attributes) {
            agent.drop_filters(None, &mut self.clients);
        }
        self.total.subtract(&Amounts::of(&agent.spec.total));
        self.total.add(&Amounts::of(&spec.total));
        self.rescale = true;
        *agent.spec = spec;
        self.refresh_agent(slot);
        self.dirty.push(slot);
    }

    fn remove_agent(&mut self, key: AgentKey) {
        let Some(slot) = self.agents.slot(key) else { return };
        let Some(agent) = self.agents.get_mut(slot) else { return };
        agent.drop_filters(None, &mut self.clients);
        let held: Vec<_> = agent.held().cloned().collect();
        for one in held {
            self.release(slot, one.client, &one.entries.unallocated(), true);
        }
        if let Some(agent) = self.agents.remove(slot) {
            self.total.subtract(&Amounts::of(&agent.spec.total));
            self.rescale = true;
        }
        self.dirty.retain(|dirty| *dirty != slot);
    }

    fn activate_agent(&mut self, key: AgentKey) {
        self.set_activated(key, true);
    }

    fn deactivate_agent(&mut self, key: AgentKey) {
        self.set_activated(key, false);
    }

    fn set_whitelist(&mut self, hosts: Option<BTreeSet<String>>) {
        self.whitelist = hosts;
        self.agents.slots().into_iter().for_each(|slot| self.refresh_agent(slot));
    }

    fn set_weight(&mut self, role: &str, weight: f64) {
        if weight.is_finite() && weight > 0.0 {
            self.tree.set_weight(role, weight);
        }
    }

    fn allocated(&mut self, framework: FrameworkKey, agent: AgentKey, resources: &Resources) {
        let Some(slot) = self.agents.slot(agent) else { return };
        for (role, part) in resources.allocations() {
            let Some(client) = self.client_of(framework, &role) else { continue };
            let Some(agent) = self.agents.get_mut(slot) else { return };
            let before = agent.holdings(client);
            agent.launch(client, &part);
            self.update_holdings(slot, client, before);
        }
    }

    fn recover(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &Resources,
        refuse: Option<Duration>,
        now: Duration,
    ) {
        self.recover_owned(framework, agent, resources.clone(), refuse, now);
    }

    fn recover_all(
        &mut self,
        framework: FrameworkKey,
        resources: Vec<(AgentKey, Resources)>,
        refuse: Option<Duration>,
        now: Duration,
    ) {
        let mut left = resources.into_iter();
        while !left.as_slice().is_empty() {
            let next = left.as_slice().iter().take(pass::TOGETHER);
            self.agents.touch(next.filter_map(|(agent, _)| self.agents.slot(*agent)));
            for (agent, resources) in left.by_ref().take(pass::TOGETHER) {
                self.recover_owned(framework, agent, resources, refuse, now);
            }
        }
    }

    fn convert(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        offered: &Resources,
        conversions: &[Conversion],
    ) {
        let Some(slot) = self.agents.slot(agent) else { return };
        let Some(total) = self.agents.get(slot).map(|agent| agent.spec.total.clone()) else {
            return;
        };
        let mut converted = offered.clone();
        let mut new_total = total.clone();
        for conversion in conversions {
            let Ok(next) = converted.convert(conversion) else { return };
            converted = next;
            // An empty `consumed` is one more copy of something shared, of which there is one.
            if !conversion.consumed.is_empty() {
                let plain = conversion.unallocated();
                let Ok(next) = new_total.convert(&plain) else { return };
                new_total = next;
            }
        }
        for (role, part) in offered.allocations() {
            if let Some(client) = self.client_of(framework, &role) {
                self.release(slot, client, &part, true);
            }
        }
        self.total.subtract(&Amounts::of(&total));
        self.total.add(&Amounts::of(&new_total));
        self.rescale = true;
        if let Some(agent) = self.agents.get_mut(slot) {
            agent.spec.total = new_total;
        }
        self.hold(slot, framework, &converted);
        // Books hold it as used; the offer is being accepted, so it never goes back whole.
    }

    fn allocate(&mut self, now: Duration, seed: u64) -> Vec<OfferSpec> {
        let slots = self.agents.slots();
        self.run(slots, now, seed)
    }

    fn allocate_dirty(&mut self, now: Duration, seed: u64) -> Vec<OfferSpec> {
        if !self.is_dirty() {
            return Vec::new();
        }
        let slots = if self.all_dirty {
            self.agents.slots()
        } else {
            let mut slots = std::mem::take(&mut self.dirty);
            slots.sort_unstable();
            slots.dedup();
            slots
        };
        self.run(slots, now, seed)
    }

    fn is_dirty(&self) -> bool {
        self.all_dirty || !self.dirty.is_empty()
    }

    fn available(&self, agent: AgentKey) -> Resources {
        let agent = self.agents.slot(agent).and_then(|slot| self.agents.get(slot));
        agent.map(|agent| agent.free.unallocated()).unwrap_or_default()
    }

    fn held(&self, framework: FrameworkKey) -> Vec<(AgentKey, Resources)> {
        let role_of = |client: u32| {
            let client = self.clients.get(client).filter(|it| it.framework == framework)?;
            self.tree.get(client.role).map(|node| &node.path)
        };
        let held = self.agents.iter().filter_map(|agent| {
            let mut sum = Resources::new();
            for held in agent.held() {
                if let Some(role) = role_of(held.client) {
                    sum += &held.entries.allocated(role);
                }
            }
            (!sum.is_empty()).then_some((agent.key, sum))
        });
        held.collect()
    }

    fn excluded_by_constraints(&self, framework: FrameworkKey, role: &Arc<str>) -> Vec<AgentKey> {
        let Some(framework) = self.frameworks.get(&framework) else { return Vec::new() };
        let Some(constraints) = &framework.spec.constraints else { return Vec::new() };
        let excluded = self.agents.iter().filter(|agent| constraints.excludes(role, &agent.spec));
        excluded.map(|agent| agent.key).collect()
    }

    fn report(&self) -> Report {
        let role = |id: u32| {
            let node = self.tree.get(id)?;
            let clients = || node.clients.iter().filter_map(|id| self.clients.get(*id));
            Some(RoleReport {
                role: node.path.clone(),
                weight: node.weight(),
                dominant_share: self.current_share(id),
                active_filters: clients().map(|client| client.filters).sum(),
                frameworks: clients()
                    .filter(|client| client.subscribed)
                    .map(|client| client.framework)
                    .collect(),
                offered_or_allocated: node.sub.amounts.quantities(),
            })
        };
        Report {
            allocation_runs: self.runs,
            total: self.total.quantities(),
            offered_or_allocated: self
                .tree
                .root()
                .map(|root| root.sub.amounts.quantities())
                .unwrap_or_default(),
            roles: self.tree.roles().into_iter().filter_map(role).collect(),
        }
    }
}

impl Engine {
    /// The share by the total as it is now, even before the next pass.
    fn current_share(&self, role: u32) -> f64 {
        if self.rescale {
            self.tree.share(role, &Scale::new(&self.total, &self.excluded))
        } else {
            self.tree.share(role, self.tree.scale())
        }
    }
}
