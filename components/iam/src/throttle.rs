//! Slows guessing of passwords: first freely, then with growing delays, then not at all for a
//! while.
//!
//! Pure: the time comes in. An attempt counts as failed from the moment it begins, so that a
//! thousand at once are a thousand; success takes it back. What is counted does not depend on
//! whether the user exists.

use std::net::IpAddr;
use std::time::Duration;

use rustc_hash::FxHashMap;

/// When it becomes slow, and how slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failures of one user before the next attempt has to wait.
    pub free_of_user: u32,
    /// Failures from one address before the next attempt has to wait.
    pub free_of_source: u32,
    /// The first wait; each further failure doubles it.
    pub first_wait: Duration,
    /// The longest wait of one user: somebody who guesses cannot lock the user out for longer.
    pub longest_of_user: Duration,
    /// The longest wait of one address.
    pub longest_of_source: Duration,
    /// Waits up to this are sat out by the server; longer ones are refused.
    pub patience: Duration,
    /// Without a failure for that long, all is forgotten.
    pub memory: Duration,
    /// From where a user logged in stays known for that long; whoever guesses elsewhere does
    /// not slow the user there.
    pub known: Duration,
    /// Users, addresses, and pairs of both, that are remembered.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            free_of_user: 5,
            free_of_source: 20,
            first_wait: Duration::from_millis(500),
            longest_of_user: Duration::from_secs(30),
            longest_of_source: Duration::from_secs(900),
            patience: Duration::from_secs(2),
            memory: Duration::from_secs(900),
            known: Duration::from_secs(86_400),
            entries: 10_000,
        }
    }
}

/// Whether an attempt may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// After this wait, which the server sits out.
    After(Duration),
    /// Not before this wait.
    Refused(Duration),
}

/// Who tries, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    user: Key,
    /// `None` where guesses from one address do not add up.
    source: Option<Key>,
    pair: Key,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    User(String),
    Source(IpAddr),
    Pair(String, IpAddr),
}

/// What was counted of one user, address or pair.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    failures: u32,
    /// When the last attempt began, by the caller's clock.
    last: Duration,
    /// Before this the next attempt may not begin.
    free_at: Duration,
    /// Of pairs: when the user last logged in from there.
    known: Option<Duration>,
}

/// Remembers failed attempts.
#[derive(Debug)]
pub struct Throttle {
    limits: Limits,
    counts: FxHashMap<Key, Count>,
}

// === impl Attempt ===

impl Attempt {
    /// Addresses of one network of IPv6 are one source: whoever has one has them all.
    pub fn new(uid: &str, source: IpAddr) -> Attempt {
        let uid: String = uid.chars().take(96).collect();
        let source = network(source);
        Attempt {
            user: Key::User(uid.clone()),
            source: Some(Key::Source(source)),
            pair: Key::Pair(uid, source),
        }
    }

    /// Of a service. Signatures are not guessed; what is slowed down is an account that fails
    /// over and over, and nobody else on its machine.
    pub fn of_service(uid: &str, source: IpAddr) -> Attempt {
        let uid = uid.chars().take(96).collect::<String>() + " (service)";
        let pair = Key::Pair(uid, network(source));
        Attempt { user: pair.clone(), source: None, pair }
    }
}

fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}

// === impl Throttle ===

impl Throttle {
    pub fn new(limits: Limits) -> Throttle {
        Throttle { limits, counts: FxHashMap::default() }
    }

    /// Begins an attempt at `now`, the time since some beginning. One that may go on counts as
    /// failed until [`Throttle::succeeded`] or [`Throttle::undone`] says otherwise.
    pub fn begin(&mut self, attempt: &Attempt, now: Duration) -> Turn {
        let keys = || std::iter::once(self.own(attempt, now)).chain(&attempt.source);
        let free_at = keys().map(|key| self.count(key, now).free_at).max();
        let keys: Vec<Key> = keys().cloned().collect();
        let wait = free_at.unwrap_or_default().saturating_sub(now);
        if wait > self.limits.patience {
            return Turn::Refused(wait);
        }
        // What has to wait begins when the wait is over, so that those behind it wait longer.
        let begins = now + wait;
        for key in &keys {
            let mut count = self.count(key, now);
            count.failures = count.failures.saturating_add(1);
            count.last = begins;
            count.free_at = begins + self.wait(key, count.failures);
            self.set(key, count, now);
        }
        Turn::After(wait)
    }

