//! Entry points for the fuzzer: foreign bytes in, no panic out.

use crate::pieces::Pieces;
use crate::token::Jws;
use crate::wire::Line;
use crate::{KeySet, PublicKey, SigningKey, Snapshot, TokenCache, check_rid};
use std::sync::OnceLock;

/// The only key that counts; nothing that the fuzzer makes is signed by it.
fn keys() -> &'static KeySet {
    static KEYS: OnceLock<KeySet> = OnceLock::new();
    KEYS.get_or_init(|| {
        let key = SigningKey::generate_es256().and_then(|key| SigningKey::es256(&key));
        key.and_then(|key| KeySet::new([key.public().clone()])).unwrap_or_default()
    })
}

/// Reads `data` as a token: it must not count.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let refused = keys().verify(text, 0);
    assert!(refused.is_err(), "a token counts that nobody signed");
    assert_eq!(TokenCache::new(1).verify(keys(), text, 0).map(|claims| (*claims).clone()), refused);
    let _ = crate::unverified_expiry(text);
    if let Ok(jws) = Jws::parse(text) {
        for key in keys().iter() {
            assert!(jws.verified_by(key).is_err());
        }
    }
}

/// Reads `data` as keys: sets of them, and single ones. What is read is written as it was.
pub fn keys_of(data: &[u8]) {
    if let Ok(set) = KeySet::parse(data) {
        assert_eq!(KeySet::from_json(&set.to_json()).as_ref(), Ok(&set));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = SigningKey::from_pem(text);
    if let Ok(key) = PublicKey::from_pem(text) {
        assert_eq!(PublicKey::from_pem(&key.pem()), Ok(key));
    }
}

/// Reads `data` as lines of the policy stream.
pub fn policy_stream(data: &[u8]) {
    let mut snapshot = Snapshot::default();
    let mut pieces = Pieces::default();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(line) = serde_json::from_slice::<Line>(line) else { continue };
        let cut = line.clone().cut(64);
        let mut whole = Pieces::default();
        if !line.more && (line.snapshot.is_none() || line.changes.is_none()) {
            let last = cut.into_iter().map(|piece| whole.take(piece).ok().flatten()).last();
            assert_eq!(last.flatten().as_ref(), Some(&line), "cut and put together");
        }
        let Ok(Some(line)) = pieces.take(line) else { continue };
        let before = snapshot.clone();
        if snapshot.apply_line(line).is_err() {
            assert!(snapshot == before, "a line that is refused changed something");
        }
    }
}

/// Reads `data` as a resource id, and asks for it.
pub fn resource(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = check_rid(text);
    let mut named = "x:".to_owned();
    crate::push_part(&mut named, text);
    assert!(crate::is_plainly_written(&named) && named.split(':').count() == 2);
    for covering in crate::rid::covering(text) {
        assert!(text.starts_with(covering));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            proptest::sample::select(vec![
                "{",
                "}",
                "[",
                "]",
                ":",
                ",",
                "\"version\"",
                "\"changes\"",
                "\"type\"",
                "\"uid\"",
                "\"user_removed\"",
                "\"keys\"",
                "\"kty\"",
                "\"RSA\"",
                "\"n\"",
                "\"AQAB\"",
                "1",
                "null",
                "\n",
                "\"snapshot\"",
            ]),
            0..24,
        )
        .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_text_harms(text in prop_oneof![json(), any::<String>(), "[A-Za-z0-9_.:/-]{0,80}"]) {
            token(text.as_bytes());
            keys_of(text.as_bytes());
            policy_stream(text.as_bytes());
            resource(text.as_bytes());
        }
    }
}
