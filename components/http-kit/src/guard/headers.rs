//! What the headers of a request say of who it is from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

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
    let headers = headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
    is_direct(headers, peer.ip())
}

/// As [`is_direct_loopback`], of headers in whatever form.
pub fn is_direct<'a>(
    headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    peer: IpAddr,
) -> bool {
    is_loopback(peer) && headers.into_iter().all(|(name, value)| is_of_nobody_else(name, value))
}

/// Whether an address is one of this machine's loopback.
pub fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn is_of_nobody_else(name: &[u8], value: &[u8]) -> bool {
    if name.eq_ignore_ascii_case(HOST.as_str().as_bytes()) {
        return std::str::from_utf8(value).is_ok_and(|host| is_own_host(host, own_name()));
    }
    !is_forwarding(name)
}

/// Whether a host is an address, the name that means this machine everywhere, or its own. Nobody
/// else can make a browser tell one of them.
fn is_own_host(host: &str, own: Option<&str>) -> bool {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'));
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost")
        || own.is_some_and(|own| !own.is_empty() && name.eq_ignore_ascii_case(own))
        || name.parse::<Ipv4Addr>().is_ok()
}

/// What this machine is called, as it was when first asked for.
fn own_name() -> Option<&'static str> {
    static NAME: LazyLock<Option<String>> =
        LazyLock::new(|| nix::unistd::gethostname().ok()?.into_string().ok());
    NAME.as_deref()
}

fn is_forwarding(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-forwarded-";
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    ["forwarded", "x-real-ip", "x-forwarded", "via"].into_iter().any(is)
        || name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
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

    #[test]
    fn a_machine_is_known_by_its_own_name() {
        for host in ["node-1", "Node-1:5050"] {
            assert!(is_own_host(host, Some("node-1")), "{host}");
            assert!(!is_own_host(host, Some("node-2")) && !is_own_host(host, None), "{host}");
        }
        assert!(!is_own_host("node-1.evil.example", Some("node-1")));
        assert!(!is_own_host("", Some("")), "a machine without a name");
        let Some(own) = own_name() else { return };
        let here = [(&b"Host"[..], own.as_bytes())];
        assert!(is_direct(here, IpAddr::V4(Ipv4Addr::LOCALHOST)), "{own}");
        assert!(!is_direct(here, IpAddr::from([10, 0, 0, 1])), "{own}");
    }

    #[test]
    fn headers_in_whatever_case_forward() {
        for name in ["Forwarded", "X-FORWARDED-For", "X-Forwarded-Anything", "VIA", "X-Real-Ip"] {
            let headers = [(name.as_bytes(), &b"x"[..])];
            assert!(!is_direct(headers, IpAddr::V4(Ipv4Addr::LOCALHOST)), "{name}");
        }
    }
}
