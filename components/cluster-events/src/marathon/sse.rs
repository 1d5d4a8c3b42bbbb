//! Server-sent events, as far as Marathon's have them: a name and data.

use bytes::{Buf, BytesMut};

/// Takes a stream in pieces of any size and gives its events.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// How far the buffer was searched for the end of a line.
    searched: usize,
    event: Event,
    /// Whether the event under way has data.
    has_data: bool,
    limit: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub data: Vec<u8>,
}

/// An event, or a line, is longer than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {limit} bytes")]
pub struct TooLong {
    limit: usize,
}

// === impl Decoder ===

impl Decoder {
    pub fn new(limit: usize) -> Decoder {
        let event = Event::default();
        Decoder { buffer: BytesMut::new(), searched: 0, event, has_data: false, limit }
    }

    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole event, or none until more was pushed.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some(at) = self.line_end() {
            self.check(at)?;
            let mut line = self.buffer.split_to(at);
            self.buffer.advance(1);
            self.searched = 0;
            if line.ends_with(b"\r") {
                line.truncate(line.len() - 1);
            }
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                // Lines without data between empty ones are signs of life.
                if std::mem::take(&mut self.has_data) {
                    return Ok(Some(event));
                }
                continue;
            }
            self.field(&line)?;
        }
        self.check(self.buffer.len())?;
        Ok(None)
    }

    fn line_end(&mut self) -> Option<usize> {
        let rest = self.buffer.get(self.searched..)?;
        let found = memchr::memchr(b'\n', rest).map(|at| self.searched + at);
        if found.is_none() {
            self.searched = self.buffer.len();
        }
        found
    }

    fn field(&mut self, line: &[u8]) -> Result<(), TooLong> {
        let (name, value) = match memchr::memchr(b':', line) {
            // A comment.
            Some(0) => return Ok(()),
            Some(at) => (line.get(..at), line.get(at + 1..)),
            None => (Some(line), None),
        };
        let value = value.unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        self.check(self.event.data.len() + value.len())?;
        match name.unwrap_or_default() {
            b"event" => self.event.name = String::from_utf8_lossy(value).into_owned(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self, length: usize) -> Result<(), TooLong> {
        if length > self.limit { Err(TooLong { limit: self.limit }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, TooLong> {
        let mut decoder = Decoder::new(64);
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(event) = decoder.next_event()? {
                events.push((event.name, String::from_utf8(event.data).unwrap()));
            }
        }
        Ok(events)
    }

    const STREAM: &str = ": hello\r\n\r\n\r\nevent: a\r\ndata: {\"x\":1}\r\n\r\n\
                          event:b\ndata:1\ndata: 2\nid: 7\n\nevent: lonely\n\ndata\n\n";

    #[test]
    fn events_have_names_and_data() {
        let expected = [("a", "{\"x\":1}"), ("b", "1\n2"), ("", "")];
        let expected: Vec<_> =
            expected.iter().map(|(name, data)| (name.to_string(), data.to_string())).collect();
        assert_eq!(events(&[STREAM.as_bytes()]), Ok(expected));
    }

    #[test]
    fn nothing_grows_without_end() {
        let long = [b'x'; 65];
        assert!(events(&[&long]).is_err());
        // Where it is cut makes no difference, nor that nobody needs the line.
        let comment = format!(":{}\n\n", "x".repeat(70));
        assert!(events(&[comment.as_bytes()]).is_err());
        let (left, right) = comment.as_bytes().split_at(66);
        assert!(events(&[left, right]).is_err());
        assert!(events(&[b"data: ", &long[..30], b"\ndata: ", &long[..40], b"\n"]).is_err());
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_events(cuts in proptest::collection::vec(1usize..9, 1..6)) {
            let (mut pieces, mut rest, mut turn) = (Vec::new(), STREAM.as_bytes(), 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
                pieces.push(piece);
                (rest, turn) = (after, turn + 1);
            }
            prop_assert_eq!(events(&pieces), events(&[STREAM.as_bytes()]));
        }
    }
}
