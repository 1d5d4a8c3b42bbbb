//! The REST API over real connections: a real core and store behind it, and an agent that is
//! only played.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod apps;
mod events;
mod groups;
mod large;
mod service;
mod system;
mod tasks;
