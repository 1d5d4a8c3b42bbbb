//! What can be served: a function from request to a reply now or later.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_service::Service as TowerService;

use crate::{Body, Request, Response};

/// A reply that is still being made.
pub type Later = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A reply: at once (no future is allocated) or later.
pub enum Reply {
    /// The whole answer is here.
    Now(Response),
    /// The answer comes when the future ends.
    Later(Later),
}

impl Reply {
    /// A reply made by a future.
    pub fn later(future: impl Future<Output = Response> + Send + 'static) -> Reply {
        Reply::Later(Box::pin(future))
    }
}

impl Reply {
    /// A reply whose work is finished even when the client leaves before the
    /// answer: what was received is acted upon. libprocess peers close right
    /// behind their last message.
    pub fn detached(future: impl Future<Output = Response> + Send + 'static) -> Reply {
        Reply::Later(Box::pin(Detached(Some(Box::pin(future)))))
    }
}

/// A future that goes on in a task of its own when dropped early.
struct Detached(Option<Later>);

impl Future for Detached {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let Some(inner) = self.0.as_mut() else {
            return Poll::Pending;
        };
        let polled = inner.as_mut().poll(cx);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(rest);
        }
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        Reply::Now(response)
    }
}

/// Something that answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request of `peer`.
    fn call(&self, request: Request, peer: SocketAddr) -> Reply;
}

impl<F> Service for F
where
    F: Fn(Request, SocketAddr) -> Reply + Send + Sync + 'static,
{
    fn call(&self, request: Request, peer: SocketAddr) -> Reply {
        self(request, peer)
    }
}

/// The future hyper polls for one reply.
pub(crate) enum ReplyFuture {
    Now(Option<Response>),
    Later(Later),
}

impl From<Reply> for ReplyFuture {
    fn from(reply: Reply) -> ReplyFuture {
        match reply {
            Reply::Now(response) => ReplyFuture::Now(Some(response)),
            Reply::Later(future) => ReplyFuture::Later(future),
        }
    }
}

impl Future for ReplyFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            ReplyFuture::Now(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            ReplyFuture::Later(future) => future.as_mut().poll(cx).map(Ok),
        }
    }
}

/// Serves a tower service such as an `axum::Router`.
pub fn from_tower<S>(service: S) -> impl Service
where
    S: TowerService<
            http::Request<axum::body::Body>,
            Response = http::Response<axum::body::Body>,
            Error = Infallible,
        > + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    move |request: Request, peer: SocketAddr| {
        let mut service = service.clone();
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(PeerAddr(peer));
        Reply::later(async move {
            if let Err(never) = std::future::poll_fn(|cx| service.poll_ready(cx)).await {
                match never {}
            }
            match service.call(request).await {
                Ok(response) => response.map(Body::Boxed),
                Err(never) => match never {},
            }
        })
    }
}

/// The peer's address, in the extensions of requests of endpoints that ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);
