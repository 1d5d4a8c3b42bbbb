//! Outgoing messages: queues by remote address, each drained by its own connection task.

use crate::{EncodeError, Exited, Upid, connection, encode};
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use thiserror::Error;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// Limits and patience of an [`Outbox`].
#[derive(Clone, Copy, Debug)]
pub struct OutboxConfig {
    /// Bytes that may wait for one remote address; a message that would exceed it is dropped.
    pub max_queued_bytes: usize,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// How long a connection without link stays open after its last message.
    pub linger: Duration,
}

/// Sends messages; cheap to clone. Dropping the last clone closes every connection.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
    _guard: Arc<DropGuard>,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxStats {
    /// Messages taken for sending.
    pub queued: u64,
    /// Messages refused because a queue was full.
    pub dropped: u64,
}

/// Why a message was not taken for sending.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The receiver's address is the empty one.
    #[error("'{0}' is not an address that messages can be sent to")]
    NoAddress(Upid),
    /// The receiver takes its messages too slowly.
    #[error("the queue of messages to {0} is full")]
    Full(SocketAddr),
    /// The message cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

pub(crate) struct Shared {
    pub(crate) config: OutboxConfig,
    pub(crate) exits: mpsc::Sender<Exited>,
    pub(crate) cancel: CancellationToken,
    peers: Mutex<HashMap<SocketAddr, Arc<Peer>>>,
    pub(crate) tasks: TaskTracker,
    runtime: Handle,
    queued: AtomicU64,
    dropped: AtomicU64,
}

/// What waits for one remote address.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) wake: Notify,
    state: Mutex<PeerState>,
}

#[derive(Default)]
pub(crate) struct PeerState {
    /// Whole messages, ready to write.
    pub(crate) buffer: Vec<u8>,
    pub(crate) linked: bool,
    pub(crate) relink: bool,
    /// The task has ended; a new peer takes its place.
    pub(crate) closed: bool,
    /// Close as soon as everything is written.
    pub(crate) finish: bool,
}

// === impl OutboxConfig ===

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            max_queued_bytes: 64 * 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}

// === impl Outbox ===

impl Outbox {
    /// Ends of linked connections go to `exits`. Must be called within a tokio runtime, which
    /// then runs the connection tasks.
    pub fn new(config: OutboxConfig, exits: mpsc::Sender<Exited>) -> Self {
        let cancel = CancellationToken::new();
        let shared = Shared {
            config,
            exits,
            cancel: cancel.clone(),
            peers: Mutex::default(),
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            queued: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), _guard: Arc::new(cancel.drop_guard()) }
    }

    /// Queues a message and returns at once. Messages to one address arrive in order, or not.
    pub fn send(
        &self,
        from: &Upid,
        to: &Upid,
        name: &str,
        body: impl AsRef<[u8]>,
    ) -> Result<(), SendError> {
        if to.is_empty() {
            return Err(SendError::NoAddress(to.clone()));
        }
        let body = body.as_ref();
        let limit = self.shared.config.max_queued_bytes;
        let result = self.shared.with_peer(to.address, |state| {
            if !state.buffer.is_empty() && state.buffer.len() + body.len() > limit {
                return Err(SendError::Full(to.address));
            }
            Ok(encode(&mut state.buffer, from, to, name, body)?)
        });
        let counter = if result.is_ok() { &self.shared.queued } else { &self.shared.dropped };
        counter.fetch_add(1, Relaxed);
        result
    }

    /// Keeps a connection to the address open from now on; its failure or end is reported once
    /// as [`Exited`]. Linking again while linked does nothing.
    pub fn link(&self, to: &Upid) {
        self.link_address(to.address, false);
    }

    /// Like [`Outbox::link`], but over a new connection: for where the old one may be half open.
    pub fn relink(&self, to: &Upid) {
        self.link_address(to.address, true);
    }

    /// Forgets a link without closing what is queued; no end will be reported.
    pub fn unlink(&self, to: &Upid) {
        if let Some(peer) = lock(&self.shared.peers).get(&to.address) {
            peer.lock().linked = false;
            peer.wake.notify_one();
        }
    }

    fn link_address(&self, address: SocketAddr, fresh: bool) {
        self.shared.with_peer(address, |state| {
            state.linked = true;
            state.relink |= fresh;
        });
    }

    /// What was taken and what was dropped so far.
    pub fn stats(&self) -> OutboxStats {
        let shared = &self.shared;
        OutboxStats { queued: shared.queued.load(Relaxed), dropped: shared.dropped.load(Relaxed) }
    }

    /// Writes out what is queued, for at most `patience`, then closes every connection without
    /// reporting ends of links.
    pub async fn close(&self, patience: Duration) {
        for peer in lock(&self.shared.peers).values() {
            let mut state = peer.lock();
            (state.linked, state.finish) = (false, true);
            drop(state);
            peer.wake.notify_one();
        }
        self.shared.tasks.close();
        let _ = tokio::time::timeout(patience, self.shared.tasks.wait()).await;
        self.shared.cancel.cancel();
    }
}

// === impl Shared ===

impl Shared {
    /// Changes the state of the peer at `address`, making the peer if there is none.
    fn with_peer<T>(
        self: &Arc<Self>,
        address: SocketAddr,
        change: impl FnOnce(&mut PeerState) -> T,
    ) -> T {
        let mut peers = lock(&self.peers);
        if let Some(peer) = peers.get(&address) {
            let mut state = peer.lock();
            // A closed one's task has ended and reads nothing any more.
            if !state.closed {
                let result = change(&mut state);
                drop(state);
                peer.wake.notify_one();
                return result;
            }
        }
        let peer = Arc::new(Peer::new(address));
        let result = change(&mut peer.lock());
        peers.insert(address, peer.clone());
        self.tasks.spawn_on(connection::run(self.clone(), peer), &self.runtime);
        result
    }

    /// Forgets a peer whose task has ended, unless another took its place.
    pub(crate) fn forget(&self, peer: &Arc<Peer>) {
        let mut peers = lock(&self.peers);
        if peers.get(&peer.address).is_some_and(|current| Arc::ptr_eq(current, peer)) {
            peers.remove(&peer.address);
        }
    }
}

// === impl Peer ===

impl Peer {
    fn new(address: SocketAddr) -> Self {
        Self { address, wake: Notify::new(), state: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, PeerState> {
        lock(&self.state)
    }
}

/// State behind these locks is whole after every statement, so a panicking holder harms nobody.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
