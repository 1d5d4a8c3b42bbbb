//! Incoming messages: which requests are messages, what they are answered, where they go.
//!
//! Peers keep connections for messages apart from others, and close one right behind its last
//! message. HTTP servers tend to drop what they are working on at the end of the stream, so
//! [`Inlet::serve`] takes new connections first, and leaves them to the server around it only when
//! something else than a message comes. Messages on other connections go to [`Inlet::receive`].

use crate::{Inbound, Upid, upid::sendable};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, header::USER_AGENT, request::Parts,
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use std::{error::Error, net::IpAddr, sync::Arc};
use tokio::sync::mpsc;

pub(crate) const AGENT_PREFIX: &str = "libprocess/";
pub(crate) const FROM_HEADER: &str = "libprocess-from";
const REQUIRE_MATCH: &str = "LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH";
/// Longest message name taken; the longest of the protocol has under 60 bytes.
pub const MAX_NAME: usize = 256;
/// Largest message body taken unless configured otherwise.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

/// What decides over incoming messages, apart from the requests themselves.
#[derive(Clone, Copy, Debug)]
pub struct InletConfig {
    /// Refuse messages whose claimed sender has another ip than the connection
    /// (`LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH`).
    ///
    /// Two addresses of loopback are taken for the same: whoever has one is on this machine.
    pub require_peer_ip_match: bool,
    /// Refuse messages that a proxy hands on: it says nothing of who sent them.
    pub refuse_forwarded: bool,
    /// Bodies above this are answered 413.
    pub max_body: usize,
}

/// Takes messages out of an HTTP server's requests and queues them for their owner.
#[derive(Clone)]
pub struct Inlet {
    pub(crate) config: InletConfig,
    actors: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    queue: mpsc::Sender<Inbound>,
}

/// The head of a request that is a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The sender's address as text; it may hold a host name.
    pub from: &'a str,
    /// The id of the actor meant.
    pub to: String,
    /// The message's name.
    pub name: &'a str,
}

/// A message that is refused: status and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status answered.
    pub status: StatusCode,
    /// The body answered.
    pub reason: String,
}

// === impl InletConfig ===

impl Default for InletConfig {
    fn default() -> Self {
        Self { require_peer_ip_match: false, refuse_forwarded: false, max_body: MAX_BODY }
    }
}

impl InletConfig {
    /// The defaults, changed by the variables of libprocess.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = variable(REQUIRE_MATCH);
        let require_peer_ip_match = value.is_some_and(|value| value == "true" || value == "1");
        Self { require_peer_ip_match, ..Self::default() }
    }

    /// As [`InletConfig::from_environment`], for a process that otherwise asks who its clients
    /// are: senders have to be who they say, unless the variable says that they need not.
    pub fn guarded(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = variable(REQUIRE_MATCH);
        let require_peer_ip_match = !value.is_some_and(|value| value == "false" || value == "0");
        Self { require_peer_ip_match, refuse_forwarded: true, ..Self::default() }
    }
}

// === impl Inlet ===

impl Inlet {
    /// `actors` says whether an id exists here; messages to others are answered 404.
    pub fn new(
        config: InletConfig,
        actors: impl Fn(&str) -> bool + Send + Sync + 'static,
        queue: mpsc::Sender<Inbound>,
    ) -> Self {
        Self { config, actors: Arc::new(actors), queue }
    }

    /// Whether a request is a message and belongs to [`Inlet::receive`].
    pub fn claims(&self, method: &Method, headers: &HeaderMap) -> bool {
        is_message(method, headers)
    }

    /// Queues the message and gives the answer to write. Waits while the queue is full.
    pub async fn receive<B>(&self, parts: &Parts, body: B, peer: IpAddr) -> Response<Full<Bytes>>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.accept(parts, body, peer).await {
            Ok(()) => respond(StatusCode::ACCEPTED, ""),
            Err(refused) => {
                tracing::debug!(%peer, status = %refused.status, reason = %refused.reason,
                    "refused a libprocess message");
                respond(refused.status, &refused.reason)
            }
        }
    }

    async fn accept<B>(&self, parts: &Parts, body: B, peer: IpAddr) -> Result<(), Refused>
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let forwarded = parts.headers.keys().any(|name| is_forwarding(name.as_str()));
        if self.config.refuse_forwarded && forwarded {
            let reason = "Messages are taken from their senders, not from proxies";
            return Err(bad(reason.to_owned()));
        }
        let head = head(parts.uri.path(), &parts.headers)?;
        let (from, to, name) = (head.from.to_owned(), head.to, head.name.to_owned());
        let address = self.admit(&from, &to, peer).await?;
        let body = collect(body, self.config.max_body).await?;
        self.deliver(Inbound { from: address, peer: peer.to_canonical(), to, name, body }).await
    }

    /// Decides over a message by its head, and gives the sender's address.
    pub(crate) async fn admit(&self, from: &str, to: &str, peer: IpAddr) -> Result<Upid, Refused> {
        let from = Upid::resolve(from)
            .await
            .map_err(|error| broken(format!("Failed to parse the sender of a message: {error}")))?;
        if self.config.require_peer_ip_match && !is_same_host(from.address.ip(), peer) {
            return Err(bad(format!("The message from {from} was sent from the address {peer}")));
        }
        if (self.actors)(to) { Ok(from) } else { Err(nobody()) }
    }

    /// Queues a message, waiting for room.
    pub(crate) async fn deliver(&self, message: Inbound) -> Result<(), Refused> {
        // Nobody at the other end of the queue: the actor is terminating.
        self.queue.send(message).await.map_err(|_| nobody())
    }

    /// Whether queueing a message would have to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.capacity() == 0
    }
}

