//! The body type of requests and answers, and reading one under a limit.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use crate::{Response, respond};

/// Errors of foreign bodies, kept as they came.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body could not be read or sent.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The peer or a foreign service failed.
    #[error("the body failed: {0}")]
    Foreign(#[source] BoxError),
    /// A body of declared length ended early.
    #[error("the body ended {0} bytes early")]
    Short(u64),
}

/// A body; the common kinds need no allocation of their own.
#[derive(Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// Everything at once.
    Full(Bytes),
    /// Pieces that arrive from a task; ends when the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
    /// Pieces whose total length is known, so that `Content-Length` can be sent.
    Sized { pieces: mpsc::Receiver<Bytes>, remaining: u64 },
    /// Pieces that are made when they are asked for.
    Pulled(Pulled),
    /// What a client sent us.
    Incoming(hyper::body::Incoming),
    /// Any other body.
    Boxed(axum::body::Body),
}

/// Makes the pieces of a body, see [`Body::pulled`].
pub struct Pulled {
    next: Box<dyn FnMut() -> Option<Bytes> + Send>,
    /// Whether others had a turn since the last piece.
    rested: bool,
}

impl Body {
    /// A body whose pieces `next` makes, each when the client has room for it, until it gives
    /// none. Making one must not take long: it happens on the runtime's threads, which do other
    /// work between two pieces.
    pub fn pulled(next: impl FnMut() -> Option<Bytes> + Send + 'static) -> Body {
        Body::Pulled(Pulled { next: Box::new(next), rested: true })
    }

    /// A streamed body and the sender of its pieces.
    pub fn channel(capacity: usize) -> (mpsc::Sender<Bytes>, Body) {
        let (tx, rx) = mpsc::channel(capacity.max(1));
        (tx, Body::Stream(rx))
    }

