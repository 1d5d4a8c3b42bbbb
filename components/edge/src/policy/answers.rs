//! Answers of the balancer's own, in HAProxy's words.

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE,
};
use proxy::{Refusal, RequestHead, Response, RouteId};

use super::{Fronts, host_of};

const HTML: HeaderValue = HeaderValue::from_static("text/html");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

fn page(status: StatusCode, text: &str, route: RouteId) -> Response {
    let reason = status.canonical_reason().unwrap_or_default();
    let body =
        format!("<html><body><h1>{} {reason}</h1>\n{text}\n</body></html>\n", status.as_u16());
    let headers = vec![(CACHE_CONTROL, NO_CACHE), (CONTENT_TYPE, HTML)];
    Response { status, headers, body: body.into(), route, user: None }
}

/// No service is meant, or it has no server.
pub(crate) fn nobody(route: RouteId) -> Response {
    let text = "No server is available to handle this request.";
    page(StatusCode::SERVICE_UNAVAILABLE, text, route)
}

pub(crate) fn forbidden(route: RouteId) -> Response {
    page(StatusCode::FORBIDDEN, "Request forbidden by administrative rules.", route)
}

/// The connection is for another host.
pub(crate) fn misdirected(route: RouteId) -> Response {
    let text = "This host needs a connection of its own.";
    page(StatusCode::MISDIRECTED_REQUEST, text, route)
}

/// Too many passwords are being compared.
pub(crate) fn busy(route: RouteId) -> Response {
    page(StatusCode::SERVICE_UNAVAILABLE, "Too many logins at once. Try again.", route)
}

pub(crate) fn unauthorized(realm: &str, route: RouteId) -> Response {
    let text = "You need a valid user and password to access this content.";
    let mut response = page(StatusCode::UNAUTHORIZED, text, route);
    if let Ok(value) = HeaderValue::from_str(&format!("Basic realm=\"{realm}\"")) {
        response.headers.push((WWW_AUTHENTICATE, value));
    }
    response
}

/// For good.
pub(crate) fn moved(to: &str, route: RouteId) -> Response {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    if let Ok(location) = HeaderValue::from_str(to) {
        headers.push((LOCATION, location));
    }
    let status = StatusCode::MOVED_PERMANENTLY;
    Response { status, headers, body: Bytes::new(), route, user: None }
}

/// The same over https: on the port that it is at, where the client named one.
pub(crate) fn to_https(request: &RequestHead, fronts: &Fronts, route: RouteId) -> Response {
    let host = request.header("host").and_then(|host| std::str::from_utf8(host).ok());
    let host = host.unwrap_or_default();
    let name = host_of(host);
    // What is in front of the balancer knows its own ports.
    let own = host.len() > name.len() && host.ends_with(&format!(":{}", fronts.http.unwrap_or(80)));
    let port = fronts.https.filter(|port| own && *port != 443);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = request.path().as_str();
    let query = request.query().map(|query| std::str::from_utf8(query).unwrap_or_default());
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    moved(&format!("https://{name}{port}{path}{query}"), route)
}

/// What the engine itself refuses.
pub(crate) fn refusal(
    request: Option<&RequestHead>,
    refusal: &Refusal,
    route: RouteId,
) -> Response {
    let text = match refusal.status() {
        StatusCode::BAD_GATEWAY => "The server returned an invalid or incomplete response.",
        StatusCode::SERVICE_UNAVAILABLE => return nobody(route),
        StatusCode::GATEWAY_TIMEOUT => "The server didn't respond in time.",
        StatusCode::REQUEST_TIMEOUT => "Your browser didn't send a complete request in time.",
        StatusCode::BAD_REQUEST => "Your browser sent an invalid request.",
        _ => "The request cannot be served.",
    };
    let route = if request.is_some() { route } else { RouteId(0) };
    page(refusal.status(), text, route)
}
