//! What the shell tells the core.

use crate::{Command, ProbeId};
use mesos_messages::v1;

/// Names a command until its reply; chosen by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// Anything that happens.
#[allow(clippy::large_enum_variant, reason = "one at a time, and moved only on its way in")]
#[derive(Clone, Debug)]
pub enum Input {
    /// A deadline has come.
    Tick,
    Command(RequestId, Command),
    /// The subscription stands; also after each reconnection.
    Subscribed {
        framework_id: String,
        /// host:port of the master, for events.
        master: String,
        /// Region and zone of the master.
        region: Option<String>,
        zone: Option<String>,
    },
    Disconnected,
    Offers(Vec<v1::Offer>),
    Rescinded(v1::OfferId),
    Update(Box<v1::TaskStatus>),
    /// The agent is gone for good.
    AgentLost(v1::AgentId),
    /// A message of an executor.
    Message {
        agent: String,
        executor: String,
        data: Vec<u8>,
    },
    Probed {
        probe: ProbeId,
        outcome: ProbeOutcome,
    },
    /// A call did not reach the master, or it said no. An accept is taken as failed by its tasks.
    CallFailed {
        call: FailedCall,
        reason: String,
    },
    /// Told by the HTTP layer, for events only: `api_post_event` and its kind.
    Posted {
        event: crate::Event,
    },
}

/// Which call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailedCall {
    /// These tasks were in it. The offers are those that the master may still hold for us.
    Accept {
        tasks: Vec<String>,
        offers: Vec<v1::OfferId>,
    },
    /// It got lost: the master may still hold these for us.
    Decline(Vec<v1::OfferId>),
    /// Revive, suppress, or roles that got lost: made again before long.
    Interest,
    /// The master does not let the framework have these roles.
    Roles(Vec<String>),
    Other,
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// TCP: the connection stood.
    Connected,
    Response {
        status: u16,
        content_type: String,
        body: String,
    },
    /// No answer: why not, in words.
    Failed(String),
    /// No answer in time.
    TimedOut,
    /// It was not made: says nothing about what was to be probed.
    NotMade,
}
