//! Keys of nobody: what login tokens are checked with where there is no account, or one with
//! another kind of key, so that by the clock all accounts are alike.

use identity::{Algorithm, PublicKey};

/// Whose private keys were not kept.
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1/bAaQkZBT/ojVxvUH+6
3IsfA+h/jjVE6aufpg80BgvIbLUDN2HTu8vwyaTVHT5u2BR8cYbRVEZl5dhbHXuK
JPT2CNU+9bbf8aXtUENr4FkLQeOeEpkjY505r+Gdt0PPm7IxC18Gue3HGaGVzS1g
xgMtzKoG3/dR3h7DUDuJUQDxINlh+qTnTz7cExFj54NpQkpuFjETFBQKlSvsZVMa
YHi5nK8Sm+vs34wghHA3A6u/AS4MmwQp5w51XWXseepjjkAns0zWF1JDlSUCKKyN
cUKLmEeJ//b5idlFwJRvrlNTjP0SJJVVm4Z6OgpMv2yvHGN2V1+4bfh7wkzJjaUq
lwIDAQAB
-----END PUBLIC KEY-----
";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEVljw4Zs/chk9GspeXqh+Kzdzfly8
x06U63mxTmrrzBa7rMyfu8s/rpgPoOMQMFw2QGD0urWIc6fOKfH4HplYQg==
-----END PUBLIC KEY-----
";

/// A key to check a login token with.
#[derive(Debug)]
pub(crate) struct Checking {
    /// None where there is nothing to check.
    pub(crate) key: Option<PublicKey>,
    /// Whether it is the account's own; with any other the login is refused.
    pub(crate) own: bool,
}

/// The key of an account, if it has one that fits the token, or nobody's of the algorithm that the
/// token names: one key is read and one signature checked, whatever account there is.
pub(crate) fn checking(pem: Option<&str>, named: Option<Algorithm>) -> Checking {
    let named = named.unwrap_or(Algorithm::ES256);
    let nobodys = match named {
        Algorithm::RS256 => RSA,
        Algorithm::ES256 => P256,
    };
    let read = |pem| PublicKey::from_pem(pem).ok();
    match read(pem.unwrap_or(nobodys)) {
        Some(key) if key.algorithm() == named => Checking { key: Some(key), own: pem.is_some() },
        _ => Checking { key: read(nobodys), own: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_checked_for_every_account_and_for_none() {
        // Here they stand for keys of accounts.
        for pem in [None, Some(RSA), Some(P256), Some("unreadable")] {
            for named in [Algorithm::RS256, Algorithm::ES256] {
                let checking = checking(pem, Some(named));
                let key = checking.key.unwrap();
                assert_eq!(key.algorithm(), named, "{pem:?}");
                let fits = matches!(
                    (pem, named),
                    (Some(RSA), Algorithm::RS256) | (Some(P256), Algorithm::ES256)
                );
                assert_eq!(checking.own, fits, "{pem:?} {named:?}");
            }
        }
    }
}
