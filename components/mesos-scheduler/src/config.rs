//! What a client is told.

use http::HeaderValue;
use mesos_messages::{
    content::ContentType,
    v1::{FrameworkInfo, scheduler::OfferConstraints},
};
use std::{fmt, sync::Arc, time::Duration};

/// Who subscribes, where, and with which limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses (`host:port`) to try in turn; the leading master's, or of any that knows it.
    pub masters: Vec<String>,
    /// The framework. With an id, it takes over from its predecessor.
    pub framework: FrameworkInfo,
    /// Roles that want no offers at first.
    pub suppressed_roles: Vec<String>,
    /// What offers must look like.
    pub offer_constraints: Option<OfferConstraints>,
    /// The form of calls and events.
    pub content: ContentType,
    /// Proves the framework's principal.
    pub credential: Option<Credential>,
    /// Proves it by a token instead. A master that refuses the token is asked again later: the
    /// next one may be good.
    pub authorization: Option<Arc<dyn Authorize>>,
    /// Notices that may wait for their reader.
    pub event_queue: usize,
    /// Calls that may wait for their turn.
    pub call_queue: usize,
    /// The largest event taken.
    pub max_event_bytes: usize,
    /// Heartbeats that may be missed before the stream counts as lost.
    pub missed_heartbeats: u32,
    /// The bounds of the pause before the stream is opened again.
    pub backoff: (Duration, Duration),
    /// How long a connection attempt, or the answer to a call, may take.
    pub timeout: Duration,
}

/// A principal and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Who.
    pub principal: String,
    /// The password.
    pub secret: String,
}

/// Where the `Authorization` header of calls comes from.
pub trait Authorize: fmt::Debug + Send + Sync {
    /// The header of the next call; none while there is no token.
    fn header(&self) -> Option<HeaderValue>;

    /// The master did not take this one.
    fn refused(&self, header: &HeaderValue);
}

// === impl Config ===

impl Config {
    /// The usual limits, over protobuf.
    pub fn new(master: impl Into<String>, framework: FrameworkInfo) -> Self {
        Self {
            masters: vec![master.into()],
            framework,
            suppressed_roles: Vec::new(),
            offer_constraints: None,
            content: ContentType::Protobuf,
            credential: None,
            authorization: None,
            event_queue: 1024,
            call_queue: 1024,
            max_event_bytes: 64 * 1024 * 1024,
            missed_heartbeats: 5,
            backoff: (Duration::from_millis(50), Duration::from_secs(10)),
            timeout: Duration::from_secs(30),
        }
    }
}

// === impl Credential ===

impl fmt::Debug for Credential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credential").field("principal", &self.principal).finish_non_exhaustive()
    }
}
