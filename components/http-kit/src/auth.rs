//! Who is it: HTTP basic authentication per realm from a credentials file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::{Choice, ConstantTimeEq};

use crate::{Response, respond};

/// The authenticated caller, in the extensions of requests handed to endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(pub Arc<str>);

/// Why a credentials file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read.
    #[error("cannot read the credentials file {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The text is neither the JSON nor the line form.
    #[error("invalid credentials: {0}")]
    Invalid(String),
}

/// Principals with their secrets.
#[derive(Clone, Default)]
pub struct Credentials {
    entries: Vec<(Arc<str>, Vec<u8>)>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({} principals)", self.entries.len())
    }
}

#[derive(serde::Deserialize)]
struct CredentialsFile {
    credentials: Vec<Entry>,
}

#[derive(serde::Deserialize)]
struct Entry {
    principal: String,
    #[serde(default)]
    secret: String,
}

impl Credentials {
    /// Reads a file in either of the original's forms.
    pub fn load(path: &Path) -> Result<Credentials, CredentialsError> {
        let text = std::fs::read_to_string(path).map_err(|source| CredentialsError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Credentials::parse(&text)
    }

    /// `{"credentials":[{"principal":..,"secret":..}]}`, or a line
    /// `principal secret` for each.
    pub fn parse(text: &str) -> Result<Credentials, CredentialsError> {
        if text.trim_start().starts_with('{') {
            let file: CredentialsFile =
                serde_json::from_str(text).map_err(|e| CredentialsError::Invalid(e.to_string()))?;
            return Ok(file.credentials.into_iter().map(|e| (e.principal, e.secret)).collect());
        }
        let mut pairs = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [principal, secret] => pairs.push(((*principal).into(), (*secret).into())),
                _ => {
                    return Err(CredentialsError::Invalid(format!(
                        "line {} is not 'principal secret'",
                        number + 1
                    )));
                }
            }
        }
        Ok(pairs.into_iter().collect())
    }

    /// The principal whose secret this is. Every entry is compared, each in
    /// constant time, so that the time tells nothing about the names known.
    pub fn authenticate(&self, name: &[u8], secret: &[u8]) -> Option<Principal> {
        let mut found = None;
        for (principal, expected) in &self.entries {
            let same: Choice = principal.as_bytes().ct_eq(name) & expected.ct_eq(secret);
            if bool::from(same) {
                found = Some(Principal(Arc::clone(principal)));
            }
        }
        found
    }

    /// The secret of a principal, for challenge-response protocols.
    pub fn secret_of(&self, name: &str) -> Option<&[u8]> {
        self.entries
            .iter()
            .find(|(principal, _)| &**principal == name)
            .map(|(_, secret)| secret.as_slice())
    }
}

impl FromIterator<(String, String)> for Credentials {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Credentials {
        let entries = pairs
            .into_iter()
            .map(|(principal, secret)| (principal.into(), secret.into_bytes()))
            .collect();
        Credentials { entries }
    }
}

/// Which realms ask for credentials; a realm without an entry is open.
#[derive(Clone, Debug, Default)]
pub struct Authentication {
    realms: BTreeMap<&'static str, Arc<Credentials>>,
}

impl Authentication {
    /// Closes a realm.
    pub fn require(mut self, realm: &'static str, credentials: Arc<Credentials>) -> Authentication {
        self.realms.insert(realm, credentials);
        self
    }

    /// Whether a realm asks for credentials.
    pub fn is_required(&self, realm: &str) -> bool {
        self.realms.contains_key(realm)
    }

    /// The caller, nobody where the realm is open, or the `401` to answer.
    pub fn check(&self, realm: &str, headers: &HeaderMap) -> Result<Option<Principal>, Response> {
        let Some(credentials) = self.realms.get(realm) else {
            return Ok(None);
        };
        basic(headers)
            .and_then(|(name, secret)| credentials.authenticate(&name, &secret))
            .map(Some)
            .ok_or_else(|| respond::unauthorized(realm))
    }
}

/// Name and secret of an `Authorization: Basic` header.
fn basic(headers: &HeaderMap) -> Option<(Vec<u8>, Vec<u8>)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    let (name, rest) = decoded.split_at(colon);
    Some((name.to_vec(), rest.get(1..)?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        let value = format!("Basic {encoded}");
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn only_the_right_pair_passes() {
        let json = r#"{"credentials":[{"principal":"ops","secret":"a:b"},{"principal":"dev","secret":"s"}]}"#;
        let lines = "ops a:b\n\ndev s\n";
        for text in [json, lines] {
            let credentials = Arc::new(Credentials::parse(text).unwrap());
            let auth = Authentication::default().require("realm", credentials);
            let caller = auth.check("realm", &headers("ops:a:b")).unwrap();
            assert_eq!(&*caller.unwrap().0, "ops");
            for wrong in ["ops:s", "dev:a:b", "nobody:s", "ops", ":", "ops:"] {
                let refused = auth.check("realm", &headers(wrong)).unwrap_err();
                assert_eq!(refused.status(), 401);
                assert_eq!(refused.headers()["www-authenticate"], "Basic realm=\"realm\"");
            }
            assert!(auth.check("realm", &HeaderMap::new()).is_err());
            assert_eq!(auth.check("open", &HeaderMap::new()).unwrap(), None);
        }
    }

    #[test]
    fn bad_files_are_refused() {
        assert!(Credentials::parse("{").is_err());
        assert!(Credentials::parse("one two three").is_err());
    }
}
