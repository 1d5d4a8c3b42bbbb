//! The cluster's certificate authority: one key, kept sealed in the cluster's state, which
//! signs certificates of servers and clients for keys that never come here.

pub(crate) mod api;
mod hosts;
mod request;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cluster_state::{ClusterState, StateError, When};
use rand::RngCore;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use serde::{Deserialize, Serialize};

use self::request::Request;
pub(crate) use self::request::RequestError;
use crate::clock::Clock;
use crate::sealing::{NodeKey, SealError};

const PATH: &str = "/iam/ca/authority";
const DAY: i64 = 86_400;
const AUTHORITY_LIFETIME: i64 = 3650 * DAY;
/// cfssl's default, 8760 hours.
const CERTIFICATE_LIFETIME: i64 = 365 * DAY;
/// Clocks of a cluster may be apart.
const BACKDATED: i64 = 3600;
const SERIAL_BYTES: usize = 16;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("the certificate authority in the cluster's state is not readable: {0}")]
    Stored(String),
    #[error("no certificate can be made")]
    Make(#[from] rcgen::Error),
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Server,
    Client,
    /// Both.
    Peer,
}

/// What is sealed in the state.
#[derive(Serialize, Deserialize)]
struct Record {
    certificate: String,
    pkcs8: String,
}

/// Signs certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    expires: i64,
    fingerprint: String,
    clock: Clock,
}

/// A certificate that was signed, and what the audit log keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) pem: String,
    /// In hexadecimal.
    pub(crate) serial: String,
    /// SHA-256 of the certificate, in hexadecimal.
    pub(crate) fingerprint: String,
    pub(crate) common_name: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) profile: Profile,
    /// Seconds since 1970.
    pub(crate) expires: i64,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.fingerprint)
    }
}

// === impl Profile ===

impl Profile {
    /// By name; no name is cfssl's default, which allows both.
    pub(crate) fn parse(name: &str) -> Option<Profile> {
        match name {
            "server" => Some(Profile::Server),
            "client" => Some(Profile::Client),
            "" | "default" | "peer" => Some(Profile::Peer),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Server => "server",
            Profile::Client => "client",
            Profile::Peer => "peer",
        }
    }

    /// In cfssl's words.
    fn usages(self) -> &'static [&'static str] {
        match self {
            Profile::Server => &["signing", "key encipherment", "server auth"],
            Profile::Client => &["signing", "key encipherment", "client auth"],
            Profile::Peer => &["signing", "key encipherment", "server auth", "client auth"],
        }
    }

    fn extended(self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Profile::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Profile::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Profile::Peer => {
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
            }
        }
    }
}

// === impl Authority ===

