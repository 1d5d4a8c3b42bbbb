//! Messages out of the bytes of a connection, and the point where something else comes.

use crate::server::{AGENT_PREFIX, FROM_HEADER, Refused, bad, head_of, is_forwarding, too_large};
use bytes::{Buf, Bytes, BytesMut};

/// The longest head; that of a message has a few hundred bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The longest line with the size of a chunk, and the longest trailer line.
const MAX_LINE: usize = 1024;
const MAX_HEADERS: usize = 32;

/// What the bytes so far amount to.
#[derive(Debug)]
pub(crate) enum Step {
    /// A whole message, or one whose head is refused.
    Message(Result<Addressed, Refused>, Bytes),
    /// Nothing whole yet.
    More,
    /// Something that is for an ordinary HTTP server. Nothing of it was taken.
    Other,
    /// A message whose end cannot be found.
    Broken(Refused),
}

/// Sender, receiver and name of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Addressed {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) name: String,
}

/// Takes one connection apart.
#[derive(Debug)]
pub(crate) struct Parser {
    limit: usize,
    current: Option<Current>,
}

/// A message whose head has been read.
#[derive(Debug)]
struct Current {
    head: Result<Addressed, Refused>,
    body: Vec<u8>,
    left: Left,
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// So many bytes and that is all.
    Length(usize),
    /// The size of a chunk.
    Size,
    /// So many bytes of a chunk.
    Chunk(usize),
    /// The end of line after a chunk.
    ChunkEnd,
    /// Lines up to an empty one.
    Trailer,
    Nothing,
}

// === impl Parser ===

impl Parser {
    /// `limit` is the size of the largest body.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, current: None }
    }

    /// Whether a message is incomplete.
    pub(crate) fn is_within_message(&self) -> bool {
        self.current.is_some()
    }

    /// Takes the next message, if all of it is there.
    pub(crate) fn step(&mut self, input: &mut BytesMut) -> Step {
        if self.current.is_none() {
            match head(input) {
                Ok(Some((current, used))) => {
                    self.current = Some(current);
                    input.advance(used);
                }
                Ok(None) => return Step::More,
                Err(NotOurs) => return Step::Other,
            }
        }
        let Some(mut current) = self.current.take() else { return Step::More };
        match current.fill(input, self.limit) {
            Ok(true) => Step::Message(current.head, current.body.into()),
            Ok(false) => {
                self.current = Some(current);
                Step::More
            }
            Err(refused) => Step::Broken(refused),
        }
    }
}

/// A request for the HTTP server.
struct NotOurs;

/// Reads a head; none if more of it must come.
fn head(input: &[u8]) -> Result<Option<(Current, usize)>, NotOurs> {
    let expected = b"POST /";
    let start = input.get(..expected.len()).unwrap_or(input);
    if !expected.starts_with(start) {
        return Err(NotOurs);
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let used = match request.parse(input) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if input.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(NotOurs),
    };
    let (mut from, mut agent, mut left) = (None, None, Left::Nothing);
    for header in request.headers.iter() {
        let is = |name| header.name.eq_ignore_ascii_case(name);
        if is(FROM_HEADER) {
            from = Some(header.value);
        } else if is("user-agent") {
            agent = Some(header.value);
        } else if is("content-length") || is("transfer-encoding") {
            // A body with two lengths is a matter for the server.
            if left != Left::Nothing {
                return Err(NotOurs);
            }
            left = framing(header).ok_or(NotOurs)?;
        } else if is("expect")
            || is("upgrade")
            || is_forwarding(header.name)
            || is("connection") && !keeps(header.value)
        {
            return Err(NotOurs);
        }
    }
    let message = from.is_some() || agent.is_some_and(|a| a.starts_with(AGENT_PREFIX.as_bytes()));
    if !message || request.version != Some(1) {
        return Err(NotOurs);
    }
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let head = head_of(path, from, agent).map(|head| Addressed {
        from: head.from.to_owned(),
        to: head.to,
        name: head.name.to_owned(),
    });
    Ok(Some((Current { head, body: Vec::new(), left }, used)))
}

