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

/// While something is lacking: how often it is asked again, and for how long at most.
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(1);

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
    let attempt = tokio::time::timeout(within, open(upstream, within)).await;
    let now = context.deadlines.now();
    let name = Arc::clone(&upstream.name);
    match attempt {
        Ok(Ok(io)) => {
            pool.connected();
            Ok(io)
        }
        Ok(Err(error)) => {
            tracing::debug!(upstream = %name, %error, "cannot connect");
            match Cause::of(&error) {
                Cause::NobodyThere => pool.refused(now),
                Cause::Shortage => pool.failed(),
                Cause::Answered => pool.rejected(),
            }
            Err(refusal(name, &error))
        }
        Err(_) => {
            pool.silent(now);
            pool.metrics.timeouts.add(1);
            Err(Refusal::GatewayTimeout { upstream: name, seconds: within.as_secs() })
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// Nothing listens there: asking again at once is in vain.
    NobodyThere,
    /// Something is lacking for a moment, here or in the queue of a socket over there; it says
    /// nothing about the upstream.
    Shortage,
    /// Somebody is there, but does not do what was asked.
    Answered,
}

// === impl Cause ===

impl Cause {
    fn of(error: &io::Error) -> Cause {
        use libc::{
            EADDRINUSE, EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, EMFILE,
            ENETDOWN, ENETUNREACH, ENFILE, ENOBUFS, ENOENT, ENOMEM,
        };
        match error.raw_os_error() {
            Some(ECONNREFUSED | ENOENT | EHOSTUNREACH | EHOSTDOWN | ENETUNREACH | ENETDOWN) => {
                Cause::NobodyThere
            }
            Some(EAGAIN | EMFILE | ENFILE | ENOBUFS | ENOMEM | EADDRNOTAVAIL | EADDRINUSE) => {
                Cause::Shortage
            }
            Some(_) => Cause::Answered,
            // A name that stands for nothing.
            None if error.kind() == io::ErrorKind::InvalidData => Cause::Answered,
            None if error.kind() == io::ErrorKind::UnexpectedEof => Cause::Answered,
            None => Cause::NobodyThere,
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

/// Where something is lacking for a moment this asks again, for a part of `within`.
pub(super) async fn open(upstream: &Upstream, within: Duration) -> io::Result<Io> {
    let patience = (within / 2).min(PATIENCE);
    let began = tokio::time::Instant::now();
    loop {
        match once(upstream).await {
            Err(error) if Cause::of(&error) == Cause::Shortage && began.elapsed() < patience => {
                tokio::time::sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

async fn once(upstream: &Upstream) -> io::Result<Io> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_nobody_is_an_upstream_is_down() {
        let of = |number| Cause::of(&io::Error::from_raw_os_error(number));
        assert_eq!(of(libc::ECONNREFUSED), Cause::NobodyThere);
        assert_eq!(of(libc::ENOENT), Cause::NobodyThere);
        assert_eq!(of(libc::EHOSTUNREACH), Cause::NobodyThere);
        assert_eq!(of(libc::EMFILE), Cause::Shortage);
        assert_eq!(of(libc::EADDRNOTAVAIL), Cause::Shortage);
        assert_eq!(of(libc::ECONNRESET), Cause::Answered);
        let certificate = io::Error::new(io::ErrorKind::InvalidData, "a certificate");
        assert_eq!(Cause::of(&certificate), Cause::Answered);
    }
}