impl Authority {
    /// The cluster's authority; made if there is none yet.
    pub(crate) async fn open(
        state: &Arc<dyn ClusterState>,
        node_key: &NodeKey,
        clock: Clock,
    ) -> Result<Authority, CaError> {
        if let Some(entry) = state.get(PATH).await? {
            return Authority::read(&node_key.open(PATH, &entry.value)?, clock);
        }
        let plain = make(clock.now())?;
        let sealed = node_key.seal(PATH, &plain)?;
        match state.put(PATH, sealed.into(), When::Absent).await {
            Ok(_) => Authority::read(&plain, clock),
            Err(StateError::Conflict { .. }) => {
                let entry = state.get(PATH).await?;
                let entry = entry.ok_or_else(|| CaError::Stored("it is gone again".to_owned()))?;
                Authority::read(&node_key.open(PATH, &entry.value)?, clock)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn read(plain: &[u8], clock: Clock) -> Result<Authority, CaError> {
        let stored = |reason: String| CaError::Stored(reason);
        let record: Record = serde_json::from_slice(plain).map_err(|e| stored(e.to_string()))?;
        let pkcs8 = STANDARD.decode(&record.pkcs8).map_err(|e| stored(e.to_string()))?;
        let key = KeyPair::try_from(pkcs8)?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(record.certificate.as_bytes())
            .map_err(|e| stored(e.to_string()))?;
        let certificate = pem.parse_x509().map_err(|e| stored(e.to_string()))?;
        let expires = certificate.validity().not_after.timestamp();
        let digest = ring::digest::digest(&ring::digest::SHA256, &pem.contents);
        let fingerprint = hex(digest.as_ref(), ":");
        let issuer = Issuer::from_ca_cert_pem(&record.certificate, key)?;
        Ok(Authority { issuer, pem: record.certificate, expires, fingerprint, clock })
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` prints it.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Signs a certificate for the key in `csr` (PEM). `hosts` stand in place of the names in
    /// the request, where there are any.
    pub(crate) fn sign(
        &self,
        csr: &str,
        hosts: Option<&[String]>,
        profile: Profile,
    ) -> Result<Issued, RequestError> {
        let request = Request::parse(csr, hosts)?;
        if profile != Profile::Client && request.names.is_empty() {
            return Err(RequestError::NoHosts);
        }
        // Old clients take the common name of a server for one of its hosts.
        if profile != Profile::Client && !request.is_named_as_a_host() {
            return Err(RequestError::CommonNameElsewhere);
        }
        let now = self.clock.now();
        let expires = now.saturating_add(CERTIFICATE_LIFETIME).min(self.expires);
        if expires <= now {
            return Err(RequestError::AuthorityExpired);
        }
        let serial = random_serial();
        let mut params = CertificateParams::default();
        set_validity(&mut params, now.saturating_sub(BACKDATED), expires);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = common_name(&request.common_name);
        params.subject_alt_names.clone_from(&request.names);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if request.rsa {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = profile.extended();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&request.public_key, &self.issuer);
        let certificate = certificate.map_err(|_| RequestError::Sign)?;
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate.der());
        Ok(Issued {
            pem: certificate.pem(),
            fingerprint: hex(digest.as_ref(), ""),
            serial: hex(&serial, ""),
            common_name: request.common_name,
            hosts: request.names.iter().map(shown).collect(),
            profile,
            expires,
        })
    }
}

/// A new authority, as it is sealed.
fn make(now: i64) -> Result<Vec<u8>, CaError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut distinct = [0_u8; 4];
    rand::rng().fill_bytes(&mut distinct);
    let mut params = CertificateParams::default();
    let until = now.saturating_add(AUTHORITY_LIFETIME);
    set_validity(&mut params, now.saturating_sub(BACKDATED), until);
    params.serial_number = Some(SerialNumber::from_slice(&random_serial()));
    // A name of its own for each cluster: a client that trusts two must not mix them up.
    params.distinguished_name = common_name(&format!("Dais cluster CA {}", hex(&distinct, "")));
    params.distinguished_name.push(DnType::OrganizationName, "Dais");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    let pkcs8 = STANDARD.encode(key.serialized_der());
    let record = Record { certificate: certificate.pem(), pkcs8 };
    serde_json::to_vec(&record).map_err(|error| CaError::Stored(error.to_string()))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    if !name.is_empty() {
        distinguished.push(DnType::CommonName, name);
    }
    distinguished
}

/// Positive, never with a leading zero, and nothing that could be guessed.
fn random_serial() -> [u8; SERIAL_BYTES] {
    let mut serial = [0_u8; SERIAL_BYTES];
    rand::rng().fill_bytes(&mut serial);
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    serial
}

/// From and until when a certificate is good, in seconds since 1970.
fn set_validity(params: &mut CertificateParams, from: i64, until: i64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from.max(0).unsigned_abs());
    params.not_after = epoch + Duration::from_secs(until.max(0).unsigned_abs());
}

fn shown(name: &SanType) -> String {
    match name {
        SanType::DnsName(name) => name.as_str().to_owned(),
        SanType::IpAddress(address) => address.to_string(),
        _ => String::new(),
    }
}

fn hex(bytes: &[u8], between: &str) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let text = digits.join(between);
    if between.is_empty() { text.to_ascii_lowercase() } else { text }
}

/// A request as somebody sent it. For fuzzing.
pub(crate) fn fuzz(csr: &str, hosts: Option<&[String]>) {
    if let Ok(request) = Request::parse(csr, hosts) {
        assert!(!request.names.iter().any(|name| shown(name).is_empty()));
        assert!(!request.common_name.chars().any(char::is_control));
    }
}

#[cfg(test)]
mod tests;
