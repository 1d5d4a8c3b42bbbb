//! How many to start and to kill in an upgrade: numbers in, numbers out.
//!
//! The original decides once how many old instances to kill and then kills one more for each new
//! one that is ready. Here the same bounds hold at each look, whatever happened in between:
//! healthy instances are killed only above the minimum, and instances are started only below the
//! maximum, counting everything that has a task. Instances that are not healthy may go whenever
//! they are in the way.

use marathon_model::app::UpgradeStrategy;

/// What there is of an app while a new version replaces the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// As many as there shall be.
    pub(super) wanted: u32,
    /// Old ones that run and are healthy, or not known not to be.
    pub(super) old_good: u32,
    /// Old ones with a task that does not run, or is not healthy.
    pub(super) old_bad: u32,
    /// New ones, in whatever state, that are to run.
    pub(super) started: u32,
    /// Those of the new ones that wait for an offer.
    pub(super) waiting: u32,
    /// New ones that are healthy and ready.
    pub(super) ready: u32,
    /// Tasks on their way out.
    pub(super) going: u32,
    /// Resident apps never exceed their capacity.
    pub(super) resident: bool,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) kill_good: u32,
    pub(super) kill_bad: u32,
    pub(super) start: u32,
    /// New ones that may not be launched now after all: something came back that was lost.
    pub(super) unlaunch: u32,
    /// New ones that are too many.
    pub(super) surplus: u32,
    pub(super) done: bool,
}

/// As many healthy ones as there must be.
pub(super) fn min_healthy(wanted: u32, strategy: UpgradeStrategy) -> u32 {
    (f64::from(wanted) * strategy.minimum_health_capacity).ceil() as u32
}

/// As many as there may be; one more where nothing else could be replaced.
pub(super) fn max_capacity(tally: &Tally, strategy: UpgradeStrategy) -> u32 {
    let max = (f64::from(tally.wanted) * (1.0 + strategy.maximum_over_capacity)) as u32;
    let min = min_healthy(tally.wanted, strategy);
    let no_room = min == max && max <= tally.old_good + tally.ready;
    if no_room && !tally.resident { max + 1 } else { max }
}

