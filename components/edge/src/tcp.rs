//! Connections that nobody looks into: bytes in both directions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proxy::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::live::{Active, Backend, Counts, Hint};

/// Bytes on their way in one direction.
const BUFFER: usize = 16 * 1024;
/// How often is looked whether a connection is idle for too long.
const LOOK: Duration = Duration::from_secs(5);
/// Servers that are tried.
const MOST_TRIES: u8 = 4;

/// Carries a client's connection to a server of the service, to its end or to that of `token`.
pub(crate) async fn carry(
    mut client: TcpStream,
    from: SocketAddr,
    backend: Arc<Backend>,
    idle: Duration,
    token: CancellationToken,
) {
    let _front = Front::new(&backend);
    let allowed = &backend.service.settings.networks;
    let address = from.ip().to_canonical();
    if !allowed.is_empty() && !allowed.iter().any(|(_, network)| network.contains(address)) {
        Counts::add(&backend.counts.denied, 1);
        return;
    }
    let Some((server, mut upstream)) = connect(&backend, from).await else {
        tracing::debug!(service = %backend.service.name, "no server can be connected to");
        return;
    };
    let now = SystemTime::now();
    server.counts().seen(now);
    backend.counts.seen(now);
    let counted = Active::new(Arc::clone(&backend));
    let carried = token.run_until_cancelled(both(&mut client, &mut upstream, idle)).await;
    let (up, down) = carried.unwrap_or_default();
    for counts in [server.counts(), counted.counts(), &*backend.front] {
        Counts::add(&counts.received, up);
        Counts::add(&counts.sent, down);
    }
}

/// Counted on the frontend for as long as it is there.
struct Front<'a>(&'a Counts);

impl<'a> Front<'a> {
    fn new(backend: &'a Backend) -> Front<'a> {
        backend.front.begin();
        Front(&backend.front)
    }
}

impl Drop for Front<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn connect(
    backend: &Arc<Backend>,
    from: SocketAddr,
) -> Option<(Active<crate::live::Server>, TcpStream)> {
    let mut failed: Option<Arc<crate::live::Server>> = None;
    for _ in 0..MOST_TRIES {
        let not = failed.as_ref().map(|server| &*server.upstream);
        let hint = Hint { client: from.ip(), path: "", header: None, not };
        let server = backend.choose(&hint)?.server;
        let Address::Tcp(address) = server.upstream.address else { return None };
        let counted = Active::new(Arc::clone(&server));
        match timeout(backend.limits.connect, open(address)).await {
            Ok(Ok(stream)) => return Some((counted, stream)),
            _ => {
                Counts::add(&server.counts.connect_errors, 1);
                Counts::add(&backend.counts.connect_errors, 1);
                Counts::add(&backend.counts.redispatches, 1);
                server.has_trouble();
                failed = Some(server);
            }
        }
    }
    None
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

/// Copies until both sides have ended, one broke, or nothing passed for `idle`. How many bytes
/// went to the server, and how many came from it.
async fn both(client: &mut TcpStream, server: &mut TcpStream, idle: Duration) -> (u64, u64) {
    let passed = Passed::default();
    let (mut client_read, mut client_write) = client.split();
    let (mut server_read, mut server_write) = server.split();
    let up = copy(&mut client_read, &mut server_write, &passed.up);
    let down = copy(&mut server_read, &mut client_write, &passed.down);
    let copied = async { tokio::try_join!(up, down) };
    tokio::select! {
        _ = copied => {}
        () = passed.idle(idle) => {}
    }
    (passed.up.get(), passed.down.get())
}

/// Bytes so far. One task carries both directions.
#[derive(Default)]
struct Passed {
    up: std::sync::atomic::AtomicU64,
    down: std::sync::atomic::AtomicU64,
}

/// A count that one task reads and writes.
trait Cell {
    fn get(&self) -> u64;
    fn add(&self, count: u64);
}

impl Cell for std::sync::atomic::AtomicU64 {
    fn get(&self) -> u64 {
        self.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn add(&self, count: u64) {
        self.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Passed {
    async fn idle(&self, limit: Duration) {
        let look = LOOK.min(limit);
        let (mut last, mut since) = ((0, 0), Instant::now());
        loop {
            tokio::time::sleep(look).await;
            let now = (self.up.get(), self.down.get());
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() >= limit {
                return;
            }
        }
    }
}

async fn copy(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    passed: &impl Cell,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            // The other direction may go on.
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..count).unwrap_or_default()).await?;
        passed.add(count as u64);
    }
}
