//! Identity and access management, in Bouncer's API: users, groups, service accounts,
//! permissions, tokens, and the cluster's certificate authority.
//!
//! 1. [`start`] runs it on a port. `http` parses requests and judges who may make them.
//! 2. [`model`] is pure: a [`model::State`], and commands that yield what has to be written.
//! 3. `store` keeps the state in the cluster's state, durable before anything is acknowledged,
//!    also when several instances write.
//! 4. `feed` tells every follower what the policy is and what changes.
//! 5. [`audit`] writes a line for every login, refusal and change; [`throttle`] slows guessing.
//!
//! It is not: a judge of requests to other components; those follow its policy and judge
//! themselves (`identity`, `http_kit::guard`).
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod audit;
mod bootstrap;
mod ca;
mod clock;
mod config;
mod error;
mod feed;
pub mod fuzz;
mod http;
mod keys;
pub mod model;
mod nobody;
mod oidc;
mod password;
mod providers;
mod run;
mod sealing;
mod secrets;
mod service;
mod signing;
mod store;
pub mod throttle;

pub use config::Config;
pub use error::ApiError;
pub use run::{IamError, Running, start};
