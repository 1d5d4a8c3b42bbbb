//! The body of a request that came over HTTP/2.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Response, StatusCode};

use super::request::trailer_lines;
use crate::Refusal;
use crate::exchange::{Filled, Length, Source, SourceError};

/// A window's worth of it at most is here: the client may send on as it is consumed.
pub(super) struct Body {
    stream: RecvStream,
    /// Tells of the client's leaving, until the answer's head went out.
    pub(super) respond: SendResponse<Bytes>,
    /// The piece that is lent, and how much of it counts against the client's window.
    piece: Bytes,
    lent: usize,
    length: Length,
    limit: u64,
    pub(super) received: u64,
    over: bool,
    /// The client is to be told that its body is wanted.
    expects: bool,
    trailers: Vec<u8>,
}

// === impl Body ===

impl Body {
    pub(super) fn new(stream: RecvStream, respond: SendResponse<Bytes>) -> Body {
        let over = stream.is_end_stream();
        Body {
            stream,
            respond,
            piece: Bytes::new(),
            lent: 0,
            length: Length::None,
            limit: u64::MAX,
            received: 0,
            over,
            expects: false,
            trailers: Vec::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn set_length(&mut self, length: Length, expects: bool) {
        self.length = length;
        self.expects = expects;
    }

    /// From now on more than `limit` bytes are refused.
    pub(super) fn set_limit(&mut self, limit: u64) -> Result<(), Refusal> {
        self.limit = limit;
        let known = match self.length {
            Length::Exact(length) => length,
            Length::None | Length::Unknown => self.received,
        };
        if known > limit { Err(Refusal::BodyTooLarge { limit }) } else { Ok(()) }
    }

    /// All of it. It stands here as a body again: what is forwarded afterwards goes with it.
    pub(super) async fn read_all(&mut self, limit: usize) -> Result<Bytes, SourceError> {
        self.set_limit(limit as u64).map_err(SourceError::Refused)?;
        let mut all = BytesMut::new();
        while poll_fn(|cx| self.poll_fill(cx)).await? == Filled::Data {
            all.extend_from_slice(self.data());
            self.consume(self.data().len());
        }
        self.piece = all.freeze();
        if self.length == Length::Unknown {
            self.length = Length::Exact(self.piece.len() as u64);
        }
        Ok(self.piece.clone())
    }
}

impl Source for Body {
    fn length(&self) -> Length {
        self.length
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, SourceError>> {
        while self.piece.is_empty() {
            if self.over {
                return Poll::Ready(Ok(Filled::End));
            }
            if std::mem::take(&mut self.expects) {
                let mut go_on = Response::new(());
                *go_on.status_mut() = StatusCode::CONTINUE;
                // A client that is gone is noticed right below.
                let _ = self.respond.send_informational(go_on);
            }
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(piece)) => {
                    self.received = self.received.saturating_add(piece.len() as u64);
                    if self.received > self.limit {
                        let refusal = Refusal::BodyTooLarge { limit: self.limit };
                        return Poll::Ready(Err(SourceError::Refused(refusal)));
                    }
                    self.lent += piece.len();
                    self.piece = piece;
                }
                Some(Err(_)) => return Poll::Ready(Err(SourceError::Gone)),
                None => {
                    match ready!(self.stream.poll_trailers(cx)) {
                        Ok(Some(trailers)) => self.trailers = trailer_lines(&trailers),
                        Ok(None) => {}
                        Err(_) => return Poll::Ready(Err(SourceError::Gone)),
                    }
                    self.over = true;
                }
            }
        }
        Poll::Ready(Ok(Filled::Data))
    }

    fn data(&self) -> &[u8] {
        &self.piece
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.piece.len());
        self.piece.advance(count);
        let back = count.min(self.lent);
        self.lent -= back;
        if back > 0 {
            // Only a stream that is gone refuses, and that is told by the next read.
            let _ = self.stream.flow_control().release_capacity(back);
        }
    }

    fn is_read(&self) -> bool {
        self.over || self.stream.is_end_stream()
    }

    fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.respond.poll_reset(cx).map(|_| ())
    }
}