/// Whether a request is a libprocess message rather than plain HTTP.
pub fn is_message(method: &Method, headers: &HeaderMap) -> bool {
    if method != Method::POST {
        return false;
    }
    headers.contains_key(FROM_HEADER)
        || headers
            .get(USER_AGENT)
            .is_some_and(|agent| agent.as_bytes().starts_with(AGENT_PREFIX.as_bytes()))
}

/// Whether a header is one that proxies add.
pub(crate) fn is_forwarding(name: &str) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    let prefix = name.get(.."x-forwarded".len());
    is("forwarded")
        || is("via")
        || is("x-real-ip")
        || prefix.is_some_and(|start| start.eq_ignore_ascii_case("x-forwarded"))
}

fn is_same_host(claimed: IpAddr, peer: IpAddr) -> bool {
    let (claimed, peer) = (claimed.to_canonical(), peer.to_canonical());
    claimed == peer || (claimed.is_loopback() && peer.is_loopback())
}

/// Reads sender, receiver and name from the head of a message.
pub fn head<'a>(path: &'a str, headers: &'a HeaderMap) -> Result<Head<'a>, Refused> {
    let value = |value: Option<&'a HeaderValue>| value.map(HeaderValue::as_bytes);
    head_of(path, value(headers.get(FROM_HEADER)), value(headers.get(USER_AGENT)))
}

/// The same from the values of `Libprocess-From` and `User-Agent`.
pub(crate) fn head_of<'a>(
    path: &'a str,
    from: Option<&'a [u8]>,
    agent: Option<&'a [u8]>,
) -> Result<Head<'a>, Refused> {
    let Some(path) = path.strip_prefix('/') else {
        return Err(bad("The path of a message starts with '/'".to_owned()));
    };
    let from = sender(from, agent)
        .ok_or_else(|| broken("Failed to determine the sender from the headers".to_owned()))?;
    let (id, name) = path.split_once('/').unwrap_or((path, ""));
    let to = percent_decode(id)
        .filter(|id| sendable(id))
        .ok_or_else(|| broken("Failed to decode the URL path".to_owned()))?;
    if name.len() > MAX_NAME {
        return Err(bad(format!("The name of a message has at most {MAX_NAME} bytes")));
    }
    Ok(Head { from, to, name })
}

fn sender<'a>(from: Option<&'a [u8]>, agent: Option<&'a [u8]>) -> Option<&'a str> {
    match from {
        Some(value) => std::str::from_utf8(value).ok().map(str::trim),
        None => std::str::from_utf8(agent?).ok()?.strip_prefix(AGENT_PREFIX),
    }
}

/// Ids may arrive percent-encoded. `None` if an escape is incomplete or the result is not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

async fn collect<B>(body: B, limit: usize) -> Result<Bytes, Refused>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let collected = Box::pin(Limited::new(body, limit).collect()).await;
    collected.map(|body| body.to_bytes()).map_err(|error| {
        if error.is::<LengthLimitError>() {
            return too_large(limit);
        }
        bad(format!("Failed to read the body: {error}"))
    })
}

pub(crate) fn too_large(limit: usize) -> Refused {
    let reason = format!("The body of a message has at most {limit} bytes");
    Refused { status: StatusCode::PAYLOAD_TOO_LARGE, reason }
}

pub(crate) fn bad(reason: String) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, reason }
}

fn nobody() -> Refused {
    Refused { status: StatusCode::NOT_FOUND, reason: String::new() }
}

fn broken(reason: String) -> Refused {
    Refused { status: StatusCode::INTERNAL_SERVER_ERROR, reason }
}

