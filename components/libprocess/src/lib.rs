//! libprocess v0 messaging between processes: addresses, `POST /<id>/<message>`, links.
//!
//! It is not: aware of what the messages mean; bodies are bytes. It owns no listening socket
//! either: whoever serves HTTP asks [`server::Inlet`] first whether a request is a message.
//!
//! - [`Upid`] is an address: `id@ip:port`. The empty one, `@0.0.0.0:0`, means "nobody".
//! - [`server`] recognises incoming messages and puts them into a bounded queue. A full queue
//!   holds the answer back, so that a flooding peer waits instead of filling memory.
//! - [`Outbox`] sends: one connection and one task per remote address, in order, several waiting
//!   messages in one write. Delivery is at most once and nothing is retried here.
//! - A [link](Outbox::link) keeps the connection open; its end is reported as [`Exited`].
//!
//! Nothing is global: a process may hold several hosts (a master and its agents) on different
//! ports, each with its own `Inlet` and `Outbox`.
#![forbid(unsafe_code)]

mod connection;
mod encode;
pub mod fuzz;
mod outbox;
mod parser;
pub mod server;
mod stream;
mod upid;

pub use encode::{EncodeError, encode};
pub use outbox::{Outbox, OutboxConfig, OutboxStats, SendError};
pub use stream::Rest;
pub use upid::{Upid, UpidError};

use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// The sender, and where replies go.
    pub from: Upid,
    /// Where the connection came from, which nobody can choose at will.
    pub peer: IpAddr,
    /// The id of the local actor meant, percent-decoded.
    pub to: String,
    /// The full protobuf name of the message, such as `mesos.internal.PingSlaveMessage`.
    pub name: String,
    /// The serialized message.
    pub body: Bytes,
}

/// The linked connection to `address` could not be made, or ended.
///
/// One report per link: whoever still cares links again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exited {
    /// The remote address that the link was to.
    pub address: SocketAddr,
}
