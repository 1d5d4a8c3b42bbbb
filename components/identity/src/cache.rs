//! Tokens that were verified before, for one thread.

use crate::{Claims, KeySet, PublicKey, TokenError};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Places that one hash may take.
const WAYS: usize = 4;

/// A bounded memory of verified tokens.
///
/// An entry counts only while the key set has the very key that the token was verified with,
/// and its times are checked on each use. The hash is keyed, so that nobody can choose tokens
/// that displace those of others; the whole token is compared.
pub struct TokenCache {
    sets: Vec<[Option<Entry>; WAYS]>,
    hasher: RandomState,
    next: usize,
}

struct Entry {
    hash: u64,
    token: Box<str>,
    claims: Arc<Claims>,
    key: Arc<PublicKey>,
}

impl TokenCache {
    /// A cache of at least `capacity` tokens.
    pub fn new(capacity: usize) -> TokenCache {
        let sets = capacity.div_ceil(WAYS).max(1).next_power_of_two();
        let sets = (0..sets).map(|_| [const { None }; WAYS]).collect();
        TokenCache { sets, hasher: RandomState::new(), next: 0 }
    }

    /// As [`KeySet::verify`], from memory where it can be.
    pub fn verify(
        &mut self,
        keys: &KeySet,
        token: &str,
        now_unix: i64,
    ) -> Result<Arc<Claims>, TokenError> {
        let hash = self.hasher.hash_one(token);
        let mask = self.sets.len() as u64 - 1;
        #[allow(clippy::cast_possible_truncation, reason = "masked to the number of sets")]
        let Some(set) = self.sets.get_mut((hash & mask) as usize) else {
            return keys.verify(token, now_unix).map(Arc::new);
        };
        let found = set.iter_mut().find(|place| place.as_ref().is_some_and(|e| e.is(hash, token)));
        if let Some(place) = found {
            if let Some(entry) = place.as_ref().filter(|entry| entry.counts(keys)) {
                entry.claims.check_time(now_unix)?;
                return Ok(entry.claims.clone());
            }
            *place = None;
        }
        let (claims, key) = keys.verify_with_key(token, now_unix)?;
        let claims = Arc::new(claims);
        let entry = Entry { hash, token: token.into(), claims: claims.clone(), key };
        self.next = self.next.wrapping_add(1);
        let free = set.iter().position(Option::is_none).unwrap_or(self.next % WAYS);
        if let Some(place) = set.get_mut(free) {
            *place = Some(entry);
        }
        Ok(claims)
    }
}

impl Entry {
    fn is(&self, hash: u64, token: &str) -> bool {
        self.hash == hash && *self.token == *token
    }

    fn counts(&self, keys: &KeySet) -> bool {
        let current = keys.get(self.key.kid());
        current.is_some_and(|key| Arc::ptr_eq(key, &self.key) || **key == *self.key)
    }
}
