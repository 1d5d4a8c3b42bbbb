//! Random events against both policies, with a simple model beside that must always agree.
use std::collections::BTreeSet;

use mesos_messages::resources::{Quantities, Scalar};
use proptest::test_runner::{Config, TestRunner};

use super::*;

const ROLES: [&str; 5] = ["a", "b", "b/x", "b/y", "*"];

/// What the model knows of an outstanding offer.
struct Open {
    offer: OfferSpec,
}

struct Refusal {
    framework: FrameworkKey,
    role: String,
    agent: AgentKey,
    resources: Resources,
    until: f64,
}

#[derive(Default)]
struct Model {
    totals: BTreeMap<AgentKey, Resources>,
    /// By framework: its roles, and which are suppressed.
    frameworks: BTreeMap<FrameworkKey, (Vec<String>, BTreeSet<String>)>,
    inactive: BTreeSet<FrameworkKey>,
    open: Vec<Open>,
    tasks: Vec<(FrameworkKey, AgentKey, Resources)>,
    refusals: Vec<Refusal>,
}

/// A small generator, so that a run is one number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        ((self.0 >> 33) as usize) % sides.max(1)
    }

    fn one<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        if list.is_empty() { None } else { list.get(self.roll(list.len())).cloned() }
    }
}

struct Simulation {
    cluster: Cluster,
    model: Model,
    dice: Dice,
    now: f64,
    next_key: u32,
}

impl Simulation {
    fn new(config: PolicyConfig, seed: u64) -> Simulation {
        Simulation {
            cluster: Cluster::new(config),
            model: Model::default(),
            dice: Dice(seed),
            now: 0.0,
            next_key: 0,
        }
    }

    fn fresh(&mut self) -> u32 {
        self.next_key += 1;
        self.next_key
    }

    fn any_framework(&mut self) -> Option<FrameworkKey> {
        let keys: Vec<_> = self.model.frameworks.keys().copied().collect();
        self.dice.one(&keys)
    }

    fn any_agent(&mut self) -> Option<AgentKey> {
        let keys: Vec<_> = self.model.totals.keys().copied().collect();
        self.dice.one(&keys)
    }

    fn step(&mut self) {
        match self.dice.roll(24) {
            0..=1 => self.add_agent(),
            2 if self.dice.roll(3) == 0 => self.remove_agent(),
            3 => self.add_framework(),
            4 if self.dice.roll(4) == 0 => self.remove_framework(),
            5 => self.suppress_or_revive(),
            6 if self.dice.roll(2) == 0 => self.activate_or_not(),
            7..=10 => self.decline(),
            11..=14 => self.launch(),
            15..=17 => self.finish(),
            18 => self.resize(),
            _ => self.pass(),
        }
    }

    fn add_agent(&mut self) {
        if self.model.totals.len() >= 8 {
            return;
        }
        let totals = [
            "cpus:4;mem:512;ports:[1-100]",
            "cpus:8;mem:256;disk:100",
            "cpus:2;mem:128;cpus(b):2;mem(b):64",
            "cpus(b/x):2;mem:64;cpus(a):1;x:5",
        ];
        let total = self.dice.one(&totals).unwrap_or_default();
        let key = AgentKey(self.fresh());
        self.cluster.allocator.add_agent(key, agent(total), &[]);
        self.model.totals.insert(key, parse(total));
    }

    fn remove_agent(&mut self) {
        let Some(key) = self.any_agent() else { return };
        self.cluster.allocator.remove_agent(key);
        self.model.totals.remove(&key);
        self.model.open.retain(|open| open.offer.agent != key);
        self.model.tasks.retain(|task| task.1 != key);
        self.model.refusals.retain(|refusal| refusal.agent != key);
    }

    fn resize(&mut self) {
        let Some(key) = self.any_agent() else { return };
        let more = parse("cpus:1;mem:32");
        let total = &self.model.totals[&key] + &more;
        if total.cpus() > Some(Scalar::from_whole(20)) {
            return;
        }
        let spec = AgentSpec { total: total.clone(), ..agent("") };
        self.cluster.allocator.update_agent(key, spec);
        self.model.totals.insert(key, total);
    }

