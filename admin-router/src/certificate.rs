//! The gateway's certificate: one that was given, or one that IAM's authority issues.
//!
//! The key is made here and never leaves the node; key and certificate stand in one file, so
//! that they are replaced in one step. A renewed certificate is served to new connections; open
//! ones notice nothing.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::Full;
use http_kit::Client;
use http_kit::guard::TokenSource;
use proxy::tls::{Certificates, Source, TlsError};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{GeneralName, ParsedExtension, X509Certificate};

/// How long the first certificate is tried to be had.
const FIRST: Duration = Duration::from_secs(60);
/// Between two tries of the first.
const PAUSE: Duration = Duration::from_millis(500);
/// How often is looked whether a certificate is to be renewed.
const LOOK: Duration = Duration::from_secs(600);
/// How often given files are looked at.
const WATCH: Duration = Duration::from_secs(30);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot keep the certificate in {path}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the certificate cannot be used")]
    Tls(#[from] TlsError),
    #[error("no request for a certificate can be made")]
    Make(#[from] rcgen::Error),
    #[error("IAM issues no certificate: {0}")]
    Refused(String),
}

/// Where a certificate comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The operator's files, read again when they change.
    Given { chain: PathBuf, key: PathBuf },
    /// IAM's authority.
    Issued(Issued),
}

/// What an issued certificate is for, and who is asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) folder: PathBuf,
    pub(crate) names: Vec<String>,
    /// IAM as a URL.
    pub(crate) iam: String,
    pub(crate) client: Client,
    pub(crate) tokens: TokenSource,
}

/// What is read of a certificate.
struct Facts {
    not_before: i64,
    not_after: i64,
    names: Vec<String>,
}

// === impl Origin ===

impl Origin {
    /// The certificate to begin with.
    pub(crate) async fn first(&self) -> Result<Arc<Certificates>, CertificateError> {
        match self {
            Origin::Given { chain, key } => Ok(Certificates::from_files(chain, key)?),
            Origin::Issued(issued) => {
                let pem = issued.first().await?;
                Ok(Certificates::from_pem(&pem, &pem)?)
            }
        }
    }

    /// Keeps it from expiring until the end.
    pub(crate) async fn keep(self, certificates: Arc<Certificates>, shutdown: CancellationToken) {
        match self {
            Origin::Given { .. } => certificates.watch(WATCH, shutdown).await,
            Origin::Issued(issued) => {
                let _ = shutdown.run_until_cancelled(issued.keep(&certificates)).await;
            }
        }
    }
}

// === impl Issued ===

impl Issued {
    /// The one that is kept, if it is good; else a new one. While IAM is away, one that is about
    /// to expire is better than none.
    async fn first(&self) -> Result<Vec<u8>, CertificateError> {
        let kept = self.kept();
        let now = unix_now();
        if let Some((pem, facts)) = &kept
            && !facts.is_due(now)
            && facts.has(&self.names)
            && !self.is_of_another(pem).await
        {
            return Ok(pem.clone());
        }
        let end = tokio::time::Instant::now() + FIRST;
        loop {
            match self.issue().await {
                Ok(pem) => return Ok(pem),
                Err(error) => match &kept {
                    Some((pem, facts)) if facts.not_after > now => {
                        tracing::warn!(%error, "the certificate is not renewed yet");
                        return Ok(pem.clone());
                    }
                    _ if tokio::time::Instant::now() > end => return Err(error),
                    _ => tracing::debug!(%error, "no certificate yet"),
                },
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn keep(&self, certificates: &Certificates) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Some((pem, facts)) = self.kept()
                && !facts.is_due(unix_now())
                && !self.is_of_another(&pem).await
            {
                continue;
            }
            let renewed = match self.issue().await {
                Ok(pem) => {
                    certificates.reload(vec![Source::pem(pem.clone(), pem)]).map_err(Into::into)
                }
                Err(error) => Err(error),
            };
            match renewed {
                Ok(()) => tracing::info!("the gateway's certificate is renewed"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the gateway's certificate cannot be renewed");
                }
            }
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("gateway.pem")
    }

    fn kept(&self) -> Option<(Vec<u8>, Facts)> {
        let pem = std::fs::read(self.file()).ok()?;
        let facts = Facts::read(&pem)?;
        Some((pem, facts))
    }

    /// Whether another authority issued it than the one that IAM has now: nobody who trusts this
    /// one believes it. While IAM cannot be asked, there is no other.
    async fn is_of_another(&self, pem: &[u8]) -> bool {
        let request = Request::get(format!("{}/ca/dcos-ca.crt", self.iam));
        let Ok(request) = request.body(Full::default()) else { return false };
        match self.client.fetch(request).await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                is_issued_by(pem, answer.body()) == Some(false)
            }
            _ => false,
        }
    }

    /// A new key, and IAM's signature for it; kept in the folder.
    async fn issue(&self) -> Result<Vec<u8>, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(self.names.clone())?;
        params.distinguished_name = DistinguishedName::new();
        let name = self.names.first().map_or("gateway", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        let request = params.serialize_request(&key)?.pem()?;
        let certificate = self.sign(&request).await?;
        let pem = format!("{}\n{}", certificate.trim_end(), key.serialize_pem()).into_bytes();
        // What cannot be served is not kept either.
        Certificates::from_pem(&pem, &pem)?;
        write_owned(&self.folder, &self.file(), &pem)
            .map_err(|source| CertificateError::File { path: self.file(), source })?;
        Ok(pem)
    }

