//! Keys: their forms, their ids, and those that are refused.

use crate::support::*;
use identity::{Algorithm, KeyError, KeySet, PublicKey, SigningKey};
use serde_json::json;

const RSA_KID: &str = "a536d99f8cd40c25584bfa467e2faec660dcf0b8ec0a76a5f65cb36a4d0643a1";
const EC_KID: &str = "d99489e463966c653760b4587bd702e729d6ab5d88805d723464fb7f823d383d";

#[test]
fn ids_are_the_originals() {
    // Computed elsewhere: SHA-256 of "<exponent><modulus>RSA", in decimal.
    assert_eq!(rsa().kid(), RSA_KID);
    assert_eq!(ec().kid(), EC_KID);
}

#[test]
fn all_forms_of_a_key_are_one_key() {
    for form in [include_str!("keys/rsa-pkcs1.pem"), RSA] {
        assert_eq!(SigningKey::from_pem(form).unwrap().public(), rsa().public());
    }
    for form in [include_str!("keys/ec-sec1.pem"), EC] {
        assert_eq!(SigningKey::from_pem(form).unwrap().public(), ec().public());
    }
    for form in [include_str!("keys/rsa-pkcs1.pub.pem"), RSA_PUBLIC] {
        assert_eq!(PublicKey::from_pem(form).unwrap(), *rsa().public());
    }
    assert_eq!(PublicKey::from_pem(EC_PUBLIC).unwrap(), *ec().public());
}

#[test]
fn public_keys_are_written_as_openssl_does() {
    assert_eq!(rsa().public().pem(), RSA_PUBLIC);
    assert_eq!(ec().public().pem(), EC_PUBLIC);
}

#[test]
fn a_key_survives_its_web_form() {
    let set = keys();
    let printed = set.to_json();
    assert_eq!(KeySet::parse(printed.to_string().as_bytes()).unwrap(), set);
    let kids: Vec<_> = printed["keys"].as_array().unwrap().iter().map(|k| &k["kid"]).collect();
    assert_eq!(kids, [RSA_KID, EC_KID]);
    assert_eq!(rsa().public_jwk()["e"], "AQAB");
}

#[test]
fn a_new_key_signs() {
    let pkcs8 = SigningKey::generate_es256().unwrap();
    let key = SigningKey::from_pkcs8(&pkcs8).unwrap();
    assert_eq!(key.algorithm(), Algorithm::ES256);
    let again = SigningKey::from_pem(&SigningKey::pkcs8_pem(&pkcs8)).unwrap();
    assert_eq!(again.public(), key.public());
}

#[test]
fn weak_and_strange_keys_are_refused() {
    let error = |pem| PublicKey::from_pem(pem).unwrap_err();
    assert_eq!(error(include_str!("keys/rsa1024.pub.pem")), KeyError::Weak);
    assert_eq!(error(include_str!("keys/p384.pub.pem")), KeyError::Unsupported);
    assert_eq!(error(RSA), KeyError::Pem, "a private key is no public one");
    assert_eq!(error(""), KeyError::Pem);
    assert_eq!(error(&RSA_PUBLIC.replace("END PUBLIC", "END PRIVATE")), KeyError::Pem);
    assert!(SigningKey::from_pem(RSA_PUBLIC).is_err());
    let even = json!({"keys": [{"kty": "RSA", "n": encode([0xfe; 256]), "e": "AQAB"}]});
    assert_eq!(KeySet::from_json(&even).unwrap_err(), KeyError::Weak);
    let one = json!({"keys": [{"kty": "RSA", "n": encode([0xff; 256]), "e": "AQ"}]});
    assert_eq!(KeySet::from_json(&one).unwrap_err(), KeyError::Weak);
}

#[test]
fn keys_for_other_uses_are_left_out() {
    let mut for_encryption = rsa().public_jwk();
    for_encryption["use"] = json!("enc");
    let mut other_algorithm = rsa().public_jwk();
    other_algorithm["alg"] = json!("PS256");
    let mut confused = rsa().public_jwk();
    confused["alg"] = json!("HS256");
    let set = json!({"keys": [
        for_encryption, other_algorithm, confused,
        {"kty": "oct", "k": "c2VjcmV0", "kid": "s"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA"},
        ec().public_jwk(),
    ], "more": 1});
    let set = KeySet::from_json(&set).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.get(EC_KID).is_some());
}

#[test]
fn keys_that_cannot_be_used_spoil_no_others() {
    let good = ec().public_jwk();
    let weak = json!({"kty": "RSA", "n": encode([0xfe; 256]), "e": "AQAB"});
    let mut nameless = rsa().public_jwk();
    nameless["kid"] = json!("x".repeat(257));
    for bad in [
        weak,
        nameless,
        good.clone(),
        json!({"kty": "RSA", "e": "AQAB"}),
        json!({"kty": "RSA", "n": "AQ==", "e": "AQAB"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": 7}),
        json!({}),
        json!("key"),
    ] {
        for set in [json!({"keys": [good, bad]}), json!({"keys": [bad, good]})] {
            let set = KeySet::from_json(&set).unwrap();
            assert_eq!((set.len(), set.get(EC_KID).is_some()), (1, true), "{bad}");
        }
        if bad != good {
            assert!(KeySet::from_json(&json!({"keys": [bad]})).is_err(), "none is left: {bad}");
        }
    }
    let mut other = rsa().public_jwk();
    other["kid"] = json!(EC_KID);
    let set = KeySet::from_json(&json!({"keys": [good, other]})).unwrap();
    assert_eq!(set.get(EC_KID).unwrap().algorithm(), Algorithm::ES256, "the first counts");
    let named = |n: usize| {
        let mut key = ec().public_jwk();
        key["kid"] = json!(n.to_string());
        key
    };
    let many = json!({"keys": (0..2000).map(named).collect::<Vec<_>>()});
    assert_eq!(KeySet::from_json(&many).unwrap().len(), 64);
}

#[test]
fn what_is_no_set_of_keys_is_refused() {
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, "{\"keys\":[]} x"] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let twice = || [ec().public().clone(), ec().public().clone()];
    assert_eq!(KeySet::new(twice()).unwrap_err(), KeyError::Duplicate, "of one's own");
}

#[test]
fn private_keys_do_not_show() {
    let shown = format!("{:?} {:#?}", rsa(), ec());
    assert!(shown.len() < 300, "{shown}");
    assert!(shown.contains(RSA_KID));
}
