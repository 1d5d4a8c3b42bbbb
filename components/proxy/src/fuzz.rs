//! Entry points for fuzzing: one function for each kind of foreign bytes this crate reads.
//!
//! Each checks more than that nothing panics.

use crate::config::HeadLimits;
use crate::outbox::{Framing, Outbox};
use crate::wire::chunked::Chunked;
use crate::wire::request;
use crate::wire::response::{self, AnswerBody};

/// Requests as HTTP/2 carries them.
pub fn http2_head(data: &[u8]) {
    crate::h2::fuzz(data);
}

/// Heads of requests: what is read means the same when it is read again from what would be sent.
pub fn request_head(data: &[u8]) {
    let limits = HeadLimits { bytes: 4096, headers: 32, target: 1024 };
    let Ok(Some(parsed)) = request::parse(data, &limits) else { return };
    let text = data.get(..parsed.consumed).unwrap_or_default();
    assert!(text.ends_with(b"\r\n\r\n") && parsed.consumed <= limits.bytes);
    assert!(!text.contains(&0));
    let head = &parsed.head;
    let mut again = Vec::new();
    again.extend_from_slice(head.method().as_str().as_bytes());
    again.push(b' ');
    again.extend_from_slice(head.path().as_str().as_bytes());
    if let Some(query) = head.query() {
        again.push(b'?');
        again.extend_from_slice(query);
    }
    let version: &[u8] = match head.version() {
        http::Version::HTTP_10 => b" HTTP/1.0\r\n",
        _ => b" HTTP/1.1\r\n",
    };
    again.extend_from_slice(version);
    for (name, value) in head.headers() {
        again.extend_from_slice(name);
        again.extend_from_slice(b": ");
        again.extend_from_slice(value);
        again.extend_from_slice(b"\r\n");
    }
    again.extend_from_slice(b"\r\n");
    // Normal paths may be a little longer than what was sent.
    let limits = HeadLimits { bytes: 16384, headers: 32, target: 8192 };
    let second = request::parse(&again, &limits);
    assert!(matches!(second, Ok(Some(_))), "{second:?}: {again:?}");
    let Ok(Some(second)) = second else { return };
    assert_eq!(second.consumed, again.len());
    assert_eq!(second.length, parsed.length);
    assert_eq!(second.keep_alive, parsed.keep_alive);
    assert_eq!(second.head.path(), head.path());
    assert!(second.head.headers().eq(head.headers()));
}

/// Heads of answers: what is passed on is an answer again, with the same body.
pub fn response_head(data: &[u8]) {
    let limits = HeadLimits { bytes: 4096, headers: 32, target: 1024 };
    for method in [http::Method::GET, http::Method::HEAD] {
        let Ok(Some(answer)) = response::parse(data, &limits, &method) else { continue };
        assert!(answer.consumed <= limits.bytes);
        let passed = crate::h1::fuzz_pass(&answer, data, &method);
        let limits = HeadLimits { bytes: 8192, headers: 64, target: 1024 };
        let again = response::parse(&passed, &limits, &method);
        assert!(matches!(again, Ok(Some(_))), "{again:?}: {passed:?}");
        let Ok(Some(again)) = again else { continue };
        assert_eq!(again.consumed, passed.len());
        assert_eq!(again.status, answer.status);
        match answer.body {
            // Passed on in chunks, so that the client's connection can stay.
            AnswerBody::Close => assert_eq!(again.body, AnswerBody::Chunked),
            body => assert_eq!(again.body, body),
        }
    }
}

/// Chunked bodies: cut anywhere, they are the same; what is written is read.
pub fn chunked_body(data: &[u8]) {
    let whole = decode(data, data.len());
    for step in [1, 3, 7] {
        assert_eq!(decode(data, step), whole);
    }
    let Some((body, trailers, _)) = whole else { return };
    let mut outbox = Outbox::default();
    let copied = outbox.put(&body, Framing::Chunked, Some(&trailers));
    if copied == body.len() {
        let again = decode(&outbox.head, outbox.head.len());
        assert_eq!(again, Some((body, trailers, 0)));
    }
}

/// The data, the trailers, and how much was left; none for what is refused or cut off.
fn decode(bytes: &[u8], step: usize) -> Option<(Vec<u8>, Vec<u8>, usize)> {
    let mut chunked = Chunked::new(512);
    let mut data = Vec::new();
    let mut used = 0;
    for piece in bytes.chunks(step.max(1)) {
        if chunked.is_over() {
            break;
        }
        let mut piece = piece.to_vec();
        let decoded = chunked.decode(&mut piece).ok()?;
        assert!(decoded.data <= decoded.consumed && decoded.consumed <= piece.len());
        data.extend_from_slice(piece.get(..decoded.data).unwrap_or_default());
        used += decoded.consumed;
    }
    chunked.is_over().then(|| (data, chunked.trailers().to_vec(), bytes.len() - used))
}
