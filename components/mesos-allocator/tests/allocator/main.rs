//! The allocator through its public interface: each rule alone, then random events together.
#![allow(clippy::unwrap_used)] // helpers outside `#[test]` functions panic like tests
mod rules;
mod simulation;

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_allocator::{
    AgentCapabilities, AgentKey, AgentSpec, Allocator, FrameworkCapabilities, FrameworkKey,
    FrameworkSpec, OfferSpec, Policy, PolicyConfig,
};
use mesos_messages::resources::Resources;

const F1: FrameworkKey = FrameworkKey(1);
const F2: FrameworkKey = FrameworkKey(2);
const F3: FrameworkKey = FrameworkKey(3);
const A1: AgentKey = AgentKey(1);
const A2: AgentKey = AgentKey(2);

fn parse(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn agent(total: &str) -> AgentSpec {
    AgentSpec {
        hostname: "host".to_owned(),
        capabilities: AgentCapabilities::default(),
        total: parse(total),
        ..AgentSpec::default()
    }
}

fn framework(roles: &[&str]) -> FrameworkSpec {
    FrameworkSpec {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        capabilities: FrameworkCapabilities { multi_role: true, ..Default::default() },
        ..FrameworkSpec::default()
    }
}

fn strict(priorities: &[(&str, i32)]) -> PolicyConfig {
    let priorities: BTreeMap<String, i32> =
        priorities.iter().map(|(role, it)| ((*role).to_owned(), *it)).collect();
    PolicyConfig { policy: Policy::StrictPriority { priorities }, ..PolicyConfig::default() }
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn refuse(seconds: f64) -> Option<Duration> {
    Some(at(seconds))
}

/// An allocator with what it last offered at hand.
struct Cluster {
    allocator: Box<dyn Allocator>,
    seed: u64,
}

impl Cluster {
    fn new(config: PolicyConfig) -> Cluster {
        Cluster { allocator: mesos_allocator::build(config), seed: 0 }
    }

    fn allocate(&mut self, seconds: f64) -> Vec<OfferSpec> {
        self.seed += 1;
        self.allocator.allocate(at(seconds), self.seed)
    }

    /// A pass that must make no more than one offer.
    fn one(&mut self, seconds: f64) -> Option<OfferSpec> {
        let mut offers = self.allocate(seconds);
        assert!(offers.len() <= 1, "{offers:?}");
        offers.pop()
    }

    /// Who is offered what, as text.
    fn offered(&mut self, seconds: f64) -> Vec<String> {
        let offers = self.allocate(seconds);
        let mut text: Vec<String> = offers.iter().map(show).collect();
        text.sort();
        text
    }

    fn decline(&mut self, offer: &OfferSpec, refuse: Option<Duration>, seconds: f64) {
        let OfferSpec { framework, agent, resources, .. } = offer;
        self.allocator.recover(*framework, *agent, resources, refuse, at(seconds));
    }
}

fn show(offer: &OfferSpec) -> String {
    let plain = offer.resources.unallocated();
    format!("{} {} {}: {plain}", offer.framework.0, offer.role, offer.agent.0)
}
