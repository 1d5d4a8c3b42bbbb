//! The accept loop: connections of HTTP/1.1 with limits and a graceful end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::Service as HyperService;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use crate::service::ReplyFuture;
use crate::{Body, Service};

/// Limits of one listener.
#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Connections open at once; further ones wait in the kernel's backlog.
    pub max_connections: usize,
    /// From the first byte of a head to its end. An idle connection may stay
    /// open for ever: libprocess peers read its end as the death of the process.
    pub head_timeout: Duration,
    /// Header lines of one request.
    pub max_headers: usize,
    /// Bytes of one request head.
    pub max_head_bytes: usize,
    /// How long requests in flight may take once shutdown was asked for.
    pub grace: Duration,
    /// Who gets new connections first.
    pub preface: Option<Preface>,
}

/// A connection that [`Preface`] leaves to HTTP, and what it read of it.
pub type Prefaced = Pin<Box<dyn Future<Output = Option<(TcpStream, Bytes)>> + Send>>;

/// Serves connections of another protocol on the same port, for as long as nothing else comes
/// on them.
#[derive(Clone)]
pub struct Preface(Arc<dyn Fn(TcpStream, SocketAddr) -> Prefaced + Send + Sync>);

impl Preface {
    /// `serve` gives a connection back when HTTP should go on with it.
    pub fn new<F>(serve: impl Fn(TcpStream, SocketAddr) -> F + Send + Sync + 'static) -> Preface
    where
        F: Future<Output = Option<(TcpStream, Bytes)>> + Send + 'static,
    {
        Preface(Arc::new(move |stream, peer| Box::pin(serve(stream, peer))))
    }
}

impl std::fmt::Debug for Preface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Preface")
    }
}

impl Default for ServeConfig {
    fn default() -> ServeConfig {
        ServeConfig {
            max_connections: 65_536,
            head_timeout: Duration::from_secs(30),
            max_headers: 128,
            max_head_bytes: 256 * 1024,
            grace: Duration::from_millis(500),
            preface: None,
        }
    }
}

/// Serves until `shutdown`; returns when every connection has ended or the
/// grace is over.
pub async fn serve<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    config: ServeConfig,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(config.max_connections.max(1)));
    let connections = tokio_util::task::TaskTracker::new();
    let builder = connection_builder(&config);
    loop {
        let slot = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = Connection {
                    builder: builder.clone(),
                    service: Arc::clone(&service),
                    config: config.clone(),
                    shutdown: shutdown.clone(),
                };
                connections.spawn(async move {
                    connection.run(stream, peer).await;
                    drop(slot);
                });
            }
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// A failing accept is either the peer's (go on at once) or ours: out of file
/// descriptors or memory, where trying again at once would only spin.
async fn pause_after(error: &io::Error) {
    let of_peer = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !of_peer {
        tracing::warn!(%error, "cannot accept a connection");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn connection_builder(config: &ServeConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .title_case_headers(true)
        .header_read_timeout(None)
        .keep_alive(true)
        // A peer that closes its side is gone: its stream must end, which is how
        // the loss of a subscribed client is noticed.
        .half_close(false)
        // Must stay off: with it hyper takes a streamed body into memory however
        // slowly the client reads.
        .pipeline_flush(false)
        .max_headers(config.max_headers)
        .max_buf_size(config.max_head_bytes.max(8192));
    builder
}

struct Connection<S> {
    builder: http1::Builder,
    service: Arc<S>,
    config: ServeConfig,
    shutdown: CancellationToken,
}

impl<S: Service> Connection<S> {
    async fn run(self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        let (stream, read) = match &self.config.preface {
            None => (stream, Bytes::new()),
            Some(Preface(serve)) => tokio::select! {
                rest = serve(stream, peer) => match rest {
                    Some(rest) => rest,
                    None => return,
                },
                () = self.shutdown.cancelled() => return,
            },
        };
        let phase = Arc::new(AtomicU8::new(if read.is_empty() { IDLE } else { HEAD }));
        let io = TokioIo::new(HeadTimeout {
            stream,
            read,
            phase: Arc::clone(&phase),
            limit: self.config.head_timeout,
            timer: None,
        });
        let service = PerConnection { service: self.service, peer, phase };
        let connection = self.builder.serve_connection(io, service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.shutdown.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                connection.as_mut().graceful_shutdown();
                match tokio::time::timeout(self.config.grace, connection).await {
                    Ok(ended) => ended,
                    Err(_) => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}

/// Adapts a [`Service`] to hyper for one peer.
struct PerConnection<S> {
    service: Arc<S>,
    peer: SocketAddr,
    phase: Arc<AtomicU8>,
}

impl<S: Service> HyperService<http::Request<hyper::body::Incoming>> for PerConnection<S> {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Busy;

    fn call(&self, request: http::Request<hyper::body::Incoming>) -> Busy {
        self.phase.store(BUSY, Ordering::Relaxed);
        let request = request.map(Body::Incoming);
        Busy { reply: self.service.call(request, self.peer).into(), phase: Arc::clone(&self.phase) }
    }
}

/// A reply being made; while it is, bytes that arrive belong to the body.
struct Busy {
    reply: ReplyFuture,
    phase: Arc<AtomicU8>,
}

impl Future for Busy {
    type Output = <ReplyFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.reply).poll(cx);
        if polled.is_ready() {
            self.phase.store(IDLE, Ordering::Relaxed);
        }
        polled
    }
}

/// Nothing of the next head has come.
const IDLE: u8 = 0;
/// A part of a head has come.
const HEAD: u8 = 1;
/// A request is being answered.
const BUSY: u8 = 2;

/// Ends a connection whose head stays incomplete. hyper's own timeout also
/// counts the silence before a head, which would cut idle links.
struct HeadTimeout {
    stream: TcpStream,
    /// What was read before, and comes first.
    read: Bytes,
    phase: Arc<AtomicU8>,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl HeadTimeout {
    fn expired(&mut self, cx: &mut Context<'_>) -> bool {
        if self.phase.load(Ordering::Relaxed) != HEAD {
            self.timer = None;
            return false;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(cx).is_ready()
    }
}

impl AsyncRead for HeadTimeout {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let count = buf.remaining().min(self.read.len());
            buf.put_slice(&self.read.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                if buf.filled().len() > before && self.phase.load(Ordering::Relaxed) == IDLE {
                    self.phase.store(HEAD, Ordering::Relaxed);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending if self.expired(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            other => other,
        }
    }
}

impl AsyncWrite for HeadTimeout {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
