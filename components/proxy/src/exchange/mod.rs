//! One request to an upstream and its answer, whatever the client speaks.
//!
//! Nothing here is spawned: whoever polls the answer moves the request's body on as well, so one
//! task carries both directions, and dropping it drops all.

mod source;

use std::rc::Rc;
use std::task::Poll;

use crate::config::ServerConfig;
use crate::deadline::Watch;
use crate::worker::{Context, RequestId};
use crate::{Forward, Peer, Refusal, RequestHead, ResponseHead};

pub(crate) use source::{Filled, Length, Source, SourceError};

/// What goes to an upstream.
pub(crate) struct Outgoing<'a> {
    pub(crate) request: &'a RequestHead,
    pub(crate) forward: &'a Forward,
    pub(crate) peer: &'a Peer,
    pub(crate) request_id: &'a [u8],
}

/// Why there is no answer to pass on, or none of its rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The client left: nobody is there to be told.
    Gone,
    /// Told to the client, as long as nothing of an answer went out.
    Refused(Refusal),
}

/// A request under way whose answer's head has come.
pub(crate) struct Exchange {
    _watch: (),
}

/// A piece of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// There is data in [`Exchange::data`].
    Data,
    /// The body is over; [`Exchange::trailers`] are complete.
    End,
}

/// Sends the request and waits for the head of the answer (the final one; `interim` gets each
/// 103 and 100). Connects, retries where that is safe, respects the route's limits.
///
/// `watch` must be attached to the task that polls, and belongs to this request alone.
pub(crate) async fn begin<S: Source>(
    _context: &Rc<Context>,
    _outgoing: &Outgoing<'_>,
    _source: &mut S,
    _watch: &Watch,
) -> Result<(ResponseHead, Exchange), Failure> {
    Err(Failure::Gone)
}

// === impl Exchange ===

impl Exchange {
    /// The length of the answer's body.
    pub(crate) fn length(&self) -> Length {
        Length::None
    }

    /// Moves both bodies on. Once [`Piece::End`] came, dropping the exchange gives the
    /// connection back to its pool, if it can be used again.
    pub(crate) fn poll_piece<S: Source>(
        &mut self,
        _cx: &mut std::task::Context<'_>,
        _source: &mut S,
    ) -> Poll<Result<Piece, Failure>> {
        Poll::Ready(Ok(Piece::End))
    }

    /// What was read of the answer's body and not consumed.
    pub(crate) fn data(&self) -> &[u8] {
        b""
    }

    pub(crate) fn consume(&mut self, _count: usize) {}

    /// `name: value\r\n` lines that were checked.
    pub(crate) fn trailers(&self) -> &[u8] {
        b""
    }
}

/// The idle connections of one worker to upstreams.
#[derive(Debug)]
pub(crate) struct Pools {}

// === impl Pools ===

impl Pools {
    pub(crate) fn new(_config: &ServerConfig) -> Pools {
        Pools {}
    }
}
