//! Virtual addresses on the kernel, between machines that are network namespaces.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::indexing_slicing, reason = "tests")]

mod balance;
mod cluster;
mod hairpin;
mod lifecycle;
mod master;
mod software;
mod traffic;
