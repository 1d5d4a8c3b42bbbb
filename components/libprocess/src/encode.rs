//! The bytes of one message on the wire.

use crate::{Upid, upid::sendable};
use std::io::Write;
use thiserror::Error;

/// Why a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// Names come partly from peers; one with a line break would smuggle in a second request.
    #[error("an id or message name holds a space or control character, or is too long")]
    Name,
}

/// Appends the message to `out`, byte for byte as the original writes it.
///
/// An empty body has neither `Transfer-Encoding` nor `Content-Length`; any other is one chunk.
pub fn encode(
    out: &mut Vec<u8>,
    from: &Upid,
    to: &Upid,
    name: &str,
    body: &[u8],
) -> Result<(), EncodeError> {
    if !sendable(&from.id) || !sendable(&to.id) || !sendable(name) {
        return Err(EncodeError::Name);
    }
    out.reserve(256 + name.len() + to.id.len() + 2 * from.id.len() + body.len());
    let slash = if to.id.is_empty() { "" } else { "/" };
    // Writing into a Vec cannot fail.
    let _ = write!(
        out,
        "POST /{id}{slash}{name} HTTP/1.1\r\n\
         User-Agent: libprocess/{from}\r\n\
         Libprocess-From: {from}\r\n\
         Connection: Keep-Alive\r\n\
         Host: {host}\r\n",
        id = to.id,
        host = to.address,
    );
    if body.is_empty() {
        out.extend_from_slice(b"\r\n");
    } else {
        let _ = write!(out, "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
        out.extend_from_slice(body);
        out.extend_from_slice(b"\r\n0\r\n\r\n");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upid(text: &str) -> Upid {
        text.parse().unwrap()
    }

    fn encoded(from: &str, to: &str, name: &str, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, &upid(from), &upid(to), name, body).unwrap();
        out
    }

    #[test]
    fn a_message_is_the_recorded_bytes() {
        let bytes = encoded(
            "slave(1)@127.0.0.1:5051",
            "master@127.0.0.1:5050",
            "mesos.internal.RegisterSlaveMessage",
            &[7; 175],
        );
        let head = "POST /master/mesos.internal.RegisterSlaveMessage HTTP/1.1\r\n\
            User-Agent: libprocess/slave(1)@127.0.0.1:5051\r\n\
            Libprocess-From: slave(1)@127.0.0.1:5051\r\n\
            Connection: Keep-Alive\r\n\
            Host: 127.0.0.1:5050\r\n\
            Transfer-Encoding: chunked\r\n\
            \r\n\
            af\r\n";
        let expected = [head.as_bytes(), &[7; 175], b"\r\n0\r\n\r\n"].concat();
        assert_eq!(bytes, expected);
        // The length of the whole recorded request with a body of this size.
        assert_eq!(bytes.len(), 411);
    }

    #[test]
    fn an_empty_body_ends_at_the_blank_line() {
        let bytes = encoded("a@127.0.0.1:1", "b(2)@127.0.0.1:2", "m.Pong", b"");
        let expected = "POST /b(2)/m.Pong HTTP/1.1\r\n\
            User-Agent: libprocess/a@127.0.0.1:1\r\n\
            Libprocess-From: a@127.0.0.1:1\r\n\
            Connection: Keep-Alive\r\n\
            Host: 127.0.0.1:2\r\n\
            \r\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn without_an_id_the_name_is_the_path() {
        let bytes = encoded("a@127.0.0.1:1", "@127.0.0.1:2", "m.Pong", b"");
        assert!(bytes.starts_with(b"POST /m.Pong HTTP/1.1\r\n"));
    }

    #[test]
    fn names_that_would_forge_a_request_are_refused() {
        let mut out = Vec::new();
        let good = upid("a@127.0.0.1:1");
        let bad = Upid::new("x HTTP/1.1\r\nHost: evil\r\n\r\n", good.address);
        assert_eq!(encode(&mut out, &good, &bad, "m", b""), Err(EncodeError::Name));
        assert_eq!(encode(&mut out, &good, &good, "m\r\n", b""), Err(EncodeError::Name));
        assert!(out.is_empty());
    }
}
