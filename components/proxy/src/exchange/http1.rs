//! An exchange over HTTP/1.1.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::io::Io;
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::source::Source;
use super::upload::Upload;
use super::{Failure, Length, Piece, Setback, connect};
use crate::buffer::Buffer;
use crate::deadline::Watch;
use crate::wire::body::{Incoming, Scan};
use crate::wire::may_end;
use crate::wire::response::{self, Answer, AnswerBody};
use crate::worker;
use crate::{Limits, Refusal, Upstream};

/// A client that waits to be told to send its body waits no longer for the upstream to say so.
const INVITED: Duration = Duration::from_millis(300);

/// Heads such as `100 Continue` before the real one.
const MOST_INTERIM: u8 = 16;

/// A request under way whose answer's head has come.
///
/// That head stands in the buffer until [`Exchange::accept`]; an interim one until
/// [`Exchange::next_head`].
pub(crate) struct Exchange {
    context: Rc<worker::Context>,
    upstream: Arc<Upstream>,
    pool: Rc<Pool>,
    limits: Arc<Limits>,
    method: Method,
    /// Absent once the connection was given back, or away to a tunnel.
    io: Option<Io>,
    reused: bool,
    upload: Upload,
    buffer: Buffer,
    /// Bytes of the buffer in which the head's end was not found.
    seen: usize,
    answer: Option<Answer>,
    interim: u8,
    body: Incoming,
    length: Length,
    keep_alive: bool,
    started: Instant,
    /// How long it took until the answer's head was there.
    elapsed: Duration,
    upgrades: bool,
    /// The client waits with its body, and the upstream has not said yet that it wants it.
    waits: bool,
}

/// Why an attempt came to nothing.
enum Trouble {
    Failure(Failure),
    /// The connection broke before anything of an answer came.
    Silent,
}

/// Sends the request and waits for the first head of the answer. Connects, retries where that is
/// safe, respects the route's limits.
///
/// `watch` must be attached to the task that polls, and belongs to this request alone.
pub(super) async fn begin<S: Source>(
    context: &Rc<worker::Context>,
    outgoing: &Outgoing<'_>,
    source: &mut S,
    watch: &Watch,
) -> Result<Exchange, Setback> {
    let forward = outgoing.forward;
    let upstream = &forward.upstream;
    let name = || Arc::clone(&upstream.name);
    let pool = context.pools.of(upstream, &context.observer.metrics);
    let mut tries = 0;
    loop {
        if upstream.is_retired() {
            return Err(Setback::harmless(Refusal::Unavailable { upstream: name() }));
        }
        let pooled = if tries == 0 || tries < forward.limits.retries { pool.take() } else { None };
        let reused = pooled.is_some();
        let io = match pooled {
            Some(io) => io,
            None => connected(context, outgoing, &pool, source).await?,
        };
        let mut exchange = Exchange::new(context, outgoing, source.length(), &pool, io, reused);
        exchange.set_deadline(watch);
        match poll_fn(|cx| exchange.poll_head(cx, source, watch)).await {
            Ok(()) => return Ok(exchange),
            Err(Trouble::Failure(failure)) => {
                exchange.count(&failure);
                return Err(failure.into());
            }
            Err(Trouble::Silent) => {}
        }
        pool.metrics.failures.add(1);
        let repeatable = exchange.may_repeat(source.length());
        if tries >= forward.limits.retries || !repeatable {
            let reason = "it closed the connection without an answer";
            let refusal = Refusal::BadGateway { upstream: name(), reason };
            return Err(match repeatable {
                true => Setback::harmless(refusal),
                false => Failure::Refused(refusal).into(),
            });
        }
        pool.metrics.retries.add(1);
        tries += 1;
    }
}

/// A new connection, unless the client leaves meanwhile.
async fn connected<S: Source>(
    context: &Rc<worker::Context>,
    outgoing: &Outgoing<'_>,
    pool: &Rc<Pool>,
    source: &mut S,
) -> Result<Io, Setback> {
    let forward = outgoing.forward;
    let connect = connect::connect(context, &forward.upstream, pool, forward.limits.connect);
    let mut connect = Box::pin(connect);
    poll_fn(|cx| {
        if let Poll::Ready(done) = connect.as_mut().poll(cx) {
            // Of a body nothing was read yet.
            return Poll::Ready(done.map_err(Setback::harmless));
        }
        source.poll_gone(cx).map(|()| Err(Failure::Gone.into()))
    })
    .await
}

// === impl Exchange ===

