//! Clients and backends that speak whatever bytes a test gives them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxy::{Address, Limits, Policy, Protocol, Server, ServerConfig, Upstream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::gateway::{Everything, soon};

pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
pub const GET: &str = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// A gateway without TLS, ended with this.
pub struct Plain {
    pub address: SocketAddr,
    pub upstream: Arc<Upstream>,
    pub token: CancellationToken,
    pub join: tokio::task::JoinHandle<()>,
    pub metrics: Arc<proxy::Metrics>,
    _guard: DropGuard,
}

/// A connection of raw bytes.
pub struct Raw<S = TcpStream> {
    pub io: S,
    pub rest: Vec<u8>,
}

/// A message: the head as text, and the body as its framing says.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
}

/// A listener whose connections a test serves by hand.
pub struct Backend {
    pub listener: TcpListener,
    pub address: SocketAddr,
}

/// Connections that a scripted backend took.
pub type Count = Arc<AtomicUsize>;

// === impl Plain ===

impl Plain {
    pub fn to(address: SocketAddr) -> Plain {
        Plain::with(address, Limits::default(), |_| {})
    }

    pub fn with(
        address: SocketAddr,
        limits: Limits,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Plain {
        let upstream = Upstream::new("backend", Address::Tcp(address), Protocol::Http1);
        Plain::start(upstream, limits, change)
    }

    pub fn start(
        upstream: Arc<Upstream>,
        limits: Limits,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Plain {
        let mut policy = Everything::new(&upstream);
        policy.limits = Arc::new(limits);
        Plain::of(policy, upstream, change)
    }

    /// With a policy of its own.
    pub fn of(
        policy: impl Policy,
        upstream: Arc<Upstream>,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Plain {
        let mut config = ServerConfig {
            plain: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            workers: 1,
            routes: vec!["own".into(), "backend".into()],
            ..ServerConfig::default()
        };
        change(&mut config);
        let token = CancellationToken::new();
        let running = Server::start(config, Arc::new(policy), token.clone()).unwrap();
        Plain {
            address: running.plain_address.unwrap(),
            upstream,
            join: running.join,
            metrics: running.metrics,
            _guard: token.clone().drop_guard(),
            token,
        }
    }

    pub async fn connect(&self) -> Raw {
        Raw::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// A request that has reached its upstream: the client's connection and the upstream's.
    pub async fn under_way(&self, backend: &Backend) -> (Raw, Raw) {
        let mut client = self.connect().await;
        client.send(GET).await;
        let mut upstream = backend.accept().await;
        upstream.head().await;
        (client, upstream)
    }

    /// After a request that was answered: both connections are kept.
    pub async fn kept(&self, backend: &Backend) -> (Raw, Raw) {
        let (mut client, mut upstream) = self.under_way(backend).await;
        upstream.send(OK).await;
        assert_eq!(client.answer().await.status(), 200);
        (client, upstream)
    }

    /// Sends some bytes on a connection of its own and reads one answer.
    pub async fn ask(&self, text: &str) -> Message {
        let mut client = self.connect().await;
        client.send(text).await;
        client.answer().await
    }
}

// === impl Message ===

impl Message {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// The value of a header, if there is exactly one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.head.lines().filter_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        });
        let first = found.next();
        assert!(found.next().is_none(), "{name} twice: {}", self.head);
        first
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

// === impl Raw ===

impl<S: AsyncRead + tokio::io::AsyncWrite + Unpin> Raw<S> {
    pub fn new(io: S) -> Raw<S> {
        Raw { io, rest: Vec::new() }
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        soon(self.io.write_all(text.as_ref())).await.unwrap();
    }

    /// Reads once; false at the end.
    pub async fn more(&mut self) -> bool {
        soon(self.io.read_buf(&mut self.rest)).await.is_ok_and(|count| count > 0)
    }

    /// Reads a head.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.rest.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more().await, "no head: {:?}", String::from_utf8_lossy(&self.rest));
        }
    }

    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.rest.len() < count {
            assert!(self.more().await, "cut off: {:?}", String::from_utf8_lossy(&self.rest));
        }
        self.rest.drain(..count).collect()
    }

    /// Reads to the end.
    pub async fn end(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.rest)
    }

    /// Reads a message, whose body is chunked or has a length (else it has none).
    pub async fn message(&mut self) -> Message {
        let head = self.head().await;
        let mut message = Message { head, body: Vec::new() };
        if let Some(length) = message.header("content-length") {
            let length = length.parse().unwrap();
            message.body = self.exactly(length).await;
        } else if message.header("transfer-encoding").is_some() {
            message.body = self.chunks().await;
        }
        message
    }

    /// Reads an answer, without those that come before it.
    pub async fn answer(&mut self) -> Message {
        self.message().await
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let length = usize::from_str_radix(&line, 16).expect("a chunk's length");
            if length == 0 {
                while !self.line().await.is_empty() {}
                return body;
            }
            body.extend(self.exactly(length).await);
            assert_eq!(self.exactly(2).await, b"\r\n");
        }
    }

    pub async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.rest.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.rest.drain(..end + 2).collect();
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            assert!(self.more().await, "no line: {:?}", String::from_utf8_lossy(&self.rest));
        }
    }
}

// === impl Backend ===

impl Backend {
    pub async fn new() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Backend { listener, address }
    }

    pub async fn accept(&self) -> Raw {
        Raw::new(soon(self.listener.accept()).await.unwrap().0)
    }

    /// Answers every request on every connection with the same bytes, and keeps connections.
    pub fn always(self, answer: &'static str) -> (SocketAddr, Count) {
        let count = Count::default();
        let (address, counted) = (self.address, Arc::clone(&count));
        tokio::spawn(async move {
            while let Ok((io, _)) = self.listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut connection = Raw::new(io);
                    let mut buffer = Vec::new();
                    while connection.io.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
                        while let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n")
                        {
                            buffer.drain(..end + 4);
                            if connection.io.write_all(answer.as_bytes()).await.is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        (address, count)
    }
}
