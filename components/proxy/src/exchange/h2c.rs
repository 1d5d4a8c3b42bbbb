//! Upstreams that speak HTTP/2 without TLS: few connections, shared by all requests of a worker.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode, header};
use rustc_hash::FxHashMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;

use super::{Failure, Filled, Length, Piece, Source, SourceError};
use crate::deadline::{Deadlines, Watch};
use crate::h2::{trailer_lines, trailer_map};
use crate::metrics::UpstreamMetrics;
use crate::upstream::Address;
use crate::{Limits, Refusal, ResponseHead, Upstream};

/// Connections to one upstream: another one is made when all have as many streams as it allows.
const MOST: usize = 4;
/// What an upstream may send of one answer before any of it went on.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// What is taken from a client before the upstream took it.
const SEND_BUFFER: usize = 128 * 1024;
/// Bytes of an answer's head.
const HEAD: u32 = 64 * 1024;

/// The connections of one worker.
#[derive(Default)]
pub(crate) struct Connections {
    to: RefCell<FxHashMap<usize, Rc<Entry>>>,
}

/// Those to one upstream.
struct Entry {
    /// Holds the upstream, so that no other one comes to stand at its address in memory.
    upstream: Arc<Upstream>,
    open: RefCell<Vec<Rc<Connection>>>,
    /// Whoever connects has it; the others wait for the connection that comes of it.
    connecting: Mutex<()>,
}

struct Connection {
    requests: SendRequest<Bytes>,
    active: Cell<usize>,
    closed: Cell<bool>,
    served: Cell<bool>,
    watch: Watch,
    keep_alive: Duration,
}

/// A stream on a connection.
struct Active(Rc<Connection>);

/// What a call needs to know.
pub(super) struct Order<'a> {
    pub(super) upstream: &'a Arc<Upstream>,
    pub(super) head: Request<()>,
    pub(super) limits: &'a Arc<Limits>,
    pub(super) keep_alive: Duration,
}

/// One request under way.
pub(crate) struct Call {
    request: SendStream<Bytes>,
    /// The request was sent to its end, or is not wanted any more.
    sent: bool,
    answer: Option<RecvStream>,
    piece: Bytes,
    trailers: Vec<u8>,
    length: Length,
    upstream: Arc<Upstream>,
    limits: Arc<Limits>,
    _active: Active,
}

/// Why a call did not begin.
enum Trouble {
    Failed(Failure),
    /// The upstream did nothing with it, and nothing of a body is gone.
    Again,
}

trait Io: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// Sends a request and waits for the head of its answer.
pub(super) async fn begin<S: Source>(
    connections: &Connections,
    deadlines: &Rc<Deadlines>,
    order: &Order<'_>,
    source: &mut S,
    watch: &Watch,
    metrics: &UpstreamMetrics,
) -> Result<(ResponseHead, Call), Failure> {
    let mut left = order.limits.retries.max(1);
    loop {
        let connection = connections.get(deadlines, order, source, watch, metrics).await?;
        match call(connection, order, source, watch, metrics).await {
            Ok(done) => return Ok(done),
            Err(Trouble::Failed(failure)) => return Err(failure),
            Err(Trouble::Again) if left > 0 => {
                left -= 1;
                metrics.retries.add(1);
            }
            Err(Trouble::Again) => {
                metrics.failures.add(1);
                return Err(bad_gateway(order.upstream, "the upstream refuses streams"));
            }
        }
    }
}

async fn call<S: Source>(
    connection: Rc<Connection>,
    order: &Order<'_>,
    source: &mut S,
    watch: &Watch,
    metrics: &UpstreamMetrics,
) -> Result<(ResponseHead, Call), Trouble> {
    let active = Active::new(&connection);
    let mut requests = connection.requests.clone();
    let limits = order.limits;
    let ready = within(watch, limits.connect, source, poll_fn(|cx| requests.poll_ready(cx)));
    match ready.await.map_err(|late| Trouble::Failed(late.failure(order.upstream)))? {
        Ok(()) => {}
        Err(_) => {
            connection.closed.set(true);
            return Err(Trouble::Again);
        }
    }
    if connection.served.replace(true) {
        metrics.reused.add(1);
    }
    let over = source.length() == Length::None;
    let Ok((response, request)) = requests.send_request(order.head.clone(), over) else {
        connection.closed.set(true);
        return Err(Trouble::Again);
    };
    let mut call = Call {
        request,
        sent: over,
        answer: None,
        piece: Bytes::new(),
        trailers: Vec::new(),
        length: Length::None,
        upstream: Arc::clone(order.upstream),
        limits: Arc::clone(limits),
        _active: active,
    };
    let response = call.head(response, source, watch, metrics).await?;
    let (parts, body) = response.into_parts();
    call.length = length(&parts.headers, body.is_end_stream());
    call.answer = Some(body);
    watch.set(call.limits.idle);
    Ok((response_head(parts.status, parts.headers), call))
}

