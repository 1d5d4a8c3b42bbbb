//! New RSA keys.

use std::convert::Infallible;

use rand::RngCore;
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};

use super::SigningError;

/// As the original's.
const BITS: usize = 2048;

/// A new key as PKCS#8; the search for primes takes up to a second of a core, on a thread for
/// blocking work.
pub(super) async fn rsa_key() -> Result<Vec<u8>, SigningError> {
    let made = tokio::task::spawn_blocking(|| {
        let key = RsaPrivateKey::new(&mut Random, BITS).map_err(|_| SigningError::Generate)?;
        let der = key.to_pkcs8_der().map_err(|_| SigningError::Generate)?;
        Ok(der.as_bytes().to_vec())
    });
    made.await.map_err(|_| SigningError::Generate)?
}

/// The generator of `rand`, in the form of the version that `rsa` asks for.
struct Random;

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(rand::rng().next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(rand::rng().next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        rand::rng().fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Random {}
