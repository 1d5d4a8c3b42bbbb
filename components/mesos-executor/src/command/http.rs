//! As much HTTP/1.1 as the executor API needs: requests out, heads and chunks in.

use std::io::Write;
use thiserror::Error;

/// An agent's answer has a short head; more is no agent.
const MAX_HEAD: usize = 64 * 1024;
/// The longest line with the size of a chunk.
const MAX_SIZE_LINE: usize = 1024;

/// Why an answer cannot be understood.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum HttpError {
    /// The head of the answer.
    #[error("the agent's answer is not HTTP: {0}")]
    Head(httparse::Error),
    /// The head has no end.
    #[error("the head of the agent's answer exceeds {MAX_HEAD} bytes")]
    HeadTooLong,
    /// The framing of the body.
    #[error("a chunk of the agent's answer is malformed")]
    Chunk,
}

/// What to say in every request.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `ip:port` of the agent.
    pub(crate) host: String,
    /// The path of its executor API.
    pub(crate) path: String,
    /// Proves who asks.
    pub(crate) token: Option<String>,
}

/// The parts of an answer's head that matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// Whether the body comes in chunks.
    pub(crate) chunked: bool,
    /// The length of a body that does not.
    pub(crate) length: usize,
    /// The length of the head itself.
    pub(crate) bytes: usize,
}

// === impl Target ===

impl Target {
    /// Appends a request with a protobuf body.
    pub(crate) fn request(&self, out: &mut Vec<u8>, body: &[u8]) {
        let Self { host, path, token } = self;
        // Writing into a Vec cannot fail.
        let _ = write!(out, "POST {path} HTTP/1.1\r\nHost: {host}\r\n");
        out.extend_from_slice(b"Accept: application/x-protobuf\r\n");
        out.extend_from_slice(b"Content-Type: application/x-protobuf\r\n");
        if let Some(token) = token {
            let _ = write!(out, "Authorization: Bearer {token}\r\n");
        }
        let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
        out.extend_from_slice(body);
    }
}

/// Reads the head of an answer, or `None` until more has come.
pub(crate) fn parse_head(input: &[u8]) -> Result<Option<Head>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let bytes = match response.parse(input).map_err(HttpError::Head)? {
        httparse::Status::Complete(bytes) => bytes,
        httparse::Status::Partial if input.len() > MAX_HEAD => return Err(HttpError::HeadTooLong),
        httparse::Status::Partial => return Ok(None),
    };
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
    };
    let length = value("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let chunked = value("transfer-encoding")
        .is_some_and(|coding| coding.to_ascii_lowercase().ends_with("chunked"));
    Ok(Some(Head { status: response.code.unwrap_or(0), chunked, length, bytes }))
}

/// Takes a body's chunks apart.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(usize),
    DataEnd,
    Trailer,
    Done,
}

// === impl Chunks ===

impl Chunks {
    /// Moves what is decodable from `input` to `out`. True once the body is complete.
    pub(crate) fn decode(
        &mut self,
        input: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<bool, HttpError> {
        let mut used = 0;
        while let Some(step) = self.step(input.get(used..).unwrap_or_default(), out)? {
            used += step;
        }
        input.drain(..used.min(input.len()));
        Ok(matches!(self.state, State::Done))
    }

    /// Takes one piece and says how long it was; `None` if there is nothing to take.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, HttpError> {
        match self.state {
            State::Size => {
                let Some(line) = line(input)? else { return Ok(None) };
                let size = size(line).ok_or(HttpError::Chunk)?;
                self.state = if size == 0 { State::Trailer } else { State::Data(size) };
                Ok(Some(line.len() + 2))
            }
            State::Data(left) => {
                let taken = input.get(..left).unwrap_or(input);
                if taken.is_empty() {
                    return Ok(None);
                }
                out.extend_from_slice(taken);
                let left = left - taken.len();
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                Ok(Some(taken.len()))
            }
            State::DataEnd => {
                let Some(line) = line(input)? else { return Ok(None) };
                if !line.is_empty() {
                    return Err(HttpError::Chunk);
                }
                self.state = State::Size;
                Ok(Some(2))
            }
            State::Trailer => {
                let Some(line) = line(input)? else { return Ok(None) };
                if line.is_empty() {
                    self.state = State::Done;
                }
                Ok(Some(line.len() + 2))
            }
            State::Done => Ok(None),
        }
    }
}

/// The line at the start, without its end; `None` until it is whole.
fn line(input: &[u8]) -> Result<Option<&[u8]>, HttpError> {
    match input.windows(2).take(MAX_SIZE_LINE).position(|pair| pair == b"\r\n") {
        Some(end) => Ok(input.get(..end)),
        None if input.len() > MAX_SIZE_LINE => Err(HttpError::Chunk),
        None => Ok(None),
    }
}

fn size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| *byte == b';').next()?;
    let text = std::str::from_utf8(digits).ok()?.trim();
    usize::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(text: &[u8]) -> Result<(Vec<u8>, bool), HttpError> {
        let (mut chunks, mut out) = (Chunks::default(), Vec::new());
        let done = chunks.decode(&mut text.to_vec(), &mut out)?;
        Ok((out, done))
    }

    #[test]
    fn a_request_is_one_text() {
        let target = Target { host: "h:1".into(), path: "/p".into(), token: Some("t".into()) };
        let mut out = Vec::new();
        target.request(&mut out, b"body");
        let expected = "POST /p HTTP/1.1\r\nHost: h:1\r\nAccept: application/x-protobuf\r\n\
            Content-Type: application/x-protobuf\r\nAuthorization: Bearer t\r\n\
            Content-Length: 4\r\n\r\nbody";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn heads_are_read_when_whole() {
        let text = b"HTTP/1.1 202 Accepted\r\nDate: x\r\nContent-Length: 7\r\n\r\n";
        let head = Head { status: 202, chunked: false, length: 7, bytes: text.len() };
        assert_eq!(parse_head(text), Ok(Some(head)));
        assert_eq!(parse_head(&text[..20]), Ok(None));
        assert!(parse_head(b"SSH-2.0\r\n").is_err());
        let chunked = b"HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n";
        assert!(parse_head(chunked).unwrap().unwrap().chunked);
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(decode(b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"), Ok((b"abcd".to_vec(), true)));
        assert_eq!(decode(b"a\r\nabc"), Ok((b"abc".to_vec(), false)));
        for bad in ["x\r\n", "\r\n", "1\r\nabc\r\n", "+1\r\na\r\n"] {
            assert_eq!(decode(bad.as_bytes()), Err(HttpError::Chunk), "{bad:?}");
        }
        assert_eq!(decode(&[b'1'; 2000]), Err(HttpError::Chunk));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_body_back(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..8),
            cut in 1usize..20,
        ) {
            let mut wire = Vec::new();
            for piece in &pieces {
                write!(wire, "{:x}\r\n", piece.len()).unwrap();
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let (mut chunks, mut input, mut out) = (Chunks::default(), Vec::new(), Vec::new());
            let mut done = false;
            for part in wire.chunks(cut) {
                input.extend_from_slice(part);
                done = chunks.decode(&mut input, &mut out).unwrap();
            }
            prop_assert!(done);
            prop_assert_eq!(out, pieces.concat());
        }

        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&text);
            let _ = parse_head(&text);
        }
    }
}
