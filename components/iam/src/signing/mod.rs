//! The keys that tokens are signed with: kept sealed in the cluster's state, the same for every
//! instance, rotated with overlap.

mod generate;
mod schedule;
mod store;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use cluster_state::{ClusterState, StateError};
use identity::{Claims, KeyError, KeySet, SKEW_SECONDS, SigningKey};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::schedule::{KeyFacts, Times};
use self::store::{Loaded, Store};
use crate::clock::Clock;
use crate::sealing::{NodeKey, SealError};

/// The longest sleep between two looks at the clock, which may be set while one sleeps.
const LONGEST_SLEEP: i64 = 60;
/// After an error of the cluster's state.
const RETRY: Duration = Duration::from_secs(1);
/// How often a change is tried against others who change at the same moment.
const TRIES: u32 = 16;
/// More keys than that are not made: each is in every answer of the key set.
const MOST_KEYS: usize = 16;

/// How tokens and their keys live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SigningSettings {
    pub(crate) token_lifetime: Duration,
    /// The longest that somebody may have a token live.
    pub(crate) token_longest: Duration,
    /// How long a new key is published before it signs.
    pub(crate) publish_ahead: Duration,
    /// A key that has signed this long gets a successor by itself.
    pub(crate) rotate_after: Option<Duration>,
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the signing key at {path} is not readable: {reason}")]
    Stored { path: String, reason: String },
    #[error("no RSA key could be made")]
    Generate,
    #[error("there is no key to sign with")]
    NoKey,
    #[error("the token would have expired already")]
    Past,
    #[error("there is no key with this id")]
    UnknownKey,
    #[error("there are {MOST_KEYS} keys already; older ones go when their tokens have expired")]
    TooMany,
    #[error("others change the keys all the time")]
    Contention,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
}

/// All keys at one moment.
#[derive(Debug)]
pub(crate) struct Ring {
    keys: Vec<(KeyFacts, SigningKey)>,
    facts: Vec<KeyFacts>,
    set: KeySet,
}

/// The keys, and who looks after them.
#[derive(Debug)]
pub(crate) struct Keyring {
    store: Store,
    times: Times,
    clock: Clock,
    ring: watch::Sender<Arc<Ring>>,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rotated {
    pub(crate) kid: String,
    pub(crate) signs_from: i64,
}

// === impl Ring ===

impl Ring {
    fn new(keys: Vec<(KeyFacts, SigningKey)>) -> Result<Ring, SigningError> {
        let facts = keys.iter().map(|(facts, _)| facts.clone()).collect();
        let set = KeySet::new(keys.iter().map(|(_, key)| key.public().clone()))?;
        Ok(Ring { keys, facts, set })
    }

    /// What verifies tokens; its JSON is the published key set.
    pub(crate) fn key_set(&self) -> &KeySet {
        &self.set
    }

    fn signer(&self, now: i64) -> Option<&(KeyFacts, SigningKey)> {
        let facts = schedule::signer(&self.facts, now)?;
        self.keys.iter().find(|(other, _)| other.kid == facts.kid)
    }
}

// === impl Keyring ===

impl Keyring {
    /// Reads the keys; makes the first one in a cluster that has none.
    pub(crate) async fn open(
        state: Arc<dyn ClusterState>,
        node_key: Arc<NodeKey>,
        settings: SigningSettings,
        clock: Clock,
    ) -> Result<Arc<Keyring>, SigningError> {
        let times = Times {
            publish_ahead: seconds(settings.publish_ahead),
            rotate_after: settings.rotate_after.map(seconds),
            token_lifetime: seconds(settings.token_lifetime),
            longest: seconds(settings.token_longest.max(settings.token_lifetime)),
            skew: SKEW_SECONDS,
        };
        let store = Store::new(state, node_key);
        let (ring, _) = watch::channel(Arc::new(Ring::new(Vec::new())?));
        let keyring = Keyring { store, times, clock, ring };
        keyring.maintain().await?;
        Ok(Arc::new(keyring))
    }

    /// The keys now, and whenever they change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Ring>> {
        self.ring.subscribe()
    }

