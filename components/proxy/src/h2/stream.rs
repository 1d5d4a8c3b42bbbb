//! One request over HTTP/2, from its head to the last byte of its answer.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use http::{Method, StatusCode};

use super::Shared;
use super::body::Stream;
use super::request::{self, Incoming};
use super::respond::{self, Gone, Outlet};
use super::tasks::Job;
use crate::deadline::Watch;
use crate::exchange::{self, Exchange, Failure, Onward, Piece, Source};
use crate::observe::{Client, Record};
use crate::settle::{Verdict, settle};
use crate::wire::response::AnswerBody;
use crate::worker::{self, RequestId};
use crate::{Forward, Outcome, Refusal, RequestHead, Response, RouteId};

/// A request while it is served.
struct Serving<'a> {
    context: &'a Rc<worker::Context>,
    client: &'a Client,
    watch: &'a Watch,
    stream: Stream,
    request: Option<Arc<RequestHead>>,
    told: Told,
}

/// What is told when it is over.
#[derive(Default)]
struct Told {
    status: u16,
    user: Option<Arc<str>>,
    route: RouteId,
    upstream: Option<Arc<str>>,
    upstream_time: Option<Duration>,
    error: Option<&'static str>,
}

/// How a request went.
enum End {
    Served,
    /// The client reset the stream or left.
    Gone,
    /// The stream is reset from here.
    Reset(Reason, &'static str),
}

/// Serves one stream. Ends early when the client resets it: what was asked of an upstream is
/// dropped with this.
pub(super) async fn serve(context: &Rc<worker::Context>, job: Job) {
    let Job { active, watch, request, respond } = job;
    let started = Instant::now();
    poll_fn(|cx| {
        watch.attach(cx.waker());
        Poll::Ready(())
    })
    .await;
    let shared = &active.0;
    let metrics = &context.observer.metrics;
    let _open = metrics.requests_open.hold();
    let made = context.request_id();
    let (parts, incoming) = request.into_parts();
    let stream = Stream::new(incoming, respond);
    let mut serving = Serving {
        context,
        client: &shared.client,
        watch: &watch,
        stream,
        request: None,
        told: Told::default(),
    };
    let end = match request::read(parts, serving.stream.is_over(), &context.config.heads) {
        Ok(incoming) => serving.run(incoming, &made).await,
        Err(refusal) => Box::pin(serving.refuse(&refusal)).await,
    };
    serving.end(end, shared);
    serving.tell(&made, started);
}

/// The id that a request came with, or the one made for it.
fn id<'a>(request: Option<&'a RequestHead>, client: &Client, made: &'a RequestId) -> &'a [u8] {
    request.and_then(|request| exchange::given_id(request, client)).unwrap_or(made)
}

// === impl Serving ===

impl Serving<'_> {
    async fn run(&mut self, incoming: Incoming, made: &RequestId) -> End {
        self.stream.announce(incoming.length, incoming.expects);
        let request = Arc::new(incoming.head);
        self.request = Some(Arc::clone(&request));
        let id = id(Some(&request), self.client, made);
        let peer = &self.client.peer;
        match settle(self.context, &request, peer, &mut self.stream, self.watch).await {
            Ok(Verdict::Respond(response)) => Box::pin(self.respond(response)).await,
            Ok(Verdict::Forward(mut forward, body)) => {
                self.told.route = forward.route;
                self.told.user = forward.user.clone();
                self.told.upstream = Some(Arc::clone(&forward.upstream.name));
                if let Some(body) = body {
                    self.stream.give(body);
                }
                let end = match self.stream.limit_body(forward.limits.request_body) {
                    Ok(()) => self.forward(&request, id, &mut forward).await,
                    Err(refusal) => Box::pin(self.refuse(&refusal)).await,
                };
                if let Some(follow) = &mut forward.follow {
                    follow.finished(&self.outcome());
                }
                end
            }
            Err(failure) => Box::pin(self.fail(failure)).await,
        }
    }

    async fn forward(
        &mut self,
        request: &Arc<RequestHead>,
        id: &[u8],
        forward: &mut Box<Forward>,
    ) -> End {
        let expects = self.stream.waits();
        let onward = Onward { request, client: self.client, request_id: id, expects };
        let stream = &mut self.stream;
        let begun = exchange::begin(self.context, onward, forward, stream, self.watch).await;
        self.told.upstream = Some(Arc::clone(&forward.upstream.name));
        let mut exchange = match begun {
            Ok(exchange) => exchange,
            Err(failure) => return Box::pin(self.fail(failure)).await,
        };
        while exchange.is_interim() {
            if let Err(failure) = Box::pin(self.pass_interim(&mut exchange)).await {
                return Box::pin(self.fail(failure)).await;
            }
        }
        self.told.upstream_time = Some(exchange.elapsed());
        self.answer(forward, &mut exchange).await
    }

