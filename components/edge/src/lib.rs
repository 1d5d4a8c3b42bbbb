//! Traffic from outside the cluster to its services, as the labels of apps say.
//!
//! 1. [`labels`] reads what Marathon-LB's users write; whatever is not honoured is told of.
//! 2. [`routes`] makes of apps, tasks and health what is served where. Pure.
//! 3. The rest puts it on sockets: a policy of the engine in `proxy`, listeners that come and go
//!    with services, statistics as HAProxy shows them.
//!
//! It is not: the gateway of the cluster's own APIs, which is `admin-router`.
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod auth;
pub mod certificates;
pub mod labels;
mod listeners;
pub mod live;
mod policy;
pub mod routes;
mod tcp;
