//! Whom requests are forwarded to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Tcp(SocketAddr),
    /// Looked up when connecting.
    Name(Arc<str>, u16),
    Unix(PathBuf),
}

/// What an upstream speaks.
#[derive(Clone)]
pub enum Protocol {
    Http1,
    /// HTTP/2 without TLS and without an upgrade.
    H2c,
    /// HTTP/1.1 over TLS; the name is the one that its certificate must carry.
    Tls {
        config: Arc<rustls::ClientConfig>,
        name: Arc<str>,
    },
}

/// One server that requests are forwarded to; its connections are pooled by identity: keep the
/// `Arc` for as long as the server is the same.
pub struct Upstream {
    /// For metrics, logs and error pages.
    pub name: Arc<str>,
    pub address: Address,
    pub protocol: Protocol,
    retired: AtomicBool,
}

// === impl Upstream ===

impl Upstream {
    pub fn new(name: &str, address: Address, protocol: Protocol) -> Arc<Upstream> {
        let retired = AtomicBool::new(false);
        Arc::new(Upstream { name: name.into(), address, protocol, retired })
    }

    /// No new request is sent there, not on an idle connection either: somebody else may listen
    /// at the address from now on.
    pub fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({} at {:?})", self.name, self.address)
    }
}