    async fn sign(&self, request: &str) -> Result<String, CertificateError> {
        let refused = |why: String| CertificateError::Refused(why);
        let body = serde_json::json!({
            "certificate_request": request, "hosts": self.names, "profile": "server",
        });
        let mut request = Request::post(format!("{}/ca/api/v2/sign", self.iam))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| refused(error.to_string()))?;
        self.tokens.authorize(request.headers_mut());
        let sent = request.headers().clone();
        let answer =
            self.client.fetch(request).await.map_err(|error| refused(error.to_string()))?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.tokens.refused(&sent);
        }
        if answer.status() != StatusCode::OK {
            return Err(refused(format!("it answers {}", answer.status())));
        }
        let answer: serde_json::Value =
            serde_json::from_slice(answer.body()).map_err(|error| refused(error.to_string()))?;
        let certificate = answer.pointer("/result/certificate").and_then(|pem| pem.as_str());
        certificate
            .map(str::to_owned)
            .ok_or_else(|| refused("there is no certificate in its answer".to_owned()))
    }
}

// === impl Facts ===

impl Facts {
    fn read(pem: &[u8]) -> Option<Facts> {
        let found = x509_parser::pem::Pem::iter_from_buffer(pem)
            .filter_map(Result::ok)
            .find(|pem| pem.label == "CERTIFICATE")?;
        let certificate: X509Certificate<'_> = found.parse_x509().ok()?;
        let names = certificate.extensions().iter().filter_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
                _ => None,
            }
        });
        let names = names.flatten().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => {
                    <[u8; 4]>::try_from(*bytes).ok().map(|b| std::net::IpAddr::from(b).to_string())
                }
                _ => {
                    <[u8; 16]>::try_from(*bytes).ok().map(|b| std::net::IpAddr::from(b).to_string())
                }
            },
            _ => None,
        });
        let names = names.collect();
        let validity = certificate.validity();
        let (not_before, not_after) =
            (validity.not_before.timestamp(), validity.not_after.timestamp());
        Some(Facts { not_before, not_after, names })
    }

    /// Whether less than a third of its life is left.
    fn is_due(&self, now: i64) -> bool {
        now >= self.not_after - (self.not_after - self.not_before) / 3
    }

    fn has(&self, names: &[String]) -> bool {
        let has = |name: &String| self.names.iter().any(|known| known.eq_ignore_ascii_case(name));
        names.iter().all(has)
    }
}

/// Whether a chain leads to an authority; none if either cannot be read.
fn is_issued_by(chain: &[u8], authority: &[u8]) -> Option<bool> {
    let certificates = |pem| CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let mut roots = RootCertStore::empty();
    for authority in certificates(authority).ok()? {
        roots.add(authority).ok()?;
    }
    let chain = certificates(chain).ok()?;
    let (first, others) = chain.split_first().filter(|_| !roots.is_empty())?;
    let first = ParsedCertificate::try_from(first).ok()?;
    let algorithms = ring::default_provider().signature_verification_algorithms.all;
    let now = UnixTime::now();
    let found = verify_server_cert_signed_by_trust_anchor(&first, &roots, others, now, algorithms);
    Some(found.is_ok())
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Writes a file that only its owner can read, in one step.
fn write_owned(folder: &Path, file: &Path, text: &[u8]) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = file.with_extension("new");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    out.write_all(text)?;
    out.sync_all()?;
    std::fs::rename(&draft, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_certificate_is_due_in_the_last_third_of_its_life() {
        let facts = Facts { not_before: 0, not_after: 300, names: vec!["Gate".to_owned()] };
        assert!(!facts.is_due(199) && facts.is_due(200) && facts.is_due(400));
        assert!(facts.has(&["gate".to_owned()]) && !facts.has(&["other".to_owned()]));
    }

    #[test]
    fn names_and_times_are_read_from_the_certificate() {
        let names = ["gate.example.com", "127.0.0.1", "::1"].map(str::to_owned);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.to_vec()).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pem = format!("{}{}", key.serialize_pem(), certificate.pem());
        let facts = Facts::read(pem.as_bytes()).unwrap();
        assert_eq!(facts.names, names);
        assert!(facts.not_before < facts.not_after);
        assert!(Facts::read(b"nothing").is_none());
    }

    #[test]
    fn who_issued_it_is_found_out() {
        let authority = || {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).unwrap().pem();
            (pem, rcgen::Issuer::new(params, key))
        };
        // Both have the same name; their keys tell them apart.
        let ((own, issuer), (other, _)) = (authority(), authority());
        let params = CertificateParams::new(vec!["gate".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &issuer).unwrap().pem() + &key.serialize_pem();
        assert_eq!(is_issued_by(pem.as_bytes(), own.as_bytes()), Some(true));
        assert_eq!(is_issued_by(pem.as_bytes(), other.as_bytes()), Some(false));
        let both = format!("{other}{own}");
        assert_eq!(is_issued_by(pem.as_bytes(), both.as_bytes()), Some(true));
        for nothing in ["", "{}", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            assert_eq!(is_issued_by(pem.as_bytes(), nothing.as_bytes()), None, "{nothing}");
        }
    }

    #[test]
    fn a_key_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let file = folder.join("gateway.pem");
        for text in ["one", "two"] {
            write_owned(&folder, &file, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
