//! What the engine asks for each request, and what it can be told to do.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;

use crate::{RequestHead, Upstream};

/// Says what becomes of requests. Called on the thread that serves the connection: it must not
/// block; what takes time is a [`Decision::Later`].
pub trait Policy: Send + Sync + 'static {
    /// Looks at a head before any of the body was read.
    fn decide(&self, request: &Arc<RequestHead>, peer: &Peer) -> Decision;

    /// The page for what the engine itself refuses. `request` is absent when the head could not
    /// be read.
    fn refuse(&self, request: Option<&RequestHead>, peer: &Peer, refusal: &Refusal) -> Response;

    /// Whom a request goes to instead that came to nothing with `failed`. Asked only where the
    /// upstream did nothing with it, or where doing it twice does no harm; `attempt` is 1 after
    /// the first failure. None leaves it at that.
    fn elsewhere(
        &self,
        _request: &Arc<RequestHead>,
        _peer: &Peer,
        _failed: &Forward,
        _attempt: u8,
    ) -> Option<Box<Forward>> {
        None
    }
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// The address that was connected to.
    pub local: SocketAddr,
    pub scheme: Scheme,
    /// The name the client asked for in its TLS greeting.
    pub server_name: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

/// What becomes of a request.
pub enum Decision {
    Forward(Box<Forward>),
    Respond(Response),
    /// Reads the body, at most `limit` bytes (else 413), then asks again.
    Read {
        limit: usize,
        then: Box<dyn FnOnce(Bytes) -> Later + Send>,
    },
    Later(Later),
}

/// A decision that takes time. Dropped when the client leaves.
pub type Later = Pin<Box<dyn Future<Output = Decision> + Send>>;

/// How a request goes on.
pub struct Forward {
    pub upstream: Arc<Upstream>,
    /// Path and query as the upstream gets them. Must come from a normalised [`crate::Path`].
    pub target: Bytes,
    pub host: Host,
    /// For metrics and logs.
    pub route: RouteId,
    /// For the access log.
    pub user: Option<Arc<str>>,
    pub request: HeaderEdits,
    pub response: Option<Arc<dyn ResponseEdit>>,
    pub limits: Arc<Limits>,
    pub upgrade: Upgrade,
    /// Dropped with the request, whatever becomes of it.
    pub follow: Option<Box<dyn Follow>>,
}

/// Hears what became of a request that was forwarded.
pub trait Follow: Send {
    /// It is over. Not called for a request that is given up with its connection: then this is
    /// dropped only.
    fn finished(&mut self, outcome: &Outcome);
}

/// How a request went.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub status: u16,
    /// Bytes of bodies, from the client and to it.
    pub received: u64,
    pub sent: u64,
    /// From the request's going out to the head of the answer.
    pub upstream_time: Option<Duration>,
    /// What ended it early.
    pub error: Option<&'static str>,
}

/// The `Host` header that the upstream gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// The client's.
    Keep,
    Set(Bytes),
}

/// Whether `Upgrade` (WebSocket and others) goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    Allow,
    Strip,
}

/// One of the names given to the engine at the start; labels of metrics are bounded that way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RouteId(pub u16);

/// Changes to the headers of a request. The hop-by-hop ones and X-Forwarded-*, Forwarded,
/// X-Real-IP and X-Request-Id are the engine's own matter.
/// What is removed or set does not pass as a trailer either.
#[derive(Clone, Debug, Default)]
pub struct HeaderEdits {
    /// Names, lower case.
    pub remove: SmallVec<[HeaderName; 4]>,
    /// Replace what the client sent under the name.
    pub set: SmallVec<[(HeaderName, HeaderValue); 4]>,
    /// Cookies that stay here; the others go on.
    pub remove_cookies: &'static [&'static str],
}

/// Looks at the head of an upstream's answer, and may change it.
pub trait ResponseEdit: Send + Sync {
    fn edit(&self, response: &mut ResponseHead);
}

/// The head of an upstream's answer, without the hop-by-hop headers.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// An answer of the gateway's own.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: StatusCode,
    /// Without content-length, date and connection: the engine writes those.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    pub route: RouteId,
    pub user: Option<Arc<str>>,
}

/// Limits of one route.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's body.
    pub request_body: u64,
    pub connect: Duration,
    /// From the end of the request to the head of the answer.
    pub response_head: Duration,
    /// Between two pieces of the answer; none for streams of events.
    pub idle: Option<Duration>,
    /// Between two pieces of the request's body.
    pub request_idle: Duration,
    /// How many other attempts a safe request without a body gets when the connection fails
    /// before anything of the answer came.
    pub retries: u8,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_body: 1024 * 1024 * 1024,
            connect: Duration::from_secs(5),
            response_head: Duration::from_secs(60),
            idle: None,
            request_idle: Duration::from_secs(60),
            retries: 1,
        }
    }
}

/// Why the engine itself refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: the text says what is wrong.
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the request's head has more than {limit} bytes")]
    HeadTooLarge { limit: usize },
    #[error("the request has more than {limit} headers")]
    TooManyHeaders { limit: usize },
    #[error("the request's target has more than {limit} bytes")]
    TargetTooLong { limit: usize },
    #[error("the request's body has more than {limit} bytes")]
    BodyTooLarge { limit: u64 },
    /// 408: the client was too slow.
    #[error("the request did not come within {seconds} s")]
    RequestTimeout { seconds: u64 },
    /// 417, 501, 505.
    #[error("{what}")]
    Unsupported { status: StatusCode, what: &'static str },
    /// 502: the upstream cannot be reached, or broke its connection, or sent nonsense.
    #[error("{upstream}: {reason}")]
    BadGateway { upstream: Arc<str>, reason: &'static str },
    /// 503: nothing listens there.
    #[error("{upstream} is not available")]
    Unavailable { upstream: Arc<str> },
    /// 504.
    #[error("no answer from {upstream} within {seconds} s")]
    GatewayTimeout { upstream: Arc<str>, seconds: u64 },
}

// === impl Refusal ===

impl Refusal {
    pub fn status(&self) -> StatusCode {
        match self {
            Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
            Refusal::HeadTooLarge { .. } | Refusal::TooManyHeaders { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Refusal::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Refusal::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::RequestTimeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Refusal::Unsupported { status, .. } => *status,
            Refusal::BadGateway { .. } => StatusCode::BAD_GATEWAY,
            Refusal::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::GatewayTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// In words that need nothing else.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Refusal::Malformed(reason) | Refusal::BadGateway { reason, .. } => reason,
            Refusal::HeadTooLarge { .. } => "the head is too large",
            Refusal::TooManyHeaders { .. } => "too many headers",
            Refusal::TargetTooLong { .. } => "the target is too long",
            Refusal::BodyTooLarge { .. } => "the body is too large",
            Refusal::RequestTimeout { .. } => "the request came too slowly",
            Refusal::Unsupported { what, .. } => what,
            Refusal::Unavailable { .. } => "the upstream is not available",
            Refusal::GatewayTimeout { .. } => "the upstream is too slow",
        }
    }
}
