//! Whether to trust a cluster that nobody known vouches for: its own authority is shown, and a
//! person decides.

use crate::context::client;
use crate::endpoints::Trust;
use crate::server::Server;
use crate::terminal::Io;
use anyhow::{Context as _, bail};
use http::Method;
use http_kit::client::Authorities;
use ring::digest::{SHA256, digest};
use std::fmt::Write as _;
use std::time::Duration;
use x509_parser::pem::Pem;

/// Where a cluster shows its authority.
const PLACE: &str = "/ca/dcos-ca.crt";

/// Whether a failure is that of a certificate by an authority that is not known.
pub(super) fn is_unknown(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("UnknownIssuer")
}

/// The authority of the cluster at `url`, as the cluster itself shows it: worth nothing until
/// it has been confirmed. Nothing secret is sent.
pub(super) async fn fetch(url: &str, timeout: Duration, verbosity: u8) -> anyhow::Result<Vec<u8>> {
    let client = client(timeout, &Trust::Any)?;
    let server = Server::new("the cluster", url, client, None, verbosity);
    let answer = server.call(Method::GET, PLACE, None, None, None).await.with_context(|| {
        format!(
            "the certificate of {url} is by an unknown authority, and the cluster shows none at \
             {PLACE}; --ca-certs names a file with it"
        )
    })?;
    let bundle = answer.into_body().to_vec();
    Authorities::from_pem(&bundle).with_context(|| format!("{url}{PLACE} cannot be used"))?;
    Ok(bundle)
}

/// Shows the certificates of a bundle, and asks whether they are trusted. It shows all of them:
/// whoever sits in between could put one of their own behind the true one.
pub(super) fn confirm(io: &mut Io, bundle: &[u8]) -> anyhow::Result<()> {
    io.note(describe(bundle)?)?;
    for _ in 0..3 {
        let Some(answer) = io.ask("Do you trust it? [y/n] ")? else {
            // The question stands without an end of line.
            io.note("")?;
            break;
        };
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(()),
            "n" | "no" => break,
            _ => {}
        }
    }
    bail!(
        "the cluster's authority is not trusted (--ca-certs names a file with one that is; \
         --no-check trusts what the cluster shows)"
    )
}

/// The certificates of a bundle, for a person.
fn describe(bundle: &[u8]) -> anyhow::Result<String> {
    let mut text = String::new();
    for block in Pem::iter_from_buffer(bundle) {
        let block = block.context("it is no valid PEM")?;
        let certificate = block.parse_x509().context("it is no certificate")?;
        let validity = certificate.validity();
        let _ = writeln!(
            text,
            "Cluster Certificate Authority:\n\n  Issuer: {}\n\n  Validity:\n    From:  {}\n    \
             Until: {}\n\n  SHA256 fingerprint: {}\n",
            certificate.issuer(),
            validity.not_before,
            validity.not_after,
            fingerprint(&block.contents),
        );
    }
    if text.is_empty() {
        bail!("there is no certificate in it");
    }
    Ok(text)
}

fn fingerprint(der: &[u8]) -> String {
    let mut text = String::new();
    for (number, byte) in digest(&SHA256, der).as_ref().iter().enumerate() {
        if number > 0 {
            text.push(':');
        }
        let _ = write!(text, "{byte:02X}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Environment;

    const AUTHORITY: &[u8] = include_bytes!("../../../tests/commands/keys/authority.pem");

    #[test]
    fn an_authority_is_shown_as_openssl_shows_it() {
        let text = describe(AUTHORITY).unwrap();
        // openssl x509 -in authority.pem -noout -fingerprint -sha256
        let fingerprint = include_str!("../../../tests/commands/keys/authority.fingerprint");
        assert!(text.contains(fingerprint.trim()), "{text}");
        assert!(text.contains("Issuer: ") && text.contains("Until: "), "{text}");
        let two = describe(
            &[AUTHORITY, include_bytes!("../../../tests/commands/keys/localhost.pem")].concat(),
        );
        assert_eq!(two.unwrap().matches("fingerprint").count(), 2, "one is trusted unseen");
        assert!(describe(b"").is_err());
    }

    #[test]
    fn only_a_yes_is_one() {
        let ask = |input: &'static str| {
            let sink = std::io::sink;
            let mut io = Io::pipes(input.as_bytes(), sink(), sink(), Environment::default());
            confirm(&mut io, AUTHORITY).is_ok()
        };
        assert!(ask("y\n") && ask("what\n\nYes\n"));
        assert!(!ask("n\n") && !ask("") && !ask("\n\n\ny\n"));
    }
}
