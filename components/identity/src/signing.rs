//! Private keys, and the tokens signed with them.

use crate::der::{self, Reader};
use crate::provider;
use crate::{Algorithm, Claims, KeyError, PublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair};
use serde_json::{Map, Value, json};
use std::fmt;

/// A key that tokens are signed with.
#[derive(Clone)]
pub struct SigningKey {
    encoding: EncodingKey,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.public.algorithm().name(), self.public.kid())
    }
}

impl SigningKey {
    /// From PKCS#8 of an RSA key; also from the bare PKCS#1 form.
    pub fn rs256(der: &[u8]) -> Result<SigningKey, KeyError> {
        let pair = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        let pair = pair.map_err(|_| KeyError::Malformed)?;
        let numbers = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let public = PublicKey::rsa(&numbers.n, &numbers.e)?;
        Ok(SigningKey { encoding: EncodingKey::from_rsa_der(der), public })
    }

    /// From PKCS#8 of an EC key on P-256.
    pub fn es256(pkcs8: &[u8]) -> Result<SigningKey, KeyError> {
        let pair = provider::ec_pair(pkcs8).map_err(|_| KeyError::Malformed)?;
        let public = PublicKey::p256(pair.public_key().as_ref())?;
        Ok(SigningKey { encoding: EncodingKey::from_ec_der(pkcs8), public })
    }

    /// From PKCS#8, of whichever kind.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<SigningKey, KeyError> {
        SigningKey::es256(pkcs8).or_else(|_| SigningKey::rs256(pkcs8))
    }

    /// From `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY` or `EC PRIVATE KEY`.
    pub fn from_pem(text: &str) -> Result<SigningKey, KeyError> {
        // OpenSSL writes the parameters of a curve in a block of its own before the key.
        let text = match text.find("-----BEGIN EC PRIVATE KEY-----") {
            Some(at) => text.get(at..).unwrap_or(text),
            None => text,
        };
        let (label, content) = der::pem(text)?;
        match label {
            "PRIVATE KEY" => SigningKey::from_pkcs8(&content),
            "RSA PRIVATE KEY" => SigningKey::rs256(&content),
            "EC PRIVATE KEY" => SigningKey::es256(&pkcs8_of_ec(&content)),
            _ => Err(KeyError::Pem),
        }
    }

    /// A new key for ES256, as PKCS#8.
    pub fn generate_es256() -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        Ok(pkcs8.map_err(|_| KeyError::Signing)?.as_ref().to_vec())
    }

    /// A new key for RS256, as PKCS#8. The search for primes takes up to a second of a core: it
    /// belongs on a thread for blocking work.
    pub fn generate_rs256(bits: usize) -> Result<Vec<u8>, KeyError> {
        crate::generate::rs256(bits)
    }

    /// PKCS#8 as a PEM block.
    pub fn pkcs8_pem(pkcs8: &[u8]) -> String {
        der::to_pem("PRIVATE KEY", pkcs8)
    }

    pub fn algorithm(&self) -> Algorithm {
        self.public.algorithm()
    }

    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub fn public_jwk(&self) -> Value {
        self.public.jwk()
    }

    /// A token that says `claims`, with this key's id in its header.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        self.sign_payload(&claims.write(), Some(self.kid()))
    }

    /// A token with any payload.
    pub fn sign_payload(
        &self,
        payload: &Map<String, Value>,
        kid: Option<&str>,
    ) -> Result<String, KeyError> {
        provider::install();
        let mut header = json!({"alg": self.algorithm().name(), "typ": "JWT"});
        if let (Some(kid), Some(header)) = (kid, header.as_object_mut()) {
            header.insert("kid".to_owned(), kid.into());
        }
        let payload = serde_json::to_vec(payload).map_err(|_| KeyError::Signing)?;
        let header = URL_SAFE_NO_PAD.encode(header.to_string());
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let algorithm = self.algorithm().library();
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.encoding, algorithm)
            .map_err(|_| KeyError::Signing)?;
        Ok(format!("{message}.{signature}"))
    }
}

/// The bare form of an EC key, wrapped in PKCS#8 as of P-256; the reader of that refuses a key
/// of another curve by its length or its public point.
fn pkcs8_of_ec(content: &[u8]) -> Vec<u8> {
    let algorithm = der::sequence(&[
        der::element(der::OID, der::EC_PUBLIC_KEY),
        der::element(der::OID, der::P256),
    ]);
    let key = without_parameters(content).unwrap_or_else(|_| content.to_vec());
    der::sequence(&[der::integer(&[0]), algorithm, der::element(der::OCTET_STRING, &key)])
}

/// ring wants the parameters where PKCS#8 has them, and only there.
fn without_parameters(content: &[u8]) -> Result<Vec<u8>, KeyError> {
    const PARAMETERS: u8 = 0xa0;
    const PUBLIC: u8 = 0xa1;
    let mut outer = Reader::new(content);
    let mut key = Reader::new(outer.expect(der::SEQUENCE)?);
    let version = key.unsigned()?;
    let private = key.expect(der::OCTET_STRING)?;
    key.expect(PARAMETERS)?;
    let public = key.expect(PUBLIC)?;
    Ok(der::sequence(&[
        der::integer(version),
        der::element(der::OCTET_STRING, private),
        der::element(PUBLIC, public),
    ]))
}
