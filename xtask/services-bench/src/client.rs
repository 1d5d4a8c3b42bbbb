//! One connection on which requests are made one after the other.
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::master::find;

pub(crate) struct Client {
    stream: TcpStream,
    host: SocketAddr,
    buffer: Vec<u8>,
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

// === impl Client ===

impl Client {
    pub(crate) async fn connect(host: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, host, buffer: Vec::new() })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.expect("GET", path, "").await
    }

    /// Makes a request that has to go well.
    pub(crate) async fn expect(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let answer = self.request(method, path, body).await?;
        if !(200..300).contains(&answer.status) {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            bail!("{method} {path}: {} {text}", answer.status);
        }
        Ok(answer.body)
    }

    pub(crate) async fn request(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let head_end = self.read_to(b"\r\n\r\n", 0).await? + 4;
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status: u16 = status.with_context(|| format!("no status: {head}"))?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = match length {
            Some(length) => self.fixed(head_end, length.trim().parse()?).await?,
            None if head.contains("transfer-encoding: chunked") => self.chunked(head_end).await?,
            None => Vec::new(),
        };
        Ok(Answer { status, body })
    }

    async fn fixed(&mut self, start: usize, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < start + length {
            self.read().await?;
        }
        Ok(self.buffer[start..start + length].to_vec())
    }

    async fn chunked(&mut self, mut at: usize) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_to(b"\r\n", at).await?;
            let length = usize::from_str_radix(std::str::from_utf8(&self.buffer[at..line])?, 16)?;
            while self.buffer.len() < line + 4 + length {
                self.read().await?;
            }
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&self.buffer[line + 2..line + 2 + length]);
            at = line + 4 + length;
            // What was read is not kept: answers are large.
            if at > 1 << 20 {
                self.buffer.drain(..at);
                at = 0;
            }
        }
    }

    async fn read_to(&mut self, needle: &[u8], from: usize) -> Result<usize> {
        loop {
            if let Some(at) = find(&self.buffer[from..], needle) {
                return Ok(from + at);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        self.buffer.reserve(256 * 1024);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}
