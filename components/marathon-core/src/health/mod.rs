//! Whether instances are healthy and ready: when to probe them, and what the answers mean.
//!
//! Nothing here connects anywhere. A [`Monitor`] or a [`Readiness`] says when it is due, hands out
//! [`Probe`]s, and judges the outcome that comes back under the same [`ProbeKey`].

mod monitor;
mod readiness;
mod target;
#[cfg(test)]
mod tests;

pub use monitor::{Monitor, Verdict};
pub use readiness::Readiness;
pub use target::Target;
pub(crate) use target::{PortAssignment, assignments, is_host_mode};

use crate::ProbeTarget;
use std::time::Duration;

/// Which probe of a launch; an outcome under an older key counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeKey {
    pub kind: ProbeKind,
    pub round: u64,
}

/// What a probe is for, with the place of the check in the app's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    Health(u16),
    Readiness,
}

/// A probe to be made now.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    pub key: ProbeKey,
    pub target: ProbeTarget,
    pub timeout: Duration,
    /// Bytes of the answer's body that are wanted.
    pub body_limit: usize,
}

/// The address as a URL, for messages.
fn url(target: &ProbeTarget) -> String {
    match target {
        ProbeTarget::Http { https, host, port, path } => {
            let scheme = if *https { "https" } else { "http" };
            format!("{scheme}://{}:{port}{path}", bracketed(host))
        }
        ProbeTarget::Tcp { host, port } => format!("tcp://{}:{port}", bracketed(host)),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
