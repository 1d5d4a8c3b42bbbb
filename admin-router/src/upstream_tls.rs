//! TLS towards upstreams.

use std::sync::Arc;

use http_kit::client::{Authorities, tls_config};
use rustls::ClientConfig;

/// For the servers of the configuration: their certificates are from these authorities, or from
/// public ones.
pub(crate) fn verified(authorities: &Authorities) -> Arc<ClientConfig> {
    Arc::new(tls_config(authorities, false))
}

/// For services and agents: as with the original, whatever certificate they show. What is sent
/// to a task can be read by who controls its host anyway; nothing is believed because of it.
pub(crate) fn unverified() -> Arc<ClientConfig> {
    Arc::new(tls_config(&Authorities::default(), true))
}
