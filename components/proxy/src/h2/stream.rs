//! One request over HTTP/2, from its head to the last byte of its answer.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request, StatusCode};

use super::body::Body;
use super::request::{self, Incoming};
use super::respond::{self, Lost, Outlet};
use super::{Active, Shared};
use crate::deadline::Watch;
use crate::exchange::{self, Exchange, Failure, Length, Outgoing, Piece, Source, SourceError};
use crate::observe::Record;
use crate::worker::{Context, RequestId};
use crate::{Decision, Forward, Limits, Refusal, RequestHead, Response, ResponseHead, RouteId};

/// A request while it is served.
struct Serving {
    context: Rc<Context>,
    shared: Rc<Shared>,
    /// The exchange's.
    watch: Watch,
    body: Body,
    id: RequestId,
    head: Option<Arc<RequestHead>>,
    tally: Tally,
}

/// What is told when it is over.
#[derive(Default)]
struct Tally {
    status: u16,
    sent: u64,
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
pub(super) async fn serve(
    context: Rc<Context>,
    active: Active,
    watch: Watch,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let begun = Instant::now();
    let shared = Rc::clone(&active.0);
    let metrics = Arc::clone(&context.observer.metrics);
    metrics.requests_open.add(1);
    let (parts, stream) = request.into_parts();
    let body = Body::new(stream, respond);
    let id = context.request_id();
    let tally = Tally::default();
    let mut serving = Serving { context, shared, watch, body, id, head: None, tally };
    let over = serving.body.is_over();
    let end = match request::read(parts, over, &serving.context.config.heads) {
        Ok(incoming) => serving.decide(incoming).await,
        Err(refusal) => serving.refuse(refusal).await,
    };
    serving.end(end, begun.elapsed());
    metrics.requests_open.sub(1);
}

// === impl Serving ===

impl Serving {
    async fn decide(&mut self, incoming: Incoming) -> End {
        self.body.set_length(incoming.length, incoming.expects);
        let head = Arc::new(incoming.head);
        self.head = Some(Arc::clone(&head));
        let mut decision = self.context.policy.decide(&head, &self.shared.client.peer);
        loop {
            decision = match decision {
                Decision::Forward(forward) => return self.forward(&head, *forward).await,
                Decision::Respond(response) => return self.answer(response).await,
                Decision::Read { limit, then } => match self.read(limit).await {
                    Ok(bytes) => Decision::Later(then(bytes)),
                    Err(SourceError::Gone) => return End::Gone,
                    Err(SourceError::Refused(refusal)) => return self.refuse(refusal).await,
                },
                Decision::Later(later) => match self.while_there(later).await {
                    Some(decision) => decision,
                    None => return End::Gone,
                },
            }
        }
    }

    /// Reads the whole body, within the time that a request may take for its head: it is small.
    async fn read(&mut self, limit: usize) -> Result<Bytes, SourceError> {
        let within = Limits::default().request_idle;
        self.watch.set(Some(within));
        let (body, watch) = (&mut self.body, &self.watch);
        let mut reading = std::pin::pin!(body.read_all(limit));
        let read = poll_fn(|cx| {
            watch.attach(cx.waker());
            match reading.as_mut().poll(cx) {
                Poll::Pending if watch.expired() => {
                    let refusal = Refusal::RequestTimeout { seconds: within.as_secs() };
                    Poll::Ready(Err(SourceError::Refused(refusal)))
                }
                other => other,
            }
        });
        let read = read.await;
        watch.set(None);
        read
    }