fn respond(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn only_posts_with_a_sender_are_messages() {
        let agent = headers(&[("user-agent", "libprocess/a@127.0.0.1:1")]);
        let from = headers(&[("libprocess-from", "a@127.0.0.1:1")]);
        let browser = headers(&[("user-agent", "Mozilla libprocess/")]);
        assert!(is_message(&Method::POST, &agent));
        assert!(is_message(&Method::POST, &from));
        assert!(!is_message(&Method::GET, &from));
        assert!(!is_message(&Method::POST, &browser));
    }

    #[test]
    fn libprocess_from_wins_and_is_trimmed() {
        let both =
            headers(&[("user-agent", "libprocess/x@1.1.1.1:1"), ("libprocess-from", "  y@2:2 ")]);
        assert_eq!(head("/m/n", &both).unwrap().from, "y@2:2");
        let agent = headers(&[("user-agent", "libprocess/x@1.1.1.1:1")]);
        assert_eq!(head("/m/n", &agent).unwrap().from, "x@1.1.1.1:1");
    }

    #[test]
    fn the_id_is_percent_decoded_and_the_name_is_not() {
        let from = headers(&[("libprocess-from", "a@127.0.0.1:1")]);
        let parsed = head("/slave%281%29/mesos.internal%2eX", &from).unwrap();
        assert_eq!((parsed.to.as_str(), parsed.name), ("slave(1)", "mesos.internal%2eX"));
        for path in ["/a%2/n", "/a%zz/n", "/%ff/n", "/%0a/n"] {
            assert_eq!(
                head(path, &from).unwrap_err().status,
                StatusCode::INTERNAL_SERVER_ERROR,
                "{path}"
            );
        }
        assert_eq!(head("*", &from).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn the_environment_may_ask_for_matching_addresses() {
        let config = |value: &str| InletConfig::from_environment(|_| Some(value.to_owned()));
        assert!(config("true").require_peer_ip_match);
        assert!(!config("false").require_peer_ip_match);
        assert!(!InletConfig::from_environment(|_| None).require_peer_ip_match);
        let guarded = |value: Option<&str>| InletConfig::guarded(|_| value.map(str::to_owned));
        assert!(guarded(None).require_peer_ip_match && guarded(Some("1")).require_peer_ip_match);
        assert!(!guarded(Some("false")).require_peer_ip_match);
        assert!(guarded(Some("false")).refuse_forwarded);
    }

    #[tokio::test]
    async fn what_a_proxy_hands_on_is_nobodys() {
        let (queue, mut messages) = mpsc::channel(4);
        let inlet = Inlet::new(InletConfig::guarded(|_| None), |id| id == "master", queue);
        let send = async |name: &'static str, from: &str| {
            let request = Request::post("/master/a.B").header("Libprocess-From", from);
            let request = request.header(name, "x").body(Full::new(Bytes::new())).unwrap();
            let (parts, body) = request.into_parts();
            inlet.receive(&parts, body, PEER).await.status()
        };
        for name in ["Forwarded", "X-Forwarded-For", "x-forwarded", "VIA", "X-Real-IP"] {
            assert_eq!(send(name, "x@127.0.0.1:9").await, 400, "{name}");
        }
        assert!(messages.try_recv().is_err());
        assert_eq!(send("Accept", "x@127.0.1.1:9").await, 202, "the same machine");
        assert_eq!(send("Accept", "x@10.0.0.1:9").await, 400);
    }

    async fn answer(inlet: &Inlet, path: &str, from: &str, body: &'static str) -> StatusCode {
        let body = Full::new(Bytes::from(body));
        let request = Request::post(path).header("Libprocess-From", from).body(body).unwrap();
        let (parts, body) = request.into_parts();
        inlet.receive(&parts, body, PEER).await.status()
    }

    #[tokio::test]
    async fn each_case_has_its_status() {
        let (queue, mut messages) = mpsc::channel(4);
        let config =
            InletConfig { require_peer_ip_match: true, max_body: 4, ..InletConfig::default() };
        let inlet = Inlet::new(config, |id| id == "master", queue);
        assert_eq!(answer(&inlet, "/master/a.B", "x@127.0.0.1:9", "hi").await, 202);
        assert_eq!(answer(&inlet, "/nobody/a.B", "x@127.0.0.1:9", "hi").await, 404);
        assert_eq!(answer(&inlet, "/master/a.B", "x@10.0.0.1:9", "hi").await, 400);
        assert_eq!(answer(&inlet, "/master/a.B", "nonsense", "hi").await, 500);
        assert_eq!(answer(&inlet, "/master/a.B", "x@127.0.0.1:9", "large").await, 413);
        let message = messages.recv().await.unwrap();
        assert_eq!(message.from.to_string(), "x@127.0.0.1:9");
        assert_eq!(message.peer, PEER);
        assert_eq!((message.to.as_str(), message.name.as_str()), ("master", "a.B"));
        assert_eq!(&message.body[..], b"hi");
        assert!(messages.try_recv().is_err(), "only the accepted message is queued");
        drop(messages);
        assert_eq!(answer(&inlet, "/master/a.B", "x@127.0.0.1:9", "hi").await, 404);
    }
}