fn response_head(status: StatusCode, headers: HeaderMap) -> ResponseHead {
    let mut all = Vec::with_capacity(headers.len());
    let mut last = None;
    for (name, value) in headers {
        last = name.or(last);
        if let Some(name) = &last {
            all.push((name.clone(), value));
        }
    }
    ResponseHead { status, headers: all }
}

fn length(headers: &HeaderMap, over: bool) -> Length {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    match declared.and_then(|value| value.parse().ok()) {
        Some(length) => Length::Exact(length),
        None if over => Length::None,
        None => Length::Unknown,
    }
}

fn bad_gateway(upstream: &Arc<Upstream>, reason: &'static str) -> Failure {
    Failure::Refused(Refusal::BadGateway { upstream: Arc::clone(&upstream.name), reason })
}

// === impl Call ===

impl Call {
    /// Waits for the head of the answer, and sends the body meanwhile.
    async fn head<S: Source>(
        &mut self,
        mut response: ResponseFuture,
        source: &mut S,
        watch: &Watch,
        metrics: &UpstreamMetrics,
    ) -> Result<Response<RecvStream>, Trouble> {
        let mut touched = false;
        let mut sent = self.sent;
        watch.set(Some(self.phase()));
        poll_fn(|cx| {
            watch.attach(cx.waker());
            match std::pin::Pin::new(&mut response).poll(cx) {
                Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
                Poll::Ready(Err(error)) => {
                    let again = !touched && was_not_served(&error);
                    return Poll::Ready(Err(match again {
                        true => Trouble::Again,
                        false => {
                            metrics.failures.add(1);
                            let reason = "the upstream broke off before its answer";
                            Trouble::Failed(bad_gateway(&self.upstream, reason))
                        }
                    }));
                }
                Poll::Pending => {}
            }
            if let Poll::Ready(Err(failure)) = self.poll_request(cx, source, watch, &mut touched) {
                return Poll::Ready(Err(Trouble::Failed(failure)));
            }
            if self.sent {
                if !sent {
                    sent = true;
                    watch.set(Some(self.limits.response_head));
                }
                if source.poll_gone(cx).is_ready() {
                    return Poll::Ready(Err(Trouble::Failed(Failure::Gone)));
                }
            }
            match watch.expired() {
                true => {
                    metrics.timeouts.add(1);
                    Poll::Ready(Err(Trouble::Failed(self.late())))
                }
                false => Poll::Pending,
            }
        })
        .await
    }

    fn phase(&self) -> Duration {
        if self.sent { self.limits.response_head } else { self.limits.request_idle }
    }

    /// What took too long: the client's body, or the upstream.
    fn late(&self) -> Failure {
        let seconds = self.phase().as_secs();
        match self.sent {
            true => {
                let upstream = Arc::clone(&self.upstream.name);
                Failure::Refused(Refusal::GatewayTimeout { upstream, seconds })
            }
            false => Failure::Refused(Refusal::RequestTimeout { seconds }),
        }
    }

