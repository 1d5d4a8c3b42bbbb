//! When the core wants to be woken, and for what.

use marathon_model::{InstanceId, PathId};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// What a deadline is for. One that no longer matters is noticed when it comes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Revive,
    /// What was asked for without success is asked for again.
    Interest,
    /// Offers whose refusal got lost are refused again.
    Decline,
    /// The back-off of an app ends.
    Backoff(PathId),
    /// An app is looked at again.
    Look(PathId),
    /// A launch was heard of too little.
    Overdue(InstanceId, u64),
    /// An unreachable instance becomes inactive or is given up.
    Unreachable(InstanceId),
    KillRetry,
    Reconcile,
    /// What a new connection left open is asked about again.
    AskAgain,
    ScaleCheck,
    /// A deployment may have made no progress.
    Stalled(Arc<str>),
    /// The queue's entry of an app is shown anew.
    Queue(PathId),
    /// A probe of an instance is due.
    Probe(InstanceId),
}

/// All deadlines, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    all: BTreeSet<(Duration, Timer)>,
}

// === impl Timers ===

impl Timers {
    pub(super) fn set(&mut self, at: Duration, timer: Timer) {
        self.all.insert((at, timer));
    }

    pub(super) fn clear(&mut self, at: Duration, timer: Timer) {
        self.all.remove(&(at, timer));
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.all.first().map(|(at, _)| *at)
    }

    /// The next one that is due.
    pub(super) fn pop(&mut self, now: Duration) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.all.pop_first().map(|(_, timer)| timer)
    }
}
