//! What is due when. A timer is never cancelled; what it is about tells when it fires whether it still matters.
use std::{collections::BTreeMap, time::Duration};

/// What happens when the time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// The periodic allocation over all agents.
    Allocate,
    /// An agent is pinged, and judged by its last pong.
    Ping { observer: u64 },
    /// A disconnected agent should be back.
    AgentReregister { observer: u64, disconnection: u64 },
    /// The agents of the registry should be back.
    RecoveredAgents,
    /// Old entries leave the registry.
    RegistryGc,
    /// An offer is too old.
    Offer { offer: u64 },
    /// A disconnected framework should be back.
    Failover { framework: u32, connection: u64 },
    /// A scheduler's stream shows a sign of life.
    Heartbeat { framework: u32, connection: u64 },
}

/// Timers by deadline, first set first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_deadline: BTreeMap<(Duration, u64), Timer>,
    next: u64,
}

// === impl Timers ===

impl Timers {
    pub(super) fn set(&mut self, deadline: Duration, timer: Timer) {
        self.by_deadline.insert((deadline, self.next), timer);
        self.next += 1;
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.by_deadline.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    pub(super) fn due(&mut self, now: Duration) -> Option<Timer> {
        let entry = self.by_deadline.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
