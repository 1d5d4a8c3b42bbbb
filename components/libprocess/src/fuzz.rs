//! Entry points for the fuzzer: foreign bytes in, no panic out.

use crate::{
    Upid, encode,
    parser::{Parser, Step},
    server,
};
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Reads `data` as a connection would be read, and as the head of a request.
pub fn request(data: &[u8]) {
    connection(data);
    head(data);
}

fn connection(data: &[u8]) {
    let (mut parser, mut input) = (Parser::new(1 << 16), BytesMut::new());
    for piece in data.chunks(data.len() / 3 + 1) {
        input.extend_from_slice(piece);
        while matches!(parser.step(&mut input), Step::Message(..)) {}
    }
}

fn head(data: &[u8]) {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut slots);
    if parsed.parse(data).is_err() {
        return;
    }
    let mut headers = HeaderMap::new();
    for header in parsed.headers.iter() {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(header.name.as_bytes()), HeaderValue::from_bytes(header.value))
        {
            headers.append(name, value);
        }
    }
    let method = parsed.method.and_then(|method| method.parse().ok()).unwrap_or(Method::GET);
    let _ = server::is_message(&method, &headers);
    let Ok(head) = server::head(parsed.path.unwrap_or_default(), &headers) else { return };
    if let Ok(from) = head.from.parse::<Upid>() {
        let to = Upid::new(head.to.as_str(), from.address);
        let _ = encode(&mut Vec::new(), &from, &to, head.name, data);
    }
}
