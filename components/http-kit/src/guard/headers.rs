//! What the headers of a request say of who it is from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};

/// The token of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// There is none; credentials of HTTP basic authentication are none either.
    None,
    /// Something stands there that is no token, or more than one.
    Unusable,
    Given(&'a str),
}

/// The token in `Authorization: token=…` or `Authorization: Bearer …`. Cookies are no matter of
/// a component behind the gateway.
pub fn token(headers: &HeaderMap) -> Token<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Token::None };
    if values.next().is_some() {
        return Token::Unusable;
    }
    let Ok(value) = value.to_str() else { return Token::Unusable };
    let value = value.trim();
    if after(value, "basic ").is_some() {
        return Token::None;
    }
    match after(value, "token=").or_else(|| after(value, "bearer ")).map(str::trim) {
        Some(token) if !token.is_empty() => Token::Given(token),
        _ => Token::Unusable,
    }
}

fn after<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Whether a request comes from this machine, and on nobody else's behalf. A page whose name was
/// made to lead here is somebody else: its browser tells that name as the host.
pub fn is_direct_loopback(headers: &HeaderMap, peer: SocketAddr) -> bool {
    let local = match peer.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    };
    local
        && !headers.keys().any(|name| is_forwarding(name.as_str()))
        && headers.get_all(HOST).iter().all(|host| host.to_str().is_ok_and(is_plain_host))
}

/// Whether a host is an address, or the name that means this machine everywhere.
fn is_plain_host(host: &str) -> bool {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'));
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok()
}

fn is_forwarding(name: &str) -> bool {
    matches!(name, "forwarded" | "x-real-ip" | "x-forwarded" | "via")
        || name.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn tokens_stand_in_two_forms() {
        for value in ["token=abc", "Bearer abc", "bearer  abc", "TOKEN=abc "] {
            assert_eq!(
                token(&headers(&[("authorization", value)])),
                Token::Given("abc"),
                "{value}"
            );
        }
        assert_eq!(token(&headers(&[])), Token::None);
        assert_eq!(token(&headers(&[("authorization", "Basic YTpi")])), Token::None);
        for value in ["", "abc", "token=", "Bearer", "Bearer ", "Digest a", "token abc"] {
            assert_eq!(token(&headers(&[("authorization", value)])), Token::Unusable, "{value}");
        }
        let two = [("authorization", "token=a"), ("authorization", "token=a")];
        assert_eq!(token(&headers(&two)), Token::Unusable);
        assert_eq!(token(&headers(&[("cookie", "dcos-acs-auth-cookie=a")])), Token::None);
    }

    #[test]
    fn only_those_here_come_directly() {
        let from = |ip: &str, pairs: &[_]| {
            is_direct_loopback(&headers(pairs), SocketAddr::new(ip.parse().unwrap(), 1))
        };
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(from(ip, &[]), "{ip}");
        }
        for ip in ["10.0.0.1", "0.0.0.0", "::", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(!from(ip, &[]), "{ip}");
        }
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"] {
            assert!(!from("127.0.0.1", &[(name, "")]), "{name}");
        }
        for host in ["127.0.0.1:5050", "10.0.0.1", "[::1]:80", "[::1]", "LocalHost:1"] {
            assert!(from("127.0.0.1", &[("host", host)]), "{host}");
        }
        for host in ["evil.example:5050", "127.0.0.1.evil.example", "[x]", "", "localhost.evil"] {
            assert!(!from("127.0.0.1", &[("host", host)]), "{host}");
        }
    }
}
