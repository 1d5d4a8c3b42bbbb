//! What happens in the cluster, as the leading master and Marathon tell it in their event
//! streams: connecting, following leaders, decoding, and a picture of agents, frameworks and tasks.
//!
//! It is not: a policy. What names, routes or addresses follow from it, components decide.

#![forbid(unsafe_code)]

pub mod picture;
