//! HTTP/1.1 of clients' connections: one request after the other.

mod connection;
mod relay;
mod request;
mod tunnel;
mod write;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::{Method, Version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::deadline::Watch;
use crate::observe::Client;
use crate::wire::response::Answer;
use crate::worker::Context;

use connection::{Connection, Next};
use request::After;

/// Serves one connection until it ends. TLS ends before this: `io` carries what it protects.
///
/// No `async fn`: those keep their arguments twice, and idle connections are many.
pub(crate) fn serve<S>(
    context: Rc<Context>,
    io: S,
    client: Client,
    watch: Watch,
) -> impl Future<Output = ()>
where
    S: AsyncRead + AsyncWrite + Reset + Unpin + 'static,
{
    let mut connection = Connection::new(context, io);
    async move {
        poll_fn(|cx| {
            watch.attach(cx.waker());
            Poll::Ready(())
        })
        .await;
        let linger = loop {
            let after = match connection.next(&watch).await {
                // What a request needs is only there as long as it lasts: idle connections are small.
                Next::Request(parsed) => {
                    Box::pin(request::serve(&mut connection, parsed, &client, &watch)).await
                }
                Next::Refused(refusal) => {
                    Box::pin(request::refuse(&mut connection, refusal, &client, &watch)).await
                }
                Next::End => break false,
            };
            match after {
                After::Next => {}
                After::Close => break false,
                After::Linger => break true,
                After::Abort => return,
                After::Reset => return connection.io.reset(),
            }
        };
        Box::pin(connection.close(linger, &watch)).await;
    }
}

/// A connection that can end so that nobody takes that for an end as it should be.
pub(crate) trait Reset {
    /// From now on, dropping it resets it.
    fn reset(&self);
}

impl Reset for TcpStream {
    fn reset(&self) {
        // If it cannot be done, the connection is gone already.
        let _ = socket2::SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl Reset for Box<TlsStream<TcpStream>> {
    fn reset(&self) {
        self.get_ref().0.reset();
    }
}

/// An answer as it would be passed on to a client of HTTP/1.1.
pub(crate) fn fuzz_pass(answer: &Answer, bytes: &[u8], method: &Method) -> Vec<u8> {
    let shape = write::Shape::of(answer, method, Version::HTTP_11, false);
    let mut out = Vec::new();
    write::answer(&mut out, answer, bytes, shape);
    out
}
