//! Frames that are written together go out together.
//!
//! The frames' writer hands each DATA frame on by itself and flushes after it: a record of TLS and
//! a system call for every small answer. Here they are gathered until whoever drives the
//! connection has nothing more to do.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::worker;

/// What is gathered at most: two full records of TLS.
const MOST: usize = 32 * 1024;

/// A connection whose flushes do nothing before [`Batch::poll_drain`]. Clones share it.
pub(crate) struct Batch<S>(Rc<RefCell<Inner<S>>>);

struct Inner<S> {
    io: S,
    context: Rc<worker::Context>,
    /// Idle connections hold no memory.
    gathered: Vec<u8>,
    written: usize,
    /// Of all times.
    total: u64,
    /// The frames' writer was told to wait.
    full: bool,
}

// === impl Batch ===

impl<S> Batch<S> {
    /// Bytes that were written so far.
    pub(crate) fn total(&self) -> u64 {
        self.0.borrow().total
    }

    pub(crate) fn new(context: &Rc<worker::Context>, io: S) -> Batch<S> {
        let context = Rc::clone(context);
        let inner = Inner { io, context, gathered: Vec::new(), written: 0, total: 0, full: false };
        Batch(Rc::new(RefCell::new(inner)))
    }
}

impl<S> Clone for Batch<S> {
    fn clone(&self) -> Batch<S> {
        Batch(Rc::clone(&self.0))
    }
}

impl<S: AsyncWrite + Unpin> Batch<S> {
    /// Writes what was gathered.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_drain(cx)
    }
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while let Some(rest) = self.gathered.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => {
                    self.written += count;
                    self.total += count as u64;
                }
            }
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.context.buffers.give_text(std::mem::take(&mut self.gathered));
        self.written = 0;
        if std::mem::take(&mut self.full) {
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= MOST {
            self.full = true;
            ready!(self.poll_drain(cx))?;
        }
        if self.gathered.capacity() == 0 {
            self.gathered = self.context.buffers.take_text();
        }
        let count = bytes.len().min(MOST - self.gathered.len());
        self.gathered.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Batch<S> {
    fn poll_read(
        self: Pin<&mut Batch<S>>,
        cx: &mut Context<'_>,
        target: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().io).poll_read(cx, target)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Batch<S> {
    fn poll_write(
        self: Pin<&mut Batch<S>>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().poll_gather(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Batch<S>>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let mut total = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            if total > 0 && inner.gathered.len() >= MOST {
                break;
            }
            let count = ready!(inner.poll_gather(cx, slice))?;
            total += count;
            if count < slice.len() {
                break;
            }
        }
        Poll::Ready(Ok(total))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Batch<S>>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Batch<S>>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_drain(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}
