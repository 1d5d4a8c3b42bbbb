//! Packets of UDP: a client stays with its backend for as long as it keeps sending and the
//! backend is there.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Choice, Shared};

/// The largest packet there is.
const PACKET: usize = 1 << 16;
/// Clients that left and are to be forgotten.
const LEFT: usize = 256;

/// A client that was heard.
struct Client {
    backend: SocketAddrV4,
    socket: Arc<UdpSocket>,
    close: CancellationToken,
}

pub(super) async fn run(
    socket: Arc<UdpSocket>,
    targets: Arc<Choice>,
    shared: Arc<Shared>,
    close: CancellationToken,
) {
    let mut clients: FxHashMap<SocketAddr, Client> = FxHashMap::default();
    let (leave, mut left) = mpsc::channel(LEFT);
    let mut packet = vec![0; PACKET];
    loop {
        let received = tokio::select! {
            () = close.cancelled() => break,
            gone = left.recv() => {
                if let Some((from, backend)) = gone
                    && clients.get(&from).is_some_and(|client| client.backend == backend)
                {
                    clients.remove(&from);
                }
                continue;
            }
            received = socket.recv_from(&mut packet) => received,
        };
        // An error is of an answer that did not arrive; the socket goes on.
        let Ok((length, from)) = received else { continue };
        let bytes = packet.get(..length).unwrap_or_default();
        let known = clients.get(&from).filter(|client| targets.has(client.backend));
        if known.is_none() {
            if let Some(old) = clients.remove(&from) {
                old.close.cancel();
            }
            let Ok(permit) = Arc::clone(&shared.udp_clients).try_acquire_owned() else { continue };
            let Some(client) = begin(&targets, &close).await else { continue };
            let answers = Answers {
                listener: Arc::clone(&socket),
                from,
                backend: client.backend,
                socket: Arc::clone(&client.socket),
                _permit: permit,
            };
            let (inner, leave, ends) = (Arc::clone(&shared), leave.clone(), client.close.clone());
            shared.tasks.spawn(async move {
                let whose = (answers.from, answers.backend);
                let _ = ends.run_until_cancelled(answers.run(inner.limits.udp_idle)).await;
                // Where nobody listens any more, nobody needs to know.
                let _ = leave.try_send(whose);
            });
            clients.insert(from, client);
        }
        if let Some(client) = clients.get(&from) {
            let _ = client.socket.send(bytes).await;
        }
    }
}

async fn begin(targets: &Choice, close: &CancellationToken) -> Option<Client> {
    let backend = targets.order().into_iter().next()?;
    let socket = UdpSocket::bind("0.0.0.0:0").await.ok()?;
    socket.connect(backend).await.ok()?;
    Some(Client { backend, socket: Arc::new(socket), close: close.child_token() })
}

/// Carries what the backend answers.
struct Answers {
    listener: Arc<UdpSocket>,
    from: SocketAddr,
    backend: SocketAddrV4,
    socket: Arc<UdpSocket>,
    _permit: OwnedSemaphorePermit,
}

// === impl Answers ===

impl Answers {
    /// Until nothing comes for a while. A client that only sends looks idle, and begins anew.
    async fn run(&self, idle: std::time::Duration) {
        let mut packet = vec![0; PACKET];
        while let Ok(received) = timeout(idle, self.socket.recv(&mut packet)).await {
            // Refused: the backend is not there yet, or no more.
            let Ok(length) = received else { continue };
            let bytes = packet.get(..length).unwrap_or_default();
            let _ = self.listener.send_to(bytes, self.from).await;
        }
    }
}
