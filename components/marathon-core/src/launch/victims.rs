//! Whom to give up when there are too many instances.

use crate::{Condition, Goal, Instance};
use marathon_model::app::{App, KillSelection, Operator};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The `count` instances that go first: those already asked to, then those that make the groups
/// of GROUP_BY more even, then those not running yet, then as the app's `killSelection` says.
pub fn victims(app: &App, instances: &[Arc<Instance>], count: usize) -> Vec<Arc<Instance>> {
    let mut ranked: Vec<&Arc<Instance>> = instances.iter().collect();
    ranked.sort_by_cached_key(|instance| rank(app, instance));
    let asked = ranked.iter().take_while(|instance| is_asked(instance)).count().min(count);
    let mut chosen: Vec<usize> = (0..asked).collect();
    let fields: Vec<&str> = app
        .constraints
        .iter()
        .filter(|constraint| constraint.operator == Operator::GroupBy)
        .map(|constraint| constraint.field.as_str())
        .collect();
    if fields.is_empty() {
        chosen.extend(asked..count.min(ranked.len()));
    } else {
        let rest = ranked.get(asked..).unwrap_or_default();
        let mut groups: Vec<Groups> = fields.iter().map(|field| Groups::new(field, rest)).collect();
        while chosen.len() < count {
            let Some(at) = next(&groups) else { break };
            groups.iter_mut().for_each(|groups| groups.remove(at));
            chosen.push(asked + at);
        }
    }
    chosen.into_iter().filter_map(|at| ranked.get(at).map(|one| Arc::clone(one))).collect()
}

fn is_asked(instance: &Instance) -> bool {
    instance.goal != Goal::Running || instance.condition == Condition::Killing
}

/// Who has the lower rank goes first.
type Rank = (bool, u8, i128, marathon_model::InstanceId);

fn rank(app: &App, instance: &Instance) -> Rank {
    let progress = match instance.condition {
        Condition::Scheduled | Condition::Provisioned => 0,
        Condition::Unreachable | Condition::UnreachableInactive => 1,
        Condition::Staging => 2,
        Condition::Starting => 3,
        _ => 4,
    };
    // Who did not start yet is the youngest.
    let started = instance.started_at.or(instance.staged_at);
    let started = started.map_or(i128::from(u64::MAX), |at| i128::from(at.0));
    let age = match app.kill_selection {
        KillSelection::YoungestFirst => -started,
        KillSelection::OldestFirst => started,
    };
    (!is_asked(instance), progress, age, instance.id.clone())
}

/// The instances by the value of one field, the largest group first.
struct Groups {
    /// The group of each instance.
    of: Vec<usize>,
    members: Vec<BTreeSet<usize>>,
    /// Size, best ranked member, group.
    order: BTreeSet<(Reverse<usize>, usize, usize)>,
}

impl Groups {
    fn new(field: &str, instances: &[&Arc<Instance>]) -> Self {
        let mut names: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        let mut members: Vec<BTreeSet<usize>> = Vec::new();
        let mut of = Vec::with_capacity(instances.len());
        for (at, instance) in instances.iter().enumerate() {
            let value = instance.placement.as_ref().and_then(|placement| placement.field(field));
            let group = *names.entry(value).or_insert(members.len());
            if group == members.len() {
                members.push(BTreeSet::new());
            }
            if let Some(group) = members.get_mut(group) {
                group.insert(at);
            }
            of.push(group);
        }
        let mut groups = Self { of, members, order: BTreeSet::new() };
        (0..groups.members.len()).for_each(|group| groups.list(group, true));
        groups
    }

    /// How far apart the largest and the smallest group are.
    fn difference(&self) -> usize {
        let size = |entry: Option<&(Reverse<usize>, usize, usize)>| entry.map_or(0, |one| one.0.0);
        size(self.order.first()).saturating_sub(size(self.order.last()))
    }

    fn largest(&self) -> Option<&BTreeSet<usize>> {
        self.members.get(self.order.first()?.2)
    }

    fn is_in_a_largest(&self, at: usize) -> bool {
        let size = self.of.get(at).and_then(|group| self.members.get(*group)).map(BTreeSet::len);
        size == self.largest().map(BTreeSet::len)
    }

    fn remove(&mut self, at: usize) {
        let Some(group) = self.of.get(at).copied() else { return };
        self.list(group, false);
        if let Some(members) = self.members.get_mut(group) {
            members.remove(&at);
        }
        self.list(group, true);
    }

    fn list(&mut self, group: usize, on: bool) {
        let Some(members) = self.members.get(group) else { return };
        let Some(first) = members.first() else { return };
        let entry = (Reverse(members.len()), *first, group);
        if on {
            self.order.insert(entry);
        } else {
            self.order.remove(&entry);
        }
    }
}

