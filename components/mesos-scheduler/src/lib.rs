//! Client side of the v1 scheduler API.
//!
//! It is not: a framework; callers decide on offers, and acknowledge what they have dealt with.
//!
//! - [`start`] gives a [`Client`] for calls and a bounded queue of [`Notice`]s. Whoever is slow to
//!   take notices slows the master's stream down, and nothing piles up here.
//! - The stream of events has a connection of its own; calls go over a second one, in order.
//! - A lost stream is opened again, with pauses that grow, under the same framework id. The
//!   master may have moved: redirects are followed, and every configured address is tried.
//! - Five missed heartbeats count as a lost stream.
//! - An ERROR event is final: the master does not want this framework.
#![forbid(unsafe_code)]

mod client;
mod config;
mod connection;
mod retry;
mod session;

pub use client::{CallError, Client};
pub use config::{Authorize, Config, Credential};

use mesos_messages::v1::scheduler::Event;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

/// What the master, or the way to it, says.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// An event, SUBSCRIBED first after every (re)connection.
    Event(Box<Event>),
    /// The stream ended; it is being opened again.
    Disconnected {
        /// What happened, for a log.
        reason: String,
    },
    /// It will not be opened again. The last notice.
    Failed(ClientError),
}

/// Why a client gave up.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The master answered the subscription with an error that trying again does not mend.
    #[error("the master refused the subscription with status {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The body of the answer.
        message: String,
    },
    /// The master ended the subscription with an ERROR event.
    #[error("the master ended the subscription: {0}")]
    Ended(String),
    /// No address of a master is configured.
    #[error("no address of a master is configured")]
    NoMaster,
}

/// Starts subscribing at once. Must be called within a tokio runtime.
///
/// Dropping the queue of notices ends the subscription.
pub fn start(config: Config) -> (Client, mpsc::Receiver<Notice>) {
    let (notices, receiver) = mpsc::channel(config.event_queue.max(1));
    let (current, subscription) = watch::channel(None);
    let identity = Arc::new(client::Identity::new((
        config.framework.clone(),
        config.suppressed_roles.clone(),
        config.offer_constraints.clone(),
    )));
    let config = Arc::new(config);
    let client = Client::start(config.clone(), subscription, identity.clone());
    tokio::spawn(session::run(config, identity, notices, current));
    (client, receiver)
}
