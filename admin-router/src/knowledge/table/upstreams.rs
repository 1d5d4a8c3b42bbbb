//! Servers as the engine connects to them, and those that nobody is to be led to any more.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use proxy::{Address, Protocol, Scheme, Upstream};

use super::super::facts::LeaderFact;
use crate::cluster::{Agent, Leader};

/// How upstreams are made.
#[derive(Clone)]
pub(crate) struct Upstreams {
    /// For those that are reached over TLS.
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// This host's address as Mesos and Marathon know it.
    pub(crate) host_ip: Option<IpAddr>,
    /// For the gateways on other masters.
    pub(crate) gateway_tls: Arc<rustls::ClientConfig>,
    /// Scheme and port of those.
    pub(crate) master_gateway: (Scheme, u16),
    /// Of agents and the gateways on them.
    pub(crate) agent_scheme: Scheme,
    /// Port of the gateways on agents.
    pub(crate) agent_port: u16,
}

/// Makes upstreams, and collects those that have served their time.
pub(crate) struct Servers {
    pub(crate) upstreams: Upstreams,
    retired: Vec<Arc<Upstream>>,
}

// === impl Servers ===

impl Servers {
    pub(crate) fn new(upstreams: Upstreams) -> Servers {
        Servers { upstreams, retired: Vec::new() }
    }

    /// Nothing new goes there, once what replaces it can be seen: a request that finds its
    /// upstream retired looks again, and must not find the same one.
    pub(crate) fn retire(&mut self, upstream: Arc<Upstream>) {
        self.retired.push(upstream);
    }

    pub(crate) fn take_retired(&mut self) -> Vec<Arc<Upstream>> {
        std::mem::take(&mut self.retired)
    }
}

// === impl Upstreams ===

impl Upstreams {
    pub(crate) fn new_upstream(
        &self,
        name: &str,
        scheme: Scheme,
        address: Address,
    ) -> Arc<Upstream> {
        made(name, scheme, address, &self.tls)
    }

    /// `known` if it is still the same one.
    pub(crate) fn leader(
        &self,
        name: &str,
        fact: LeaderFact,
        known: Option<&Arc<Leader>>,
    ) -> Arc<Leader> {
        let LeaderFact { address, is_tls } = fact;
        let scheme = if is_tls { Scheme::Https } else { Scheme::Http };
        let same = |known: &&Arc<Leader>| {
            let was_tls = matches!(known.upstream.protocol, Protocol::Tls { .. });
            known.upstream.address == Address::Tcp(address) && was_tls == is_tls
        };
        if let Some(known) = known.filter(same) {
            return Arc::clone(known);
        }
        let host = address.ip();
        let (gateway_scheme, gateway_port) = self.master_gateway;
        let gateway = SocketAddr::new(host, gateway_port);
        Arc::new(Leader {
            upstream: self.new_upstream(name, scheme, Address::Tcp(address)),
            host,
            is_local: self.is_local(host),
            gateway: made("gateway", gateway_scheme, Address::Tcp(gateway), &self.gateway_tls),
        })
    }

    fn is_local(&self, host: IpAddr) -> Option<bool> {
        match self.host_ip {
            _ if host.is_loopback() => Some(true),
            Some(own) => Some(own == host),
            None => None,
        }
    }

    pub(crate) fn agent(&self, address: SocketAddr) -> Agent {
        let gateway = SocketAddr::new(address.ip(), self.agent_port);
        let scheme = self.agent_scheme;
        Agent {
            upstream: self.new_upstream("agent", scheme, Address::Tcp(address)),
            gateway: self.new_upstream("gateway", scheme, Address::Tcp(gateway)),
        }
    }
}

fn made(
    name: &str,
    scheme: Scheme,
    address: Address,
    tls: &Arc<rustls::ClientConfig>,
) -> Arc<Upstream> {
    let protocol = match scheme {
        Scheme::Http => Protocol::Http1,
        Scheme::Https => Protocol::Tls { config: Arc::clone(tls), name: host(&address).into() },
    };
    Upstream::new(name, address, protocol)
}

/// What a certificate must be for.
fn host(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.ip().to_string(),
        Address::Name(name, _) => name.to_string(),
        Address::Unix(_) => "localhost".to_owned(),
    }
}
