//! Packages in the Universe format: repositories, search, options, rendering.
//!
//! It is not: a service. Every function is pure; `cosmos` fetches, keeps and serves.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
