//! Upstreams that speak HTTP/2 without TLS: few connections, shared by all requests of a worker.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{self, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use rustc_hash::FxHashMap;
use tokio::sync::Mutex;

use super::connect;
use super::io::Io;
use super::outgoing::{Outgoing, trailing};
use super::{Failure, Filled, Length, Piece, Source};
use crate::config::HeadLimits;
use crate::deadline::Watch;
use crate::h2::{Batch, trailer_lines, trailer_map};
use crate::metrics::UpstreamMetrics;
use crate::wire::MOST_HEADERS;
use crate::wire::field::Kind;
use crate::wire::response::{self, Answer, AnswerBody};
use crate::worker;
use crate::{Limits, Refusal, Upstream};

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
    /// Keeps the address from being used for another upstream, not the upstream itself.
    upstream: Weak<Upstream>,
    name: Arc<str>,
    metrics: Arc<UpstreamMetrics>,
    open: RefCell<Vec<Rc<Connection>>>,
    /// Whoever connects has it; the others wait for the connection that comes of it.
    connecting: Mutex<()>,
}

struct Connection {
    requests: SendRequest<Bytes>,
    active: Cell<usize>,
    closed: Cell<bool>,
    /// Nobody comes any more: it ends with its last stream.
    leaving: Cell<bool>,
    served: Cell<bool>,
    watch: Watch,
    keep_alive: Duration,
}

/// What reads and writes for a connection, and what is to be done when it ends, however it does:
/// whoever keeps a connection that is closed keeps its deadline, which a stop waits for.
struct Driving {
    entry: Rc<Entry>,
    connection: Rc<Connection>,
}

/// A stream on a connection.
struct Active(Rc<Connection>);

/// One request under way.
pub(crate) struct Call {
    entry: Rc<Entry>,
    limits: Arc<Limits>,
    request: SendStream<Bytes>,
    upload: Upload,
    /// Names that do not go on as trailers.
    kept_back: Box<[HeaderName]>,
    /// Something of the body was taken from its source: it cannot be sent once more.
    touched: bool,
    started: Instant,
    /// How long it took until the answer's head was there.
    elapsed: Duration,
    /// The head of the answer, in HTTP/1.1's words, until it was passed on.
    answer: Option<Answer>,
    head: Vec<u8>,
    /// Absent once it was read to its end.
    body: Option<RecvStream>,
    piece: Bytes,
    trailers: Vec<u8>,
    _active: Active,
}

/// How far the request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    /// Nothing of it is gone: the request can be sent once more.
    Untouched,
    Going,
    /// Sent to its end, or not wanted any more.
    Over,
}

