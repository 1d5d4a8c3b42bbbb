//! HTTP/2 of clients' connections.
//!
//! 1. The `h2` crate reads and writes frames. It bounds heads (also in many CONTINUATION frames),
//!    streams at once, streams reset before they were seen, small DATA frames, and answers one
//!    PING or SETTINGS at a time.
//! 2. Each stream is a task that ends with its connection. It holds no more of a body than the
//!    window that was given for it.
//! 3. What the crate does not bound is bounded here: idle connections, clients that take
//!    nothing, clients that open streams only to reset them.

mod abuse;
mod batch;
mod body;
mod request;
mod respond;
mod stream;
mod tasks;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::deadline::Watch;
use crate::metrics::Reason as Refused;
use crate::observe::Client;
use crate::worker::Context;
use abuse::Resets;
pub(crate) use batch::Batch;
pub(crate) use request::{fuzz, trailer_lines, trailer_map};
use tasks::Job;
pub(crate) use tasks::Tasks;

/// Requests at once on one connection.
const STREAMS: u32 = 128;
/// What a client may send of one body before any of it went on.
const STREAM_WINDOW: u32 = 256 * 1024;
/// And of all bodies of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is taken from an upstream before the client took it, for each stream.
const SEND_BUFFER: usize = 32 * 1024;
const FRAME: u32 = 16 * 1024;
/// How long a connection that was told to end may take for its last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What a connection and its streams share.
struct Shared {
    client: Client,
    watch: Watch,
    active: Cell<usize>,
    resets: RefCell<Resets>,
    /// The client is to be told to calm down.
    enough: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    keep_alive: Duration,
}

/// A stream that is served. While there is one the connection is not idle.
struct Active(Rc<Shared>);

/// Serves one connection until it ends. TLS ends before this, where there is any.
pub(crate) async fn serve<S>(context: Rc<Context>, io: S, client: Client, watch: Watch)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let timeouts = &context.config.timeouts;
    watch.set(Some(timeouts.request_head));
    let io = Batch::new(&context, io);
    let mut handshake = pin!(builder(&context).handshake::<_, Bytes>(io.clone()));
    let greeted = poll_fn(|cx| {
        watch.attach(cx.waker());
        let polled = handshake.as_mut().poll(cx);
        if let Poll::Ready(Err(_)) = io.poll_drain(cx) {
            return Poll::Ready(None);
        }
        match polled {
            Poll::Ready(greeted) => Poll::Ready(greeted.ok()),
            Poll::Pending if watch.stopping() || watch.expired() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    let Some(connection) = greeted.await else { return };
    context.observer.metrics.http2_connections.add(1);
    watch.set(Some(timeouts.keep_alive));
    let shared = Rc::new(Shared {
        client,
        watch,
        active: Cell::new(0),
        resets: RefCell::default(),
        enough: Cell::new(false),
        waker: RefCell::default(),
        keep_alive: timeouts.keep_alive,
    });
    run(&context, connection, &io, &shared).await;
}

fn builder(context: &Context) -> Builder {
    let heads = &context.config.heads;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(heads.bytes).unwrap_or(u32::MAX));
    builder
}

async fn run<S>(
    context: &Rc<Context>,
    mut connection: Connection<Batch<S>, Bytes>,
    io: &Batch<S>,
    shared: &Rc<Shared>,
) where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut ending = false;
    let mut stall = Stall { watch: shared.watch.another(), at: None };
    poll_fn(|cx| {
        shared.attach(cx.waker());
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let active = Active::new(shared);
                    let watch = shared.watch.another();
                    Tasks::serve(context, Job { active, watch, request, respond });
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "an HTTP/2 connection broke");
                    if error.reason() == Some(Reason::ENHANCE_YOUR_CALM) {
                        context.observer.metrics.refused(Refused::Http2Abuse);
                    }
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        match io.poll_drain(cx) {
            Poll::Ready(Ok(())) => stall.end(),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "an HTTP/2 connection broke");
                return Poll::Ready(());
            }
            Poll::Pending => {
                stall.watch.attach(cx.waker());
                if stall.is_over(io.total(), context.config.timeouts.write) {
                    tracing::debug!("an HTTP/2 connection takes nothing");
                    return Poll::Ready(());
                }
            }
        }
        if shared.enough.replace(false) {
            context.observer.metrics.http2_rapid_resets.add(1);
            context.observer.metrics.refused(Refused::Http2Abuse);
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            shared.watch.set(Some(LAST_WORDS));
            ending = true;
            cx.waker().wake_by_ref();
        } else if shared.watch.expired() && (ending || shared.watch.aborted()) {
            return Poll::Ready(());
        } else if !ending && (shared.watch.stopping() || shared.watch.expired()) {
            ending = true;
            connection.graceful_shutdown();
            if shared.active.get() == 0 {
                shared.watch.set(Some(LAST_WORDS));
            }
            // What was just queued is not written before the next look.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
    // The last words, as far as the client takes them.
    poll_fn(|cx| Poll::Ready(io.poll_drain(cx).is_ready())).await;
}

/// Whether a client takes nothing at all. Its streams have limits of their own, but what they have
/// left behind waits in memory for as long as the connection is there.
struct Stall {
    watch: Watch,
    /// The bytes that were written when it began.
    at: Option<u64>,
}

// === impl Stall ===

impl Stall {
    fn end(&mut self) {
        if self.at.take().is_some() {
            self.watch.set(None);
        }
    }

    fn is_over(&mut self, total: u64, limit: Duration) -> bool {
        if self.at != Some(total) {
            self.at = Some(total);
            self.watch.set(Some(limit));
        }
        self.watch.expired()
    }
}

// === impl Shared ===

impl Shared {
    fn attach(&self, waker: &Waker) {
        self.watch.attach(waker);
        let mut own = self.waker.borrow_mut();
        if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
    }

    /// The client reset a stream.
    fn reset(&self, now: Duration) {
        if self.resets.borrow_mut().reset(now) {
            self.enough.set(true);
            if let Some(waker) = self.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    fn served(&self) {
        self.resets.borrow_mut().served();
    }
}

// === impl Active ===

impl Active {
    fn new(shared: &Rc<Shared>) -> Active {
        shared.active.set(shared.active.get() + 1);
        shared.watch.set(None);
        Active(Rc::clone(shared))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let active = self.0.active.get().saturating_sub(1);
        self.0.active.set(active);
        if active == 0 {
            let stopping = self.0.watch.stopping();
            self.0.watch.set(Some(if stopping { LAST_WORDS } else { self.0.keep_alive }));
        }
    }
}
