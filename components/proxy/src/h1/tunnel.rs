//! After `101 Switching Protocols`: bytes in both directions, whatever they mean.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::buffer::{Buffer, Buffers};
use crate::deadline::Watch;
use crate::exchange::Io;
use crate::worker;

/// Two connections that are one.
pub(super) struct Tunnel {
    context: Rc<worker::Context>,
    upstream: Io,
    up: Direction,
    down: Direction,
}

/// One way.
#[derive(Debug, Default)]
struct Direction {
    buffer: Buffer,
    passed: u64,
    /// Nothing more comes.
    ended: bool,
    /// And whoever gets it was told.
    closed: bool,
    unflushed: bool,
}

// === impl Tunnel ===

impl Tunnel {
    /// `from_client` and `from_upstream` are what was read already.
    pub(super) fn new(
        context: &Rc<worker::Context>,
        from_client: Buffer,
        upstream: Io,
        from_upstream: Buffer,
    ) -> Tunnel {
        let direction = |buffer| Direction { buffer, ..Direction::default() };
        Tunnel {
            context: Rc::clone(context),
            upstream,
            up: direction(from_client),
            down: direction(from_upstream),
        }
    }

    /// Bytes from the client, and to it.
    pub(super) fn passed(&self) -> (u64, u64) {
        (self.up.passed, self.down.passed)
    }

    /// Until both directions have ended, one has failed, or nothing moved for too long.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        client: &mut S,
        watch: &Watch,
    ) {
        let idle = self.context.config.timeouts.tunnel;
        watch.set(Some(idle));
        poll_fn(|cx| {
            if watch.expired() {
                return Poll::Ready(());
            }
            let before = self.passed();
            let buffers = &self.context.buffers;
            let up = self.up.poll(cx, client, &mut self.upstream, buffers);
            let down = self.down.poll(cx, &mut self.upstream, client, buffers);
            if self.passed() != before {
                watch.set(Some(idle));
            }
            match (up, down) {
                (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => Poll::Ready(()),
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.up.buffer.release(&self.context.buffers);
        self.down.buffer.release(&self.context.buffers);
    }
}

// === impl Direction ===

impl Direction {
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        buffers: &Buffers,
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            while !self.buffer.is_empty() {
                let count =
                    std::task::ready!(Pin::new(&mut *to).poll_write(cx, self.buffer.bytes()))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.consume(count);
                self.passed += count as u64;
                self.unflushed = true;
            }
            self.buffer.release_if_empty(buffers);
            if self.ended {
                if !self.closed {
                    std::task::ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.closed = true;
                }
                return Poll::Ready(Ok(()));
            }
            match self.buffer.poll_read(cx, from, buffers) {
                Poll::Ready(Ok(0)) => self.ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if self.unflushed && Pin::new(&mut *to).poll_flush(cx)?.is_ready() {
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}
