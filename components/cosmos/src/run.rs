//! Starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;

use cluster_state::{ClusterState, StateError};
use http::StatusCode;
use http_kit::{Reply, Request, ServeConfig, respond};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Config;

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
}

/// Starts the service and returns when it answers requests.
pub async fn start(
    config: Config,
    _state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<Running, CosmosError> {
    let wanted = SocketAddr::new(config.ip, config.port);
    let listen = |source| CosmosError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let service = |_: Request, _: SocketAddr| Reply::Now(respond::status(StatusCode::NOT_FOUND));
    let join = tokio::spawn(async move {
        http_kit::serve(listener, Arc::new(service), ServeConfig::default(), shutdown).await;
        Ok(())
    });
    Ok(Running { address, join })
}
