//! The answers, in the original's exact words.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use http::{Method, StatusCode};

use crate::{Body, Params, Response};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript");
const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// An answer with a status, no body and no content type.
pub fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// An answer with a status and a body of the given type.
pub fn with_body(code: StatusCode, kind: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A text answer.
pub fn text(code: StatusCode, body: impl Into<Body>) -> Response {
    with_body(code, TEXT, body)
}

/// `200` without a body.
pub fn ok() -> Response {
    status(StatusCode::OK)
}

/// `202` without a body.
pub fn accepted() -> Response {
    status(StatusCode::ACCEPTED)
}

/// `200` with JSON.
pub fn json(body: impl Into<Body>) -> Response {
    with_body(StatusCode::OK, JSON, body)
}

/// `200` with HTML.
pub fn html(body: impl Into<Body>) -> Response {
    with_body(StatusCode::OK, HTML, body)
}

/// `200` with JSON, or the script that `?jsonp=<function>` asks for.
pub fn json_or_jsonp(params: &Params, body: Vec<u8>) -> Response {
    match jsonp_function(params) {
        None => json(body),
        Some(Err(refused)) => refused,
        Some(Ok(function)) => script(function, &body),
    }
}

/// The function named by `jsonp`. Anything but a plain name is refused: the
/// original copies the text into the script, whatever it holds.
pub fn jsonp_function(params: &Params) -> Option<Result<&str, Response>> {
    let function = params.get("jsonp")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '.' | '[' | ']');
    if function.is_empty() || function.len() > 128 || !function.chars().all(plain) {
        return Some(Err(bad_request("Invalid 'jsonp': expecting a function name.\n")));
    }
    Some(Ok(function))
}

/// `function(body)` as JavaScript.
pub fn script(function: &str, body: &[u8]) -> Response {
    let mut out = Vec::with_capacity(function.len() + body.len() + 2);
    out.extend_from_slice(function.as_bytes());
    out.push(b'(');
    out.extend_from_slice(body);
    out.push(b')');
    with_body(StatusCode::OK, JAVASCRIPT, out)
}

/// The content type of [`script`].
pub fn javascript_type() -> HeaderValue {
    JAVASCRIPT
}

/// `400` with a text.
pub fn bad_request(body: impl Into<Body>) -> Response {
    text(StatusCode::BAD_REQUEST, body)
}

/// `403`: the principal may not.
pub fn forbidden() -> Response {
    status(StatusCode::FORBIDDEN)
}

/// `404` of a path that no endpoint has.
pub fn no_such_path() -> Response {
    text(StatusCode::NOT_FOUND, "404 Not Found.")
}

/// `404` of an endpoint that looked and found nothing.
pub fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, Body::Empty)
}

/// `409` with a text.
pub fn conflict(body: impl Into<Body>) -> Response {
    text(StatusCode::CONFLICT, body)
}

/// `500` with a text.
pub fn internal_error(body: impl Into<Body>) -> Response {
    text(StatusCode::INTERNAL_SERVER_ERROR, body)
}

/// `501` with a text.
pub fn not_implemented(body: impl Into<Body>) -> Response {
    text(StatusCode::NOT_IMPLEMENTED, body)
}

/// `503` with a text.
pub fn unavailable(body: impl Into<Body>) -> Response {
    text(StatusCode::SERVICE_UNAVAILABLE, body)
}

/// `405`, naming the allowed methods.
pub fn method_not_allowed(allowed: &[&str], received: &Method) -> Response {
    let quoted: Vec<String> = allowed.iter().map(|m| format!("'{m}'")).collect();
    let body = format!(
        "405 Method Not Allowed. Expecting one of {{ {} }}, but received '{received}'.",
        quoted.join(", ")
    );
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, body);
    if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// `413`: more than `limit` bytes.
pub fn too_large(limit: usize) -> Response {
    text(StatusCode::PAYLOAD_TOO_LARGE, format!("The body exceeds the limit of {limit} bytes"))
}

/// `401`, naming the realm.
pub fn unauthorized(realm: &str) -> Response {
    let mut response = text(StatusCode::UNAUTHORIZED, "401 Unauthorized.");
    if let Ok(value) = HeaderValue::from_str(&format!("Basic realm=\"{realm}\"")) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

/// `307` to `location`.
pub fn redirect(location: &str) -> Response {
    let mut response = status(StatusCode::TEMPORARY_REDIRECT);
    match HeaderValue::from_str(location) {
        Ok(value) => {
            response.headers_mut().insert(LOCATION, value);
            response
        }
        Err(_) => internal_error("The redirect target cannot be written as a header"),
    }
}

/// A body of known bytes as `200` of a given type.
pub fn bytes(kind: &'static str, body: Bytes) -> Response {
    with_body(StatusCode::OK, HeaderValue::from_static(kind), body)
}