fn framing(header: &httparse::Header<'_>) -> Option<Left> {
    let value = std::str::from_utf8(header.value).ok()?.trim();
    if header.name.eq_ignore_ascii_case("transfer-encoding") {
        return value.eq_ignore_ascii_case("chunked").then_some(Left::Size);
    }
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|_| digits).map(Left::Length)
}

fn keeps(connection: &[u8]) -> bool {
    connection.trim_ascii().eq_ignore_ascii_case(b"keep-alive")
}

// === impl Current ===

impl Current {
    /// Moves what is there into the body. True once it is whole.
    fn fill(&mut self, input: &mut BytesMut, limit: usize) -> Result<bool, Refused> {
        loop {
            match self.left {
                Left::Length(length) if length > limit => return Err(too_large(limit)),
                Left::Length(0) => self.left = Left::Nothing,
                Left::Length(length) => {
                    let Some(left) = self.take(input, length) else { return Ok(false) };
                    self.left = Left::Length(left);
                }
                Left::Chunk(length) => {
                    let Some(left) = self.take(input, length) else { return Ok(false) };
                    self.left = if left == 0 { Left::ChunkEnd } else { Left::Chunk(left) };
                }
                Left::Size => {
                    let Some(size) = chunk_size(input)? else { return Ok(false) };
                    if size > limit.saturating_sub(self.body.len()) {
                        return Err(too_large(limit));
                    }
                    self.left = if size == 0 { Left::Trailer } else { Left::Chunk(size) };
                }
                Left::ChunkEnd => {
                    let Some(length) = line(input)? else { return Ok(false) };
                    if length != 0 {
                        return Err(malformed());
                    }
                    self.left = Left::Size;
                }
                Left::Trailer => {
                    let Some(length) = line(input)? else { return Ok(false) };
                    if length == 0 {
                        self.left = Left::Nothing;
                    }
                }
                Left::Nothing => return Ok(true),
            }
        }
    }

    /// Takes at most `length` bytes, and says how many of them are left; none if nothing came.
    fn take(&mut self, input: &mut BytesMut, length: usize) -> Option<usize> {
        let part = input.split_to(length.min(input.len()));
        self.body.extend_from_slice(&part);
        (!part.is_empty()).then(|| length - part.len())
    }
}

fn chunk_size(input: &mut BytesMut) -> Result<Option<usize>, Refused> {
    match httparse::parse_chunk_size(input) {
        Ok(httparse::Status::Complete((used, size))) => {
            input.advance(used);
            usize::try_from(size).map(Some).map_err(|_| malformed())
        }
        Ok(httparse::Status::Partial) if input.len() <= MAX_LINE => Ok(None),
        _ => Err(malformed()),
    }
}

/// Takes a line and gives its length; none until its end has come.
fn line(input: &mut BytesMut) -> Result<Option<usize>, Refused> {
    match input.windows(2).take(MAX_LINE).position(|pair| pair == b"\r\n") {
        Some(end) => {
            input.advance(end + 2);
            Ok(Some(end))
        }
        None if input.len() > MAX_LINE => Err(malformed()),
        None => Ok(None),
    }
}

