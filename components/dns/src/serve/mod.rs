//! Questions over UDP and TCP, answered.
//!
//! What is ours never leaves the thread that read it. What is to be forwarded is asked by
//! [`forward`](crate::forward).

pub(crate) mod answer;
#[allow(clippy::panic, reason = "a finding is told by a panic")]
pub(crate) mod fuzz;
mod limits;
pub(crate) mod query;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::forward::{Asked, Forwarder};
use crate::zone::Zones;
use answer::{Outcome, Rules};
use query::Code;

pub use limits::{Network, NotANetwork, Rate};
pub use tcp::TcpLimits;
use udp::{Job, Socket};

/// Questions that wait for the async side at most; those beyond are told that it failed.
const JOBS: usize = 4096;

/// How questions are taken.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Both UDP and TCP; port 0 takes a free one, the same for both.
    pub addresses: Vec<SocketAddr>,
    /// Threads for UDP, on each address.
    pub workers: usize,
    /// Who may have foreign names looked up; to others that is refused, and their answers are
    /// counted.
    pub trusted: Vec<Network>,
    pub rate: Rate,
    pub tcp: TcpLimits,
    /// The longest answer over UDP, whatever a requester takes.
    pub udp_size: usize,
    /// Whether an answer that is cut says so; without it, requesters do not ask again over TCP.
    pub truncates: bool,
}

/// What is served, until the token is cancelled.
#[derive(Debug)]
pub struct Served {
    pub udp: Vec<SocketAddr>,
    pub tcp: Vec<SocketAddr>,
    pub counters: Arc<Counters>,
    /// Ends when everything has stopped.
    pub join: JoinHandle<()>,
}

#[derive(Debug, Error)]
pub enum ServeError {
    #[error("cannot serve DNS on {address} ({protocol})")]
    Bind { address: SocketAddr, protocol: &'static str, source: io::Error },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// What was answered so far, counted by each thread for itself.
#[derive(Debug)]
pub struct Counters {
    /// The first is that of TCP.
    lanes: Box<[Lane]>,
}

/// On a cache line of its own: threads that count do not disturb each other.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lane {
    answered: AtomicU64,
    unknown: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    forwarded: AtomicU64,
    dropped: AtomicU64,
}

/// [`Counters`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub answered: u64,
    /// Names that do not exist.
    pub unknown: u64,
    /// Asked before our data were there.
    pub failed: u64,
    pub refused: u64,
    pub forwarded: u64,
    /// What was no question.
    pub dropped: u64,
}

/// What all threads and tasks share.
pub(crate) struct Shared {
    zones: Arc<Zones>,
    rules: Rules,
    trusted: Vec<Network>,
    rate: Rate,
    tcp: TcpLimits,
    forwarder: Option<Arc<Forwarder>>,
    jobs: Option<mpsc::Sender<Job>>,
    counters: Arc<Counters>,
    token: CancellationToken,
}

// === impl Serving ===

impl Default for Serving {
    fn default() -> Self {
        Serving {
            addresses: Vec::new(),
            workers: 1,
            trusted: Network::private(),
            rate: Rate::default(),
            tcp: TcpLimits::default(),
            udp_size: 1232,
            truncates: true,
        }
    }
}

// === impl Counters ===

impl Counters {
    fn new(lanes: usize) -> Counters {
        Counters { lanes: (0..lanes).map(|_| Lane::default()).collect() }
    }

