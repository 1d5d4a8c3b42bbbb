//! Keys and forged tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::{KeySet, SigningKey};
use jsonwebtoken::{Algorithm, EncodingKey};

pub(crate) const RSA: &str = include_str!("keys/rsa.pem");
pub(crate) const RSA_PUBLIC: &str = include_str!("keys/rsa.pub.pem");
pub(crate) const EC: &str = include_str!("keys/ec.pem");
pub(crate) const EC_PUBLIC: &str = include_str!("keys/ec.pub.pem");

/// A moment that the tests call now.
pub(crate) const NOW: i64 = 1_700_000_000;

pub(crate) fn rsa() -> SigningKey {
    SigningKey::from_pem(RSA).unwrap()
}

pub(crate) fn ec() -> SigningKey {
    SigningKey::from_pem(EC).unwrap()
}

/// The public keys of both.
pub(crate) fn keys() -> KeySet {
    KeySet::new([rsa().public().clone(), ec().public().clone()]).unwrap()
}

pub(crate) fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token with any header and payload, truly signed by the RSA key.
pub(crate) fn forge(header: &str, payload: &str) -> String {
    sign(&format!("{}.{}", encode(header), encode(payload)), Algorithm::RS256)
}

/// As [`forge`], by the EC key.
pub(crate) fn forge_ec(header: &str, payload: &str) -> String {
    sign(&format!("{}.{}", encode(header), encode(payload)), Algorithm::ES256)
}

pub(crate) fn sign(message: &str, algorithm: Algorithm) -> String {
    identity::provider::install();
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(RSA.as_bytes()).unwrap(),
        _ => EncodingKey::from_ec_pem(EC.as_bytes()).unwrap(),
    };
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// A header that is as it should be, of the RSA key.
pub(crate) fn header() -> String {
    format!(r#"{{"alg":"RS256","typ":"JWT","kid":"{}"}}"#, rsa().kid())
}
