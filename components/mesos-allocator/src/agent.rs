//! An agent's books: what is free, who holds what, and who refused what.
use std::time::Duration;

use mesos_messages::resources::{Entries, Item, Resources};
use smallvec::SmallVec;

use crate::amounts::Amounts;
use crate::client::Clients;
use crate::types::{AgentCapabilities, AgentKey, AgentSpec};

/// Resources held by a client; its role is the client's.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub client: u32,
    pub entries: Entries,
    pub amounts: Amounts,
}

impl Held {
    fn new(client: u32, resources: &Resources) -> Held {
        Held { client, entries: Entries::of(resources), amounts: Amounts::of(resources) }
    }
}

/// A moment, coarse enough to be small: filters are many. It wraps after three years, so only
/// moments less than half of that apart can be compared.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tick(u32);

impl Tick {
    const LENGTH: Duration = Duration::from_millis(25);

    /// The last tick that is not after `now`.
    pub(crate) fn floor(now: Duration) -> Tick {
        Tick((now.as_nanos() / Tick::LENGTH.as_nanos()) as u32)
    }

    /// The first tick that is not before `now`.
    pub(crate) fn ceil(now: Duration) -> Tick {
        Tick(now.as_nanos().div_ceil(Tick::LENGTH.as_nanos()) as u32)
    }

    pub(crate) fn is_after(self, other: Tick) -> bool {
        (self.0.wrapping_sub(other.0) as i32) > 0
    }
}

/// A client's refusal: offers contained in `entries` are not made until `expires`.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub client: u32,
    pub epoch: u32,
    expires: Tick,
    /// Whether it blocks what is free, and in which version of that; see [`Filter::blocks`].
    found: u32,
    entries: Entries,
}

impl Filter {
    /// `offered` must be a function of the client and `version`.
    fn blocks(&mut self, offered: &Entries, version: u32) -> bool {
        let version = version << 1;
        if self.found & !1 != version {
            self.found = version | u32::from(self.entries.contains(offered));
        }
        self.found & 1 == 1
    }
}

/// In this very order and alignment: what a pass reads is three lines of memory, the rest behind.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Agent {
    pub key: AgentKey,
    /// Grows whenever `free` may have changed.
    version: u32,
    /// What nobody holds, and all that is shared.
    pub free: Entries,
    pub free_amounts: Amounts,
    /// The engine's generation in which no client could be offered what is free.
    pub settled: u64,

    /// One more hold of `free`, of a filter that went: counting one costs a read of far memory.
    spare: Entries,
    /// Sorted by client.
    filters: Vec<Filter>,
    /// Of the filter that goes first, if there is any.
    next_expiry: Tick,
    /// Activated and whitelisted.
    pub offerable: bool,
    /// Neither reserved, shared nor revocable resources: everything is everyone's.
    pub plain: bool,
    pub has_gpu: bool,
    pub remote: bool,
    pub capabilities: AgentCapabilities,
    /// `free` can be kept up to date by additions; see [`Agent::recompute`].
    simple: bool,
    pub activated: bool,
    /// One for each outstanding offer, as it was made.
    pub offers: SmallVec<[Held; 1]>,

    /// All else that clients hold; at most one for each client.
    pub used: Vec<Held>,
    pub spec: Box<AgentSpec>,
    /// Another number whenever what constraints look at may have changed; never that of another.
    pub facts: u64,
}

impl Agent {
    pub(crate) fn new(key: AgentKey, spec: AgentSpec) -> Agent {
        let mut agent = Agent {
            key,
            version: 1,
            free: Entries::default(),
            free_amounts: Amounts::default(),
            settled: 0,
            spare: Entries::default(),
            filters: Vec::new(),
            next_expiry: Tick::default(),
            offerable: false,
            plain: false,
            has_gpu: false,
            remote: false,
            capabilities: spec.capabilities,
            simple: false,
            activated: true,
            facts: 0,
            offers: SmallVec::new(),
            used: Vec::new(),
            spec: Box::new(spec),
        };
        agent.recompute();
        agent
    }

