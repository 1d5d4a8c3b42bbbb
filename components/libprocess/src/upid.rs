//! Addresses of actors: `id@ip:port`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};
use thiserror::Error;

/// Look-ups under way at once: each holds a thread of a pool that others need too.
static LOOKUPS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(16);

/// Ids longer than this are refused: they only ever come from a broken or hostile peer.
pub(crate) const MAX_ID: usize = 1024;

/// The address of an actor: a name at an ip and port.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Upid {
    /// The actor's name within its process, such as `slave(1)`.
    pub id: Arc<str>,
    /// Where its process listens.
    pub address: SocketAddr,
}

/// Why a text is no address of an actor.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UpidError {
    /// There is no `@` between name and address.
    #[error("'{0}' has no '@' between id and address")]
    NoAt(String),
    /// The name is too long or holds characters that could not be sent in a request line.
    #[error("the id before '@' holds a space or control character or exceeds {MAX_ID} bytes")]
    Id,
    /// What follows the `@` is not `ip:port`.
    #[error("'{0}' is not of the form ip:port")]
    Address(String),
}

// === impl Upid ===

impl Upid {
    /// An actor at an address.
    pub fn new(id: impl Into<Arc<str>>, address: SocketAddr) -> Self {
        Self { id: id.into(), address }
    }

    /// The address that means "nobody" and prints as `@0.0.0.0:0`.
    pub fn empty() -> Self {
        Self::new("", SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))
    }

    /// Whether messages cannot be sent there.
    pub fn is_empty(&self) -> bool {
        self.address.port() == 0 || self.address.ip().is_unspecified()
    }

    /// Like parsing, but a host name after the `@` is looked up (IPv4 only, as peers expect).
    pub async fn resolve(text: &str) -> Result<Self, UpidError> {
        let (id, host) = split(text)?;
        if let Ok(address) = host.parse() {
            return Ok(Self::new(id, address));
        }
        let unknown = || UpidError::Address(host.to_owned());
        let _turn = LOOKUPS.acquire().await.map_err(|_| unknown())?;
        let mut found = tokio::net::lookup_host(host).await.map_err(|_| unknown())?;
        let address = found.find(SocketAddr::is_ipv4).ok_or_else(unknown)?;
        Ok(Self::new(id, address))
    }
}

impl Default for Upid {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{}", self.id, self.address)
    }
}

impl fmt::Debug for Upid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Upid {
    type Err = UpidError;

    fn from_str(text: &str) -> Result<Self, UpidError> {
        let (id, host) = split(text)?;
        match host.parse() {
            Ok(address) => Ok(Self::new(id, address)),
            Err(_) => Err(UpidError::Address(host.to_owned())),
        }
    }
}

fn split(text: &str) -> Result<(&str, &str), UpidError> {
    let (id, host) = text.split_once('@').ok_or_else(|| UpidError::NoAt(text.to_owned()))?;
    if sendable(id) { Ok((id, host)) } else { Err(UpidError::Id) }
}

/// Whether an id can stand in a request line without being taken for something else.
pub(crate) fn sendable(id: &str) -> bool {
    id.len() <= MAX_ID && !id.bytes().any(|byte| byte <= b' ' || byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn empty_prints_as_the_original_does() {
        assert_eq!(Upid::empty().to_string(), "@0.0.0.0:0");
        assert_eq!("@0.0.0.0:0".parse::<Upid>(), Ok(Upid::empty()));
        assert!(Upid::empty().is_empty());
    }

    #[test]
    fn ordinary_addresses_round_trip() {
        for text in ["master@127.0.0.1:5050", "slave(1)@10.0.0.5:5051", "x@[::1]:80"] {
            assert_eq!(text.parse::<Upid>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn malformed_texts_are_named() {
        assert_eq!("master".parse::<Upid>(), Err(UpidError::NoAt("master".into())));
        assert_eq!("a b@127.0.0.1:1".parse::<Upid>(), Err(UpidError::Id));
        assert_eq!("a@127.0.0.1".parse::<Upid>(), Err(UpidError::Address("127.0.0.1".into())));
        assert_eq!("a@127.0.0.1:99999".parse::<Upid>().unwrap_err(), {
            UpidError::Address("127.0.0.1:99999".into())
        });
    }

    #[tokio::test]
    async fn host_names_are_looked_up() {
        let upid = Upid::resolve("master@localhost:5050").await.unwrap();
        assert_eq!(upid.to_string(), "master@127.0.0.1:5050");
        assert!(Upid::resolve("master@").await.is_err());
    }

    proptest! {
        #[test]
        fn any_text_parses_or_errs_and_prints_back(text in ".{0,80}") {
            if let Ok(upid) = text.parse::<Upid>() {
                prop_assert_eq!(upid.to_string().parse::<Upid>(), Ok(upid));
            }
        }
    }
}
