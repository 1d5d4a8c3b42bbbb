//! The engine as a whole, on real sockets, between clients and backends of all manners.
#![allow(unreachable_pub, reason = "modules of one test share what they need")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "that is how tests fail"
)]

mod gateway;
mod h2c;
mod http1;
mod http2;
mod large;
mod observed;
mod raw;
mod repeat;
mod stop;
mod strict;
mod tls;
mod trouble;
mod upstream_tls;
