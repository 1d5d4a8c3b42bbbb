//! Public keys: from JWK and PEM, to both, and their ids.

use crate::KeyError;
use crate::der::{self, Reader};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value, json};
use std::fmt;

/// How tokens are signed. A key has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    RS256,
    ES256,
}

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RS256 => "RS256",
            Algorithm::ES256 => "ES256",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::RS256),
            "ES256" => Some(Algorithm::ES256),
            _ => None,
        }
    }

    pub(crate) fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    /// Both without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// The point as `04 x y`.
    P256 { point: [u8; 65] },
}

/// A key that signatures are checked with.
#[derive(Clone)]
pub struct PublicKey {
    kid: String,
    material: Material,
    decoding: DecodingKey,
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &PublicKey) -> bool {
        self.kid == other.kid && self.material == other.material
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm().name(), self.kid)
    }
}

// === making ===

impl PublicKey {
    /// From modulus and exponent, big-endian.
    pub(crate) fn rsa(n: &[u8], e: &[u8]) -> Result<PublicKey, KeyError> {
        let n = without_zeros(n);
        let e = without_zeros(e);
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
        // ring takes exponents of at most 33 bits.
        if !(2048..=8192).contains(&bits) || !odd(n) || !odd(e) || e == [1] || e.len() > 5 {
            return Err(KeyError::Weak);
        }
        let decoding = DecodingKey::from_rsa_raw_components(n, e);
        let material = Material::Rsa { n: n.to_vec(), e: e.to_vec() };
        Ok(PublicKey { kid: fingerprint(&material), material, decoding })
    }

    /// From an uncompressed point of P-256.
    pub(crate) fn p256(point: &[u8]) -> Result<PublicKey, KeyError> {
        let point: [u8; 65] = point.try_into().map_err(|_| KeyError::Malformed)?;
        if point.first() != Some(&4) {
            return Err(KeyError::Malformed);
        }
        let decoding = DecodingKey::from_ec_der(&point);
        let material = Material::P256 { point };
        Ok(PublicKey { kid: fingerprint(&material), material, decoding })
    }

    /// From `-----BEGIN PUBLIC KEY-----` (SubjectPublicKeyInfo), RSA or EC P-256; of RSA also
    /// `-----BEGIN RSA PUBLIC KEY-----`.
    pub fn from_pem(text: &str) -> Result<PublicKey, KeyError> {
        let (label, content) = der::pem(text)?;
        match label {
            "PUBLIC KEY" => PublicKey::from_spki(&content),
            "RSA PUBLIC KEY" => rsa_public_key(&content),
            _ => Err(KeyError::Pem),
        }
    }

    fn from_spki(content: &[u8]) -> Result<PublicKey, KeyError> {
        let mut outer = Reader::new(content);
        let mut info = Reader::new(outer.expect(der::SEQUENCE)?);
        outer.end()?;
        let mut algorithm = Reader::new(info.expect(der::SEQUENCE)?);
        let bits = info.bits()?;
        info.end()?;
        match algorithm.expect(der::OID)? {
            der::RSA_ENCRYPTION => {
                if !algorithm.is_empty() {
                    algorithm.expect(der::NULL)?;
                }
                algorithm.end()?;
                rsa_public_key(bits)
            }
            der::EC_PUBLIC_KEY => {
                if algorithm.expect(der::OID)? != der::P256 {
                    return Err(KeyError::Unsupported);
                }
                algorithm.end()?;
                PublicKey::p256(bits)
            }
            _ => Err(KeyError::Unsupported),
        }
    }

