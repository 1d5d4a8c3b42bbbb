//! Why an offer was not used.

use mesos_messages::resources::Scalar;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// The steps of the funnel, in its order; of several the first is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    UnfulfilledRole,
    UnfulfilledConstraint,
    NoCorrespondingReservationFound,
    AgentMaintenance,
    InsufficientCpus,
    InsufficientMemory,
    InsufficientDisk,
    InsufficientGpus,
    InsufficientPorts,
    DeclinedScarceResources,
}

/// Why an instance of an app could not be put on an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Every reason there was, in the order of the funnel; never empty.
    pub reasons: Reasons,
    /// What the first of them is about.
    pub detail: Detail,
}

/// A set of reasons, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons(u16);

/// The numbers or the words of a refusal; its text is made only where somebody reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Too little of a named resource.
    Short { name: &'static str, need: Scalar, left: Scalar },
    /// Not enough host ports.
    Ports { need: u32, left: u64 },
    /// A host port the app insists on.
    Port(u16),
    /// None of the roles the app takes resources of.
    Role { accepted: Arc<str>, offered: Arc<str> },
    /// Anything else.
    Text(Arc<str>),
}

// === impl Reason ===

impl Reason {
    /// All of them, in the order of the funnel.
    pub const FUNNEL: [Self; 10] = [
        Self::UnfulfilledRole,
        Self::UnfulfilledConstraint,
        Self::NoCorrespondingReservationFound,
        Self::AgentMaintenance,
        Self::InsufficientCpus,
        Self::InsufficientMemory,
        Self::InsufficientDisk,
        Self::InsufficientGpus,
        Self::InsufficientPorts,
        Self::DeclinedScarceResources,
    ];

    /// As the queue writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnfulfilledRole => "UnfulfilledRole",
            Self::UnfulfilledConstraint => "UnfulfilledConstraint",
            Self::NoCorrespondingReservationFound => "NoCorrespondingReservationFound",
            Self::AgentMaintenance => "AgentMaintenance",
            Self::InsufficientCpus => "InsufficientCpus",
            Self::InsufficientMemory => "InsufficientMemory",
            Self::InsufficientDisk => "InsufficientDisk",
            Self::InsufficientGpus => "InsufficientGpus",
            Self::InsufficientPorts => "InsufficientPorts",
            Self::DeclinedScarceResources => "DeclinedScarceResources",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

// === impl Reasons ===

impl Reasons {
    pub fn insert(&mut self, reason: Reason) {
        self.0 |= 1 << reason as u16;
    }

    pub fn contains(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u16) != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of the funnel.
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::FUNNEL.into_iter().filter(move |reason| self.contains(*reason))
    }
}

// === impl Refusal ===

impl Refusal {
    pub fn new(reason: Reason, detail: Detail) -> Self {
        let mut reasons = Reasons::default();
        reasons.insert(reason);
        Self { reasons, detail }
    }

    /// The one that counts.
    pub fn reason(&self) -> Reason {
        self.reasons.iter().next().unwrap_or(Reason::DeclinedScarceResources)
    }
}

/// The text for people.
impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.detail.fmt(out)
    }
}

impl Detail {
    /// Whether less was missing than elsewhere.
    pub(super) fn is_closer_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Short { left, .. }, Self::Short { left: elsewhere, .. }) => left > elsewhere,
            (Self::Ports { left, .. }, Self::Ports { left: elsewhere, .. }) => left > elsewhere,
            _ => false,
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { name, need, left } => {
                let unit = if matches!(*name, "mem" | "disk") { " MiB" } else { "" };
                write!(out, "needs {need}{unit} {name}, {left}{unit} left")
            }
            Self::Ports { need, left } => write!(out, "needs {need} host ports, {left} left"),
            Self::Port(port) => write!(out, "needs host port {port}, which is not offered"),
            Self::Role { accepted, offered } => {
                write!(out, "takes resources of role {accepted}, offered are {offered}")
            }
            Self::Text(text) => out.write_str(text),
        }
    }
}
