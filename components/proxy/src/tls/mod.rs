//! TLS towards clients: which certificates the gateway has, how they are chosen and replaced.
//!
//! 1. [`Certificates`] holds the keys by name and the one rustls configuration that every
//!    worker serves with. Connections that are open keep what they were made with: a reload
//!    touches none of them.
//! 2. TLS 1.3 and 1.2 only, ECDHE with an AEAD cipher only; sessions resume by tickets whose
//!    keys rotate; there is no 0-RTT (a replayed request would be served twice).
//! 3. What cannot be read or does not fit together is refused as a whole: the old certificates
//!    stay.

mod accept;
mod material;
mod table;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

pub(crate) use accept::{Handshakes, Refused, accept, say_use_https};
use table::Table;

/// Why certificates are refused. No text of a key stands in any of these.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    #[error("no certificate in {0}")]
    NoCertificate(String),
    #[error("no private key in {0}")]
    NoKey(String),
    #[error("a certificate in {0} cannot be parsed")]
    Certificate(String),
    #[error("the key of {origin} cannot be used")]
    Key {
        origin: String,
        #[source]
        source: rustls::Error,
    },
    #[error("no certificate was given")]
    Nothing,
    #[error("TLS cannot be set up")]
    Setup(#[source] rustls::Error),
}

/// Where a certificate with its key comes from.
#[derive(Clone)]
pub enum Source {
    /// PEM files: the chain, leaf first, and the key. Read again when they change.
    Files { chain: PathBuf, key: PathBuf },
    /// PEM texts.
    Bytes { chain: Vec<u8>, key: Vec<u8> },
}

/// The oldest version that clients may speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinimumVersion {
    #[default]
    Tls12,
    Tls13,
}

/// What is not about single certificates.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    pub minimum: MinimumVersion,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
}

impl Default for TlsOptions {
    fn default() -> TlsOptions {
        TlsOptions { minimum: MinimumVersion::default(), http2: true }
    }
}

/// The certificates that a gateway serves with.
pub struct Certificates {
    resolver: Arc<Resolver>,
    config: Arc<ServerConfig>,
    sources: ArcSwap<Vec<Source>>,
    /// Held while certificates are read and put in place: what was asked for last stays.
    changing: Mutex<()>,
}

/// Chooses a certificate for each greeting, out of whatever table is the current one.
struct Resolver {
    table: ArcSwap<Table>,
}

// === impl Source ===

impl Source {
    pub fn files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Source {
        Source::Files { chain: chain.as_ref().into(), key: key.as_ref().into() }
    }

    pub fn pem(chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Source {
        Source::Bytes { chain: chain.into(), key: key.into() }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Files { chain, key } => write!(f, "Source({chain:?} with {key:?})"),
            Source::Bytes { .. } => f.write_str("Source(given)"),
        }
    }
}

// === impl Certificates ===

impl Certificates {
    /// Reads all of them. The first is what a client gets that names no server, or one that no
    /// certificate is for; the names are those in the certificates.
    pub fn new(sources: Vec<Source>, options: &TlsOptions) -> Result<Arc<Certificates>, TlsError> {
        let table = table_of(&sources)?;
        let resolver = Arc::new(Resolver { table: ArcSwap::from_pointee(table) });
        let config = server_config(Arc::clone(&resolver), options)?;
        let sources = ArcSwap::from_pointee(sources);
        let changing = Mutex::default();
        Ok(Arc::new(Certificates { resolver, config: Arc::new(config), sources, changing }))
    }

    /// One certificate in PEM files.
    pub fn from_files(
        chain: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Arc<Certificates>, TlsError> {
        Certificates::new(vec![Source::files(chain, key)], &TlsOptions::default())
    }

    /// One certificate in PEM texts.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Arc<Certificates>, TlsError> {
        Certificates::new(vec![Source::pem(chain, key)], &TlsOptions::default())
    }

    /// From now on these are served, to new connections. When any of them is refused, nothing
    /// changes.
    pub fn reload(&self, sources: Vec<Source>) -> Result<(), TlsError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let table = table_of(&sources)?;
        self.sources.store(Arc::new(sources));
        self.resolver.table.store(Arc::new(table));
        Ok(())
    }

    /// Reads the files again; when any of them is refused, nothing changes.
    pub fn refresh(&self) -> Result<(), TlsError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let table = table_of(&self.sources.load())?;
        self.resolver.table.store(Arc::new(table));
        Ok(())
    }

    /// For tests and status pages: the names that a certificate is there for.
    pub fn names(&self) -> Vec<String> {
        self.resolver.table.load().names()
    }

    pub(crate) fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

// === impl Resolver ===

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.table.load().choose(hello.server_name(), hello.signature_schemes())
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

fn table_of(sources: &[Source]) -> Result<Table, TlsError> {
    let mut table = Table::default();
    for source in sources {
        table.add(material::read(source)?);
    }
    if table.is_empty() { Err(TlsError::Nothing) } else { Ok(table) }
}

fn server_config(resolver: Arc<Resolver>, options: &TlsOptions) -> Result<ServerConfig, TlsError> {
    let both = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let versions: &[_] = match options.minimum {
        MinimumVersion::Tls12 => both,
        MinimumVersion::Tls13 => &[&rustls::version::TLS13],
    };
    // All that this provider has is ECDHE with AES-GCM or ChaCha20-Poly1305.
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .map_err(TlsError::Setup)?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = match options.http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    // Sessions live in tickets, not in memory; the keys of tickets rotate by themselves.
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Setup)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}

#[cfg(test)]
mod tests;