    pub(crate) fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.borrow())
    }

    /// A token of `uid`. `requested` is an expiry somebody asked for; 0 asks for the latest.
    pub(crate) fn issue(
        &self,
        uid: &str,
        generation: u64,
        requested: Option<i64>,
    ) -> Result<String, SigningError> {
        let now = self.clock.now();
        let ring = self.ring();
        let (facts, key) = ring.signer(now).ok_or(SigningError::NoKey)?;
        let exp = schedule::expiry(requested, facts, now, &self.times);
        let exp = exp.ok_or(SigningError::Past)?;
        Ok(key.sign(&Claims::new(uid, Some(exp), generation))?)
    }

    /// Makes a successor, which signs once everybody has it.
    pub(crate) async fn rotate(&self) -> Result<Rotated, SigningError> {
        let pkcs8 = generate::rsa_key().await?;
        for _ in 0..TRIES {
            let loaded = self.load().await?;
            if loaded.facts.len() >= MOST_KEYS {
                return Err(SigningError::TooMany);
            }
            let now = self.clock.now();
            let signs_from = schedule::first_turn(&loaded.facts, now, &self.times);
            if let Some(kid) =
                self.store.add(&loaded, &pkcs8, self.facts(now, signs_from), &[]).await?
            {
                self.load().await?;
                return Ok(Rotated { kid, signs_from });
            }
        }
        Err(SigningError::Contention)
    }

    /// Takes a key out at once: what it signed is void. Where it was the one that signs or will
    /// sign, another takes over without announcement.
    pub(crate) async fn revoke(&self, kid: &str) -> Result<(), SigningError> {
        let mut successor = None;
        for _ in 0..TRIES {
            let loaded = self.load().await?;
            if !loaded.facts.iter().any(|facts| facts.kid == kid) {
                return Err(SigningError::UnknownKey);
            }
            let now = self.clock.now();
            let signed = schedule::signer(&loaded.facts, now).is_some_and(|key| key.kid == kid);
            let done = if signed {
                // Never back to an older key: the next one, or a new one.
                if successor.is_none() {
                    successor = Some(generate::rsa_key().await?);
                }
                let pkcs8 = successor.as_deref().unwrap_or_default();
                self.store.add(&loaded, pkcs8, self.facts(now, now), &[kid]).await?.is_some()
            } else {
                self.store.remove(&loaded, &[kid]).await?
            };
            if done {
                self.load().await?;
                return Ok(());
            }
        }
        Err(SigningError::Contention)
    }

    /// Follows the keys and does what is due, until told to stop.
    pub(crate) async fn keep(self: Arc<Keyring>, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let kept = tokio::select! {
                () = shutdown.cancelled() => return,
                kept = self.follow() => kept,
            };
            if let Err(error) = kept {
                tracing::error!(error = &error as &dyn std::error::Error, "signing keys");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn follow(&self) -> Result<(), SigningError> {
        let mut watch = self.store.watch().await?;
        loop {
            self.maintain().await?;
            tokio::select! {
                changes = watch.next() => drop(changes?),
                () = tokio::time::sleep(self.sleep()) => {}
            }
        }
    }

    fn sleep(&self) -> Duration {
        let next = schedule::next_event(&self.ring().facts, &self.times);
        let wait = next.map_or(LONGEST_SLEEP, |at| at.saturating_sub(self.clock.now()));
        Duration::from_secs(wait.clamp(1, LONGEST_SLEEP).unsigned_abs())
    }

    /// Reads the keys, makes one if it is time to, and removes those that are over.
    async fn maintain(&self) -> Result<(), SigningError> {
        let mut new = None;
        for _ in 0..TRIES {
            let loaded = self.load().await?;
            let now = self.clock.now();
            let expired = schedule::expired(&loaded.facts, now, &self.times);
            let expired: Vec<&str> = expired.iter().map(|facts| facts.kid.as_str()).collect();
            let due = schedule::rotation_due(&loaded.facts, now, &self.times);
            let done = if due {
                if new.is_none() {
                    new = Some(generate::rsa_key().await?);
                }
                let signs_from = schedule::first_turn(&loaded.facts, now, &self.times);
                let pkcs8 = new.as_deref().unwrap_or_default();
                self.store
                    .add(&loaded, pkcs8, self.facts(now, signs_from), &expired)
                    .await?
                    .is_some()
            } else if let Some(key) = schedule::too_short(&loaded.facts, now, &self.times) {
                self.store.raise(&loaded, &key.kid, self.times.longest).await?
            } else if expired.is_empty() {
                return Ok(());
            } else {
                self.store.remove(&loaded, &expired).await?
            };
            if done {
                new = None;
            }
        }
        Err(SigningError::Contention)
    }

    /// When a key is made, when it signs, and how long what it signs lives.
    fn facts(&self, created: i64, signs_from: i64) -> (i64, i64, i64) {
        (created, signs_from, self.times.longest)
    }

    /// Reads the keys and shows them to everybody.
    async fn load(&self) -> Result<Loaded, SigningError> {
        let (loaded, keys) = self.store.load().await?;
        let ring = Ring::new(keys)?;
        self.ring.send_if_modified(|current| {
            let changed = current.set != ring.set || current.facts != ring.facts;
            if changed {
                *current = Arc::new(ring);
            }
            changed
        });
        Ok(loaded)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
