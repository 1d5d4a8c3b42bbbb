//! What a server is told at its start.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::access_log::AccessLog;
use crate::tls::Certificates;

/// Where a server listens, and the limits that hold for all of its routes.
pub struct ServerConfig {
    pub plain: Option<SocketAddr>,
    pub tls: Option<(SocketAddr, Arc<Certificates>)>,
    /// Whether the plain port takes HTTP/2 from clients that begin with it.
    pub plain_http2: bool,
    /// Threads that serve connections; 0 means one for each core.
    pub workers: usize,
    /// Names behind [`crate::RouteId`].
    pub routes: Vec<String>,
    pub heads: HeadLimits,
    pub timeouts: Timeouts,
    /// Connections of clients open at once; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Idle connections that one worker keeps to one upstream.
    pub idle_upstream_connections: usize,
    pub access_log: Option<Arc<AccessLog>>,
    /// Whose X-Forwarded-*, Forwarded and X-Request-Id are believed.
    pub trusted_proxies: Vec<Network>,
}

/// Limits of heads, of requests and of answers alike.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes of a whole head, and of trailers.
    pub bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// Bytes of a target.
    pub target: usize,
}

/// Time limits of connections. Those of one route are in [`crate::Limits`].
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the accepted connection to the end of the TLS greeting.
    pub handshake: Duration,
    /// From the first byte of a request's head to its last.
    pub request_head: Duration,
    /// Between requests, and before the first.
    pub keep_alive: Duration,
    /// A client that takes none of the answer for so long is gone.
    pub write: Duration,
    /// No byte in either direction of an upgraded connection.
    pub tunnel: Duration,
    /// How long the rest of a refused request is read, so that the client sees the answer.
    pub linger: Duration,
    /// Idle connections to upstreams.
    pub upstream_keep_alive: Duration,
    /// How long requests in flight may take once the server is told to stop.
    pub grace: Duration,
}

/// Addresses that share a prefix, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, or an address, a slash and the length of the prefix")]
pub struct NetworkError;

// === impl ServerConfig ===

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            plain: None,
            tls: None,
            plain_http2: false,
            workers: 0,
            routes: Vec::new(),
            heads: HeadLimits::default(),
            timeouts: Timeouts::default(),
            connections: 65_536,
            idle_upstream_connections: 1024,
            access_log: None,
            trusted_proxies: Vec::new(),
        }
    }
}

impl ServerConfig {
    /// Whether what `address` says about its own clients is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits { bytes: 32 * 1024, headers: 100, target: 8 * 1024 }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            write: Duration::from_secs(60),
            tunnel: Duration::from_secs(3600),
            linger: Duration::from_secs(2),
            upstream_keep_alive: Duration::from_secs(60),
            grace: Duration::from_secs(30),
        }
    }
}

// === impl Network ===

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same_prefix(own.to_bits().into(), other.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                same_prefix(own.to_bits(), other.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| NetworkError)?,
            None => longest,
        };
        if prefix > longest {
            return Err(NetworkError);
        }
        Ok(Network { address, prefix })
    }
}

fn same_prefix(own: u128, other: u128, bits: u32, prefix: u8) -> bool {
    let differing = bits.saturating_sub(u32::from(prefix));
    (own ^ other).checked_shr(differing).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_of_its_prefix() {
        assert!(within("10.0.0.0/8", "10.255.0.1"));
        assert!(!within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("127.0.0.1", "127.0.0.1"));
        assert!(!within("127.0.0.1", "127.0.0.2"));
        assert!(within("0.0.0.0/0", "1.2.3.4"));
        assert!(!within("0.0.0.0/0", "::1"));
        assert!(within("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(within("::/0", "::1"));
        assert!(within("fd00::/8", "fdff::1"));
        assert!(!within("fd00::/8", "fe00::1"));
    }

    #[test]
    fn nonsense_is_no_network() {
        for text in ["", "/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "localhost", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }
}
