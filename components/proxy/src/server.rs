//! Listening, and the threads that serve.
//!
//! One listener, and connections handed to the worker that has the fewest: with SO_REUSEPORT the
//! kernel would spread them by a hash, unevenly when they are few and long-lived, and a second
//! gateway on the same port would share it silently instead of failing.

mod doors;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::task::Poll;
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::ServerConfig;
use crate::deadline::{TICK, Watch};
use crate::metrics::Metrics;
use crate::observe::{Client, Observer};
use crate::tls::Certificates;
use crate::worker::Context;
use crate::{Peer, Policy, Scheme, h1, h2, tls};

pub use doors::Doors;
use doors::{Accepted, Seat};

/// Connections handed to a worker that it did not take up yet.
const HANDED: usize = 1024;

/// After the grace: how many ticks connections have for their end once they were told so.
const LAST_TICKS: usize = 10;

/// How many tasks run before the sockets are looked at again.
const EVENT_INTERVAL: u32 = 128;

/// Connections that the kernel keeps for us.
const BACKLOG: i32 = 4096;

/// Between two looks at the first few bytes of a client that sends them one by one.
const PEEK: Duration = Duration::from_millis(10);

/// When accepting fails for want of something (file descriptors).
const PAUSE: Duration = Duration::from_millis(50);

/// The one way to run the engine.
#[derive(Debug)]
pub struct Server;