    /// From a JSON Web Key. Without `kid` the key gets its fingerprint as id.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<PublicKey, KeyError> {
        let text = |name: &str| match jwk.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(KeyError::Malformed),
        };
        if text("use")?.is_some_and(|usage| usage != "sig") {
            return Err(KeyError::Unsupported);
        }
        let number = |name: &str| {
            let encoded = text(name)?.ok_or(KeyError::Malformed)?;
            URL_SAFE_NO_PAD.decode(encoded).map_err(|_| KeyError::Malformed)
        };
        let mut key = match text("kty")? {
            Some("RSA") => PublicKey::rsa(&number("n")?, &number("e")?)?,
            Some("EC") if text("crv")? == Some("P-256") => {
                let point = [&[4][..], &number("x")?, &number("y")?].concat();
                PublicKey::p256(&point)?
            }
            None => return Err(KeyError::Malformed),
            Some(_) => return Err(KeyError::Unsupported),
        };
        if text("alg")?.is_some_and(|name| name != key.algorithm().name()) {
            return Err(KeyError::Unsupported);
        }
        if let Some(kid) = text("kid")? {
            key.kid = kid.to_owned();
        }
        Ok(key)
    }
}

fn rsa_public_key(content: &[u8]) -> Result<PublicKey, KeyError> {
    let mut outer = Reader::new(content);
    let mut numbers = Reader::new(outer.expect(der::SEQUENCE)?);
    outer.end()?;
    let n = numbers.unsigned()?;
    let e = numbers.unsigned()?;
    numbers.end()?;
    PublicKey::rsa(n, e)
}

fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

// === reading ===

impl PublicKey {
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Rsa { .. } => Algorithm::RS256,
            Material::P256 { .. } => Algorithm::ES256,
        }
    }

    /// As a JSON Web Key, with the fields in the original's order.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.material {
            Material::Rsa { n, e } => json!({
                "kid": self.kid,
                "kty": "RSA",
                "n": encode(n),
                "e": encode(e),
                "alg": "RS256",
                "use": "sig",
            }),
            Material::P256 { point } => {
                let (x, y) = coordinates(point);
                json!({
                    "kid": self.kid,
                    "kty": "EC",
                    "crv": "P-256",
                    "x": encode(x),
                    "y": encode(y),
                    "alg": "ES256",
                    "use": "sig",
                })
            }
        }
    }

    /// As PEM of a SubjectPublicKeyInfo.
    pub fn pem(&self) -> String {
        let (algorithm, bits) = match &self.material {
            Material::Rsa { n, e } => (
                vec![der::element(der::OID, der::RSA_ENCRYPTION), der::element(der::NULL, &[])],
                der::sequence(&[der::integer(n), der::integer(e)]),
            ),
            Material::P256 { point } => (
                vec![der::element(der::OID, der::EC_PUBLIC_KEY), der::element(der::OID, der::P256)],
                point.to_vec(),
            ),
        };
        let bits = [&[0][..], &bits].concat();
        let info =
            der::sequence(&[der::sequence(&algorithm), der::element(der::BIT_STRING, &bits)]);
        der::to_pem("PUBLIC KEY", &info)
    }

    /// Whether `signature` (base64url) is this key's over `message`.
    pub(crate) fn signed(&self, message: &[u8], signature: &str) -> bool {
        crate::provider::install();
        let algorithm = self.algorithm().library();
        jsonwebtoken::crypto::verify(signature, message, &self.decoding, algorithm).unwrap_or(false)
    }
}

fn coordinates(point: &[u8; 65]) -> (&[u8], &[u8]) {
    let (_, both) = point.split_at(1);
    both.split_at(32)
}

/// The id of a key: SHA-256 over its numbers in decimal and its type, as the original does it
/// with exponent, modulus and "RSA".
fn fingerprint(material: &Material) -> String {
    let text = match material {
        Material::Rsa { n, e } => format!("{}{}RSA", decimal(e), decimal(n)),
        Material::P256 { point } => {
            let (x, y) = coordinates(point);
            format!("{}{}EC", decimal(x), decimal(y))
        }
    };
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A big-endian number in decimal.
fn decimal(number: &[u8]) -> String {
    const BASE: u64 = 1_000_000_000;
    // Nine digits each, the lowest first.
    let mut limbs: Vec<u64> = vec![0];
    for byte in number {
        let mut carry = u64::from(*byte);
        for limb in &mut limbs {
            let value = *limb * 256 + carry;
            *limb = value % BASE;
            carry = value / BASE;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut highest_first = limbs.iter().rev();
    let mut text = highest_first.next().map_or_else(String::new, u64::to_string);
    for limb in highest_first {
        text.push_str(&format!("{limb:09}"));
    }
    text
}
