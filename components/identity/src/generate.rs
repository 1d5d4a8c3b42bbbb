//! New RSA keys, which ring cannot make.

use std::convert::Infallible;

use rand::RngCore;
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};

use crate::KeyError;

/// A new key of so many bits, as PKCS#8.
pub(crate) fn rs256(bits: usize) -> Result<Vec<u8>, KeyError> {
    let key = RsaPrivateKey::new(&mut Random, bits).map_err(|_| KeyError::Generate)?;
    let der = key.to_pkcs8_der().map_err(|_| KeyError::Generate)?;
    Ok(der.as_bytes().to_vec())
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