    /// Moves the request's body on; ready when there is nothing more to move.
    fn poll_request<S: Source>(
        &mut self,
        cx: &mut task::Context<'_>,
        source: &mut S,
        watch: &Watch,
        touched: &mut bool,
    ) -> Poll<Result<(), Failure>> {
        while !self.sent {
            let filled = ready!(source.poll_fill(cx)).map_err(|error| match error {
                SourceError::Gone => Failure::Gone,
                SourceError::Refused(refusal) => Failure::Refused(refusal),
            })?;
            if filled == Filled::End {
                self.sent = true;
                let sent = match source.trailers() {
                    b"" => self.request.send_data(Bytes::new(), true),
                    lines => self.request.send_trailers(trailer_map(lines)),
                };
                // An upstream that answered early does not want the rest.
                drop(sent);
                return Poll::Ready(Ok(()));
            }
            let wanted = source.data().len();
            self.request.reserve_capacity(wanted);
            let mut room = self.request.capacity().min(wanted);
            if room == 0 {
                match ready!(self.request.poll_capacity(cx)) {
                    Some(Ok(_)) => room = self.request.capacity().min(wanted),
                    Some(Err(_)) | None => {
                        self.sent = true;
                        return Poll::Ready(Ok(()));
                    }
                }
            }
            let data = Bytes::copy_from_slice(source.data().get(..room).unwrap_or_default());
            *touched = true;
            if self.request.send_data(data, false).is_err() {
                self.sent = true;
                return Poll::Ready(Ok(()));
            }
            source.consume(room);
            if self.answer.is_none() {
                watch.set(Some(self.limits.request_idle));
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn length(&self) -> Length {
        self.length
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.piece
    }

    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.piece.len());
        self.piece.advance(count);
        if let Some(answer) = &mut self.answer {
            // Only a stream that is gone refuses, and that is told by the next read.
            let _ = answer.flow_control().release_capacity(count);
        }
    }

    pub(crate) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Moves both bodies on.
    pub(crate) fn poll_piece<S: Source>(
        &mut self,
        cx: &mut task::Context<'_>,
        source: &mut S,
        watch: &Watch,
    ) -> Poll<Result<Piece, Failure>> {
        watch.attach(cx.waker());
        if let Poll::Ready(Err(failure)) = self.poll_request(cx, source, watch, &mut true) {
            return Poll::Ready(Err(failure));
        }
        if !self.piece.is_empty() {
            return Poll::Ready(Ok(Piece::Data));
        }
        let broken = || bad_gateway(&self.upstream, "the upstream broke off");
        let Some(answer) = &mut self.answer else { return Poll::Ready(Ok(Piece::End)) };
        loop {
            match answer.poll_data(cx) {
                Poll::Ready(Some(Ok(piece))) if piece.is_empty() => {}
                Poll::Ready(Some(Ok(piece))) => {
                    self.piece = piece;
                    watch.set(self.limits.idle);
                    return Poll::Ready(Ok(Piece::Data));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(broken())),
                Poll::Ready(None) => break,
                Poll::Pending if watch.expired() => return Poll::Ready(Err(broken())),
                Poll::Pending => return Poll::Pending,
            }
        }
        match answer.poll_trailers(cx) {
            Poll::Ready(Ok(trailers)) => {
                self.trailers = trailers.as_ref().map(trailer_lines).unwrap_or_default();
                self.answer = None;
                Poll::Ready(Ok(Piece::End))
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(broken())),
            Poll::Pending if watch.expired() => Poll::Ready(Err(broken())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.sent {
            self.request.send_reset(Reason::CANCEL);
        }
    }
}

/// The upstream says that it did nothing with the request.
fn was_not_served(error: &h2::Error) -> bool {
    error.reason() == Some(Reason::REFUSED_STREAM)
        || (error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR))
}

// === impl Connections ===

impl Connections {
    async fn get<S: Source>(
        &self,
        deadlines: &Rc<Deadlines>,
        order: &Order<'_>,
        source: &mut S,
        watch: &Watch,
        metrics: &UpstreamMetrics,
    ) -> Result<Rc<Connection>, Failure> {
        let upstream = order.upstream;
        if upstream.is_retired() {
            let upstream = Arc::clone(&upstream.name);
            return Err(Failure::Refused(Refusal::Unavailable { upstream }));
        }
        let entry = self.entry(upstream);
        if let Some(free) = entry.free() {
            return Ok(free);
        }
        let connect = async {
            let _connecting = entry.connecting.lock().await;
            if let Some(free) = entry.free() {
                return Ok(free);
            }
            let connection = connect(deadlines, order).await?;
            entry.open.borrow_mut().push(Rc::clone(&connection));
            metrics.connects.add(1);
            Ok::<_, io::Error>(connection)
        };
        match within(watch, order.limits.connect, source, connect).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                metrics.connects_failed.add(1);
                tracing::debug!(%error, upstream = %upstream.name, "no connection");
                let upstream = Arc::clone(&upstream.name);
                Err(Failure::Refused(Refusal::Unavailable { upstream }))
            }
            Err(late) => {
                metrics.connects_failed.add(1);
                Err(late.failure(upstream))
            }
        }
    }

