//! A remembered token counts exactly as long as a fresh one would.

use crate::support::*;
use identity::{Claims, KeySet, TokenCache, TokenError};
use std::sync::Arc;

fn token(uid: &str) -> String {
    ec().sign(&Claims::new(uid, Some(NOW + 100), 0)).unwrap()
}

#[test]
fn what_was_verified_is_remembered() {
    let mut cache = TokenCache::new(16);
    let token = token("a");
    let first = cache.verify(&keys(), &token, NOW).unwrap();
    let second = cache.verify(&keys(), &token, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &second), "it was verified anew");
}

#[test]
fn time_goes_on_for_remembered_tokens() {
    let mut cache = TokenCache::new(16);
    let token = token("a");
    assert!(cache.verify(&keys(), &token, NOW).is_ok());
    assert!(cache.verify(&keys(), &token, NOW + 129).is_ok());
    assert_eq!(cache.verify(&keys(), &token, NOW + 130), Err(TokenError::Expired));
}

#[test]
fn a_key_that_goes_takes_its_tokens_along() {
    let mut cache = TokenCache::new(16);
    let token = token("a");
    assert!(cache.verify(&keys(), &token, NOW).is_ok());
    let without = KeySet::new([rsa().public().clone()]).unwrap();
    assert_eq!(cache.verify(&without, &token, NOW), Err(TokenError::UnknownKey));
    assert!(cache.verify(&keys(), &token, NOW).is_ok());
    // Another key under the same id.
    let mut other = rsa().public_jwk();
    other["kid"] = ec().kid().into();
    let other = KeySet::from_json(&serde_json::json!({"keys": [other]})).unwrap();
    assert_eq!(cache.verify(&other, &token, NOW), Err(TokenError::Algorithm));
}

#[test]
fn a_refusal_is_not_remembered_as_anything() {
    let mut cache = TokenCache::new(16);
    let token = token("a");
    let early = ec().sign(&Claims { nbf: Some(NOW + 60), ..Claims::new("a", None, 0) }).unwrap();
    assert_eq!(cache.verify(&keys(), &early, NOW), Err(TokenError::NotYetValid));
    assert!(cache.verify(&keys(), &early, NOW + 60).is_ok());
    let forged = format!("{}A", &token[..token.len() - 1]);
    assert!(cache.verify(&keys(), &token, NOW).is_ok());
    if forged != token {
        assert!(cache.verify(&keys(), &forged, NOW).is_err());
    }
}

#[test]
fn many_tokens_push_each_other_out_and_stay_right() {
    let mut cache = TokenCache::new(8);
    let tokens: Vec<(String, String)> =
        (0..40).map(|n| (format!("user{n}"), token(&format!("user{n}")))).collect();
    for _ in 0..3 {
        for (uid, token) in &tokens {
            assert_eq!(cache.verify(&keys(), token, NOW).unwrap().uid, *uid);
        }
    }
}