    /// What a future gives, unless the client leaves before.
    async fn while_there<F: Future + Unpin>(&mut self, mut future: F) -> Option<F::Output> {
        poll_fn(|cx| {
            self.watch.attach(cx.waker());
            if let Poll::Ready(done) = std::pin::Pin::new(&mut future).poll(cx) {
                return Poll::Ready(Some(done));
            }
            match self.body.poll_gone(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending if self.watch.aborted() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    async fn refuse(&mut self, refusal: Refusal) -> End {
        self.context.observer.refused(&refusal);
        let policy = &self.context.policy;
        let response = policy.refuse(self.head.as_deref(), &self.shared.client.peer, &refusal);
        let route = self.tally.route;
        let end = self.answer(response).await;
        if route != RouteId::default() {
            self.tally.route = route;
        }
        end
    }

    /// An answer of the gateway's own.
    async fn answer(&mut self, response: Response) -> End {
        let Response { status, headers, mut body, route, user } = response;
        self.tally.route = route;
        self.tally.user = user.or(self.tally.user.take());
        let bare = self.is_head() || has_no_body(status);
        let length = (!has_no_body(status)).then_some(body.len() as u64);
        let head = respond::head(&self.context, status, headers, length);
        if bare {
            body.clear();
        }
        let Some(mut outlet) = self.open(head, body.is_empty()) else { return End::Gone };
        let limit = self.context.config.timeouts.write;
        let sent = poll_fn(|cx| outlet.poll_send(cx, &mut body, limit)).await;
        self.tally.sent = outlet.sent;
        finish(&mut outlet, sent)
    }

    async fn forward(&mut self, head: &Arc<RequestHead>, forward: Forward) -> End {
        self.tally.user = forward.user.clone();
        self.tally.route = forward.route;
        self.tally.upstream = Some(Arc::clone(&forward.upstream.name));
        if let Err(refusal) = self.body.set_limit(forward.limits.request_body) {
            return self.refuse(refusal).await;
        }
        let context = Rc::clone(&self.context);
        let shared = Rc::clone(&self.shared);
        let outgoing = Outgoing {
            request: head,
            forward: &forward,
            client: &shared.client,
            request_id: &self.id,
            expects: false,
        };
        let begun = Instant::now();
        let answer = exchange::answered(&context, &outgoing, &mut self.body, &self.watch).await;
        let end = match answer {
            Ok((response, exchange)) => self.pass(response, exchange).await,
            Err(Failure::Gone) => End::Gone,
            Err(Failure::Refused(refusal)) => self.refuse(refusal).await,
        };
        self.tally.upstream_time = Some(begun.elapsed());
        end
    }

    /// Passes an upstream's answer on.
    async fn pass(&mut self, response: ResponseHead, mut exchange: Exchange) -> End {
        let length = match exchange.length() {
            _ if self.is_head() || has_no_body(response.status) => Length::None,
            Length::Exact(0) => Length::None,
            length => length,
        };
        let declared = match exchange.length() {
            Length::Exact(length) if !has_no_body(response.status) => Some(length),
            _ => None,
        };
        let head = respond::head(&self.context, response.status, response.headers, declared);
        let bare = length == Length::None;
        let Some(mut outlet) = self.open(head, bare) else { return End::Gone };
        let mut pump = Pump { left: length, over: bare };
        let limit = self.context.config.timeouts.write;
        let (body, watch) = (&mut self.body, &self.watch);
        let passed =
            poll_fn(|cx| pump.poll(cx, &mut exchange, body, watch, &mut outlet, limit)).await;
        self.tally.sent = outlet.sent;
        match passed {
            Ok(()) => End::Served,
            Err(Broken::Client(lost)) => finish(&mut outlet, Err(lost)),
            Err(Broken::Upstream(reason)) => {
                outlet.stream.send_reset(Reason::INTERNAL_ERROR);
                End::Reset(Reason::INTERNAL_ERROR, reason)
            }
        }
    }

    /// Sends the head of an answer.
    fn open(&mut self, head: http::Response<()>, over: bool) -> Option<Outlet> {
        self.tally.status = head.status().as_u16();
        let stream = self.body.respond.send_response(head, over).ok()?;
        Some(Outlet::new(stream, self.shared.watch.another()))
    }

    fn is_head(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.method() == Method::HEAD)
    }

    fn end(mut self, end: End, total: Duration) {
        match end {
            End::Served => self.shared.served(),
            End::Gone => {
                self.tally.error = Some("the client left");
                if self.tally.status == 0 {
                    self.tally.status = 499;
                }
                self.shared.reset(self.context.deadlines.now());
            }
            End::Reset(reason, error) => {
                self.tally.error = Some(error);
                if self.tally.status == 0 {
                    self.body.respond.send_reset(reason);
                }
            }
        }
        let tally = &self.tally;
        self.context.observer.request(&Record {
            request_id: &self.id,
            client: self.shared.client.peer.address.ip(),
            request: self.head.as_deref(),
            status: tally.status,
            received: self.body.received,
            sent: tally.sent,
            user: tally.user.as_deref(),
            route: tally.route,
            upstream: tally.upstream.as_deref(),
            total,
            upstream_time: tally.upstream_time,
            tls: self.shared.client.tls,
            error: tally.error,
        });
    }
}

fn has_no_body(status: StatusCode) -> bool {
    status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

fn finish(outlet: &mut Outlet, sent: Result<(), Lost>) -> End {
    match sent {
        Ok(()) => End::Served,
        Err(Lost::Gone) => End::Gone,
        Err(Lost::TooSlow) => {
            outlet.stream.send_reset(Reason::CANCEL);
            End::Reset(Reason::CANCEL, "the client takes nothing")
        }
    }
}

/// Moves an answer's body on.
struct Pump {
    left: Length,
    /// The client has all of it.
    over: bool,
}

enum Broken {
    Client(Lost),
    Upstream(&'static str),
}

// === impl Pump ===

impl Pump {
    fn poll(
        &mut self,
        cx: &mut std::task::Context<'_>,
        exchange: &mut Exchange,
        body: &mut Body,
        watch: &Watch,
        outlet: &mut Outlet,
        limit: Duration,
    ) -> Poll<Result<(), Broken>> {
        loop {
            match exchange.poll_piece(cx, body, watch) {
                Poll::Ready(Ok(Piece::Data)) if self.over => {
                    return Poll::Ready(Err(Broken::Upstream("more body than announced")));
                }
                Poll::Ready(Ok(Piece::Data)) => {
                    let wanted = exchange.data().len();
                    let room = match outlet.poll_room(cx, wanted, limit) {
                        Poll::Ready(room) => room.map_err(Broken::Client)?,
                        Poll::Pending => return Poll::Pending,
                    };
                    self.send(exchange, outlet, room)?;
                }
                Poll::Ready(Ok(Piece::End)) => return Poll::Ready(self.finish(exchange, outlet)),
                Poll::Ready(Err(_)) if self.over => return Poll::Ready(Ok(())),
                Poll::Ready(Err(Failure::Gone)) => {
                    return Poll::Ready(Err(Broken::Client(Lost::Gone)));
                }
                Poll::Ready(Err(Failure::Refused(_))) => {
                    return Poll::Ready(Err(Broken::Upstream("the upstream broke off")));
                }
                Poll::Pending => {
                    let gone = !self.over && outlet.poll_gone(cx).is_ready();
                    return match gone {
                        true => Poll::Ready(Err(Broken::Client(Lost::Gone))),
                        false => Poll::Pending,
                    };
                }
            }
        }
    }

    fn send(
        &mut self,
        exchange: &mut Exchange,
        outlet: &mut Outlet,
        room: usize,
    ) -> Result<(), Broken> {
        let data = exchange.data().get(..room).unwrap_or_default();
        let data = Bytes::copy_from_slice(data);
        exchange.consume(room);
        if let Length::Exact(left) = self.left {
            let left = left.saturating_sub(room as u64);
            self.left = Length::Exact(left);
            self.over = left == 0;
        }
        outlet.send(data, self.over).map_err(Broken::Client)
    }

    fn finish(&mut self, exchange: &Exchange, outlet: &mut Outlet) -> Result<(), Broken> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(());
        }
        if matches!(self.left, Length::Exact(1..)) {
            return Err(Broken::Upstream("less body than announced"));
        }
        let trailers = exchange.trailers();
        let sent = match trailers.is_empty() {
            true => outlet.stream.send_data(Bytes::new(), true),
            false => outlet.stream.send_trailers(request::trailer_map(trailers)),
        };
        sent.map_err(|_| Broken::Client(Lost::Gone))
    }
}
