//! The keys whose signatures count.

use crate::strict;
use crate::token::{Claims, Jws};
use crate::{KeyError, PublicKey, TokenError};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::sync::Arc;

/// More keys than that are a mistake or an attack.
const MOST_KEYS: usize = 64;
/// What comes behind so many is not read.
const MOST_LOOKED_AT: usize = 1024;
const LONGEST_KID: usize = 256;

/// Keys by their ids. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Arc<FxHashMap<String, Arc<PublicKey>>>,
}

impl KeySet {
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Result<KeySet, KeyError> {
        let mut set = FxHashMap::default();
        for key in keys {
            if set.len() == MOST_KEYS {
                return Err(KeyError::TooMany);
            }
            check_kid(key.kid())?;
            if set.insert(key.kid().to_owned(), Arc::new(key)).is_some() {
                return Err(KeyError::Duplicate);
            }
        }
        Ok(KeySet { keys: Arc::new(set) })
    }

    /// Reads `{"keys":[…]}`. Keys that cannot be used are left out: of kinds that are not
    /// supported, for another use than signatures, weak, malformed, with the id of one before, or
    /// too many. It fails where something was wrong with every one.
    pub fn parse(jwks: &[u8]) -> Result<KeySet, KeyError> {
        KeySet::from_object(&strict::object(jwks).ok_or(KeyError::Malformed)?)
    }

    /// As [`KeySet::parse`], of what is JSON already.
    pub fn from_json(jwks: &Value) -> Result<KeySet, KeyError> {
        KeySet::from_object(jwks.as_object().ok_or(KeyError::Malformed)?)
    }

    fn from_object(jwks: &serde_json::Map<String, Value>) -> Result<KeySet, KeyError> {
        let list = jwks.get("keys").and_then(Value::as_array).ok_or(KeyError::Malformed)?;
        let mut keys: Vec<PublicKey> = Vec::new();
        let mut wrong = None;
        for jwk in list.iter().take(MOST_LOOKED_AT) {
            match read(jwk) {
                Ok(key) if keys.iter().any(|other| other.kid() == key.kid()) => {}
                Ok(key) if keys.len() < MOST_KEYS => keys.push(key),
                Ok(_) => break,
                Err(KeyError::Unsupported) => {}
                Err(error) => wrong = Some(error),
            }
        }
        match wrong {
            Some(error) if keys.is_empty() => Err(error),
            _ => KeySet::new(keys),
        }
    }

    /// As `{"keys":[…]}`, ordered by id.
    pub fn to_json(&self) -> Value {
        let mut keys: Vec<&Arc<PublicKey>> = self.keys.values().collect();
        keys.sort_by(|a, b| a.kid().cmp(b.kid()));
        json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() })
    }

    pub fn get(&self, kid: &str) -> Option<&Arc<PublicKey>> {
        self.keys.get(kid)
    }

    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values().map(Arc::as_ref)
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Who `token` is from: it names one of these keys, bears its signature, and its time has
    /// come and not gone. Whether the user still exists is the policy's matter.
    pub fn verify(&self, token: &str, now_unix: i64) -> Result<Claims, TokenError> {
        self.verify_with_key(token, now_unix).map(|(claims, _)| claims)
    }

    pub(crate) fn verify_with_key(
        &self,
        token: &str,
        now_unix: i64,
    ) -> Result<(Claims, Arc<PublicKey>), TokenError> {
        let jws = Jws::parse(token)?;
        let key = self.get(jws.kid().ok_or(TokenError::UnknownKey)?);
        let key = key.ok_or(TokenError::UnknownKey)?;
        let claims = Claims::read(&jws.verified_by(key)?)?;
        claims.check_time(now_unix)?;
        Ok((claims, key.clone()))
    }

    /// The payload of a token by somebody else's rules (an OpenID Connect ID token): only its
    /// signature is checked. Without `kid` the only key of its algorithm counts.
    pub fn verify_signature(
        &self,
        token: &str,
    ) -> Result<serde_json::Map<String, Value>, TokenError> {
        let jws = Jws::parse(token)?;
        let key = match jws.kid() {
            Some(kid) => self.get(kid),
            None => {
                let mut same = self.keys.values().filter(|key| key.algorithm() == jws.algorithm());
                same.next().filter(|_| same.next().is_none())
            }
        };
        jws.verified_by(key.ok_or(TokenError::UnknownKey)?)
    }
}

fn read(jwk: &Value) -> Result<PublicKey, KeyError> {
    let key = PublicKey::from_jwk(jwk.as_object().ok_or(KeyError::Malformed)?)?;
    check_kid(key.kid())?;
    Ok(key)
}

fn check_kid(kid: &str) -> Result<(), KeyError> {
    let good = !kid.is_empty() && kid.len() <= LONGEST_KID;
    if good { Ok(()) } else { Err(KeyError::Malformed) }
}
