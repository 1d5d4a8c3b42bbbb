//! One request to an upstream and its answer, whatever the client speaks.
//!
//! Nothing here is spawned but what reads a connection that several requests share: whoever polls
//! the answer moves the request's body on as well, so one task carries both directions, and
//! dropping it drops all.

mod connect;
mod h2c;
mod http1;
mod io;
mod outgoing;
mod pool;
mod source;
mod upload;

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use crate::buffer::Buffer;
use crate::deadline::Watch;
use crate::observe::Client;
use crate::wire::elements;
use crate::wire::field::Kind;
use crate::wire::response::{Answer, AnswerBody};
use crate::worker;
use crate::{Forward, Protocol, Refusal, RequestHead, ResponseHead};

pub(crate) use self::io::Io;
pub(crate) use crate::wire::body::Length;
pub(crate) use h2c::Connections;
pub(crate) use outgoing::{Outgoing, given_id, origin};
pub(crate) use pool::Pools;
pub(crate) use source::{Filled, Source, SourceError};

/// Why there is no answer to pass on, or none of its rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The client left, or the server ends: nobody is there to be told.
    Gone,
    /// Told to the client, as long as nothing of an answer went out.
    Refused(Refusal),
}

/// Why one upstream gave no answer.
pub(crate) struct Setback {
    failure: Failure,
    /// Another one may be asked: this one did nothing with the request, or twice does no harm.
    elsewhere: bool,
}

/// A piece of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// There is data in [`Exchange::data`].
    Data,
    /// The body is over; [`Exchange::trailers`] are complete.
    End,
}

/// A request under way whose answer's head has come.
///
/// That head is there until [`Exchange::accept`]; an interim one until [`Exchange::next_head`].
#[allow(clippy::large_enum_variant, reason = "nearly all are of the larger kind, and not boxed")]
pub(crate) enum Exchange {
    Http1(http1::Exchange),
    H2c(Box<h2c::Call>),
}

// === impl Setback ===

impl Setback {
    fn harmless(refusal: Refusal) -> Setback {
        Setback { failure: Failure::Refused(refusal), elsewhere: true }
    }
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Setback {
        Setback { failure, elsewhere: false }
    }
}

// === impl Failure ===

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Failure {
        match error {
            SourceError::Gone => Failure::Gone,
            SourceError::Refused(refusal) => Failure::Refused(refusal),
        }
    }
}

/// A request that is forwarded, as far as it is not about one upstream.
#[derive(Clone, Copy)]
pub(crate) struct Onward<'a> {
    pub(crate) request: &'a Arc<RequestHead>,
    pub(crate) client: &'a Client,
    pub(crate) request_id: &'a [u8],
    /// The client waits for `100 Continue`.
    pub(crate) expects: bool,
}

/// Other upstreams that are asked, at most: a policy that knows no end is none.
const MOST_ELSEWHERE: u8 = 8;

/// Sends the request and waits for the first head of the answer; where one upstream fails and
/// the policy names another, from that one. `forward` is the one that it was in the end.
///
/// `watch` must be attached to the task that polls, and belongs to this request alone.
pub(crate) async fn begin<S: Source>(
    context: &Rc<worker::Context>,
    onward: Onward<'_>,
    forward: &mut Box<Forward>,
    source: &mut S,
    watch: &Watch,
) -> Result<Exchange, Failure> {
    let Onward { request, client, request_id, expects } = onward;
    for attempt in 1.. {
        let outgoing = Outgoing { request, forward, client, request_id, expects };
        let Setback { failure, elsewhere } =
            match begin_with(context, &outgoing, source, watch).await {
                Ok(exchange) => return Ok(exchange),
                Err(setback) => setback,
            };
        let policy = &context.policy;
        let next = match elsewhere && attempt <= MOST_ELSEWHERE {
            true => policy.elsewhere(request, &client.peer, forward, attempt),
            false => None,
        };
        match next {
            Some(next) => *forward = next,
            None => return Err(failure),
        }
    }
    Err(Failure::Gone)
}

/// Connects, retries where that is safe, respects the route's limits.
async fn begin_with<S: Source>(
    context: &Rc<worker::Context>,
    outgoing: &Outgoing<'_>,
    source: &mut S,
    watch: &Watch,
) -> Result<Exchange, Setback> {
    let forward = outgoing.forward;
    if !forward.target.iter().all(u8::is_ascii_graphic) {
        let reason = "the target made for it is invalid";
        let upstream = Arc::clone(&forward.upstream.name);
        return Err(Failure::Refused(Refusal::BadGateway { upstream, reason }).into());
    }
    match forward.upstream.protocol {
        Protocol::H2c => {
            let call = h2c::begin(context, outgoing, source, watch);
            Ok(Exchange::H2c(Box::new(Box::pin(call).await?)))
        }
        Protocol::Http1 | Protocol::Tls { .. } => {
            http1::begin(context, outgoing, source, watch).await.map(Exchange::Http1)
        }
    }
}

