//! From an accepted TCP connection to a TLS one, within limits.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Certificates;
use crate::deadline::Watch;
use crate::metrics::{Reason, WorkerMetrics};

/// The first byte of a TLS greeting; no HTTP request begins with it.
pub(crate) const GREETING: u8 = 0x16;

/// How many greetings one worker answers at once.
#[derive(Clone)]
pub(crate) struct Handshakes {
    running: Rc<Cell<usize>>,
    limit: usize,
}

/// A connection with its handshake behind it.
pub(crate) struct Accepted {
    /// In a box: what serves it is small then, whatever it speaks.
    pub(crate) stream: Box<TlsStream<TcpStream>>,
    pub(crate) server_name: Option<Arc<str>>,
    pub(crate) version: &'static str,
    /// Of a session before.
    pub(crate) resumed: bool,
    /// The client chose HTTP/2.
    pub(crate) http2: bool,
}

/// Why there is no TLS connection.
#[derive(Debug)]
pub(crate) enum Refused {
    /// What came is no TLS: the connection is handed back for an answer in plain HTTP.
    Plain(TcpStream),
    Full,
    TimedOut,
    /// The server stops: nobody waits for a request that may never come.
    Stopping,
    Failed(std::io::Error),
}

struct Running(Rc<Cell<usize>>);

// === impl Handshakes ===

impl Handshakes {
    pub(crate) fn new(limit: usize) -> Handshakes {
        Handshakes { running: Rc::new(Cell::new(0)), limit }
    }

    fn begin(&self) -> Option<Running> {
        let running = self.running.get();
        if running >= self.limit {
            return None;
        }
        self.running.set(running + 1);
        Some(Running(Rc::clone(&self.running)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

// === impl Refused ===

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Plain(_) => f.write_str("what came is no TLS"),
            Refused::Full => f.write_str("too many handshakes at once"),
            Refused::TimedOut => f.write_str("the handshake took too long"),
            Refused::Stopping => f.write_str("the server stops"),
            Refused::Failed(error) => error.fmt(f),
        }
    }
}

impl Refused {
    pub(crate) fn count(&self, metrics: &WorkerMetrics) {
        match self {
            Refused::Plain(_) => metrics.refused(Reason::WrongPort),
            Refused::Full => metrics.refused(Reason::Handshakes),
            Refused::Stopping => {}
            Refused::TimedOut | Refused::Failed(_) => metrics.handshakes_failed.add(1),
        }
    }
}

/// Shakes hands with a client that just connected. A client that says nothing is gone after
/// `within`, and does not count as a handshake before its first byte.
pub(crate) async fn accept(
    socket: TcpStream,
    certificates: &Certificates,
    handshakes: &Handshakes,
    within: Duration,
    watch: &Watch,
) -> Result<Accepted, Refused> {
    let mut shake = pin!(shake(socket, certificates, handshakes));
    watch.set(Some(within));
    poll_fn(|cx| {
        watch.attach(cx.waker());
        match shake.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending if watch.stopping() => Poll::Ready(Err(Refused::Stopping)),
            Poll::Pending if watch.expired() => Poll::Ready(Err(Refused::TimedOut)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn shake(
    socket: TcpStream,
    certificates: &Certificates,
    handshakes: &Handshakes,
) -> Result<Accepted, Refused> {
    let mut first = [0];
    match socket.peek(&mut first).await {
        Ok(0) => return Err(Refused::Failed(std::io::ErrorKind::UnexpectedEof.into())),
        Ok(_) if first == [GREETING] => {}
        Ok(_) => return Err(Refused::Plain(socket)),
        Err(error) => return Err(Refused::Failed(error)),
    }
    let _running = handshakes.begin().ok_or(Refused::Full)?;
    let acceptor = TlsAcceptor::from(Arc::clone(certificates.config()));
    let stream = acceptor.accept(socket).await.map_err(Refused::Failed)?;
    Ok(accepted(Box::new(stream)))
}

fn accepted(stream: Box<TlsStream<TcpStream>>) -> Accepted {
    let (_, session) = stream.get_ref();
    let server_name = session.server_name().map(Arc::from);
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLSv1.2",
    };
    let http2 = session.alpn_protocol() == Some(b"h2");
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    Accepted { stream, server_name, version, resumed, http2 }
}

/// What plain HTTP on the TLS port is answered with.
pub(crate) const USE_HTTPS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 45\r\n\
    Connection: close\r\n\r\n\
    This port speaks TLS: use https in the URL.\r\n";

/// Answers plain HTTP on the TLS port and closes. What the client sent is read and dropped for a
/// moment, else the answer could be lost to a reset.
pub(crate) async fn say_use_https<S>(mut socket: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let talk = async {
        socket.write_all(USE_HTTPS).await?;
        socket.shutdown().await?;
        let mut rest = [0; 1024];
        for _ in 0..64 {
            if socket.read(&mut rest).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // The client's own end of the connection is not worth a word in the log.
    let _ = tokio::time::timeout(Duration::from_secs(2), talk).await;
}
