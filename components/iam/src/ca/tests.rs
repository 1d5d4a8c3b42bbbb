//! Certificates that are signed, and requests that are refused.

use std::sync::atomic::AtomicI64;

use http::StatusCode;
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};
use serde_json::{Value, json};
use x509_parser::extensions::GeneralName;

use super::*;

const START: i64 = 1_700_000_000;

async fn authority() -> Authority {
    let folder = tempfile::tempdir().unwrap();
    let state = cluster_state::embedded::open(folder.path().join("state")).unwrap();
    let state = state as Arc<dyn ClusterState>;
    let key = NodeKey::from_bytes(&[1; 32]).unwrap();
    let clock = Clock::of(Arc::new(AtomicI64::new(START)));
    let made = Authority::open(&state, &key, clock.clone()).await.unwrap();
    let again = Authority::open(&state, &key, clock.clone()).await.unwrap();
    assert_eq!(made.pem(), again.pem(), "made once");
    let other = NodeKey::from_bytes(&[2; 32]).unwrap();
    assert!(matches!(Authority::open(&state, &other, clock).await, Err(CaError::Seal(_))));
    made
}

fn csr_of(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("a.b");
    change(&mut params);
    params.serialize_request(key).unwrap().pem().unwrap()
}

fn csr() -> String {
    csr_of(&KeyPair::generate().unwrap(), |_| ())
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn parsed<T>(
    pem: &str,
    look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T,
) -> T {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    look(&block.parse_x509().unwrap())
}

#[tokio::test]
async fn the_authority_signs_certificates_and_nothing_below_it_does() {
    let authority = authority().await;
    parsed(authority.pem(), |ca| {
        let constraints = ca.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        let usage = ca.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
        assert!(ca.extended_key_usage().unwrap().is_none());
        assert!(ca.verify_signature(None).is_ok());
        let days = (ca.validity().not_after.timestamp() - START) / DAY;
        assert_eq!(days, 3650);
    });
    let fingerprint = authority.fingerprint();
    assert_eq!(fingerprint.len(), 95);
    assert!(
        fingerprint.bytes().all(|b| b == b':' || b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
    );
}

#[tokio::test]
async fn a_certificate_says_what_was_allowed() {
    let authority = authority().await;
    let names = hosts(&["Master.mesos", "127.0.0.1", "::1", "master.mesos"]);
    let master = csr_of(&KeyPair::generate().unwrap(), |params| {
        params.distinguished_name = common_name("Master.mesos");
    });
    let issued = authority.sign(&master, Some(&names), Profile::Server).unwrap();
    assert_eq!(issued.hosts, ["master.mesos", "127.0.0.1", "::1"]);
    assert_eq!(issued.common_name, "Master.mesos");
    assert_eq!(issued.expires, START + 365 * DAY);
    let second = authority.sign(&csr(), Some(&names), Profile::Client).unwrap();
    assert_ne!(issued.serial, second.serial);
    let (_, ca_block) = x509_parser::pem::parse_x509_pem(authority.pem().as_bytes()).unwrap();
    let ca = ca_block.parse_x509().unwrap();
    parsed(&issued.pem, |leaf| {
        assert!(leaf.verify_signature(Some(ca.public_key())).is_ok());
        assert_eq!(leaf.issuer(), ca.subject());
        assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
        let usage = leaf.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        let extended = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.server_auth && !extended.client_auth && !extended.any);
        let alternative = leaf.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(alternative.general_names.len(), 3);
        assert_eq!(alternative.general_names[0], GeneralName::DNSName("master.mesos"));
        assert_eq!(leaf.raw_serial().len(), SERIAL_BYTES);
        assert!(leaf.validity().not_before.timestamp() < START);
    });
    parsed(&second.pem, |leaf| {
        let extended = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(!extended.server_auth && extended.client_auth);
    });
}

#[tokio::test]
async fn a_request_cannot_ask_to_be_an_authority() {
    let authority = authority().await;
    let greedy = csr_of(&KeyPair::generate().unwrap(), |params| {
        params.distinguished_name = common_name("");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.subject_alt_names = vec![SanType::DnsName("own.name".try_into().unwrap())];
    });
    let issued = authority.sign(&greedy, None, Profile::Server).unwrap();
    assert_eq!(issued.hosts, ["own.name"], "names of the request count where none are given");
    parsed(&issued.pem, |leaf| {
        assert!(!leaf.is_ca());
        assert!(!leaf.key_usage().unwrap().unwrap().value.key_cert_sign());
        assert!(!leaf.extended_key_usage().unwrap().unwrap().value.code_signing);
    });
    let mail = csr_of(&KeyPair::generate().unwrap(), |params| {
        params.subject_alt_names = vec![SanType::Rfc822Name("a@b.c".try_into().unwrap())];
    });
    assert_eq!(authority.sign(&mail, None, Profile::Client), Err(RequestError::OtherNames));
}

#[tokio::test]
async fn requests_that_are_not_signed() {
    let authority = authority().await;
    let good = csr();
    let sign = |csr: &str, names: Option<&[&str]>| {
        let names = names.map(hosts);
        authority.sign(csr, names.as_deref(), Profile::Server).map(|_| ())
    };
    assert_eq!(sign(&good, Some(&["a.b"])), Ok(()));
    assert_eq!(sign(&good, None), Err(RequestError::NoHosts));
    assert_eq!(sign(&good, Some(&[])), Err(RequestError::NoHosts));
    assert_eq!(sign(&good, Some(&["a b"])), Err(RequestError::Host("a b".to_owned())));
    let many: Vec<String> = (0..101).map(|n| format!("h{n}.b")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(sign(&good, Some(&many)), Err(RequestError::TooManyHosts));
    assert_eq!(sign("", Some(&["a.b"])), Err(RequestError::Pem));
    assert_eq!(sign(authority.pem(), Some(&["a.b"])), Err(RequestError::Pem));
    assert_eq!(sign(&format!("{good}{good}"), Some(&["a.b"])), Err(RequestError::Pem));
    let huge = format!("{good}{}", " ".repeat(100_000));
    assert_eq!(sign(&huge, Some(&["a.b"])), Err(RequestError::Pem));
    // The signature of another key over the same content.
    let (_, block) = x509_parser::pem::parse_x509_pem(good.as_bytes()).unwrap();
    let mut forged = block.contents.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let forged = format!(
        "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
        STANDARD.encode(&forged)
    );
    assert_eq!(sign(&forged, Some(&["a.b"])), Err(RequestError::Signature));
    let long = csr_of(&KeyPair::generate().unwrap(), |params| {
        params.distinguished_name = common_name(&"x".repeat(65));
    });
    assert_eq!(sign(&long, Some(&["a.b"])), Err(RequestError::CommonName));
    for other in ["gateway.example", "a.b: gateway.example", "127.0.0.1"] {
        let other = csr_of(&KeyPair::generate().unwrap(), |params| {
            params.distinguished_name = common_name(other);
        });
        assert_eq!(sign(&other, Some(&["a.b"])), Err(RequestError::CommonNameElsewhere));
        assert!(authority.sign(&other, Some(&hosts(&["a.b"])), Profile::Client).is_ok());
    }
    let address = csr_of(&KeyPair::generate().unwrap(), |params| {
        params.distinguished_name = common_name("127.0.0.1");
    });
    assert_eq!(sign(&address, Some(&["a.b", "127.0.0.1"])), Ok(()));
}

#[tokio::test]
async fn kinds_of_keys() {
    let authority = authority().await;
    let names = hosts(&["a.b"]);
    let kinds: [&'static SignatureAlgorithm; 3] =
        [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
    for kind in kinds {
        let key = KeyPair::generate_for(kind).unwrap();
        let issued = authority.sign(&csr_of(&key, |_| ()), Some(&names), Profile::Peer).unwrap();
        let public = key.public_key_raw().to_vec();
        parsed(&issued.pem, |leaf| {
            assert_eq!(leaf.public_key().subject_public_key.data.as_ref(), public, "{kind:?}");
        });
    }
    let names = hosts(&["a.b", "gateway"]);
    let issued = authority.sign(RSA_2048_CSR, Some(&names), Profile::Server).unwrap();
    parsed(&issued.pem, |leaf| {
        assert!(leaf.key_usage().unwrap().unwrap().value.key_encipherment());
    });
    let weak = authority.sign(RSA_1024_CSR, Some(&names), Profile::Server);
    assert_eq!(weak, Err(RequestError::Key));
}

#[tokio::test]
async fn answers_are_cfssls() {
    let authority = authority().await;
    let body = json!({"certificate_request": csr(), "hosts": ["a.b"], "profile": "server"});
    let answer = api::sign(&authority, body.to_string().as_bytes());
    let issued = answer.issued.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.body,
        json!({"success": true, "result": {"certificate": issued.pem}, "errors": [], "messages": []})
    );
    let info = api::info(&authority, br#"{"profile": "client"}"#);
    assert_eq!(info.body["result"]["certificate"], Value::from(authority.pem()));
    assert_eq!(
        info.body["result"]["usages"],
        json!(["signing", "key encipherment", "client auth"])
    );
    assert_eq!(info.body["result"]["expiry"], json!("8760h"));
    assert_eq!(api::info(&authority, b"").status, StatusCode::OK);
    let wrong = [
        (json!({"certificate_request": "x"}), 9002),
        (json!({"certificate_request": csr()}), 5300),
        (json!({"certificate_request": csr(), "profile": "root"}), 5400),
        (json!({"hosts": []}), 5300),
    ];
    for (body, code) in wrong {
        let answer = api::sign(&authority, body.to_string().as_bytes());
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.body["success"], json!(false));
        assert_eq!(answer.body["errors"][0]["code"], json!(code), "{}", answer.body);
        assert!(answer.issued.is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// A request changed anywhere is refused, or the change was where nothing is taken from (the
    /// name of the signature's algorithm is not signed itself).
    #[test]
    fn changed_requests_get_nothing_else(at in 0.0..1.0_f64, bit in 0..8_u8) {
        let (_, block) = x509_parser::pem::parse_x509_pem(RSA_2048_CSR.as_bytes()).unwrap();
        let mut content = block.contents;
        let index = ((content.len() - 1) as f64 * at) as usize;
        content[index] ^= 1 << bit;
        let pem = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            STANDARD.encode(&content)
        );
        let original = Request::parse(RSA_2048_CSR, None).unwrap();
        if let Ok(request) = Request::parse(&pem, None) {
            prop_assert_eq!(request.public_key, original.public_key);
            prop_assert_eq!(request.common_name, original.common_name);
            prop_assert_eq!(request.names, original.names);
        }
    }
}

/// Written by `openssl req -new`.
const RSA_2048_CSR: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIICVzCCAT8CAQAwEjEQMA4GA1UEAwwHZ2F0ZXdheTCCASIwDQYJKoZIhvcNAQEB
BQADggEPADCCAQoCggEBALcHFjxOxiZ5b9T1UHGR/d8NqD4245sksBHDMzQqmKjw
pDPKK5Trr7kbjjJv6rALijAjD5v97AibVV18rFr/HXL7wEV540Avhf0+nqXmrEYS
6rS6te9bngqIaY3yLEdl3ZIS4B0dUFSNvOOl4V6+CzpiloKryx3YkAKaXVTh01qj
3tewDSHs6Qtr4a3+mCCcFnDi1Rkhc6Ffdxh4I3DCBavpUSr6zVMyuOqCgFYBGV2p
lqqeFY1S2nSijfgi4Q1Wiw7BqAnDzhvk3CaEEQRSV1aPPVL9gN7vqOAUus79ANYf
/SuhpArxmCSSKp4nE/mb76bs7MZ1g4/6IQMo3c2mvpkCAwEAAaAAMA0GCSqGSIb3
DQEBCwUAA4IBAQC0PBPt5idvwKsXu7/eJYzIpADRLgouvrqKzzYhAwvIaxIlRlaj
iAL493dXlajG5jlIiNMtmFgYM5BU32g4wIHw4+8OTqVIyCstTd/l2a+nOxkd1ytx
E5VoXIwFL0xuST1aiXN/JN0c+y1cg9wDhFmmRgAPUWxf7yb5wccQ5aeYrEGVQAU+
r+4zdB/7hE0XSyfYFYlXWsV3Nr9HfZrLTXqSYkVgMkLNOsa9OgTGOepUBXgRYOWR
IA3cQTYgd3wyzeC1ouUKAmdoc/n9xoSSiCyuHLJDNuWAQ+sxpJHAROubx6xgBdK5
nUYiyMzeKJvkdQMvjYx8WEZ0yFajv/xwAlH1
-----END CERTIFICATE REQUEST-----";

/// Written by `openssl req -new`.
const RSA_1024_CSR: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIIBUTCBuwIBADASMRAwDgYDVQQDDAdnYXRld2F5MIGfMA0GCSqGSIb3DQEBAQUA
A4GNADCBiQKBgQDoTrjU+RuKh9LUVOgrNVRmdguLwB/vJc2oCLfndqjaDHI6OHPo
Uvx7pdJZm4VrrsEWzFCLe8HvTy1IhoncIOQrLhhzAPewBywXLGwMZO1VJUGVvvvd
Qai83Ws3wsniuTY8o78bJlzb5YxAk+vh9un17Tl88CLMGHqSDhfGjLr6mQIDAQAB
oAAwDQYJKoZIhvcNAQELBQADgYEAC/QrxJ5bLytA4FYj4FjoDLs3pCIGRbjqQD0x
vJodoM0i3u4rbPSNS3oBE52um86RIDXok66AKmIJpMvSCN+gOAqVJQiIj9Jf+Aqh
imjpJjufk+knajOLyv0ZKHofwTIi7qjgSBzQuPSceyBhXgfLYgDZGk2Sh4BKc6Bt
Q42zVgI=
-----END CERTIFICATE REQUEST-----";
