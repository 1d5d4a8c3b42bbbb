//! Tokens that count, and all the ways in which they do not.

use crate::support::*;
use identity::{Claims, KeySet, TokenError, service_login_token, verify_service_login};
use proptest::prelude::*;

fn verify(token: &str) -> Result<Claims, TokenError> {
    keys().verify(token, NOW)
}

/// A token whose payload is `payload`, and whose signature is right.
fn with(payload: &str) -> Result<Claims, TokenError> {
    verify(&forge(&header(), payload))
}

#[test]
fn both_algorithms_count() {
    let claims = Claims::new("admin", Some(NOW + 100), 3);
    for key in [rsa(), ec()] {
        assert_eq!(verify(&key.sign(&claims).unwrap()), Ok(claims.clone()), "{key:?}");
    }
}

#[test]
fn the_payload_is_the_originals() {
    let token = rsa().sign(&Claims::new("admin", Some(7), 0)).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(parts[1], encode(r#"{"uid":"admin","exp":7}"#));
    assert_eq!(identity::unverified_expiry(&token), Some(7));
}

#[test]
fn times_count_with_thirty_seconds_of_skew() {
    let exp = |exp: i64| with(&format!(r#"{{"uid":"a","exp":{exp}}}"#)).map(|_| ());
    assert_eq!(exp(NOW + 1), Ok(()));
    assert_eq!(exp(NOW - 29), Ok(()));
    assert_eq!(exp(NOW - 30), Err(TokenError::Expired));
    assert_eq!(exp(i64::MIN), Err(TokenError::Expired));
    assert_eq!(exp(i64::MAX), Ok(()));
    let nbf = |nbf: i64| with(&format!(r#"{{"uid":"a","nbf":{nbf}}}"#)).map(|_| ());
    assert_eq!(nbf(NOW + 30), Ok(()));
    assert_eq!(nbf(NOW + 31), Err(TokenError::NotYetValid));
    assert_eq!(nbf(i64::MAX), Err(TokenError::NotYetValid));
}

#[test]
fn a_token_without_an_end_counts_as_in_the_original() {
    assert_eq!(with(r#"{"uid":"a"}"#).unwrap().exp, None);
}

#[test]
fn a_claim_of_the_wrong_type_is_not_taken_for_absent() {
    for name in ["exp", "nbf", "iat"] {
        for value in [
            "\"1900000000\"",
            "1900000000.5",
            "1.9e9",
            "1900000000.0",
            "null",
            "true",
            "[]",
            "{}",
            "9223372036854775808",
            "18446744073709551616",
            "1e400",
            "\"\"",
        ] {
            let refused = with(&format!(r#"{{"uid":"a","{name}":{value}}}"#));
            assert!(
                matches!(refused, Err(TokenError::Claim(claim)) if claim == name)
                    || refused == Err(TokenError::Malformed),
                "{name} {value}: {refused:?}"
            );
        }
    }
    for value in ["\"1\"", "-1", "1.5", "null", "[]"] {
        let refused = with(&format!(r#"{{"uid":"a","gen":{value}}}"#));
        assert_eq!(refused, Err(TokenError::Claim("gen")), "{value}");
    }
    for payload in [
        "{}",
        r#"{"uid":""}"#,
        r#"{"uid":1}"#,
        r#"{"uid":null}"#,
        r#"{"uid":"a b"}"#,
        r#"{"uid":["a"]}"#,
    ] {
        assert_eq!(with(payload), Err(TokenError::Claim("uid")), "{payload}");
    }
}

#[test]
fn a_payload_that_is_no_object_or_has_a_key_twice_is_malformed() {
    for payload in [
        "",
        "[]",
        "null",
        "7",
        "\"a\"",
        "{",
        r#"{"uid":"a"}{}"#,
        r#"{"uid":"a","uid":"admin"}"#,
        r#"{"uid":"a","exp":1900000000,"exp":1}"#,
        r#"{"uid":"a","x":{"y":1,"y":2}}"#,
        r#"{"uid":"a","\u0075id":"admin"}"#,
    ] {
        assert_eq!(with(payload), Err(TokenError::Malformed), "{payload}");
    }
}

#[test]
fn an_algorithm_other_than_the_keys_is_refused() {
    let payload = r#"{"uid":"admin","exp":1900000000}"#;
    let (rsa, ec) = (rsa(), ec());
    let of = |alg: &str, kid: &str| format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
    for alg in
        ["none", "None", "NONE", "nOnE", "HS256", "HS512", "RS512", "PS256", "EdDSA", "", "rs256"]
    {
        for kid in [rsa.kid(), ec.kid()] {
            let token = forge(&of(alg, kid), payload);
            assert_eq!(verify(&token), Err(TokenError::Algorithm), "{alg}");
        }
    }
    assert_eq!(verify(&forge(&of("RS256", ec.kid()), payload)), Err(TokenError::Algorithm));
    assert_eq!(verify(&forge_ec(&of("ES256", rsa.kid()), payload)), Err(TokenError::Algorithm));
    assert_eq!(verify(&forge(&of("ES256", ec.kid()), payload)), Err(TokenError::Signature));
}

#[test]
fn an_unsigned_token_is_refused() {
    for alg in ["none", "RS256"] {
        let header = format!(r#"{{"alg":"{alg}","kid":"{}"}}"#, rsa().kid());
        let message = format!("{}.{}", encode(header), encode(r#"{"uid":"admin"}"#));
        for token in [message.clone(), format!("{message}."), format!("{message}.AA")] {
            assert!(verify(&token).is_err(), "{token}");
        }
    }
}

#[test]
fn the_public_key_is_no_secret() {
    let header = format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{}"}}"#, rsa().kid());
    let message = format!("{}.{}", encode(header), encode(r#"{"uid":"admin"}"#));
    let jwk = rsa().public_jwk().to_string();
    for secret in [RSA_PUBLIC, RSA_PUBLIC.trim(), jwk.as_str()] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let tag = ring::hmac::sign(&key, message.as_bytes());
        let token = format!("{message}.{}", encode(tag));
        assert_eq!(verify(&token), Err(TokenError::Algorithm));
    }
}

#[test]
fn a_key_that_the_token_names_or_brings_is_not_looked_at() {
    let payload = r#"{"uid":"admin"}"#;
    for kid in ["\"other\"", "\"\"", "\"../keys/rsa\""] {
        let header = format!(r#"{{"alg":"RS256","kid":{kid}}}"#);
        assert_eq!(verify(&forge(&header, payload)), Err(TokenError::UnknownKey), "{kid}");
    }
    assert_eq!(verify(&forge(r#"{"alg":"RS256"}"#, payload)), Err(TokenError::UnknownKey));
    for kid in ["1", "null", "[]"] {
        let header = format!(r#"{{"alg":"RS256","kid":{kid}}}"#);
        assert_eq!(verify(&forge(&header, payload)), Err(TokenError::Malformed), "{kid}");
    }
    // Signed by the key that it brings, under the id of one that is trusted.
    let stranger = identity::SigningKey::generate_es256().unwrap();
    let stranger = identity::SigningKey::es256(&stranger).unwrap();
    let claims = Claims::new("admin", None, 0);
    let foreign = stranger.sign(&claims).unwrap();
    assert_eq!(verify(&foreign), Err(TokenError::UnknownKey));
    for brought in [
        format!(r#""jwk":{}"#, stranger.public_jwk()),
        r#""jku":"https://evil.example.com/jwks""#.to_owned(),
        r#""x5u":"https://evil.example.com/cert""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
    ] {
        let header = format!(r#"{{"alg":"ES256","kid":"{}",{brought}}}"#, ec().kid());
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = foreign.rsplit('.').next().unwrap();
        assert_eq!(verify(&format!("{message}.{signature}")), Err(TokenError::Signature));
    }
}

#[test]
fn what_would_have_to_be_understood_is_refused() {
    let kid = rsa().kid().to_owned();
    for extension in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""b64":false,"crit":["b64"]"#,
        r#""b64":true"#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
    ] {
        let header = format!(r#"{{"alg":"RS256","kid":"{kid}",{extension}}}"#);
        assert_eq!(
            verify(&forge(&header, r#"{"uid":"a"}"#)),
            Err(TokenError::Header),
            "{extension}"
        );
    }
    let twice = format!(r#"{{"alg":"none","alg":"RS256","kid":"{kid}"}}"#);
    assert_eq!(verify(&forge(&twice, r#"{"uid":"a"}"#)), Err(TokenError::Malformed));
}

#[test]
fn a_signature_belongs_to_its_message() {
    let admin = rsa().sign(&Claims::new("admin", Some(NOW + 100), 0)).unwrap();
    let other = rsa().sign(&Claims::new("other", Some(NOW + 100), 0)).unwrap();
    let (message, _) = admin.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    assert_eq!(verify(&format!("{message}.{signature}")), Err(TokenError::Signature));
    // The DER form of an ECDSA signature is none here.
    let of_ec = ec().sign(&Claims::new("admin", None, 0)).unwrap();
    let (message, _) = of_ec.rsplit_once('.').unwrap();
    let der = [&[0x30, 0x44, 0x02, 0x20][..], &[1; 32], &[0x02, 0x20], &[1; 32]].concat();
    for bad in [encode(der), encode([0; 64]), encode([0xff; 64])] {
        assert_eq!(verify(&format!("{message}.{bad}")), Err(TokenError::Signature));
    }
}

#[test]
fn an_encoding_has_one_form() {
    let token = rsa().sign(&Claims::new("admin", Some(NOW + 100), 0)).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    // The last letter of 342 carries four bits that mean nothing; they must be zero.
    let last = signature.chars().last().unwrap();
    let sibling = char::from(last as u8 + 1);
    let changed = format!("{message}.{}{sibling}", &signature[..signature.len() - 1]);
    for bad in [
        changed,
        format!("{token}="),
        format!("{token}=="),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}.x"),
        format!(".{token}"),
        token.replace('.', ".."),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ] {
        assert!(verify(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_oversized_token_is_not_read() {
    let long = format!(r#"{{"uid":"a","x":"{}"}}"#, "x".repeat(8000));
    assert_eq!(with(&long), Err(TokenError::TooLong));
    let short = format!(r#"{{"uid":"a","x":"{}"}}"#, "x".repeat(4000));
    assert!(with(&short).is_ok());
}

#[test]
fn deep_json_harms_nobody() {
    let payload = format!("{{\"uid\":\"a\",\"x\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    assert_eq!(with(&payload), Err(TokenError::Malformed));
}

#[test]
fn no_key_no_token() {
    let token = rsa().sign(&Claims::new("admin", None, 0)).unwrap();
    assert_eq!(KeySet::default().verify(&token, NOW), Err(TokenError::UnknownKey));
}

#[test]
fn a_foreign_token_needs_its_signature_only() {
    let token = forge(r#"{"alg":"RS256"}"#, r#"{"iss":"x","exp":1.5}"#);
    assert_eq!(keys().verify_signature(&token).unwrap()["iss"], "x");
    let two = KeySet::new([rsa().public().clone()]).unwrap();
    let of_ec = forge_ec(r#"{"alg":"ES256"}"#, "{}");
    assert_eq!(two.verify_signature(&of_ec), Err(TokenError::UnknownKey));
}

#[test]
fn a_service_logs_in_with_a_token_of_its_own() {
    for (private, public, other) in [(RSA, rsa(), ec()), (EC, ec(), rsa())] {
        let token = service_login_token("svc", private, NOW).unwrap();
        let claims = verify_service_login(&token, "svc", public.public(), NOW).unwrap();
        assert_eq!(claims.exp, Some(NOW + 300));
        let check = |uid, key: &identity::SigningKey, now| {
            verify_service_login(&token, uid, key.public(), now).map(|_| ())
        };
        assert_eq!(check("svc", &public, NOW + 329), Ok(()));
        assert_eq!(check("svc", &public, NOW + 330), Err(TokenError::Expired));
        assert_eq!(check("admin", &public, NOW), Err(TokenError::Claim("uid")));
        assert_eq!(check("svc", &other, NOW), Err(TokenError::Algorithm));
    }
}

#[test]
fn a_service_login_token_is_short_lived() {
    let login = |payload: &str| {
        let token = forge(r#"{"alg":"RS256"}"#, payload);
        verify_service_login(&token, "svc", rsa().public(), NOW).map(|_| ())
    };
    let until = |exp: i64| login(&format!(r#"{{"uid":"svc","exp":{exp}}}"#));
    assert_eq!(until(NOW + 630), Ok(()));
    assert_eq!(until(NOW + 631), Err(TokenError::TooLongLived));
    assert_eq!(until(i64::MAX), Err(TokenError::TooLongLived));
    assert_eq!(login(r#"{"uid":"svc"}"#), Err(TokenError::Claim("exp")));
    assert_eq!(login(r#"{"exp":1700000100}"#), Err(TokenError::Claim("uid")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nothing may be changed in a token, at any place.
    #[test]
    fn a_changed_token_does_not_count(at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
        let claims = Claims::new("admin", Some(NOW + 100), 0);
        let token = ec().sign(&claims).unwrap();
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        prop_assume!(changed[at] != byte);
        changed[at] = byte;
        prop_assert!(verify(&String::from_utf8(changed).unwrap()).is_err());
    }

    #[test]
    fn a_cut_token_does_not_count(at in any::<prop::sample::Index>()) {
        let token = rsa().sign(&Claims::new("admin", Some(NOW + 100), 0)).unwrap();
        prop_assert!(verify(&token[..at.index(token.len())]).is_err());
    }

    #[test]
    fn claims_come_back(uid in "[a-zA-Z0-9_@.-]{1,96}", exp in proptest::option::of(NOW..), generation: u64) {
        let claims = Claims::new(uid, exp, generation);
        prop_assert_eq!(verify(&ec().sign(&claims).unwrap()), Ok(claims));
    }

    #[test]
    fn any_text_is_an_error(text in "\\PC{0,60}") {
        prop_assert!(verify(&text).is_err());
    }
}
