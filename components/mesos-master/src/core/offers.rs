//! Offers: made from allocations, and taken back.
use std::sync::Arc;

use mesos_allocator::OfferSpec;
use mesos_messages::{resources::Resources, v1};

use super::{
    MasterCore,
    outbound::News,
    state::{AgentKey, FrameworkKey, OfferAt},
    timers::Timer,
};
use crate::model::{Offer, OfferParts};

impl MasterCore {
    /// Offers what the allocator found: all for one framework in one message.
    pub(super) fn offer(&mut self, specs: Vec<OfferSpec>) {
        let mut waiting: Vec<(FrameworkKey, Vec<OfferParts>)> = Vec::new();
        for spec in specs {
            let key = spec.framework.0;
            let Some(offer) = self.make_offer(spec) else { continue };
            match waiting.iter_mut().rev().take(8).find(|(framework, _)| *framework == key) {
                Some((_, offers)) => offers.push(offer),
                None => waiting.push((key, vec![offer])),
            }
        }
        for (key, offers) in waiting {
            if let Some(framework) = self.frameworks.get_mut(key) {
                framework.counters.offers_sent += offers.len() as u64;
            }
            self.tell(key, News::Offers(offers));
        }
    }

    fn make_offer(&mut self, spec: OfferSpec) -> Option<OfferParts> {
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
        let executors = framework.executor_slots.get(&agent).into_iter().flatten();
        let executors = executors
            .filter_map(|slot| framework.executors.get(*slot))
            .map(|executor| executor.info.executor_id.clone())
            .collect();
        let offer = Arc::new(offer);
        let slot = framework.offers.insert(offer.clone());
        self.offers.insert(number, OfferAt { framework: key, slot, agent });
        if let Some(state) = self.agents.state_mut(agent) {
            state.offers.push(number);
        }
        if let Some(timeout) = self.config.offer_timeout {
            self.timers.set(self.now.mono + timeout, Timer::Offer { offer: number });
        }
        let agent = self.agents.records.get(agent)?.clone();
        Some(OfferParts { offer, agent, executors })
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

/// Refuse seconds as the allocator wants them: what is negative or not a number is the default.
pub(super) fn refuse_seconds(filters: Option<&v1::Filters>) -> f64 {
    filters.map_or_else(|| v1::Filters::default().refuse_seconds(), v1::Filters::refuse_seconds)
}
