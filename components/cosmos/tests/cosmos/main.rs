//! The service over real HTTP, against a Marathon, a master and repositories that are not real.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fakes;
mod harness;
mod installs;
mod packages;
mod repositories;
mod requests;
mod services;
mod uninstalls;
