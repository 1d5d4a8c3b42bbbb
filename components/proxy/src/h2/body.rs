//! A stream towards the client: its request's body comes from it, the answer goes into it.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Response, StatusCode};

use super::request::trailer_lines;
use super::respond::Outlet;
use crate::Refusal;
use crate::exchange::{Filled, Length, Source, SourceError};

/// A window's worth of a body at most is here: the client may send on as it is consumed.
pub(super) struct Stream {
    incoming: RecvStream,
    pub(super) respond: SendResponse<Bytes>,
    /// There once the answer's head went out.
    pub(super) outlet: Option<Outlet>,
    /// The piece that is lent.
    piece: Bytes,
    length: Length,
    limit: u64,
    received: u64,
    over: bool,
    /// The client waits to be told that its body is wanted.
    waits: bool,
    /// The body was read before, and stands in memory.
    given: bool,
    trailers: Vec<u8>,
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(incoming: RecvStream, respond: SendResponse<Bytes>) -> Stream {
        let over = incoming.is_end_stream();
        Stream {
            incoming,
            respond,
            outlet: None,
            piece: Bytes::new(),
            length: Length::None,
            limit: u64::MAX,
            received: 0,
            over,
            waits: false,
            given: false,
            trailers: Vec::new(),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// What the head says about the body.
    pub(super) fn announce(&mut self, length: Length, waits: bool) {
        self.length = length;
        self.waits = waits;
    }

    /// A body that was read already is sent on from memory.
    pub(super) fn give(&mut self, body: Bytes) {
        self.length = Length::Exact(body.len() as u64);
        self.piece = body;
        self.given = true;
    }

    /// From now on more than `limit` bytes are refused; at once when more were announced.
    pub(super) fn limit_body(&mut self, limit: u64) -> Result<(), Refusal> {
        self.limit = limit;
        match self.length {
            Length::Exact(length) if length > limit => Err(Refusal::BodyTooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// The client waits, and was not told to go on.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Sends a head before the real one.
    pub(super) fn inform(&mut self, head: Response<()>) {
        if head.status() == StatusCode::CONTINUE {
            self.waits = false;
        }
        // A client that is gone is noticed elsewhere.
        let _ = self.respond.send_informational(head);
    }
}

impl Source for Stream {
    fn length(&self) -> Length {
        self.length
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, SourceError>> {
        while self.piece.is_empty() {
            if self.over || self.given {
                return Poll::Ready(Ok(Filled::End));
            }
            match ready!(self.incoming.poll_data(cx)) {
                Some(Ok(piece)) => {
                    self.waits = false;
                    self.received = self.received.saturating_add(piece.len() as u64);
                    if self.received > self.limit {
                        let refusal = Refusal::BodyTooLarge { limit: self.limit };
                        return Poll::Ready(Err(SourceError::Refused(refusal)));
                    }
                    self.piece = piece;
                }
                Some(Err(_)) => return Poll::Ready(Err(SourceError::Gone)),
                None => {
                    match ready!(self.incoming.poll_trailers(cx)) {
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
        if !self.given {
            // Only a stream that is gone refuses, and that is told by the next read.
            let _ = self.incoming.flow_control().release_capacity(count);
        }
    }

    fn is_read(&self) -> bool {
        self.over || self.given || self.incoming.is_end_stream()
    }

    fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.outlet {
            Some(outlet) => outlet.poll_gone(cx),
            None => self.respond.poll_reset(cx).map(|_| ()),
        }
    }

    fn poll_invite(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SourceError>> {
        if self.waits {
            let mut go_on = Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            self.inform(go_on);
        }
        Poll::Ready(Ok(()))
    }
}
