//! A blocking HTTP/1.1 client on plain sockets.
//!
//! It shares nothing with the code under test, shows answers as they came, and
//! sends whatever it is told to, malformed or not.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::PATIENCE;

/// An answer, its headers in the order they came.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// A connection; requests on it follow each other.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

/// An answer whose body goes on, read chunk by chunk.
pub(crate) struct Streaming {
    pub(crate) head: Response,
    stream: BufReader<TcpStream>,
}

// === impl Response ===

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.text()))
    }

    /// Parses a whole answer, as recorded in a file.
    pub(crate) fn parse(bytes: &[u8]) -> Response {
        let mut reader = BufReader::new(bytes);
        let mut response = read_head(&mut reader).expect("a recorded head");
        reader.read_to_end(&mut response.body).expect("a recorded body");
        response
    }
}

// === impl Connection ===

impl Connection {
    pub(crate) fn open(address: &str) -> Connection {
        Connection::try_open(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    pub(crate) fn try_open(address: &str) -> std::io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { stream: BufReader::new(stream), address: address.to_owned() })
    }

    /// Sends bytes as they are. The peer may have had enough of them: not an error here.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.get_mut().write_all(bytes) {
            let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
            assert!(expected.contains(&error.kind()), "{}: {error}", self.address);
        }
    }

    /// Reads one answer; `None` if the peer closed instead.
    pub(crate) fn receive(&mut self, method: &str) -> Option<Response> {
        let mut response = read_head(&mut self.stream)?;
        if method != "HEAD" && !matches!(response.status, 204 | 304) {
            response.body = read_body(&mut self.stream, &response);
        }
        Some(response)
    }

    pub(crate) fn exchange(&mut self, request: &[u8], method: &str) -> Response {
        self.send_raw(request);
        self.receive(method).unwrap_or_else(|| panic!("{} closed without an answer", self.address))
    }

    /// Ends the sending half: the peer sees the end of the request.
    pub(crate) fn finish_sending(&mut self) {
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Write);
    }

    /// Sends a request whose answer does not end.
    pub(crate) fn stream(mut self, request: &[u8]) -> Streaming {
        self.send_raw(request);
        let head = read_head(&mut self.stream).expect("an answer");
        Streaming { head, stream: self.stream }
    }
}

// === impl Streaming ===

impl Streaming {
    /// One chunk; `None` at the end of the answer or the connection.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        read_chunk(&mut self.stream)
    }

    /// Everything up to the end, for answers that are errors after all.
    pub(crate) fn rest(mut self) -> Response {
        let mut response = self.head;
        response.body = read_body(&mut self.stream, &response);
        response
    }

    /// A handle on the socket, for cutting it from another thread.
    pub(crate) fn socket(&self) -> TcpStream {
        self.stream.get_ref().try_clone().expect("a second handle")
    }

    pub(crate) fn wait_forever(&self) {
        let _ = self.stream.get_ref().set_read_timeout(None);
    }
}

// === requests ===

/// The bytes of a request with `Host` and, if there is a body, its length.
pub(crate) fn request(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        bytes.push_str(&format!("{name}: {value}\r\n"));
    }
    let sized = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    });
    if !sized && (!body.is_empty() || method == "POST" || method == "PUT") {
        bytes.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    bytes.push_str("\r\n");
    [bytes.as_bytes(), body].concat()
}

pub(crate) fn send(
    address: &str,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let bytes = request(address, method, target, headers, body);
    Connection::open(address).exchange(&bytes, method)
}

pub(crate) fn get(address: &str, target: &str) -> Response {
    send(address, "GET", target, &[], b"")
}

/// A read that may come too early, while the component starts or stops.
pub(crate) fn try_get(address: &str, target: &str) -> Option<Response> {
    let mut connection = Connection::try_open(address).ok()?;
    let bytes = request(address, "GET", target, &[("Connection", "close")], b"");
    connection.send_raw(&bytes);
    connection.receive("GET")
}

/// Waits for a component to come up.
pub(crate) fn wait_for_health(address: &str) {
    super::wait_until("health", || try_get(address, "/health").is_some_and(|a| a.status == 200));
}

pub(crate) const JSON: [(&str, &str); 2] =
    [("Content-Type", "application/json"), ("Accept", "application/json")];

// === reading ===

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    match reader.read_until(b'\n', &mut line) {
        Ok(0) => None,
        Ok(_) => {
            let text = String::from_utf8_lossy(&line).into_owned();
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        // A peer that closes with unread input in its buffer resets.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("reading an answer: {error}"),
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<Response> {
    let first = read_line(reader)?;
    let mut words = first.splitn(3, ' ');
    assert!(words.next().is_some_and(|v| v.starts_with("HTTP/1.")), "not an answer: {first:?}");
    let status = words.next().and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {first:?}"));
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Some(Response { status, headers, body: Vec::new() });
        }
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("header {line:?}"));
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_body(reader: &mut impl BufRead, head: &Response) -> Vec<u8> {
    let mut body = Vec::new();
    if head.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        while let Some(chunk) = read_chunk(reader) {
            body.extend(chunk);
        }
    } else if let Some(length) = head.header("content-length") {
        body.resize(length.parse().expect("a length"), 0);
        reader.read_exact(&mut body).expect("a whole body");
    } else {
        reader.read_to_end(&mut body).expect("a body");
    }
    body
}

fn read_chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let head = read_line(reader)?;
    let size = head.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("chunk head {head:?}"));
    let mut chunk = vec![0; size];
    // A stream may be cut at any moment.
    reader.read_exact(&mut chunk).ok()?;
    read_line(reader)?;
    (size > 0).then_some(chunk)
}
