//! Failing takes the same work, whatever kind of hash the user has, and whether there is a user:
//! each kind that the state has is computed once.

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;

use super::{LANES, MEMORY_KIB, PASSES, Stored, Verified, verify};

/// Kinds beside today's that are made up for; each more makes every failed login longer.
const MOST: usize = 3;
/// What a hash that says nothing of rounds has.
const DEFAULT_ROUNDS: u32 = 5000;

/// What it takes to compute a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cost {
    Argon2id { memory: u32, passes: u32, lanes: u32 },
    Sha256 { rounds: u32 },
    Sha512 { rounds: u32 },
}

/// The kinds of hashes that there are: today's, and the most expensive others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mix(Vec<Cost>);

// === impl Cost ===

impl Cost {
    const TODAY: Cost = Cost::Argon2id { memory: MEMORY_KIB, passes: PASSES, lanes: LANES };

    pub(super) fn of(stored: &str) -> Option<Cost> {
        if stored.starts_with("$argon2id$") {
            let hash = PasswordHash::new(stored).ok()?;
            let params = Params::try_from(&hash).ok()?;
            let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
            return Some(Cost::Argon2id { memory, passes, lanes });
        }
        let rounds = |rest: &str| match rest.strip_prefix("rounds=") {
            Some(rest) => rest.split('$').next().and_then(|rounds| rounds.parse().ok()),
            None => Some(DEFAULT_ROUNDS),
        };
        if let Some(rest) = stored.strip_prefix("$5$") {
            return Some(Cost::Sha256 { rounds: rounds(rest)? });
        }
        Some(Cost::Sha512 { rounds: rounds(stored.strip_prefix("$6$")?)? })
    }

    /// About as many half microseconds.
    fn weight(self) -> u64 {
        match self {
            Cost::Argon2id { memory, passes, .. } => u64::from(memory) * u64::from(passes),
            Cost::Sha256 { rounds } | Cost::Sha512 { rounds } => rounds.into(),
        }
    }

    /// A hash of a password that nobody knows.
    pub(super) fn nobodys(self) -> Stored {
        Stored(match self {
            Cost::Argon2id { memory, passes, lanes } => format!(
                "$argon2id$v=19$m={memory},t={passes},p={lanes}$ZGFpcy1ub2JvZHktMDAx$\
                 2Wq0Zg1e2Y5o6v5V0m5zq9rJrj2k1u2b3c4d5e6f7g8"
            ),
            Cost::Sha256 { rounds } => {
                format!("$5$rounds={rounds}$daisnobodynobody${}", ".".repeat(43))
            }
            Cost::Sha512 { rounds } => {
                format!("$6$rounds={rounds}$daisnobodynobody${}", ".".repeat(86))
            }
        })
    }
}

// === impl Mix ===

impl Default for Mix {
    fn default() -> Mix {
        Mix(vec![Cost::TODAY])
    }
}

impl Mix {
    /// Of these hashes.
    pub(crate) fn of<'a>(hashes: impl Iterator<Item = &'a str>) -> Mix {
        let today = super::current_prefix();
        let mut others: Vec<Cost> =
            hashes.filter(|hash| !hash.starts_with(&today)).filter_map(Cost::of).collect();
        others.sort_unstable_by_key(|cost| (std::cmp::Reverse(cost.weight()), *cost));
        others.dedup();
        others.retain(|cost| *cost != Cost::TODAY);
        others.truncate(MOST);
        Mix(std::iter::once(Cost::TODAY).chain(others).collect())
    }

    /// What is still to be computed after one of them, or none.
    pub(super) fn rest(&self, done: Option<Cost>) -> impl Iterator<Item = Cost> {
        self.0.iter().copied().filter(move |cost| Some(*cost) != done)
    }
}

/// Compares; what fails takes the work of each kind of hash. Without a hash (no such user, or one
/// without a password) it says no.
pub(super) fn verify_evenly(stored: Option<&Stored>, password: &str, mix: &Mix) -> Verified {
    if let Some(stored) = stored {
        let verified = verify(stored, password);
        if verified.ok {
            return verified;
        }
    }
    for cost in mix.rest(stored.and_then(|stored| Cost::of(&stored.0))) {
        std::hint::black_box(verify(&cost.nobodys(), password));
    }
    Verified { ok: false, rehash: false }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    fn kinds() -> Vec<Stored> {
        let weak = Cost::Argon2id { memory: 8192, passes: 1, lanes: 1 };
        [Cost::TODAY, weak, Cost::Sha512 { rounds: 10_000 }, Cost::Sha256 { rounds: 5000 }]
            .map(Cost::nobodys)
            .to_vec()
    }

    #[test]
    fn failing_is_the_same_work_for_everybody() {
        let kinds = kinds();
        let mix = Mix::of(kinds.iter().map(Stored::as_str));
        let work = |stored: Option<&Stored>| {
            let own = stored.map(|stored| Cost::of(stored.as_str()).unwrap());
            let mut all: Vec<Cost> = mix.rest(own).chain(own).collect();
            all.sort_unstable();
            all
        };
        let nobodys = work(None);
        assert_eq!(nobodys.len(), 4);
        for stored in &kinds {
            assert_eq!(work(Some(stored)), nobodys, "{}", stored.as_str());
            assert!(!verify_evenly(Some(stored), "a password", &mix).ok);
        }
        assert!(!verify_evenly(None, "a password", &mix).ok);
        let right = super::super::hash("a password").unwrap();
        assert!(verify_evenly(Some(&right), "a password", &mix).ok);
    }

    #[test]
    fn hashes_of_nobody_are_computed_and_not_refused_before() {
        for stored in kinds() {
            let text = stored.as_str();
            assert!(Stored::parse(text).is_ok(), "{text}");
            let error = if text.starts_with("$argon2id$") {
                let hash = PasswordHash::new(text).unwrap();
                argon2::Argon2::default().verify_password(b"x", &hash).unwrap_err()
            } else {
                sha_crypt::ShaCrypt::default().verify_password(b"x", text).unwrap_err()
            };
            assert_eq!(error, argon2::password_hash::Error::PasswordInvalid, "{text}");
        }
        assert_eq!(Cost::of("$6$salt$x"), Some(Cost::Sha512 { rounds: DEFAULT_ROUNDS }));
    }

    #[test]
    fn the_most_expensive_kinds_count() {
        let hashes: Vec<Stored> =
            (1..100).map(|n| Cost::Sha512 { rounds: n * 1000 }.nobodys()).collect();
        let mix = Mix::of(hashes.iter().map(Stored::as_str));
        let expected = [99_000, 98_000, 97_000].map(|rounds| Cost::Sha512 { rounds });
        assert_eq!(mix.0, [&[Cost::TODAY][..], &expected].concat());
        assert_eq!(Mix::of(std::iter::empty()), Mix::default());
    }
}