    fn count(&self, lane: usize, outcome: &Outcome) {
        let Some(lane) = self.lanes.get(lane) else { return };
        let counter = match outcome {
            Outcome::Answered(Code::NoError) => &lane.answered,
            Outcome::Answered(Code::NxDomain) => &lane.unknown,
            Outcome::Answered(Code::ServFail) => &lane.failed,
            Outcome::Answered(_) => &lane.refused,
            Outcome::Foreign => &lane.forwarded,
            Outcome::Dropped => &lane.dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn now(&self) -> Counts {
        let sum = |counter: fn(&Lane) -> &AtomicU64| {
            self.lanes.iter().map(|lane| counter(lane).load(Ordering::Relaxed)).sum()
        };
        Counts {
            answered: sum(|lane| &lane.answered),
            unknown: sum(|lane| &lane.unknown),
            failed: sum(|lane| &lane.failed),
            refused: sum(|lane| &lane.refused),
            forwarded: sum(|lane| &lane.forwarded),
            dropped: sum(|lane| &lane.dropped),
        }
    }
}

// === impl Shared ===

impl Shared {
    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }
}

/// Binds and begins to serve; answers come from `zones`, and where there is a forwarder, from it.
pub async fn start(
    serving: Serving,
    zones: Arc<Zones>,
    forwarder: Option<Arc<Forwarder>>,
    token: CancellationToken,
) -> Result<Served, ServeError> {
    let (sockets, listeners) = bind(&serving)?;
    let (jobs, waiting) = mpsc::channel(JOBS);
    let counters = Arc::new(Counters::new(1 + sockets.len()));
    let rules = Rules {
        udp_size: serving.udp_size.clamp(query::PLAIN_SIZE, 4096),
        forwards: forwarder.is_some(),
        truncates: serving.truncates,
    };
    let shared = Arc::new(Shared {
        zones,
        rules,
        trusted: serving.trusted,
        rate: serving.rate,
        tcp: serving.tcp,
        jobs: forwarder.is_some().then_some(jobs),
        forwarder: forwarder.clone(),
        counters: Arc::clone(&counters),
        token: token.clone(),
    });
    let udp = addresses(sockets.iter().map(|socket| socket.address()));
    let tcp = addresses(listeners.iter().map(TcpListener::local_addr));
    let mut tasks = JoinSet::new();
    for (number, socket) in sockets.iter().enumerate() {
        let (socket, shared) = (Arc::clone(socket), Arc::clone(&shared));
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), number);
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        let work = move || {
            udp::run(&socket, &shared, 1 + number, seed);
            drop(ended);
        };
        let thread = std::thread::Builder::new().name(format!("dns-udp-{number}"));
        thread.spawn(work).map_err(ServeError::Thread)?;
        tasks.spawn(async move { drop(end.await) });
    }
    for listener in listeners {
        tasks.spawn(tcp::run(listener, Arc::clone(&shared)));
    }
    if let Some(forwarder) = forwarder {
        tasks.spawn(forward_all(waiting, forwarder, token.clone()));
    }
    let join = tokio::spawn(async move {
        token.cancelled().await;
        sockets.iter().for_each(|socket| socket.wake());
        while tasks.join_next().await.is_some() {}
    });
    Ok(Served { udp, tcp, counters, join })
}

/// Asks for all that came over UDP, many at once; the forwarder bounds how many.
async fn forward_all(
    mut waiting: mpsc::Receiver<Job>,
    forwarder: Arc<Forwarder>,
    token: CancellationToken,
) {
    let mut asking = JoinSet::new();
    loop {
        let job = tokio::select! {
            job = waiting.recv() => job,
            Some(_) = asking.join_next() => continue,
            () = token.cancelled() => None,
        };
        let Some(job) = job else { break };
        let forwarder = Arc::clone(&forwarder);
        asking.spawn(async move {
            let asked = Asked { packet: job.packet.clone(), from: job.from, is_tcp: false };
            if let Some(answer) = forwarder.answer(asked).await {
                job.answer(&answer);
            }
        });
    }
    asking.shutdown().await;
}

type Bound = (Vec<Arc<Socket>>, Vec<TcpListener>);

/// Sockets for every worker, and listeners. A free port that TCP took and UDP cannot have is given
/// back, some times over.
fn bind(serving: &Serving) -> Result<Bound, ServeError> {
    let (mut sockets, mut listeners) = (Vec::new(), Vec::new());
    for &address in &serving.addresses {
        let mut tries = if address.port() == 0 { 20 } else { 1 };
        let (listener, of_address) = loop {
            tries -= 1;
            match bind_one(address, serving.workers.max(1)) {
                Err(_) if tries > 0 => {}
                bound => break bound?,
            }
        };
        listeners.push(listener);
        sockets.extend(of_address.into_iter().map(Arc::new));
    }
    Ok((sockets, listeners))
}

fn bind_one(address: SocketAddr, workers: usize) -> Result<(TcpListener, Vec<Socket>), ServeError> {
    let error = |protocol| move |source| ServeError::Bind { address, protocol, source };
    let listener = listen(address).map_err(error("TCP"))?;
    let port = listener.local_addr().map_err(error("TCP"))?.port();
    let sockets = (0..workers).map(|_| Socket::bind(SocketAddr::new(address.ip(), port)));
    Ok((listener, sockets.collect::<io::Result<_>>().map_err(error("UDP"))?))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Type};
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// Those that there are, each once.
fn addresses(all: impl Iterator<Item = io::Result<SocketAddr>>) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = all.flatten().collect();
    all.dedup();
    all
}
