//! Offers: made from allocations, and taken back.
use std::sync::Arc;

use mesos_allocator::OfferSpec;
use mesos_messages::{resources::Resources, v1};
use v1::framework_info::capability::Type as Capability;

use super::{
    MasterCore,
    outbound::News,
    state::{AgentKey, FrameworkKey, OfferAt},
    timers::Timer,
};
use crate::model::Offer;

impl MasterCore {
    /// Offers what the allocator found: all for one framework in one message.
    pub(super) fn offer(&mut self, specs: Vec<OfferSpec>) {
        let mut waiting: Vec<(FrameworkKey, Vec<v1::Offer>, Vec<String>)> = Vec::new();
        for spec in specs {
            let key = spec.framework.0;
            let Some((offer, pid)) = self.make_offer(spec) else { continue };
            match waiting.iter_mut().rev().take(8).find(|(framework, ..)| *framework == key) {
                Some((_, offers, pids)) => {
                    offers.push(offer);
                    pids.push(pid);
                }
                None => waiting.push((key, vec![offer], vec![pid])),
            }
        }
        for (key, offers, pids) in waiting {
            if let Some(framework) = self.frameworks.get_mut(key) {
                framework.counters.offers_sent += offers.len() as u64;
            }
            self.tell(key, News::Offers(offers, pids));
        }
    }

    fn make_offer(&mut self, spec: OfferSpec) -> Option<(v1::Offer, String)> {
        let (key, agent) = (spec.framework.0, spec.agent.0);
        let resources: Resources = spec.resources;
        let usable = self
            .frameworks
            .get(key)
            .is_some_and(|framework| framework.is_connected() && framework.record.active)
            && self.agents.get(agent).is_some_and(|(record, _)| record.active);
        if !usable {
            self.alloc_recover(key, agent, &resources, None);
            return None;
        }
        let number = self.next_offer;
        self.next_offer += 1;
        let framework = self.frameworks.get_mut(key)?;
        let agent_record = self.agents.records.get_mut(agent)?;
        let offer = Offer {
            id: format!("{}-O{number}", self.master.info.id).into(),
            framework_id: framework.record.id.clone(),
            agent_id: agent_record.id.clone(),
            role: spec.role,
            resources: resources.clone(),
        };
        agent_record.offered += &resources;
        framework.record_mut().offered += &resources;
        let shown = shown(&offer, agent_record, &framework.record);
        let shown = with_executors(shown, framework, agent);
        let pid = agent_record.pid.to_string();
        let slot = framework.offers.insert(Arc::new(offer));
        self.offers.insert(number, OfferAt { framework: key, slot, agent });
        if let Some(state) = self.agents.state_mut(agent) {
            state.offers.push(number);
        }
        if let Some(timeout) = self.config.offer_timeout {
            self.timers.set(self.now.mono + timeout, Timer::Offer { offer: number });
        }
        Some((shown, pid))
    }

    /// The number of one of this master's offers.
    pub(super) fn offer_number(&self, id: &str) -> Option<u64> {
        let number = id.strip_prefix(&*self.master.info.id)?.strip_prefix("-O")?.parse().ok()?;
        self.offers.contains_key(&number).then_some(number)
    }

    /// Takes an offer out of the books; its resources are the caller's to give back or use.
    pub(super) fn take_offer(&mut self, number: u64) -> Option<(OfferAt, Arc<Offer>)> {
        let at = self.offers.remove(&number)?;
        let framework = self.frameworks.get_mut(at.framework)?;
        let offer = framework.offers.remove(at.slot)?;
        framework.record_mut().offered -= &offer.resources;
        if let Some(agent) = self.agents.records.get_mut(at.agent) {
            agent.offered -= &offer.resources;
        }
        if let Some(agent) = self.agents.state_mut(at.agent) {
            agent.offers.retain(|other| *other != number);
        }
        Some((at, offer))
    }

    /// Gives an offer's resources back without telling the framework.
    pub(super) fn discard_offer(&mut self, number: u64, refuse: Option<f64>) {
        if let Some((at, offer)) = self.take_offer(number) {
            self.alloc_recover(at.framework, at.agent, &offer.resources, refuse);
        }
    }

    /// The same, and the framework is told.
    pub(super) fn rescind_offer(&mut self, number: u64) {
        let Some((at, offer)) = self.take_offer(number) else { return };
        self.alloc_recover(at.framework, at.agent, &offer.resources, None);
        if let Some(framework) = self.frameworks.get_mut(at.framework) {
            framework.counters.offers_rescinded += 1;
        }
        self.tell(at.framework, News::Rescind(offer.id.clone()));
    }

    pub(super) fn discard_offers(&mut self, key: FrameworkKey) {
        for number in self.offers_of(key, |_| true) {
            self.discard_offer(number, None);
        }
    }

    pub(super) fn rescind_offers(&mut self, key: FrameworkKey) {
        for number in self.offers_of(key, |_| true) {
            self.rescind_offer(number);
        }
    }

    pub(super) fn rescind_offers_of_lost_roles(&mut self, key: FrameworkKey) {
        let Some(roles) = self.frameworks.get(key).map(|framework| framework.record.roles.clone())
        else {
            return;
        };
        for number in self.offers_of(key, |offer| !roles.contains(&offer.role)) {
            self.rescind_offer(number);
        }
    }

    pub(super) fn rescind_offers_on(&mut self, agent: AgentKey) {
        let numbers = self.agents.get(agent).map(|(_, state)| state.offers.clone());
        for number in numbers.into_iter().flatten() {
            self.rescind_offer(number);
        }
    }

    pub(super) fn offer_due(&mut self, number: u64) {
        self.rescind_offer(number);
    }

    fn offers_of(&self, key: FrameworkKey, wanted: impl Fn(&Offer) -> bool) -> Vec<u64> {
        let Some(framework) = self.frameworks.get(key) else { return Vec::new() };
        let offers = framework.offers.iter().filter(|offer| wanted(offer));
        offers.filter_map(|offer| self.offer_number(&offer.id)).collect()
    }

    /// The text of an outstanding offer's agent.
    pub(super) fn offer_record(&self, number: u64) -> Option<(OfferAt, &Arc<Offer>)> {
        let at = *self.offers.get(&number)?;
        Some((at, self.frameworks.get(at.framework)?.offers.get(at.slot)?))
    }
}

/// The offer in the form its framework understands.
fn shown(
    offer: &Offer,
    agent: &crate::model::Agent,
    framework: &crate::model::Framework,
) -> v1::Offer {
    let mut shown = offer.to_proto(agent);
    if !framework.capable(Capability::ReservationRefinement)
        && let Ok(resources) = offer.resources.to_proto_pre_refinement()
    {
        shown.resources = resources;
    }
    if !framework.capable(Capability::MultiRole) {
        shown.allocation_info = None;
        shown.resources.iter_mut().for_each(|resource| resource.allocation_info = None);
    }
    shown
}

fn with_executors(
    mut offer: v1::Offer,
    framework: &super::state::FrameworkState,
    agent: AgentKey,
) -> v1::Offer {
    let slots = framework.executor_slots.get(&agent).into_iter().flatten();
    offer.executor_ids = slots
        .filter_map(|slot| framework.executors.get(*slot))
        .map(|executor| executor.info.executor_id.clone())
        .collect();
    offer
}

/// Refuse seconds as the allocator wants them: what is negative or not a number is the default.
pub(super) fn refuse_seconds(filters: Option<&v1::Filters>) -> f64 {
    filters.map_or_else(|| v1::Filters::default().refuse_seconds(), v1::Filters::refuse_seconds)
}