/// Why a call did not begin.
enum Trouble {
    Failed(Failure),
    /// The upstream did nothing with it, and nothing of a body is gone.
    Again,
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn begin<S: Source>(
    context: &Rc<worker::Context>,
    outgoing: &Outgoing<'_>,
    source: &mut S,
    watch: &Watch,
) -> Result<Call, Failure> {
    let upstream = &outgoing.forward.upstream;
    let entry = context.h2c.entry(context, upstream);
    let limits = &outgoing.forward.limits;
    let Some(head) = request(outgoing, source.length()) else {
        return Err(entry.bad("the request cannot be sent over HTTP/2"));
    };
    poll_fn(|cx| source.poll_invite(cx)).await?;
    for _ in 0..=limits.retries {
        let connection = entry.connection(context, upstream, limits, source, watch).await?;
        let active = Active::new(&connection);
        let begun = open(&entry, outgoing, &connection, active, &head, source, watch).await;
        let (mut call, response) = match begun {
            Ok(begun) => begun,
            Err(Trouble::Failed(failure)) => return Err(failure),
            Err(Trouble::Again) => {
                entry.metrics.retries.add(1);
                continue;
            }
        };
        match call.wait(response, source, watch).await {
            Ok(response) => {
                let (limits, method) = (&context.config.heads, outgoing.request.method());
                return match call.take(response, limits, method) {
                    Ok(()) => Ok(call),
                    Err(reason) => Err(entry.bad(reason)),
                };
            }
            Err(Trouble::Failed(failure)) => return Err(failure),
            Err(Trouble::Again) => entry.metrics.retries.add(1),
        }
    }
    entry.metrics.failures.add(1);
    Err(entry.bad("it does not take the request"))
}

async fn open<S: Source>(
    entry: &Rc<Entry>,
    outgoing: &Outgoing<'_>,
    connection: &Rc<Connection>,
    active: Active,
    head: &Request<()>,
    source: &mut S,
    watch: &Watch,
) -> Result<(Call, ResponseFuture), Trouble> {
    let limits = &outgoing.forward.limits;
    let mut requests = connection.requests.clone();
    let ready = within(watch, limits.connect, source, poll_fn(|cx| requests.poll_ready(cx))).await;
    let ready = ready.map_err(|late| Trouble::Failed(late.failure(&entry.name)))?;
    let over = source.length() == Length::None;
    let sent = ready.and_then(|()| requests.send_request(head.clone(), over));
    let Ok((response, request)) = sent else {
        connection.closed.set(true);
        return Err(Trouble::Again);
    };
    if connection.served.replace(true) {
        entry.metrics.reused.add(1);
    }
    let call = Call {
        entry: Rc::clone(entry),
        limits: Arc::clone(limits),
        request,
        upload: if over { Upload::Over } else { Upload::Untouched },
        kept_back: if over { Box::default() } else { outgoing.kept_back() },
        touched: false,
        started: Instant::now(),
        elapsed: Duration::ZERO,
        answer: None,
        head: Vec::new(),
        body: None,
        piece: Bytes::new(),
        trailers: Vec::new(),
        _active: active,
    };
    Ok((call, response))
}

/// The head that an upstream of HTTP/1.1 would get, in HTTP/2's words: what goes on, and what is
/// added, is decided in one place.
fn request(outgoing: &Outgoing<'_>, length: Length) -> Option<Request<()>> {
    let mut text = Vec::new();
    outgoing.write(&mut text, length);
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS + 16];
    let mut parsed = httparse::Request::new(&mut headers);
    if !parsed.parse(&text).ok()?.is_complete() {
        return None;
    }
    let mut authority = None;
    let mut map = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        match Kind::of(field.name.as_bytes()) {
            Kind::Host => authority = Some(field.value),
            Kind::Te => {
                map.insert(header::TE, HeaderValue::from_static("trailers"));
            }
            Kind::Expect => {}
            kind if kind.is_hop_by_hop() => {}
            _ => {
                let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
                map.try_append(name, HeaderValue::from_bytes(field.value).ok()?).ok()?;
            }
        }
    }
    let uri = http::Uri::builder().scheme("http").authority(authority?);
    let uri = uri.path_and_query(&outgoing.forward.target[..]).build().ok()?;
    let mut request = Request::new(());
    *request.method_mut() = outgoing.request.method().clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = map;
    Some(request)
}

/// The head of an answer as one of HTTP/1.1, to be read as all others are.
fn head_text(response: &Response<RecvStream>, method: &Method) -> Vec<u8> {
    let mut text = b"HTTP/1.1 ".to_vec();
    text.extend_from_slice(response.status().as_str().as_bytes());
    text.extend_from_slice(b" \r\n");
    for (name, value) in response.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    // Without a body by what they are, these say nothing of how long one would be.
    let bodiless = method == Method::HEAD || response.status() == StatusCode::NOT_MODIFIED;
    if !bodiless && !response.headers().contains_key(header::CONTENT_LENGTH) {
        text.extend_from_slice(match response.body().is_end_stream() {
            true => b"content-length: 0\r\n",
            false => b"transfer-encoding: chunked\r\n",
        });
    }
    text.extend_from_slice(b"\r\n");
    text
}

// === impl Call ===

