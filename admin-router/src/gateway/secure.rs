//! What comes without TLS is sent to where there is TLS.

use http::{Method, StatusCode};
use proxy::{Peer, RequestHead, Response, Scheme};

use super::{Inner, path_and_query};
use crate::routes::{Found, Own, Route, To};

/// Whether a route is served without TLS too: what has to be there before anybody can trust the
/// certificate, and what programs on the nodes ask that know no other address.
pub(super) fn stays(found: Option<Found>) -> bool {
    let Some(Found::Route { route: Route { name, to, .. }, .. }) = found else { return false };
    matches!(to, To::Own(Own::Metrics | Own::Version))
        || matches!(*name, "ca-certificate" | "exhibitor-status")
}

// === impl Inner ===

impl Inner {
    /// Whether it came without TLS, and should not have.
    pub(super) fn is_insecure(&self, head: &RequestHead, peer: &Peer) -> bool {
        if peer.scheme == Scheme::Https || !self.redirects {
            return false;
        }
        let trusted = self.trusted_proxies.iter().any(|net| net.contains(peer.address.ip()));
        !(trusted && head.header("x-forwarded-proto") == Some(b"https"))
    }

    /// To the same address with TLS.
    pub(super) fn to_tls(&self, head: &RequestHead, peer: &Peer) -> Response {
        let port = match self.tls_port.get() {
            None | Some(443) => String::new(),
            Some(port) => format!(":{port}"),
        };
        let location =
            format!("https://{}{port}{}", self.own_name(head, peer), path_and_query(head));
        let reads = matches!(*head.method(), Method::GET | Method::HEAD);
        // 308 keeps the method and the body; programs of before know only 301.
        let status =
            if reads { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
        self.pages.redirect(head, peer, status, &location)
    }

    /// The name that the client used, if it is one of ours; else our first, or the address that
    /// was connected to.
    fn own_name(&self, head: &RequestHead, peer: &Peer) -> String {
        let local = match peer.local.ip() {
            std::net::IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => ip.to_string(),
                None => format!("[{ip}]"),
            },
            ip => ip.to_string(),
        };
        let mut hosts = head.all("host");
        let asked = match (hosts.next(), hosts.next()) {
            (Some(host), None) => std::str::from_utf8(host).map(without_port).unwrap_or_default(),
            _ => "",
        };
        let same = |name: &&str| name.eq_ignore_ascii_case(asked);
        let known = self.names.iter().map(String::as_str).chain([local.as_str()]).find(same);
        match known {
            Some(name) => name.to_owned(),
            None => self.names.first().cloned().unwrap_or(local),
        }
    }
}

/// `host` of `host:port`; brackets stay.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_part_of_a_name() {
        for (host, name) in [
            ("gate", "gate"),
            ("gate:80", "gate"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("gate:x", "gate:x"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), name);
        }
    }
}
