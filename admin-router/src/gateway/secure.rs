//! What comes without TLS is sent to where there is TLS.

use http::{Method, StatusCode};
use proxy::{Peer, RequestHead, Response, Scheme};

use super::{Ask, Inner, path_and_query};
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
    /// Whether the client used TLS as far as a trusted proxy before the gateway, and no further.
    pub(super) fn is_behind_tls(&self, head: &RequestHead, peer: &Peer) -> bool {
        peer.scheme == Scheme::Http
            && head.header("x-forwarded-proto") == Some(b"https")
            && self.is_trusted(peer)
    }

    /// Whether it came without TLS, and should not have.
    pub(super) fn is_insecure(&self, peer: &Peer) -> bool {
        peer.scheme == Scheme::Http && self.redirects
    }

    /// Whether what the peer says about its own clients is believed.
    fn is_trusted(&self, peer: &Peer) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(peer.address.ip()))
    }

    /// For whom the gateway asks something itself, as the engine says it of what it forwards.
    pub(super) fn forwarded_for(&self, ask: &Ask) -> String {
        let peer = ask.peer.address.ip().to_canonical();
        let told = ask.head.header("x-forwarded-for").filter(|_| self.is_trusted(&ask.peer));
        match told.and_then(|told| std::str::from_utf8(told).ok()) {
            Some(told) => format!("{told}, {peer}"),
            None => peer.to_string(),
        }
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
        let local = in_url(&peer.local.ip().to_canonical().to_string());
        let mut hosts = head.all("host");
        let asked = match (hosts.next(), hosts.next()) {
            (Some(host), None) => std::str::from_utf8(host).map(without_port).unwrap_or_default(),
            _ => "",
        };
        match self.names.iter().find_map(|name| meant(name, asked)) {
            Some(name) => name,
            None if local == asked => local,
            None => self.names.iter().find(|name| !name.contains('*')).cloned().unwrap_or(local),
        }
    }
}

/// The name that was asked for, if it is this one of ours. A wildcard stands for one label, as in
/// a certificate.
fn meant(name: &str, asked: &str) -> Option<String> {
    let Some(parent) = name.strip_prefix("*.") else {
        return name.eq_ignore_ascii_case(asked).then(|| name.to_owned());
    };
    let (label, rest) = asked.split_once('.')?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = !label.is_empty() && label.bytes().all(good);
    (is_label && rest.eq_ignore_ascii_case(parent)).then(|| asked.to_ascii_lowercase())
}

/// A name or an address as it stands in a URL.
pub(super) fn in_url(name: &str) -> String {
    match name.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]"),
        Err(_) => name.to_owned(),
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
    fn addresses_stand_in_brackets() {
        assert_eq!(in_url("::1"), "[::1]");
        assert_eq!(in_url("127.0.0.1"), "127.0.0.1");
        assert_eq!(in_url("gate"), "gate");
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, asked, expected) in [
            ("gate", "GATE", Some("gate")),
            ("gate", "gates", None),
            ("*.example.com", "Gate.Example.com", Some("gate.example.com")),
            ("*.example.com", "a.b.example.com", None),
            ("*.example.com", "example.com", None),
            ("*.example.com", ".example.com", None),
            ("*.example.com", "*.example.com", None),
            ("*.example.com", "evil@x.example.com", None),
            ("*.example.com", "evil/.example.com", None),
            ("*", "gate", None),
        ] {
            assert_eq!(meant(name, asked).as_deref(), expected, "{name} {asked}");
        }
    }

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