macro_rules! each {
    ($self:ident, $exchange:ident => $call:expr) => {
        match $self {
            Exchange::Http1($exchange) => $call,
            Exchange::H2c($exchange) => $call,
        }
    };
}

// === impl Exchange ===

impl Exchange {
    /// Moves the request on, or looks whether the client is still there.
    pub(crate) fn poll_upload<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
    ) -> Result<(), Failure> {
        each!(self, exchange => exchange.poll_upload(cx, source))
    }

    /// Whether the head that came is one before the real one.
    pub(crate) fn is_interim(&self) -> bool {
        match self {
            Exchange::Http1(exchange) => exchange.is_interim(),
            Exchange::H2c(_) => false,
        }
    }

    /// The head that came, and the bytes that its fields stand in.
    pub(crate) fn head(&self) -> Option<(&Answer, &[u8])> {
        each!(self, exchange => exchange.head())
    }

    /// The head that came as values, without what is about the connection.
    pub(crate) fn response_head(&self) -> Result<ResponseHead, Failure> {
        let bad = |reason| each!(self, exchange => exchange.bad(reason));
        let (answer, bytes) = self.head().ok_or_else(|| bad("it sent no head"))?;
        // One copy, which all values share.
        let shared = bytes.get(..answer.consumed).map(Bytes::copy_from_slice).unwrap_or_default();
        let mut headers = Vec::with_capacity(answer.fields.len());
        for field in &answer.fields {
            let (name, value) = (field.name(&shared), field.value(&shared));
            if !goes_on(answer, &shared, field.kind, name) {
                continue;
            }
            let name = HeaderName::from_bytes(name).map_err(|_| bad("a name is invalid"))?;
            let value = HeaderValue::from_maybe_shared(shared.slice_ref(value));
            headers.push((name, value.map_err(|_| bad("a value is invalid"))?));
        }
        Ok(ResponseHead { status: answer.status, headers })
    }

    /// After an interim head: waits for the next one.
    pub(crate) async fn next_head<S: Source>(
        &mut self,
        source: &mut S,
        watch: &Watch,
    ) -> Result<(), Failure> {
        match self {
            Exchange::Http1(exchange) => exchange.next_head(source, watch).await,
            Exchange::H2c(_) => Ok(()),
        }
    }

    /// The time that may pass between two pieces of the answer.
    pub(crate) fn set_idle(&self, watch: &Watch) {
        each!(self, exchange => exchange.set_idle(watch));
    }

    /// The head was passed on: from here on it is about the body.
    pub(crate) fn accept(&mut self, watch: &Watch) -> AnswerBody {
        each!(self, exchange => exchange.accept(watch))
    }

    /// How long it took until the answer's head was there.
    pub(crate) fn elapsed(&self) -> Duration {
        each!(self, exchange => exchange.elapsed())
    }

    /// Whether nothing more of the request is sent. While something is, what waits does not look
    /// whether the client is still there.
    pub(crate) fn is_uploaded(&self) -> bool {
        each!(self, exchange => exchange.is_uploaded())
    }

    /// Whether nothing comes after what is in [`Exchange::data`], as far as is known without
    /// reading.
    pub(crate) fn is_read(&self) -> bool {
        each!(self, exchange => exchange.is_read())
    }

    /// Moves both bodies on. Once [`Piece::End`] came, dropping the exchange gives the
    /// connection back to its pool, if it can be used again.
    pub(crate) fn poll_piece<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        watch: &Watch,
    ) -> Poll<Result<Piece, Failure>> {
        each!(self, exchange => exchange.poll_piece(cx, source, watch))
    }

    /// What was read of the answer's body and not consumed.
    pub(crate) fn data(&self) -> &[u8] {
        each!(self, exchange => exchange.data())
    }

    pub(crate) fn consume(&mut self, count: usize) {
        each!(self, exchange => exchange.consume(count));
    }

    /// `name: value\r\n` lines that were checked.
    pub(crate) fn trailers(&self) -> &[u8] {
        each!(self, exchange => exchange.trailers())
    }

    /// After `101 Switching Protocols`: the connection, and what was read from it already.
    pub(crate) fn into_tunnel(self) -> Option<(Io, Buffer)> {
        match self {
            Exchange::Http1(exchange) => exchange.into_tunnel(),
            Exchange::H2c(_) => None,
        }
    }
}

/// Whether a header of an answer is for the client. Its length is written anew.
pub(crate) fn goes_on(answer: &Answer, bytes: &[u8], kind: Kind, name: &[u8]) -> bool {
    // A gateway does not authenticate itself to its upstreams.
    if kind.is_hop_by_hop() || kind == Kind::ContentLength {
        return false;
    }
    if !answer.options.names {
        return true;
    }
    let mut connections = answer.fields.iter().filter(|field| field.kind == Kind::Connection);
    !connections
        .any(|field| elements(field.value(bytes)).any(|named| named.eq_ignore_ascii_case(name)))
}
