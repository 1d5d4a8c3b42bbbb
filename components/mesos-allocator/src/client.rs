//! Clients: a framework in a role. They are what the order of offers is made of.
use std::sync::Arc;

use crate::amounts::Amounts;
use crate::types::{FrameworkCapabilities, FrameworkKey};
use crate::{MinAllocatable, OfferConstraints};

/// Where something stands in the order: by share, then by the number of allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// The bits of a share, which for numbers not below zero are ordered like them.
    share: u64,
    count: u64,
    /// Among equals, the order of registration.
    tie: u32,
}

impl Rank {
    pub(crate) fn new(share: f64, count: u64, tie: u32) -> Rank {
        Rank { share: share.max(0.0).to_bits(), count, tie }
    }
}

/// What is charged to a client or a role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub amounts: Amounts,
    /// How often it was chosen.
    pub count: u64,
}

/// Whether constraints keep an agent from a client, and for which facts of the agent that holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    pub facts: u64,
    pub excluded: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub framework: FrameworkKey,
    /// The node of its role.
    pub role: u32,
    /// In the order of its role: subscribed, not suppressed, its framework active.
    pub active: bool,
    pub subscribed: bool,
    pub suppressed: bool,
    pub capabilities: FrameworkCapabilities,
    pub load: Load,
    /// Filters of an earlier epoch are void; so dropping all of them is one addition.
    pub epoch: u32,
    /// Filters of this epoch.
    pub filters: u64,
    /// How many entries of agents' books are its own.
    pub holdings: u32,
    pub min_allocatable: Option<Box<MinAllocatable>>,
    pub constraints: Option<Arc<OfferConstraints>>,
    /// By agent.
    pub verdicts: Vec<Verdict>,
}

impl Client {
    fn new(framework: FrameworkKey, role: u32, epoch: u32) -> Client {
        Client {
            framework,
            role,
            active: false,
            subscribed: false,
            suppressed: false,
            capabilities: FrameworkCapabilities::default(),
            load: Load::default(),
            epoch,
            filters: 0,
            holdings: 0,
            min_allocatable: None,
            constraints: None,
            verdicts: Vec::new(),
        }
    }

    pub(crate) fn drop_filters(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.filters = 0;
    }
}

/// All clients, by dense ids that are used again.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    list: Vec<Client>,
    /// Beside the rest, because sorting reads nothing else.
    ranks: Vec<Rank>,
    vacant: Vec<u32>,
}

impl Clients {
    pub(crate) fn insert(&mut self, framework: FrameworkKey, role: u32) -> u32 {
        if let Some(id) = self.vacant.pop()
            && let Some(slot) = self.list.get_mut(id as usize)
        {
            // Filters of who had the id before stay void.
            *slot = Client::new(framework, role, slot.epoch.wrapping_add(1));
            return id;
        }
        self.list.push(Client::new(framework, role, 0));
        self.ranks.push(Rank::default());
        (self.list.len() - 1) as u32
    }

    pub(crate) fn remove(&mut self, id: u32) {
        if let Some(client) = self.list.get_mut(id as usize) {
            client.drop_filters();
            client.verdicts = Vec::new();
            client.constraints = None;
            self.vacant.push(id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Client> {
        self.list.get(id as usize)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Client> {
        self.list.get_mut(id as usize)
    }

    /// Brings clients that are about to be used nearer to the processor.
    pub(crate) fn touch(&self, ids: impl Iterator<Item = u32>) {
        let touched = ids.filter_map(|id| self.get(id)).map(|it| it.load.count ^ it.filters);
        std::hint::black_box(touched.fold(0, |sum, it| sum ^ it));
    }

    pub(crate) fn rank(&self, id: u32) -> Rank {
        self.ranks.get(id as usize).copied().unwrap_or_default()
    }

    pub(crate) fn set_rank(&mut self, id: u32, rank: Rank) {
        if let Some(slot) = self.ranks.get_mut(id as usize) {
            *slot = rank;
        }
    }
}
