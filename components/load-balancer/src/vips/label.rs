//! What a label on a port asks for: `/name:port` or `ip:port`.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::name;

/// A virtual address as a label asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub host: Host,
    pub port: u16,
}

/// Where a virtual address is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// At an address that the cluster finds for this name: `web.marathon`.
    Name(Arc<str>),
    /// Exactly there.
    Address(Ipv4Addr),
}

/// Transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[derive(serde::Deserialize)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// What is wrong with a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    #[error("there is no port: it is not /name:port or ip:port")]
    NoPort,
    #[error("'{0}' is no port between 1 and 65535")]
    Port(String),
    #[error("nothing of '{0}' can be in a host name")]
    Name(String),
    #[error("the name is longer than DNS allows")]
    Long,
    #[error("addresses of IPv6 are not balanced")]
    Ipv6,
    #[error("{0} cannot be a virtual address")]
    Unusable(Ipv4Addr),
    #[error("{0} belongs to {1}")]
    Taken(Ipv4Addr, String),
    #[error("it is neither tcp://… nor udp://…")]
    Scheme,
    #[error("the task has no port of that number among its resources")]
    NoSuchPort,
    #[error("the protocol '{0}' is neither tcp nor udp")]
    Protocol(String),
    #[error("network-scope is '{0}', neither host nor container")]
    Scope(String),
    #[error("the number of the port is larger than 65535")]
    Number,
    #[error("the container has no address of IPv4, and the port is not mapped to one of its host")]
    Unreachable,
}

// === impl Protocol ===

impl Protocol {
    /// As it is written, in either case; none is TCP.
    pub fn parse(text: Option<&str>) -> Result<Protocol, Fault> {
        match text.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "tcp") => Ok(Protocol::Tcp),
            Some("udp") => Ok(Protocol::Udp),
            Some(other) => Err(Fault::Protocol(shortened(other))),
        }
    }

    /// As rules and answers have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

// === impl Asked ===

impl Asked {
    /// Reads the value of a label of a task of `framework`.
    pub fn parse(value: &str, framework: &str) -> Result<Asked, Fault> {
        let (host, port) = value.rsplit_once(':').ok_or(Fault::NoPort)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port.parse().ok().filter(|number| digits && *number != 0);
        let port = number.ok_or_else(|| Fault::Port(shortened(port)))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse() {
            Ok(IpAddr::V4(address)) if is_usable(address) => Host::Address(address),
            Ok(IpAddr::V4(address)) => return Err(Fault::Unusable(address)),
            Ok(IpAddr::V6(_)) => return Err(Fault::Ipv6),
            Err(_) => Host::Name(name::full(host, framework)?),
        };
        Ok(Asked { host, port })
    }
}

/// What is of this host or of all of them cannot lead elsewhere.
fn is_usable(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first < 224 && !address.is_loopback() && !address.is_link_local()
}

/// For messages: what somebody wrote may be long, and anything.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 64;
    let clean = text.chars().map(|one| if one.is_control() { ' ' } else { one });
    let mut short: String = clean.take(MOST).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, port: u16) -> Result<Asked, Fault> {
        Ok(Asked { host: Host::Name(name.into()), port })
    }

    #[test]
    fn names_and_addresses_are_told_apart() {
        assert_eq!(Asked::parse("/web:80", "marathon"), named("web.marathon", 80));
        assert_eq!(Asked::parse("web:80", "marathon"), named("web.marathon", 80));
        assert_eq!(Asked::parse("/a/b/c:443", "marathon"), named("abc.marathon", 443));
        assert_eq!(Asked::parse("/Broker_1:9092", "dev/kafka"), named("broker-1.devkafka", 9092));
        assert_eq!(Asked::parse("/a.b:1", "marathon"), named("a.b.marathon", 1));
        let at = |address: [u8; 4], port| Ok(Asked { host: Host::Address(address.into()), port });
        assert_eq!(Asked::parse("1.2.3.4:5000", "marathon"), at([1, 2, 3, 4], 5000));
        assert_eq!(Asked::parse("11.255.0.1:65535", "m"), at([11, 255, 0, 1], 65535));
        // Not an address as they are strictly written, so it is a name.
        assert_eq!(Asked::parse("1.2.3:80", "m"), named("1.2.3.m", 80));
    }

    #[test]
    fn faults_say_what_is_wrong() {
        for (value, fault) in [
            ("/web", Fault::NoPort),
            ("", Fault::NoPort),
            ("/web:", Fault::Port(String::new())),
            ("/web:0", Fault::Port("0".to_owned())),
            ("/web:65536", Fault::Port("65536".to_owned())),
            ("/web:+80", Fault::Port("+80".to_owned())),
            ("/web:http", Fault::Port("http".to_owned())),
            (":80", Fault::Name(String::new())),
            ("/!!:80", Fault::Name("/!!".to_owned())),
            ("127.0.0.1:80", Fault::Unusable(Ipv4Addr::LOCALHOST)),
            ("224.0.0.1:80", Fault::Unusable(Ipv4Addr::new(224, 0, 0, 1))),
            ("0.0.0.0:80", Fault::Unusable(Ipv4Addr::UNSPECIFIED)),
            ("fd01:c::1:80", Fault::Ipv6),
            ("[fd01:c::1]:80", Fault::Ipv6),
        ] {
            assert_eq!(Asked::parse(value, "marathon"), Err(fault), "{value}");
        }
        assert_eq!(Asked::parse(&format!("/{}:80", "a.".repeat(130)), "m"), Err(Fault::Long));
        assert_eq!(Asked::parse("/web:80", "//"), Err(Fault::Name("//".to_owned())));
    }

    #[test]
    fn protocols_are_of_either_case() {
        assert_eq!(Protocol::parse(None), Ok(Protocol::Tcp));
        assert_eq!(Protocol::parse(Some("UDP")), Ok(Protocol::Udp));
        assert_eq!(Protocol::parse(Some("tcp")), Ok(Protocol::Tcp));
        assert_eq!(Protocol::parse(Some("sctp")), Err(Fault::Protocol("sctp".to_owned())));
    }
}
