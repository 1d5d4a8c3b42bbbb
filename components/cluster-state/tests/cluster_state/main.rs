//! The embedded store: the conformance suite, and what a kill leaves behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod embedded;
mod full;
mod kill;
