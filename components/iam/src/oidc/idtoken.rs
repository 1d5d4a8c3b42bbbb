//! What an ID token must say, after its signature was checked: OpenID Connect Core, 3.1.3.7.

use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use identity::SKEW_SECONDS;

const MAX_SUBJECT: usize = 255;
const MAX_DESCRIPTION: usize = 256;

/// Why an ID token does not count. None of the texts repeats the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdTokenError {
    #[error("it lacks the claim {0}, or the claim is malformed")]
    Claim(&'static str),
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is from the future")]
    NotYetValid,
    #[error("it belongs to another login")]
    Nonce,
    #[error("the provider has not verified the user's address")]
    UnverifiedEmail,
    #[error("the provider's name for the user cannot be a uid here")]
    Uid,
}

/// What the token is compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// `None` only where a client brings a token by itself.
    pub(super) nonce: Option<&'a str>,
    pub(super) uid_claim: &'a str,
    pub(super) now: i64,
}

/// Whom the token is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) uid: String,
    pub(super) description: String,
}

/// Checks all claims.
pub(super) fn check(
    claims: &Map<String, Value>,
    expected: &Expected<'_>,
) -> Result<Subject, IdTokenError> {
    if text(claims, "iss")? != expected.issuer {
        return Err(IdTokenError::Issuer);
    }
    check_audience(claims, expected.client_id)?;
    check_times(claims, expected.now)?;
    if let Some(nonce) = expected.nonce {
        let given = text(claims, "nonce").map_err(|_| IdTokenError::Nonce)?;
        if !bool::from(given.as_bytes().ct_eq(nonce.as_bytes())) {
            return Err(IdTokenError::Nonce);
        }
    }
    let subject = text(claims, "sub")?;
    if subject.is_empty() || subject.len() > MAX_SUBJECT {
        return Err(IdTokenError::Claim("sub"));
    }
    Ok(Subject { uid: uid(claims, expected.uid_claim)?, description: description(claims) })
}

/// This client is meant; where others are too, it must be the one the token was made for.
fn check_audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), IdTokenError> {
    let several = match claims.get("aud") {
        Some(Value::String(one)) if one == client_id => false,
        Some(Value::Array(all)) if all.iter().all(Value::is_string) => {
            if !all.iter().any(|one| one == client_id) {
                return Err(IdTokenError::Audience);
            }
            all.len() > 1
        }
        Some(Value::String(_)) => return Err(IdTokenError::Audience),
        _ => return Err(IdTokenError::Claim("aud")),
    };
    match claims.get("azp") {
        None if several => Err(IdTokenError::Audience),
        None => Ok(()),
        Some(party) if party == client_id => Ok(()),
        Some(_) => Err(IdTokenError::Audience),
    }
}

fn check_times(claims: &Map<String, Value>, now: i64) -> Result<(), IdTokenError> {
    let expires = moment(claims, "exp")?.ok_or(IdTokenError::Claim("exp"))?;
    if expires.saturating_add(SKEW_SECONDS) <= now {
        return Err(IdTokenError::Expired);
    }
    let issued = moment(claims, "iat")?.ok_or(IdTokenError::Claim("iat"))?;
    let begins = moment(claims, "nbf")?.unwrap_or(issued).max(issued);
    if begins.saturating_sub(SKEW_SECONDS) > now {
        return Err(IdTokenError::NotYetValid);
    }
    Ok(())
}

/// The uid, as the provider wrote it. A name with other characters is not bent into one: two
/// people could become the same.
fn uid(claims: &Map<String, Value>, claim: &str) -> Result<String, IdTokenError> {
    let Some(Value::String(uid)) = claims.get(claim) else { return Err(IdTokenError::Uid) };
    if claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(IdTokenError::UnverifiedEmail);
    }
    crate::model::check_uid(uid).map_err(|_| IdTokenError::Uid)?;
    Ok(uid.clone())
}