impl Exchange {
    fn new(
        context: &Rc<worker::Context>,
        outgoing: &Outgoing<'_>,
        length: Length,
        pool: &Rc<Pool>,
        io: Io,
        reused: bool,
    ) -> Exchange {
        let mut head = context.buffers.take_text();
        outgoing.write(&mut head, length);
        let kept_back = match length {
            Length::Unknown => outgoing.kept_back(),
            // Only chunks have trailers.
            Length::None | Length::Exact(_) => Box::default(),
        };
        pool.metrics.open.add(1);
        if reused {
            pool.metrics.reused.add(1);
        }
        Exchange {
            context: Rc::clone(context),
            upstream: Arc::clone(&outgoing.forward.upstream),
            pool: Rc::clone(pool),
            limits: Arc::clone(&outgoing.forward.limits),
            method: outgoing.request.method().clone(),
            io: Some(io),
            reused,
            upload: Upload::new(head, length, kept_back),
            buffer: Buffer::default(),
            seen: 0,
            answer: None,
            interim: 0,
            body: Incoming::none(),
            length: Length::None,
            keep_alive: false,
            started: Instant::now(),
            elapsed: Duration::ZERO,
            upgrades: outgoing.upgrades(length),
            waits: outgoing.expects && length != Length::None,
        }
    }

    pub(super) fn bad(&self, reason: &'static str) -> Failure {
        Failure::Refused(Refusal::BadGateway { upstream: Arc::clone(&self.upstream.name), reason })
    }

    fn count(&self, failure: &Failure) {
        match failure {
            Failure::Refused(Refusal::GatewayTimeout { .. }) => self.pool.metrics.timeouts.add(1),
            Failure::Refused(Refusal::BadGateway { .. }) => self.pool.metrics.failures.add(1),
            _ => {}
        }
    }

    /// Whether the request can be sent once more without being carried out twice: nothing of it
    /// was written, it reads only, or it met a connection that had been kept too long and may be
    /// repeated by its meaning. Its body must still be there.
    fn may_repeat(&self, length: Length) -> bool {
        let bodiless = matches!(length, Length::None | Length::Exact(0));
        let stale = self.reused && (self.method.is_idempotent() || self.upload.written() == 0);
        bodiless && (self.method.is_safe() || stale)
    }

    /// While the request goes out, the time between two pieces counts; afterwards the time until
    /// the answer's head.
    fn set_deadline(&self, watch: &Watch) {
        let limit = match self.upload.is_over() {
            true => self.limits.response_head,
            false if self.waits => self.limits.request_idle.min(INVITED),
            false => self.limits.request_idle,
        };
        watch.set(Some(limit));
    }

