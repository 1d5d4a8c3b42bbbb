//! Connections of TCP, carried from a listener to a backend.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Choice, Shared};

/// After a failure to take a connection: there are too many open files, most of the time.
const PAUSE: Duration = Duration::from_millis(50);
/// Backends tried for one connection.
const TRIES: usize = 3;

pub(super) async fn run(
    listener: TcpListener,
    targets: Arc<Choice>,
    shared: Arc<Shared>,
    close: CancellationToken,
) {
    loop {
        // Beyond the limit, connections wait in the kernel.
        let permit = tokio::select! {
            () = close.cancelled() => return,
            permit = Arc::clone(&shared.connections).acquire_owned() => permit,
        };
        let taken = tokio::select! {
            () = close.cancelled() => return,
            taken = listener.accept() => taken,
        };
        match taken {
            Ok((client, _)) => {
                let (targets, inner) = (Arc::clone(&targets), Arc::clone(&shared));
                shared.tasks.spawn(async move {
                    let _permit = permit;
                    let carry = carry(client, &targets, inner.limits.connect_timeout);
                    let _ = inner.stop.run_until_cancelled(carry).await;
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not taken");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Where no backend takes it, the client's connection is closed.
async fn carry(mut client: TcpStream, targets: &Choice, patience: Duration) {
    let Some(mut backend) = connect(targets.order(), patience).await else { return };
    // Neither side waits for more to come.
    let _ = (client.set_nodelay(true), backend.set_nodelay(true));
    // However it ends, it ends.
    let _ = copy_bidirectional(&mut client, &mut backend).await;
}

async fn connect(order: Vec<SocketAddrV4>, patience: Duration) -> Option<TcpStream> {
    for target in order.into_iter().take(TRIES) {
        if let Ok(Ok(stream)) = timeout(patience, TcpStream::connect(target)).await {
            return Some(stream);
        }
    }
    None
}
