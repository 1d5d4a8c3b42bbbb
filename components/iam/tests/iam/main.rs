//! The service over real HTTP, on a state of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod access;
mod audit;
mod harness;
mod logins;
mod permissions;
mod policy;
mod real_provider;
mod sso;
mod throttle;
mod users;