    fn entry(&self, upstream: &Arc<Upstream>) -> Rc<Entry> {
        let mut to = self.to.borrow_mut();
        let key = Arc::as_ptr(upstream) as usize;
        if let Some(entry) = to.get(&key) {
            return Rc::clone(entry);
        }
        // New upstreams are rare: the moment to forget those that are gone.
        to.retain(|_, entry| {
            !entry.upstream.is_retired() && Arc::strong_count(&entry.upstream) > 1
        });
        let entry = Rc::new(Entry {
            upstream: Arc::clone(upstream),
            open: RefCell::default(),
            connecting: Mutex::new(()),
        });
        to.insert(key, Rc::clone(&entry));
        entry
    }
}

// === impl Entry ===

impl Entry {
    /// The connection with the fewest streams, unless it is full and another one may be made.
    fn free(&self) -> Option<Rc<Connection>> {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| !connection.closed.get());
        let fewest = open.iter().min_by_key(|connection| connection.active.get())?;
        let full = fewest.active.get() >= fewest.requests.current_max_send_streams();
        (!full || open.len() >= MOST).then(|| Rc::clone(fewest))
    }
}

// === impl Active ===

impl Active {
    fn new(connection: &Rc<Connection>) -> Active {
        connection.active.set(connection.active.get() + 1);
        connection.watch.set(None);
        Active(Rc::clone(connection))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let connection = &self.0;
        let active = connection.active.get().saturating_sub(1);
        connection.active.set(active);
        if active == 0 {
            let stopping = connection.watch.stopping();
            connection.watch.set(Some(if stopping {
                Duration::ZERO
            } else {
                connection.keep_alive
            }));
        }
    }
}

async fn connect(deadlines: &Rc<Deadlines>, order: &Order<'_>) -> io::Result<Rc<Connection>> {
    let io: Box<dyn Io> = match &order.upstream.address {
        Address::Tcp(address) => Box::new(nodelay(TcpStream::connect(address).await?)),
        Address::Name(name, port) => {
            Box::new(nodelay(TcpStream::connect((name.as_ref(), *port)).await?))
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
    };
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEAD);
    let (requests, driver) = builder.handshake::<_, Bytes>(io).await.map_err(io::Error::other)?;
    let watch = deadlines.watch();
    watch.set(Some(order.keep_alive));
    let connection = Rc::new(Connection {
        requests,
        active: Cell::new(0),
        closed: Cell::new(false),
        served: Cell::new(false),
        watch,
        keep_alive: order.keep_alive,
    });
    tokio::task::spawn_local(drive(driver, Rc::clone(&connection)));
    Ok(connection)
}

/// Small frames do not wait for each other.
fn nodelay(stream: TcpStream) -> TcpStream {
    // Slower, but right, without.
    let _ = stream.set_nodelay(true);
    stream
}

/// Reads and writes for all streams of a connection, until it breaks, was idle for long, or the
/// server stops.
async fn drive(driver: h2::client::Connection<Box<dyn Io>, Bytes>, connection: Rc<Connection>) {
    let mut driver = pin!(driver);
    poll_fn(|cx| {
        connection.watch.attach(cx.waker());
        if driver.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let idle = connection.active.get() == 0;
        let stop = connection.watch.stopping() || connection.watch.expired();
        if connection.watch.aborted() || (idle && stop) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    connection.closed.set(true);
}

/// Why something was not waited for.
enum Late {
    Gone,
    Timeout(Duration),
}

// === impl Late ===

impl Late {
    fn failure(self, upstream: &Arc<Upstream>) -> Failure {
        match self {
            Late::Gone => Failure::Gone,
            Late::Timeout(limit) => Failure::Refused(Refusal::GatewayTimeout {
                upstream: Arc::clone(&upstream.name),
                seconds: limit.as_secs(),
            }),
        }
    }
}

/// Waits while the client is there and the time is not over.
async fn within<S: Source, F: Future>(
    watch: &Watch,
    limit: Duration,
    source: &mut S,
    future: F,
) -> Result<F::Output, Late> {
    watch.set(Some(limit));
    let mut future = pin!(future);
    poll_fn(|cx| {
        watch.attach(cx.waker());
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        if source.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(Late::Gone));
        }
        if watch.expired() { Poll::Ready(Err(Late::Timeout(limit))) } else { Poll::Pending }
    })
    .await
}
