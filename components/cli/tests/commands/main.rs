//! Commands against servers that answer from a script: what is asked, what is printed.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod clusters;
mod logins;
mod marathon;
mod mesos;
mod packages;
mod scripts;
mod security;
mod support;