/// Of the largest group of the most uneven field, the first that is also in a largest group of
/// every other field.
fn next(groups: &[Groups]) -> Option<usize> {
    let mut worst = groups.first()?;
    for other in groups {
        if other.difference() > worst.difference() {
            worst = other;
        }
    }
    let members = worst.largest()?;
    let good = |at: &&usize| groups.iter().all(|groups| groups.is_in_a_largest(**at));
    members.iter().take(256).find(good).or_else(|| members.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::testing::{app, constraint, instance, offer, remaining};
    use marathon_model::Timestamp;
    use proptest::prelude::*;

    fn running(app: &App, number: u128, host: &str, rack: &str) -> Arc<Instance> {
        let spec = Arc::new(app.clone());
        let mut one = Instance::scheduled(instance(app, number), spec, Timestamp(0));
        let rack = format!("rack:{rack}");
        one.placement = Some(remaining(&offer(host, "cpus:1", &rack)).offer().placement.clone());
        one.condition = Condition::Running;
        one.started_at = Some(Timestamp(u64::try_from(number).unwrap()));
        Arc::new(one)
    }

    fn numbers(victims: &[Arc<Instance>]) -> Vec<u64> {
        victims.iter().map(|one| one.started_at.unwrap().0).collect()
    }

    #[test]
    fn by_age_as_the_app_says() {
        let mut app = app();
        let all: Vec<_> = (1..=4).map(|number| running(&app, number, "a", "r")).collect();
        assert_eq!(numbers(&victims(&app, &all, 2)), [4, 3]);
        app.kill_selection = KillSelection::OldestFirst;
        assert_eq!(numbers(&victims(&app, &all, 2)), [1, 2]);
        assert_eq!(victims(&app, &all, 9).len(), 4);
        assert!(victims(&app, &all, 0).is_empty());
    }

    #[test]
    fn who_was_asked_goes_first_then_who_does_not_run() {
        let app = app();
        let mut all: Vec<_> = (1..=6).map(|number| running(&app, number, "a", "r")).collect();
        let mut set = |at: usize, condition, goal| {
            let one = Arc::make_mut(&mut all[at]);
            (one.condition, one.goal) = (condition, goal);
        };
        set(0, Condition::Killing, Goal::Decommissioned);
        set(1, Condition::Starting, Goal::Running);
        set(2, Condition::Staging, Goal::Running);
        set(3, Condition::Unreachable, Goal::Running);
        assert_eq!(numbers(&victims(&app, &all, 6)), [1, 4, 3, 2, 6, 5]);
    }

    #[test]
    fn groups_stay_even() {
        let mut app = app();
        app.constraints = vec![constraint("rack", Operator::GroupBy, Some("2"))];
        // Five on r1, two on r2; the youngest are on r2.
        let racks = ["r1", "r1", "r1", "r1", "r1", "r2", "r2"];
        let all: Vec<_> = racks
            .iter()
            .zip(1..)
            .map(|(rack, number)| running(&app, number, &format!("h{number}"), rack))
            .collect();
        assert_eq!(numbers(&victims(&app, &all, 3)), [5, 4, 3]);
        assert_eq!(numbers(&victims(&app, &all, 5)), [5, 4, 3, 7, 2]);
        app.constraints.push(constraint("hostname", Operator::GroupBy, None));
        assert_eq!(victims(&app, &all, 6).len(), 6);
    }

    proptest! {
        #[test]
        fn as_many_as_asked_and_never_less_even(
            racks in prop::collection::vec(0u8..4, 0..40),
            count in 0usize..45,
        ) {
            let mut app = app();
            app.constraints = vec![constraint("rack", Operator::GroupBy, Some("4"))];
            let all: Vec<_> = racks
                .iter()
                .zip(1..)
                .map(|(rack, number)| running(&app, number, "a", &format!("r{rack}")))
                .collect();
            let gone = numbers(&victims(&app, &all, count));
            prop_assert_eq!(gone.len(), count.min(all.len()));
            prop_assert_eq!(gone.iter().collect::<BTreeSet<_>>().len(), gone.len());
            let sizes = |left: &dyn Fn(u64) -> bool| {
                let mut sizes = BTreeMap::new();
                for (rack, number) in racks.iter().zip(1u64..) {
                    *sizes.entry(*rack).or_insert(0usize) += usize::from(left(number));
                }
                let (least, most) = (sizes.values().min(), sizes.values().max());
                most.zip(least).map_or(0, |(most, least)| most - least)
            };
            let before = sizes(&|_| true);
            let after = sizes(&|number| !gone.contains(&number));
            prop_assert!(after <= before.max(1), "{} after {}", after, before);
        }
    }
}
