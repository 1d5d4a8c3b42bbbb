//! The packages that come with Dais, embedded as the default repository.
//!
//! It is not: code; the packages are the folders beside this crate's manifest.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
