//! Bodies as they are read: what of the bytes in a buffer is data, and where the body ends.

use super::chunked::{ChunkError, Chunked};
use crate::buffer::Buffer;

/// How long a body is, as far as its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// No body at all (no header says so either).
    None,
    Exact(u64),
    /// Until its end.
    Unknown,
}

/// A body that is being read.
#[derive(Debug)]
pub(crate) struct Incoming {
    framing: Framing,
    /// Bytes at the front of the buffer that are data.
    ready: usize,
    /// Bytes of data so far.
    total: u64,
}

#[derive(Debug)]
enum Framing {
    /// So many bytes are not in the buffer yet.
    Exact(u64),
    Chunked(Box<Chunked>),
    Close,
    Over,
}

/// What a buffer has of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    Data,
    End,
    /// More has to be read.
    More,
}

// === impl Incoming ===

impl Incoming {
    pub(crate) fn none() -> Incoming {
        Incoming { framing: Framing::Over, ready: 0, total: 0 }
    }

    pub(crate) fn exact(length: u64) -> Incoming {
        Incoming { framing: Framing::Exact(length), ready: 0, total: 0 }
    }

    pub(crate) fn chunked(trailer_limit: usize) -> Incoming {
        let framing = Framing::Chunked(Box::new(Chunked::new(trailer_limit)));
        Incoming { framing, ready: 0, total: 0 }
    }

    pub(crate) fn until_close() -> Incoming {
        Incoming { framing: Framing::Close, ready: 0, total: 0 }
    }

    /// Looks at what was read. To be called when the buffer has grown and no data was ready.
    pub(crate) fn scan(&mut self, buffer: &mut Buffer) -> Result<Scan, ChunkError> {
        if self.ready > 0 {
            return Ok(Scan::Data);
        }
        let there = buffer.len();
        match &mut self.framing {
            Framing::Over => return Ok(Scan::End),
            Framing::Exact(left) => {
                self.ready = usize::try_from(*left).unwrap_or(usize::MAX).min(there);
                *left -= self.ready as u64;
                if *left == 0 {
                    self.framing = Framing::Over;
                }
            }
            Framing::Close => self.ready = there,
            Framing::Chunked(chunked) => {
                let decoded = chunked.decode(buffer.bytes_mut())?;
                buffer.remove(decoded.data, decoded.consumed);
                self.ready = decoded.data;
            }
        }
        self.total += self.ready as u64;
        Ok(match (self.ready, self.is_read()) {
            (0, true) => Scan::End,
            (0, false) => Scan::More,
            _ => Scan::Data,
        })
    }

    /// The connection ended: whether the body may end there.
    pub(crate) fn end_of_stream(&mut self) -> bool {
        let ends = matches!(self.framing, Framing::Close | Framing::Over);
        self.framing = Framing::Over;
        ends
    }

    /// Whether the whole body is in the buffer or was consumed.
    pub(crate) fn is_read(&self) -> bool {
        match &self.framing {
            Framing::Over => true,
            Framing::Exact(left) => *left == 0,
            Framing::Chunked(chunked) => chunked.is_over(),
            Framing::Close => false,
        }
    }

    /// Whether nothing is left to be used.
    pub(crate) fn is_over(&self) -> bool {
        self.ready == 0 && self.is_read()
    }

    pub(crate) fn data<'a>(&self, buffer: &'a Buffer) -> &'a [u8] {
        buffer.bytes().get(..self.ready).unwrap_or_default()
    }

    pub(crate) fn consume(&mut self, buffer: &mut Buffer, count: usize) {
        let count = count.min(self.ready);
        self.ready -= count;
        buffer.consume(count);
    }

    /// Bytes of data that were seen so far.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn trailers(&self) -> &[u8] {
        match &self.framing {
            Framing::Chunked(chunked) if chunked.is_over() => chunked.trailers(),
            _ => b"",
        }
    }
}
