//! A pooled HTTP/1.1 client, for components that talk to each other over the public APIs.
//!
//! Answers are read under a limit, or streamed. Redirects are answers like any other.

mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

pub use tls::{Authorities, AuthoritiesError, config as tls_config};

/// Limits of one client.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Until the connection stands.
    pub connect_timeout: Duration,
    /// Until the answer's head is here.
    pub response_timeout: Duration,
    /// Between two pieces of the answer's body.
    pub read_timeout: Duration,
    /// The most bytes of an answer that [`Client::fetch`] takes.
    pub body_limit: usize,
    /// Takes any certificate: for health checks, which look at the service and send nothing.
    pub any_certificate: bool,
    /// Trusted beside the public authorities.
    pub authorities: Authorities,
    /// Logs in to IAM, and believes what it says, over plain `http` to other machines too: only
    /// where nobody else is on the way.
    pub plain_iam: bool,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig {
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            body_limit: crate::DEFAULT_BODY_LIMIT,
            any_certificate: false,
            authorities: Authorities::default(),
            plain_iam: false,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke.
    #[error("cannot reach {host}: {reason}")]
    Unreachable { host: String, reason: String },
    /// Too slow.
    #[error("no answer from {host} within {after:?}")]
    Timeout { host: String, after: Duration },
    /// The answer's body broke off.
    #[error("the answer of {host} broke off: {reason}")]
    Broken { host: String, reason: String },
    /// The answer is larger than the limit.
    #[error("the answer of {host} is larger than {limit} bytes")]
    TooLarge { host: String, limit: usize },
}

/// Makes requests; cheap to clone, clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    config: Arc<ClientConfig>,
}

// === impl Client ===

impl Client {
    /// A client without connections yet. Must be used within a tokio runtime.
    pub fn new(config: ClientConfig) -> Client {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(config.connect_timeout));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let tls = tls::config(&config.authorities, config.any_certificate);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(https);
        Client { pool, config: Arc::new(config) }
    }

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Sends a request; the body of the answer is left to the caller.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, ClientError> {
        let host = host(&request);
        let after = self.config.response_timeout;
        match timeout(after, self.pool.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(ClientError::Unreachable { host, reason: root_cause(&error) }),
            Err(_) => Err(ClientError::Timeout { host, after }),
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn fetch(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, ClientError> {
        let host = host(&request);
        let (head, body) = self.send(request).await?.into_parts();
        let limit = self.config.body_limit;
        let mut body = Limited::new(body, limit);
        let mut bytes = bytes::BytesMut::new();
        loop {
            let after = self.config.read_timeout;
            let Ok(frame) = timeout(after, body.frame()).await else {
                return Err(ClientError::Timeout { host, after });
            };
            match frame {
                None => return Ok(Response::from_parts(head, bytes.freeze())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        bytes.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) if error.is::<LengthLimitError>() => {
                    return Err(ClientError::TooLarge { host, limit });
                }
                Some(Err(error)) => {
                    return Err(ClientError::Broken { host, reason: error.to_string() });
                }
            }
        }
    }
}

fn host<B>(request: &Request<B>) -> String {
    request.uri().authority().map_or_else(|| "(no host)".to_owned(), ToString::to_string)
}

/// The innermost reason: what a person needs of a chain of errors.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
