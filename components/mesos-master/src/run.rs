//! Starting a master: state read back, sockets bound, the owner task running.
use std::{net::SocketAddr, sync::Arc};

use cluster_state::{ClusterState, StateError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{config::MasterConfig, handle::MasterHandle};

/// A master that runs until its token is cancelled.
#[derive(Debug)]
pub struct RunningMaster {
    /// Where it listens.
    pub address: SocketAddr,
    pub handle: MasterHandle,
    /// Ends when the master has stopped.
    pub join: JoinHandle<Result<(), MasterError>>,
}

/// Why a master did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot read or write the registry")]
    State(#[from] StateError),
    #[error("the registry holds '{key}', which cannot be read")]
    Corrupt { key: String },
    #[error("the configuration is not usable: {0}")]
    Config(String),
    #[error("the owner of the state stopped unexpectedly")]
    Crashed,
}

/// Starts a master and returns when it answers requests.
pub async fn start(
    _config: MasterConfig,
    _state: Arc<dyn ClusterState>,
    _shutdown: CancellationToken,
) -> Result<RunningMaster, MasterError> {
    Err(MasterError::Config("this build has no master yet".to_owned()))
}

/// Runs a master until `shutdown` is cancelled.
pub async fn run(
    config: MasterConfig,
    state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<(), MasterError> {
    let running = start(config, state, shutdown).await?;
    running.join.await.map_err(|_| MasterError::Crashed)?
}
