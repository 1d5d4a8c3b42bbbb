//! Certificate signing requests, read as what they are: bytes of somebody else.

use rcgen::{SanType, SubjectPublicKeyInfo};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::hosts;

/// A request with an RSA key of 8192 bits and a hundred names has about 8 KiB.
const LONGEST: usize = 32 * 1024;
const LONGEST_NAME: usize = 64;
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a request is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the certificate request is not one block of PEM")]
    Pem,
    #[error("the certificate request cannot be read")]
    Malformed,
    #[error("the certificate request is not signed by the key in it")]
    Signature,
    #[error(
        "the key in the request must be RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519"
    )]
    Key,
    #[error("'{0}' is neither a host name nor an address")]
    Host(String),
    #[error("there are more than {} hosts", hosts::MOST)]
    TooManyHosts,
    #[error("a certificate of a server needs hosts")]
    NoHosts,
    #[error("the request asks for names other than hosts and addresses")]
    OtherNames,
    #[error("the common name must have at most {LONGEST_NAME} printable characters")]
    CommonName,
    #[error("the common name of a server must be one of its hosts")]
    CommonNameElsewhere,
    #[error("the certificate authority has expired")]
    AuthorityExpired,
    #[error("the certificate cannot be signed")]
    Sign,
}

/// What is taken from a request: the key, the common name, the hosts. Anything else it asks
/// for (usages, being an authority) is not its to decide.
pub(super) struct Request {
    pub(super) public_key: SubjectPublicKeyInfo,
    pub(super) rsa: bool,
    pub(super) common_name: String,
    pub(super) names: Vec<SanType>,
}

impl Request {
    pub(super) fn parse(pem: &str, wanted: Option<&[String]>) -> Result<Request, RequestError> {
        if pem.len() > LONGEST {
            return Err(RequestError::Pem);
        }
        let (rest, block) = x509_parser::pem::parse_x509_pem(pem.trim().as_bytes())
            .map_err(|_| RequestError::Pem)?;
        let labels = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
        if !labels.contains(&block.label.as_str()) || !rest.trim_ascii().is_empty() {
            return Err(RequestError::Pem);
        }
        let (rest, csr) = X509CertificationRequest::from_der(&block.contents)
            .map_err(|_| RequestError::Malformed)?;
        if !rest.is_empty() {
            return Err(RequestError::Malformed);
        }
        let key = &csr.certification_request_info.subject_pki;
        let rsa = match key.parsed() {
            Ok(PublicKey::RSA(rsa)) if RSA_BITS.contains(&rsa.key_size()) => true,
            Ok(PublicKey::RSA(_)) => return Err(RequestError::Key),
            _ => false,
        };
        // Knows exactly the kinds of keys that are allowed.
        let public_key = SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| RequestError::Key)?;
        csr.verify_signature().map_err(|_| RequestError::Signature)?;
        let names = match wanted {
            Some(hosts) => wanted_names(hosts)?,
            None => requested_names(&csr)?,
        };
        Ok(Request { public_key, rsa, common_name: common_name(&csr)?, names })
    }

    /// Whether the common name, where there is one, is one of the hosts.
    pub(super) fn is_named_as_a_host(&self) -> bool {
        let named = || hosts::parse(&self.common_name).is_ok_and(|name| self.names.contains(&name));
        self.common_name.is_empty() || named()
    }
}

fn wanted_names(wanted: &[String]) -> Result<Vec<SanType>, RequestError> {
    if wanted.len() > hosts::MOST {
        return Err(RequestError::TooManyHosts);
    }
    let mut names: Vec<SanType> = Vec::with_capacity(wanted.len());
    for host in wanted {
        let name = hosts::parse(host)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn requested_names(csr: &X509CertificationRequest<'_>) -> Result<Vec<SanType>, RequestError> {
    let mut wanted = Vec::new();
    for extension in csr.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
        for name in &names.general_names {
            wanted.push(match name {
                GeneralName::DNSName(name) => (*name).to_owned(),
                GeneralName::IPAddress(bytes) => address(bytes)?,
                _ => return Err(RequestError::OtherNames),
            });
        }
    }
    wanted_names(&wanted)
}

fn address(bytes: &[u8]) -> Result<String, RequestError> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(std::net::IpAddr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).map_err(|_| RequestError::Malformed)?;
    Ok(std::net::IpAddr::from(sixteen).to_string())
}

/// The one common name; a subject with several is not guessed at.
fn common_name(csr: &X509CertificationRequest<'_>) -> Result<String, RequestError> {
    let mut names = csr.certification_request_info.subject.iter_common_name();
    let Some(name) = names.next() else { return Ok(String::new()) };
    let text = name.as_str().map_err(|_| RequestError::CommonName)?;
    let printable = !text.chars().any(char::is_control);
    let good = names.next().is_none() && printable && text.chars().count() <= LONGEST_NAME;
    if good { Ok(text.to_owned()) } else { Err(RequestError::CommonName) }
}
