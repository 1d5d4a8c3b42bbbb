//! When keys sign, and when they go: decided from what they are and the time alone.
//!
//! A key is published before it signs, so that everybody who verifies has it by then, and stays
//! published until the last token it signed has expired.

/// What is known of a key besides the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFacts {
    pub(crate) kid: String,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// It signs from then until a later key does.
    pub(crate) signs_from: i64,
    /// The longest that a token which it signs may live; it stays published that long.
    pub(crate) lifetime: i64,
}

/// How long things take, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// From a key's publication to its first signature.
    pub(crate) publish_ahead: i64,
    /// A key that has signed this long gets a successor; `None` leaves that to the operator.
    pub(crate) rotate_after: Option<i64>,
    /// How long tokens live, at most where somebody asks for longer, and how far clocks may be
    /// apart.
    pub(crate) token_lifetime: i64,
    pub(crate) longest: i64,
    pub(crate) skew: i64,
}

/// The key that signs now: the one whose turn came last. Where none had its turn yet (after
/// a revocation, or with a clock that was set back) the next one has it early.
pub(crate) fn signer(keys: &[KeyFacts], now: i64) -> Option<&KeyFacts> {
    let had_turn = keys.iter().filter(|key| key.signs_from <= now).max_by_key(|key| turn(key));
    had_turn.or_else(|| keys.iter().min_by_key(|key| turn(key)))
}

/// Whether a successor has to be made: the newest key has signed for long enough.
pub(crate) fn rotation_due(keys: &[KeyFacts], now: i64, times: &Times) -> bool {
    let Some(newest) = keys.iter().map(|key| key.signs_from).max() else { return true };
    times.rotate_after.is_some_and(|age| now.saturating_sub(newest) >= age)
}

/// From when a key made now signs. The first one has nobody to wait for.
pub(crate) fn first_turn(keys: &[KeyFacts], now: i64, times: &Times) -> i64 {
    match keys.iter().map(|key| key.signs_from).max() {
        None => now,
        // After one that still waits for its turn, also if clocks differ.
        Some(newest) => now.saturating_add(times.publish_ahead).max(newest.saturating_add(1)),
    }
}

/// The keys whose last token has expired.
pub(crate) fn expired<'a>(keys: &'a [KeyFacts], now: i64, times: &Times) -> Vec<&'a KeyFacts> {
    keys.iter().filter(|key| gone_at(keys, key, times).is_some_and(|at| at <= now)).collect()
}

/// When something is due that nobody asks for.
pub(crate) fn next_event(keys: &[KeyFacts], times: &Times) -> Option<i64> {
    let newest = keys.iter().map(|key| key.signs_from).max();
    let rotation = newest.zip(times.rotate_after).map(|(at, age)| at.saturating_add(age));
    let going = keys.iter().filter_map(|key| gone_at(keys, key, times));
    going.chain(rotation).min()
}

/// When a key's last token has expired; `None` while no other key follows it.
fn gone_at(keys: &[KeyFacts], key: &KeyFacts, times: &Times) -> Option<i64> {
    let follower = keys.iter().filter(|other| turn(other) > turn(key)).map(turn).min()?;
    // Another instance's clock may be behind: it signs a little longer. Its tokens then expire
    // later by as much, and are believed a skew longer still.
    let slack = times.skew.saturating_mul(2);
    // What it signed under another setting lives as that said.
    let lifetime = key.lifetime.max(times.token_lifetime);
    Some(follower.0.saturating_add(lifetime).saturating_add(slack))
}

/// The keys that sign, or will, and promise less than tokens may live by now.
pub(crate) fn too_short<'a>(keys: &'a [KeyFacts], now: i64, times: &Times) -> Option<&'a KeyFacts> {
    let signing = signer(keys, now)?;
    let to_come = keys.iter().filter(|key| turn(key) >= turn(signing));
    to_come.into_iter().find(|key| key.lifetime < times.longest)
}

/// When a token expires: as asked, but no later than what its key promises; for 0 (never) and
/// without a wish then, or after its lifetime. `None` where it would have expired already.
pub(crate) fn expiry(
    requested: Option<i64>,
    key: &KeyFacts,
    now: i64,
    times: &Times,
) -> Option<i64> {
    let lifetime = times.longest.min(key.lifetime).max(times.token_lifetime);
    let latest = now.saturating_add(lifetime);
    match requested {
        None => Some(now.saturating_add(times.token_lifetime)),
        Some(0) => Some(latest),
        Some(at) => (at > now).then(|| at.min(latest)),
    }
}

