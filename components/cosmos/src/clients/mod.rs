//! The services that this one asks: Marathon, the Mesos master, and those that it installed.

pub(crate) mod marathon;
pub(crate) mod master;
pub(crate) mod services;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use http_kit::Client;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use universe::MediaType;

use crate::error::{Failure, json_parsing};

/// How this service calls itself to others.
pub(crate) const AGENT: &str = concat!("cosmos/", env!("CARGO_PKG_VERSION"));
const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=utf-8");

/// What stays as it is in a path.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// An id as part of a path.
pub(crate) fn path_of(id: &str) -> String {
    utf8_percent_encode(id, PATH).to_string()
}

/// Whose request is being answered, as far as others are to know.
pub(crate) type Authorization<'a> = Option<&'a HeaderValue>;

/// One call to a peer.
pub(crate) struct Outgoing<'a> {
    pub(crate) method: Method,
    /// Without a slash at the beginning, as the original shows it.
    pub(crate) path: String,
    pub(crate) authorization: Authorization<'a>,
    pub(crate) body: Option<(HeaderValue, Bytes)>,
    pub(crate) headers: HeaderMap,
}

// === impl Outgoing ===

impl<'a> Outgoing<'a> {
    pub(crate) fn new(
        method: Method,
        path: String,
        authorization: Authorization<'a>,
    ) -> Outgoing<'a> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, JSON);
        Outgoing { method, path, authorization, body: None, headers }
    }

    pub(crate) fn json(mut self, body: &Value) -> Outgoing<'a> {
        self.body = Some((JSON, Bytes::from(body.to_string())));
        self
    }

    pub(crate) fn form(mut self, body: String) -> Outgoing<'a> {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        self.body = Some((kind, Bytes::from(body)));
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Outgoing<'a> {
        self.headers.insert(name, value);
        self
    }
}

/// One service at one address.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// As errors name it.
    name: &'static str,
    base: String,
    client: Client,
}

// === impl Peer ===

impl Peer {
    pub(crate) fn new(name: &'static str, base: &str, client: Client) -> Peer {
        Peer { name, base: base.trim_end_matches('/').to_owned(), client }
    }

    /// Sends a call. That the peer is away, or refuses whoever asks, is an error; every other
    /// answer is an answer.
    pub(crate) async fn send(&self, outgoing: Outgoing<'_>) -> Result<Response<Bytes>, Failure> {
        let url = format!("{}/{}", self.base, outgoing.path);
        let mut request = Request::builder().method(outgoing.method).uri(&url);
        if let Some(headers) = request.headers_mut() {
            headers.extend(outgoing.headers);
            headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
            if let Some(authorization) = outgoing.authorization {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            if let Some((kind, _)) = &outgoing.body {
                headers.insert(CONTENT_TYPE, kind.clone());
            }
        }
        let body = outgoing.body.map(|(_, body)| body).unwrap_or_default();
        let request = request
            .body(Full::new(body))
            .map_err(|error| Failure::endpoint_uri_syntax(&url, &error.to_string()))?;
        let response = self.client.fetch(request).await.map_err(|error| {
            tracing::warn!(service = self.name, %error, "no answer");
            Failure::service_unavailable(self.name)
        })?;
        match response.status() {
            StatusCode::UNAUTHORIZED => Err(Failure::unauthorized(self.name, response.headers())),
            StatusCode::FORBIDDEN => Err(Failure::forbidden(self.name, None)),
            _ => Ok(response),
        }
    }

    /// Sends a GET and reads the JSON of a 200.
    pub(crate) async fn get(
        &self,
        path: &str,
        authorization: Authorization<'_>,
    ) -> Result<Value, Failure> {
        let response =
            self.send(Outgoing::new(Method::GET, path.to_owned(), authorization)).await?;
        let plain = path.split('?').next().unwrap_or(path);
        expect_ok(&Method::GET, plain, &response)?;
        json_of(&response)
    }
}

/// An error unless the status is 200.
pub(crate) fn expect_ok(
    method: &Method,
    path: &str,
    response: &Response<Bytes>,
) -> Result<(), Failure> {
    match response.status() {
        StatusCode::OK => Ok(()),
        other => Err(Failure::generic_http(method, path, other)),
    }
}

/// The JSON of an answer that says that it is JSON.
pub(crate) fn json_of(response: &Response<Bytes>) -> Result<Value, Failure> {
    let json = MediaType::parse("application/json;charset=utf-8").ok();
    let supported: Vec<MediaType> = json.into_iter().collect();
    let actual = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let parsed = actual.and_then(|actual| MediaType::parse(actual).ok());
    let fits = parsed.is_some_and(|actual| supported.iter().any(|json| json.same_kind(&actual)));
    if !fits {
        return Err(Failure::unsupported_content_type(&supported, actual));
    }
    parse(response.body())
}

/// JSON, whatever its answer called it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(bytes).map_err(|error| json_parsing(&error.to_string(), &excerpt(bytes)))
}

/// The beginning of a text that somebody else wrote, for an error.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 4096;
    String::from_utf8_lossy(bytes.get(..SHOWN).unwrap_or(bytes)).into_owned()
}
