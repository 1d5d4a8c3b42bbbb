//! Where the body of a request comes from.

use std::task::{Context, Poll};

use crate::Refusal;
use crate::wire::body::Length;

/// A request's body: read from a client's connection, from a stream of HTTP/2, from memory.
///
/// Its bytes are lent, not copied: they stand in the source until they were consumed.
pub(crate) trait Source {
    /// Known before the first byte is read, and the same afterwards.
    fn length(&self) -> Length;

    /// Makes [`Source::data`] non-empty, or says that the end is reached. Ready at once when there
    /// is data already.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<Filled, SourceError>>;

    /// What was read and not consumed: of the body only, without any framing.
    fn data(&self) -> &[u8];

    fn consume(&mut self, count: usize);

    /// Whether nothing comes after what is in [`Source::data`], as far as is known without
    /// reading.
    fn is_read(&self) -> bool;

    /// After the end: the trailers, as `name: value\r\n` lines that were checked. Usually none.
    fn trailers(&self) -> &[u8] {
        b""
    }

    /// Polled while nothing of the body is wanted, so that a client's disappearance ends what is
    /// done for it.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Tells a client that waits with its body to send it (`100 Continue`). Polled before a body
    /// is read that goes to no upstream.
    fn poll_invite(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), SourceError>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    Data,
    End,
}

/// Why a body cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SourceError {
    /// The client's connection broke off.
    Gone,
    /// Malformed, or too large.
    Refused(Refusal),
}