    fn add_framework(&mut self) {
        if self.model.frameworks.len() >= 6 {
            return;
        }
        let mut roles: Vec<&str> = Vec::new();
        for role in ROLES {
            if self.dice.roll(2) == 0 {
                roles.push(role);
            }
        }
        let key = FrameworkKey(self.fresh());
        self.cluster.allocator.add_framework(key, framework(&roles), true);
        let roles = roles.into_iter().map(str::to_owned).collect();
        self.model.frameworks.insert(key, (roles, BTreeSet::new()));
    }

    fn remove_framework(&mut self) {
        let Some(key) = self.any_framework() else { return };
        self.cluster.allocator.remove_framework(key);
        self.model.frameworks.remove(&key);
        self.model.inactive.remove(&key);
        self.model.open.retain(|open| open.offer.framework != key);
        self.model.tasks.retain(|task| task.0 != key);
        self.model.refusals.retain(|refusal| refusal.framework != key);
    }

    fn suppress_or_revive(&mut self) {
        let Some(key) = self.any_framework() else { return };
        let all = self.model.frameworks[&key].0.clone();
        let Some(role) = self.dice.one(&all) else { return };
        let suppressed = &mut self.model.frameworks.get_mut(&key).unwrap().1;
        if self.dice.roll(3) == 0 {
            self.cluster.allocator.suppress(key, std::slice::from_ref(&role));
            suppressed.insert(role);
        } else {
            self.cluster.allocator.revive(key, std::slice::from_ref(&role));
            suppressed.remove(&role);
            self.model.refusals.retain(|it| it.framework != key || it.role != role);
        }
    }

    fn activate_or_not(&mut self) {
        let Some(key) = self.any_framework() else { return };
        if self.model.inactive.remove(&key) {
            self.cluster.allocator.activate_framework(key);
        } else {
            self.cluster.allocator.deactivate_framework(key);
            self.model.inactive.insert(key);
            self.model.refusals.retain(|refusal| refusal.framework != key);
        }
    }

    fn take_offer(&mut self) -> Option<OfferSpec> {
        let at = self.dice.roll(self.model.open.len());
        (!self.model.open.is_empty()).then(|| self.model.open.swap_remove(at).offer)
    }

    fn decline(&mut self) {
        let Some(offer) = self.take_offer() else { return };
        let seconds = [0.0, 0.5, 5.0, 60.0][self.dice.roll(4)];
        self.cluster.decline(&offer, refuse(seconds), self.now);
        self.remember(&offer, offer.resources.clone(), seconds);
    }

    fn remember(&mut self, offer: &OfferSpec, resources: Resources, seconds: f64) {
        if seconds > 0.0 && !resources.is_empty() {
            self.model.refusals.push(Refusal {
                framework: offer.framework,
                role: offer.role.to_string(),
                agent: offer.agent,
                resources: resources.unallocated(),
                until: self.now + seconds.max(1.0),
            });
        }
    }

    fn launch(&mut self) {
        let Some(offer) = self.take_offer() else { return };
        let want = parse("cpus:1;mem:32;ports:[5-6];cpus(b):1;cpus(a):0.5").allocated(&offer.role);
        let task = &offer.resources - &(&offer.resources - &want);
        let (framework, agent) = (offer.framework, offer.agent);
        self.cluster.allocator.allocated(framework, agent, &task);
        let rest = &offer.resources - &task;
        self.cluster.allocator.recover(framework, agent, &rest, refuse(5.0), at(self.now));
        self.remember(&offer, rest, 5.0);
        if !task.is_empty() {
            self.model.tasks.push((framework, agent, task));
        }
    }

    fn finish(&mut self) {
        if self.model.tasks.is_empty() {
            return;
        }
        let at_task = self.dice.roll(self.model.tasks.len());
        let (framework, agent, task) = self.model.tasks.swap_remove(at_task);
        self.cluster.allocator.recover(framework, agent, &task, None, at(self.now));
    }

    fn pass(&mut self) {
        self.now += 1.0;
        let now = self.now;
        let offers = if self.dice.roll(4) == 0 {
            self.cluster.seed += 1;
            self.cluster.allocator.allocate_dirty(at(now), self.cluster.seed)
        } else {
            self.cluster.allocate(now)
        };
        for offer in offers {
            self.check_offer(&offer);
            self.model.open.push(Open { offer });
        }
        self.model.refusals.retain(|refusal| refusal.until >= now);
    }