fn description(claims: &Map<String, Value>) -> String {
    let named = ["name", "email", "preferred_username", "sub"].into_iter();
    let text = named.filter_map(|name| claims.get(name)?.as_str()).find(|text| !text.is_empty());
    let text = text.unwrap_or_default();
    text.chars().filter(|c| !c.is_control()).take(MAX_DESCRIPTION).collect()
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, IdTokenError> {
    claims.get(name).and_then(Value::as_str).ok_or(IdTokenError::Claim(name))
}

/// Seconds since 1970; the standard allows fractions.
fn moment(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, IdTokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let whole = value.as_i64().or_else(|| {
        let seconds = value.as_f64()?;
        // Beyond that a float has no seconds any more.
        (seconds.abs() < 1e15).then_some(seconds.floor() as i64)
    });
    whole.map(Some).ok_or(IdTokenError::Claim(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_700_000_000;
    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://idp.example.com",
        client_id: "dcos",
        nonce: Some("n-1"),
        uid_claim: "email",
        now: NOW,
    };

    fn claims() -> Value {
        json!({
            "iss": "https://idp.example.com",
            "sub": "42",
            "aud": "dcos",
            "exp": NOW + 300,
            "iat": NOW,
            "nonce": "n-1",
            "email": "ann@example.com",
            "email_verified": true,
            "name": "Ann\n Example",
        })
    }

    fn checked(value: &Value) -> Result<Subject, IdTokenError> {
        check(value.as_object().unwrap(), &EXPECTED)
    }

    #[test]
    fn a_good_token_says_who_it_is() {
        let subject = checked(&claims()).unwrap();
        assert_eq!(subject.uid, "ann@example.com");
        assert_eq!(subject.description, "Ann Example");
    }

    #[test]
    fn each_claim_counts() {
        use IdTokenError::*;
        let cases = [
            ("iss", json!("https://idp.example.com/"), Issuer),
            ("iss", json!(null), Claim("iss")),
            ("aud", json!("other"), Audience),
            ("aud", json!(["other"]), Audience),
            ("aud", json!(["dcos", "other"]), Audience),
            ("aud", json!([]), Audience),
            ("aud", json!(["dcos", 1]), Claim("aud")),
            ("aud", json!(null), Claim("aud")),
            ("azp", json!("other"), Audience),
            ("azp", json!(null), Audience),
            ("exp", json!(NOW - 30), Expired),
            ("exp", json!("tomorrow"), Claim("exp")),
            ("exp", json!(null), Claim("exp")),
            ("iat", json!(NOW + 31), NotYetValid),
            ("iat", json!(true), Claim("iat")),
            ("nbf", json!(NOW + 31), NotYetValid),
            ("nonce", json!("n-2"), Nonce),
            ("nonce", json!(""), Nonce),
            ("nonce", json!(null), Nonce),
            ("sub", json!(""), Claim("sub")),
            ("sub", json!(42), Claim("sub")),
            ("sub", json!("x".repeat(256)), Claim("sub")),
            ("email", json!(null), Uid),
            ("email", json!("ann+x@example.com"), Uid),
            ("email", json!("anonymous"), Uid),
            ("email_verified", json!(false), UnverifiedEmail),
            ("email_verified", json!("true"), UnverifiedEmail),
        ];
        for (name, value, error) in cases {
            let mut changed = claims();
            changed[name] = value.clone();
            assert_eq!(checked(&changed), Err(error), "{name}: {value}");
        }
        for name in ["iss", "sub", "aud", "exp", "iat", "nonce", "email", "email_verified"] {
            let mut changed = claims();
            changed.as_object_mut().unwrap().remove(name);
            assert!(checked(&changed).is_err(), "without {name}");
        }
    }

    #[test]
    fn what_the_standard_allows() {
        for (name, value) in [
            ("aud", json!(["dcos"])),
            ("azp", json!("dcos")),
            ("exp", json!(NOW as f64 + 0.5)),
            ("exp", json!(NOW - 29)),
            ("iat", json!(NOW + 30)),
        ] {
            let mut changed = claims();
            changed[name] = value.clone();
            assert!(checked(&changed).is_ok(), "{name}: {value}");
        }
        let mut several = claims();
        several["aud"] = json!(["account", "dcos"]);
        several["azp"] = json!("dcos");
        assert!(checked(&several).is_ok());
    }

    #[test]
    fn another_claim_can_be_the_uid() {
        let mut changed = claims();
        changed["preferred_username"] = json!("ann");
        changed["email_verified"] = json!(false);
        let expected = Expected { uid_claim: "preferred_username", ..EXPECTED };
        assert_eq!(check(changed.as_object().unwrap(), &expected).unwrap().uid, "ann");
    }
}
