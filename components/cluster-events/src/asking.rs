//! Requests to the servers of the cluster, and how long to wait before the next attempt.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use http_kit::client::Authorities;
use http_kit::{Client, ClientConfig, ClientError};
use hyper::body::Incoming;

/// Redirects followed in a row; more is a circle.
const MOST_REDIRECTS: usize = 5;
/// The list of all apps is one answer.
const LARGEST_ANSWER: usize = 1 << 30;
/// Of an answer that says why there is none.
const LARGEST_EXCUSE: usize = 1 << 12;

/// Why there is no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("it answers {status}: {text}")]
    Status { status: StatusCode, text: String },
    #[error("it redirects in a circle, or to where no server is")]
    Redirect,
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
}

/// A text that names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http://host:port or https://host:port")]
pub struct NoServer;

/// Gives the `Authorization` for a request to a server of the cluster, fresh each time.
pub type Authorization =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Option<HeaderValue>> + Send>> + Send + Sync>;

/// A server by scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    is_tls: bool,
    host: Box<str>,
    port: u16,
}

/// Where a leading server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderFact {
    pub address: SocketAddr,
    pub is_tls: bool,
}

/// As whom requests are made, and how long they may take.
#[derive(Clone)]
pub struct AskConfig {
    /// What is written as `User-Agent`.
    pub user_agent: HeaderValue,
    /// None asks without a token.
    pub authorization: Option<Authorization>,
    /// Trusted beside the public ones.
    pub authorities: Authorities,
    pub connect_timeout: Duration,
    /// Until an answer begins, and between its parts. Streams have limits of their own.
    pub timeout: Duration,
}

/// Makes requests in the name of one component.
pub struct Ask {
    client: Client,
    user_agent: HeaderValue,
    authorization: Option<Authorization>,
}

// === impl AskConfig ===

impl AskConfig {
    /// Without a token, and with limits for servers of one's own cluster.
    pub fn new(user_agent: HeaderValue) -> AskConfig {
        AskConfig {
            user_agent,
            authorization: None,
            authorities: Authorities::default(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(60),
        }
    }
}

// === impl Server ===

impl Server {
    pub fn new(is_tls: bool, host: &str, port: u16) -> Server {
        Server { is_tls, host: host.into(), port }
    }

    /// Spoken to without TLS.
    pub fn http(address: SocketAddr) -> Server {
        Server::new(false, &address.ip().to_string(), address.port())
    }

    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// A name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Of something at this server. It begins with a slash.
    pub fn url(&self, path_and_query: &str) -> String {
        format!("{self}{path_and_query}")
    }

    /// As it is written in `Location`: also without a scheme. Never from TLS to none, since
    /// tokens are sent there.
    fn redirected(&self, location: &str) -> Option<Server> {
        let own = if self.is_tls { "https:" } else { "http:" };
        let full = match location.strip_prefix("//") {
            Some(_) => format!("{own}{location}"),
            None => location.to_owned(),
        };
        let server = Server::of(&full.parse().ok()?)?;
        (server.is_tls || !self.is_tls).then_some(server)
    }

    fn of(uri: &Uri) -> Option<Server> {
        let (host, port) = host_and_port(uri)?;
        Some(Server::new(uri.scheme_str() == Some("https"), host, port))
    }

    /// Where it is, if it leads.
    pub async fn leader(&self) -> Option<LeaderFact> {
        let address = resolve(&self.host, self.port).await?;
        Some(LeaderFact { address, is_tls: self.is_tls })
    }

    /// Another one of its kind, as `host:port`.
    pub async fn sibling(&self, host_and_port: &str) -> Option<LeaderFact> {
        let (host, port) = host_and_port.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = resolve(host, port.parse().ok()?).await?;
        Some(LeaderFact { address, is_tls: self.is_tls })
    }
}

/// Of a URL of HTTP without credentials; a port that is not written is the scheme's.
pub fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let usual = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = uri.authority()?;
    let port = match authority.as_str().strip_prefix(authority.host())? {
        "" => usual,
        port => port.strip_prefix(':')?.parse().ok().filter(|port| *port != 0)?,
    };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some((host, port))
}

async fn resolve(host: &str, port: u16) -> Option<SocketAddr> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port));
    }
    tokio::net::lookup_host((host, port)).await.ok()?.next()
}

impl FromStr for Server {
    type Err = NoServer;