    /// Passes on `103 Early Hints` and such, and waits for what follows.
    async fn pass_interim(&mut self, exchange: &mut Exchange) -> Result<(), Failure> {
        let head = exchange.response_head()?;
        if head.status != StatusCode::CONTINUE || self.stream.waits() {
            let head = respond::interim(head.status, head.headers);
            self.stream.inform(head);
        }
        exchange.next_head(&mut self.stream, self.watch).await
    }

    /// Passes an upstream's answer on.
    async fn answer(&mut self, forward: &Forward, exchange: &mut Exchange) -> End {
        let mut head = match exchange.response_head() {
            Ok(head) => head,
            Err(failure) => return Box::pin(self.fail(failure)).await,
        };
        if let Some(edit) = &forward.response {
            edit.edit(&mut head);
        }
        let length = exchange.head().and_then(|(answer, _)| match answer.body {
            AnswerBody::Exact(length) => Some(length),
            _ => answer.content_length,
        });
        let length = length.filter(|_| head.status != StatusCode::NO_CONTENT);
        let body = exchange.accept(self.watch);
        let over = matches!(body, AnswerBody::None | AnswerBody::Exact(0));
        let head = respond::head(self.context, head.status, head.headers, length);
        if self.open(head, over).is_err() {
            return End::Gone;
        }
        let mut pump = Pump { blocked: false, limit: self.context.config.timeouts.write };
        let (stream, watch) = (&mut self.stream, self.watch);
        poll_fn(|cx| pump.poll(cx, exchange, stream, watch)).await
    }

    async fn fail(&mut self, failure: Failure) -> End {
        match failure {
            Failure::Gone => End::Gone,
            Failure::Refused(refusal) => self.refuse(&refusal).await,
        }
    }

    /// The page for what the engine itself refuses.
    async fn refuse(&mut self, refusal: &Refusal) -> End {
        self.context.observer.refused(refusal);
        let policy = &self.context.policy;
        let mut response = policy.refuse(self.request.as_deref(), &self.client.peer, refusal);
        if self.told.upstream.is_some() {
            response.route = self.told.route;
            response.user = self.told.user.take();
        }
        self.told.error = Some(refusal.reason());
        self.respond(response).await
    }

