//! A client's connection: reads heads, is the source of requests' bodies, writes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Refusal;
use crate::buffer::{Buffer, LARGE};
use crate::deadline::Watch;
use crate::exchange::{Filled, Length, Source, SourceError};
use crate::outbox::Outbox;
use crate::wire::body::{Incoming, Scan};
use crate::wire::may_end;
use crate::wire::request::{self, Parsed};
use crate::worker;

/// What is read and thrown away of a refused request.
const MOST_LINGER: usize = 4 * 1024 * 1024;

/// A client's connection, with the body of its present request.
pub(super) struct Connection<S> {
    pub(super) io: S,
    pub(super) context: Rc<worker::Context>,
    buffer: Buffer,
    length: Length,
    body: Incoming,
    /// Of the body, as the route says.
    body_limit: u64,
    /// The client waits for `100 Continue`; nobody told it yet.
    waits: bool,
    /// A body that was read before, and how much of it was used.
    given: Option<(Bytes, usize)>,
}

/// What a connection brings next.
pub(super) enum Next {
    Request(Parsed),
    Refused(Refusal),
    /// The client left, or was idle for too long, or the server stops.
    End,
}

// === impl Connection ===

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(context: Rc<worker::Context>, io: S) -> Connection<S> {
        Connection {
            io,
            context,
            buffer: Buffer::default(),
            length: Length::None,
            body: Incoming::none(),
            body_limit: u64::MAX,
            waits: false,
            given: None,
        }
    }

    /// The next request's head.
    pub(super) async fn next(&mut self, watch: &Watch) -> Next {
        let timeouts = self.context.config.timeouts;
        let within = match self.buffer.is_empty() {
            true => timeouts.keep_alive,
            false => timeouts.request_head,
        };
        watch.set(Some(within));
        let mut seen = 0;
        poll_fn(|cx| self.poll_next(cx, watch, &mut seen)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, watch: &Watch, seen: &mut usize) -> Poll<Next> {
        loop {
            match self.parse(seen) {
                Ok(Some(parsed)) => return Poll::Ready(Next::Request(parsed)),
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
            }
            let idle = self.buffer.is_empty();
            if idle && (watch.stopping() || watch.expired()) || watch.aborted() {
                return Poll::Ready(Next::End);
            }
            let timeouts = &self.context.config.timeouts;
            if watch.expired() {
                let seconds = timeouts.request_head.as_secs();
                return Poll::Ready(Next::Refused(Refusal::RequestTimeout { seconds }));
            }
            let read = self.buffer.poll_read(cx, &mut self.io, &self.context.buffers);
            if read.is_pending() {
                // Who sends a head in small pieces holds no large buffer meanwhile.
                self.buffer.shrink(&self.context.buffers);
            }
            match ready!(read) {
                Ok(0) if !self.buffer.is_empty() => {
                    return Poll::Ready(Next::Refused(Refusal::Malformed("the head is cut off")));
                }
                Ok(0) | Err(_) => return Poll::Ready(Next::End),
                Ok(_) if idle => watch.set(Some(timeouts.request_head)),
                Ok(_) => {}
            }
        }
    }

    /// A head from the buffer's front. `seen` bytes were looked at before.
    fn parse(&mut self, seen: &mut usize) -> Result<Option<Parsed>, Refusal> {
        let limits = &self.context.config.heads;
        let bytes = self.buffer.bytes();
        let there = bytes.len();
        if there == *seen || *seen > 0 && there <= limits.bytes && !may_end(bytes, *seen) {
            *seen = there;
            return Ok(None);
        }
        *seen = there;
        let Some(parsed) = request::parse(bytes, limits)? else { return Ok(None) };
        self.buffer.consume(parsed.consumed);
        self.length = parsed.length;
        self.body = match parsed.length {
            Length::None => Incoming::none(),
            Length::Exact(length) => Incoming::exact(length),
            Length::Unknown => Incoming::chunked(limits.bytes),
        };
        self.body_limit = u64::MAX;
        self.waits = parsed.expects;
        self.given = None;
        self.buffer.release_if_empty(&self.context.buffers);
        Ok(Some(parsed))
    }

    /// What the route allows. Refused at once when the client has said that it sends more.
    pub(super) fn limit_body(&mut self, limit: u64) -> Result<(), Refusal> {
        self.body_limit = limit;
        match self.length {
            Length::Exact(length) if length > limit => Err(Refusal::BodyTooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// A body that was read already is sent on from memory.
    pub(super) fn give(&mut self, body: Bytes) {
        self.length = Length::Exact(body.len() as u64);
        self.given = Some((body, 0));
    }

    /// The client waits, and was not told to go on.
    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// The client was told to go on with its body.
    pub(super) fn told(&mut self) {
        self.waits = false;
    }

    /// Bytes of the present request's body so far.
    pub(super) fn received(&self) -> u64 {
        self.body.total()
    }

    /// Whether the present request was read to its end, so that another one can follow. What is
    /// in the buffer of a body that nobody wants is thrown away.
    pub(super) fn finish_body(&mut self) -> bool {
        while let Ok(Scan::Data) = self.body.scan(&mut self.buffer) {
            let count = self.body.data(&self.buffer).len();
            self.body.consume(&mut self.buffer, count);
        }
        self.buffer.release_if_empty(&self.context.buffers);
        self.body.is_over()
    }

    /// Whether all of the present request has arrived.
    pub(super) fn has_whole_body(&self) -> bool {
        self.body.is_read()
    }

    /// Writes all of an outbox, and `body` with it.
    pub(super) async fn write(
        &mut self,
        outbox: &mut Outbox,
        mut body: &[u8],
        watch: &Watch,
    ) -> io::Result<()> {
        let within = self.context.config.timeouts.write;
        watch.set(Some(within));
        poll_fn(|cx| {
            while !outbox.is_empty() {
                if watch.expired() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                let count = ready!(outbox.poll_write(cx, &mut self.io, body))?;
                body = body.get(count..).unwrap_or_default();
                watch.set(Some(within));
            }
            Pin::new(&mut self.io).poll_flush(cx)
        })
        .await
    }

    /// Ends the connection. Of a client that may still be sending, some is read and thrown away,
    /// for else the kernel would reset the connection, and the client might never see the answer.
    pub(super) async fn close(&mut self, linger: bool, watch: &Watch) {
        watch.set(Some(self.context.config.timeouts.linger));
        let ended = poll_fn(|cx| match watch.expired() {
            true => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            false => Pin::new(&mut self.io).poll_shutdown(cx),
        });
        if ended.await.is_err() || !linger {
            return;
        }
        let mut rest = MOST_LINGER;
        self.buffer.release(&self.context.buffers);
        poll_fn(|cx| {
            while rest > 0 && !watch.expired() {
                match ready!(self.buffer.poll_read(cx, &mut self.io, &self.context.buffers)) {
                    Ok(count) if count > 0 => rest = rest.saturating_sub(count),
                    _ => return Poll::Ready(()),
                }
                self.buffer.release(&self.context.buffers);
            }
            Poll::Ready(())
        })
        .await;
    }

    /// Whether what was read and not used begins so: a head that was refused does not count as
    /// used.
    pub(super) fn begins_with(&self, bytes: &[u8]) -> bool {
        self.buffer.bytes().starts_with(bytes)
    }

    /// What was read beyond the request, for a tunnel.
    pub(super) fn take_buffer(&mut self) -> Buffer {
        std::mem::take(&mut self.buffer)
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.buffer.release(&self.context.buffers);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Source for Connection<S> {
    fn length(&self) -> Length {
        self.length
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, SourceError>> {
        if let Some((bytes, used)) = &self.given {
            let over = *used >= bytes.len();
            return Poll::Ready(Ok(if over { Filled::End } else { Filled::Data }));
        }
        loop {
            match self.body.scan(&mut self.buffer) {
                Ok(_) if self.body.total() > self.body_limit => {
                    let refusal = Refusal::BodyTooLarge { limit: self.body_limit };
                    return Poll::Ready(Err(SourceError::Refused(refusal)));
                }
                Ok(Scan::Data) => return Poll::Ready(Ok(Filled::Data)),
                Ok(Scan::End) => return Poll::Ready(Ok(Filled::End)),
                Ok(Scan::More) => {}
                Err(error) => {
                    let refusal = Refusal::Malformed(error.0);
                    return Poll::Ready(Err(SourceError::Refused(refusal)));
                }
            }
            match ready!(self.buffer.poll_read(cx, &mut self.io, &self.context.buffers)) {
                Ok(count) if count > 0 => self.waits = false,
                _ => return Poll::Ready(Err(SourceError::Gone)),
            }
        }
    }

    fn data(&self) -> &[u8] {
        match &self.given {
            Some((bytes, used)) => bytes.get(*used..).unwrap_or_default(),
            None => self.body.data(&self.buffer),
        }
    }

    fn consume(&mut self, count: usize) {
        match &mut self.given {
            Some((_, used)) => *used += count,
            None => {
                self.body.consume(&mut self.buffer, count);
                self.buffer.release_if_empty(&self.context.buffers);
            }
        }
    }

    fn is_read(&self) -> bool {
        self.given.is_some() || self.body.is_read()
    }

    fn trailers(&self) -> &[u8] {
        if self.given.is_some() { b"" } else { self.body.trailers() }
    }

    /// Reads ahead a little: a request that follows stays in the buffer.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.buffer.len() < LARGE / 2 {
            match ready!(self.buffer.poll_read(cx, &mut self.io, &self.context.buffers)) {
                Ok(count) if count > 0 => {}
                _ => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    fn poll_invite(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SourceError>> {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        if !std::mem::take(&mut self.waits) {
            return Poll::Ready(Ok(()));
        }
        // The connection is quiet: so few bytes fit, or the client takes nothing at all.
        let written = match Pin::new(&mut self.io).poll_write(cx, CONTINUE) {
            Poll::Ready(Ok(count)) => count == CONTINUE.len(),
            _ => false,
        };
        Poll::Ready(if written { Ok(()) } else { Err(SourceError::Gone) })
    }
}
