//! How fresh what we say is.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cluster_events::master::Event;
use cluster_events::picture::Input;

/// Read by the API, written by the feed.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// Whether a master's stream is being followed.
    follows: AtomicBool,
    /// When a master told the last thing, in milliseconds of the Unix time; 0: never.
    as_of: AtomicU64,
    leader: Mutex<Option<SocketAddr>>,
    events: AtomicU64,
    changes: AtomicU64,
    states: AtomicU64,
    tasks: AtomicUsize,
    kept: AtomicUsize,
    names: AtomicUsize,
}

/// [`Status`] at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) follows: bool,
    /// How long ago what we say was true; none if nothing was ever told. Zero while a master is
    /// followed.
    pub(crate) age: Option<Duration>,
    pub(crate) leader: Option<SocketAddr>,
    pub(crate) events: u64,
    pub(crate) changes: u64,
    pub(crate) states: u64,
    pub(crate) tasks: usize,
    pub(crate) kept: usize,
    pub(crate) names: usize,
}

// === impl Status ===

impl Status {
    pub(crate) fn new() -> Arc<Status> {
        Arc::default()
    }

    /// What was known before this process is all there is for now.
    pub(super) fn restored(&self, as_of: u64) {
        self.as_of.store(as_of, Ordering::Relaxed);
    }

    pub(super) fn told(&self, event: &Event<Input>) {
        self.events.fetch_add(1, Ordering::Relaxed);
        match event {
            Event::Connected { leader, .. } => {
                self.states.fetch_add(1, Ordering::Relaxed);
                self.lead(Some(leader.address));
                self.follows.store(true, Ordering::Release);
                self.as_of.store(unix_ms(), Ordering::Relaxed);
            }
            Event::Change(_) => self.as_of.store(unix_ms(), Ordering::Relaxed),
            Event::Cut => {
                self.as_of.store(unix_ms(), Ordering::Relaxed);
                self.follows.store(false, Ordering::Release);
            }
        }
    }

    fn lead(&self, leader: Option<SocketAddr>) {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    pub(super) fn published(&self, count: usize) {
        self.changes.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn counted(&self, tasks: usize, kept: usize, names: usize) {
        self.tasks.store(tasks, Ordering::Relaxed);
        self.kept.store(kept, Ordering::Relaxed);
        self.names.store(names, Ordering::Relaxed);
    }

    /// While a master is followed, what we say is true now.
    pub(super) fn as_of(&self) -> u64 {
        if self.follows.load(Ordering::Acquire) {
            return unix_ms();
        }
        self.as_of.load(Ordering::Relaxed)
    }

    /// The master that leads, or led last.
    pub(super) fn leader(&self) -> Option<SocketAddr> {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn report(&self) -> Report {
        let as_of = self.as_of();
        let age = Duration::from_millis(unix_ms().saturating_sub(as_of));
        Report {
            follows: self.follows.load(Ordering::Acquire),
            age: (as_of > 0).then_some(age),
            leader: self.leader(),
            events: self.events.load(Ordering::Relaxed),
            changes: self.changes.load(Ordering::Relaxed),
            states: self.states.load(Ordering::Relaxed),
            tasks: self.tasks.load(Ordering::Relaxed),
            kept: self.kept.load(Ordering::Relaxed),
            names: self.names.load(Ordering::Relaxed),
        }
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
