//! Certificates and keys from PEM: read, parsed, checked against each other.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Source, TlsError};

/// More than any chain with its key needs; a file beyond that is something else.
const LARGEST: u64 = 1024 * 1024;

/// A usable pair, and the names it is for.
pub(super) struct Material {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) names: Vec<String>,
}

/// Reads one source.
pub(super) fn read(source: &Source) -> Result<Material, TlsError> {
    let (chain, key) = texts(source)?;
    let (chain_origin, key_origin) = match source {
        Source::Files { chain, key } => (chain.display().to_string(), key.display().to_string()),
        Source::Bytes { .. } => ("what was given".to_string(), "what was given".to_string()),
    };
    parse(&chain, &key, chain_origin, key_origin)
}

/// The PEM texts of a source.
pub(super) fn texts(source: &Source) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    match source {
        Source::Files { chain, key } => Ok((file(chain)?, file(key)?)),
        Source::Bytes { chain, key } => Ok((chain.clone(), key.clone())),
    }
}

fn file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |error| TlsError::Read(path.to_path_buf(), error);
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > LARGEST {
        return Err(unreadable(std::io::ErrorKind::FileTooLarge.into()));
    }
    std::fs::read(path).map_err(unreadable)
}

fn parse(
    chain: &[u8],
    key: &[u8],
    chain_origin: String,
    key_origin: String,
) -> Result<Material, TlsError> {
    let unparsable = || TlsError::Certificate(chain_origin.clone());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| unparsable())?;
    let leaf = chain.first().ok_or_else(|| TlsError::NoCertificate(chain_origin.clone()))?;
    let names = names(leaf).ok_or_else(unparsable)?;
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey(key_origin.clone()))?;
    // Checks too that the key is the certificate's.
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|source| TlsError::Key { origin: key_origin, source })?;
    Ok(Material { key: Arc::new(key), names })
}

/// The DNS names of a certificate; its common name where it has no alternative names.
fn names(leaf: &[u8]) -> Option<Vec<String>> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let alternative = certificate.subject_alternative_name().ok()?;
    if let Some(alternative) = alternative {
        let dns = alternative.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_string()),
            _ => None,
        });
        return Some(dns.collect());
    }
    let common = certificate.subject().iter_common_name();
    Some(common.filter_map(|name| name.as_str().ok()).map(str::to_string).collect())
}
