//! Hashes of passwords: argon2id for new ones, sha-crypt for those the original wrote.

mod evenly;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use rand::RngCore;
use sha_crypt::ShaCrypt;
use tokio::sync::Semaphore;

pub(crate) use self::evenly::Mix;
use self::evenly::verify_evenly;

/// argon2id with 19 MiB, two passes and one lane: the first choice of OWASP's Password Storage
/// Cheat Sheet.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_BYTES: usize = 16;
/// What hashes that somebody brings may ask for at most: a hash with gigabytes of memory or
/// years of rounds would stop the service at the first login.
const MAX_MEMORY_KIB: u32 = 128 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 8;
/// passlib's `custom_app_context` writes 656,000 rounds.
const MAX_SHA_ROUNDS: u32 = 2_000_000;
/// passlib and the C library write hashes of about 130 characters.
const MAX_HASH_BYTES: usize = 512;
/// The original's rule.
const MIN_PASSWORD_CHARS: usize = 5;
/// sha-crypt reads the whole password in each of its rounds.
const MAX_PASSWORD_BYTES: usize = 512;
/// How many wait for their turn at most; more are turned away at once.
const MAX_WAITING: usize = 128;

/// Why a password or a hash is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("Must be at least 5 characters long.")]
    Short,
    #[error("Must be at most 512 bytes long.")]
    Long,
    #[error("The password hash is none of argon2id, sha512_crypt and sha256_crypt.")]
    UnknownHash,
    #[error("The password hash asks for too much memory or time.")]
    ExpensiveHash,
    #[error("Too many passwords are being checked at the moment.")]
    Busy,
    #[error("The password cannot be hashed.")]
    Failed,
}

/// A hash as it is kept: of a kind that can be verified, with bearable cost.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Stored(String);

/// What came out of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) ok: bool,
    /// The hash is not what would be written today; only ever set when `ok` is.
    pub(crate) rehash: bool,
}

/// Hashes and verifies on threads for blocking work, a few at once.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// Which of the functions a hash was made with.
enum Kind {
    Argon2id,
    Sha,
}

// === impl Stored ===

impl Stored {
    /// Takes a hash, also one made elsewhere.
    pub(crate) fn parse(text: &str) -> Result<Stored, PasswordError> {
        kind(text)?;
        Ok(Stored(text.to_owned()))
    }

    /// What is written to the state.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stored(…)")
    }
}

// === impl Passwords ===

impl Passwords {
    /// One that runs as many computations at once as there are cores, and four at most: each
    /// takes 19 MiB.
    pub(crate) fn new() -> Passwords {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Passwords {
            turns: Arc::new(Semaphore::new(cores.clamp(1, 4))),
            waiting: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: String) -> Result<Stored, PasswordError> {
        check(&password)?;
        self.run(move || hash(&password)).await?
    }

    /// Compares; without a hash (no such user, or one without a password) it says no. What fails
    /// takes the work of all kinds in `mix`.
    pub(crate) async fn verify(
        &self,
        stored: Option<Stored>,
        password: String,
        mix: Arc<Mix>,
    ) -> Result<Verified, PasswordError> {
        self.run(move || verify_evenly(stored.as_ref(), &password, &mix)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Place::take(&self.waiting).ok_or(PasswordError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| PasswordError::Failed)?;
        // The permit goes along: a caller that goes away leaves the thread at work.
        let work = move || {
            let done = work();
            drop((turn, place));
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Failed)
    }
}

/// A place in the queue, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>) -> Option<Place> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(waiting));
        (before < MAX_WAITING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

// === functions ===

/// Whether a new password may be set.
pub(crate) fn check(password: &str) -> Result<(), PasswordError> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::Long);
    }
    // Four bytes a character at most: no need to count far.
    if password.chars().take(MIN_PASSWORD_CHARS).count() < MIN_PASSWORD_CHARS {
        return Err(PasswordError::Short);
    }
    Ok(())
}

/// Hashes a password with argon2id; takes tens of milliseconds and 19 MiB.
pub(crate) fn hash(password: &str) -> Result<Stored, PasswordError> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::Long);
    }
    let mut salt = [0_u8; SALT_BYTES];
    rand::rng().fill_bytes(&mut salt);
    let hashed = argon2id()?.hash_password_with_salt(password.as_bytes(), &salt);
    hashed.map(|hash| Stored(hash.to_string())).map_err(|_| PasswordError::Failed)
}

/// Compares in constant time for one kind of hash.
pub(crate) fn verify(stored: &Stored, password: &str) -> Verified {
    let no = Verified { ok: false, rehash: false };
    if password.len() > MAX_PASSWORD_BYTES {
        return no;
    }
    let Ok(kind) = kind(&stored.0) else { return no };
    let ok = match kind {
        Kind::Argon2id => PasswordHash::new(&stored.0).is_ok_and(|hash| {
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
        }),
        Kind::Sha => ShaCrypt::default().verify_password(password.as_bytes(), &*stored.0).is_ok(),
    };
    Verified { ok, rehash: ok && !stored.0.starts_with(&current_prefix()) }
}

fn argon2id() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn current_prefix() -> String {
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")
}

fn kind(text: &str) -> Result<Kind, PasswordError> {
    if text.len() > MAX_HASH_BYTES {
        return Err(PasswordError::UnknownHash);
    }
    if text.starts_with("$argon2id$") {
        return check_argon2id(text).map(|()| Kind::Argon2id);
    }
    let Some(rest) = text.strip_prefix("$6$").or_else(|| text.strip_prefix("$5$")) else {
        return Err(PasswordError::UnknownHash);
    };
    let characters = if text.starts_with("$6$") { 86 } else { 43 };
    check_sha(rest, characters).map(|()| Kind::Sha)
}