    /// Reads from each line of memory this is in, so that reading it soon after is quick. Many
    /// such reads wait for memory together, where a pass would wait for one after the other.
    pub(crate) fn touch(&self) -> u64 {
        self.settled ^ self.filters.len() as u64 ^ self.offers.len() as u64
    }

    /// [`Agent::touch`] for what is behind pointers, once the agent itself is near.
    pub(crate) fn touch_behind(&self) -> u64 {
        let free = if self.spare.is_empty() { self.free.holders() } else { 0 };
        self.filters
            .iter()
            .step_by(2)
            .take(4)
            .fold(free as u64, |sum, it| sum ^ u64::from(it.found))
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = &Held> {
        self.offers.iter().chain(&self.used)
    }

    pub(crate) fn changed(&mut self) {
        self.version = self.version.wrapping_add(1) & (u32::MAX >> 1);
        self.version = self.version.max(1);
        self.settled = 0;
    }

    /// Works out from the total and the books what is free.
    pub(crate) fn recompute(&mut self) {
        let total = &self.spec.total;
        let ordinary =
            |item: &Item| !item.is_reserved() && !item.is_shared() && !item.is_revocable();
        self.plain = total.iter().all(|entry| ordinary(&entry));
        self.has_gpu = total.gpus().is_some_and(|gpus| gpus.is_positive());
        self.capabilities = self.spec.capabilities;
        let mut held = Resources::new();
        for one in self.held() {
            held += &one.entries.unallocated().non_shared();
        }
        // More may be held than there is, when the agent shrank; then nothing is free.
        self.simple = total.contains(&held) && total.shared().is_empty();
        let free = total - &held;
        self.set_free(&free);
    }

    fn set_free(&mut self, free: &Resources) {
        self.free = Entries::of(free);
        self.free_amounts = Amounts::of(free);
        self.changed();
    }

    /// Takes all that is free; the agent must be plain.
    pub(crate) fn take_all(&mut self) -> (Entries, Amounts) {
        self.changed();
        (std::mem::take(&mut self.free), std::mem::take(&mut self.free_amounts))
    }

    /// Another hold of entries that were free.
    pub(crate) fn hold_of(&mut self, entries: &Entries) -> Entries {
        let spare = std::mem::take(&mut self.spare);
        if spare.is_same(entries) { spare } else { entries.clone() }
    }

    /// Takes some of what is free; shared resources stay free.
    pub(crate) fn take(&mut self, resources: &Resources) {
        let left = &self.free.unallocated() - &resources.non_shared();
        self.set_free(&left);
    }

    /// Makes free what was just struck off the books.
    pub(crate) fn give_back(&mut self, entries: Entries, amounts: &Amounts) {
        if !self.simple {
            return self.recompute();
        }
        if self.free.is_empty() {
            self.free = entries;
        } else {
            self.free = Entries::of(&(self.free.unallocated() + entries.into_unallocated()));
        }
        self.free_amounts.add(amounts);
        self.changed();
    }

    /// Strikes off the books what `client` holds of `resources`, and says what that was.
    ///
    /// `offered` says where to look first: an answer to an offer, or the end of a use.
    pub(crate) fn strike(
        &mut self,
        client: u32,
        resources: &Resources,
        offered: bool,
    ) -> Option<Resources> {
        if let Some(at) = self.offer_at(client, resources) {
            return Some(self.offers.swap_remove(at).entries.into_unallocated());
        }
        let resources = &resources.unallocated();
        let offers = self.take_offers(client);
        let used = self.take_used(client);
        let (first, second) = if offered { (offers, used) } else { (used, offers) };
        let (first, second, struck) = if let Some(left) = first.checked_sub(resources) {
            (left, second, resources.clone())
        } else if let Some(left) = second.checked_sub(resources) {
            (first, left, resources.clone())
        } else {
            // Of several offers and uses together; what is not there cannot be struck.
            let all = &first + &second;
            let left = &all - resources;
            let struck = &all - &left;
            if offered {
                (Resources::new(), left, struck)
            } else {
                (left, Resources::new(), struck)
            }
        };
        let (offers, used) = if offered { (first, second) } else { (second, first) };
        if !offers.is_empty() {
            self.offers.push(Held::new(client, &offers));
        }
        if !used.is_empty() {
            self.used.push(Held::new(client, &used));
        }
        (!struck.is_empty()).then_some(struck)
    }

    /// The offer that is these very resources.
    fn offer_at(&self, client: u32, resources: &Resources) -> Option<usize> {
        self.offers
            .iter()
            .position(|held| held.client == client && held.entries.is_same_object(resources))
    }

    fn take_offers(&mut self, client: u32) -> Resources {
        let mut sum = Resources::new();
        self.offers.retain(|held| {
            let own = held.client == client;
            if own {
                sum += &held.entries.unallocated();
            }
            !own
        });
        sum
    }

    fn take_used(&mut self, client: u32) -> Resources {
        let at = self.used.iter().position(|held| held.client == client);
        at.map(|at| self.used.swap_remove(at).entries.into_unallocated()).unwrap_or_default()
    }

    /// Books resources as used.
    pub(crate) fn use_more(&mut self, client: u32, resources: &Resources) {
        let sum = &self.take_used(client) + &resources.unallocated();
        self.used.push(Held::new(client, &sum));
    }

    /// Moves resources from offered to used, as far as they are offered.
    pub(crate) fn launch(&mut self, client: u32, resources: &Resources) {
        if let Some(at) = self.offer_at(client, resources) {
            let held = self.offers.swap_remove(at);
            return self.use_more(client, &held.entries.unallocated());
        }
        let offers = self.take_offers(client);
        let left = &offers - &resources.unallocated();
        let moved = &offers - &left;
        if !left.is_empty() {
            self.offers.push(Held::new(client, &left));
        }
        if !moved.is_empty() {
            self.use_more(client, &moved);
        }
    }

    pub(crate) fn holdings(&self, client: u32) -> u32 {
        self.held().filter(|held| held.client == client).count() as u32
    }

    pub(crate) fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    pub(crate) fn filter_count(&self) -> usize {
        self.filters.len()
    }

    /// Adds a refusal of `entries`; void and weaker ones make room.
    pub(crate) fn add_filter(
        &mut self,
        client: u32,
        epoch: u32,
        expires: Tick,
        entries: Entries,
        clients: &mut Clients,
    ) {
        let mut end = self.filters.partition_point(|filter| filter.client < client);
        let mut more = 1;
        while let Some(filter) = self.filters.get(end).filter(|filter| filter.client == client) {
            let void = filter.epoch != epoch;
            let weaker = !filter.expires.is_after(expires) && entries.contains(&filter.entries);
            if void || weaker {
                self.filters.remove(end);
                more -= i64::from(!void);
            } else {
                end += 1;
            }
        }
        if self.filters.is_empty() || self.next_expiry.is_after(expires) {
            self.next_expiry = expires;
        }
        // Versions are never zero, so nothing is found yet.
        self.filters.insert(end, Filter { client, epoch, expires, found: 0, entries });
        if let Some(client) = clients.get_mut(client) {
            client.filters = client.filters.saturating_add_signed(more);
        }
    }

    /// Whether the client refused what contains `offered`.
    pub(crate) fn is_refused(&mut self, client: u32, epoch: u32, offered: &Resources) -> bool {
        let offered = Entries::of(offered);
        filters_block(&mut self.filters, client, epoch, &offered, self.version)
    }

    /// [`Agent::is_refused`] for all that is free; the agent must be plain.
    pub(crate) fn is_free_refused(&mut self, client: u32, epoch: u32) -> bool {
        filters_block(&mut self.filters, client, epoch, &self.free, self.version)
    }

    /// Marks the clients that refused all that is free; the agent must be plain.
    pub(crate) fn mark_refusals(&mut self, clients: &Clients, marks: &mut [u64], stamp: u64) {
        for filter in &mut self.filters {
            let current = clients.get(filter.client).is_some_and(|it| it.epoch == filter.epoch);
            if current
                && filter.blocks(&self.free, self.version)
                && let Some(mark) = marks.get_mut(filter.client as usize)
            {
                *mark = stamp;
            }
        }
    }

    /// Whether some filter is over.
    pub(crate) fn has_expired(&self, now: Tick) -> bool {
        !self.filters.is_empty() && now.is_after(self.next_expiry)
    }

    /// Drops the filters that are over at `now`, or all of them. Void ones go when they are over.
    pub(crate) fn drop_filters(&mut self, now: Option<Tick>, clients: &mut Clients) {
        let mut next: Option<Tick> = None;
        self.filters.retain_mut(|filter| {
            if now.is_some_and(|now| !now.is_after(filter.expires)) {
                if next.is_none_or(|next| next.is_after(filter.expires)) {
                    next = Some(filter.expires);
                }
                return true;
            }
            let client = clients.get_mut(filter.client).filter(|it| it.epoch == filter.epoch);
            if let Some(client) = client {
                client.filters = client.filters.saturating_sub(1);
            }
            if filter.entries.is_same(&self.free) {
                self.spare = std::mem::take(&mut filter.entries);
            }
            false
        });
        self.next_expiry = next.unwrap_or_default();
        self.settled = 0;
    }
}

fn filters_block(
    filters: &mut [Filter],
    client: u32,
    epoch: u32,
    offered: &Entries,
    version: u32,
) -> bool {
    let start = filters.partition_point(|filter| filter.client < client);
    let behind = filters.get_mut(start..).unwrap_or_default();
    behind
        .iter_mut()
        .take_while(|filter| filter.client == client)
        .any(|filter| filter.epoch == epoch && filter.blocks(offered, version))
}

/// All agents, by dense slots that are used again.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    slots: Vec<Option<Agent>>,
    vacant: Vec<u32>,
    /// The slot of each key.
    index: Vec<u32>,
    len: usize,
}

