//! Where a configured server listens: `http://host:port`, `https://host:port` or `unix:/path`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use cluster_events::asking::Server;
use proxy::{Address, Protocol, Upstream};

/// A server that requests are forwarded to, as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    Http { host: Box<str>, port: u16 },
    Https { host: Box<str>, port: u16 },
    Unix(PathBuf),
}

/// Why a text names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    #[error("expected http://host:port, https://host:port or unix:/path")]
    Form,
    #[error("a path, a query or credentials cannot be part of it")]
    Extra,
    #[error("the path of a socket has to begin with a slash")]
    Relative,
}

// === impl Origin ===

impl Origin {
    /// The server of a socket address, spoken to without TLS.
    pub fn http(address: SocketAddr) -> Origin {
        Origin::Http { host: address.ip().to_string().into(), port: address.port() }
    }

    /// As it is asked by the gateway itself; none for sockets of this machine.
    pub(crate) fn server(&self) -> Option<Server> {
        match self {
            Origin::Http { host, port } => Some(Server::new(false, host, *port)),
            Origin::Https { host, port } => Some(Server::new(true, host, *port)),
            Origin::Unix(_) => None,
        }
    }

    /// As the engine connects to it. `tls` is for those with `https`.
    pub fn upstream(&self, name: &str, tls: &Arc<rustls::ClientConfig>) -> Arc<Upstream> {
        match self {
            Origin::Http { host, port } => {
                Upstream::new(name, address(host, *port), Protocol::Http1)
            }
            Origin::Https { host, port } => {
                let config = Arc::clone(tls);
                let protocol = Protocol::Tls { config, name: Arc::from(&**host) };
                Upstream::new(name, address(host, *port), protocol)
            }
            Origin::Unix(path) => Upstream::new(name, Address::Unix(path.clone()), Protocol::Http1),
        }
    }
}

/// Of a host, which may be an address itself.
pub(crate) fn address(host: &str, port: u16) -> Address {
    match host.parse::<IpAddr>() {
        Ok(ip) => Address::Tcp(SocketAddr::new(ip, port)),
        Err(_) => Address::Name(Arc::from(host), port),
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Origin, OriginError> {
        if let Some(path) = text.strip_prefix("unix:") {
            // `unix:///run/x.sock` is the same as `unix:/run/x.sock`.
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') {
                true => Ok(Origin::Unix(PathBuf::from(path))),
                false => Err(OriginError::Relative),
            };
        }
        let uri: http::Uri = text.parse().map_err(|_| OriginError::Form)?;
        let authority = uri.authority().ok_or(OriginError::Form)?;
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        if authority.as_str().contains('@') || !matches!(path, "" | "/") {
            return Err(OriginError::Extra);
        }
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host) {
            Some("") => None,
            Some(port) => {
                let digits = port.strip_prefix(':').ok_or(OriginError::Form)?;
                Some(digits.parse::<u16>().map_err(|_| OriginError::Form)?)
            }
            None => return Err(OriginError::Form),
        };
        let host: Box<str> =
            host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).into();
        if host.is_empty() {
            return Err(OriginError::Form);
        }
        match uri.scheme_str() {
            Some("http") => Ok(Origin::Http { host, port: port.unwrap_or(80) }),
            Some("https") => Ok(Origin::Https { host, port: port.unwrap_or(443) }),
            _ => Err(OriginError::Form),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Origin::Http { host, port } => ("http", host, port),
            Origin::Https { host, port } => ("https", host, port),
            Origin::Unix(path) => return write!(out, "unix:{}", path.display()),
        };
        match host.contains(':') {
            true => write!(out, "{scheme}://[{host}]:{port}"),
            false => write!(out, "{scheme}://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_the_same() {
        for text in ["http://127.0.0.1:80", "https://iam.mesos:8101", "http://[::1]:5050"] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        let socket: Origin = "unix:///run/dcos/dcos-log.sock".parse().unwrap();
        assert_eq!(socket.to_string(), "unix:/run/dcos/dcos-log.sock");
        assert_eq!("http://h/".parse::<Origin>().unwrap().to_string(), "http://h:80");
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for (text, error) in [
            ("", OriginError::Form),
            ("localhost:80", OriginError::Form),
            ("ftp://h:1", OriginError::Form),
            ("http://h:99999", OriginError::Form),
            ("http://h:", OriginError::Form),
            ("http://h/path", OriginError::Extra),
            ("http://h/?a=b", OriginError::Extra),
            ("http://user:secret@h", OriginError::Extra),
            ("unix:run/x", OriginError::Relative),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
    }
}
