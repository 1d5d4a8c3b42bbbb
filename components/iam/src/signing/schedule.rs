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
}

/// How long things take, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// From a key's publication to its first signature.
    pub(crate) publish_ahead: i64,
    /// A key that has signed this long gets a successor; `None` leaves that to the operator.
    pub(crate) rotate_after: Option<i64>,
    /// How long tokens live, and how far clocks may be apart.
    pub(crate) token_lifetime: i64,
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
    Some(follower.0.saturating_add(times.token_lifetime).saturating_add(slack))
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
        skew: 30,
    };

    fn key(kid: &str, created: i64, signs_from: i64) -> KeyFacts {
        KeyFacts { kid: kid.to_owned(), created, signs_from }
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
        let end = turn + 5 * DAY + 60;
        assert!(expired(&keys, end - 1, &TIMES).is_empty());
        assert_eq!(expired(&keys, end, &TIMES), [&keys[0]]);
        assert_eq!(next_event(&keys, &TIMES), Some(end));
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
                tokens.push((signing, now + TIMES.token_lifetime));
                tokens.retain(|(_, expires)| expires + TIMES.skew > now);
                for (kid, _) in &tokens {
                    prop_assert!(keys.iter().any(|key| key.kid == *kid), "{kid} is missing");
                }
            }
        }
    }
}
