//! What the gateway itself says: pages for browsers, JSON and the original's texts for programs.
//!
//! Every answer made here carries the headers that keep browsers from being used against their
//! owners: no script runs on any page, no other site may frame one or be sent a form of one.

mod forms;
pub(crate) mod html;
pub(crate) mod target;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, SERVER,
    STRICT_TRANSPORT_SECURITY, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use proxy::{Peer, RequestHead, Response, RouteId, Scheme};

pub(crate) use forms::{Form, login_page, token_page};

use crate::config::{Challenge, Site};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// What nginx calls what it has no type for; the original's texts have it.
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Who is asking, as far as the form of an answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// A browser that shows what it gets.
    Html,
    /// Who says that it reads JSON.
    Json,
    /// Everybody else.
    Plain,
}

/// What an error page says.
pub(crate) enum Text {
    /// In the original's words, which programs compare.
    Original(Cow<'static, str>),
    Own(Cow<'static, str>),
}

/// Makes answers.
pub(crate) struct Pages {
    challenge: HeaderValue,
    /// What may run or be loaded on a page of the gateway's own: its style, by its digest.
    csp: HeaderValue,
    frame_options: HeaderValue,
    unauthorized: Option<Bytes>,
    forbidden: Option<Bytes>,
}

// === impl Style ===

impl Style {
    pub(crate) fn of(head: Option<&RequestHead>) -> Style {
        let mut style = Style::Plain;
        let accepts = head.into_iter().flat_map(|head| head.all("accept"));
        for accept in accepts.filter_map(|accept| std::str::from_utf8(accept).ok()) {
            for range in accept.split(',') {
                let media = range.split(';').next().unwrap_or_default().trim();
                if media.eq_ignore_ascii_case("text/html") {
                    return Style::Html;
                }
                if media.eq_ignore_ascii_case("application/json") {
                    style = Style::Json;
                }
            }
        }
        style
    }
}

/// Whether a browser is about to show the answer to a person, who can then log in.
pub(crate) fn is_navigation(head: &RequestHead) -> bool {
    let reads = matches!(*head.method(), http::Method::GET | http::Method::HEAD);
    let shown = match head.header("sec-fetch-mode") {
        Some(mode) => mode == b"navigate",
        None => Style::of(Some(head)) == Style::Html,
    };
    reads && shown && head.header("upgrade").is_none()
}

// === impl Pages ===

impl Pages {
    pub(crate) fn new(challenge: Challenge, site: &Site) -> std::io::Result<Pages> {
        let digest = ring::digest::digest(&ring::digest::SHA256, html::STYLE.as_bytes());
        let csp = format!(
            "default-src 'none'; style-src 'sha256-{}'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
            STANDARD.encode(digest)
        );
        let file = |name: &str| match &site.error_pages {
            Some(folder) => std::fs::read(folder.join(name)).map(|text| Some(Bytes::from(text))),
            None => Ok(None),
        };
        let frame_options = site.frame_options.as_deref().unwrap_or("DENY");
        let challenge = match challenge {
            Challenge::Acs => "acsjwt",
            Challenge::Oauth => "oauthjwt",
        };
        let invalid = |_| std::io::Error::from(std::io::ErrorKind::InvalidInput);
        Ok(Pages {
            challenge: HeaderValue::from_static(challenge),
            csp: HeaderValue::from_str(&csp).map_err(invalid)?,
            frame_options: HeaderValue::from_str(frame_options).map_err(invalid)?,
            unauthorized: file("401.html")?,
            forbidden: file("403.html")?,
        })
    }

    /// An answer with a body and the headers that all have.
    pub(crate) fn answer(
        &self,
        head: Option<&RequestHead>,
        peer: &Peer,
        status: StatusCode,
        kind: HeaderValue,
        body: impl Into<Bytes>,
    ) -> Response {
        let mut headers = vec![
            (SERVER, HeaderValue::from_static("Dais")),
            (CONTENT_TYPE, kind),
            (CONTENT_SECURITY_POLICY, self.csp.clone()),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (X_FRAME_OPTIONS, self.frame_options.clone()),
            (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
        ];
        if peer.scheme == Scheme::Https {
            // By that name, a browser would keep to TLS on every port of it: also for what
            // people develop on their own machine.
            let local = head.is_some_and(is_localhost);
            let stay = if local { "max-age=0" } else { "max-age=31536000" };
            headers.push((STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(stay)));
        }
        Response { status, headers, body: body.into(), route: RouteId::default(), user: None }
    }

    /// An answer that nobody may keep.
    fn fresh(
        &self,
        head: Option<&RequestHead>,
        peer: &Peer,
        status: StatusCode,
        kind: HeaderValue,
        body: impl Into<Bytes>,
    ) -> Response {
        let mut response = self.answer(head, peer, status, kind, body);
        response.headers.push((CACHE_CONTROL, NO_STORE));
        response.headers.push((VARY, HeaderValue::from_static("Accept, Cookie, Authorization")));
        response
    }

    pub(crate) fn html(
        &self,
        head: Option<&RequestHead>,
        peer: &Peer,
        status: StatusCode,
        body: String,
    ) -> Response {
        self.fresh(head, peer, status, HTML, body)
    }

    pub(crate) fn json(&self, head: &RequestHead, peer: &Peer, body: String) -> Response {
        self.fresh(Some(head), peer, StatusCode::OK, JSON, body)
    }

    pub(crate) fn text(&self, head: &RequestHead, peer: &Peer, body: String) -> Response {
        self.fresh(Some(head), peer, StatusCode::OK, PLAIN, body)
    }

    /// An error in the form that the client understands.
    pub(crate) fn error(
        &self,
        head: Option<&RequestHead>,
        peer: &Peer,
        status: StatusCode,
        text: &Text,
    ) -> Response {
        let (text, original) = match text {
            Text::Original(text) => (text, true),
            Text::Own(text) => (text, false),
        };
        let title = title(status);
        match Style::of(head) {
            Style::Html => {
                let body = html::page(&title, &format!("<p>{}</p>", html::escape(text)));
                self.fresh(head, peer, status, HTML, body)
            }
            Style::Plain if original => {
                self.fresh(head, peer, status, OCTETS, format!("{title}: {text}\n"))
            }
            Style::Json | Style::Plain => {
                let reason = status.canonical_reason().unwrap_or("Error");
                let body = serde_json::json!({
                    "status": status.as_u16(), "title": reason, "description": text,
                });
                self.fresh(head, peer, status, JSON, format!("{body}\n"))
            }
        }
    }

    /// 401, for who has no token that counts.
    pub(crate) fn unauthorized(&self, head: &RequestHead, peer: &Peer) -> Response {
        let page = |_: &_| html::page("401 Unauthorized", html::UNAUTHORIZED);
        let status = StatusCode::UNAUTHORIZED;
        let mut response = self.refusal(head, peer, status, self.unauthorized.as_ref(), page);
        response.headers.push((WWW_AUTHENTICATE, self.challenge.clone()));
        response
    }

    /// 403, for who may not.
    pub(crate) fn forbidden(&self, head: &RequestHead, peer: &Peer) -> Response {
        let page = |_: &_| html::page("403 Forbidden", html::FORBIDDEN);
        self.refusal(head, peer, StatusCode::FORBIDDEN, self.forbidden.as_ref(), page)
    }

    /// As the original does it: a page, also for programs, unless they ask for JSON.
    fn refusal(
        &self,
        head: &RequestHead,
        peer: &Peer,
        status: StatusCode,
        file: Option<&Bytes>,
        page: impl Fn(&RequestHead) -> String,
    ) -> Response {
        if Style::of(Some(head)) == Style::Json {
            let text = match status {
                StatusCode::UNAUTHORIZED => "a valid authentication token is needed",
                _ => "this needs a permission that you do not have",
            };
            return self.error(Some(head), peer, status, &Text::Own(text.into()));
        }
        let body = match file {
            // The original ends its pages with a line break of its own.
            Some(file) => Bytes::from([&file[..], b"\n"].concat()),
            None => Bytes::from(page(head) + "\n"),
        };
        self.fresh(Some(head), peer, status, HTML, body)
    }

    /// A redirect to a path of the gateway, or to a whole URL that was checked.
    pub(crate) fn redirect(
        &self,
        head: &RequestHead,
        peer: &Peer,
        status: StatusCode,
        location: &str,
    ) -> Response {
        let Ok(value) = HeaderValue::from_str(location) else {
            let text = Text::Own("the address cannot be redirected to".into());
            return self.error(Some(head), peer, StatusCode::BAD_REQUEST, &text);
        };
        let mut response = self.answer(Some(head), peer, status, HTML, Bytes::new());
        response.headers.push((LOCATION, value));
        response
    }
}

/// `404 Not Found`.
fn title(status: StatusCode) -> String {
    format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"))
}

/// Replaces a header, or adds it.
pub(crate) fn set(response: &mut Response, name: HeaderName, value: HeaderValue) {
    response.headers.retain(|(known, _)| *known != name);
    response.headers.push((name, value));
}

fn is_localhost(head: &RequestHead) -> bool {
    let host = head.header("host").unwrap_or_default();
    let name = host.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
    name == b"localhost" || name.ends_with(b".localhost")
}
