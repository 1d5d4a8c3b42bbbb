//! New connections to upstreams.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::io::Io;
use super::pool::Pool;
use crate::worker::Context;
use crate::{Address, Protocol, Refusal, Upstream};

/// Connects, greets in TLS if that is spoken, and remembers failures.
pub(crate) async fn connect(
    context: &Context,
    upstream: &Upstream,
    pool: &Rc<Pool>,
    within: Duration,
) -> Result<Io, Refusal> {
    let now = context.deadlines.now();
    if pool.is_down(now) {
        return Err(Refusal::Unavailable { upstream: Arc::clone(&upstream.name) });
    }
    pool.probe(now, within);
    let attempt = tokio::time::timeout(within, open(upstream)).await;
    let now = context.deadlines.now();
    let name = Arc::clone(&upstream.name);
    match attempt {
        Ok(Ok(io)) => {
            pool.connected();
            Ok(io)
        }
        Ok(Err(error)) => {
            tracing::debug!(upstream = %name, %error, "cannot connect");
            pool.refused(now);
            Err(refusal(name, &error))
        }
        Err(_) => {
            pool.silent(now);
            pool.metrics.timeouts.add(1);
            Err(Refusal::GatewayTimeout { upstream: name, seconds: within.as_secs() })
        }
    }
}

fn refusal(upstream: Arc<str>, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::InvalidData => {
            Refusal::BadGateway { upstream, reason: "its certificate or TLS is not acceptable" }
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => {
            Refusal::BadGateway { upstream, reason: "it broke off the connection" }
        }
        _ => Refusal::Unavailable { upstream },
    }
}

pub(super) async fn open(upstream: &Upstream) -> io::Result<Io> {
    let tcp = match &upstream.address {
        Address::Unix(path) => return Ok(Io::Unix(UnixStream::connect(path).await?)),
        Address::Tcp(address) => to(*address).await?,
        Address::Name(name, port) => to_any(name, *port).await?,
    };
    match &upstream.protocol {
        Protocol::Http1 | Protocol::H2c => Ok(Io::Tcp(tcp)),
        Protocol::Tls { config, name } => {
            let name = ServerName::try_from(name.to_string());
            let name = name.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let connector = TlsConnector::from(Arc::clone(config));
            Ok(Io::Tls(Box::new(connector.connect(name, tcp).await?)))
        }
    }
}

async fn to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

async fn to_any(name: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in tokio::net::lookup_host((name, port)).await? {
        match to(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