/// The next move of an upgrade.
pub(super) fn decide(tally: &Tally, strategy: UpgradeStrategy) -> Decision {
    let Tally { wanted, old_good, old_bad, started, waiting, ready, going, resident } = *tally;
    let (old, min) = (old_good + old_bad, min_healthy(wanted, strategy));
    let max = max_capacity(tally, strategy);
    let healthy = old_good + ready;
    let missing = wanted.saturating_sub(started);

    let mut spare = healthy.saturating_sub(min);
    if resident && min == max && max <= healthy {
        spare += 1;
    }
    // Fewer are wanted than there were: those go at once.
    let excess = old.saturating_sub(wanted);
    let kills = spare.max(excess).min(old);
    let mut kill_bad = old_bad.min(kills);
    let kill_good = old_good.min(kills - kill_bad);

    let all = old + going + started;
    let room = max.saturating_sub(all);
    if room == 0 && missing > 0 {
        // They serve nobody and stand in the way.
        kill_bad = kill_bad.max(old_bad.min(missing));
    }
    if ready >= wanted {
        kill_bad = old_bad;
    }
    Decision {
        kill_good,
        kill_bad,
        start: missing.min(room),
        unlaunch: waiting.min(all.saturating_sub(max)),
        surplus: started.saturating_sub(wanted),
        done: ready == wanted && started == wanted && old == 0 && going == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strategy(minimum_health_capacity: f64, maximum_over_capacity: f64) -> UpgradeStrategy {
        UpgradeStrategy { minimum_health_capacity, maximum_over_capacity }
    }

    /// `wanted` healthy old ones; the first move as the original's table of restart strategies.
    #[track_caller]
    fn first(wanted: u32, old: u32, (min, over): (f64, f64), kill: u32, max: u32) {
        let tally = Tally { wanted, old_good: old, ..Tally::default() };
        let decision = decide(&tally, strategy(min, over));
        assert_eq!((decision.kill_good, max_capacity(&tally, strategy(min, over))), (kill, max));
    }

    #[test]
    fn the_first_move_is_the_originals() {
        first(10, 10, (1.0, 1.0), 0, 20);
        first(10, 10, (0.5, 0.0), 5, 10);
        first(10, 10, (0.5, 0.5), 5, 15);
        first(10, 10, (0.0, 0.0), 10, 10);
        first(3, 3, (0.4, 0.0), 1, 3);
        // No room either way: one more than wanted.
        first(10, 10, (1.0, 0.0), 0, 11);
        first(1, 1, (1.0, 0.0), 0, 2);
        first(1, 1, (0.5, 0.0), 0, 2);
        // Fewer are wanted than there were.
        first(1, 5, (1.0, 1.0), 4, 2);
        first(5, 8, (0.5, 0.0), 5, 5);
    }

    #[test]
    fn resident_apps_go_below_rather_than_above() {
        let tally = Tally { wanted: 3, old_good: 3, resident: true, ..Tally::default() };
        let decision = decide(&tally, strategy(1.0, 0.0));
        assert_eq!((decision.kill_good, decision.start), (1, 0));
    }

    #[test]
    fn a_ready_one_lets_one_go() {
        let strategy = strategy(1.0, 0.0);
        let tally = Tally { wanted: 4, old_good: 4, started: 1, ..Tally::default() };
        assert_eq!(decide(&tally, strategy), Decision::default());
        let decision = decide(&Tally { ready: 1, ..tally }, strategy);
        assert_eq!((decision.kill_good, decision.start), (1, 0));
        let decision = decide(&Tally { ready: 1, old_good: 3, going: 1, ..tally }, strategy);
        assert_eq!((decision.kill_good, decision.start), (0, 0));
        let decision = decide(&Tally { ready: 1, old_good: 3, ..tally }, strategy);
        assert_eq!((decision.kill_good, decision.start), (0, 1));
    }

    #[test]
    fn what_serves_nobody_makes_room() {
        // All old ones are sick, and there is no capacity to spare: the original waits for ever.
        let tally = Tally { wanted: 3, old_bad: 3, ..Tally::default() };
        assert_eq!(decide(&tally, strategy(1.0, 0.0)).kill_bad, 3);
        let tally = Tally { wanted: 2, started: 2, ready: 2, old_bad: 1, ..Tally::default() };
        assert_eq!(decide(&tally, strategy(1.0, 1.0)).kill_bad, 1);
    }

    proptest! {
        /// Played with tasks that obey at once, every upgrade ends, and within its bounds.
        #[test]
        fn every_upgrade_ends_within_its_bounds(
            wanted in 1u32..12, old_good in 0u32..12, old_bad in 0u32..6,
            min in 0u32..=10, over in 0u32..=10,
        ) {
            let strategy = strategy(f64::from(min) / 10.0, f64::from(over) / 10.0);
            let mut tally = Tally { wanted, old_good, old_bad, ..Tally::default() };
            let floor = min_healthy(wanted, strategy).min(old_good);
            for _ in 0..200 {
                let decision = decide(&tally, strategy);
                if decision.done {
                    return Ok(());
                }
                tally.old_good -= decision.kill_good;
                tally.old_bad -= decision.kill_bad;
                prop_assert!(tally.old_good + tally.ready >= floor);
                if decision.kill_good + decision.kill_bad > 0 {
                    tally.going += decision.kill_good + decision.kill_bad;
                    continue;
                }
                tally.started += decision.start;
                let all = tally.old_good + tally.old_bad + tally.started + tally.going;
                if decision.start > 0 {
                    prop_assert!(all <= max_capacity(&tally, strategy));
                } else if tally.going > 0 {
                    tally.going -= 1;
                } else {
                    prop_assert!(tally.ready < tally.started, "stuck: {tally:?}");
                    tally.ready += 1;
                }
            }
            prop_assert!(false, "no end: {tally:?}");
        }
    }
}
