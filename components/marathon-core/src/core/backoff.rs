//! How long an app that keeps failing waits, by the version of its configuration.

use super::{Core, Timer};
use crate::Instance;
use marathon_model::{App, PathId, Timestamp};
use smallvec::SmallVec;
use std::time::Duration;

/// The delays of one app.
#[derive(Debug, Default)]
pub(super) struct Backoffs(SmallVec<[Backoff; 1]>);

#[derive(Clone, Copy, Debug)]
struct Backoff {
    config: Timestamp,
    /// The delay counts from here.
    reference: Duration,
    /// The last failure that made it longer.
    failed: Duration,
    delay: Duration,
    max: Duration,
}

// === impl Backoffs ===

impl Backoffs {
    /// When instances of that version may be launched; in the past: at once.
    pub(super) fn until(&self, spec: &App, now: Duration) -> Option<Duration> {
        let config = spec.version_info.last_config_change_at;
        let found = self.0.iter().find(|one| one.config == config && !one.over(now))?;
        Some(found.reference + found.delay)
    }

    /// A launch of back then has failed; returns when the next one may be. What was launched
    /// before the last failure is part of that one: many that fail together are one failure.
    pub(super) fn failed(&mut self, spec: &App, launched: Duration, now: Duration) -> Duration {
        self.0.retain(|one| !one.over(now));
        let config = spec.version_info.last_config_change_at;
        let max = seconds(spec.max_launch_delay_seconds);
        match self.0.iter_mut().find(|one| one.config == config) {
            Some(one) if launched < one.failed => {
                one.reference = now;
                now + one.delay
            }
            Some(one) => {
                let longer = seconds(one.delay.as_secs_f64() * spec.backoff_factor.max(1.0));
                (one.delay, one.reference, one.max) = (longer.min(max), now, max);
                one.failed = now;
                now + one.delay
            }
            None => {
                let delay = seconds(spec.backoff_seconds).min(max);
                self.0.push(Backoff { config, reference: now, failed: now, delay, max });
                now + delay
            }
        }
    }

    /// A launch goes on: the delay counts from now.
    pub(super) fn advance(&mut self, spec: &App, now: Duration) {
        let config = spec.version_info.last_config_change_at;
        self.0.retain(|one| !one.over(now));
        if let Some(one) = self.0.iter_mut().find(|one| one.config == config) {
            one.reference = now;
        }
    }

    /// Everything is forgotten.
    pub(super) fn reset(&mut self) {
        self.0.clear();
    }
}

impl Backoff {
    fn over(&self, now: Duration) -> bool {
        // A delay as long as the longest would be over before it ends.
        now > self.reference + self.max.max(self.delay)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.clamp(0.0, 1e9)).unwrap_or_default()
}

// === impl Core ===

impl Core {
    pub(super) fn back_off(&mut self, instance: &Instance) {
        let (now, spec) = (self.now.mono, &instance.spec);
        let launched = instance.staged_at.map_or(now, |at| self.mono_of(at));
        let data = self.apps.entry(spec.id.clone()).or_default();
        let until = data.backoffs.failed(spec, launched, now);
        self.timers.set(until, Timer::Backoff(spec.id.clone()));
    }

    /// The delay counts from this sign of life on.
    pub(super) fn advance_backoff(&mut self, spec: &App) {
        let now = self.now.mono;
        let Some(data) = self.apps.get_mut(&spec.id) else { return };
        if data.backoffs.0.is_empty() {
            return;
        }
        data.backoffs.advance(spec, now);
        if let Some(until) = data.backoffs.until(spec, now) {
            self.timers.set(until, Timer::Backoff(spec.id.clone()));
        }
    }

    pub(super) fn reset_backoff(&mut self, app: &PathId) {
        if let Some(data) = self.apps.get_mut(app) {
            data.backoffs.reset();
            self.mark(app);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::app;

    #[test]
    fn delays_grow_to_the_limit_and_are_forgotten() {
        let mut spec = app("/a", 1);
        (spec.backoff_seconds, spec.backoff_factor) = (1.0, 2.0);
        spec.max_launch_delay_seconds = 5.0;
        let at = Duration::from_secs;
        let mut backoffs = Backoffs::default();
        assert_eq!(backoffs.until(&spec, at(0)), None);
        assert_eq!(backoffs.failed(&spec, at(10), at(10)), at(11));
        assert_eq!(backoffs.failed(&spec, at(11), at(11)), at(13));
        assert_eq!(backoffs.failed(&spec, at(13), at(13)), at(17));
        assert_eq!(backoffs.failed(&spec, at(17), at(17)), at(22));
        assert_eq!(backoffs.until(&spec, at(18)), Some(at(22)));
        backoffs.advance(&spec, at(20));
        assert_eq!(backoffs.until(&spec, at(20)), Some(at(25)));
        // Another configuration starts clean.
        spec.version_info.last_config_change_at = Timestamp(9);
        assert_eq!(backoffs.until(&spec, at(20)), None);
        spec.version_info.last_config_change_at = Timestamp(0);
        // Long after the last sign of life it is as if nothing had been.
        assert_eq!(backoffs.failed(&spec, at(100), at(100)), at(101));
    }

    #[test]
    fn many_that_fail_together_are_one_failure() {
        let mut spec = app("/a", 100);
        (spec.backoff_seconds, spec.backoff_factor) = (1.0, 2.0);
        let at = Duration::from_secs;
        let mut backoffs = Backoffs::default();
        for _ in 0..100 {
            assert_eq!(backoffs.failed(&spec, at(5), at(10)), at(11));
        }
        assert_eq!(backoffs.failed(&spec, at(9), at(12)), at(13));
        assert_eq!(backoffs.failed(&spec, at(11), at(13)), at(15));
    }
}
