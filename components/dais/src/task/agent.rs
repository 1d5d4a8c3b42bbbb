//! What is asked of the agent: pieces of sandbox files, and whether a container is still there.

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use tokio::net::TcpStream;

/// What one read of a file gives at most; agents give no more than this at once.
pub(super) const PIECE: usize = 64 * 1024;
/// Answers larger than this are not what was asked for. Bytes may take six characters each.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// A connection to an agent.
pub(super) struct Agent {
    host: String,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

/// A piece of a file.
#[derive(Debug, Deserialize)]
struct Piece {
    #[serde(deserialize_with = "raw")]
    data: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Container {
    container_id: String,
}

// === impl Agent ===

impl Agent {
    pub(super) fn new(host: String) -> Self {
        Self { host, sender: None }
    }

    /// What a file holds from `offset` on; nothing if it is not there yet.
    pub(super) async fn read(&mut self, path: &str, offset: u64) -> anyhow::Result<Vec<u8>> {
        let path = encode(path);
        let query = format!("/files/read?path={path}&offset={offset}&length={PIECE}");
        let Some(body) = self.get(&query).await? else { return Ok(Vec::new()) };
        let piece: Piece = serde_json::from_slice(&body).context("the agent's answer")?;
        Ok(piece.data)
    }

    /// Whether the agent still has a container of this id.
    pub(super) async fn has_container(&mut self, id: &str) -> anyhow::Result<bool> {
        let Some(body) = self.get("/containers").await? else { return Ok(false) };
        let containers: Vec<Container> = serde_json::from_slice(&body)?;
        Ok(containers.iter().any(|container| container.container_id == id))
    }

    async fn get(&mut self, target: &str) -> anyhow::Result<Option<Bytes>> {
        let open = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !open {
            self.sender = None;
        }
        let sender = match &mut self.sender {
            Some(sender) => sender,
            empty => empty.insert(connect(&self.host).await?),
        };
        let request = Request::get(target).header(header::HOST, &self.host).body(Empty::new())?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Box::pin(Limited::new(answer.into_body(), MAX_ANSWER).collect()).await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => bail!("the agent answered {status}: {}", String::from_utf8_lossy(&body)),
        }
    }
}

async fn connect(host: &str) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(host).await;
    let stream = stream.with_context(|| format!("cannot connect to the agent at {host}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Percent-encodes what could end a query's value.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The bytes of a JSON string, UTF-8 or not: files hold what they hold.
fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Vec<u8>;
        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a string")
        }
        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
            Ok(text.as_bytes().to_vec())
        }
    }
    deserializer.deserialize_bytes(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_through() {
        let piece: Piece = serde_json::from_slice(b"{\"data\":\"a\xff\\n\",\"offset\":0}").unwrap();
        assert_eq!(piece.data, b"a\xff\n");
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encode("/a b/ü&c=%"), "/a%20b/%C3%BC%26c%3D%25");
    }
}
