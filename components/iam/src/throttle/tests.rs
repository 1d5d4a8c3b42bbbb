//! Guessing, being known, and bounds.

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

/// As [`Throttle::begin`], for an attempt whose end does not matter.
fn begin(throttle: &mut Throttle, attempt: &Attempt, now: Duration) -> Turn {
    throttle.begin(&mut attempt.clone(), now)
}

/// An attempt that was right.
fn right(throttle: &mut Throttle, attempt: &Attempt, now: Duration) {
    let mut attempt = attempt.clone();
    throttle.begin(&mut attempt, now);
    throttle.succeeded(&attempt, now);
}

/// Attempts from `start` on, each as soon as it may begin; the moments they began.
fn guess(throttle: &mut Throttle, attempt: &Attempt, start: Duration, n: usize) -> Vec<Duration> {
    let mut now = start;
    let mut begun = Vec::new();
    while begun.len() < n {
        match begin(throttle, attempt, now) {
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
    let gaps: Vec<u128> = begun.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
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
        assert_eq!(begin(&mut throttle, &guesser, at(0)), Turn::After(Duration::ZERO));
    }
    assert_eq!(begin(&mut throttle, &guesser, at(0)), Turn::After(Duration::from_millis(500)));
    assert_eq!(begin(&mut throttle, &guesser, at(0)), Turn::After(Duration::from_millis(1500)));
    let Turn::Refused(wait) = begin(&mut throttle, &guesser, at(0)) else { panic!("it went on") };
    assert_eq!(wait, Duration::from_millis(3500));
    // A refused attempt does not make it longer.
    assert_eq!(begin(&mut throttle, &guesser, at(0)), Turn::Refused(wait));
    assert_eq!(begin(&mut throttle, &guesser, at(4)), Turn::After(Duration::ZERO));
}

#[test]
fn success_forgets_the_users_failures_only() {
    let mut throttle = throttle();
    let (mine, other) = (attempt("me", 1), attempt("you", 1));
    guess(&mut throttle, &other, at(0), 4);
    guess(&mut throttle, &mine, at(0), 4);
    throttle.succeeded(&mine, at(1));
    assert_eq!(guess(&mut throttle, &mine, at(1), 5), [at(1); 5]);
    // Seven failures of the address so far, but for those where the user is known; right passwords in between buy no more.
    for n in 0..13 {
        begin(&mut throttle, &attempt(&format!("v{n}"), 1), at(1));
        right(&mut throttle, &mine, at(1));
    }
    assert!(
        matches!(begin(&mut throttle, &attempt("w", 1), at(1)), Turn::After(w) if !w.is_zero())
    );
}

#[test]
fn guessing_elsewhere_does_not_lock_a_known_user_out() {
    let mut throttle = throttle();
    let home = attempt("admin", 1);
    right(&mut throttle, &home, at(0));
    for source in 2..100 {
        begin(&mut throttle, &attempt("admin", source), at(1));
    }
    assert!(matches!(begin(&mut throttle, &attempt("admin", 200), at(1)), Turn::Refused(_)));
    assert_eq!(begin(&mut throttle, &home, at(1)), Turn::After(Duration::ZERO));
    // Also there guesses are counted.
    let begun = guess(&mut throttle, &home, at(2), 8);
    assert!(begun.last() > begun.first());
}

#[test]
fn many_users_from_one_address_are_one_guesser() {
    let mut throttle = throttle();
    let turns: Vec<Turn> =
        (0..40).map(|n| begin(&mut throttle, &attempt(&format!("u{n}"), 1), at(0))).collect();
    assert_eq!(turns[19], Turn::After(Duration::ZERO));
    assert!(matches!(turns[39], Turn::Refused(_)));
    assert_eq!(begin(&mut throttle, &attempt("u", 2), at(0)), Turn::After(Duration::ZERO));
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
        begin(&mut throttle, &Attempt::new(&format!("v{n}"), source), at(1));
        assert!(throttle.users.len() <= 100 && throttle.sources.len() <= 100);
    }
    assert!(matches!(begin(&mut throttle, &guesser, at(1)), Turn::Refused(_)));
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
            if matches!(begin(&mut throttle, &guesser, at(now)), Turn::After(_)) {
                guesses += 1;
            }
        }
        proptest::prop_assert!(guesses <= 15 + now / 30, "{guesses} in {now} s");
    }
}

/// An attempt from somewhere else each time.
fn from_anywhere(n: u32, make: impl Fn(&str, IpAddr) -> Attempt) -> Attempt {
    let [_, high, middle, low] = n.to_be_bytes();
    make(&format!("v{n}"), IpAddr::from([11, high, middle, low]))
}

#[test]
fn neither_services_nor_guesses_make_a_known_place_forgotten() {
    let mut throttle = throttle();
    let home = attempt("admin", 1);
    right(&mut throttle, &home, at(0));
    for n in 0..30_000 {
        begin(&mut throttle, &from_anywhere(n, Attempt::of_service), at(1));
        begin(&mut throttle, &from_anywhere(n, Attempt::new), at(1));
    }
    for source in 2..100 {
        begin(&mut throttle, &attempt("admin", source), at(1));
    }
    assert!(matches!(begin(&mut throttle, &attempt("admin", 200), at(1)), Turn::Refused(_)));
    assert_eq!(begin(&mut throttle, &home, at(1)), Turn::After(Duration::ZERO));
}

#[test]
fn others_on_the_same_machine_do_not_lock_a_known_user_out() {
    let mut throttle = throttle();
    let home = attempt("admin", 1);
    right(&mut throttle, &home, at(0));
    for n in 0..100 {
        begin(&mut throttle, &attempt(&format!("v{n}"), 1), at(1));
    }
    assert!(matches!(begin(&mut throttle, &attempt("w", 1), at(1)), Turn::Refused(_)));
    assert_eq!(begin(&mut throttle, &home, at(1)), Turn::After(Duration::ZERO));
}

#[test]
fn first_logins_at_once_are_no_failures_of_the_address() {
    let mut throttle = throttle();
    let mut all: Vec<Attempt> = (0..4).map(|_| attempt("me", 1)).collect();
    for attempt in &mut all {
        throttle.begin(attempt, at(0));
    }
    for attempt in &all {
        throttle.succeeded(attempt, at(0));
    }
    assert_eq!(throttle.entries(), 0);
}

#[test]
fn one_user_does_not_take_the_places_of_others() {
    let mut throttle = throttle();
    let home = attempt("admin", 1);
    right(&mut throttle, &home, at(0));
    for n in 0..30_000 {
        right(&mut throttle, &from_anywhere(n, |_, from| Attempt::new("me", from)), at(1));
    }
    assert!(throttle.known.has("admin", home.source, at(1)));
    let last = from_anywhere(29_999, Attempt::new).source;
    let first = from_anywhere(0, Attempt::new).source;
    assert!(throttle.known.has("me", last, at(1)) && !throttle.known.has("me", first, at(1)));
}

#[test]
fn users_who_are_known_are_bounded_and_the_latest_stay() {
    let limits = Limits { entries: 100, ..Limits::default() };
    let mut throttle = Throttle::new(limits);
    for n in 0..1000 {
        right(&mut throttle, &from_anywhere(n, Attempt::new), at(u64::from(n)));
    }
    let known = |n| {
        let attempt = from_anywhere(n, Attempt::new);
        throttle.known.has(&attempt.uid, attempt.source, at(1000))
    };
    assert!((910..1000).all(known) && !(0..900).any(known));
    assert!(!throttle.known.has("v999", from_anywhere(999, Attempt::new).source, at(100_000)));
}
