//! A pass: the agents in a shuffled order, each offered to one client after the other.
use std::cmp::Reverse;
use std::time::Duration;

use mesos_messages::resources::{Entries, Resources};

use super::Engine;
use crate::OfferSpec;
use crate::agent::{Held, Tick};
use crate::amounts::{Amounts, Scale};
use crate::client::{Client, Rank};
use crate::tree::{Cursor, passed};

/// With more filters than this on an agent, they are looked up by mark instead of one by one.
const MANY_FILTERS: usize = 16;

/// How many agents are brought near at once.
pub(super) const TOGETHER: usize = 12;

/// Memory that passes use again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    stack: Vec<(u32, usize)>,
    /// By client: the stamp of the agent that it refused.
    marks: Vec<u64>,
    stamp: u64,
    /// Clients that got something from this agent: role, place in its order, client.
    touched: Vec<(u32, usize, u32)>,
}

/// A client that is to be offered something.
struct Taker {
    at: usize,
    client: u32,
    offered: Entries,
    amounts: Amounts,
}

impl Engine {
    pub(super) fn run(&mut self, mut slots: Vec<u32>, now: Duration, seed: u64) -> Vec<OfferSpec> {
        self.runs += 1;
        self.all_dirty = false;
        self.dirty.clear();
        self.sort();
        let now = Tick::floor(now);
        shuffle(&mut slots, seed);
        let mut offers = Vec::with_capacity(slots.len());
        for slots in slots.chunks(TOGETHER) {
            self.touch_clients();
            self.agents.touch(slots.iter().copied());
            for slot in slots {
                self.visit(*slot, now, &mut offers);
            }
        }
        offers
    }

    /// Brings the clients whose turn is next nearer to the processor.
    fn touch_clients(&mut self) {
        let mut cursor = Cursor::new(std::mem::take(&mut self.scratch.stack));
        for _ in 0..TOGETHER {
            let Some(node) = cursor.next(&self.tree).and_then(|role| self.tree.get(role)) else {
                break;
            };
            self.clients.touch(node.client_order.iter().take(2).copied());
        }
        self.scratch.stack = cursor.into_stack();
    }

    /// Ranks and sorts clients and roles, as far as they may have moved since the last pass.
    fn sort(&mut self) {
        if self.rescale {
            self.rescale = false;
            self.tree.set_scale(Scale::new(&self.total, &self.excluded));
        }
        for role in self.tree.roles() {
            let Some(node) = self.tree.get_mut(role) else { continue };
            if !std::mem::take(&mut node.unsorted) {
                continue;
            }
            let mut order = std::mem::take(&mut node.client_order);
            order.iter().for_each(|id| self.rank(*id));
            order.sort_unstable_by_key(|id| self.clients.rank(*id));
            if let Some(node) = self.tree.get_mut(role) {
                node.client_order = order;
            }
        }
        self.tree.sort();
    }

    fn rank(&mut self, id: u32) {
        let Some(client) = self.clients.get(id) else { return };
        let share = self.tree.scale().dominant_share(&client.load.amounts);
        let rank = Rank::new(share, client.load.count, client.framework.0);
        self.clients.set_rank(id, rank);
    }

    fn visit(&mut self, slot: u32, now: Tick, offers: &mut Vec<OfferSpec>) {
        let Some(agent) = self.agents.get_mut(slot) else { return };
        if agent.has_expired(now) {
            agent.drop_filters(Some(now), &mut self.clients);
        }
        if !agent.offerable || agent.settled == self.generation || agent.free.is_empty() {
            return;
        }
        let minimum = &self.config.min_allocatable;
        if self.own_minimums == 0
            && !minimum.is_met(&agent.free_amounts, || agent.free.unallocated())
        {
            agent.settled = self.generation;
            return;
        }
        self.mark_refusals(slot);

        let before = offers.len();
        // What is shared stays free when it is offered, but is offered once in a pass.
        let mut shared = Resources::new();
        let mut cursor = Cursor::new(std::mem::take(&mut self.scratch.stack));
        while let Some(role) = cursor.next(&self.tree) {
            self.visit_role(slot, role, &mut shared, offers);
            if self.agents.get(slot).is_none_or(|agent| agent.free.is_empty()) {
                break;
            }
        }
        self.scratch.stack = cursor.into_stack();
        self.move_touched();
        if offers.len() == before
            && let Some(agent) = self.agents.get_mut(slot)
        {
            agent.settled = self.generation;
        }
    }

