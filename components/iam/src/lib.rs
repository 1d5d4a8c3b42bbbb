//! Identity and access management, in Bouncer's API: users, groups, service accounts,
//! permissions, tokens, and the cluster's certificate authority.
//!
//! It is not: a judge of requests to other components; those follow its policy and judge
//! themselves (`identity`, `http_kit::guard`).
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod password;
mod sealing;
mod secrets;
