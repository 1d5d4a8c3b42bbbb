//! Buffers of connections. A connection has one only while bytes are in it: what is idle keeps
//! none, and the one that a worker used last is the one it uses next.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a buffer of a worker's stock.
pub(crate) const LARGE: usize = 64 * 1024;

/// How many buffers a worker keeps: to make one anew means to clear it.
const KEPT: usize = 256;

/// What is left over after a small read moves to a buffer of its own size.
const SMALL: usize = 1024;

/// Bytes that were read and not used yet.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    data: Vec<u8>,
    start: usize,
    end: usize,
}

/// The free buffers of one worker.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
    texts: RefCell<Vec<Vec<u8>>>,
}

// === impl Buffers ===

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_else(|| vec![0; LARGE])
    }

    /// Memory to write a head into.
    pub(crate) fn take_text(&self) -> Vec<u8> {
        self.texts.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(SMALL))
    }

    pub(crate) fn give_text(&self, mut text: Vec<u8>) {
        let mut texts = self.texts.borrow_mut();
        if text.capacity() > 0 && text.capacity() <= LARGE && texts.len() < KEPT {
            text.clear();
            texts.push(text);
        }
    }

    fn give(&self, data: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if data.len() == LARGE && free.len() < KEPT {
            free.push(data);
        }
    }
}

// === impl Buffer ===

impl Buffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.data.get(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        self.data.get_mut(self.start..self.end).unwrap_or_default()
    }

    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Takes the bytes from `from` to `to` out.
    pub(crate) fn remove(&mut self, from: usize, to: usize) {
        let to = to.min(self.len());
        if from < to {
            self.data.copy_within(self.start + to..self.end, self.start + from);
            self.end -= to - from;
        }
    }

    /// Gives the memory back when nothing is in it.
    pub(crate) fn release_if_empty(&mut self, buffers: &Buffers) {
        if self.is_empty() {
            self.release(buffers);
        }
    }

    /// Gives the memory back, and forgets what is in it.
    pub(crate) fn release(&mut self, buffers: &Buffers) {
        if !self.data.is_empty() {
            buffers.give(std::mem::take(&mut self.data));
        }
        self.start = 0;
        self.end = 0;
    }

    /// A few bytes that may have to wait for long do not hold a large buffer.
    pub(crate) fn shrink(&mut self, buffers: &Buffers) {
        let len = self.len();
        if len == 0 {
            self.release(buffers);
        } else if self.data.len() == LARGE && len <= LARGE / 4 {
            let mut data = vec![0; (len * 2).max(SMALL)];
            if let Some(place) = data.get_mut(..len) {
                place.copy_from_slice(self.bytes());
            }
            self.release(buffers);
            self.data = data;
            self.end = len;
        }
    }

    /// Reads once. `Ok(0)` is the end of the stream. When nothing is there to be read, an empty
    /// buffer holds no memory.
    pub(crate) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        buffers: &Buffers,
    ) -> Poll<io::Result<usize>> {
        self.make_room(buffers);
        let Some(room) = self.data.get_mut(self.end..) else {
            return Poll::Ready(Ok(0));
        };
        let mut target = ReadBuf::new(room);
        let result = Pin::new(reader).poll_read(cx, &mut target);
        let count = target.filled().len();
        if self.is_empty() && count == 0 {
            self.release(buffers);
        }
        ready!(result)?;
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// Afterwards at least one byte can be read.
    fn make_room(&mut self, buffers: &Buffers) {
        if self.data.is_empty() {
            self.data = buffers.take();
            return;
        }
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        } else if self.end == self.data.len() {
            if self.start > 0 {
                self.data.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let wider = self.data.len() * 2;
                self.data.resize(wider, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn read(buffer: &mut Buffer, mut from: &[u8], buffers: &Buffers) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match buffer.poll_read(&mut cx, &mut from, buffers) {
            Poll::Ready(Ok(count)) => count,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_buffer_holds_no_memory() {
        let buffers = Buffers::default();
        let mut buffer = Buffer::default();
        assert_eq!(read(&mut buffer, b"", &buffers), 0);
        assert!(buffer.data.is_empty());
        assert_eq!(buffers.free.borrow().len(), 1);
        assert_eq!(read(&mut buffer, b"hello", &buffers), 5);
        assert!(buffers.free.borrow().is_empty());
        buffer.consume(5);
        buffer.release_if_empty(&buffers);
        assert_eq!(buffers.free.borrow().len(), 1);
    }

    #[test]
    fn a_little_does_not_hold_a_large_buffer() {
        let buffers = Buffers::default();
        let mut buffer = Buffer::default();
        read(&mut buffer, b"hello", &buffers);
        buffer.consume(1);
        buffer.shrink(&buffers);
        assert_eq!(buffer.bytes(), b"ello");
        assert!(buffer.data.len() < LARGE);
        let long = vec![7; 5000];
        let mut rest = long.as_slice();
        while !rest.is_empty() {
            let count = read(&mut buffer, rest, &buffers);
            rest = &rest[count..];
        }
        assert_eq!(buffer.len(), 5004);
        assert_eq!(&buffer.bytes()[..4], b"ello");
        assert_eq!(&buffer.bytes()[4..], long);
        buffer.remove(1, 5003);
        assert_eq!(buffer.bytes(), b"e\x07");
    }
}
