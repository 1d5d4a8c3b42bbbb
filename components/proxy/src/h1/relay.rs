//! An answer on its way from the upstream to the client.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;
use crate::Refusal;
use crate::deadline::Watch;
use crate::exchange::{Exchange, Failure, Piece};
use crate::outbox::{Framing, Outbox};

/// One answer.
pub(super) struct Relay {
    outbox: Outbox,
    framing: Framing,
    /// The last piece is in the outbox.
    last: bool,
    sent: u64,
    /// Something was written.
    started: bool,
    /// The deadline in force is the one for writing.
    blocked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Relayed {
    Complete,
    ClientGone,
    /// The upstream did not send all: the client has to see that something is missing.
    Broken,
    /// That came to light before anything was written: the client can be told.
    Unsent(Refusal),
}

// === impl Relay ===

impl Relay {
    pub(super) fn new(head: Vec<u8>, framing: Framing) -> Relay {
        let outbox = Outbox::new(head);
        Relay { outbox, framing, last: false, sent: 0, started: false, blocked: false }
    }

    /// Bytes of the body that were written, or will be as soon as the connection takes them.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn take_memory(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outbox.head)
    }

    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        connection: &mut Connection<S>,
        exchange: &mut Exchange,
        watch: &Watch,
    ) -> Relayed {
        poll_fn(|cx| self.poll(cx, connection, exchange, watch)).await
    }

    fn poll<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut Connection<S>,
        exchange: &mut Exchange,
        watch: &Watch,
    ) -> Poll<Relayed> {
        loop {
            let mut waits = false;
            if !self.last && self.outbox.takes_more() {
                match exchange.poll_piece(cx, connection, watch) {
                    Poll::Ready(Ok(piece)) => self.put(exchange, piece),
                    Poll::Ready(Err(Failure::Gone)) => return Poll::Ready(Relayed::ClientGone),
                    Poll::Ready(Err(Failure::Refused(refusal))) => {
                        return Poll::Ready(match self.started {
                            true => Relayed::Broken,
                            false => Relayed::Unsent(refusal),
                        });
                    }
                    Poll::Pending => waits = true,
                }
            }
            if self.outbox.is_empty() {
                return match Pin::new(&mut connection.io).poll_flush(cx) {
                    Poll::Ready(Ok(())) if waits => Poll::Pending,
                    Poll::Ready(Ok(())) => Poll::Ready(Relayed::Complete),
                    Poll::Ready(Err(_)) => Poll::Ready(Relayed::ClientGone),
                    Poll::Pending => self.block(connection, watch),
                };
            }
            match self.outbox.poll_write(cx, &mut connection.io, exchange.data()) {
                Poll::Ready(Ok(of_body)) => {
                    self.started = true;
                    self.sent += of_body as u64;
                    exchange.consume(of_body);
                    if self.blocked {
                        self.blocked = false;
                        exchange.set_idle(watch);
                    }
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Relayed::ClientGone),
                Poll::Pending => {
                    // A client that is slow to take may still be sending.
                    if exchange.poll_upload(cx, connection).is_err() {
                        return Poll::Ready(Relayed::ClientGone);
                    }
                    return self.block(connection, watch);
                }
            }
        }
    }

    /// The client takes nothing now: it has so long to go on.
    fn block<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        connection: &Connection<S>,
        watch: &Watch,
    ) -> Poll<Relayed> {
        if !self.blocked {
            self.blocked = true;
            watch.set(Some(connection.context.config.timeouts.write));
        }
        if watch.expired() {
            return Poll::Ready(Relayed::ClientGone);
        }
        Poll::Pending
    }

    fn put(&mut self, exchange: &mut Exchange, piece: Piece) {
        self.last = piece == Piece::End || exchange.is_read();
        let end = self.last.then(|| exchange.trailers());
        let copied = self.outbox.put(exchange.data(), self.framing, end);
        self.sent += copied as u64;
        exchange.consume(copied);
    }
}
