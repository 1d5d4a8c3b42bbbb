//! Starting and stopping.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use cluster_state::{ClusterState, StateError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Config;

/// An identity service that runs until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The first administrator.
    pub admin_uid: String,
    /// Where the password of the first administrator stands (0600); gone once an operator
    /// removed it.
    pub admin_password_file: PathBuf,
    /// The certificate of the cluster's authority.
    pub ca_file: PathBuf,
    /// Credentials of the components, `<uid>.json`.
    pub service_accounts: PathBuf,
    /// Ends when it has stopped.
    pub join: JoinHandle<Result<(), IamError>>,
}

/// Why the service did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum IamError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
    #[error("what is stored at {key} is not what this program writes: {reason}")]
    Stored { key: String, reason: String },
    #[error("cannot use {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
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
) -> Result<Running, IamError> {
    let _ = (state, shutdown);
    Err(IamError::Config(format!("cannot serve {} yet", config.data_dir.display())))
}