    /// Not every upstream knows that clients may wait to be told to go on: after a while this
    /// tells them.
    fn poll_invite<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        watch: &Watch,
    ) -> Poll<Result<(), Failure>> {
        ready!(source.poll_invite(cx))?;
        self.waits = false;
        self.set_deadline(watch);
        Poll::Ready(Ok(()))
    }

    /// What is said when the deadline has passed.
    fn late(&self, watch: &Watch) -> Failure {
        let limits = &self.limits;
        if watch.aborted() {
            return Failure::Gone;
        }
        if !self.upload.is_over() && self.upload.is_starving() {
            let seconds = limits.request_idle.as_secs();
            return Failure::Refused(Refusal::RequestTimeout { seconds });
        }
        let limit = if self.upload.is_over() { limits.response_head } else { limits.request_idle };
        let upstream = Arc::clone(&self.upstream.name);
        Failure::Refused(Refusal::GatewayTimeout { upstream, seconds: limit.as_secs() })
    }

    /// Moves the request on, or looks whether the client is still there.
    pub(super) fn poll_upload<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
    ) -> Result<(), Failure> {
        if self.upload.is_over() { poll_gone(cx, source) } else { self.poll_send(cx, source) }
    }

    fn poll_send<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
    ) -> Result<(), Failure> {
        let Some(io) = self.io.as_mut().filter(|_| !self.upload.is_over()) else { return Ok(()) };
        match self.upload.poll(cx, io, source) {
            Poll::Ready(done) => Ok(done?),
            Poll::Pending => Ok(()),
        }
    }

    /// Nothing moves now. Only then it is looked whether the client is still there, which costs as
    /// much as reading.
    fn poll_wait<S: Source>(&self, cx: &mut Context<'_>, source: &mut S) -> Result<(), Failure> {
        if self.upload.is_over() { poll_gone(cx, source) } else { Ok(()) }
    }

    fn poll_head<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        watch: &Watch,
    ) -> Poll<Result<(), Trouble>> {
        if watch.expired() && self.waits && !watch.aborted() && !self.upload.is_over() {
            ready!(self.poll_invite(cx, source, watch)).map_err(Trouble::Failure)?;
        }
        if watch.expired() {
            return Poll::Ready(Err(Trouble::Failure(self.late(watch))));
        }
        let was_over = self.upload.is_over();
        self.poll_send(cx, source).map_err(Trouble::Failure)?;
        if self.upload.take_moved() || was_over != self.upload.is_over() {
            self.set_deadline(watch);
        }
        loop {
            match self.parse() {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(reason) => return Poll::Ready(Err(Trouble::Failure(self.bad(reason)))),
            }
            let Some(io) = &mut self.io else {
                return Poll::Ready(Err(Trouble::Silent));
            };
            let Poll::Ready(read) = self.buffer.poll_read(cx, io, &self.context.buffers) else {
                self.poll_wait(cx, source).map_err(Trouble::Failure)?;
                return Poll::Pending;
            };
            match read {
                Ok(count) if count > 0 => {}
                _ if self.buffer.is_empty() && self.interim == 0 => {
                    return Poll::Ready(Err(Trouble::Silent));
                }
                _ => {
                    let reason = "it broke off within the head of its answer";
                    return Poll::Ready(Err(Trouble::Failure(self.bad(reason))));
                }
            }
        }
    }

    /// Reads the head out of the buffer, if it is there.
    fn parse(&mut self) -> Result<bool, &'static str> {
        let bytes = self.buffer.bytes();
        if bytes.len() == self.seen || self.seen > 0 && !may_end(bytes, self.seen) {
            // Too long a head has to be noticed all the same.
            if bytes.len() <= self.context.config.heads.bytes {
                self.seen = bytes.len();
                return Ok(false);
            }
        }
        self.seen = bytes.len();
        let Some(answer) = response::parse(bytes, &self.context.config.heads, &self.method)? else {
            return Ok(false);
        };
        if answer.status == StatusCode::SWITCHING_PROTOCOLS && !self.upgrades {
            return Err("it switches to a protocol that nobody asked for");
        }
        if is_interim(&answer) {
            self.interim += 1;
            if self.interim > MOST_INTERIM {
                return Err("it sends too many interim answers");
            }
        }
        self.answer = Some(answer);
        self.elapsed = self.started.elapsed();
        Ok(true)
    }

    /// Whether the head that came is one before the real one.
    pub(super) fn is_interim(&self) -> bool {
        self.answer.as_ref().is_some_and(is_interim)
    }

    /// The head that came, and the bytes that its fields stand in.
    pub(super) fn head(&self) -> Option<(&Answer, &[u8])> {
        self.answer.as_ref().map(|answer| (answer, self.buffer.bytes()))
    }

    /// After an interim head: waits for the next one.
    pub(super) async fn next_head<S: Source>(
        &mut self,
        source: &mut S,
        watch: &Watch,
    ) -> Result<(), Failure> {
        self.drop_head();
        let done = poll_fn(|cx| self.poll_head(cx, source, watch)).await;
        done.map_err(|trouble| {
            let failure = match trouble {
                Trouble::Failure(failure) => failure,
                Trouble::Silent => self.bad("it closed the connection without an answer"),
            };
            self.count(&failure);
            failure
        })
    }

    fn drop_head(&mut self) -> Option<Answer> {
        let answer = self.answer.take()?;
        self.buffer.consume(answer.consumed);
        self.seen = 0;
        Some(answer)
    }

    /// The time that may pass until something moves: between two pieces of the answer, and where
    /// the request still goes out, between two of that.
    pub(super) fn set_idle(&self, watch: &Watch) {
        watch.set(self.idle());
    }

    fn idle(&self) -> Option<Duration> {
        let Limits { idle, request_idle, .. } = *self.limits;
        match self.upload.is_over() {
            true => idle,
            false => Some(idle.map_or(request_idle, |idle| idle.min(request_idle))),
        }
    }

    /// The head was passed on: from here on it is about the body.
    pub(super) fn accept(&mut self, watch: &Watch) -> AnswerBody {
        self.set_idle(watch);
        let Some(answer) = self.drop_head() else { return AnswerBody::None };
        self.pool.metrics.answered(answer.status.as_u16(), self.elapsed);
        self.keep_alive = answer.keep_alive;
        self.length = answer.content_length.map_or(answer.body.length(), Length::Exact);
        self.body = match answer.body {
            AnswerBody::None => Incoming::none(),
            AnswerBody::Exact(length) => Incoming::exact(length),
            AnswerBody::Chunked => Incoming::chunked(self.context.config.heads.bytes),
            AnswerBody::Close => Incoming::until_close(),
        };
        answer.body
    }

    /// How long it took until the answer's head was there.
    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Whether nothing more of the request is sent.
    pub(super) fn is_uploaded(&self) -> bool {
        self.upload.is_over()
    }

    /// Whether nothing comes after what is in [`Exchange::data`], as far as is known without
    /// reading.
    pub(super) fn is_read(&self) -> bool {
        self.body.is_read()
    }

    /// Moves both bodies on. Once [`Piece::End`] came, dropping the exchange gives the
    /// connection back to its pool, if it can be used again.
    pub(super) fn poll_piece<S: Source>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut S,
        watch: &Watch,
    ) -> Poll<Result<Piece, Failure>> {
        if watch.expired() {
            return Poll::Ready(Err(self.late_body(watch)));
        }
        let was_over = self.upload.is_over();
        if !self.body.is_read() {
            self.poll_send(cx, source)?;
        }
        if self.upload.take_moved() || was_over != self.upload.is_over() {
            self.set_idle(watch);
        }
        loop {
            match self.body.scan(&mut self.buffer) {
                Ok(Scan::Data) => return Poll::Ready(Ok(Piece::Data)),
                Ok(Scan::End) => return Poll::Ready(Ok(Piece::End)),
                Ok(Scan::More) => {}
                Err(error) => return Poll::Ready(Err(self.bad(error.0))),
            }
            let Some(io) = &mut self.io else {
                return Poll::Ready(Err(self.bad("its connection is gone")));
            };
            let Poll::Ready(read) = self.buffer.poll_read(cx, io, &self.context.buffers) else {
                self.poll_wait(cx, source)?;
                return Poll::Pending;
            };
            match read {
                Ok(0) if self.body.end_of_stream() => {}
                Ok(0) => return Poll::Ready(Err(self.bad("it broke off within its answer"))),
                Ok(_) => watch.set(self.idle()),
                Err(_) => return Poll::Ready(Err(self.bad("its connection broke"))),
            }
        }
    }

    fn late_body(&self, watch: &Watch) -> Failure {
        if watch.aborted() {
            return Failure::Gone;
        }
        let seconds = self.idle().unwrap_or_default().as_secs();
        if !self.upload.is_over() && self.upload.is_starving() {
            return Failure::Refused(Refusal::RequestTimeout { seconds });
        }
        self.pool.metrics.timeouts.add(1);
        let upstream = Arc::clone(&self.upstream.name);
        Failure::Refused(Refusal::GatewayTimeout { upstream, seconds })
    }

    /// What was read of the answer's body and not consumed.
    pub(super) fn data(&self) -> &[u8] {
        self.body.data(&self.buffer)
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.body.consume(&mut self.buffer, count);
        self.buffer.release_if_empty(&self.context.buffers);
    }

    /// `name: value\r\n` lines that were checked.
    pub(super) fn trailers(&self) -> &[u8] {
        self.body.trailers()
    }

    /// After `101 Switching Protocols`: the connection, and what was read from it already.
    pub(super) fn into_tunnel(mut self) -> Option<(Io, Buffer)> {
        self.drop_head();
        let io = self.io.take()?;
        Some((io, std::mem::take(&mut self.buffer)))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.pool.metrics.open.sub(1);
        self.context.buffers.give_text(self.upload.take_memory());
        let complete = self.answer.is_none()
            && self.body.is_over()
            && self.upload.is_done()
            && self.buffer.is_empty();
        self.buffer.release(&self.context.buffers);
        if let Some(io) = self.io.take().filter(|_| complete && self.keep_alive) {
            self.pool.give(&self.upstream, io, self.context.deadlines.now());
        }
    }
}

fn poll_gone<S: Source>(cx: &mut Context<'_>, source: &mut S) -> Result<(), Failure> {
    match source.poll_gone(cx) {
        Poll::Ready(()) => Err(Failure::Gone),
        Poll::Pending => Ok(()),
    }
}

fn is_interim(answer: &Answer) -> bool {
    answer.status.is_informational() && answer.status != StatusCode::SWITCHING_PROTOCOLS
}
