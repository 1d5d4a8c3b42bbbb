//! HTTP's basic authentication, against a hash of crypt's.
//!
//! A hash takes milliseconds to compare, by design. What was right, or wrong, is remembered by a
//! keyed hash of the credentials, and few are compared at once.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustc_hash::FxHashMap;
use sha_crypt::{PasswordVerifier, ShaCrypt};
use tokio::sync::Semaphore;

use crate::labels::Auth;

/// Longer credentials are nobody's.
const LONGEST: usize = 1024;
/// Credentials that are remembered.
const MOST: usize = 1024;
/// Compared at once, for all services together.
static TURNS: Semaphore = Semaphore::const_new(2);
/// Requests that wait for that; more are turned away.
static WAITING: Semaphore = Semaphore::const_new(64);

/// One user's password.
pub(crate) struct Passwords {
    auth: Auth,
    keys: [RandomState; 2],
    known: Mutex<FxHashMap<[u64; 2], bool>>,
}

/// What is known of credentials without comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Right,
    Wrong,
    Unknown,
}

// === impl Passwords ===

impl Passwords {
    pub(crate) fn new(auth: &Auth) -> Passwords {
        let keys = [RandomState::new(), RandomState::new()];
        Passwords { auth: auth.clone(), keys, known: Mutex::default() }
    }

    pub(crate) fn realm(&self) -> &str {
        &self.auth.realm
    }

    /// Looks at the value of an `Authorization` header.
    pub(crate) fn look(&self, value: Option<&[u8]>) -> Known {
        let Some(value) = value.filter(|value| value.len() <= LONGEST) else {
            return Known::Wrong;
        };
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&self.key(value)) {
            Some(true) => Known::Right,
            Some(false) => Known::Wrong,
            None => Known::Unknown,
        }
    }

    /// Compares. None while too many others do.
    pub(crate) async fn check(self: &Arc<Passwords>, value: Vec<u8>) -> Option<bool> {
        let key = self.key(&value);
        let Some(password) = self.password(&value) else {
            self.remember(key, false);
            return Some(false);
        };
        let place = WAITING.try_acquire().ok()?;
        let turn = TURNS.acquire().await.ok()?;
        drop(place);
        let this = Arc::clone(self);
        let work = move || {
            // The permit is held until the thread is free, whoever waits for it.
            let right = ShaCrypt::default().verify_password(&password, &*this.auth.hash).is_ok();
            drop(turn);
            right
        };
        let right = tokio::task::spawn_blocking(work).await.ok()?;
        self.remember(key, right);
        Some(right)
    }

    /// The password, if the credentials are of this user.
    fn password(&self, value: &[u8]) -> Option<Vec<u8>> {
        let (scheme, rest) = value.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let plain = STANDARD.decode(rest.trim_ascii()).ok()?;
        let colon = plain.iter().position(|byte| *byte == b':')?;
        let (user, password) = plain.split_at_checked(colon)?;
        (user == self.auth.user.as_bytes()).then(|| password.get(1..).unwrap_or_default().to_vec())
    }

    fn key(&self, value: &[u8]) -> [u64; 2] {
        self.keys.each_ref().map(|key| key.hash_one(value))
    }

    fn remember(&self, key: [u64; 2], right: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            // Whoever guesses drives nobody out who knows.
            known.retain(|_, right| *right);
        }
        if known.len() < MOST || right {
            known.insert(key, right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of "geheim", with few rounds.
    const HASH: &str = "$6$rounds=1000$saltsalt$";

    fn passwords(password: &str) -> Arc<Passwords> {
        use sha_crypt::CustomizedPasswordHasher;
        let _ = HASH;
        let params = sha_crypt::Params::new(1000).unwrap();
        let hash = ShaCrypt::default()
            .hash_password_with_params(password.as_bytes(), b"saltsalt", params)
            .unwrap();
        let auth = Auth { realm: "r".into(), user: "joe".into(), hash: hash.as_str().into() };
        Arc::new(Passwords::new(&auth))
    }

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[tokio::test]
    async fn who_knows_the_password_gets_in_and_is_remembered() {
        let passwords = passwords("geheim");
        let right = basic("joe:geheim");
        assert_eq!(passwords.look(Some(&right)), Known::Unknown);
        assert_eq!(passwords.check(right.clone()).await, Some(true));
        assert_eq!(passwords.look(Some(&right)), Known::Right);
        for wrong in ["joe:geheim2", "joe:", "jo:geheim", "joe", ""] {
            assert_eq!(passwords.check(basic(wrong)).await, Some(false), "{wrong}");
            assert_eq!(passwords.look(Some(&basic(wrong))), Known::Wrong);
        }
        assert_eq!(passwords.check(b"Bearer x".to_vec()).await, Some(false));
        assert_eq!(passwords.look(None), Known::Wrong);
        assert_eq!(passwords.look(Some(&[b'x'; LONGEST + 1])), Known::Wrong);
    }

    #[test]
    fn whoever_guesses_fills_no_memory() {
        let passwords = passwords("x");
        passwords.remember([0, 0], true);
        for guess in 1..10_000 {
            passwords.remember([guess, 0], false);
        }
        let known = passwords.known.lock().unwrap();
        assert!(known.len() <= MOST && known.get(&[0, 0]) == Some(&true));
    }
}
