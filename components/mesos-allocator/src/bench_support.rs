//! A cluster to measure the allocator with: a full cycle offers every agent and declines all.
use std::collections::BTreeMap;
use std::time::Duration;

use mesos_messages::resources::Resources;

use crate::{AgentKey, AgentSpec, Allocator, FrameworkKey, FrameworkSpec, PolicyConfig};

/// Times of one cycle.
#[derive(Clone, Copy, Debug)]
pub struct Cycle {
    pub allocate: Duration,
    pub decline: Duration,
    pub offers: usize,
}

impl Cycle {
    pub fn total(&self) -> Duration {
        self.allocate + self.decline
    }
}

/// What [`cycle`] measured.
#[derive(Clone, Debug)]
pub struct CycleReport {
    pub agents: u32,
    pub frameworks: u32,
    /// The first after all were added.
    pub first: Cycle,
    /// One a second later each, with filters of five seconds from those before.
    pub repeated: Vec<Cycle>,
}

impl CycleReport {
    fn sorted(&self) -> Vec<Cycle> {
        let mut cycles = self.repeated.clone();
        cycles.sort_by_key(Cycle::total);
        cycles
    }

    /// The repeated cycle in the middle.
    pub fn median(&self) -> Cycle {
        let cycles = self.sorted();
        cycles.get(cycles.len() / 2).copied().unwrap_or(self.first)
    }

    /// The quickest repeated cycle: the one that other processes disturbed least.
    pub fn best(&self) -> Cycle {
        self.sorted().first().copied().unwrap_or(self.first)
    }
}

/// Tells the time since any point: of a clock, or of the processor.
pub type Clock<'a> = &'a dyn Fn() -> Duration;

/// Ten roles, one in three nested; half of the agents run tasks already.
pub fn cluster(agents: u32, frameworks: u32) -> Box<dyn Allocator> {
    let mut allocator = crate::build(PolicyConfig::default());
    let role = |number: u32| match number % 10 {
        0..3 => format!("team{}/service", number % 10),
        other => format!("role{other}"),
    };
    let capabilities = crate::FrameworkCapabilities { multi_role: true, ..Default::default() };
    for key in 0..frameworks {
        let spec =
            FrameworkSpec { roles: vec![role(key)], capabilities, ..FrameworkSpec::default() };
        allocator.add_framework(FrameworkKey(key), spec, true);
    }
    let parse = |text: &str| Resources::parse(text, "*").unwrap_or_default();
    let used = parse("cpus:2;mem:256;ports:[31000-31001]");
    for key in 0..agents {
        // Each agent has its own, as when they come from the wire.
        let total = parse("cpus:24;mem:4096;disk:4096;ports:[31000-32000]");
        let spec = AgentSpec {
            hostname: format!("agent{key}.example.org"),
            total,
            ..AgentSpec::default()
        };
        let framework = key.wrapping_mul(7919) % frameworks.max(1);
        let held = [(FrameworkKey(framework), used.allocated(&role(framework)))];
        let held = if key % 2 == 0 { &held[..] } else { &[] };
        allocator.add_agent(AgentKey(key), spec, held);
    }
    allocator
}

/// One pass over all agents, all of whose offers are declined with the default filter: each
/// framework declines in one call what it was offered, as one DECLINE names many offers.
pub fn one_cycle(
    allocator: &mut dyn Allocator,
    now: Duration,
    seed: u64,
    clock: Clock<'_>,
) -> Cycle {
    let start = clock();
    let offers = allocator.allocate(now, seed);
    let allocate = clock().saturating_sub(start);
    let count = offers.len();
    let mut by_framework: BTreeMap<FrameworkKey, Vec<(AgentKey, Resources)>> = BTreeMap::new();
    for offer in offers {
        by_framework.entry(offer.framework).or_default().push((offer.agent, offer.resources));
    }
    let refuse = Some(Duration::from_secs(5));
    let start = clock();
    for (framework, declined) in by_framework {
        allocator.recover_all(framework, declined, refuse, now);
    }
    Cycle { allocate, decline: clock().saturating_sub(start), offers: count }
}

/// Measures a fresh cluster, then `repeats` cycles a second apart.
pub fn cycle(agents: u32, frameworks: u32, repeats: u32, clock: Clock<'_>) -> CycleReport {
    let mut allocator = cluster(agents, frameworks);
    let mut at = |second: u32| {
        one_cycle(&mut *allocator, Duration::from_secs(second.into()), second.into(), clock)
    };
    let first = at(0);
    let repeated = (1..=repeats).map(at).collect();
    CycleReport { agents, frameworks, first, repeated }
}
