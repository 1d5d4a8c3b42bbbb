//! The balancer on real sockets: a Marathon that tells what tests say, real servers behind, and
//! beside it the real HAProxy with the configuration that the balancer says is the same.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test fails by panicking"
)]

mod changes;
mod decisions;
mod haproxy;
mod support;