    fn mark_refusals(&mut self, slot: u32) {
        let Some(agent) = self.agents.get_mut(slot) else { return };
        if !agent.plain || agent.filter_count() < MANY_FILTERS {
            return;
        }
        self.scratch.stamp += 1;
        self.scratch.marks.resize(self.clients.len(), 0);
        agent.mark_refusals(&self.clients, &mut self.scratch.marks, self.scratch.stamp);
    }

    fn visit_role(
        &mut self,
        slot: u32,
        role: u32,
        shared: &mut Resources,
        offers: &mut Vec<OfferSpec>,
    ) {
        let (Some(agent), Some(node)) = (self.agents.get(slot), self.tree.get(role)) else {
            return;
        };
        if node.is_nested() && !agent.capabilities.hierarchical_role {
            return;
        }
        let mut from = 0;
        loop {
            let taker = match self.agents.get(slot) {
                None => return,
                Some(agent) if agent.plain => self.find_plain_taker(slot, role, from),
                Some(_) => self.find_taker(slot, role, from, shared),
            };
            let Some(taker) = taker else { return };
            from = taker.at + 1;
            self.offer(slot, role, taker, shared, offers);
        }
    }

    /// Whether the client can be given anything of the agent, whatever it is.
    fn is_capable(&self, slot: u32, client: &Client) -> bool {
        let Some(agent) = self.agents.get(slot) else { return false };
        let can = client.capabilities;
        let gpu = can.gpu_resources || !agent.has_gpu || !self.config.filter_gpu_resources;
        let region = can.region_aware || !agent.remote;
        let roles = !can.multi_role || agent.capabilities.multi_role;
        gpu && region && roles
    }

    fn is_enough(
        &self,
        client: &Client,
        amounts: &Amounts,
        resources: impl Fn() -> Resources,
    ) -> bool {
        let minimum = client.min_allocatable.as_deref().unwrap_or(&self.config.min_allocatable);
        minimum.is_met(amounts, resources)
    }

    /// The next client in the role's order that takes all that is free.
    fn find_plain_taker(&mut self, slot: u32, role: u32, from: usize) -> Option<Taker> {
        let agent = self.agents.get(slot)?;
        if agent.free.is_empty() {
            return None;
        }
        let marked = agent.filter_count() >= MANY_FILTERS;
        let searched = agent.has_filters() && !marked;
        let mut at = from;
        loop {
            let id = *self.tree.get(role)?.client_order.get(at)?;
            let refused = marked
                && self.scratch.marks.get(id as usize).is_some_and(|it| *it == self.scratch.stamp);
            if !refused && self.fits_plain(slot, id, searched) {
                let agent = self.agents.get_mut(slot)?;
                let (offered, amounts) = agent.take_all();
                return Some(Taker { at, client: id, offered, amounts });
            }
            at += 1;
        }
    }

    fn fits_plain(&mut self, slot: u32, id: u32, search_filters: bool) -> bool {
        let (Some(client), Some(agent)) = (self.clients.get(id), self.agents.get_mut(slot)) else {
            return false;
        };
        let (epoch, constrained) = (client.epoch, client.constraints.is_some());
        if search_filters && agent.is_free_refused(id, epoch) {
            return false;
        }
        let Some(agent) = self.agents.get(slot) else { return false };
        self.is_enough(client, &agent.free_amounts, || agent.free.unallocated())
            && self.is_capable(slot, client)
            && !(constrained && self.is_excluded(slot, id))
    }

