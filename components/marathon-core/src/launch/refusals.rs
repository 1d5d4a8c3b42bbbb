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

// === impl Refusals ===

impl Refusals {
    /// An offer was looked at and an instance was put on it.
    pub fn used(&mut self, at: Timestamp) {
        self.processed += 1;
        self.last_used = Some(at);
    }

    /// An offer was looked at and refused; to be called once per offer, not per instance.
    pub fn refused(&mut self, at: Timestamp, offer: &Arc<Offer>, refusal: Refusal) {
        self.processed += 1;
        self.unused += 1;
        self.last_unused = Some(at);
        if let Some(count) = self.attempt.get_mut(refusal.reason() as usize) {
            *count += 1;
        }
        let agent: Arc<str> = offer.placement.agent_id.as_str().into();
        if self.last.len() < MAX_AGENTS || self.last.contains_key(&agent) {
            let host = offer.placement.host.as_str().into();
            self.last.insert(agent, LastRefusal { at, host, offer: offer.clone(), refusal });
        }
    }

    /// The agent is gone and its last refusal says nothing any more.
    pub fn agent_lost(&mut self, agent: &v1::AgentId) {
        self.last.remove(agent.value.as_str());
    }

    pub fn processed(&self) -> u64 {
        self.processed
    }

    pub fn unused(&self) -> u64 {
        self.unused
    }

    pub fn last_used_at(&self) -> Option<Timestamp> {
        self.last_used
    }

    pub fn last_unused_at(&self) -> Option<Timestamp> {
        self.last_unused
    }

    /// `rejectSummaryLaunchAttempt`: over all offers since the first pending instance.
    pub fn launch_attempt(&self) -> [FunnelStep; 10] {
        funnel(self.processed, self.attempt)
    }

    /// `rejectSummaryLastOffers`: over the last refused offer of each agent.
    pub fn last_offers(&self) -> [FunnelStep; 10] {
        let mut counts = [0; 10];
        for last in self.last.values() {
            if let Some(count) = counts.get_mut(last.refusal.reason() as usize) {
                *count += 1;
            }
        }
        funnel(u64::try_from(self.last.len()).unwrap_or(u64::MAX), counts)
    }

    /// `lastUnusedOffers`: the last refusal of each agent.
    pub fn last_refusals(&self) -> impl ExactSizeIterator<Item = &LastRefusal> {
        self.last.values()
    }

    /// Why instances wait, that of the most agents first.
    pub fn top(&self) -> Vec<TopReason> {
        let mut closest: Vec<(Reason, u32, &Refusal)> = Vec::new();
        for last in self.last.values() {
            let (reason, refusal) = (last.refusal.reason(), &last.refusal);
            match closest.iter_mut().find(|(known, ..)| *known == reason) {
                Some((_, agents, best)) => {
                    *agents += 1;
                    if refusal.detail.is_closer_than(&best.detail) {
                        *best = refusal;
                    }
                }
                None => closest.push((reason, 1, refusal)),
            }
        }
        // Of as many agents, those first that came further down the funnel.
        closest.sort_by_key(|(reason, agents, _)| std::cmp::Reverse((*agents, *reason)));
        let top = |(reason, agents, refusal): (Reason, u32, &Refusal)| TopReason {
            reason,
            agents,
            text: refusal.to_string(),
        };
        closest.into_iter().map(top).collect()
    }
}

fn funnel(processed: u64, declined: [u64; 10]) -> [FunnelStep; 10] {
    let mut left = processed;
    let mut at = 0;
    Reason::FUNNEL.map(|reason| {
        let declined = declined.get(at).copied().unwrap_or_default();
        let step = FunnelStep { reason, declined, processed: left };
        left = left.saturating_sub(declined);
        at += 1;
        step
    })
}
