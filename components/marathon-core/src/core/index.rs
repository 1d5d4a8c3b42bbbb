//! The instances of one app by version and by what can be done with them.

use crate::{Condition, Goal, Instance};
use marathon_model::{InstanceId, Timestamp, app::KillSelection};
use smallvec::SmallVec;
use std::collections::BTreeSet;

/// What an instance counts as in the arithmetic of deployments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// On its way out, its task not known to be over.
    Going,
    /// Its task ends, another one follows.
    Killing,
    /// Unreachable for so long that it was replaced.
    Inactive,
    /// Waits for an offer.
    Waiting,
    Unreachable,
    /// Launched, does not run yet.
    Staged,
    Unhealthy,
    /// Runs; its checks have told nothing yet.
    Unknown,
    /// Runs and is healthy as far as is known; its readiness check has not passed.
    NotReady,
    Ready,
}

const CLASSES: usize = 10;

/// Those that run, whatever else.
pub(super) const RUNNING: [Class; 4] =
    [Class::Unhealthy, Class::Unknown, Class::NotReady, Class::Ready];
/// Those that make up the number of instances of an app.
pub(super) const PRESENT: [Class; 8] = [
    Class::Killing,
    Class::Waiting,
    Class::Unreachable,
    Class::Staged,
    Class::Unhealthy,
    Class::Unknown,
    Class::NotReady,
    Class::Ready,
];

/// The sets, kept up to date one by one.
#[derive(Debug, Default)]
pub(super) struct Index {
    all: BTreeSet<Key>,
    counts: SmallVec<[(Timestamp, [u32; CLASSES]); 1]>,
}

/// Version, class, age, id. Without an id it is the lower end of a range.
type Key = (Timestamp, u8, Timestamp, Option<InstanceId>);

// === impl Class ===

impl Class {
    pub(super) fn of(instance: &Instance) -> Self {
        match instance.condition {
            _ if instance.goal != Goal::Running => Self::Going,
            Condition::UnreachableInactive => Self::Inactive,
            Condition::Scheduled => Self::Waiting,
            _ if instance.killing => Self::Killing,
            Condition::Killing => Self::Killing,
            Condition::Unreachable => Self::Unreachable,
            Condition::Running => match instance.healthy {
                Some(false) => Self::Unhealthy,
                None if !instance.spec.health_checks.is_empty() => Self::Unknown,
                _ if instance.ready => Self::Ready,
                _ => Self::NotReady,
            },
            _ => Self::Staged,
        }
    }
}

// === impl Index ===

fn key(instance: &Instance) -> Key {
    let order = instance.started_at.or(instance.staged_at).unwrap_or(instance.since);
    (instance.spec.version, Class::of(instance) as u8, order, Some(instance.id.clone()))
}

/// Every key of a version and class.
fn range(version: Timestamp, class: Class) -> std::ops::Range<Key> {
    let class = class as u8;
    (version, class, Timestamp(0), None)..(version, class + 1, Timestamp(0), None)
}

impl Index {
    pub(super) fn add(&mut self, instance: &Instance) {
        let key = key(instance);
        *self.slot(key.0, key.1) += 1;
        self.all.insert(key);
    }

    pub(super) fn remove(&mut self, instance: &Instance) {
        let key = key(instance);
        if self.all.remove(&key) {
            let slot = self.slot(key.0, key.1);
            *slot = slot.saturating_sub(1);
            self.counts.retain(|(_, counts)| counts.iter().any(|count| *count > 0));
        }
    }

    fn slot(&mut self, version: Timestamp, class: u8) -> &mut u32 {
        let at = match self.counts.iter().position(|(known, _)| *known == version) {
            Some(at) => at,
            None => {
                self.counts.push((version, [0; CLASSES]));
                self.counts.len() - 1
            }
        };
        // Both are in range: the position was just found, and a class is less than CLASSES.
        &mut self.counts[at].1[usize::from(class)]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many of one version are in these classes.
    pub(super) fn count(&self, version: Timestamp, classes: &[Class]) -> u32 {
        self.sum(classes, |known| known == version)
    }

    /// How many of any other version are in these classes.
    pub(super) fn count_others(&self, version: Timestamp, classes: &[Class]) -> u32 {
        self.sum(classes, |known| known != version)
    }

    /// How many are in these classes.
    pub(super) fn total(&self, classes: &[Class]) -> u32 {
        self.sum(classes, |_| true)
    }

    fn sum(&self, classes: &[Class], wanted: impl Fn(Timestamp) -> bool) -> u32 {
        let counts = self.counts.iter().filter(|(version, _)| wanted(*version));
        counts
            .map(|(_, counts)| {
                let of = |class: &Class| counts.get(*class as usize).copied().unwrap_or_default();
                classes.iter().map(of).sum::<u32>()
            })
            .sum()
    }

    /// The versions there are instances of, newest first.
    pub(super) fn versions(&self) -> SmallVec<[Timestamp; 2]> {
        let mut versions: SmallVec<[Timestamp; 2]> =
            self.counts.iter().map(|(version, _)| *version).collect();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        versions
    }

    /// Those of one version and class, oldest first.
    pub(super) fn of(
        &self,
        version: Timestamp,
        class: Class,
    ) -> impl DoubleEndedIterator<Item = &InstanceId> {
        self.all.range(range(version, class)).filter_map(|key| key.3.as_ref())
    }

    /// Those of any version in one class.
    pub(super) fn of_class(&self, class: Class) -> impl Iterator<Item = &InstanceId> {
        self.versions().into_iter().flat_map(move |version| self.of(version, class))
    }

    /// The one that is launched next: of the newest version, the one that waits longest.
    pub(super) fn next_waiting(&self) -> Option<&InstanceId> {
        if self.counts.len() == 1 {
            let version = self.counts.first()?.0;
            return self.of(version, Class::Waiting).next();
        }
        let versions = self.versions().into_iter();
        versions.filter_map(|version| self.of(version, Class::Waiting).next()).next()
    }

    /// Of those classes, taken together, the first `wanted` in the order of killing.
    pub(super) fn victims(
        &self,
        versions: &[Timestamp],
        classes: &[Class],
        selection: KillSelection,
        wanted: usize,
        out: &mut Vec<InstanceId>,
    ) {
        let mut found: Vec<&Key> = Vec::new();
        for version in versions {
            for class in classes {
                let range = self.all.range(range(*version, *class));
                match selection {
                    KillSelection::YoungestFirst => found.extend(range.rev().take(wanted)),
                    KillSelection::OldestFirst => found.extend(range.take(wanted)),
                }
            }
        }
        found.sort_unstable_by(|a, b| (a.2, &a.3).cmp(&(b.2, &b.3)));
        if selection == KillSelection::YoungestFirst {
            found.reverse();
        }
        out.extend(found.into_iter().take(wanted).filter_map(|key| key.3.clone()));
    }
}