    /// The next client in the role's order that takes something, where not everything is
    /// everyone's.
    fn find_taker(
        &mut self,
        slot: u32,
        role: u32,
        from: usize,
        shared: &Resources,
    ) -> Option<Taker> {
        let path = &self.tree.get(role)?.path;
        let available = &self.agents.get(slot)?.free.unallocated().allocatable_to(path) - shared;
        if available.is_empty() {
            return None;
        }
        let mut at = from;
        loop {
            let id = *self.tree.get(role)?.client_order.get(at)?;
            let client = self.clients.get(id)?;
            let offered = strip(&available, client);
            let amounts = Amounts::of(&offered);
            let epoch = client.epoch;
            if !offered.is_empty()
                && self.is_enough(client, &amounts, || offered.clone())
                && self.is_capable(slot, client)
                && !self.agents.get_mut(slot)?.is_refused(id, epoch, &offered)
                && !self.is_excluded(slot, id)
            {
                self.agents.get_mut(slot)?.take(&offered);
                return Some(Taker { at, client: id, offered: Entries::of(&offered), amounts });
            }
            at += 1;
        }
    }

    /// Books what was taken and makes the offer.
    fn offer(
        &mut self,
        slot: u32,
        role: u32,
        taker: Taker,
        shared: &mut Resources,
        offers: &mut Vec<OfferSpec>,
    ) {
        let Taker { at, client, offered, amounts } = taker;
        let Some(agent) = self.agents.get(slot) else { return };
        if agent.plain {
            self.charge_plain(client, &amounts);
        } else {
            let offered = offered.unallocated();
            self.charge(slot, client, &offered, &amounts);
            *shared += &offered.shared();
        }
        let Some(path) = self.tree.get(role).map(|node| node.path.clone()) else { return };
        let Some(state) = self.clients.get_mut(client) else { return };
        state.holdings += 1;
        let framework = state.framework;
        let Some(agent) = self.agents.get_mut(slot) else { return };
        let entries = agent.hold_of(&offered);
        agent.offers.push(Held { client, entries, amounts });
        let resources = offered.into_allocated(path.clone());
        offers.push(OfferSpec { framework, agent: agent.key, role: path, resources });
        self.scratch.touched.push((role, at, client));
    }

    /// Moves the clients and roles that were charged to where they belong now.
    fn move_touched(&mut self) {
        let mut touched = std::mem::take(&mut self.scratch.touched);
        // From the last place to the first, so that earlier places stay what they are.
        touched.sort_unstable_by_key(|(_, at, _)| Reverse(*at));
        for (role, at, client) in touched.drain(..) {
            self.rank(client);
            let Some(node) = self.tree.get_mut(role) else { continue };
            let mut order = std::mem::take(&mut node.client_order);
            let rank = self.clients.rank(client);
            let behind = order.get(at + 1..).unwrap_or_default();
            let passed = passed(behind, |other| self.clients.rank(other) < rank);
            if let Some(part) = order.get_mut(at..=at + passed) {
                part.rotate_left(1);
            }
            if let Some(node) = self.tree.get_mut(role) {
                node.client_order = order;
            }
            self.tree.moved(role);
        }
        self.scratch.touched = touched;
    }
}

/// Without what the framework could not handle.
fn strip(available: &Resources, client: &Client) -> Resources {
    let can = client.capabilities;
    available.filter(|item| {
        (can.shared_resources || !item.is_shared())
            && (can.revocable_resources || !item.is_revocable())
            && (can.reservation_refinement || !item.has_refined_reservations())
    })
}

/// Shuffles with a small generator of its own, so that a seed means the same for ever.
fn shuffle(slots: &mut [u32], seed: u64) {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for at in (1..slots.len()).rev() {
        // The upper half of a product is an even choice of `at + 1`, without division.
        let chosen = ((u128::from(next()) * (at as u128 + 1)) >> 64) as usize;
        slots.swap(at, chosen);
    }
}
