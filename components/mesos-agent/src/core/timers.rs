//! Deadlines, earliest first.

use std::{collections::BTreeMap, time::Duration};

/// What is due at a deadline. Nothing is cancelled: whoever handles one looks whether it still
/// matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Send a registration, unless a later attempt was planned meanwhile.
    Register(u64),
    /// Was there a ping lately?
    Ping,
    /// Resend updates that nobody acknowledged.
    RetryUpdates,
    /// Did the executor in this container register?
    ExecutorRegistration(String),
    /// Did the executor in this container stop by itself?
    ExecutorShutdown(String),
    /// Did all executors come back after a restart?
    Reregistration,
    /// Delete what is old enough.
    Collect,
    /// Look at the disk.
    Disk,
}

/// The deadlines of one agent.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeMap<(Duration, u64), Timer>,
    sequence: u64,
}

impl Timers {
    pub(crate) fn add(&mut self, at: Duration, timer: Timer) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), timer);
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes one timer that is due.
    pub(crate) fn pop(&mut self, now: Duration) -> Option<Timer> {
        let ((at, _), _) = self.queue.first_key_value()?;
        if *at > now {
            return None;
        }
        self.queue.pop_first().map(|(_, timer)| timer)
    }
}
