//! The engine as a whole, on real sockets, between clients and backends of all manners.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "that is how tests fail"
)]

mod gateway;
mod h2c;
mod http2;
mod observed;
mod strict;
mod tls;
