//! An agent's books: what is free, who holds what, and who refused what.
use mesos_messages::resources::{Item, Resources};
use smallvec::SmallVec;

use crate::amounts::Amounts;
use crate::client::Clients;
use crate::types::{AgentKey, AgentSpec};

/// Resources held by a client, allocated to its role.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub client: u32,
    pub resources: Resources,
}

/// A client's refusal: offers contained in `resources` are not made until `expires`.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub client: u32,
    pub epoch: u32,
    pub expires: u64,
    resources: Resources,
    /// For which state of the agent's free resources `blocks` was found.
    checked: u64,
    blocks: bool,
}

impl Filter {
    /// `offered` must be a function of the client and `version`.
    fn blocks(&mut self, offered: &Resources, version: u64) -> bool {
        if self.checked != version {
            self.blocks =
                self.resources.has_same_entries(offered) || self.resources.contains(offered);
            self.checked = version;
        }
        self.blocks
    }
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub key: AgentKey,
    /// What nobody holds, and all that is shared.
    pub free: Resources,
    pub free_amounts: Amounts,
    /// Grows whenever `free` may have changed.
    pub version: u64,
    /// The engine's generation in which no client could be offered what is free.
    pub settled: u64,
    pub next_expiry: u64,
    /// One for each outstanding offer, as it was made.
    pub offers: SmallVec<[Held; 1]>,
    /// Activated and whitelisted.
    pub offerable: bool,
    /// Neither reserved, shared nor revocable resources: everything is everyone's.
    pub plain: bool,
    pub has_gpu: bool,
    pub remote: bool,
    /// `free` can be kept up to date by additions; see [`Agent::recompute`].
    simple: bool,
    pub activated: bool,
    /// Sorted by client.
    filters: Vec<Filter>,
    /// All else that clients hold; at most one for each client.
    pub used: Vec<Held>,
    pub spec: Box<AgentSpec>,
}

