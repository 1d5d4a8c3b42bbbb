//! The name server over sockets, asked by programs that others wrote.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says so by panicking")]

mod clients;
mod forwarding;
mod malformed;
mod resolver;
mod server;
mod tcp;
