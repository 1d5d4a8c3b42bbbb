//! Starting and stopping.

use std::net::SocketAddr;
use std::sync::Arc;

use cluster_state::{ClusterState, StateError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Config;

/// Virtual addresses at work, until the token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where the API listens.
    pub address: SocketAddr,
    /// How connections get to backends.
    pub mode: Mode,
    /// Ends when everything has stopped and, unless they are to be left, the rules are gone.
    pub join: JoinHandle<()>,
}

/// How connections get to backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By rules in the kernel.
    Kernel,
    /// By listeners on loopback addresses, and why not by the kernel.
    UserSpace(String),
    /// Not by this process, which is a controller only.
    Elsewhere,
}

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot read the cluster's state")]
    State(#[from] StateError),
    #[error("the kernel cannot do it: {0}")]
    Kernel(String),
    #[error("the configuration is not usable: {0}")]
    Config(String),
}

/// Starts the service and returns when it answers requests.
pub async fn start(
    config: Config,
    _state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<Running, StartError> {
    let wanted = SocketAddr::new(config.ip, config.port);
    let listen = |source| StartError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let join = tokio::spawn(async move {
        shutdown.cancelled().await;
        drop(listener);
    });
    Ok(Running { address, mode: Mode::Elsewhere, join })
}
