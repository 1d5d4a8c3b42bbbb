//! The request on its way to the upstream: head, body, trailers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::HeaderName;
use tokio::io::AsyncWrite;

use super::io::Io;
use super::outgoing::trailing;
use super::source::{Filled, Source, SourceError};
use crate::outbox::{Framing, Outbox};
use crate::wire::body::Length;

/// A request that is being sent.
#[derive(Debug)]
pub(crate) struct Upload {
    outbox: Outbox,
    framing: Framing,
    /// Names that do not go on as trailers.
    kept_back: Box<[HeaderName]>,
    state: State,
    /// Something was written since this was last looked at.
    moved: bool,
    /// Bytes that were written.
    written: u64,
    /// The last thing that was waited for is the client.
    starving: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Body,
    /// All is in the outbox.
    Last,
    Done,
    /// The upstream does not take any more. An answer may be there all the same.
    Failed,
}

// === impl Upload ===

impl Upload {
    pub(crate) fn new(head: Vec<u8>, length: Length, kept_back: Box<[HeaderName]>) -> Upload {
        let state = match length {
            Length::None | Length::Exact(0) => State::Last,
            _ => State::Body,
        };
        let framing = match length {
            Length::Unknown => Framing::Chunked,
            _ => Framing::Plain,
        };
        let outbox = Outbox::new(head);
        Upload { outbox, framing, kept_back, state, moved: false, written: 0, starving: false }
    }

    /// Everything was written.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Nothing more is going to be written.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Done | State::Failed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn is_starving(&self) -> bool {
        self.starving
    }

    /// Whether something was written since the last time this was asked.
    pub(crate) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// The memory of the head, to be used again.
    pub(crate) fn take_memory(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox.head)
    }

    /// Goes on until all is written (or cannot be), or has to wait.
    pub(crate) fn poll<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
        source: &mut S,
    ) -> Poll<Result<(), SourceError>> {
        loop {
            let waits = self.state == State::Body
                && self.outbox.takes_more()
                && self.fill(cx, source)?.is_pending();
            if self.outbox.is_empty() {
                return self.pause(cx, io, waits);
            }
            match ready!(self.outbox.poll_write(cx, io, source.data())) {
                Ok(of_body) => {
                    source.consume(of_body);
                    self.moved = true;
                    self.written += 1;
                }
                Err(error) => return self.fail(&error),
            }
        }
    }

    /// Puts the next piece of the body into the outbox.
    fn fill<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
    ) -> Result<Poll<()>, SourceError> {
        let filled = match source.poll_fill(cx) {
            Poll::Ready(filled) => filled?,
            Poll::Pending => {
                self.starving = true;
                return Ok(Poll::Pending);
            }
        };
        self.starving = false;
        let last = filled == Filled::End || source.is_read();
        let end = last.then(|| trailing(source.trailers(), &self.kept_back));
        let copied = self.outbox.put(source.data(), self.framing, end.as_deref());
        if last {
            self.state = State::Last;
        }
        source.consume(copied);
        Ok(Poll::Ready(()))
    }

    /// Nothing is left to be written for now.
    fn pause(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
        waits: bool,
    ) -> Poll<Result<(), SourceError>> {
        match ready!(Pin::new(io).poll_flush(cx)) {
            Ok(()) if waits => Poll::Pending,
            Ok(()) => {
                self.state = State::Done;
                Poll::Ready(Ok(()))
            }
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) -> Poll<Result<(), SourceError>> {
        tracing::debug!(%error, "an upstream does not take the request");
        self.state = State::Failed;
        Poll::Ready(Ok(()))
    }
}
