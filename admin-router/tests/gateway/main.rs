//! Gateways that listen, with an IAM and upstreams that listen too.
// A test that fails says so by panicking.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails says so by panicking"
)]

mod confusion;
mod fakes;
mod knowledge;
mod login;
mod nginx;
mod plain;
mod recorder;
mod routing;
mod secure;
mod wire;