fn turn(key: &KeyFacts) -> (i64, &str) {
    (key.signs_from, &key.kid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;
    const TIMES: Times = Times {
        publish_ahead: 300,
        rotate_after: Some(90 * DAY),
        token_lifetime: 5 * DAY,
        longest: 365 * DAY,
        skew: 30,
    };

    fn key(kid: &str, created: i64, signs_from: i64) -> KeyFacts {
        KeyFacts { kid: kid.to_owned(), created, signs_from, lifetime: TIMES.longest }
    }

    #[test]
    fn tokens_live_no_longer_than_their_key_promises() {
        let long = key("a", 0, 0);
        let short = KeyFacts { lifetime: 30 * DAY, ..key("b", 0, 0) };
        let unknown = KeyFacts { lifetime: 0, ..key("c", 0, 0) };
        let at = |requested, key| expiry(requested, key, 1000, &TIMES);
        for key in [&long, &short, &unknown] {
            assert_eq!(at(None, key), Some(1000 + 5 * DAY));
            assert_eq!(at(Some(1234), key), Some(1234));
            assert_eq!(at(Some(1000), key), None, "it is over");
            assert_eq!(at(Some(-1), key), None);
        }
        for never in [Some(0), Some(i64::MAX)] {
            assert_eq!(at(never, &long), Some(1000 + 365 * DAY));
            assert_eq!(at(never, &short), Some(1000 + 30 * DAY));
            assert_eq!(at(never, &unknown), Some(1000 + 5 * DAY));
        }
        assert_eq!(too_short(&[long.clone(), short.clone()], 0, &TIMES), Some(&short));
        assert_eq!(too_short(&[unknown, long], 0, &TIMES).map(|key| &*key.kid), Some("c"));
    }

    #[test]
    fn a_shorter_setting_takes_no_key_from_what_it_signed() {
        let keys = [key("a", 0, 0), key("b", 0, 100)];
        let times = Times { longest: DAY, token_lifetime: DAY, ..TIMES };
        assert!(expired(&keys, 100 + 365 * DAY, &times).is_empty());
        assert_eq!(expired(&keys, 160 + 365 * DAY, &times).len(), 1);
    }

    #[test]
    fn the_first_key_signs_at_once() {
        assert!(rotation_due(&[], 1000, &TIMES));
        assert_eq!(first_turn(&[], 1000, &TIMES), 1000);
        assert_eq!(signer(&[], 1000), None);
        let keys = [key("a", 1000, 1000)];
        assert_eq!(signer(&keys, 1000).unwrap().kid, "a");
        assert_eq!(signer(&keys, 0).unwrap().kid, "a", "also when the clock was set back");
        assert!(expired(&keys, i64::MAX, &TIMES).is_empty(), "the only key never goes");
    }

    #[test]
    fn a_successor_is_published_before_it_signs_and_its_predecessor_stays() {
        let mut keys = vec![key("a", 0, 0)];
        assert!(!rotation_due(&keys, 90 * DAY - 1, &TIMES));
        let now = 90 * DAY;
        assert!(rotation_due(&keys, now, &TIMES));
        let turn = first_turn(&keys, now, &TIMES);
        assert_eq!(turn, now + 300);
        keys.push(key("b", now, turn));
        assert!(!rotation_due(&keys, now, &TIMES), "one successor is enough");
        assert_eq!(signer(&keys, turn - 1).unwrap().kid, "a");
        assert_eq!(signer(&keys, turn).unwrap().kid, "b");
        let end = turn + TIMES.longest + 60;
        assert!(expired(&keys, end - 1, &TIMES).is_empty());
        assert_eq!(expired(&keys, end, &TIMES), [&keys[0]]);
        let next = next_event(&keys, &TIMES);
        assert_eq!(next, Some(turn + 90 * DAY), "another rotation comes first");
        assert_eq!(next_event(&keys, &Times { rotate_after: None, ..TIMES }), Some(end));
    }

    #[test]
    fn two_rotations_in_a_row_do_not_skip_the_announcement() {
        let keys = [key("a", 0, 0), key("b", 1000, 1300)];
        let turn = first_turn(&keys, 1001, &TIMES);
        assert_eq!(turn, 1301);
        let keys = [key("a", 0, 0), key("b", 1000, 1300), key("c", 1001, turn)];
        assert_eq!(signer(&keys, 1300).unwrap().kid, "b");
        assert_eq!(signer(&keys, 1301).unwrap().kid, "c");
    }

    #[test]
    fn rotation_can_be_left_to_the_operator() {
        let times = Times { rotate_after: None, ..TIMES };
        let keys = [key("a", 0, 0)];
        assert!(!rotation_due(&keys, i64::MAX, &times));
        assert_eq!(next_event(&keys, &times), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(i64),
        Rotate,
        Revoke(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (1..8 * DAY).prop_map(Step::Wait),
            2 => Just(Step::Rotate),
            1 => (0..4_usize).prop_map(Step::Revoke),
        ];
        proptest::collection::vec(step, 1..60)
    }

    proptest! {
        /// Whatever an operator does: some key signs at any time, everything signed by a key
        /// that was not revoked verifies until it expires, and there never are many keys.
        #[test]
        fn every_token_outlives_rotations(steps in steps()) {
            let mut now = 1_000_000;
            let mut keys: Vec<KeyFacts> = Vec::new();
            let mut tokens: Vec<(String, i64)> = Vec::new();
            let mut made = 0;
            let mut make = |keys: &mut Vec<KeyFacts>, now: i64| {
                made += 1;
                let turn = first_turn(keys, now, &TIMES);
                keys.push(key(&format!("{made:04}"), now, turn));
            };
            for step in steps {
                match step {
                    Step::Wait(time) => now += time,
                    Step::Rotate => make(&mut keys, now),
                    Step::Revoke(which) if which < keys.len() => {
                        let gone = keys.remove(which);
                        tokens.retain(|(kid, _)| *kid != gone.kid);
                    }
                    Step::Revoke(_) => {}
                }
                if rotation_due(&keys, now, &TIMES) {
                    make(&mut keys, now);
                }
                let gone: Vec<_> = expired(&keys, now, &TIMES).into_iter().cloned().collect();
                keys.retain(|key| !gone.contains(key));
                prop_assert!(next_event(&keys, &TIMES).is_none_or(|at| at > now));
                let signing = signer(&keys, now).unwrap().kid.clone();
                let by = keys.iter().find(|key| key.kid == signing).unwrap();
                tokens.push((signing.clone(), expiry(Some(0), by, now, &TIMES).unwrap()));
                tokens.retain(|(_, expires)| expires + TIMES.skew > now);
                for (kid, _) in &tokens {
                    prop_assert!(keys.iter().any(|key| key.kid == *kid), "{kid} is missing");
                }
            }
        }
    }
}
