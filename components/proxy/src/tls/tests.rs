//! Which certificate is chosen, and that bad ones change nothing.

use std::path::PathBuf;

use rustls::SignatureScheme;

use super::{Certificates, Source, TlsError, TlsOptions, table_of};

struct Pair {
    chain: String,
    key: String,
}

fn pair(names: &[&str]) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_string()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    Pair { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
}

fn source(pair: &Pair) -> Source {
    Source::pem(pair.chain.clone(), pair.key.clone())
}

const SCHEMES: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];

#[test]
fn exact_before_wildcard_before_default() {
    let pairs = [pair(&["default.test"]), pair(&["*.a.test"]), pair(&["x.a.test", "Y.test"])];
    let sources: Vec<_> = pairs.iter().map(source).collect();
    let table = table_of(&sources).unwrap();
    let chosen = |name: Option<&str>| {
        let key = table.choose(name, SCHEMES).unwrap();
        let leaf = key.end_entity_cert().unwrap().to_vec();
        let same = |pair: &Pair| {
            let table = table_of(&[source(pair)]).unwrap();
            table.choose(None, SCHEMES).unwrap().end_entity_cert().unwrap().to_vec() == leaf
        };
        pairs.iter().position(same).unwrap()
    };
    assert_eq!(chosen(Some("x.a.test")), 2);
    assert_eq!(chosen(Some("X.A.test")), 2);
    assert_eq!(chosen(Some("y.test")), 2);
    assert_eq!(chosen(Some("z.a.test")), 1);
    assert_eq!(chosen(Some("a.test")), 0);
    assert_eq!(chosen(Some("deep.z.a.test")), 0);
    assert_eq!(chosen(None), 0);
    assert!(table.choose(None, &[SignatureScheme::ED25519]).is_none());
}

#[test]
fn what_does_not_fit_together_changes_nothing() {
    let (good, other) = (pair(&["good.test"]), pair(&["other.test"]));
    let certificates = Certificates::new(vec![source(&good)], &TlsOptions::default()).unwrap();
    let bad = [
        vec![],
        vec![Source::pem(good.chain.clone(), other.key.clone())],
        vec![Source::pem(good.chain.clone(), "nothing")],
        vec![Source::pem("nothing", good.key.clone())],
        vec![source(&other), Source::files(PathBuf::from("/nowhere"), PathBuf::from("/nowhere"))],
    ];
    for sources in bad {
        let named = format!("{sources:?}");
        assert!(certificates.reload(sources).is_err(), "{named}");
        assert_eq!(certificates.names(), ["good.test"]);
    }
    certificates.reload(vec![source(&other)]).unwrap();
    assert_eq!(certificates.names(), ["other.test"]);
}

/// The files are read again while other certificates are given: those stay, whoever ends last.
#[test]
fn what_was_given_is_not_replaced_by_what_was_read_before() {
    let (old, new) = (pair(&["old.test"]), pair(&["new.test"]));
    let folder = tempfile::tempdir().unwrap();
    let (chain, key) = (folder.path().join("chain"), folder.path().join("key"));
    std::fs::write(&chain, &old.chain).unwrap();
    std::fs::write(&key, &old.key).unwrap();
    let certificates = Certificates::from_files(&chain, &key).unwrap();
    // Who reads this key waits until it is written.
    std::fs::remove_file(&key).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&key).status().unwrap();
    assert!(made.success());
    std::thread::scope(|scope| {
        let refresh = scope.spawn(|| certificates.refresh());
        // Opens once the other side has opened too.
        let mut pipe = std::fs::OpenOptions::new().write(true).open(&key).unwrap();
        let reload = scope.spawn(|| certificates.reload(vec![source(&new)]));
        std::thread::sleep(std::time::Duration::from_millis(200));
        std::io::Write::write_all(&mut pipe, old.key.as_bytes()).unwrap();
        drop(pipe);
        refresh.join().unwrap().unwrap();
        reload.join().unwrap().unwrap();
    });
    assert_eq!(certificates.names(), ["new.test"]);
}

#[test]
fn no_text_of_a_key_is_shown() {
    let good = pair(&["good.test"]);
    let shown = format!("{:?}", source(&good));
    assert!(!shown.contains("PRIVATE") && !shown.contains("45, 45"), "{shown}");
    let error = Certificates::from_pem(good.chain.as_bytes(), b"secret text").unwrap_err();
    assert!(matches!(error, TlsError::NoKey(_)));
    assert!(!format!("{error:?} {error}").contains("secret"));
}
