//! Heads of answers as clients get them. Pure, but for the date.

use http::{Method, StatusCode, Version};

use crate::exchange::goes_on;
use crate::outbox::Framing;
use crate::wire::field::Kind;
use crate::wire::response::{Answer, AnswerBody};
use crate::{Response, ResponseHead};

/// What the client's side of an exchange decides about the answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) framing: Framing,
    /// What is written as Content-Length.
    pub(super) length: Option<u64>,
    /// The connection ends after this answer.
    pub(super) close: bool,
    /// It stays open, which a client of HTTP/1.0 has to be told.
    pub(super) tell_keep_alive: bool,
}

// === impl Shape ===

impl Shape {
    /// Of an answer that came from an upstream.
    pub(super) fn of(answer: &Answer, method: &Method, version: Version, close: bool) -> Shape {
        let old = version != Version::HTTP_11;
        let bodiless = answer.body == AnswerBody::None;
        let (framing, length) = match answer.body {
            AnswerBody::None if has_length(answer.status, method) => {
                (Framing::Plain, answer.content_length)
            }
            AnswerBody::None => (Framing::Plain, None),
            AnswerBody::Exact(length) => (Framing::Plain, Some(length)),
            AnswerBody::Chunked | AnswerBody::Close if old => (Framing::Plain, None),
            AnswerBody::Chunked | AnswerBody::Close => (Framing::Chunked, None),
        };
        // Without any framing the end of the connection is the end of the body.
        let close = close || old && !bodiless && length.is_none();
        Shape { framing, length, close, tell_keep_alive: old && !close }
    }

    /// Without any framing the end of the connection is the end of the body, where there is one.
    pub(super) fn is_until_close(&self) -> bool {
        self.framing == Framing::Plain && self.length.is_none()
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(length) = self.length {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if self.framing == Framing::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        if self.close {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.tell_keep_alive {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether an answer without a body may say how long one would be.
fn has_length(status: StatusCode, method: &Method) -> bool {
    let none = status.is_informational() || status == StatusCode::NO_CONTENT;
    !none && (method == Method::HEAD || status == StatusCode::NOT_MODIFIED)
}

/// An upstream's head as it came.
pub(super) fn answer(out: &mut Vec<u8>, answer: &Answer, bytes: &[u8], shape: Shape) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(answer.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(answer.reason(bytes));
    out.extend_from_slice(b"\r\n");
    lines(out, answer, bytes);
    shape.write(out);
}

/// A head before the real one.
pub(super) fn interim(out: &mut Vec<u8>, answer: &Answer, bytes: &[u8]) {
    status_line(out, answer.status);
    lines(out, answer, bytes);
    out.extend_from_slice(b"\r\n");
}

/// `101 Switching Protocols`.
pub(super) fn switching(out: &mut Vec<u8>, answer: &Answer, bytes: &[u8]) {
    status_line(out, answer.status);
    lines(out, answer, bytes);
    if let Some(protocol) = answer.field(bytes, Kind::Upgrade) {
        out.extend_from_slice(b"Upgrade: ");
        out.extend_from_slice(protocol);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Connection: Upgrade\r\n\r\n");
}

fn lines(out: &mut Vec<u8>, answer: &Answer, bytes: &[u8]) {
    for field in &answer.fields {
        let name = field.name(bytes);
        if goes_on(answer, bytes, field.kind, name) {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value(bytes));
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// An upstream's head that was edited.
pub(super) fn edited(out: &mut Vec<u8>, head: &ResponseHead, shape: Shape) {
    status_line(out, head.status);
    headers(out, &head.headers);
    shape.write(out);
}

/// The head of the gateway's own answer. `date` appends the present.
pub(super) fn own(
    out: &mut Vec<u8>,
    response: &Response,
    shape: Shape,
    date: impl FnOnce(&mut Vec<u8>),
) {
    status_line(out, response.status);
    headers(out, &response.headers);
    out.extend_from_slice(b"Date: ");
    date(out);
    out.extend_from_slice(b"\r\n");
    shape.write(out);
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// But for those that are the engine's own matter.
fn headers(out: &mut Vec<u8>, headers: &[(http::HeaderName, http::HeaderValue)]) {
    for (name, value) in headers {
        let name = name.as_str().as_bytes();
        let kind = Kind::of(name);
        if !kind.is_hop_by_hop() && kind != Kind::ContentLength {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

#[cfg(test)]
mod tests;