    /// The bytes, when they are all here already.
    pub fn as_full(&self) -> Option<&Bytes> {
        match self {
            Body::Full(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Collects the body whatever its size: for tests and trusted sources.
    pub async fn collect_all(self) -> Result<Bytes, BodyError> {
        Ok(BodyExt::collect(self).await?.to_bytes())
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Body::Empty => "Empty",
            Body::Full(_) => "Full",
            Body::Stream(_) => "Stream",
            Body::Sized { .. } => "Sized",
            Body::Pulled(_) => "Pulled",
            Body::Incoming(_) => "Incoming",
            Body::Boxed(_) => "Boxed",
        };
        f.debug_tuple("Body").field(&name).finish()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Body {
        if bytes.is_empty() { Body::Empty } else { Body::Full(bytes) }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Body {
        text.into_bytes().into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Body {
        Bytes::from_static(text.as_bytes()).into()
    }
}

type Piece = Option<Result<Frame<Bytes>, BodyError>>;

fn foreign<E: Into<BoxError>>(frame: Option<Result<Frame<Bytes>, E>>) -> Piece {
    frame.map(|f| f.map_err(|e| BodyError::Foreign(e.into())))
}

fn sized_piece(piece: Option<Bytes>, remaining: &mut u64) -> Piece {
    match piece {
        Some(mut bytes) => {
            if bytes.len() as u64 > *remaining {
                bytes.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
            }
            *remaining -= bytes.len() as u64;
            Some(Ok(Frame::data(bytes)))
        }
        None if *remaining > 0 => Some(Err(BodyError::Short(*remaining))),
        None => None,
    }
}

impl Pulled {
    /// The next piece; before it, once, a turn for others.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if !std::mem::replace(&mut self.rested, false) {
            self.rested = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready((self.next)().map(|piece| Ok(Frame::data(piece))))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Piece> {
        match &mut *self {
            Body::Empty => Poll::Ready(None),
            Body::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Body::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Body::Stream(rx) => rx.poll_recv(cx).map(|p| p.map(|b| Ok(Frame::data(b)))),
            Body::Sized { pieces, remaining } => {
                if *remaining == 0 {
                    return Poll::Ready(None);
                }
                pieces.poll_recv(cx).map(|p| sized_piece(p, remaining))
            }
            Body::Pulled(pulled) => pulled.poll(cx),
            Body::Incoming(inner) => Pin::new(inner).poll_frame(cx).map(foreign),
            Body::Boxed(inner) => Pin::new(inner).poll_frame(cx).map(foreign),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Empty => true,
            Body::Full(bytes) => bytes.is_empty(),
            Body::Stream(_) | Body::Pulled(_) => false,
            Body::Sized { remaining, .. } => *remaining == 0,
            Body::Incoming(inner) => inner.is_end_stream(),
            Body::Boxed(inner) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Empty => SizeHint::with_exact(0),
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Stream(_) | Body::Pulled(_) => SizeHint::default(),
            Body::Sized { remaining, .. } => SizeHint::with_exact(*remaining),
            Body::Incoming(inner) => inner.size_hint(),
            Body::Boxed(inner) => inner.size_hint(),
        }
    }
}

/// Reads a whole request body of at most `limit` bytes; the error is the answer
/// to give (413 when too large, 400 when it broke off).
pub async fn read_body(body: Body, limit: usize) -> Result<Bytes, Response> {
    let mut body = match body {
        Body::Empty => return Ok(Bytes::new()),
        Body::Full(bytes) if bytes.len() <= limit => return Ok(bytes),
        Body::Full(_) => return Err(respond::too_large(limit)),
        other => other,
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(respond::too_large(limit));
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| respond::bad_request(format!("Failed to read body: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(respond::too_large(limit));
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    Ok(join(first, rest))
}

/// One piece is handed on as it is; most bodies are one.
fn join(first: Bytes, rest: BytesMut) -> Bytes {
    if rest.is_empty() {
        return first;
    }
    let mut all = BytesMut::with_capacity(first.len() + rest.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&rest);
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sized_body_never_sends_more_than_it_declared() {
        let (tx, rx) = mpsc::channel(4);
        tx.send(Bytes::from_static(b"hello")).await.unwrap();
        tx.send(Bytes::from_static(b" world")).await.unwrap();
        drop(tx);
        let body = Body::Sized { pieces: rx, remaining: 7 };
        assert_eq!(body.collect_all().await.unwrap(), "hello w");
    }

    #[tokio::test]
    async fn pieces_are_pulled_until_there_are_none() {
        let mut left = 3_u8;
        let body = Body::pulled(move || {
            left = left.checked_sub(1)?;
            Some(Bytes::from(vec![b'a' + left]))
        });
        assert_eq!(body.collect_all().await.unwrap(), "cba");
    }

    #[tokio::test]
    async fn a_sized_body_that_ends_early_is_an_error() {
        let (tx, rx) = mpsc::channel(4);
        tx.send(Bytes::from_static(b"hello")).await.unwrap();
        drop(tx);
        let body = Body::Sized { pieces: rx, remaining: 7 };
        assert!(matches!(body.collect_all().await, Err(BodyError::Short(2))));
    }

    #[tokio::test]
    async fn the_limit_holds_for_streams_too() {
        let (tx, body) = Body::channel(4);
        tx.send(Bytes::from_static(b"12345")).await.unwrap();
        tx.send(Bytes::from_static(b"67890")).await.unwrap();
        drop(tx);
        let refused = read_body(body, 9).await.unwrap_err();
        assert_eq!(refused.status(), http::StatusCode::PAYLOAD_TOO_LARGE);
        let (tx, body) = Body::channel(4);
        tx.send(Bytes::from_static(b"12345")).await.unwrap();
        tx.send(Bytes::from_static(b"67890")).await.unwrap();
        drop(tx);
        assert_eq!(read_body(body, 10).await.unwrap(), "1234567890");
    }
}
