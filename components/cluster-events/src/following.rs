//! What following a stream is, whoever tells it: one server after the other, until somebody does.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{sleep, timeout};

use crate::asking::{AskError, Backoff, Server};

/// Why there is no stream, or no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("{0}")]
    Ask(#[from] AskError),
    #[error("it was closed")]
    Closed,
    #[error("it broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error("nothing came for {0:?}")]
    Silent(Duration),
    #[error("it is malformed: {0}")]
    Malformed(String),
    #[error("the address of the leading server {0} is not known")]
    Leader(String),
    #[error("reading what it told was given up")]
    Lost,
    #[error(transparent)]
    Unheard(#[from] Unheard),
}

/// Nobody listens any more.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nobody listens any more")]
pub(crate) struct Unheard;

/// Something that tells what happens in a stream.
pub(crate) trait Source: Send {
    /// Whose stream it is, for people.
    const NAME: &'static str;

    /// Follows one stream, which this server or another one it names tells, until it ends.
    fn follow(&mut self, server: Server) -> impl Future<Output = Result<Infallible, End>> + Send;

    /// Whether something was told since the last call.
    fn take_told(&mut self) -> bool;

    /// Tells that a stream which had told something ended.
    fn cut(&mut self) -> impl Future<Output = Result<(), Unheard>> + Send;
}

/// Follows until nobody listens. With no server to ask there is nothing to do.
pub(crate) async fn run<S: Source>(mut source: S, servers: &[Server]) {
    let mut backoff = Backoff::default();
    for server in servers.iter().cycle() {
        let end = match source.follow(server.clone()).await {
            Err(End::Unheard(Unheard)) => return,
            Err(end) => end,
            Ok(never) => match never {},
        };
        if source.take_told() {
            backoff.reset();
            tracing::warn!(%server, reason = %end, "the stream of {} ended", S::NAME);
            if source.cut().await.is_err() {
                return;
            }
        } else {
            tracing::info!(%server, reason = %end, "no stream of {}", S::NAME);
        }
        sleep(backoff.pause()).await;
    }
}

/// The bytes of a stream that must never be silent for long.
pub(crate) struct Pieces {
    stream: Incoming,
    pub(crate) patience: Duration,
}

// === impl End ===

impl End {
    pub(crate) fn malformed(error: impl std::fmt::Display) -> End {
        End::Malformed(error.to_string())
    }
}

// === impl Pieces ===

impl Pieces {
    pub(crate) fn new(stream: Incoming, patience: Duration) -> Pieces {
        Pieces { stream, patience }
    }

    /// Nothing is lost when this is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Result<Bytes, End> {
        loop {
            let frame = timeout(self.patience, self.stream.frame()).await;
            let frame = frame.map_err(|_| End::Silent(self.patience))?;
            if let Ok(data) = frame.ok_or(End::Closed)??.into_data() {
                return Ok(data);
            }
        }
    }
}