fn malformed() -> Refused {
    bad("The chunks of the body are malformed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Upid, encode};
    use proptest::prelude::*;

    fn all(parser: &mut Parser, input: &mut BytesMut) -> (Vec<(String, Bytes)>, Step) {
        let mut messages = Vec::new();
        loop {
            match parser.step(input) {
                Step::Message(head, body) => messages.push((head.unwrap().name, body)),
                other => return (messages, other),
            }
        }
    }

    fn last(text: &str) -> Step {
        all(&mut Parser::new(100), &mut text.into()).1
    }

    #[test]
    fn bodies_come_in_every_form() {
        let head = "POST /a/N HTTP/1.1\r\nLibprocess-From: x@1.1.1.1:1\r\n";
        for (rest, body) in [
            ("\r\n", ""),
            ("Content-Length: 2\r\n\r\nhi", "hi"),
            ("Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "hi"),
            ("Transfer-Encoding: Chunked\r\n\r\n1;x\r\nh\r\n1\r\ni\r\n0\r\nA: b\r\n\r\n", "hi"),
        ] {
            let text = format!("{head}{rest}");
            let (messages, step) = all(&mut Parser::new(100), &mut text.as_str().into());
            assert_eq!(messages, [("N".to_owned(), Bytes::from(body))], "{rest:?}");
            assert!(matches!(step, Step::More));
        }
    }

    #[test]
    fn what_is_no_message_is_left_as_it_came() {
        let from = "Libprocess-From: x@1.1.1.1:1\r\n";
        for text in [
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "PO GET".to_owned(),
            "\r\n".to_owned(),
            "POST /api/v1 HTTP/1.1\r\nUser-Agent: curl\r\n\r\n".to_owned(),
            format!("POST /a/b HTTP/1.0\r\n{from}\r\n"),
            format!("POST /a/b HTTP/1.1\r\n{from}Connection: close\r\n\r\n"),
            format!("POST /a/b HTTP/1.1\r\n{from}Expect: 100-continue\r\n\r\n"),
            format!("POST /a/b HTTP/1.1\r\n{from}Content-Length: x\r\n\r\n"),
            format!("POST /a/b HTTP/1.1\r\n{from}Content-Length: +1\r\n\r\n"),
            format!("POST /a/b HTTP/1.1\r\n{from}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            format!("POST /a/b HTTP/1.1\r\n{from}Transfer-Encoding: gzip\r\n\r\n"),
            // What a proxy hands on is judged with all its headers.
            "POST /a/N HTTP/1.1\r\nLibprocess-From: x@1.1.1.1:1\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n"
                .to_owned(),
            format!("POST /a/b HTTP/1.1\r\nX: {}", "y".repeat(MAX_HEAD)),
        ] {
            let mut input = BytesMut::from(text.as_str());
            assert!(matches!(Parser::new(100).step(&mut input), Step::Other), "{text:.80}");
            assert_eq!(input, text);
        }
    }

    #[test]
    fn broken_and_large_bodies_end_the_connection() {
        let head = "POST /a/N HTTP/1.1\r\nLibprocess-From: x@1.1.1.1:1\r\n";
        for (rest, status) in [
            ("Content-Length: 101\r\n\r\n", 413),
            ("Transfer-Encoding: chunked\r\n\r\n65\r\n", 413),
            ("Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 413),
            ("Transfer-Encoding: chunked\r\n\r\nz\r\n", 400),
            ("Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
        ] {
            let Step::Broken(refused) = last(&format!("{head}{rest}")) else { panic!("{rest:?}") };
            assert_eq!(refused.status.as_u16(), status, "{rest:?}");
        }
    }

    #[test]
    fn a_refused_head_costs_only_its_message() {
        let text = "POST /%zz/N HTTP/1.1\r\nLibprocess-From: x@1.1.1.1:1\r\n\
            Content-Length: 2\r\n\r\nhiPOST /a/M HTTP/1.1\r\nLibprocess-From: y@1.1.1.1:1\r\n\r\n";
        let (mut parser, mut input) = (Parser::new(100), BytesMut::from(text));
        let Step::Message(Err(refused), _) = parser.step(&mut input) else { panic!() };
        assert_eq!(refused.status.as_u16(), 500);
        assert!(matches!(parser.step(&mut input), Step::Message(Ok(_), _)));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_messages_back(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..5),
            cut in 1usize..64,
        ) {
            let from: Upid = "me@127.0.0.1:1".parse().unwrap();
            let mut wire = Vec::new();
            for (number, body) in bodies.iter().enumerate() {
                encode(&mut wire, &from, &from, &number.to_string(), body).unwrap();
            }
            let (mut parser, mut input) = (Parser::new(300), BytesMut::new());
            let mut received = Vec::new();
            for piece in wire.chunks(cut) {
                input.extend_from_slice(piece);
                let (messages, step) = all(&mut parser, &mut input);
                prop_assert!(matches!(step, Step::More));
                received.extend(messages);
            }
            prop_assert!(!parser.is_within_message() && input.is_empty());
            prop_assert_eq!(received.len(), bodies.len());
            for (number, (name, body)) in received.into_iter().enumerate() {
                prop_assert_eq!(name, number.to_string());
                prop_assert_eq!(&body[..], &bodies[number][..]);
            }
        }
    }
}