    /// Answers without any upstream.
    async fn respond(&mut self, response: Response) -> End {
        let Response { status, headers, mut body, route, user } = response;
        self.told.route = route;
        self.told.user = user;
        let bodiless = matches!(status.as_u16(), 204 | 304);
        let length = (status != StatusCode::NO_CONTENT).then_some(body.len() as u64);
        let head = respond::head(self.context, status, headers, length);
        let is_head = self.request.as_ref().is_some_and(|head| head.method() == Method::HEAD);
        if bodiless || is_head {
            body.clear();
        }
        if self.open(head, body.is_empty()).is_err() {
            return End::Gone;
        }
        self.watch.set(Some(self.context.config.timeouts.write));
        let (stream, watch) = (&mut self.stream, self.watch);
        poll_fn(|cx| {
            while let Some(outlet) = stream.outlet.as_mut().filter(|_| !body.is_empty()) {
                match outlet.poll_room(cx, body.len()) {
                    Poll::Ready(Ok(room)) => {
                        let piece = body.split_to(room);
                        if outlet.send(piece, body.is_empty()).is_err() {
                            return Poll::Ready(End::Gone);
                        }
                    }
                    Poll::Ready(Err(Gone)) => return Poll::Ready(End::Gone),
                    Poll::Pending if watch.expired() => return Poll::Ready(TOO_SLOW),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Poll::Ready(End::Served)
        })
        .await
    }

    /// Sends the head of an answer.
    fn open(&mut self, head: http::Response<()>, over: bool) -> Result<(), Gone> {
        self.told.status = head.status().as_u16();
        let sending = self.stream.respond.send_response(head, over).map_err(|_| Gone)?;
        self.stream.outlet = Some(Outlet::new(sending, over));
        Ok(())
    }

    fn end(&mut self, end: End, shared: &Shared) {
        match end {
            End::Served => shared.served(),
            End::Gone => {
                self.told.error = Some("the client left");
                if self.told.status == 0 {
                    // What nginx writes down for it; nobody gets to see it.
                    self.told.status = 499;
                }
                shared.reset(self.context.deadlines.now());
            }
            End::Reset(reason, error) => {
                self.told.error = Some(error);
                match &mut self.stream.outlet {
                    Some(outlet) => outlet.reset(reason),
                    None => self.stream.respond.send_reset(reason),
                }
            }
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            status: self.told.status,
            received: self.stream.received(),
            sent: self.stream.outlet.as_ref().map_or(0, Outlet::sent),
            upstream_time: self.told.upstream_time,
            error: self.told.error,
        }
    }

    fn tell(&self, made: &RequestId, started: Instant) {
        let request = self.request.as_deref();
        let trusts = |address| self.context.config.trusts(address);
        let peer = self.client.peer.address.ip();
        self.context.observer.request(&Record {
            request_id: id(request, self.client, made),
            client: request.map_or(peer, |request| exchange::origin(request, self.client, trusts)),
            request,
            status: self.told.status,
            received: self.stream.received(),
            sent: self.stream.outlet.as_ref().map_or(0, Outlet::sent),
            user: self.told.user.as_deref(),
            route: self.told.route,
            upstream: self.told.upstream.as_deref(),
            total: started.elapsed(),
            upstream_time: self.told.upstream_time,
            tls: self.client.tls,
            error: self.told.error,
        });
    }
}

const TOO_SLOW: End = End::Reset(Reason::CANCEL, "the client takes nothing");

/// Moves an answer's body on.
struct Pump {
    /// The deadline in force is the one for writing.
    blocked: bool,
    limit: Duration,
}

// === impl Pump ===

impl Pump {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
        stream: &mut Stream,
        watch: &Watch,
    ) -> Poll<End> {
        loop {
            if exchange.data().is_empty() {
                match exchange.poll_piece(cx, stream, watch) {
                    Poll::Ready(Ok(Piece::Data)) => {}
                    Poll::Ready(Ok(Piece::End)) => return Poll::Ready(finish(exchange, stream)),
                    Poll::Ready(Err(failure)) => return Poll::Ready(broken(&failure, stream)),
                    Poll::Pending if exchange.is_uploaded() => return Poll::Pending,
                    Poll::Pending => return stream.poll_gone(cx).map(|()| End::Gone),
                }
            }
            let wanted = exchange.data().len();
            let Some(outlet) = stream.outlet.as_mut().filter(|outlet| !outlet.is_over()) else {
                return Poll::Ready(End::Reset(Reason::INTERNAL_ERROR, "more than announced"));
            };
            match outlet.poll_room(cx, wanted) {
                Poll::Ready(Ok(room)) => {
                    let data = exchange.data().get(..room).unwrap_or_default();
                    let data = Bytes::copy_from_slice(data);
                    exchange.consume(room);
                    let last =
                        room == wanted && exchange.is_read() && exchange.trailers().is_empty();
                    if outlet.send(data, last).is_err() {
                        return Poll::Ready(End::Gone);
                    }
                    if std::mem::take(&mut self.blocked) {
                        exchange.set_idle(watch);
                    }
                }
                Poll::Ready(Err(Gone)) => return Poll::Ready(End::Gone),
                Poll::Pending => return self.block(cx, exchange, stream, watch),
            }
        }
    }

    /// The client takes nothing now: it has so long to go on. It may still be sending.
    fn block(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
        stream: &mut Stream,
        watch: &Watch,
    ) -> Poll<End> {
        if !std::mem::replace(&mut self.blocked, true) {
            watch.set(Some(self.limit));
        }
        if exchange.poll_upload(cx, stream).is_err() {
            return Poll::Ready(End::Gone);
        }
        if watch.expired() { Poll::Ready(TOO_SLOW) } else { Poll::Pending }
    }
}

fn broken(failure: &Failure, stream: &Stream) -> End {
    match failure {
        // The client has all of it; what broke is what came after.
        _ if stream.outlet.as_ref().is_some_and(Outlet::is_over) => End::Served,
        Failure::Gone => End::Gone,
        Failure::Refused(_) => End::Reset(Reason::INTERNAL_ERROR, "the upstream broke off"),
    }
}

/// The last frame, where there was none yet.
fn finish(exchange: &Exchange, stream: &mut Stream) -> End {
    let Some(outlet) = stream.outlet.as_mut().filter(|outlet| !outlet.is_over()) else {
        return End::Served;
    };
    let sent = match exchange.trailers() {
        b"" => outlet.send(Bytes::new(), true),
        lines => outlet.send_trailers(request::trailer_map(lines)),
    };
    if sent.is_ok() { End::Served } else { End::Gone }
}
