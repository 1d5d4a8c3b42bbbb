//! Tokens: compact JWS, read strictly.

use crate::strict;
use crate::{Algorithm, PublicKey, TokenError, check_uid};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Longer tokens are refused unread.
pub const MAX_TOKEN_LENGTH: usize = 8 * 1024;

/// How far two clocks of a cluster may be apart.
pub const SKEW_SECONDS: i64 = 30;

/// What an authentication token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    pub uid: String,
    /// Seconds since 1970. `None` is a token that never expires, which IAM issues only where
    /// the original does.
    pub exp: Option<i64>,
    pub nbf: Option<i64>,
    pub iat: Option<i64>,
    /// The generation of the user's tokens; raising the user's revokes all tokens of before.
    pub generation: u64,
}

impl Claims {
    /// A token of `uid` that is valid until `exp`.
    pub fn new(uid: impl Into<String>, exp: Option<i64>, generation: u64) -> Claims {
        Claims { uid: uid.into(), exp, nbf: None, iat: None, generation }
    }

    pub(crate) fn read(payload: &Map<String, Value>) -> Result<Claims, TokenError> {
        let Some(Value::String(uid)) = payload.get("uid") else {
            return Err(TokenError::Claim("uid"));
        };
        check_uid(uid).map_err(|_| TokenError::Claim("uid"))?;
        let generation = match payload.get("gen") {
            None => 0,
            Some(value) => value.as_u64().ok_or(TokenError::Claim("gen"))?,
        };
        Ok(Claims {
            uid: uid.clone(),
            exp: moment(payload, "exp")?,
            nbf: moment(payload, "nbf")?,
            iat: moment(payload, "iat")?,
            generation,
        })
    }

    pub(crate) fn write(&self) -> Map<String, Value> {
        let mut payload = Map::new();
        payload.insert("uid".to_owned(), self.uid.as_str().into());
        for (name, moment) in [("exp", self.exp), ("nbf", self.nbf), ("iat", self.iat)] {
            if let Some(moment) = moment {
                payload.insert(name.to_owned(), moment.into());
            }
        }
        if self.generation > 0 {
            payload.insert("gen".to_owned(), self.generation.into());
        }
        payload
    }

    pub(crate) fn check_time(&self, now: i64) -> Result<(), TokenError> {
        if self.exp.is_some_and(|exp| exp.saturating_add(SKEW_SECONDS) <= now) {
            return Err(TokenError::Expired);
        }
        if self.nbf.is_some_and(|nbf| nbf.saturating_sub(SKEW_SECONDS) > now) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

/// A whole number of seconds. Fractions, which the standard allows, are not taken for absent:
/// they are refused.
fn moment(payload: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, TokenError> {
    match payload.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or(TokenError::Claim(name)),
    }
}

/// A token that has been taken apart, and whose signature has not been checked.
pub struct Jws<'a> {
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    kid: Option<String>,
}

impl<'a> Jws<'a> {
    pub fn parse(token: &'a str) -> Result<Jws<'a>, TokenError> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(TokenError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') || payload.is_empty() || signature.is_empty() {
            return Err(TokenError::Malformed);
        }
        let header = decode(header)?;
        let Some(Value::String(algorithm)) = header.get("alg") else {
            return Err(TokenError::Malformed);
        };
        let algorithm = Algorithm::from_name(algorithm).ok_or(TokenError::Algorithm)?;
        refuse_extensions(&header)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(TokenError::Malformed),
        };
        Ok(Jws { message, payload, signature, algorithm, kid })
    }

    /// The id of the key, as the token says it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm, as the token says it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The payload, after its signature by `key` has been checked.
    pub fn verified_by(&self, key: &PublicKey) -> Result<Map<String, Value>, TokenError> {
        if key.algorithm() != self.algorithm {
            return Err(TokenError::Algorithm);
        }
        if !key.signed(self.message.as_bytes(), self.signature) {
            return Err(TokenError::Signature);
        }
        decode(self.payload)
    }
}

/// When a token of one's own expires: nothing about it is checked. `None` where it does not
/// say, or is no token.
pub fn unverified_expiry(token: &str) -> Option<i64> {
    let payload = token.split('.').nth(1)?;
    decode(payload).ok()?.get("exp")?.as_i64()
}

/// Keys that a token brings itself (`jwk`, `jku`, `x5c`, …) are never looked at; what must be
/// understood (`crit`) or changes what is signed (`b64`, `zip`) never is.
fn refuse_extensions(header: &Map<String, Value>) -> Result<(), TokenError> {
    if ["crit", "b64", "zip", "enc"].iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::Header);
    }
    match header.get("typ") {
        None | Some(Value::String(_)) => Ok(()),
        Some(_) => Err(TokenError::Malformed),
    }
}

fn decode(part: &str) -> Result<Map<String, Value>, TokenError> {
    let text = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    strict::object(&text).ok_or(TokenError::Malformed)
}
