//! One login under way: what the browser carries from its start to its return, sealed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_kit::query::encode;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::url::Target;
use crate::sealing::NodeKey;

/// The cookie's name; it goes to the callback alone.
pub(crate) const COOKIE: &str = "dcos-oidc-flow";
const COOKIE_PATH: &str = "/acs/api/v1/auth/oidc";
/// How long a person may take to log in at the provider.
pub(super) const LIFETIME: i64 = 600;
/// A browser keeps cookies of 4096 bytes.
const MAX_COOKIE: usize = 8192;
const PURPOSE: &str = "oidc login";
const RANDOM_BYTES: usize = 32;

/// What ties the return of a browser to its start. Nothing of it is kept here, so that nobody
/// can fill our memory with logins that never end.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flow {
    pub(super) provider: String,
    /// To the letter, so that a provider changed meanwhile does not get the code of another.
    pub(super) issuer: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) verifier: String,
    pub(super) target: Target,
    pub(super) expires: i64,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flow({})", self.provider)
    }
}

impl Flow {
    pub(super) fn new(provider: &str, issuer: &str, target: Target, now: i64) -> Flow {
        Flow {
            provider: provider.to_owned(),
            issuer: issuer.to_owned(),
            state: random(),
            nonce: random(),
            verifier: random(),
            target,
            expires: now.saturating_add(LIFETIME),
        }
    }

    /// The value of the cookie.
    pub(super) fn seal(&self, key: &NodeKey) -> Option<String> {
        let plain = serde_json::to_vec(self).ok()?;
        Some(URL_SAFE_NO_PAD.encode(key.seal_ticket(PURPOSE, &plain).ok()?))
    }

    /// The login that a cookie stands for, if the browser's answer belongs to it and comes in
    /// time.
    pub(super) fn open(key: &NodeKey, cookie: &str, state: &str, now: i64) -> Option<Flow> {
        if cookie.len() > MAX_COOKIE {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let plain = key.open_ticket(PURPOSE, &sealed).ok()?;
        let flow: Flow = serde_json::from_slice(&plain).ok()?;
        let same = bool::from(flow.state.as_bytes().ct_eq(state.as_bytes()));
        (same && now < flow.expires).then_some(flow)
    }

    /// `S256` of RFC 7636.
    pub(super) fn challenge(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.verifier.as_bytes());
        URL_SAFE_NO_PAD.encode(digest.as_ref())
    }
}

/// `Set-Cookie` for a login that begins.
pub(super) fn set_cookie(value: &str, secure: bool) -> String {
    cookie(value, LIFETIME, secure)
}

/// `Set-Cookie` for a login that is over, one way or the other.
pub(super) fn clear_cookie(secure: bool) -> String {
    cookie("", 0, secure)
}

/// `Lax`: the return is a navigation from another site, and nothing but a navigation.
fn cookie(value: &str, age: i64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path={COOKIE_PATH}; Max-Age={age}; HttpOnly; SameSite=Lax{secure}")
}

/// `a=b&c=d` of names and values of any content.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", component(value))).collect();
    pairs.join("&")
}

/// A value in a query or a form.
pub(super) fn component(text: &str) -> String {
    encode(text)
}

fn random() -> String {
    let mut bytes = [0_u8; RANDOM_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn key(byte: u8) -> NodeKey {
        NodeKey::from_bytes(&[byte; 32]).unwrap()
    }

    fn flow() -> Flow {
        Flow::new("ours", "https://idp", Target::Path("/a".to_owned()), NOW)
    }

    #[test]
    fn a_login_returns_where_it_began_and_in_time() {
        let flow = flow();
        let cookie = flow.seal(&key(1)).unwrap();
        assert!(cookie.len() < 1024);
        let open = |key: &NodeKey, state: &str, now| Flow::open(key, &cookie, state, now);
        assert_eq!(open(&key(1), &flow.state, NOW + LIFETIME - 1), Some(flow.clone()));
        assert_eq!(open(&key(1), &flow.state, NOW + LIFETIME), None, "too late");
        assert_eq!(open(&key(1), &super::random(), NOW), None, "another login's answer");
        assert_eq!(open(&key(1), "", NOW), None);
        assert_eq!(open(&key(2), &flow.state, NOW), None, "another cluster's cookie");
        assert_eq!(Flow::open(&key(1), "", &flow.state, NOW), None);
        assert_eq!(Flow::open(&key(1), &"A".repeat(9000), &flow.state, NOW), None);
    }

    #[test]
    fn logins_have_nothing_in_common() {
        let (one, two) = (flow(), flow());
        assert!(one.state != two.state && one.nonce != two.nonce && one.verifier != two.verifier);
        assert!(one.state != one.nonce && one.nonce != one.verifier);
        assert_eq!(one.verifier.len(), 43, "RFC 7636 asks for 43 to 128 characters");
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        let flow = Flow { verifier, ..flow() };
        assert_eq!(flow.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn values_are_escaped() {
        assert_eq!(form(&[("a", "b c&d=e+f%"), ("g", "ä")]), "a=b%20c%26d%3De%2Bf%25&g=%C3%A4");
    }
}