impl Call {
    /// Waits for the head of the answer, and sends the body meanwhile.
    async fn wait<S: Source>(
        &mut self,
        mut response: ResponseFuture,
        source: &mut S,
        watch: &Watch,
    ) -> Result<Response<RecvStream>, Trouble> {
        watch.set(Some(self.phase()));
        poll_fn(|cx| {
            match pin!(&mut response).poll(cx) {
                Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
                Poll::Ready(Err(error)) => {
                    let trouble = match !self.touched && was_not_served(&error) {
                        true => Trouble::Again,
                        false => Trouble::Failed(self.failed("it broke off before its answer")),
                    };
                    return Poll::Ready(Err(trouble));
                }
                Poll::Pending => {}
            }
            let before = self.upload;
            let moved = self.poll_request(cx, source);
            match moved {
                Ok(true) => watch.set(Some(self.phase())),
                Ok(false) if before != self.upload => watch.set(Some(self.phase())),
                Ok(false) => {}
                Err(failure) => return Poll::Ready(Err(Trouble::Failed(failure))),
            }
            match watch.expired() {
                true => Poll::Ready(Err(Trouble::Failed(self.late(watch)))),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// While the request goes out, the time between two pieces counts; afterwards the time until
    /// the answer's head.
    fn phase(&self) -> Duration {
        match self.upload {
            Upload::Over => self.limits.response_head,
            Upload::Untouched | Upload::Going => self.limits.request_idle,
        }
    }

    /// What took too long: the client's body, or the upstream.
    fn late(&self, watch: &Watch) -> Failure {
        let seconds = self.phase().as_secs();
        if watch.aborted() {
            return Failure::Gone;
        }
        if self.upload != Upload::Over {
            return Failure::Refused(Refusal::RequestTimeout { seconds });
        }
        self.entry.metrics.timeouts.add(1);
        let upstream = Arc::clone(&self.entry.name);
        Failure::Refused(Refusal::GatewayTimeout { upstream, seconds })
    }

    fn failed(&self, reason: &'static str) -> Failure {
        self.entry.metrics.failures.add(1);
        self.bad(reason)
    }

    pub(super) fn bad(&self, reason: &'static str) -> Failure {
        self.entry.bad(reason)
    }

    fn take(
        &mut self,
        response: Response<RecvStream>,
        limits: &HeadLimits,
        method: &Method,
    ) -> Result<(), &'static str> {
        self.elapsed = self.started.elapsed();
        self.head = head_text(&response, method);
        self.answer = response::parse(&self.head, limits, method)?;
        self.body = Some(response.into_body());
        Ok(())
    }

    /// Moves the request on, or looks whether the client is still there.
    pub(super) fn poll_upload<S: Source>(
        &mut self,
        cx: &mut task::Context<'_>,
        source: &mut S,
    ) -> Result<(), Failure> {
        self.poll_request(cx, source).map(|_| ())
    }

    /// Whether something was sent.
    fn poll_request<S: Source>(
        &mut self,
        cx: &mut task::Context<'_>,
        source: &mut S,
    ) -> Result<bool, Failure> {
        let mut moved = false;
        while self.upload != Upload::Over {
            match source.poll_fill(cx) {
                Poll::Ready(Ok(Filled::Data)) => {}
                Poll::Ready(Ok(Filled::End)) => {
                    self.upload = Upload::Over;
                    let sent = match &*trailing(source.trailers(), &self.kept_back) {
                        b"" => self.request.send_data(Bytes::new(), true),
                        lines => {
                            self.touched = true;
                            self.request.send_trailers(trailer_map(lines))
                        }
                    };
                    // An upstream that answered early does not want the rest.
                    drop(sent);
                    return Ok(true);
                }
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => return Ok(moved),
            }
            match self.send(cx, source) {
                Poll::Ready(true) => moved = true,
                Poll::Ready(false) => self.upload = Upload::Over,
                Poll::Pending => return Ok(moved),
            }
        }
        match source.poll_gone(cx) {
            Poll::Ready(()) => Err(Failure::Gone),
            Poll::Pending => Ok(moved),
        }
    }

    /// Sends as much as the upstream takes; false when it takes nothing any more.
    fn send<S: Source>(&mut self, cx: &mut task::Context<'_>, source: &mut S) -> Poll<bool> {
        let wanted = source.data().len();
        self.request.reserve_capacity(wanted);
        while self.request.capacity() == 0 {
            match ready!(self.request.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(false),
            }
        }
        let room = self.request.capacity().min(wanted);
        let data = Bytes::copy_from_slice(source.data().get(..room).unwrap_or_default());
        self.upload = Upload::Going;
        self.touched = true;
        source.consume(room);
        Poll::Ready(self.request.send_data(data, false).is_ok())
    }

    pub(super) fn head(&self) -> Option<(&Answer, &[u8])> {
        self.answer.as_ref().map(|answer| (answer, &self.head[..]))
    }

    pub(super) fn set_idle(&self, watch: &Watch) {
        watch.set(self.limits.idle);
    }

    pub(super) fn accept(&mut self, watch: &Watch) -> AnswerBody {
        self.set_idle(watch);
        self.head = Vec::new();
        let Some(answer) = self.answer.take() else { return AnswerBody::None };
        self.entry.metrics.answered(answer.status.as_u16(), self.elapsed);
        answer.body
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    pub(super) fn is_uploaded(&self) -> bool {
        self.upload == Upload::Over
    }

    pub(super) fn is_read(&self) -> bool {
        self.body.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    pub(super) fn data(&self) -> &[u8] {
        &self.piece
    }

    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.piece.len());
        self.piece.advance(count);
        if let Some(body) = &mut self.body {
            // Only a stream that is gone refuses, and that is told by the next read.
            let _ = body.flow_control().release_capacity(count);
        }
    }

    pub(super) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Moves both bodies on.
    pub(super) fn poll_piece<S: Source>(
        &mut self,
        cx: &mut task::Context<'_>,
        source: &mut S,
        watch: &Watch,
    ) -> Poll<Result<Piece, Failure>> {
        if watch.expired() {
            return Poll::Ready(Err(self.late(watch)));
        }
        if self.body.is_some() && self.poll_request(cx, source)? {
            self.set_idle(watch);
        }
        if !self.piece.is_empty() {
            return Poll::Ready(Ok(Piece::Data));
        }
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(Piece::End)) };
        loop {
            match ready!(body.poll_data(cx)) {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    self.piece = piece;
                    self.set_idle(watch);
                    return Poll::Ready(Ok(Piece::Data));
                }
                Some(Err(_)) => {
                    return Poll::Ready(Err(self.failed("it broke off within its answer")));
                }
                None => break,
            }
        }
        match ready!(body.poll_trailers(cx)) {
            Ok(trailers) => {
                self.trailers = trailers.as_ref().map(trailer_lines).unwrap_or_default();
                self.body = None;
                Poll::Ready(Ok(Piece::End))
            }
            Err(_) => Poll::Ready(Err(self.failed("it broke off within its answer"))),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // What is not over is not wanted: that is told by the handles' going too, but later.
        if self.upload != Upload::Over || !self.is_read() {
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
    fn entry(&self, context: &worker::Context, upstream: &Arc<Upstream>) -> Rc<Entry> {
        let mut to = self.to.borrow_mut();
        let key = Arc::as_ptr(upstream) as usize;
        if let Some(entry) = to.get(&key) {
            return Rc::clone(entry);
        }
        let entry = Rc::new(Entry {
            upstream: Arc::downgrade(upstream),
            name: Arc::clone(&upstream.name),
            metrics: context.observer.metrics.upstream(&upstream.name),
            open: RefCell::default(),
            connecting: Mutex::new(()),
        });
        to.insert(key, Rc::clone(&entry));
        entry
    }

    /// Lets go of upstreams that are retired or gone: what runs there runs on, what is idle ends.
    pub(crate) fn drop_retired(&self) {
        self.to.borrow_mut().retain(|_, entry| {
            let alive = entry.upstream.upgrade().is_some_and(|upstream| !upstream.is_retired());
            if !alive {
                entry.open.borrow().iter().for_each(|connection| connection.leave());
            }
            alive
        });
    }
}

// === impl Entry ===

impl Entry {
    fn bad(&self, reason: &'static str) -> Failure {
        let upstream = Arc::clone(&self.name);
        Failure::Refused(Refusal::BadGateway { upstream, reason })
    }

    fn unavailable(&self) -> Failure {
        let upstream = Arc::clone(&self.name);
        Failure::Refused(Refusal::Unavailable { upstream })
    }

    /// The connection with the fewest streams, unless it is full and another one may be made.
    fn free(&self) -> Option<Rc<Connection>> {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| !connection.closed.get());
        let fewest = open.iter().min_by_key(|connection| connection.active.get())?;
        let full = fewest.active.get() >= fewest.requests.current_max_send_streams();
        (!full || open.len() >= MOST).then(|| Rc::clone(fewest))
    }

    async fn connection<S: Source>(
        self: &Rc<Entry>,
        context: &Rc<worker::Context>,
        upstream: &Upstream,
        limits: &Limits,
        source: &mut S,
        watch: &Watch,
    ) -> Result<Rc<Connection>, Failure> {
        if upstream.is_retired() {
            return Err(self.unavailable());
        }
        if let Some(free) = self.free() {
            return Ok(free);
        }
        let connect = async {
            let _connecting = self.connecting.lock().await;
            match self.free() {
                Some(free) => Ok(free),
                None => self.connect(context, upstream, limits.connect).await,
            }
        };
        match within(watch, limits.connect, source, connect).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => {
                self.metrics.connects_failed.add(1);
                tracing::debug!(%error, upstream = %self.name, "no connection");
                Err(self.unavailable())
            }
            Err(late) => {
                self.metrics.connects_failed.add(1);
                Err(late.failure(&self.name))
            }
        }
    }

    async fn connect(
        self: &Rc<Entry>,
        context: &Rc<worker::Context>,
        upstream: &Upstream,
        limit: Duration,
    ) -> std::io::Result<Rc<Connection>> {
        let io = Batch::new(context, connect::open(upstream, limit).await?);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEAD);
        let greeted = builder.handshake::<_, Bytes>(io.clone()).await;
        let (requests, driver) = greeted.map_err(std::io::Error::other)?;
        let watch = context.deadlines.watch();
        let keep_alive = context.config.timeouts.upstream_keep_alive;
        watch.set(Some(keep_alive));
        let connection = Rc::new(Connection {
            requests,
            active: Cell::new(0),
            closed: Cell::new(false),
            leaving: Cell::new(false),
            served: Cell::new(false),
            watch,
            keep_alive,
        });
        self.metrics.connects.add(1);
        self.open.borrow_mut().push(Rc::clone(&connection));
        let driving = Driving::new(self, &connection);
        tokio::task::spawn_local(drive(driver, io, driving));
        Ok(connection)
    }
}

