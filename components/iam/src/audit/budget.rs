//! How many refusals are told one by one: everybody may cause some without an account, and a log
//! full of them would be the end of all logins.
//!
//! Pure: the time comes in. What is beyond the budget is counted, and the count is told now and
//! then.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use rustc_hash::FxHashMap;

/// The budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalLimits {
    /// Lines of one source at once.
    pub burst_of_source: u32,
    /// After which time the source has another one.
    pub every_of_source: Duration,
    /// Lines of all sources at once.
    pub burst: u32,
    /// After which time there is another one for all of them.
    pub every: Duration,
    /// Sources that are told apart.
    pub sources: usize,
    /// How often it is told how many more there were.
    pub told_every: Duration,
    /// Sources with the most refusals that are named then; the others are told as one.
    pub named: usize,
}

/// Whose refusals they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// Of somebody who is not logged in.
    Source(IpAddr),
    /// Of somebody who is.
    User(String),
}

/// Refusals that have no line of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folded {
    pub(crate) named: Vec<(Whose, u64)>,
    pub(crate) others: u64,
}

/// What is left, and what was counted.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: RefusalLimits,
    all: Bucket,
    sources: FxHashMap<Whose, Source>,
    /// Of those who could not be told apart.
    others: u64,
}

#[derive(Debug, Default)]
struct Source {
    bucket: Bucket,
    folded: u64,
}

/// A bucket of tokens, as the moment when it will be full again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket(Duration);

impl Default for RefusalLimits {
    fn default() -> RefusalLimits {
        RefusalLimits {
            burst_of_source: 30,
            every_of_source: Duration::from_secs(10),
            burst: 300,
            every: Duration::from_secs(1),
            sources: 10_000,
            told_every: Duration::from_secs(10),
            named: 16,
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whose::Source(address) => write!(out, "{address}"),
            Whose::User(uid) => out.write_str(uid),
        }
    }
}

// === impl Bucket ===

impl Bucket {
    fn has(self, now: Duration, burst: u32, every: Duration) -> bool {
        self.0.saturating_sub(now) + every <= every * burst
    }

    fn take(&mut self, now: Duration, every: Duration) {
        self.0 = self.0.max(now) + every;
    }
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new(limits: RefusalLimits) -> Budget {
        Budget { limits, all: Bucket::default(), sources: FxHashMap::default(), others: 0 }
    }

    /// Whether a refusal has a line of its own; if not, it is counted. Without `room` none has.
    pub(crate) fn allows(&mut self, whose: Whose, room: bool, now: Duration) -> bool {
        let limits = &self.limits;
        if self.sources.len() >= limits.sources && !self.sources.contains_key(&whose) {
            self.others += 1;
            return false;
        }
        let source = self.sources.entry(whose).or_default();
        let allowed = room
            && source.bucket.has(now, limits.burst_of_source, limits.every_of_source)
            && self.all.has(now, limits.burst, limits.every);
        if allowed {
            source.bucket.take(now, limits.every_of_source);
            self.all.take(now, limits.every);
        } else {
            source.folded += 1;
        }
        allowed
    }

    /// What was counted since the last time. Sources of which nothing is left to say are
    /// forgotten.
    pub(crate) fn fold(&mut self, now: Duration) -> Folded {
        let mut named: Vec<(Whose, u64)> = Vec::new();
        for (whose, source) in &mut self.sources {
            if source.folded > 0 {
                named.push((whose.clone(), std::mem::take(&mut source.folded)));
            }
        }
        self.sources.retain(|_, source| source.bucket.0 > now);
        named.sort_unstable_by_key(|(whose, folded)| (std::cmp::Reverse(*folded), whose.clone()));
        let rest = named.split_off(named.len().min(self.limits.named));
        let rest: u64 = rest.iter().map(|(_, folded)| folded).sum();
        Folded { named, others: rest + std::mem::take(&mut self.others) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> Whose {
        Whose::Source(IpAddr::from((u128::from(n) << 64).to_be_bytes()))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn allowed(budget: &mut Budget, whose: &Whose, n: usize, now: Duration) -> usize {
        (0..n).filter(|_| budget.allows(whose.clone(), true, now)).count()
    }

    #[test]
    fn one_source_has_a_burst_and_then_little() {
        let mut budget = Budget::new(RefusalLimits::default());
        assert_eq!(allowed(&mut budget, &source(1), 1000, at(0)), 30);
        assert_eq!(allowed(&mut budget, &source(2), 10, at(0)), 10, "others have their own");
        assert_eq!(allowed(&mut budget, &source(1), 1000, at(100)), 10);
        let folded = budget.fold(at(100));
        assert_eq!(folded, Folded { named: vec![(source(1), 970 + 990)], others: 0 });
        assert_eq!(budget.fold(at(100)), Folded::default());
        assert_eq!(allowed(&mut budget, &source(1), 1000, at(1000)), 30);
    }

    #[test]
    fn all_sources_together_have_a_bound_too() {
        let mut budget = Budget::new(RefusalLimits::default());
        let (mut lines, mut told) = (0, 0);
        let count = |folded: &Folded| {
            folded.others + folded.named.iter().map(|(_, folded)| folded).sum::<u64>()
        };
        for second in 0..100 {
            if second % 10 == 0 {
                told += count(&budget.fold(at(second.into())));
            }
            for n in 0..1000_u32 {
                lines += allowed(&mut budget, &source(second * 1000 + n), 1, at(second.into()));
            }
        }
        assert_eq!(lines, 300 + 99);
        assert!(budget.sources.len() <= 10_000);
        let folded = budget.fold(at(100));
        assert_eq!(folded.named.len(), 16);
        assert_eq!(told + count(&folded), 100_000 - 399);
        budget.fold(at(1000));
        assert_eq!(budget.sources.len(), 0);
    }

    #[test]
    fn without_room_nothing_has_a_line() {
        let mut budget = Budget::new(RefusalLimits::default());
        assert!(!budget.allows(source(1), false, at(0)));
        assert_eq!(budget.fold(at(0)).named, [(source(1), 1)]);
        assert!(budget.allows(source(1), true, at(0)));
    }
}
