//! Slows guessing of passwords: first freely, then with growing delays, then not at all for a
//! while.
//!
//! Pure: the time comes in. An attempt counts as failed from the moment it begins, so that a
//! thousand at once are a thousand; success takes it back. What is counted does not depend on
//! whether the user exists.
//!
//! Each kind of thing has a table of its own, so that whoever fills one does not empty another:
//! above all not the places where users are known, which only right passwords get into.

mod counts;
mod known;

use std::net::IpAddr;
use std::time::Duration;

use self::counts::{Counts, Pace};
use self::known::Known;

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
    /// Places where one user is known at once.
    pub places_of_user: usize,
    /// Users, addresses, and services that are remembered, of each.
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
            places_of_user: 16,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    kind: Kind,
    uid: String,
    source: IpAddr,
    /// Of passwords: where it began the user was known, and there it was counted.
    at_home: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Password,
    Service,
    Provider,
}

/// Remembers failed attempts.
#[derive(Debug)]
pub struct Throttle {
    patience: Duration,
    users: Counts<String>,
    sources: Counts<IpAddr>,
    services: Counts<(String, IpAddr)>,
    providers: Counts<IpAddr>,
    known: Known,
}

// === impl Attempt ===

impl Attempt {
    /// Of a password. Addresses of one network of IPv6 are one source: whoever has one has them
    /// all.
    pub fn new(uid: &str, source: IpAddr) -> Attempt {
        let uid = uid.chars().take(96).collect();
        Attempt { kind: Kind::Password, uid, source: network(source), at_home: false }
    }

    /// Of a service. Signatures are not guessed; what is slowed down is an account that fails
    /// over and over, and nobody else on its machine.
    pub fn of_service(uid: &str, source: IpAddr) -> Attempt {
        Attempt { kind: Kind::Service, ..Attempt::new(uid, source) }
    }

    /// Of a login at a provider, whose user is known only when it succeeded.
    pub fn of_provider(source: IpAddr) -> Attempt {
        Attempt { kind: Kind::Provider, ..Attempt::new("", source) }
    }

    fn service(&self) -> (String, IpAddr) {
        (self.uid.clone(), self.source)
    }
}

/// What counts as one source.
pub(crate) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}

// === impl Throttle ===

impl Throttle {
    pub fn new(limits: Limits) -> Throttle {
        let pace =
            |free, longest| Pace { free, longest, first: limits.first_wait, memory: limits.memory };
        let of_user = pace(limits.free_of_user, limits.longest_of_user);
        let of_source = pace(limits.free_of_source, limits.longest_of_source);
        // Those who only share the address with whoever fails wait no longer than a user does.
        let of_provider = pace(limits.free_of_source, limits.longest_of_user);
        Throttle {
            patience: limits.patience,
            users: Counts::new(of_user, limits.entries),
            sources: Counts::new(of_source, limits.entries),
            services: Counts::new(of_user, limits.entries),
            providers: Counts::new(of_provider, limits.entries),
            known: Known::new(of_user, limits.known, limits.entries, limits.places_of_user),
        }
    }

    /// Begins an attempt at `now`, the time since some beginning. One that may go on counts as
    /// failed until [`Throttle::succeeded`] or [`Throttle::undone`] says otherwise.
    ///
    /// Where a user is known, neither guesses elsewhere matter nor others' guesses from there.
    pub fn begin(&mut self, attempt: &mut Attempt, now: Duration) -> Turn {
        let (uid, source) = (&attempt.uid, attempt.source);
        attempt.at_home = attempt.kind == Kind::Password && self.known.has(uid, source, now);
        let free_at = match attempt.kind {
            Kind::Password if attempt.at_home => self.known.free_at(uid, source, now),
            Kind::Password => self.users.free_at(uid, now).max(self.sources.free_at(&source, now)),
            Kind::Service => self.services.free_at(&attempt.service(), now),
            Kind::Provider => self.providers.free_at(&source, now),
        };
        let wait = free_at.saturating_sub(now);
        if wait > self.patience {
            return Turn::Refused(wait);
        }
        // What has to wait begins when the wait is over, so that those behind it wait longer.
        let begins = now + wait;
        match attempt.kind {
            Kind::Password if attempt.at_home => self.known.failed(uid, source, begins, now),
            Kind::Password => {
                self.users.failed(uid.clone(), begins, now);
                self.sources.failed(source, begins, now);
            }
            Kind::Service => self.services.failed(attempt.service(), begins, now),
            Kind::Provider => self.providers.failed(source, begins, now),
        }
        Turn::After(wait)
    }

    /// The attempt was right: the user's failures are forgotten, the address's other ones stay,
    /// so that a right password of one does not buy guesses at others.
    pub fn succeeded(&mut self, attempt: &Attempt, now: Duration) {
        match attempt.kind {
            Kind::Password => {
                self.users.forget(&attempt.uid);
                if !attempt.at_home {
                    self.sources.take_back(&attempt.source, now);
                }
                self.known.note(&attempt.uid, attempt.source, now);
            }
            Kind::Service => self.services.forget(&attempt.service()),
            Kind::Provider => self.providers.take_back(&attempt.source, now),
        }
    }

    /// The attempt was not judged at all.
    pub fn undone(&mut self, attempt: &Attempt, now: Duration) {
        match attempt.kind {
            Kind::Password if attempt.at_home => {
                self.known.take_back(&attempt.uid, attempt.source, now);
            }
            Kind::Password => {
                self.users.take_back(&attempt.uid, now);
                self.sources.take_back(&attempt.source, now);
            }
            Kind::Service => self.services.take_back(&attempt.service(), now),
            Kind::Provider => self.providers.take_back(&attempt.source, now),
        }
    }

    /// How much is remembered of failures.
    pub fn entries(&self) -> usize {
        self.users.len() + self.sources.len() + self.services.len() + self.providers.len()
    }
}

#[cfg(test)]
mod tests;
