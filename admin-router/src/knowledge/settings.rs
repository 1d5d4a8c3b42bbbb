//! Whom to ask about the cluster, and how.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use cluster_events::asking::Authorization;
use cluster_events::asking::{Ask, AskConfig};
use http::HeaderValue;
use http_kit::client::Authorities;

use super::table::Upstreams;
use crate::Origin;

/// As the original calls itself.
pub(super) const USER_AGENT: HeaderValue = HeaderValue::from_static("Master Admin Router");

/// Whom to ask about the cluster, and how.
#[derive(Clone)]
pub struct Settings {
    /// Masters, of which one leads.
    pub mesos: Vec<Origin>,
    /// Marathons, of which one leads.
    pub marathon: Vec<Origin>,
    pub mesos_dns: Option<Origin>,
    /// None asks without a token.
    pub authorization: Option<Authorization>,
    /// Trusted beside the public ones when those are asked over TLS.
    pub authorities: Authorities,
    /// For services and agents that are reached over TLS.
    pub service_tls: Arc<rustls::ClientConfig>,
    /// This host's address as Mesos and Marathon know it.
    pub host_ip: Option<IpAddr>,
    /// For the gateways on other masters.
    pub gateway_tls: Arc<rustls::ClientConfig>,
    /// Scheme and port of those.
    pub master_gateway: (proxy::Scheme, u16),
    /// Of agents and the gateways on them.
    pub agent_scheme: proxy::Scheme,
    /// Port of the gateways on agents.
    pub agent_port: u16,
    /// How old knowledge may get while its source is away.
    pub max_age: Duration,
    /// How long a server that is asked may take.
    pub timeout: Duration,
}

// === impl Settings ===

impl Settings {
    /// As the original asks, without a token and without Mesos-DNS.
    pub fn new(mesos: Vec<Origin>, marathon: Vec<Origin>) -> Settings {
        Settings {
            mesos,
            marathon,
            mesos_dns: None,
            authorization: None,
            authorities: Authorities::default(),
            service_tls: crate::upstream_tls::unverified(),
            host_ip: None,
            gateway_tls: crate::upstream_tls::unverified(),
            master_gateway: (proxy::Scheme::Http, 80),
            agent_scheme: proxy::Scheme::Http,
            agent_port: 61001,
            max_age: Duration::from_secs(259_200),
            timeout: Duration::from_secs(60),
        }
    }

    /// Asks with the gateway's name and token.
    pub(super) fn ask(&self) -> Ask {
        Ask::new(AskConfig {
            authorization: self.authorization.clone(),
            authorities: self.authorities.clone(),
            timeout: self.timeout,
            ..AskConfig::new(USER_AGENT)
        })
    }

    pub(super) fn upstreams(&self) -> Upstreams {
        Upstreams {
            tls: Arc::clone(&self.service_tls),
            host_ip: self.host_ip,
            gateway_tls: Arc::clone(&self.gateway_tls),
            master_gateway: self.master_gateway,
            agent_scheme: self.agent_scheme,
            agent_port: self.agent_port,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Settings")
            .field("mesos", &self.mesos)
            .field("marathon", &self.marathon)
            .field("mesos_dns", &self.mesos_dns)
            .finish_non_exhaustive()
    }
}
