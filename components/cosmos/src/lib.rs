//! The package service, in Cosmos's API: repositories, install, update, uninstall.
//!
//! 1. [`start`] runs it on a port. `http` negotiates media types and finds the endpoint,
//!    `handlers` answer.
//! 2. `repositories` keeps the documents of all repositories: on disk, looked at again in the
//!    background, so that a query never waits for the network and a repository that is away
//!    or broken takes nothing down.
//! 3. What is installed is known by the labels of Marathon's apps alone; in the cluster's state
//!    are the list of repositories and the uninstalls under way.
//!
//! It is not: a renderer (that is `universe`) or an orchestrator (that is Marathon, spoken to over
//! its public API).
#![forbid(unsafe_code)]
// A test that fails says so by panicking.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod claims;
mod clients;
mod config;
mod error;
mod fields;
mod handlers;
mod http;
mod repositories;
mod run;
mod uninstalls;
mod version;

use http_kit::Client;

pub use crate::http::permissions::TABLE as PERMISSIONS;
pub use config::Config;
pub use run::{CosmosError, Running, start};

/// Everything that a request may need.
#[derive(Debug)]
pub(crate) struct Cosmos {
    config: Config,
    client: Client,
    repositories: repositories::Repositories,
    uninstalls: uninstalls::Uninstalls,
    claims: claims::Claims,
    renderings: std::sync::Arc<tokio::sync::Semaphore>,
    marathon: clients::marathon::Marathon,
    master: clients::master::Master,
    services: clients::services::Services,
}