impl Agent {
    pub(crate) fn new(key: AgentKey, spec: AgentSpec) -> Agent {
        let mut agent = Agent {
            key,
            free: Resources::new(),
            free_amounts: Amounts::default(),
            version: 1,
            settled: 0,
            next_expiry: u64::MAX,
            offers: SmallVec::new(),
            offerable: false,
            plain: false,
            has_gpu: false,
            remote: false,
            simple: false,
            activated: true,
            filters: Vec::new(),
            used: Vec::new(),
            spec: Box::new(spec),
        };
        agent.recompute();
        agent
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = &Held> {
        self.offers.iter().chain(&self.used)
    }

    pub(crate) fn changed(&mut self) {
        self.version += 1;
        self.settled = 0;
    }

    /// Works out from the total and the books what is free.
    pub(crate) fn recompute(&mut self) {
        let total = &self.spec.total;
        let ordinary =
            |item: &Item| !item.is_reserved() && !item.is_shared() && !item.is_revocable();
        self.plain = total.iter().all(|entry| ordinary(&entry));
        self.has_gpu = total.gpus().is_some_and(|gpus| gpus.is_positive());
        let mut held = Resources::new();
        for one in self.held() {
            held += &one.resources.non_shared().unallocated();
        }
        // More may be held than there is, when the agent shrank; then nothing is free.
        self.simple = total.contains(&held) && total.shared().is_empty();
        self.free = total - &held;
        self.free_amounts = Amounts::of(&self.free);
        self.changed();
    }

    /// Takes all that is free; the agent must be plain.
    pub(crate) fn take_all(&mut self) -> (Resources, Amounts) {
        self.changed();
        (std::mem::take(&mut self.free), std::mem::take(&mut self.free_amounts))
    }

    /// Takes some of what is free; shared resources stay free.
    pub(crate) fn take(&mut self, resources: &Resources) {
        self.free -= &resources.non_shared();
        self.free_amounts = Amounts::of(&self.free);
        self.changed();
    }

    /// Makes free what was just struck off the books.
    pub(crate) fn give_back(&mut self, resources: &Resources, amounts: &Amounts) {
        if !self.simple {
            return self.recompute();
        }
        self.free += &resources.unallocated();
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
            return Some(self.offers.swap_remove(at).resources);
        }
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
            self.offers.push(Held { client, resources: offers });
        }
        if !used.is_empty() {
            self.used.push(Held { client, resources: used });
        }
        (!struck.is_empty()).then_some(struck)
    }

    /// The offer that is these very resources.
    pub(crate) fn offer_at(&self, client: u32, resources: &Resources) -> Option<usize> {
        self.offers
            .iter()
            .position(|held| held.client == client && held.resources.is_same_object(resources))
    }

    fn take_offers(&mut self, client: u32) -> Resources {
        let mut sum = Resources::new();
        self.offers.retain(|held| {
            let own = held.client == client;
            if own {
                sum += &held.resources;
            }
            !own
        });
        sum
    }

    fn take_used(&mut self, client: u32) -> Resources {
        let at = self.used.iter().position(|held| held.client == client);
        at.map(|at| self.used.swap_remove(at).resources).unwrap_or_default()
    }

    /// Books resources as used.
    pub(crate) fn use_more(&mut self, client: u32, resources: &Resources) {
        match self.used.iter_mut().find(|held| held.client == client) {
            Some(held) => held.resources += resources,
            None => self.used.push(Held { client, resources: resources.clone() }),
        }
    }

    /// Moves resources from offered to used, as far as they are offered.
    pub(crate) fn launch(&mut self, client: u32, resources: &Resources) {
        if let Some(at) = self.offer_at(client, resources) {
            let held = self.offers.swap_remove(at);
            return self.use_more(client, &held.resources);
        }
        let offers = self.take_offers(client);
        let left = &offers - resources;
        let moved = &offers - &left;
        if !left.is_empty() {
            self.offers.push(Held { client, resources: left });
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

    /// Adds a refusal of `resources` (not allocated); void and weaker ones make room.
    pub(crate) fn add_filter(
        &mut self,
        client: u32,
        epoch: u32,
        expires: u64,
        resources: Resources,
        clients: &mut Clients,
    ) {
        let start = self.filters.partition_point(|filter| filter.client < client);
        let mut end = start;
        while let Some(filter) = self.filters.get(end).filter(|filter| filter.client == client) {
            let void = filter.epoch != epoch;
            let weaker = filter.expires <= expires
                && (resources.has_same_entries(&filter.resources)
                    || resources.contains(&filter.resources));
            if void || weaker {
                self.filters.remove(end);
                if !void && let Some(client) = clients.get_mut(client) {
                    client.filters = client.filters.saturating_sub(1);
                }
            } else {
                end += 1;
            }
        }
        let filter = Filter { client, epoch, expires, resources, checked: 0, blocks: false };
        self.filters.insert(end, filter);
        if let Some(client) = clients.get_mut(client) {
            client.filters += 1;
        }
        self.next_expiry = self.next_expiry.min(expires);
    }

    /// Whether the client refused what contains `offered`.
    pub(crate) fn is_refused(&mut self, client: u32, epoch: u32, offered: &Resources) -> bool {
        let start = self.filters.partition_point(|filter| filter.client < client);
        let behind = self.filters.get_mut(start..).unwrap_or_default();
        behind
            .iter_mut()
            .take_while(|filter| filter.client == client)
            .any(|filter| filter.epoch == epoch && filter.blocks(offered, self.version))
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

    /// Drops the filters that are over at `now`, or all of them.
    pub(crate) fn drop_filters(&mut self, now: Option<u64>, clients: &mut Clients) {
        let mut next = u64::MAX;
        self.filters.retain(|filter| {
            let client = clients.get_mut(filter.client).filter(|it| it.epoch == filter.epoch);
            let over = now.is_none_or(|now| filter.expires < now);
            match client {
                Some(_) if !over => {
                    next = next.min(filter.expires);
                    true
                }
                Some(client) => {
                    client.filters = client.filters.saturating_sub(1);
                    false
                }
                None => false,
            }
        });
        self.next_expiry = next;
        self.settled = 0;
    }
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
