//! The one key-value and election interface of the cluster, with the embedded
//! store behind it.
//!
//! * Keys are slash-separated paths; every key carries a [`Version`], and a
//!   write may demand the version it has seen ([`When`]).
//! * [`ClusterState::transact`] applies several operations or none.
//! * A write is on disk before its future resolves; concurrent writers share
//!   one flush (group commit).
//! * [`ClusterState::watch`] starts with a snapshot and never misses a key's
//!   latest value; a slow reader gets several changes of one key as one.
//! * [`ClusterState::campaign`] yields a [`Leadership`] with a fencing token
//!   that only grows; [`Op::Fence`] makes a write fail once it is outdated.
//!
//! [`embedded::open`] serves one machine. The limits in [`limits`] are chosen
//! such that a ZooKeeper ensemble can stand behind the same trait.
//!
//! It is not: a database for large values (large state is many small keys), a
//! cache, or a queue.
#![forbid(unsafe_code)]

mod api;
mod election;
pub mod embedded;
mod error;
pub mod limits;
mod watch;

pub use api::{BoxFuture, ClusterState, Entry, Op, Version, When};
pub use election::{FencingToken, Leader, Leadership};
pub use error::StateError;
pub use watch::{Change, Watch};
