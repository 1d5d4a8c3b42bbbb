//! Upstreams that note exactly what they got, and a client that sends exactly what it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(8);

/// A request as an upstream got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) upstream: &'static str,
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// False when the connection ended within the body.
    pub(crate) complete: bool,
}

/// What several upstreams got, in the order in which it came.
pub(crate) type Log = Arc<Mutex<Vec<Seen>>>;

/// One upstream. Ends when dropped.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

/// Where what the gateway asks for itself goes.
pub(crate) type Relay = Arc<OnceLock<SocketAddr>>;

/// A connection with what was read of it and not used.
pub(crate) struct Connection<S> {
    stream: S,
    held: Vec<u8>,
}

/// The head of an answer, whose body was read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Nothing follows on the connection.
    pub(crate) close: bool,
}

// === impl Seen ===

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }

    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let same = self.headers.iter().filter(move |(known, _)| known == name);
        same.map(|(_, value)| value.as_str())
    }

    pub(crate) fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// What the test gave the request to be known by.
    pub(crate) fn marker(&self) -> &str {
        let of_query = || self.target().split_once("?m=").map(|(_, rest)| rest);
        let marker = self.header("x-marker").or_else(of_query).unwrap_or_default();
        marker.split('&').next().unwrap_or_default()
    }
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// The first line and the headers, names in lower case.
fn lines(head: &[u8]) -> (String, Vec<(String, String)>) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    (first, lines.map(pair).collect())
}

// === impl Recorder ===

impl Recorder {
    pub(crate) async fn start(name: &'static str, log: &Log) -> Recorder {
        Recorder::relaying(name, log, &Relay::default()).await
    }

    /// The gateway's own requests, which bear no id, go to another server.
    pub(crate) async fn relaying(name: &'static str, log: &Log, relay: &Relay) -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, relay) = (Arc::clone(log), Arc::clone(relay));
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (log, relay) = (Arc::clone(&log), Arc::clone(&relay));
                connections.spawn(async move {
                    let mut connection = Connection::new(stream);
                    let mut first = true;
                    while record(&mut connection, name, &log, first.then_some(&relay)).await {
                        first = false;
                    }
                });
            }
        });
        Recorder { address, accepting }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Takes one request; false when nothing more can follow.
async fn record(
    connection: &mut Connection<TcpStream>,
    upstream: &'static str,
    log: &Log,
    relay: Option<&Relay>,
) -> bool {
    let Some(head) = connection.until(b"\r\n\r\n").await else { return false };
    let (line, headers) = lines(&head);
    let own = value(&headers, "x-request-id").is_none() && line.contains(" /acs/api/v1/");
    if let Some(to) = relay.and_then(|relay| relay.get()).filter(|_| own) {
        let mut other = TcpStream::connect(to).await.unwrap();
        other.write_all(&head).await.unwrap();
        other.write_all(&std::mem::take(&mut connection.held)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut connection.stream, &mut other).await;
        return false;
    }
    if value(&headers, "expect").is_some() {
        let _ = connection.send(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    }
    let body = connection.body(&headers, Some(0)).await;
    let complete = body.is_some();
    let head_only = line.starts_with("HEAD ");
    let seen = Seen { upstream, line, headers, body: body.unwrap_or_default(), complete };
    let marker = seen.marker().to_owned();
    log.lock().unwrap().push(seen);
    let body = if head_only { "" } else { "ok" };
    let answer = format!("HTTP/1.1 200 OK\r\nX-Seen: {marker}\r\nContent-Length: 2\r\n\r\n{body}");
    complete && connection.send(answer.as_bytes()).await
}

// === impl Connection ===

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(stream: S) -> Connection<S> {
        Connection { stream, held: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Says that nothing more is sent.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// One answer; none when the connection ended before it was complete.
    pub(crate) async fn reply(&mut self, head_only: bool) -> Option<Reply> {
        let reading = tokio::time::timeout(PATIENCE, self.read_reply(head_only));
        reading.await.expect("there is no answer and no end")
    }

    async fn read_reply(&mut self, head_only: bool) -> Option<Reply> {
        loop {
            let head = self.until(b"\r\n\r\n").await?;
            let (line, headers) = lines(&head);
            let status = line.split(' ').nth(1)?.parse().ok()?;
            if status < 200 {
                continue;
            }
            let close = value(&headers, "connection")
                .is_some_and(|value| value.eq_ignore_ascii_case("close"))
                || line.starts_with("HTTP/1.0");
            if !head_only && !matches!(status, 204 | 304) {
                self.body(&headers, None).await?;
            }
            return Some(Reply { status, headers, close });
        }
    }

    /// Whether nothing more was sent. After an answer that says it is the last, waits for the end.
    pub(crate) async fn is_quiet(&mut self, ended: bool) -> bool {
        if ended {
            let reading = async { while self.more().await {} };
            tokio::time::timeout(PATIENCE, reading).await.expect("the connection stays open");
        }
        self.held.is_empty()
    }

    /// A body, whose length is `otherwise` when no header tells it (none: until the end).
    async fn body(
        &mut self,
        headers: &[(String, String)],
        otherwise: Option<usize>,
    ) -> Option<Vec<u8>> {
        if value(headers, "transfer-encoding").is_some() {
            return self.chunks().await;
        }
        let length = match value(headers, "content-length") {
            Some(length) => Some(length.parse().ok()?),
            None => otherwise,
        };
        let Some(length) = length else {
            while self.more().await {}
            return Some(std::mem::take(&mut self.held));
        };
        self.exactly(length).await
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            let digits = String::from_utf8_lossy(&line);
            let digits = digits.trim_end().split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16).ok()?;
            if size == 0 {
                while self.until(b"\r\n").await? != b"\r\n" {}
                return Some(body);
            }
            body.extend(self.exactly(size).await?);
            self.exactly(2).await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.held.len() < length {
            if !self.more().await {
                return None;
            }
        }
        Some(self.held.drain(..length).collect())
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.held.windows(end.len()).position(|found| found == end) {
                return Some(self.held.drain(..at + end.len()).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece).await {
            Ok(count) if count > 0 => {
                self.held.extend_from_slice(&piece[..count]);
                true
            }
            _ => false,
        }
    }
}
