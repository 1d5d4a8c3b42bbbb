//! One request from its head to the end of its answer.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use super::relay::{self, Relayed};
use super::tunnel;
use super::write::{self, Shape};
use crate::deadline::Watch;
use crate::exchange::{self, Exchange, Failure, Onward};
use crate::observe::{Client, Record};
use crate::outbox::{Framing, Outbox};
use crate::settle::{Verdict, settle};
use crate::wire::request::Parsed;
use crate::wire::response::AnswerBody;
use crate::worker::RequestId;
use crate::{Forward, Outcome, Refusal, RequestHead, Response, RouteId};

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Next,
    Close,
    /// Close, but the client may still be sending.
    Linger,
    /// Without another word: the answer is cut off, and the client must see that.
    Abort,
    /// The same where the end of the connection is the end of the answer: it may not end well.
    Reset,
}

/// A request being served, and what is told about it afterwards.
struct Serving<'a, S> {
    connection: &'a mut Connection<S>,
    client: &'a Client,
    watch: &'a Watch,
    request: Option<&'a Arc<RequestHead>>,
    /// The client would go on with another request.
    keep_alive: bool,
    told: Told,
}

/// What is told about a request.
#[derive(Default)]
struct Told {
    status: u16,
    sent: u64,
    /// What passed through a tunnel from the client.
    tunnelled: u64,
    user: Option<Arc<str>>,
    route: RouteId,
    upstream: Option<Arc<str>>,
    upstream_time: Option<Duration>,
    error: Option<&'static str>,
}

/// A head that was read, and all that follows.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    parsed: Parsed,
    client: &Client,
    watch: &Watch,
) -> After {
    let started = Instant::now();
    let context = Rc::clone(&connection.context);
    let metrics = &context.observer.metrics;
    let open = metrics.requests_open.hold();
    let request = parsed.head;
    let made: RequestId;
    let given = exchange::given_id(&request, client);
    let id = match given {
        Some(given) => given,
        None => {
            made = context.request_id();
            &made
        }
    };
    let mut serving = Serving {
        connection,
        client,
        watch,
        request: Some(&request),
        keep_alive: parsed.keep_alive,
        told: Told::default(),
    };
    let after = serving.run(&request, id).await;
    drop(open);
    serving.tell(id, started);
    after
}

/// A head that could not be read.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<S>,
    refusal: Refusal,
    client: &Client,
    watch: &Watch,
) -> After {
    let started = Instant::now();
    let id = connection.context.request_id();
    let told = Told::default();
    let mut serving = Serving { connection, client, watch, request: None, keep_alive: false, told };
    let after = serving.refuse(&refusal).await;
    serving.tell(&id, started);
    after
}

// === impl Serving ===

