//! A page's way to hand a token to this program: a server on loopback for one login.
//!
//! The page is opened with `dcos_cli_flow=v1`, a number that only this login has
//! (`dcos_cli_csrf_token`) and where to send the token (`redirect_uri`), as the dcos CLI does
//! it. It posts `{"token":…,"csrf":…}` there, or the same as a form where it has no script.

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Uri};
use http_kit::{Params, Reply, Request, Response, ServeConfig, respond};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long somebody may take to log in.
const PATIENCE: Duration = Duration::from_secs(600);
const LONGEST_BODY: usize = 64 * 1024;
/// Whose page the original's provider shows.
const AUTH0: &str = "https://dcos.auth0.com";

const DONE: &str = "<!doctype html><title>Logged in</title>\
                    <p>You are logged in. You can close this page and return to the terminal.\n";

/// A server that waits for one token.
pub(super) struct Page {
    url: String,
    tokens: mpsc::Receiver<String>,
    _stop: DropGuard,
}

#[derive(Deserialize)]
struct Handed {
    token: String,
    csrf: String,
}

// === impl Page ===

impl Page {
    /// Waits for what the page at `start` of the cluster at `base` hands over.
    pub(super) async fn start(start: &str, base: &str) -> anyhow::Result<Page> {
        let listener =
            TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
        let port = listener.local_addr()?.port();
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| anyhow::anyhow!("no randomness"))?;
        let csrf = URL_SAFE_NO_PAD.encode(secret);
        let url = flow_url(start, &csrf, &format!("http://localhost:{port}"));
        let origins = [origin(base), origin(start), Some(AUTH0.to_owned())];
        let origins: Vec<String> = origins.into_iter().flatten().collect();
        let (sender, tokens) = mpsc::channel(1);
        let service = move |request: Request, _: SocketAddr| {
            let (sender, csrf) = (sender.clone(), csrf.clone());
            let allowed = allowed_origin(request.headers(), &origins);
            Reply::later(async move {
                let mut answer = handle(request, &csrf, &sender).await;
                allow(answer.headers_mut(), allowed);
                answer
            })
        };
        let stop = CancellationToken::new();
        let serving = http_kit::serve(
            listener,
            Arc::new(service),
            ServeConfig { max_connections: 16, ..ServeConfig::default() },
            stop.clone(),
        );
        tokio::spawn(serving);
        Ok(Page { url, tokens, _stop: stop.drop_guard() })
    }

    /// The page to open.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// What was handed over.
    pub(super) async fn token(mut self) -> anyhow::Result<String> {
        let token = tokio::time::timeout(PATIENCE, self.tokens.recv()).await;
        token.ok().flatten().context("nobody logged in within ten minutes")
    }
}

async fn handle(request: Request, csrf: &str, tokens: &mpsc::Sender<String>) -> Response {
    if *request.method() == Method::OPTIONS {
        return respond::status(StatusCode::NO_CONTENT);
    }
    if *request.method() != Method::POST {
        return respond::method_not_allowed(&["POST"], request.method());
    }
    let body = match http_kit::read_body(request.into_body(), LONGEST_BODY).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let Some(handed) = read(&body) else {
        return respond::bad_request("expecting a token and the number of this login\n");
    };
    // Of equal length, whatever was sent: how long comparing takes says nothing.
    if digest(&SHA256, handed.csrf.as_bytes()).as_ref() != digest(&SHA256, csrf.as_bytes()).as_ref()
    {
        return respond::text(StatusCode::UNAUTHORIZED, "Invalid CSRF token.\n");
    }
    // A second one finds nobody who waits.
    let _ = tokens.try_send(handed.token);
    respond::html(DONE)
}

fn read(body: &[u8]) -> Option<Handed> {
    if let Ok(handed) = serde_json::from_slice(body) {
        return Some(handed);
    }
    let form = Params::parse(std::str::from_utf8(body).ok()?);
    Some(Handed { token: form.get("token")?.to_owned(), csrf: form.get("csrf")?.to_owned() })
}

/// The page with what it needs to hand a token over.
fn flow_url(start: &str, csrf: &str, redirect: &str) -> String {
    let (page, query) = start.split_once('?').unwrap_or((start, ""));
    let kept = query.split('&').filter(|pair| {
        !pair.is_empty() && !pair.starts_with("redirect_uri=") && !pair.starts_with("dcos_cli_")
    });
    let redirect = http_kit::query::encode(redirect);
    let own = format!("dcos_cli_flow=v1&dcos_cli_csrf_token={csrf}&redirect_uri={redirect}");
    let pairs: Vec<&str> = kept.chain([own.as_str()]).collect();
    format!("{page}?{}", pairs.join("&"))
}

fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

fn allowed_origin(headers: &HeaderMap, origins: &[String]) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    origins.iter().any(|allowed| origin == allowed.as_str()).then(|| origin.clone())
}

fn allow(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let Some(origin) = origin else { return };
    let fixed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (HeaderName::from_static("access-control-allow-private-network"), "true"),
        (header::VARY, "origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_kit::Body;

    #[test]
    fn the_page_is_told_where_to_send_the_token() {
        let url = flow_url(
            "https://a/login?redirect_uri=urn:ietf:wg:oauth:2.0:oob&x=1",
            "n",
            "http://localhost:7",
        );
        let expected = "https://a/login?x=1&dcos_cli_flow=v1&dcos_cli_csrf_token=n\
                        &redirect_uri=http%3A%2F%2Flocalhost%3A7";
        assert_eq!(url, expected);
        assert_eq!(origin("https://a:8443/x").as_deref(), Some("https://a:8443"));
    }

    #[tokio::test]
    async fn only_who_knows_the_number_hands_a_token_over() {
        let (sender, mut tokens) = mpsc::channel(1);
        let post = async |body: &'static str| {
            let request = http::Request::post("/").body(Body::from(body)).unwrap();
            handle(request, "n", &sender).await.status().as_u16()
        };
        assert_eq!(post("").await, 400);
        assert_eq!(post("{\"token\":\"t\"}").await, 400);
        assert_eq!(post("{\"token\":\"t\",\"csrf\":\"m\"}").await, 401);
        assert_eq!(post("token=t&csrf=").await, 401);
        assert!(tokens.try_recv().is_err());
        assert_eq!(post("{\"token\":\"t\",\"csrf\":\"n\"}").await, 200);
        assert_eq!(tokens.recv().await.unwrap(), "t");
        assert_eq!(post("token=a.b-c&csrf=n").await, 200);
        assert_eq!(tokens.recv().await.unwrap(), "a.b-c");
    }
}