    fn from_str(text: &str) -> Result<Server, NoServer> {
        let uri: Uri = text.parse().map_err(|_| NoServer)?;
        match uri.path_and_query().map_or("", |path| path.as_str()) {
            "" | "/" => Server::of(&uri).ok_or(NoServer),
            _ => Err(NoServer),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        match self.host.contains(':') {
            true => write!(out, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(out, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

// === impl Ask ===

impl Ask {
    pub fn new(config: AskConfig) -> Ask {
        let AskConfig { user_agent, authorization, authorities, connect_timeout, timeout } = config;
        let client = Client::new(ClientConfig {
            connect_timeout,
            response_timeout: timeout,
            read_timeout: timeout,
            body_limit: LARGEST_ANSWER,
            authorities,
            ..ClientConfig::default()
        });
        Ask { client, user_agent, authorization }
    }

    /// Asks for a stream, where need be of another server than this one; which one it was, and
    /// the stream.
    pub async fn stream(
        &self,
        mut server: Server,
        request: impl Fn(&Server) -> http::Result<Request<Full<Bytes>>>,
    ) -> Result<(Server, Incoming), AskError> {
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.client.send(self.signed(request(&server)?).await).await?;
            let status = answer.status();
            if status == StatusCode::OK {
                return Ok((server, answer.into_body()));
            }
            if !status.is_redirection() {
                return Err(AskError::Status { status, text: excuse(answer).await });
            }
            let location = answer.headers().get(header::LOCATION);
            let location = location.and_then(|value| value.to_str().ok());
            let next = location.and_then(|location| server.redirected(location));
            server = next.ok_or(AskError::Redirect)?;
        }
        Err(AskError::Redirect)
    }

    /// Asks for a document; none for a 404.
    pub async fn get(&self, url: &str) -> Result<Option<Bytes>, AskError> {
        let request = Request::get(url).header(header::ACCEPT, "application/json");
        let answer = self.client.fetch(self.signed(request.body(Full::default())?).await).await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.into_body())),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(AskError::Status { status, text: shown(answer.body()) }),
        }
    }

    async fn signed(&self, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
        request.headers_mut().insert(header::USER_AGENT, self.user_agent.clone());
        if let Some(authorization) = &self.authorization
            && let Some(mut value) = authorization().await
        {
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        request
    }
}

async fn excuse(answer: Response<Incoming>) -> String {
    let body = Limited::new(answer.into_body(), LARGEST_EXCUSE).collect();
    let body = tokio::time::timeout(Duration::from_secs(5), Box::pin(body)).await;
    body.ok().and_then(Result::ok).map(|body| shown(&body.to_bytes())).unwrap_or_default()
}

/// A line of what a server says.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text.get(..200).unwrap_or(text));
    text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect::<String>()
}

/// Pauses that double up to a maximum, each at random between half of its bound and all of it.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { next: FIRST_PAUSE }
    }
}

impl Backoff {
    /// How long to wait now.
    pub fn pause(&mut self) -> Duration {
        let bound = self.next;
        self.next = bound.saturating_mul(2).min(LAST_PAUSE);
        let chance = f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
        bound.mul_f64(0.5 + chance / 2.0)
    }

    /// It went well: the next pause is short again.
    pub fn reset(&mut self) {
        self.next = FIRST_PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Server {
        text.parse().unwrap()
    }

    #[test]
    fn redirects_lead_to_servers() {
        for (from, location, to) in [
            ("http://a:1", "//10.0.0.2:5050/api/v1", Some("http://10.0.0.2:5050")),
            ("https://a:1", "//10.0.0.2:5050/api/v1", Some("https://10.0.0.2:5050")),
            ("http://a:1", "https://b/x", Some("https://b:443")),
            ("http://a:1", "http://[::1]:8080/v2/events?x", Some("http://[::1]:8080")),
            ("https://a:1", "http://b:1/", None),
            ("http://a:1", "/v2/events", None),
            ("http://a:1", "ftp://b/", None),
            ("http://a:1", "//b:99999/", None),
            ("http://a:1", "//user@b:1/", None),
            ("http://a:1", "", None),
        ] {
            let found = server(from).redirected(location);
            assert_eq!(found.map(|to| to.to_string()).as_deref(), to, "{from} {location}");
        }
    }

    #[test]
    fn what_names_no_server_is_refused() {
        assert_eq!(server("http://h/").to_string(), "http://h:80");
        for bad in ["", "h:1", "ftp://h", "http://h/x", "http://h?x", "http://u@h", "http://h:0"] {
            assert_eq!(bad.parse::<Server>(), Err(NoServer), "{bad}");
        }
    }

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..12).map(|_| backoff.pause()).collect();
        assert!(pauses.iter().all(|pause| *pause <= LAST_PAUSE && *pause >= FIRST_PAUSE / 2));
        assert!(pauses.last() >= Some(&(LAST_PAUSE / 2)));
        backoff.reset();
        assert!(backoff.pause() <= FIRST_PAUSE);
    }
}
