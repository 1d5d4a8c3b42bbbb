//! Requests to one of the cluster's servers, and its refusals in words.

use crate::failure::Refused;
use crate::json::{list, shown, some_text, text};
use crate::terminal::printable;
use anyhow::{Context, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use http_kit::client::{Client, ClientError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Instant;

/// How often an answer may point elsewhere: to the leading master.
const REDIRECTS: usize = 5;
/// What may stand in a path as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');
/// What may stand in a query's value as it is.
const QUERY: &AsciiSet = &PATH.remove(b'~');

/// A server, where it is, and how to speak to it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    who: &'static str,
    base: String,
    client: Client,
    token: Option<String>,
    verbosity: u8,
}

// === impl Server ===

impl Server {
    pub(crate) fn new(
        who: &'static str,
        base: &str,
        client: Client,
        token: Option<String>,
        verbosity: u8,
    ) -> Server {
        let base = base.trim_end_matches('/').to_owned();
        Server { who, base, client, token, verbosity }
    }

    /// Where it is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The same without a token: for what needs none.
    pub(crate) fn anonymous(&self) -> Server {
        Server { token: None, ..self.clone() }
    }

    pub(crate) fn with_token(&self, token: String) -> Server {
        Server { token: Some(token), ..self.clone() }
    }

    /// The same, but never saying what it answers: there is a secret in it.
    pub(crate) fn quiet(&self) -> Server {
        Server { verbosity: self.verbosity.min(1), ..self.clone() }
    }

    /// Asks for JSON.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.json(Method::GET, path, None).await
    }

    /// Asks for JSON of something that may not exist.
    pub(crate) async fn find(&self, path: &str) -> anyhow::Result<Option<Value>> {
        match self.get(path).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if crate::failure::is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.json(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.json(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.json(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.json(Method::DELETE, path, None).await
    }

    async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let json = Some(HeaderValue::from_static("application/json"));
        // Where there is nothing to say, nothing is said.
        let body = body.filter(|body| !body.is_null());
        let answer = self.call(method, path, body, json.clone(), json).await?;
        self.parse(answer.body())
    }

    /// An answer's JSON; no body is null.
    pub(crate) fn parse(&self, body: &[u8]) -> anyhow::Result<Value> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(body)
            .with_context(|| format!("{} at {} answered no JSON", self.who, self.base))
    }

    /// One request; what is no success is an error.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        content: Option<HeaderValue>,
        accept: Option<HeaderValue>,
    ) -> anyhow::Result<Response<Bytes>> {
        let mut url = format!("{}{path}", self.base);
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        for _ in 0..REDIRECTS {
            let mut request = self.request(&method, &url, body.clone())?;
            let headers = request.headers_mut();
            if let Some(accept) = &accept {
                headers.insert(header::ACCEPT, accept.clone());
            }
            if let Some(content) = content.as_ref().filter(|_| !body.is_empty()) {
                headers.insert(header::CONTENT_TYPE, content.clone());
            }
            let answer = self.send(&method, &url, request).await?;
            match redirection(&answer, &url) {
                Some(next) if method == Method::GET => url = next,
                _ => return self.checked(&method, &url, answer),
            }
        }
        bail!("{} at {} points elsewhere again and again", self.who, self.base)
    }

    /// One request and whatever is answered, be it a refusal or a direction elsewhere.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        accept: Option<HeaderValue>,
    ) -> anyhow::Result<Response<Bytes>> {
        let url = format!("{}{path}", self.base);
        let mut request = self.request(&method, &url, Bytes::new())?;
        if let Some(accept) = accept {
            request.headers_mut().insert(header::ACCEPT, accept);
        }
        self.send(&method, &url, request).await
    }

    /// Whatever is answered to a `HEAD` of any URL.
    pub(crate) async fn head(&self, url: &str) -> anyhow::Result<Response<Bytes>> {
        let request = self.request(&Method::HEAD, url, Bytes::new())?;
        self.send(&Method::HEAD, url, request).await
    }

    /// A request with the token, if the URL is where it belongs: where an answer points is not
    /// always.
    fn request(
        &self,
        method: &Method,
        url: &str,
        body: Bytes,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.parse().with_context(|| format!("{url} is not a valid URL"))?;
        if let Some(token) = self.token.as_ref().filter(|_| is_below(url, &self.base)) {
            let mut value = HeaderValue::from_str(&format!("token={token}"))
                .context("core.dcos_acs_token holds characters that no token has")?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(request)
    }

    async fn send(
        &self,
        method: &Method,
        url: &str,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<Response<Bytes>> {
        let started = Instant::now();
        let answer = self.client.fetch(request).await;
        if self.verbosity > 0 {
            let took = started.elapsed().as_millis();
            match &answer {
                Ok(answer) => say(&format!("{method} {url}: {} in {took} ms", answer.status())),
                Err(error) => say(&format!("{method} {url}: {error}")),
            }
        }
        if let (2.., Ok(answer)) = (self.verbosity, &answer) {
            say(&String::from_utf8_lossy(answer.body()));
        }
        answer.map_err(|error| self.unreachable(&error))
    }

    fn checked(
        &self,
        method: &Method,
        url: &str,
        answer: Response<Bytes>,
    ) -> anyhow::Result<Response<Bytes>> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let fallback = || format!("{} answered {method} {url} with {status}", self.who);
        let mut refused = refusal(self.who, status.as_u16(), answer.body(), fallback);
        if status == StatusCode::FORBIDDEN && !refused.message.contains(url) {
            // Whoever is to grant it wants to know what it was.
            refused.details.push(format!("{method} {url}"));
        }
        Err(anyhow::Error::new(refused))
    }

    fn unreachable(&self, error: &ClientError) -> anyhow::Error {
        let (who, base) = (self.who, &self.base);
        let reason = match error {
            ClientError::Unreachable { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        // Something is there, but not who it was when it was set up.
        let hint = if reason.contains("certificate") {
            "Nobody trusted vouches for what answers there. If the cluster was made anew, \
             `dais auth login` on its machine or `dais cluster setup <url>` gets to know it again."
        } else {
            "Does the cluster run? `dais up` starts one on this machine; \
             `dais cluster setup <url>` or --url names another."
        };
        anyhow::anyhow!("cannot reach {who} at {base}: {reason}\n{hint}")
    }
}

/// A line for whoever wants to know; nobody may be there.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

/// Where an answer points, as a whole URL.
pub(crate) fn redirection<T>(answer: &Response<T>, from: &str) -> Option<String> {
    if !answer.status().is_redirection() {
        return None;
    }
    let place = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    let (scheme, rest) = from.split_once("://")?;
    let host = rest.split('/').next().unwrap_or(rest);
    Some(match place {
        // The master's own form: the scheme is that of the request.
        _ if place.starts_with("//") => format!("{scheme}:{place}"),
        _ if place.starts_with('/') => format!("{scheme}://{host}{place}"),
        _ => place.to_owned(),
    })
}

/// A refusal from an answer's status and body.
pub(crate) fn refusal(
    who: &'static str,
    status: u16,
    body: &[u8],
    fallback: impl FnOnce() -> String,
) -> Refused {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = ["/message", "/description"].map(|pointer| text(&value, pointer));
    let said = said.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    let mut message = printable(said).into_owned();
    if message.is_empty() {
        message = fallback();
        let body = String::from_utf8_lossy(body);
        // A page of HTML helps nobody on a terminal.
        if !body.trim().is_empty() && !body.trim_start().starts_with('<') && !value.is_object() {
            let _ = write!(message, ": {}", printable(body.trim()));
        }
    }
    let kind = ["/type", "/code"].iter().find_map(|pointer| some_text(&value, pointer));
    let kind = kind.map(str::to_owned);
    let details = details(&value);
    let hint = hint(status, &value);
    Refused { who, status, message, details, kind, hint }
}

/// The single faults an answer lists, each with where it is.
fn details(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    match value.pointer("/details") {
        Some(Value::Array(details)) => {
            for detail in details {
                let path = text(detail, "/path");
                for error in list(detail, "/errors") {
                    lines.push(format!("{path}: {}", shown(error)));
                }
                if detail.pointer("/errors").is_none() {
                    lines.push(shown(detail));
                }
            }
        }
        Some(Value::Null) | None => {}
        Some(other) => lines.push(shown(other)),
    }
    for error in list(value, "/data/errors") {
        lines.push(schema_error(error));
    }
    for id in list(value, "/data/appIds") {
        lines.push(shown(id));
    }
    // Why a repository or a rendered app is not what it should be, or is not there.
    for reason in ["cause", "decodingErrorMessage", "parsingErrorMessage"] {
        match text(value, &format!("/data/{reason}")) {
            "" => {}
            reason => lines.push(reason.to_owned()),
        }
    }
    for deployment in list(value, "/deployments") {
        lines.push(format!("deployment {}", text(deployment, "/id")));
    }
    lines.iter().map(|line| printable(line).into_owned()).collect()
}

/// A fault of a package's options: where, and what.
fn schema_error(error: &Value) -> String {
    let message = text(error, "/message");
    let place = match error.pointer("/instance") {
        Some(Value::Object(instance)) => instance.get("pointer").map(shown).unwrap_or_default(),
        Some(other) => shown(other),
        None => ["/path", "/pointer"].map(|key| text(error, key)).concat(),
    };
    let place = if place.is_empty() { "/".to_owned() } else { place };
    if message.is_empty() { shown(error) } else { format!("{place}: {message}") }
}

fn hint(status: u16, value: &Value) -> Option<String> {
    let text = match (status, text(value, "/type")) {
        (409, _) if value.pointer("/deployments").is_some() => {
            "`dais marathon deployment watch <id>` follows it; --force overrides it."
        }
        (403, _) => {
            "An administrator of the cluster can allow it: `dais security permission grant`."
        }
        (401, _) => "The cluster wants a login: `dais auth login` logs in.",
        (_, "AmbiguousAppId") => "Name one with --app-id, or all of them with --all.",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Whether a URL is a base or a path below it.
pub(crate) fn is_below(url: &str, base: &str) -> bool {
    url.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// A path with its parts encoded; slashes stay.
pub(crate) fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// A query of those parameters that have a value, with its question mark.
pub(crate) fn query(parameters: &[(&str, Option<&str>)]) -> String {
    let mut out = String::new();
    for (name, value) in parameters {
        if let Some(value) = value {
            out.push(if out.is_empty() { '?' } else { '&' });
            let _ = write!(out, "{name}={}", utf8_percent_encode(value, QUERY));
        }
    }
    out
}

/// A flag as a query's value.
pub(crate) fn set(flag: bool) -> Option<&'static str> {
    flag.then_some("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Refused {
        refusal("Marathon", status, body.as_bytes(), || "fallback".to_owned())
    }

    #[test]
    fn violations_are_listed_with_their_paths() {
        let body = r#"{"message":"Object is not valid","details":[
            {"path":"/instances","errors":["must be greater than or equal to 0"]},
            {"path":"/","errors":["a","b"]}]}"#;
        let shown = refused(422, body).to_string();
        let expected = "Object is not valid\n  /instances: must be greater than or equal to 0\n  \
                        /: a\n  /: b";
        assert_eq!(shown, expected);
        let shown = refused(400, r#"{"message":"Invalid JSON","details":"line 1"}"#).to_string();
        assert_eq!(shown, "Invalid JSON\n  line 1");
    }

    #[test]
    fn a_locking_deployment_is_named_with_what_can_be_done() {
        let body = r#"{"message":"App is locked","deployments":[{"id":"d-1"}]}"#;
        let shown = refused(409, body).to_string();
        assert!(shown.starts_with("App is locked\n  deployment d-1\n"), "{shown}");
        assert!(shown.contains("--force"), "{shown}");
    }

    #[test]
    fn faults_of_options_are_listed() {
        let body = r##"{"type":"JsonSchemaMismatch","message":"Options JSON failed validation",
            "data":{"errors":[{"level":"error","instance":{"pointer":"/service/name"},
            "message":"instance type (integer) does not match"}]}}"##;
        let refused = refused(400, body);
        assert_eq!(refused.kind.as_deref(), Some("JsonSchemaMismatch"));
        let expected = ["/service/name: instance type (integer) does not match"];
        assert_eq!(refused.details, expected);
    }

    #[test]
    fn a_broken_repository_is_said_to_be_broken_how() {
        let body = r#"{"type":"JsonDecodingError","message":"Unable to decode",
            "data":{"typeName":"x","decodingErrorMessage":"package [a] release 1: tags: is missing"}}"#;
        assert_eq!(refused(400, body).details, ["package [a] release 1: tags: is missing"]);
    }

    #[test]
    fn answers_without_a_message_are_described() {
        assert_eq!(refused(500, "").message, "fallback");
        assert_eq!(refused(500, "boom\n").message, "fallback: boom");
        assert_eq!(refused(500, "<html>boom").message, "fallback");
    }

    #[test]
    fn masters_point_without_a_scheme() {
        let to = |place: &str| {
            let answer = Response::builder().status(307).header("location", place);
            redirection(&answer.body(()).unwrap(), "http://a:1/x/y?z").unwrap()
        };
        assert_eq!(to("//b:2/x"), "http://b:2/x");
        assert_eq!(to("/x"), "http://a:1/x");
        assert_eq!(to("https://c/x"), "https://c/x");
    }

    #[test]
    fn a_base_is_more_than_the_same_letters() {
        assert!(is_below("http://a/x", "http://a") && is_below("http://a", "http://a"));
        assert!(!is_below("http://a.evil/x", "http://a"));
    }

    #[test]
    fn paths_and_queries_are_encoded() {
        assert_eq!(path("/a b/c?d"), "/a%20b/c%3Fd");
        let query = query(&[("force", set(true)), ("host", Some("a&b")), ("x", None)]);
        assert_eq!(query, "?force=true&host=a%26b");
    }
}