/// A server that runs until the token it was started with is cancelled, or one of its parts fails.
pub struct Running {
    pub plain_address: Option<SocketAddr>,
    pub tls_address: Option<SocketAddr>,
    pub metrics: Arc<Metrics>,
    /// Brings in connections that were accepted elsewhere.
    pub doors: Doors,
    /// Ends when every connection has ended and the threads are gone: when the token was cancelled,
    /// or when a worker has ended by itself, which is a failure.
    pub join: JoinHandle<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen at {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Accepts on one listener.
struct Acceptor {
    listener: std::net::TcpListener,
    tls: Option<Arc<Certificates>>,
    doors: Doors,
}

/// What a worker's thread starts with.
struct Worker {
    policy: Arc<dyn Policy>,
    config: Arc<ServerConfig>,
    index: usize,
    metrics: Arc<Metrics>,
    acceptors: Vec<Acceptor>,
    handed: mpsc::Receiver<Accepted>,
    token: CancellationToken,
}

/// A worker's thread, seen from outside.
struct Thread {
    begun: Receiver<io::Result<()>>,
    /// Closed when the thread has ended.
    ended: oneshot::Receiver<()>,
}

/// What a worker's thread leaves behind, however it ends.
struct Ending {
    index: usize,
    token: CancellationToken,
    /// Tells by its end.
    _ended: oneshot::Sender<()>,
}

// === impl Server ===

impl Server {
    /// Listens and starts the workers. To be called within a tokio runtime, which only waits for
    /// their end.
    pub fn start(
        config: ServerConfig,
        policy: Arc<dyn Policy>,
        token: CancellationToken,
    ) -> Result<Running, ServerError> {
        let workers = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let plain = config.plain.map(listen).transpose()?;
        let tls = config.tls.as_ref().map(|(address, _)| listen(*address)).transpose()?;
        let plain_address = plain.as_ref().and_then(|listener| listener.local_addr().ok());
        let tls_address = tls.as_ref().and_then(|listener| listener.local_addr().ok());
        let (routes, log) = (config.routes.clone(), config.access_log.clone());
        let metrics = Metrics::new(routes, workers, log);
        let certificates = config.tls.as_ref().map(|(_, certificates)| Arc::clone(certificates));
        let config = Arc::new(config);
        let (doors, receivers) = Doors::new(workers, HANDED, config.connections);
        let mut acceptors: Vec<Acceptor> = Vec::new();
        for (listener, tls) in [(plain, None), (tls, certificates)] {
            let Some(listener) = listener else { continue };
            acceptors.push(Acceptor { listener, tls, doors: doors.clone() });
        }
        let token = token.child_token();
        // Also when one of the threads cannot be started.
        let stop = token.clone().drop_guard();
        let (mut begun, mut ends) = (Vec::new(), Vec::new());
        for (index, handed) in receivers.into_iter().enumerate() {
            let worker = Worker {
                policy: Arc::clone(&policy),
                index,
                metrics: Arc::clone(&metrics),
                config: Arc::clone(&config),
                // The first worker accepts for all.
                acceptors: std::mem::take(&mut acceptors),
                handed,
                token: token.clone(),
            };
            let thread = worker.spawn().map_err(ServerError::Thread)?;
            begun.push(thread.begun);
            ends.push(thread.ended);
        }
        for begun in begun {
            let gone = |_| Err(io::Error::other("it ended at once"));
            begun.recv().unwrap_or_else(gone).map_err(ServerError::Thread)?;
        }
        stop.disarm();
        let join = tokio::spawn(async move {
            for end in ends {
                // An error too says that the thread is gone.
                let _ = end.await;
            }
        });
        Ok(Running { plain_address, tls_address, metrics, doors, join })
    }
}

fn listen(address: SocketAddr) -> Result<std::net::TcpListener, ServerError> {
    let open = || {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Connections inherit it.
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|source| ServerError::Listen { address, source })
}

// === impl Worker ===

impl Worker {
    fn spawn(self) -> io::Result<Thread> {
        let (told, begun) = std::sync::mpsc::sync_channel(1);
        let (index, token) = (self.index, self.token.clone());
        let ended = thread(index, token, move || self.run(&told))?;
        Ok(Thread { begun, ended })
    }

    fn run(mut self, told: &SyncSender<io::Result<()>>) {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().event_interval(EVENT_INTERVAL);
        let runtime = builder.build_local(LocalOptions::default());
        let (runtime, begun) = match runtime {
            Ok(runtime) => (Some(runtime), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // There is room for it; who started it may have given up meanwhile.
        let _ = told.try_send(begun);
        let Some(runtime) = runtime else { return };
        runtime.block_on(async move {
            let observer = Observer::new(self.metrics, self.index, &self.config);
            let context = Context::new(self.index, self.policy, self.config, observer);
            for acceptor in self.acceptors.drain(..) {
                let (context, token) = (Rc::clone(&context), self.token.clone());
                tokio::task::spawn_local(acceptor.run(context, token));
            }
            serve(&context, &mut self.handed, &self.token).await;
            drain(&context).await;
        });
        // What still runs is dropped here.
    }
}

/// Runs a worker. A server that lacks one is not what was asked for: when it ends and nobody has
/// asked for that, the whole server ends.
fn thread(
    index: usize,
    token: CancellationToken,
    run: impl FnOnce() + Send + 'static,
) -> io::Result<oneshot::Receiver<()>> {
    let (ended, end) = oneshot::channel();
    let ending = Ending { index, token, _ended: ended };
    std::thread::Builder::new().name(format!("proxy-{index}")).spawn(move || {
        let _ending = ending;
        run();
    })?;
    Ok(end)
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.token.is_cancelled() {
            tracing::error!(worker = self.index, "a worker has ended: the server stops");
            self.token.cancel();
        }
    }
}

/// Takes connections and keeps the clock until the server is told to stop.
async fn serve(
    context: &Rc<Context>,
    handed: &mut mpsc::Receiver<Accepted>,
    token: &CancellationToken,
) {
    let mut clock = tokio::time::interval(TICK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut open = true;
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            accepted = handed.recv(), if open => match accepted {
                Some(accepted) => take(context, accepted),
                None => open = false,
            },
            _ = clock.tick() => context.tick(),
        }
    }
}

/// Requests in flight may end within the grace.
async fn drain(context: &Rc<Context>) {
    context.deadlines.stop();
    let grace = tokio::time::Instant::now() + context.config.timeouts.grace;
    while !context.deadlines.is_empty() && tokio::time::Instant::now() < grace {
        tokio::time::sleep(TICK).await;
        context.tick();
    }
    context.deadlines.abort();
    for _ in 0..LAST_TICKS {
        if context.deadlines.is_empty() {
            break;
        }
        tokio::time::sleep(TICK).await;
        context.tick();
    }
}

/// A connection that another worker accepted.
fn take(context: &Rc<Context>, accepted: Accepted) {
    match TcpStream::from_std(accepted.stream) {
        Ok(stream) => begin(context, stream, accepted.seat, accepted.tls),
        Err(error) => tracing::debug!(%error, "a connection is lost"),
    }
}

fn begin(context: &Rc<Context>, stream: TcpStream, seat: Seat, tls: Option<Arc<Certificates>>) {
    let Ok(local) = stream.local_addr() else { return };
    let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
    let peer = Peer { address: seat.address, local, scheme, server_name: None };
    let watch = context.deadlines.watch();
    tokio::task::spawn_local(connection(Rc::clone(context), stream, peer, watch, seat, tls));
}

/// No `async fn`: those keep their arguments twice, and idle connections are many.
fn connection(
    context: Rc<Context>,
    stream: TcpStream,
    peer: Peer,
    watch: Watch,
    seat: Seat,
    tls: Option<Arc<Certificates>>,
) -> impl Future<Output = ()> {
    let metrics = Arc::clone(&context.observer.metrics);
    async move {
        metrics.connections.add(1);
        let _open = metrics.connections_open.hold();
        match tls {
            Some(certificates) => {
                // Plain connections are many: they do not hold what TLS needs.
                Box::pin(secure(context, stream, peer, watch, &certificates)).await;
            }
            None => {
                let client = Client::new(peer, None, &context.config);
                let http2 = match context.config.plain_http2 {
                    true => Box::pin(begins_http2(&context, &stream, &watch)).await,
                    false => Some(false),
                };
                match http2 {
                    Some(true) => Box::pin(h2::serve(context, stream, client, watch)).await,
                    Some(false) => h1::serve(context, stream, client, watch).await,
                    None => {}
                }
            }
        }
        drop(seat);
    }
}

/// Whether a client begins with the words that no other protocol has. `None` when it says nothing
/// as long as that is waited for.
async fn begins_http2(context: &Context, stream: &TcpStream, watch: &Watch) -> Option<bool> {
    const WORDS: &[u8] = b"PRI ";
    watch.set(Some(context.config.timeouts.keep_alive));
    let mut seen = 0;
    loop {
        let mut first = [0; WORDS.len()];
        let mut target = ReadBuf::new(&mut first);
        poll_fn(|cx| {
            watch.attach(cx.waker());
            match watch.stopping() || watch.expired() {
                true => Poll::Ready(None),
                false => stream.poll_peek(cx, &mut target).map(Result::ok),
            }
        })
        .await?;
        let there = target.filled();
        if there.is_empty() || there.len() == WORDS.len() || !WORDS.starts_with(there) {
            return Some(there == WORDS);
        }
        if seen == 0 {
            watch.set(Some(context.config.timeouts.request_head));
        }
        seen = there.len();
        // What was peeked at is there for ever: nobody would be woken by the rest of it.
        tokio::time::sleep(PEEK).await;
    }
}

/// A connection to the port that speaks TLS.
async fn secure(
    context: Rc<Context>,
    stream: TcpStream,
    mut peer: Peer,
    watch: Watch,
    certificates: &Certificates,
) {
    let within = context.config.timeouts.handshake;
    let metrics = Arc::clone(&context.observer.metrics);
    let accepted = tls::accept(stream, certificates, &context.handshakes, within, &watch);
    match Box::pin(accepted).await {
        Ok(accepted) => {
            metrics.handshakes.add(1);
            metrics.handshakes_resumed.add(u64::from(accepted.resumed));
            peer.server_name = accepted.server_name;
            let client = Client::new(peer, Some(accepted.version), &context.config);
            match accepted.http2 {
                true => Box::pin(h2::serve(context, accepted.stream, client, watch)).await,
                false => h1::serve(context, accepted.stream, client, watch).await,
            }
        }
        Err(refused) => {
            tracing::debug!(%refused, "no TLS");
            refused.count(&metrics);
            if let tls::Refused::Plain(stream) = refused {
                Box::pin(tls::say_use_https(stream)).await;
            }
        }
    }
}

// === impl Acceptor ===

impl Acceptor {
    async fn run(self, context: Rc<Context>, token: CancellationToken) {
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "cannot accept: the server stops");
                token.cancel();
                return;
            }
        };
        let (doors, tls) = (&self.doors, &self.tls);
        let accept = async {
            loop {
                // Without a free seat clients wait in the kernel's queue.
                let Some(permit) = doors.permit().await else { return };
                match listener.accept().await {
                    Ok((stream, address)) => {
                        doors.hand(&context, stream, address, tls.clone(), permit);
                    }
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "accepting pauses");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = token.cancelled() => {}
            () = accept => {}
        }
    }
}

/// The connection was given up before it was accepted; the next one may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_worker_is_the_end_of_the_server() {
        let ends: [fn(); 2] = [|| {}, || panic!("as workers should not")];
        for end in ends {
            let token = CancellationToken::new();
            let ended = thread(1, token.clone(), end).unwrap();
            assert!(ended.await.is_err());
            assert!(token.is_cancelled());
        }
    }
}
