//! HTTP/1.1 connections to a master and the requests on them.

use crate::{Authorize, Config};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use mesos_messages::{
    content::{ContentType, encode},
    v1::scheduler::Call,
};
use std::{io, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{net::TcpStream, time::timeout};

const PATH: &str = "/api/v1/scheduler";
pub(crate) const STREAM_ID: &str = "mesos-stream-id";
/// Error texts longer than this are cut off.
const MAX_ANSWER: usize = 64 * 1024;

/// Why a request got no answer.
#[derive(Debug, Error)]
pub(crate) enum ConnectionError {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, io::Error),
    #[error("the connection to the master failed: {0}")]
    Http(#[from] hyper::Error),
    #[error("'{0}' is no host and port")]
    Host(String),
    #[error("no answer from {0}")]
    Timeout(String),
}

/// One connection.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// The host it leads to.
    pub(crate) host: String,
    headers: HeaderMap,
    authorization: Option<Arc<dyn Authorize>>,
    content: ContentType,
    timeout: Duration,
}

// === impl Connection ===

impl Connection {
    pub(crate) async fn open(host: &str, config: &Config) -> Result<Self, ConnectionError> {
        let headers = headers(host, config)?;
        let refused = |error| ConnectionError::Connect(host.to_owned(), error);
        let connecting = timeout(config.timeout, TcpStream::connect(host)).await;
        let stream = connecting.map_err(|_| ConnectionError::Timeout(host.to_owned()))?;
        let stream = stream.map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the master ended");
            }
        });
        let (content, timeout) = (config.content, config.timeout);
        let authorization = config.authorization.clone();
        Ok(Self { sender, host: host.to_owned(), headers, authorization, content, timeout })
    }

    /// Whether a request can be sent; a connection that the master closed meanwhile cannot.
    pub(crate) async fn is_open(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a call and waits for the head of its answer.
    pub(crate) async fn send(
        &mut self,
        call: &Call,
        stream_id: Option<&str>,
    ) -> Result<Response<Incoming>, ConnectionError> {
        let mut request = Request::new(Full::new(Bytes::from(encode(self.content, call))));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = http::Uri::from_static(PATH);
        *request.headers_mut() = self.headers.clone();
        let token = self.authorization.as_ref().and_then(|from| Some((from, from.header()?)));
        if let Some((_, token)) = &token {
            let mut token = token.clone();
            token.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, token);
        }
        if let Some(value) = stream_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert(STREAM_ID, value);
        }
        let answer = timeout(self.timeout, self.sender.send_request(request)).await;
        let answer = answer.map_err(|_| ConnectionError::Timeout(self.host.clone()))??;
        if let (StatusCode::UNAUTHORIZED, Some((from, token))) = (answer.status(), &token) {
            from.refused(token);
        }
        Ok(answer)
    }
}

fn headers(host: &str, config: &Config) -> Result<HeaderMap, ConnectionError> {
    let content = HeaderValue::from_static(match config.content {
        ContentType::Json => "application/json",
        ContentType::Protobuf => "application/x-protobuf",
    });
    let mut headers = HeaderMap::new();
    let name = HeaderValue::from_str(host);
    headers.insert(header::HOST, name.map_err(|_| ConnectionError::Host(host.to_owned()))?);
    headers.insert(header::ACCEPT, content.clone());
    headers.insert(header::CONTENT_TYPE, content);
    if let Some(credential) = &config.credential {
        let pair = format!("{}:{}", credential.principal, credential.secret);
        let text = format!("Basic {}", BASE64_STANDARD.encode(pair));
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    Ok(headers)
}

/// The text of an answer, as far as it is reasonable to show.
pub(crate) async fn text(answer: Response<Incoming>) -> String {
    let body = Box::pin(Limited::new(answer.into_body(), MAX_ANSWER).collect()).await;
    let bytes = body.map(|body| body.to_bytes()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