    fn check_offer(&self, offer: &OfferSpec) {
        let (roles, suppressed) = &self.model.frameworks[&offer.framework];
        assert!(roles.contains(&offer.role.to_string()), "subscribed");
        assert!(!suppressed.contains(&*offer.role), "not suppressed");
        assert!(!self.model.inactive.contains(&offer.framework), "active");
        let plain = offer.resources.unallocated();
        assert_eq!(plain.allocatable_to(&offer.role), plain, "reserved only to its role");
        for refusal in &self.model.refusals {
            let same = refusal.framework == offer.framework
                && refusal.role == *offer.role
                && refusal.agent == offer.agent
                && refusal.until >= self.now;
            assert!(!same || !refusal.resources.contains(&plain), "refused: {plain}");
        }
    }

    /// The books agree with the model: nothing is lost, nothing given twice.
    fn check_books(&self) {
        let mut held: BTreeMap<AgentKey, Resources> = BTreeMap::new();
        let mut all = Quantities::default();
        let offers = self.model.open.iter().map(|open| (open.offer.agent, &open.offer.resources));
        let tasks = self.model.tasks.iter().map(|(_, agent, resources)| (*agent, resources));
        for (agent, resources) in offers.chain(tasks) {
            *held.entry(agent).or_default() += &resources.unallocated();
            all.add_all(&resources.quantities());
        }
        for (agent, total) in &self.model.totals {
            let held = held.remove(agent).unwrap_or_default();
            assert!(total.contains(&held), "over-allocated: {held} of {total}");
            assert_eq!(self.cluster.allocator.available(*agent), total - &held);
        }
        assert!(held.is_empty());
        let report = self.cluster.allocator.report();
        assert_eq!(report.offered_or_allocated, all);
        for role in &report.roles {
            assert!((0.0..=1.0 + 1e-9).contains(&role.dominant_share), "{role:?}");
        }
    }
}

fn simulate(config: &PolicyConfig, seed: u64, steps: usize) -> Vec<String> {
    let mut simulation = Simulation::new(config.clone(), seed);
    for _ in 0..3 {
        simulation.add_agent();
        simulation.add_framework();
    }
    for _ in 0..steps {
        simulation.step();
        simulation.check_books();
    }
    simulation.cluster.offered(simulation.now + 100.0)
}

fn policies() -> [PolicyConfig; 2] {
    [PolicyConfig::default(), strict(&[("b", 3), ("b/y", 1), ("a", 2)])]
}

#[test]
fn random_events_keep_the_books() {
    let mut runner = TestRunner::new(Config { cases: 60, ..Config::default() });
    runner
        .run(&proptest::num::u64::ANY, |seed| {
            for config in policies() {
                simulate(&config, seed, 250);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_same_events_give_the_same_offers() {
    for config in policies() {
        for seed in 0..5 {
            assert_eq!(simulate(&config, seed, 300), simulate(&config, seed, 300));
        }
    }
}

/// Frameworks that keep all they are offered end up with equal shares, within an offer.
#[test]
fn fair_shares_converge_within_one_offer() {
    let mut it = Cluster::new(PolicyConfig::default());
    it.allocator.set_weight("c", 2.0);
    for (key, role) in ["a", "b", "c"].iter().enumerate() {
        it.allocator.add_framework(FrameworkKey(key as u32), framework(&[role]), true);
    }
    for key in 0..400 {
        it.allocator.add_agent(AgentKey(key), agent("cpus:2;mem:100"), &[]);
    }
    let offers = it.allocate(0.0);
    assert_eq!(offers.len(), 400);
    let report = it.allocator.report();
    let shares: Vec<f64> = report.roles.iter().map(|role| role.dominant_share).collect();
    let least = shares.iter().copied().fold(f64::MAX, f64::min);
    let most = shares.iter().copied().fold(0.0, f64::max);
    assert!(most - least <= 1.0 / 400.0 + 1e-9, "{shares:?}");
}

/// Under strict priority the higher role gets all it wants, the lower what it refuses.
#[test]
fn priorities_leave_only_refusals() {
    for (config, low_gets) in policies().into_iter().zip([200, 0]) {
        let mut it = Cluster::new(config);
        it.allocator.add_framework(F1, framework(&["a"]), true);
        it.allocator.add_framework(F2, framework(&["*"]), true);
        for key in 0..400 {
            it.allocator.add_agent(AgentKey(key), agent("cpus:2;mem:100"), &[]);
        }
        let offers = it.allocate(0.0);
        let low = offers.iter().filter(|offer| offer.framework == F2).count();
        assert_eq!(low, low_gets);
    }
}
