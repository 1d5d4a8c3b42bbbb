//! Connections that carry messages, served without an HTTP server.

use crate::{
    Inbound,
    parser::{Addressed, Parser, Step},
    server::{Inlet, Refused},
};
use bytes::{Bytes, BytesMut};
use std::{
    io::{self, Write},
    net::IpAddr,
    time::{Duration, SystemTime},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

const READ_SIZE: usize = 16 * 1024;
/// Answers that may wait until the next read.
const MAX_OUTPUT: usize = 16 * 1024;
/// How long a message that has begun may go without a further byte.
const STALL: Duration = Duration::from_secs(60);

/// A connection that carries something else than messages.
#[derive(Debug)]
pub struct Rest {
    /// What was read and is still to be served.
    pub read: Bytes,
    /// Where more comes from.
    pub stream: TcpStream,
}

impl Inlet {
    /// Serves messages from a new connection until it ends, or something else comes: then the
    /// connection is given back, with what was read of that.
    ///
    /// An idle connection holds no buffer. Every message that was read is delivered, also those
    /// right before the end of the stream.
    pub async fn serve(&self, stream: TcpStream, peer: IpAddr) -> Option<Rest> {
        let mut serving = Serving {
            inlet: self,
            peer,
            stream,
            parser: Parser::new(self.config.max_body),
            input: BytesMut::new(),
            output: Vec::new(),
            deaf: false,
        };
        match serving.run().await {
            Ok(true) => Some(Rest { read: serving.input.freeze(), stream: serving.stream }),
            Ok(false) => None,
            Err(error) => {
                tracing::debug!(%peer, %error, "a connection with messages ended");
                None
            }
        }
    }
}

struct Serving<'a> {
    inlet: &'a Inlet,
    peer: IpAddr,
    stream: TcpStream,
    parser: Parser,
    input: BytesMut,
    output: Vec<u8>,
    /// The peer takes no answers any more.
    deaf: bool,
}

impl Serving<'_> {
    /// True if the connection is left to others.
    async fn run(&mut self) -> io::Result<bool> {
        loop {
            if !self.fill().await? {
                return Ok(false);
            }
            loop {
                match self.parser.step(&mut self.input) {
                    Step::Message(head, body) => self.message(head, body).await,
                    Step::More => break,
                    Step::Other => {
                        self.flush().await;
                        return Ok(true);
                    }
                    Step::Broken(refused) => {
                        self.answer(Err(refused));
                        self.flush().await;
                        return Ok(false);
                    }
                }
            }
            self.flush().await;
        }
    }

    async fn message(&mut self, head: Result<Addressed, Refused>, body: Bytes) {
        if self.inlet.is_full() || self.output.len() > MAX_OUTPUT {
            // The peer hears of what was delivered before this one waits.
            self.flush().await;
        }
        let result = match head {
            Ok(head) => self.deliver(head, body).await,
            Err(refused) => Err(refused),
        };
        self.answer(result);
    }

    async fn deliver(&self, head: Addressed, body: Bytes) -> Result<(), Refused> {
        let from = self.inlet.admit(&head.from, &head.to, self.peer).await?;
        let peer = self.peer.to_canonical();
        self.inlet.deliver(Inbound { from, peer, to: head.to, name: head.name, body }).await
    }

    fn answer(&mut self, result: Result<(), Refused>) {
        let date = httpdate::HttpDate::from(SystemTime::now());
        // Writing into a Vec cannot fail.
        let _ = match result {
            Ok(()) => write!(
                self.output,
                "HTTP/1.1 202 Accepted\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n"
            ),
            Err(Refused { status, reason }) => {
                tracing::debug!(peer = %self.peer, %status, %reason, "refused a message");
                let length = reason.len();
                write!(
                    self.output,
                    "HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n{reason}"
                )
            }
        };
    }

    /// Writes the answers. A peer that is gone gets none, but what it sent before is delivered.
    async fn flush(&mut self) {
        let output = std::mem::take(&mut self.output);
        if !output.is_empty() && !self.deaf {
            self.deaf = self.stream.write_all(&output).await.is_err();
        }
    }

    /// Waits for bytes; false at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        let begun = self.parser.is_within_message() || !self.input.is_empty();
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        loop {
            if begun {
                let stalled = |_| io::Error::from(io::ErrorKind::TimedOut);
                timeout(STALL, self.stream.readable()).await.map_err(stalled)??;
            } else {
                self.stream.readable().await?;
            }
            self.input.reserve(READ_SIZE);
            match self.stream.try_read_buf(&mut self.input) {
                Ok(count) => return Ok(count > 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