// === impl Connection ===

impl Connection {
    fn leave(&self) {
        self.leaving.set(true);
        if self.active.get() == 0 {
            self.watch.set(Some(Duration::ZERO));
        }
    }
}

// === impl Driving ===

impl Driving {
    fn new(entry: &Rc<Entry>, connection: &Rc<Connection>) -> Driving {
        entry.metrics.open.add(1);
        Driving { entry: Rc::clone(entry), connection: Rc::clone(connection) }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        self.connection.closed.set(true);
        self.entry.metrics.open.sub(1);
        self.entry.open.borrow_mut().retain(|open| !Rc::ptr_eq(open, &self.connection));
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
            let over = connection.watch.stopping() || connection.leaving.get();
            connection.watch.set(Some(if over { Duration::ZERO } else { connection.keep_alive }));
        }
    }
}

/// Reads and writes for all streams of a connection, until it breaks, was idle for long, or the
/// server stops.
async fn drive(driver: h2::client::Connection<Batch<Io>, Bytes>, io: Batch<Io>, driving: Driving) {
    let connection = &driving.connection;
    let mut driver = pin!(driver);
    poll_fn(|cx| {
        connection.watch.attach(cx.waker());
        let over = driver.as_mut().poll(cx).is_ready();
        let broken = matches!(io.poll_drain(cx), Poll::Ready(Err(_)));
        if over || broken {
            return Poll::Ready(());
        }
        let idle = connection.active.get() == 0;
        let stop = connection.watch.stopping() || connection.watch.expired();
        if connection.watch.aborted() || (idle && stop) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Why something was not waited for.
enum Late {
    Gone,
    Timeout(Duration),
}

// === impl Late ===

impl Late {
    fn failure(self, upstream: &Arc<str>) -> Failure {
        match self {
            Late::Gone => Failure::Gone,
            Late::Timeout(limit) => Failure::Refused(Refusal::GatewayTimeout {
                upstream: Arc::clone(upstream),
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
