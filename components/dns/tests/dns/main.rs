//! The server over sockets: asked by programs that others wrote, and fed by a master that is not
//! real.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod api;
mod clients;
mod fakes;
mod forwarding;
mod freshness;
mod harness;
mod malformed;
mod names;
mod resolver;
mod server;
mod tcp;
