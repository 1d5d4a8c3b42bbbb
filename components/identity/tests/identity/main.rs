//! What the crate promises, from outside: forged tokens, foreign keys, the policy.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cache;
mod keys;
mod policy;
mod stream;
mod support;
mod tokens;
