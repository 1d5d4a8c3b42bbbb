//! HTTP/1.1 of clients' connections.

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::deadline::Watch;
use crate::observe::Client;
use crate::worker::Context;

/// Serves one connection until it ends. TLS ends before this: `io` carries what it protects.
pub(crate) async fn serve<S>(_context: Rc<Context>, _io: S, _client: Client, _watch: Watch)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
}