const NOWHERE: u32 = u32::MAX;

impl Agents {
    pub(crate) fn slot(&self, key: AgentKey) -> Option<u32> {
        self.index.get(key.0 as usize).copied().filter(|slot| *slot != NOWHERE)
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Agent> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Agent> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Brings agents that are about to be used nearer to the processor.
    pub(crate) fn touch(&self, slots: impl Iterator<Item = u32> + Clone) {
        let near = slots.clone().filter_map(|slot| self.get(slot)).map(Agent::touch);
        let near = near.fold(0, |sum, it| sum ^ it);
        let behind = slots.filter_map(|slot| self.get(slot)).map(Agent::touch_behind);
        std::hint::black_box(behind.fold(near, |sum, it| sum ^ it));
    }

    pub(crate) fn insert(&mut self, agent: Agent) -> u32 {
        let key = agent.key.0 as usize;
        let slot = match self.vacant.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(agent);
        }
        if self.index.len() <= key {
            self.index.resize(key + 1, NOWHERE);
        }
        if let Some(place) = self.index.get_mut(key) {
            *place = slot;
        }
        self.len += 1;
        slot
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Agent> {
        let agent = self.slots.get_mut(slot as usize)?.take()?;
        if let Some(place) = self.index.get_mut(agent.key.0 as usize) {
            *place = NOWHERE;
        }
        self.vacant.push(slot);
        self.len -= 1;
        Some(agent)
    }

    pub(crate) fn slots(&self) -> Vec<u32> {
        let mut slots = Vec::with_capacity(self.len);
        slots.extend(
            (0u32..).zip(&self.slots).filter_map(|(slot, agent)| agent.as_ref().map(|_| slot)),
        );
        slots
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Agent> {
        self.slots.iter_mut().flatten()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Agent> {
        self.slots.iter().flatten()
    }
}
