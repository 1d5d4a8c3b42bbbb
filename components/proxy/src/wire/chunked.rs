//! The chunked coding, decoded in place.

use super::field::Kind;
use super::lines_end_well;

/// Digits of a chunk's length.
const MOST_DIGITS: u8 = 15;
/// Bytes of one chunk's extensions, and of those of a whole body.
const MOST_EXTENSION: u32 = 256;
const MOST_EXTENSIONS: u32 = 16 * 1024;
/// Trailer lines.
const MOST_TRAILERS: usize = 64;

/// Where in a chunked body the decoder stands. What it has seen it never sees again.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    state: State,
    /// Of the chunk's length, or of its data what is still to come.
    left: u64,
    digits: u8,
    /// Of the present chunk, and of all.
    extension: u32,
    extensions: u32,
    trailers: Vec<u8>,
    trailer_limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a line after the last chunk.
    Line,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

/// What one call found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// So many bytes of data are at the front now.
    pub(crate) data: usize,
    /// So many bytes were looked at: all, unless the body's end is among them.
    pub(crate) consumed: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ChunkError(pub(crate) &'static str);

// === impl Chunked ===

impl Chunked {
    pub(crate) fn new(trailer_limit: usize) -> Chunked {
        Chunked {
            state: State::Size,
            left: 0,
            digits: 0,
            extension: 0,
            extensions: 0,
            trailers: Vec::new(),
            trailer_limit,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::End
    }

    /// After the end: the trailers that may go on, as lines.
    pub(crate) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Moves the data among `bytes` to their front.
    pub(crate) fn decode(&mut self, bytes: &mut [u8]) -> Result<Decoded, ChunkError> {
        let (mut at, mut data) = (0, 0);
        while at < bytes.len() && self.state != State::End {
            if self.state == State::Data {
                let there = bytes.len() - at;
                let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(there);
                if at != data {
                    bytes.copy_within(at..at + count, data);
                }
                at += count;
                data += count;
                self.left -= count as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            let Some(byte) = bytes.get(at) else { break };
            self.state = self.next(*byte)?;
            at += 1;
        }
        if self.state == State::End && !self.trailers.is_empty() {
            self.trailers = checked(&self.trailers).inspect_err(|_| {
                // What ends wrongly does not end: what follows is no other message.
                self.state = State::LastLf;
            })?;
        }
        Ok(Decoded { data, consumed: at })
    }

    fn next(&mut self, byte: u8) -> Result<State, ChunkError> {
        match (self.state, byte) {
            (State::Size, _) => self.size(byte),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, _) => self.extension(byte),
            (State::SizeLf, b'\n') => Ok(self.begin()),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::SizeLf | State::DataCr | State::DataLf, _) => {
                Err(ChunkError("a chunk ends wrongly"))
            }
            (State::Line, b'\r') => Ok(State::LastLf),
            (State::Line | State::Trailer, _) => self.trailer(byte),
            (State::TrailerLf, b'\n') => {
                self.keep(byte)?;
                Ok(State::Line)
            }
            (State::LastLf, b'\n') => Ok(State::End),
            (State::TrailerLf | State::LastLf, _) => Err(ChunkError("a trailer ends wrongly")),
            (State::Data | State::End, _) => Ok(self.state),
        }
    }

    fn size(&mut self, byte: u8) -> Result<State, ChunkError> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(State::SizeLf),
            b';' if self.digits > 0 => return Ok(State::Extension),
            _ => return Err(ChunkError("a chunk's length is invalid")),
        };
        if self.digits == MOST_DIGITS {
            return Err(ChunkError("a chunk's length is invalid"));
        }
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn extension(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > MOST_EXTENSION || self.extensions > MOST_EXTENSIONS {
            return Err(ChunkError("the extensions of chunks are too long"));
        }
        if byte != b'\t' && (byte < b' ' || byte == 0x7f) {
            return Err(ChunkError("a chunk's extension is invalid"));
        }
        Ok(State::Extension)
    }

    /// A chunk's length is complete.
    fn begin(&mut self) -> State {
        self.digits = 0;
        self.extension = 0;
        if self.left == 0 { State::Line } else { State::Data }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.keep(byte)?;
        match byte {
            b'\r' => Ok(State::TrailerLf),
            b'\n' => Err(ChunkError("a trailer ends wrongly")),
            _ => Ok(State::Trailer),
        }
    }

    fn keep(&mut self, byte: u8) -> Result<(), ChunkError> {
        if self.trailers.len() >= self.trailer_limit {
            return Err(ChunkError("the trailers are too long"));
        }
        self.trailers.push(byte);
        Ok(())
    }
}

/// The lines that may go on: trailers must not say what heads decide.
fn checked(lines: &[u8]) -> Result<Vec<u8>, ChunkError> {
    const WRONG: ChunkError = ChunkError("a trailer is invalid");
    let mut text = lines.to_vec();
    text.extend_from_slice(b"\r\n");
    let mut headers = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let parsed = httparse::parse_headers(&text, &mut headers).map_err(|_| WRONG)?;
    let httparse::Status::Complete((_, headers)) = parsed else { return Err(WRONG) };
    if !lines_end_well(&text) {
        return Err(WRONG);
    }
    let mut kept = Vec::with_capacity(lines.len());
    for header in headers.iter().filter(|header| may_trail(header.name.as_bytes())) {
        kept.extend_from_slice(header.name.as_bytes());
        kept.extend_from_slice(b": ");
        kept.extend_from_slice(header.value);
        kept.extend_from_slice(b"\r\n");
    }
    Ok(kept)
}

/// Whether a trailer of this name goes on: not what says how to frame, route, authenticate or
/// read a message.
pub(crate) fn may_trail(name: &[u8]) -> bool {
    const HEAD_ONLY: [&str; 14] = [
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "date",
        "expires",
        "location",
        "max-forwards",
        "range",
        "set-cookie",
        "vary",
        "www-authenticate",
    ];
    Kind::of(name) == Kind::Other
        && !name.contains(&b'_')
        && !HEAD_ONLY.iter().any(|head| head.as_bytes().eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
