//! What happens in the cluster, as the leading master and Marathon tell it in their event
//! streams: connecting, following leaders, decoding, and a picture of agents, frameworks and tasks.
//!
//! 1. [`master::Follower`] keeps the leading master's stream of events, [`marathon::Follower`]
//!    keeps Marathon's and reads what its events only name.
//! 2. Both are generic over what is read of an event, tell it into a bounded channel in its
//!    order, and begin with all there is after every break.
//! 3. [`asking`] is how servers of the cluster are asked.
//!
//! It is not: a policy. What names, routes or addresses follow from it, components decide.

#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod asking;
mod following;
#[allow(clippy::panic, reason = "a finding is told by a panic")]
pub mod fuzz;
pub mod marathon;
pub mod master;
pub mod picture;
