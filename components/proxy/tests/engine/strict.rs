//! A backend that speaks HTTP/1.1 and notices everything that is not quite right.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a request was when it came here.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

#[derive(Default)]
pub struct Facts {
    pub seen: Mutex<Vec<Seen>>,
    /// What was wrong with requests.
    pub wrong: Mutex<Vec<String>>,
    pub connections: AtomicUsize,
    /// Connections that were closed while an answer was owed.
    pub broken: AtomicUsize,
    /// Bytes of endless answers that were taken.
    pub given: AtomicU64,
    /// Bytes of bodies that were read.
    pub taken: AtomicU64,
}

pub struct Backend {
    pub address: SocketAddr,
    pub facts: Arc<Facts>,
    task: tokio::task::JoinHandle<()>,
}

/// A connection with what was read of it and not used.
struct Connection {
    socket: TcpStream,
    rest: Vec<u8>,
    facts: Arc<Facts>,
}

// === impl Backend ===

impl Backend {
    pub async fn start() -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let facts = Arc::new(Facts::default());
        let shared = Arc::clone(&facts);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let connection =
                    Connection { socket, rest: Vec::new(), facts: Arc::clone(&shared) };
                connections.spawn(connection.serve());
            }
        });
        Backend { address, facts, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        let wrong = self.facts.wrong.lock().unwrap().clone();
        assert!(wrong.is_empty(), "{wrong:?}");
        self.facts.seen.lock().unwrap().clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Seen ===

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

// === impl Connection ===

impl Connection {
    async fn serve(mut self) {
        while self.one().await.is_some() {}
    }

    async fn one(&mut self) -> Option<()> {
        let head = self.until(b"\r\n\r\n").await?;
        let mut seen = self.head(&head);
        let chunked = seen.header("transfer-encoding").is_some();
        let length = seen.header("content-length").map(|length| length.parse::<usize>().unwrap());
        let path = seen.line.split(' ').nth(1).unwrap_or_default().to_string();
        if path.starts_with("/hang") {
            self.facts.seen.lock().unwrap().push(seen);
            self.wait_for_end().await;
            return None;
        }
        if path.starts_with("/stall") {
            self.facts.seen.lock().unwrap().push(seen);
            return std::future::pending().await;
        }
        if seen.header("expect").is_some() {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        match (chunked, length) {
            (true, None) => self.chunks(&mut seen).await?,
            (false, Some(length)) => {
                seen.body = self.exactly(length).await?;
                self.facts.taken.fetch_add(length as u64, Ordering::Relaxed);
            }
            (false, None) => {}
            (true, Some(_)) => self.wrong("both a length and chunks"),
        }
        self.facts.seen.lock().unwrap().push(seen.clone());
        self.answer(&path, &seen).await
    }

    fn head(&self, head: &[u8]) -> Seen {
        let text = String::from_utf8_lossy(head).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let mut seen = Seen { line: lines.next().unwrap_or_default().into(), ..Seen::default() };
        let parts: Vec<_> = seen.line.split(' ').collect();
        if parts.len() != 3 || parts[2] != "HTTP/1.1" || !parts[1].starts_with('/') {
            self.wrong(&format!("the line {}", seen.line));
        }
        for line in lines {
            let Some((name, value)) = line.split_once(": ") else {
                self.wrong(&format!("the header {line}"));
                continue;
            };
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if !name.bytes().all(plain) || value.contains(['\r', '\n', '\0']) {
                self.wrong(&format!("the header {line:?}"));
            }
            seen.headers.push((name.into(), value.into()));
        }
        let hosts = seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host"));
        if hosts.count() != 1 {
            self.wrong("not one host");
        }
        seen
    }

    async fn answer(&mut self, path: &str, seen: &Seen) -> Option<()> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match path {
            "/echo" => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Method: {}\r\n\r\n",
                    seen.body.len(),
                    seen.line.split(' ').next().unwrap()
                );
                self.write(head.as_bytes()).await?;
                if seen.line.starts_with("HEAD ") {
                    return Some(());
                }
                self.write(&seen.body).await
            }
            "/trailers" => {
                let head =
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n";
                self.write(head.as_bytes()).await?;
                self.write(b"5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n").await
            }
            "/hints" => {
                self.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await?;
                self.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await
            }
            "/bytes" => {
                let count: usize = query.parse().unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n");
                self.write(head.as_bytes()).await?;
                self.write(&vec![b'x'; count]).await
            }
            "/forever" => {
                self.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
                let mut chunk = b"4000\r\n".to_vec();
                chunk.extend_from_slice(&[b'y'; 0x4000]);
                chunk.extend_from_slice(b"\r\n");
                loop {
                    self.write(&chunk).await?;
                    self.facts.given.fetch_add(0x4000, Ordering::Relaxed);
                }
            }
            "/breaks" => {
                self.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").await?;
                None
            }
            "/none" => self.write(b"HTTP/1.1 204 No Content\r\n\r\n").await,
            "/connection" => {
                let head = "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\
                    Content-Length: 0\r\n\r\n";
                self.write(head.as_bytes()).await
            }
            _ => self.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await,
        }
    }

    fn wrong(&self, text: &str) {
        self.facts.wrong.lock().unwrap().push(text.to_string());
    }

    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        if self.socket.write_all(bytes).await.is_err() {
            self.facts.broken.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(())
    }

    async fn wait_for_end(&mut self) {
        while self.more().await.is_some() {}
        self.facts.broken.fetch_add(1, Ordering::Relaxed);
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = vec![0; 64 * 1024];
        let count = self.socket.read(&mut piece).await.ok()?;
        self.rest.extend_from_slice(&piece[..count]);
        (count > 0).then_some(())
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.rest.windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                let rest = self.rest.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.rest, rest));
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.rest.len() < count {
            self.more().await?;
        }
        let rest = self.rest.split_off(count);
        Some(std::mem::replace(&mut self.rest, rest))
    }

    async fn chunks(&mut self, seen: &mut Seen) -> Option<()> {
        loop {
            let line = self.until(b"\r\n").await?;
            let size = String::from_utf8_lossy(&line).trim_end().to_string();
            let Ok(size) = usize::from_str_radix(&size, 16) else {
                self.wrong(&format!("the size {size:?}"));
                return None;
            };
            if size == 0 {
                break;
            }
            let data = self.exactly(size).await?;
            self.facts.taken.fetch_add(size as u64, Ordering::Relaxed);
            seen.body.extend_from_slice(&data);
            if self.exactly(2).await? != b"\r\n" {
                self.wrong("a chunk's end");
            }
        }
        loop {
            let line = self.until(b"\r\n").await?;
            let line = String::from_utf8_lossy(&line).trim_end().to_string();
            match line.split_once(": ") {
                Some((name, value)) => seen.trailers.push((name.into(), value.into())),
                None => return Some(()),
            }
        }
    }
}
