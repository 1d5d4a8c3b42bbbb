//! The policy as it is now, and everybody who follows it.
//!
//! A change is told to all followers at once. Who does not keep up is cut off, and begins anew
//! with everything: no follower holds back another, and none misses a change unnoticed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_kit::Body;
use identity::wire::{Change, Line};
use identity::{KeySet, Policy, Snapshot};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::{State, changes, everything};

/// Lines that may wait for one follower.
const BACKLOG: usize = 256;
/// Followers at once; each costs its backlog at most.
const MAX_FOLLOWERS: usize = 4096;
/// How long a follower may leave a line unread.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every judge follows.
#[derive(Debug)]
pub(crate) struct Feed {
    current: ArcSwap<Snapshot>,
    inner: Mutex<Inner>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

#[derive(Debug)]
struct Inner {
    version: u64,
    keys: Value,
    state: State,
    followers: Vec<Sender<Bytes>>,
}

// === impl Feed ===

impl Feed {
    /// A policy under which nobody may do anything, and no key counts.
    pub(crate) fn new(shutdown: CancellationToken) -> Arc<Feed> {
        let keys = json!({ "keys": [] });
        let empty = Snapshot { version: 0, keys: KeySet::default(), policy: Policy::default() };
        let inner = Inner { version: 0, keys, state: State::default(), followers: Vec::new() };
        Arc::new(Feed {
            current: ArcSwap::from_pointee(empty),
            inner: Mutex::new(inner),
            tasks: TaskTracker::new(),
            shutdown,
        })
    }

    /// The policy as of now, as every follower has it.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.lock().followers.len()
    }

    /// Tells what changed between two states.
    pub(crate) fn publish(&self, before: &State, after: &State) {
        let changes = changes(before, after);
        let mut inner = self.lock();
        inner.state = after.clone();
        self.tell(&mut inner, changes);
    }

    /// Tells the keys that count from now on: a JSON Web Key Set.
    pub(crate) fn set_keys(&self, keys: Value) {
        let mut inner = self.lock();
        if inner.keys == keys {
            return;
        }
        inner.keys = keys.clone();
        self.tell(&mut inner, vec![Change::KeysSet { keys }]);
    }

    fn tell(&self, inner: &mut Inner, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        inner.version += 1;
        let line = Line::changes(inner.version, changes);
        let bytes = Bytes::from(line.to_bytes());
        let mut snapshot = Snapshot::clone(&self.current.load());
        if let Err(error) = snapshot.apply_line(line) {
            // Cannot happen with lines of this process; with everything anew it is true again.
            tracing::error!(%error, "the policy is built anew");
            let all = everything(&inner.state, inner.keys.clone());
            match Snapshot::from_everything(inner.version, all) {
                Ok(anew) => snapshot = anew,
                Err(error) => tracing::error!(%error, "the policy cannot be built"),
            }
            inner.followers.clear();
        }
        self.current.store(Arc::new(snapshot));
        inner.send(&bytes);
    }

    /// Everything, and then every change: the body of an answer without end. `None` when too
    /// many follow.
    pub(crate) fn follow(&self) -> Option<Body> {
        let (sender, lines) = mpsc::channel(BACKLOG);
        let (version, state, keys) = {
            let mut inner = self.lock();
            inner.followers.retain(|follower| !follower.is_closed());
            if inner.followers.len() >= MAX_FOLLOWERS || self.shutdown.is_cancelled() {
                return None;
            }
            inner.followers.push(sender);
            (inner.version, inner.state.clone(), inner.keys.clone())
        };
        let (out, body) = Body::channel(1);
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let first = Line::snapshot(version, everything(&state, keys));
            drop(state);
            tokio::select! {
                () = forward(Bytes::from(first.to_bytes()), lines, out) => {}
                () = shutdown.cancelled() => {}
            }
        });
        Some(body)
    }

    /// A sign of life for every follower, until the end.
    pub(crate) async fn beat(&self, every: Duration) {
        let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.shutdown.cancelled() => break,
            }
            let mut inner = self.lock();
            let bytes = Bytes::from(Line::heartbeat(inner.version).to_bytes());
            inner.send(&bytes);
        }
        self.lock().followers.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// Who has no room for a line, or is gone, is cut off.
    fn send(&mut self, line: &Bytes) {
        self.followers.retain(|follower| follower.try_send(line.clone()).is_ok());
    }
}

/// Ends when the follower is cut off, went away, or does not read.
async fn forward(first: Bytes, mut lines: Receiver<Bytes>, out: Sender<Bytes>) {
    let mut next = Some(first);
    while let Some(line) = next {
        let sent = tokio::time::timeout(PATIENCE, out.send(line)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
        next = tokio::select! {
            line = lines.recv() => line,
            () = out.closed() => None,
        };
    }
}
