//! Starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;

use cluster_state::{ClusterState, StateError};
use http_kit::{Client, ClientConfig, ServeConfig};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::claims::Claims;
use crate::clients::marathon::Marathon;
use crate::clients::master::Master;
use crate::clients::services::Services;
use crate::http::Api;
use crate::repositories::Repositories;
use crate::uninstalls::Uninstalls;
use crate::{Config, Cosmos};

/// The largest answer of Marathon, the master or a manager: ten thousand installed packages
/// with their definitions.
const MAX_ANSWER: usize = 256 * 1024 * 1024;
/// The largest answer of a service that is asked about itself.
const SHORT_ANSWER: usize = 1024 * 1024;
/// Renderings and other long computations at once; the threads for blocking work serve the
/// cluster's state too.
const RENDERINGS: usize = 4;

/// A package service that runs until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Ends when it has stopped.
    pub join: JoinHandle<Result<(), CosmosError>>,
}

/// Why the service did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum CosmosError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
    #[error("the configuration is not usable: {0}")]
    Config(String),
    #[error("a part of the service stopped unexpectedly")]
    Crashed,
}

/// Starts the service and returns when it answers requests.
pub async fn start(
    config: Config,
    state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<Running, CosmosError> {
    check(&config)?;
    let wanted = SocketAddr::new(config.ip, config.port);
    let listen = |source| CosmosError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    // However it ends, all of it ends.
    let shutdown = shutdown.child_token();
    let client = Client::new(ClientConfig { body_limit: MAX_ANSWER, ..ClientConfig::default() });
    let marathon = Marathon::new(&config.marathon, client.clone());
    let asker = Client::new(ClientConfig { body_limit: SHORT_ANSWER, ..ClientConfig::default() });
    let gateway = config.gateway.clone();
    let services = Services::new(gateway, marathon.clone(), client.clone(), asker);
    let claims = Claims::default();
    let (repositories, keeper) =
        Repositories::start(&config, Arc::clone(&state), shutdown.clone()).await?;
    let (uninstalls, follower) = Uninstalls::start(
        state,
        marathon.clone(),
        services.clone(),
        claims.clone(),
        config.tokens.clone(),
        config.uninstall_interval,
        shutdown.clone(),
    )
    .await?;
    let master = Master::new(&config.master, client.clone());
    let renderings = Arc::new(Semaphore::new(RENDERINGS));
    let cosmos = Arc::new(Cosmos {
        config,
        client,
        repositories,
        uninstalls,
        claims,
        renderings,
        marathon,
        master,
        services,
    });
    let join = tokio::spawn(async move {
        let api = Arc::new(Api::new(cosmos));
        http_kit::serve(listener, api, ServeConfig::default(), shutdown.clone()).await;
        shutdown.cancel();
        let (kept, followed) = tokio::join!(keeper, follower);
        kept.and(followed).map_err(|_| CosmosError::Crashed)
    });
    Ok(Running { address, join })
}

/// URLs that cannot be used are told at the start, not with the first install.
fn check(config: &Config) -> Result<(), CosmosError> {
    let urls = [("marathon", Some(&config.marathon)), ("master", Some(&config.master))];
    for (name, url) in urls.into_iter().chain([("gateway", config.gateway.as_ref())]) {
        let Some(url) = url else { continue };
        let parsed = url.parse::<http::Uri>();
        let good = parsed.is_ok_and(|uri| {
            uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https"))
        });
        if !good {
            return Err(CosmosError::Config(format!("{name} is '{url}', not http://host:port")));
        }
    }
    Ok(())
}
