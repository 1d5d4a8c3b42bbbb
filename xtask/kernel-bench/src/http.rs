//! A raw HTTP/1.1 client: pipelined calls and a scheduler's stream, at the least cost to the cores it shares.
use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use mesos_messages::{recordio::Decoder, v1};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A connection on which calls are written one after another and answers counted.
pub(crate) struct Calls {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
    waiting: usize,
}

impl Calls {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, buffer: Vec::new(), waiting: 0 })
    }

    /// Appends a scheduler call to `out`.
    pub(crate) fn append(
        &mut self,
        out: &mut Vec<u8>,
        stream_id: &str,
        call: &v1::scheduler::Call,
    ) {
        let body = call.encode_to_vec();
        let head = format!(
            "POST /api/v1/scheduler HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-protobuf\r\n\
             Mesos-Stream-Id: {stream_id}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&body);
        self.waiting += 1;
    }

    /// Writes what was appended and reads as many answers as calls were made; each must be 202.
    pub(crate) async fn flush(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.stream.write_all(out).await?;
        out.clear();
        while self.waiting > 0 {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the master closed the connection");
            }
            let mut used = 0;
            while let Some(end) = find(&self.buffer[used..], b"\r\n\r\n") {
                if !self.buffer[used..].starts_with(b"HTTP/1.1 202") {
                    bail!("unexpected answer: {}", String::from_utf8_lossy(&self.buffer[used..]));
                }
                used += end + 4;
                self.waiting -= 1;
            }
            self.buffer.drain(..used);
        }
        Ok(())
    }
}

/// A scheduler's stream of events.
pub(crate) struct Events {
    stream: TcpStream,
    raw: Vec<u8>,
    records: Decoder,
    pub(crate) stream_id: String,
    /// Offers received and not yet taken.
    offers: Vec<v1::Offer>,
}

impl Events {
    /// Subscribes and returns the stream; the first event is SUBSCRIBED.
    pub(crate) async fn subscribe(
        address: SocketAddr,
        framework: v1::FrameworkInfo,
    ) -> Result<Self> {
        Self::subscribe_constrained(address, framework, None).await
    }

    /// The same for a scheduler that wants some agents only.
    pub(crate) async fn subscribe_constrained(
        address: SocketAddr,
        framework: v1::FrameworkInfo,
        offer_constraints: Option<v1::scheduler::OfferConstraints>,
    ) -> Result<Self> {
        let call = v1::scheduler::Call {
            framework_id: framework.id.clone(),
            r#type: Some(v1::scheduler::call::Type::Subscribe.into()),
            subscribe: Some(v1::scheduler::call::Subscribe {
                framework_info: framework,
                offer_constraints,
                ..Default::default()
            }),
            ..Default::default()
        };
        let body = call.encode_to_vec();
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut request = format!(
            "POST /api/v1/scheduler HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-protobuf\r\n\
             Accept: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        stream.write_all(&request).await?;
        let mut raw = Vec::with_capacity(1 << 20);
        let head_end = loop {
            if let Some(end) = find(&raw, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut raw).await? == 0 {
                bail!("the master closed the connection");
            }
        };
        let head = String::from_utf8_lossy(&raw[..head_end]).into_owned();
        if !head.starts_with("HTTP/1.1 200") {
            bail!("subscription refused: {}", String::from_utf8_lossy(&raw));
        }
        let stream_id = head
            .lines()
            .find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("mesos-stream-id").then(|| value.trim().to_owned())
            })
            .context("no Mesos-Stream-Id")?;
        raw.drain(..head_end);
        Ok(Self { stream, raw, records: Decoder::new(256 << 20), stream_id, offers: Vec::new() })
    }

    /// The next event.
    pub(crate) async fn next(&mut self) -> Result<v1::scheduler::Event> {
        loop {
            if let Some(record) = self.records.next_record()? {
                return Ok(v1::scheduler::Event::decode(record)?);
            }
            self.unchunk()?;
            if let Some(record) = self.records.next_record()? {
                return Ok(v1::scheduler::Event::decode(record)?);
            }
            let read = timeout(Duration::from_secs(60), self.stream.read_buf(&mut self.raw))
                .await
                .context("no event for a minute")??;
            if read == 0 {
                bail!("the master closed the stream");
            }
        }
    }

    /// Waits until there are offers.
    pub(crate) async fn peek_offers(&mut self) -> Result<()> {
        while self.offers.is_empty() {
            if let Some(offers) = self.next().await?.offers {
                self.offers.extend(offers.offers);
            }
        }
        Ok(())
    }

    /// Waits until there are offers and takes them all.
    pub(crate) async fn take_offers(&mut self) -> Result<Vec<v1::Offer>> {
        self.peek_offers().await?;
        Ok(std::mem::take(&mut self.offers))
    }

    fn unchunk(&mut self) -> Result<()> {
        let mut used = 0;
        while let Some(line) = find(&self.raw[used..], b"\r\n") {
            let text = std::str::from_utf8(&self.raw[used..used + line])?;
            let length = usize::from_str_radix(text, 16)?;
            let start = used + line + 2;
            if length == 0 {
                bail!("the master ended the stream");
            }
            if self.raw.len() < start + length + 2 {
                break;
            }
            self.records.push(Bytes::copy_from_slice(&self.raw[start..start + length]));
            used = start + length + 2;
        }
        self.raw.drain(..used);
        Ok(())
    }
}

/// Reads one answer of a GET whole; returns its body's length.
pub(crate) async fn get(stream: &mut TcpStream, host: SocketAddr, path: &str) -> Result<usize> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    exchange(stream, request.as_bytes()).await
}

/// Reads one short answer with a Content-Length; returns its body.
pub(crate) async fn get_body(
    stream: &mut TcpStream,
    host: SocketAddr,
    path: &str,
) -> Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let head_end = find(&answer, b"\r\n\r\n").context("no answer")? + 4;
    Ok(answer.split_off(head_end))
}

/// POSTs a body and reads the whole answer; returns its body's length.
pub(crate) async fn post(
    stream: &mut TcpStream,
    host: SocketAddr,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> Result<usize> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nAccept: {content_type}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    exchange(stream, &request).await
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<usize> {
    stream.write_all(request).await?;
    let mut buffer = Vec::with_capacity(256 * 1024);
    let head_end = loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            bail!("connection closed");
        }
        if let Some(end) = find(&buffer, b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("unexpected answer: {head}");
    }
    let mut rest = buffer.split_off(head_end);
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        let length: usize = length.trim().parse()?;
        let mut have = rest.len();
        while have < length {
            rest.clear();
            let read = stream.read_buf(&mut rest).await?;
            if read == 0 {
                bail!("connection closed");
            }
            have += read;
        }
        return Ok(length);
    }
    chunked_length(stream, rest).await
}

async fn chunked_length(stream: &mut TcpStream, mut raw: Vec<u8>) -> Result<usize> {
    let mut total = 0;
    loop {
        let mut used = 0;
        while let Some(line) = find(&raw[used..], b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&raw[used..used + line])?, 16)?;
            let end = used + line + 2 + length + 2;
            if raw.len() < end {
                break;
            }
            total += length;
            used = end;
            if length == 0 {
                return Ok(total);
            }
        }
        raw.drain(..used);
        if stream.read_buf(&mut raw).await? == 0 {
            bail!("connection closed");
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}