    /// The attempt was right: the user's failures are forgotten, the address's other ones stay,
    /// so that a right password of one does not buy guesses at others.
    pub fn succeeded(&mut self, attempt: &Attempt, now: Duration) {
        self.counts.remove(&attempt.user);
        if let Some(source) = &attempt.source {
            self.take_back(source, now);
        }
        let known = Count { known: Some(now), last: now, ..Count::default() };
        self.set(&attempt.pair, known, now);
    }

    /// The attempt was not judged at all.
    pub fn undone(&mut self, attempt: &Attempt, now: Duration) {
        self.take_back(self.own(attempt, now), now);
        if let Some(source) = &attempt.source {
            self.take_back(source, now);
        }
    }

    /// How much is remembered.
    pub fn entries(&self) -> usize {
        self.counts.len()
    }

    /// What an attempt is counted under: where a user is known, guesses elsewhere do not matter.
    fn own<'a>(&self, attempt: &'a Attempt, now: Duration) -> &'a Key {
        let known = self.count(&attempt.pair, now).known;
        let known = known.is_some_and(|at| now.saturating_sub(at) <= self.limits.known);
        if known { &attempt.pair } else { &attempt.user }
    }

    fn take_back(&mut self, key: &Key, now: Duration) {
        let mut count = self.count(key, now);
        if count.failures == 0 {
            return;
        }
        count.failures -= 1;
        let until = count.last + self.wait(key, count.failures);
        count.free_at = count.free_at.min(until);
        if count.failures == 0 && count.known.is_none() {
            self.counts.remove(key);
        } else {
            self.set(key, count, now);
        }
    }

    /// What is remembered, as far as it still counts.
    fn count(&self, key: &Key, now: Duration) -> Count {
        let count = self.counts.get(key).copied().unwrap_or_default();
        if now.saturating_sub(count.last) > self.limits.memory {
            return Count { known: count.known, last: count.last, ..Count::default() };
        }
        count
    }

    fn wait(&self, key: &Key, failures: u32) -> Duration {
        let (free, longest) = match key {
            Key::User(_) | Key::Pair(..) => (self.limits.free_of_user, self.limits.longest_of_user),
            Key::Source(_) => (self.limits.free_of_source, self.limits.longest_of_source),
        };
        let Some(beyond) = failures.checked_sub(free) else { return Duration::ZERO };
        let doubled = 2_u32.saturating_pow(beyond);
        self.limits.first_wait.saturating_mul(doubled).min(longest)
    }

    fn set(&mut self, key: &Key, count: Count, now: Duration) {
        if !self.counts.contains_key(key) && self.counts.len() >= self.limits.entries {
            self.make_room(now);
        }
        self.counts.insert(key.clone(), count);
    }

    /// Forgets what does not count any more; if all counts, what weighs least: whoever fails
    /// often is not forgotten because others fail once. A tenth goes at a time, so that this is
    /// rare.
    fn make_room(&mut self, now: Duration) {
        let (memory, known) = (self.limits.memory, self.limits.known);
        self.counts.retain(|_, count| {
            now.saturating_sub(count.last) <= memory
                || count.known.is_some_and(|at| now.saturating_sub(at) <= known)
        });
        let too_many = (self.counts.len() + 1).saturating_sub(self.limits.entries);
        if too_many == 0 {
            return;
        }
        let mut weights: Vec<_> = self
            .counts
            .iter()
            .map(|(key, count)| (count.failures, count.last, key.clone()))
            .collect();
        weights.sort_unstable();
        let leaving = too_many.max(self.limits.entries / 10);
        for (_, _, key) in weights.into_iter().take(leaving) {
            self.counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn attempt(uid: &str, last: u8) -> Attempt {
        Attempt::new(uid, IpAddr::from([10, 0, 0, last]))
    }

    fn throttle() -> Throttle {
        Throttle::new(Limits::default())
    }

    /// Attempts from `start` on, each as soon as it may begin; the moments they began.
    fn guess(
        throttle: &mut Throttle,
        attempt: &Attempt,
        start: Duration,
        n: usize,
    ) -> Vec<Duration> {
        let mut now = start;
        let mut begun = Vec::new();
        while begun.len() < n {
            match throttle.begin(attempt, now) {
                Turn::After(wait) => {
                    now += wait;
                    begun.push(now);
                }
                Turn::Refused(wait) => now += wait,
            }
        }
        begun
    }

    #[test]
    fn the_delay_grows_up_to_a_limit() {
        let begun = guess(&mut throttle(), &attempt("u", 1), at(0), 16);
        let gaps: Vec<u128> =
            begun.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        assert_eq!(
            gaps,
            [0, 0, 0, 0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000, 30000]
        );
    }

    #[test]
    fn short_waits_are_sat_out_and_long_ones_refused() {
        let mut throttle = throttle();
        let guesser = attempt("u", 1);
        for _ in 0..5 {
            assert_eq!(throttle.begin(&guesser, at(0)), Turn::After(Duration::ZERO));
        }
        assert_eq!(throttle.begin(&guesser, at(0)), Turn::After(Duration::from_millis(500)));
        assert_eq!(throttle.begin(&guesser, at(0)), Turn::After(Duration::from_millis(1500)));
        let Turn::Refused(wait) = throttle.begin(&guesser, at(0)) else { panic!("it went on") };
        assert_eq!(wait, Duration::from_millis(3500));
        // A refused attempt does not make it longer.
        assert_eq!(throttle.begin(&guesser, at(0)), Turn::Refused(wait));
        assert_eq!(throttle.begin(&guesser, at(4)), Turn::After(Duration::ZERO));
    }

    #[test]
    fn success_forgets_the_users_failures_only() {
        let mut throttle = throttle();
        let (mine, other) = (attempt("me", 1), attempt("you", 1));
        guess(&mut throttle, &other, at(0), 4);
        guess(&mut throttle, &mine, at(0), 4);
        throttle.succeeded(&mine, at(1));
        assert_eq!(guess(&mut throttle, &mine, at(1), 5), [at(1); 5]);
        // Twelve failures of the address so far; right passwords in between buy no more.
        for n in 0..8 {
            throttle.begin(&attempt(&format!("v{n}"), 1), at(1));
            throttle.begin(&mine, at(1));
            throttle.succeeded(&mine, at(1));
        }
        assert!(matches!(throttle.begin(&attempt("w", 1), at(1)), Turn::After(w) if !w.is_zero()));
    }

    #[test]
    fn guessing_elsewhere_does_not_lock_a_known_user_out() {
        let mut throttle = throttle();
        let home = attempt("admin", 1);
        throttle.begin(&home, at(0));
        throttle.succeeded(&home, at(0));
        for source in 2..100 {
            throttle.begin(&attempt("admin", source), at(1));
        }
        assert!(matches!(throttle.begin(&attempt("admin", 200), at(1)), Turn::Refused(_)));
        assert_eq!(throttle.begin(&home, at(1)), Turn::After(Duration::ZERO));
        // Also there guesses are counted.
        let begun = guess(&mut throttle, &home, at(2), 8);
        assert!(begun.last() > begun.first());
    }

    #[test]
    fn many_users_from_one_address_are_one_guesser() {
        let mut throttle = throttle();
        let turns: Vec<Turn> =
            (0..40).map(|n| throttle.begin(&attempt(&format!("u{n}"), 1), at(0))).collect();
        assert_eq!(turns[19], Turn::After(Duration::ZERO));
        assert!(matches!(turns[39], Turn::Refused(_)));
        assert_eq!(throttle.begin(&attempt("u", 2), at(0)), Turn::After(Duration::ZERO));
    }

    #[test]
    fn a_network_is_one_source() {
        let of = |text: &str| Attempt::new("u", text.parse().unwrap()).source;
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        let mut throttle = throttle();
        let guesser = attempt("u", 1);
        let last = *guess(&mut throttle, &guesser, at(0), 12).last().unwrap();
        let begun = guess(&mut throttle, &guesser, last + at(901), 5);
        assert_eq!(begun, [last + at(901); 5]);
    }

    #[test]
    fn memory_is_bounded_and_keeps_who_fails_most() {
        let mut throttle = Throttle::new(Limits { entries: 100, ..Limits::default() });
        let guesser = attempt("u", 1);
        guess(&mut throttle, &guesser, at(0), 8);
        for n in 0..5000_u32 {
            let source = IpAddr::from([11, 0, (n >> 8) as u8, n as u8]);
            throttle.begin(&Attempt::new(&format!("v{n}"), source), at(1));
            assert!(throttle.entries() <= 100);
        }
        assert!(matches!(throttle.begin(&guesser, at(1)), Turn::Refused(_)));
    }

    proptest::proptest! {
        /// However attempts are spread over time, in a day nobody gets further than the delays
        /// allow.
        #[test]
        fn guesses_a_day_are_few(steps in proptest::collection::vec(0_u64..200, 400)) {
            let mut throttle = throttle();
            let guesser = attempt("u", 1);
            let mut now = 0;
            let mut guesses = 0_u64;
            for step in steps {
                now += step;
                if matches!(throttle.begin(&guesser, at(now)), Turn::After(_)) {
                    guesses += 1;
                }
            }
            proptest::prop_assert!(guesses <= 15 + now / 30, "{guesses} in {now} s");
        }
    }
}
