//! Failures by user, address or service, in a table with a bound.

use std::hash::Hash;
use std::time::Duration;

use rustc_hash::FxHashMap;

/// How waits grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) free: u32,
    pub(super) first: Duration,
    pub(super) longest: Duration,
    pub(super) memory: Duration,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    failures: u32,
    /// When the last attempt began, by the caller's clock.
    last: Duration,
    /// Before this the next attempt may not begin.
    pub(super) free_at: Duration,
}

/// What was counted of many.
#[derive(Debug)]
pub(super) struct Counts<K> {
    pace: Pace,
    entries: usize,
    counts: FxHashMap<K, Count>,
}

// === impl Pace ===

impl Pace {
    fn wait(&self, failures: u32) -> Duration {
        let Some(beyond) = failures.checked_sub(self.free) else { return Duration::ZERO };
        let doubled = 2_u32.saturating_pow(beyond);
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

// === impl Count ===

impl Count {
    /// As far as it still counts.
    pub(super) fn as_of(self, now: Duration, pace: &Pace) -> Count {
        let old = now.saturating_sub(self.last) > pace.memory;
        if old { Count { last: self.last, ..Count::default() } } else { self }
    }

    /// One more, which begins at `begins`.
    pub(super) fn failed(&mut self, begins: Duration, pace: &Pace) {
        self.failures = self.failures.saturating_add(1);
        self.last = begins;
        self.free_at = begins + pace.wait(self.failures);
    }

    /// One less.
    pub(super) fn take_back(&mut self, pace: &Pace) {
        self.failures = self.failures.saturating_sub(1);
        self.free_at = self.free_at.min(self.last + pace.wait(self.failures));
    }
}

// === impl Counts ===

impl<K: Hash + Ord + Clone> Counts<K> {
    pub(super) fn new(pace: Pace, entries: usize) -> Counts<K> {
        Counts { pace, entries, counts: FxHashMap::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// When the next attempt may begin.
    pub(super) fn free_at(&self, key: &K, now: Duration) -> Duration {
        self.count(key, now).free_at
    }

    pub(super) fn failed(&mut self, key: K, begins: Duration, now: Duration) {
        let mut count = self.count(&key, now);
        count.failed(begins, &self.pace);
        if !self.counts.contains_key(&key) && self.counts.len() >= self.entries {
            self.make_room(now);
        }
        self.counts.insert(key, count);
    }

    pub(super) fn take_back(&mut self, key: &K, now: Duration) {
        let mut count = self.count(key, now);
        count.take_back(&self.pace);
        if count.failures == 0 {
            self.counts.remove(key);
        } else if let Some(kept) = self.counts.get_mut(key) {
            *kept = count;
        }
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.counts.remove(key);
    }

    fn count(&self, key: &K, now: Duration) -> Count {
        self.counts.get(key).copied().unwrap_or_default().as_of(now, &self.pace)
    }

    /// Forgets what does not count any more; if all counts, what weighs least: whoever fails
    /// often is not forgotten because others fail once. A tenth goes at a time, so that this is
    /// rare.
    fn make_room(&mut self, now: Duration) {
        let memory = self.pace.memory;
        self.counts.retain(|_, count| now.saturating_sub(count.last) <= memory);
        let too_many = (self.counts.len() + 1).saturating_sub(self.entries);
        if too_many == 0 {
            return;
        }
        let mut weights: Vec<_> = self
            .counts
            .iter()
            .map(|(key, count)| (count.failures, count.last, key.clone()))
            .collect();
        weights.sort_unstable();
        let leaving = too_many.max(self.entries / 10);
        for (_, _, key) in weights.into_iter().take(leaving) {
            self.counts.remove(&key);
        }
    }
}
