//! What clients get to see of an answer.

use super::*;
use crate::config::HeadLimits;
use crate::wire::response::parse;

fn passed(text: &str, method: &Method, version: Version, close: bool) -> (String, Shape) {
    let read = parse(text.as_bytes(), &HeadLimits::default(), method).unwrap().unwrap();
    let shape = Shape::of(&read, method, version, close);
    let mut out = Vec::new();
    answer(&mut out, &read, text.as_bytes(), shape);
    (String::from_utf8(out).unwrap(), shape)
}

fn new(text: &str) -> String {
    passed(text, &Method::GET, Version::HTTP_11, false).0
}

#[test]
fn what_is_about_the_connection_stays() {
    let text = "HTTP/1.1 200 Fine\r\nServer: s\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\n\
        Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(new(text), "HTTP/1.1 200 Fine\r\nServer: s\r\nContent-Length: 3\r\n\r\n");
}

#[test]
fn bodies_without_length_are_chunked_or_end_with_the_connection() {
    let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(new(text), text);
    let close = "HTTP/1.0 200 OK\r\n\r\n";
    assert_eq!(new(close), text);
    let (old, shape) = passed(text, &Method::GET, Version::HTTP_10, false);
    assert_eq!(old, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    assert!(shape.close);
}

#[test]
fn old_clients_are_told_that_the_connection_stays() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    let (old, _) = passed(text, &Method::GET, Version::HTTP_10, false);
    assert_eq!(old, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n");
    let (closing, _) = passed(text, &Method::GET, Version::HTTP_11, true);
    assert_eq!(closing, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
}

#[test]
fn answers_without_a_body_keep_its_length_where_that_means_something() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(passed(text, &Method::HEAD, Version::HTTP_11, false).0, text);
    let unchanged = "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(new(unchanged), unchanged);
    let none = "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(new(none), "HTTP/1.1 204 No Content\r\n\r\n");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (head, _) = passed(chunked, &Method::HEAD, Version::HTTP_11, false);
    assert_eq!(head, "HTTP/1.1 200 OK\r\n\r\n");
}

#[test]
fn the_gateways_own_headers_do_not_frame() {
    let header =
        |name, value| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
    let response = Response {
        status: StatusCode::NOT_FOUND,
        headers: vec![
            header("content-length", "99"),
            header("x-a", "b"),
            header("connection", "c"),
        ],
        body: bytes::Bytes::new(),
        route: crate::RouteId(0),
        user: None,
    };
    let framing = Framing::Plain;
    let shape = Shape { framing, length: Some(0), close: false, tell_keep_alive: false };
    let mut out = Vec::new();
    own(&mut out, &response, shape, |out| out.extend_from_slice(b"now"));
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, "HTTP/1.1 404 Not Found\r\nx-a: b\r\nDate: now\r\nContent-Length: 0\r\n\r\n");
}