fn check_argon2id(text: &str) -> Result<(), PasswordError> {
    let hash = PasswordHash::new(text).map_err(|_| PasswordError::UnknownHash)?;
    if hash.hash.is_none() || hash.salt.is_none() {
        return Err(PasswordError::UnknownHash);
    }
    let params = Params::try_from(&hash).map_err(|_| PasswordError::UnknownHash)?;
    let cheap = params.m_cost() <= MAX_MEMORY_KIB
        && params.t_cost() <= MAX_PASSES
        && params.p_cost() <= MAX_LANES;
    if cheap { Ok(()) } else { Err(PasswordError::ExpensiveHash) }
}

/// `[rounds=<n>$]<salt>$<digest>`
fn check_sha(rest: &str, characters: usize) -> Result<(), PasswordError> {
    let rest = match rest.strip_prefix("rounds=") {
        None => rest,
        Some(with_rounds) => {
            let (rounds, rest) = with_rounds.split_once('$').ok_or(PasswordError::UnknownHash)?;
            let rounds: u32 = rounds.parse().map_err(|_| PasswordError::UnknownHash)?;
            if rounds > MAX_SHA_ROUNDS {
                return Err(PasswordError::ExpensiveHash);
            }
            rest
        }
    };
    let (salt, digest) = rest.split_once('$').ok_or(PasswordError::UnknownHash)?;
    let alphabet = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/'))
    };
    let good = salt.len() <= 16 && alphabet(salt) && digest.len() == characters && alphabet(digest);
    if good { Ok(()) } else { Err(PasswordError::UnknownHash) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by OpenSSL's `passwd`, in the forms that passlib writes too.
    const SHA512: &str = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u\
                          4OTLiBFdcbYEdFCoEOfaS35inz1";
    const SHA512_ROUNDS: &str = "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0\
                                 sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.";
    const SHA256: &str = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";

    #[test]
    fn what_is_hashed_is_verified_and_nothing_else_is() {
        let stored = hash("correct horse").unwrap();
        assert!(stored.as_str().starts_with(&current_prefix()), "{}", stored.as_str());
        assert_eq!(verify(&stored, "correct horse"), Verified { ok: true, rehash: false });
        assert!(!verify(&stored, "correct horsf").ok);
        assert!(!verify(&stored, "").ok);
        assert_ne!(hash("correct horse").unwrap(), stored, "each hash has a salt of its own");
    }

    #[test]
    fn hashes_of_the_original_are_verified_and_to_be_replaced() {
        for text in [SHA512, SHA256] {
            let stored = Stored::parse(text).unwrap();
            let verified = verify(&stored, "Hello world!");
            assert_eq!(verified, Verified { ok: true, rehash: true }, "{text}");
            assert_eq!(verify(&stored, "Hello world"), Verified { ok: false, rehash: false });
        }
        let stored = Stored::parse(SHA512_ROUNDS).unwrap();
        assert!(verify(&stored, "Hello world!").ok);
    }

    #[test]
    fn weaker_argon2id_is_to_be_replaced() {
        let params = Params::new(8 * 1024, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let text = weak.hash_password_with_salt(b"pass word", b"0123456789abcdef").unwrap();
        let stored = Stored::parse(&text.to_string()).unwrap();
        assert_eq!(verify(&stored, "pass word"), Verified { ok: true, rehash: true });
    }

    #[test]
    fn hashes_that_cannot_be_verified_or_cost_too_much_are_refused() {
        let unknown = [
            "",
            "plain",
            "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
            "$2b$12$EXRkfkdmXn2gzds2SSitu.MW9.gAVqa9eLS1//RYtYCmB1eLHg.9q",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2i$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$YWJjZGVmZ2hpamtsbW5vcA",
            "$6$saltstring$short",
            "$6$rounds=ten$saltstring$svn8",
            "$6$salt$with$dollars",
        ];
        for text in unknown {
            assert_eq!(Stored::parse(text), Err(PasswordError::UnknownHash), "{text}");
        }
        let rounds = SHA512_ROUNDS.replace("10000", "999999999");
        assert_eq!(Stored::parse(&rounds), Err(PasswordError::ExpensiveHash));
        let memory = hash("password").unwrap().as_str().replace("m=19456", "m=4194304");
        assert_eq!(Stored::parse(&memory), Err(PasswordError::ExpensiveHash));
    }

    #[test]
    fn length_of_passwords() {
        assert_eq!(check("1234"), Err(PasswordError::Short));
        assert_eq!(check("12345"), Ok(()));
        assert_eq!(check("äöüß€"), Ok(()), "characters, not bytes");
        assert_eq!(check(&"x".repeat(513)), Err(PasswordError::Long));
        let stored = hash("12345").unwrap();
        assert!(!verify(&stored, &"x".repeat(10_000_000)).ok);
    }

    #[tokio::test]
    async fn too_many_at_once_are_turned_away() {
        let passwords = Passwords::new();
        let places: Vec<_> = (0..MAX_WAITING).map(|_| Place::take(&passwords.waiting)).collect();
        assert!(places.iter().all(Option::is_some));
        let refused = passwords.verify(None, "password".to_owned(), Arc::default()).await;
        assert_eq!(refused, Err(PasswordError::Busy));
        drop(places);
        let verified = passwords.verify(None, "password".to_owned(), Arc::default()).await.unwrap();
        assert!(!verified.ok);
    }
}
