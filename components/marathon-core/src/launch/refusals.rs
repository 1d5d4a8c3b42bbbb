//! What was refused to one app: the funnels of the queue and the reasons it waits for.

use super::{Offer, Reason, Refusal};
use imbl::OrdMap;
use marathon_model::Timestamp;
use mesos_messages::v1;
use std::sync::Arc;

/// Of so many agents the last refusal is kept; more say nothing new.
const MAX_AGENTS: usize = 4096;

/// Kept per app from the first pending instance until none is left; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    processed: u64,
    unused: u64,
    last_used: Option<Timestamp>,
    last_unused: Option<Timestamp>,
    attempt: [u64; 10],
    /// By agent.
    last: OrdMap<Arc<str>, LastRefusal>,
}

/// The last refusal of an agent's offers.
#[derive(Clone, Debug)]
pub struct LastRefusal {
    pub at: Timestamp,
    pub host: Arc<str>,
    pub offer: Arc<Offer>,
    pub refusal: Refusal,
}

/// One step of a funnel: `processed` offers came to it, `declined` went no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunnelStep {
    pub reason: Reason,
    pub declined: u64,
    pub processed: u64,
}

/// A reason why instances wait, and on how many agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopReason {
    pub reason: Reason,
    pub agents: u32,
    /// For people; of several agents that of the one that comes closest.
    pub text: String,
}
