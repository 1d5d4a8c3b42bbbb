//! What is to be written next: some bytes of our own, a piece of somebody else's buffer, some
//! bytes of our own again. Written with one call where the connection can do that.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Pieces that are shorter are copied behind the head: cheaper than a second place to write from.
const COPIED: usize = 4096;

/// Bytes on their way out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) head: Vec<u8>,
    head_at: usize,
    /// So many bytes of a buffer elsewhere follow.
    body: usize,
    tail: Vec<u8>,
    tail_at: usize,
}

/// How a body is framed on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length, or by the connection's end.
    Plain,
    Chunked,
}

// === impl Outbox ===

impl Outbox {
    pub(crate) fn new(head: Vec<u8>) -> Outbox {
        Outbox { head, ..Outbox::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head_at == self.head.len() && self.body == 0 && self.tail_at == self.tail.len()
    }

    /// Whether another piece can be put behind what is there.
    pub(crate) fn takes_more(&self) -> bool {
        self.body == 0 && self.tail_at == self.tail.len()
    }

    /// Puts a piece in. Says how many bytes of it were copied and are not needed any more: all or
    /// none. `end` are the trailers, if this is the last piece.
    pub(crate) fn put(&mut self, data: &[u8], framing: Framing, end: Option<&[u8]>) -> usize {
        self.make_room();
        if framing == Framing::Chunked && !data.is_empty() {
            write_hex(&mut self.head, data.len());
            self.head.extend_from_slice(b"\r\n");
        }
        let copied = data.len() <= COPIED;
        let after = if copied {
            self.head.extend_from_slice(data);
            &mut self.head
        } else {
            self.body = data.len();
            &mut self.tail
        };
        if framing == Framing::Chunked {
            if !data.is_empty() {
                after.extend_from_slice(b"\r\n");
            }
            if let Some(trailers) = end {
                after.extend_from_slice(b"0\r\n");
                after.extend_from_slice(trailers);
                after.extend_from_slice(b"\r\n");
            }
        }
        if copied { data.len() } else { 0 }
    }

    fn make_room(&mut self) {
        if self.head_at == self.head.len() {
            self.head.clear();
            self.head_at = 0;
        }
        self.tail.clear();
        self.tail_at = 0;
    }

    /// Writes once. Says how many bytes of `data`, the piece that was put in, are written.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let head = self.head.get(self.head_at..).unwrap_or_default();
        let body = data.get(..self.body).unwrap_or_default();
        let tail = self.tail.get(self.tail_at..).unwrap_or_default();
        let parts = [head, body, tail].into_iter().filter(|part| !part.is_empty());
        let several = parts.count() > 1;
        let io = Pin::new(io);
        let written = if several && io.is_write_vectored() {
            let slices = [IoSlice::new(head), IoSlice::new(body), IoSlice::new(tail)];
            ready!(io.poll_write_vectored(cx, &slices))?
        } else {
            let first = [head, body, tail].into_iter().find(|part| !part.is_empty());
            ready!(io.poll_write(cx, first.unwrap_or_default()))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let of_head = written.min(head.len());
        let of_body = (written - of_head).min(body.len());
        self.head_at += of_head;
        self.body -= of_body;
        self.tail_at += written - of_head - of_body;
        Poll::Ready(Ok(of_body))
    }
}

pub(crate) fn write_hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (number >> (4 * place)) & 15;
        out.push(b"0123456789abcdef".get(digit).copied().unwrap_or(b'0'));
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes so many bytes at once.
    struct Narrow(usize, Vec<u8>);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Narrow>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.0);
            self.1.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Narrow>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let count = all.len().min(self.0);
            self.1.extend_from_slice(&all[..count]);
            Poll::Ready(Ok(count))
        }

        fn is_write_vectored(&self) -> bool {
            self.0.is_multiple_of(2)
        }

        fn poll_flush(self: Pin<&mut Narrow>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Narrow>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(step: usize, framing: Framing, pieces: &[&[u8]], trailers: &[u8]) -> Vec<u8> {
        let mut out = Narrow(step, Vec::new());
        let mut outbox = Outbox::new(b"HEAD\r\n\r\n".to_vec());
        let mut cx = Context::from_waker(Waker::noop());
        for (number, piece) in pieces.iter().enumerate() {
            let end = (number + 1 == pieces.len()).then_some(trailers);
            let mut rest = *piece;
            rest = &rest[outbox.put(piece, framing, end)..];
            while !outbox.is_empty() {
                match outbox.poll_write(&mut cx, &mut out, rest) {
                    Poll::Ready(Ok(count)) => rest = &rest[count..],
                    other => panic!("{other:?}"),
                }
            }
            assert!(rest.is_empty());
        }
        out.1
    }

    #[test]
    fn however_little_is_taken_at_once_the_same_is_written() {
        let long = vec![b'x'; 5000];
        let mut plain = b"HEAD\r\n\r\nshort".to_vec();
        plain.extend_from_slice(&long);
        let mut chunked = b"HEAD\r\n\r\n5\r\nshort\r\n1388\r\n".to_vec();
        chunked.extend_from_slice(&long);
        chunked.extend_from_slice(b"\r\n0\r\nA: b\r\n\r\n");
        for step in [1, 2, 3, 4, 7, 64, 1001, 4098, 100_000] {
            let pieces: [&[u8]; 2] = [b"short", &long];
            assert_eq!(written(step, Framing::Plain, &pieces, b""), plain, "{step}");
            assert_eq!(written(step, Framing::Chunked, &pieces, b"A: b\r\n"), chunked, "{step}");
        }
        assert_eq!(written(64, Framing::Chunked, &[b""], b""), b"HEAD\r\n\r\n0\r\n\r\n");
    }

    #[test]
    fn numbers_in_hexadecimal() {
        for number in [0, 1, 15, 16, 255, 256, 65536, 0xdead_beef] {
            let mut text = Vec::new();
            write_hex(&mut text, number);
            assert_eq!(text, format!("{number:x}").as_bytes());
        }
    }
}
