//! Who somebody is and what they may do: tokens, keys, permissions; without any I/O.
//!
//! It is not: the service that keeps users (that is `iam`), nor the extractor of requests (that
//! is `http_kit::guard`).
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