// What is rare is in boxes of its own: room for it would be made and moved with every request.
impl<S: AsyncRead + AsyncWrite + Unpin> Serving<'_, S> {
    async fn run(&mut self, request: &Arc<RequestHead>, id: &[u8]) -> After {
        let context = Rc::clone(&self.connection.context);
        let peer = &self.client.peer;
        let settled = settle(&context, request, peer, self.connection, self.watch).await;
        match settled {
            Ok(Verdict::Respond(response)) => Box::pin(self.respond(response)).await,
            Ok(Verdict::Forward(mut forward, body)) => {
                self.told.route = forward.route;
                self.told.user = forward.user.clone();
                self.told.upstream = Some(Arc::clone(&forward.upstream.name));
                if let Some(body) = body {
                    self.connection.give(body);
                }
                let after = match self.connection.limit_body(forward.limits.request_body) {
                    Ok(()) => self.forward(request, id, &mut forward).await,
                    Err(refusal) => Box::pin(self.refuse(&refusal)).await,
                };
                if let Some(follow) = &mut forward.follow {
                    follow.finished(&self.outcome());
                }
                after
            }
            Err(failure) => Box::pin(self.fail(failure)).await,
        }
    }

    async fn forward(
        &mut self,
        request: &Arc<RequestHead>,
        id: &[u8],
        forward: &mut Box<Forward>,
    ) -> After {
        let context = Rc::clone(&self.connection.context);
        let expects = self.connection.waits();
        let onward = Onward { request, client: self.client, request_id: id, expects };
        let begun = exchange::begin(&context, onward, forward, self.connection, self.watch).await;
        if !self
            .told
            .upstream
            .as_ref()
            .is_some_and(|told| Arc::ptr_eq(told, &forward.upstream.name))
        {
            self.told.upstream = Some(Arc::clone(&forward.upstream.name));
        }
        let mut exchange = match begun {
            Ok(exchange) => exchange,
            Err(failure) => return Box::pin(self.fail(failure)).await,
        };
        while exchange.is_interim() {
            if let Err(failure) = Box::pin(self.pass_interim(request, &mut exchange)).await {
                return Box::pin(self.fail(failure)).await;
            }
        }
        self.told.upstream_time = Some(exchange.elapsed());
        match exchange.head().map(|(answer, _)| answer.status.as_u16()) {
            Some(101) => Box::pin(self.switch(exchange)).await,
            Some(status) => {
                self.told.status = status;
                self.answer(request, forward, &mut exchange).await
            }
            None => After::Abort,
        }
    }

    /// Passes on `100 Continue` and such, to clients that know them, and waits for what follows.
    async fn pass_interim(
        &mut self,
        request: &RequestHead,
        exchange: &mut Exchange,
    ) -> Result<(), Failure> {
        let waits = self.connection.waits();
        let head = exchange.head().filter(|(answer, _)| {
            request.version() == Version::HTTP_11 && (answer.status.as_u16() != 100 || waits)
        });
        if let Some((answer, bytes)) = head {
            let mut outbox = Outbox::default();
            write::interim(&mut outbox.head, answer, bytes);
            if answer.status.as_u16() == 100 {
                self.connection.told();
            }
            let written = self.connection.write(&mut outbox, b"", self.watch).await;
            written.map_err(|_| Failure::Gone)?;
        }
        exchange.next_head(self.connection, self.watch).await
    }

    async fn answer(
        &mut self,
        request: &RequestHead,
        forward: &Forward,
        exchange: &mut Exchange,
    ) -> After {
        let mut head = self.connection.context.buffers.take_text();
        let close = self.closes();
        let Some((answer, bytes)) = exchange.head() else { return After::Abort };
        let shape = Shape::of(answer, request.method(), request.version(), close);
        match &forward.response {
            None => write::answer(&mut head, answer, bytes, shape),
            Some(edit) => {
                let mut values = match exchange.response_head() {
                    Ok(values) => values,
                    Err(failure) => return Box::pin(self.fail(failure)).await,
                };
                edit.edit(&mut values);
                self.told.status = values.status.as_u16();
                write::edited(&mut head, &values, shape);
            }
        }
        let body = exchange.accept(self.watch);
        let until_close = body != AnswerBody::None && shape.is_until_close();
        let mut relay = relay::Relay::new(head, shape.framing);
        let relayed = relay.run(self.connection, exchange, self.watch).await;
        self.told.sent = relay.sent();
        self.connection.context.buffers.give_text(relay.take_memory());
        match relayed {
            Relayed::Complete => self.after(shape.close),
            Relayed::ClientGone => {
                self.told.error = Some("the client left");
                After::Abort
            }
            Relayed::Unsent(refusal) => Box::pin(self.refuse(&refusal)).await,
            Relayed::Broken => {
                self.told.error = Some("the upstream broke off");
                if until_close { After::Reset } else { After::Abort }
            }
        }
    }

    /// The connection now speaks another protocol.
    async fn switch(&mut self, exchange: Exchange) -> After {
        let context = Rc::clone(&self.connection.context);
        let mut outbox = Outbox::default();
        if let Some((answer, bytes)) = exchange.head() {
            write::switching(&mut outbox.head, answer, bytes);
        }
        self.told.status = 101;
        let Some((upstream, read)) = exchange.into_tunnel() else { return After::Abort };
        if self.connection.write(&mut outbox, b"", self.watch).await.is_err() {
            return After::Abort;
        }
        let _open = context.observer.metrics.upgrades_open.hold();
        let buffer = self.connection.take_buffer();
        let mut tunnel = tunnel::Tunnel::new(&context, buffer, upstream, read);
        tunnel.run(&mut self.connection.io, self.watch).await;
        (self.told.tunnelled, self.told.sent) = tunnel.passed();
        After::Close
    }

    /// Whether the connection ends after this answer, as far as can be said before it.
    fn closes(&self) -> bool {
        !self.keep_alive || self.watch.stopping() || !self.connection.has_whole_body()
    }

    /// What follows a complete answer.
    fn after(&mut self, close: bool) -> After {
        match (self.connection.finish_body(), close) {
            (true, false) => After::Next,
            (true, true) => After::Close,
            (false, _) => After::Linger,
        }
    }

    async fn fail(&mut self, failure: Failure) -> After {
        match failure {
            Failure::Gone => {
                // What nginx writes down for it; nobody gets to see it.
                self.told.status = 499;
                self.told.error = Some("the client left");
                After::Abort
            }
            Failure::Refused(refusal) => self.refuse(&refusal).await,
        }
    }

    /// The page for what the engine itself refuses.
    async fn refuse(&mut self, refusal: &Refusal) -> After {
        let context = Rc::clone(&self.connection.context);
        context.observer.refused(refusal);
        // What is wrong with the request may be wrong with the next one too: start afresh.
        if refusal.status().is_client_error() {
            self.keep_alive = false;
        }
        let request = self.request.map(Arc::as_ref);
        let mut response = context.policy.refuse(request, &self.client.peer, refusal);
        if self.told.upstream.is_some() {
            response.route = self.told.route;
            response.user = self.told.user.take();
        }
        self.told.error = Some(refusal.reason());
        let after = self.respond(response).await;
        match (after, request) {
            // Where the request ends is not known.
            (After::Close, None) => After::Linger,
            _ => after,
        }
    }

    /// Answers without any upstream.
    async fn respond(&mut self, response: Response) -> After {
        self.told.status = response.status.as_u16();
        self.told.route = response.route;
        self.told.user = response.user.clone();
        // A client that waits to be told does not send what it announced.
        let whole = self.connection.finish_body();
        let close = !self.keep_alive || self.watch.stopping() || !whole;
        let version = self.request.map_or(Version::HTTP_11, |request| request.version());
        let for_head = match self.request {
            Some(request) => request.method() == Method::HEAD,
            None => self.connection.begins_with(b"HEAD "),
        };
        let head_only = for_head || matches!(response.status.as_u16(), 204 | 304);
        let shape = Shape {
            framing: Framing::Plain,
            length: (response.status.as_u16() != 204).then_some(response.body.len() as u64),
            close,
            tell_keep_alive: version != Version::HTTP_11 && !close,
        };
        let context = Rc::clone(&self.connection.context);
        let mut outbox = Outbox::new(context.buffers.take_text());
        write::own(&mut outbox.head, &response, shape, |out| context.write_date(out));
        let body: &[u8] = if head_only { b"" } else { &response.body };
        let copied = outbox.put(body, Framing::Plain, None);
        let rest = body.get(copied..).unwrap_or_default();
        let written = self.connection.write(&mut outbox, rest, self.watch).await;
        context.buffers.give_text(std::mem::take(&mut outbox.head));
        self.told.sent = body.len() as u64;
        match (written, whole) {
            (Ok(()), true) if close => After::Close,
            (Ok(()), true) => After::Next,
            (Ok(()), false) => After::Linger,
            (Err(_), _) => After::Abort,
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            status: self.told.status,
            received: self.connection.received() + self.told.tunnelled,
            sent: self.told.sent,
            upstream_time: self.told.upstream_time,
            error: self.told.error,
        }
    }

    fn tell(&self, id: &[u8], started: Instant) {
        let context = &self.connection.context;
        let trusts = |address| context.config.trusts(address);
        let peer = self.client.peer.address.ip();
        context.observer.request(&Record {
            request_id: id,
            client: self
                .request
                .map_or(peer, |request| exchange::origin(request, self.client, trusts)),
            request: self.request.map(Arc::as_ref),
            status: self.told.status,
            received: self.connection.received() + self.told.tunnelled,
            sent: self.told.sent,
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
