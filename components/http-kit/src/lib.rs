//! What every HTTP API here shares: serving, routing, authentication, answers.
//!
//! Role: one way to put a service on a socket and to speak HTTP as the
//! originals do, so that master, agent and the later components differ only in
//! what they answer.
//!
//! 1. [`serve`] runs a [`Service`] on a listener: HTTP/1.1, no delay, keep-alive,
//!    a cap on connections, limits on heads, a graceful end.
//! 2. [`Routes`] finds the endpoint the way the original's actors do: the first
//!    path segment names an actor, an unknown one goes to the delegate, inside an
//!    actor the longest registered prefix wins. It also authenticates, counts and
//!    compresses.
//! 3. [`respond`], [`negotiate`], [`query`] hold the exact answers and texts.
//! 4. [`client`] makes requests to others.
//! 5. [`files`], [`logging`], [`system`], [`version`], [`help`], [`prometheus`] are endpoints
//!    both daemons have.
//! 6. [`origin`] keeps pages of other origins from changing anything.
//! 7. [`guard`] says who a request is from and whether they may, as IAM knows it;
//!    [`permissions`] what each endpoint asks for, in one table a component.
//!
//! It is not a web framework and knows no Mesos message: no component's state,
//! no protobuf. What it serves has no TLS and no HTTP/2: those are the gateway's. An
//! `axum::Router` can be served through [`service::from_tower`].
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod auth;
pub mod body;
pub mod client;
pub mod files;
pub mod guard;
pub mod gzip;
pub mod help;
pub mod json;
pub mod logging;
pub mod negotiate;
pub mod origin;
pub mod permissions;
pub mod prometheus;
pub mod query;
pub mod respond;
pub mod routes;
pub mod serve;
pub mod service;
pub mod stats;
pub mod system;
pub mod version;

pub use auth::{Authentication, Credentials, Principal};
pub use body::{Body, BodyError, read_body};
pub use client::{Client, ClientConfig, ClientError};
pub use query::Params;
pub use routes::{Endpoint, Routes};
pub use serve::{Preface, ServeConfig, serve};
pub use service::{Reply, Service};

/// A request as endpoints see it.
pub type Request = http::Request<Body>;
/// An answer as endpoints give it.
pub type Response = http::Response<Body>;

/// Largest request body read by default: an agent that re-registers with a
/// hundred thousand tasks must fit in one message.
pub const DEFAULT_BODY_LIMIT: usize = 64 * 1024 * 1024;
