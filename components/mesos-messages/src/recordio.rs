//! RecordIO: a decimal length, a line feed, then that many bytes; the framing of every event stream.
use bytes::{Buf, Bytes, BytesMut};

/// The digits of the largest length, 2^64 - 1; a longer header is no length.
const MAX_HEADER: usize = 20;

/// Appends one record.
pub fn encode_into(out: &mut Vec<u8>, record: &[u8]) {
    let mut digits = itoa::Buffer::new();
    let header = digits.format(record.len()).as_bytes();
    out.reserve(header.len() + 1 + record.len());
    out.extend_from_slice(header);
    out.push(b'\n');
    out.extend_from_slice(record);
}

/// One record on its own.
pub fn encode(record: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, record);
    out
}

/// Why a stream cannot be read on. The position of the next record is lost, so a decoder never recovers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// What stands where a length should.
    #[error("Failed to decode length '{0}': Failed to convert '{0}' to number")]
    Length(String),
    /// A record over the limit.
    #[error("Record of {length} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        /// What the header announced.
        length: u64,
        /// What the decoder was made with.
        limit: usize,
    },
    /// An earlier error.
    #[error("Decoder is in a FAILED state")]
    Failed,
}

/// Takes a stream in pieces of any size and gives its records.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    state: State,
    limit: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    Record(usize),
    Failed,
}

impl Decoder {
    /// Refuses records of more than `max_record_bytes`.
    pub fn new(max_record_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), state: State::Header, limit: max_record_bytes }
    }

    /// Adds what came from the stream. Take the records before pushing more: the buffer holds what was not taken.
    pub fn push(&mut self, data: impl AsRef<[u8]>) {
        if !matches!(self.state, State::Failed) {
            self.buffer.extend_from_slice(data.as_ref());
        }
    }

    /// The next whole record, or `None` until more was pushed.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        let length = match self.state {
            State::Failed => return Err(RecordError::Failed),
            State::Record(length) => length,
            State::Header => match self.header() {
                Ok(None) => return Ok(None),
                Ok(Some(length)) => {
                    self.state = State::Record(length);
                    length
                }
                Err(error) => {
                    self.state = State::Failed;
                    self.buffer = BytesMut::new();
                    return Err(error);
                }
            },
        };
        if self.buffer.len() < length {
            self.buffer.reserve(length - self.buffer.len());
            return Ok(None);
        }
        self.state = State::Header;
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Whether the stream may end here without losing part of a record.
    pub fn at_boundary(&self) -> bool {
        matches!(self.state, State::Header) && self.buffer.is_empty()
    }

    fn header(&mut self) -> Result<Option<usize>, RecordError> {
        let window = self.buffer.get(..MAX_HEADER + 1).unwrap_or(&self.buffer);
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            return match window.len() > MAX_HEADER {
                true => Err(RecordError::Length(String::from_utf8_lossy(window).into_owned())),
                false => Ok(None),
            };
        };
        let text = window.get(..end).unwrap_or_default();
        let length = parse_length(text)
            .ok_or_else(|| RecordError::Length(String::from_utf8_lossy(text).into_owned()))?;
        self.buffer.advance(end + 1);
        match usize::try_from(length) {
            Ok(length) if length <= self.limit => Ok(Some(length)),
            _ => Err(RecordError::TooLarge { length, limit: self.limit }),
        }
    }
}

fn parse_length(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |length, byte| {
        byte.is_ascii_digit().then_some(())?;
        length.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(decoder: &mut Decoder) -> Result<Vec<Bytes>, RecordError> {
        let mut records = Vec::new();
        while let Some(record) = decoder.next_record()? {
            records.push(record);
        }
        Ok(records)
    }

    fn check_error(stream: &[u8], text: &str) {
        let mut decoder = Decoder::new(100);
        decoder.push(stream);
        let error = records(&mut decoder).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(text));
        decoder.push("1\nx");
        assert_eq!(decoder.next_record(), Err(RecordError::Failed));
    }

    #[test]
    fn writes_what_the_documentation_shows() {
        let mut out = Vec::new();
        encode_into(&mut out, b"hello");
        encode_into(&mut out, b"");
        encode_into(&mut out, b"world!");
        assert_eq!(out, b"5\nhello0\n6\nworld!");
    }

    #[test]
    fn refuses_what_is_no_length() {
        let number = |text: &str| {
            format!("Failed to decode length '{text}': Failed to convert '{text}' to number")
        };
        check_error(b"\n", &number(""));
        check_error(b"12x\n", &number("12x"));
        check_error(b"-1\n", &number("-1"));
        check_error(b"99999999999999999999\n", &number("99999999999999999999"));
        check_error(b"{\"type\": \"not framed at all\"}", &number("{\"type\": \"not framed "));
        check_error(b"101\n", "Record of 101 bytes exceeds the limit of 100 bytes");
        check_error(
            b"18446744073709551615\n",
            "Record of 18446744073709551615 bytes exceeds the limit of 100 bytes",
        );
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_records_back(
            sent in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..12),
            cuts in proptest::collection::vec(1usize..17, 1..8),
        ) {
            let mut stream = Vec::new();
            for record in &sent {
                encode_into(&mut stream, record);
            }
            let mut decoder = Decoder::new(64);
            let (mut received, mut rest, mut turn) = (Vec::new(), stream.as_slice(), 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts[turn % cuts.len()].min(rest.len()));
                (rest, turn) = (after, turn + 1);
                decoder.push(piece);
                received.extend(records(&mut decoder)?);
            }
            prop_assert_eq!(received, sent);
            prop_assert!(decoder.at_boundary());
        }

        #[test]
        fn any_stream_is_survived(stream in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new(50);
            decoder.push(&stream);
            if let Ok(records) = records(&mut decoder) {
                prop_assert!(records.iter().all(|record| record.len() <= 50));
            }
        }
    }
}
