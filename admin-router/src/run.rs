//! Starting and stopping.

use std::net::SocketAddr;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Config;

/// A gateway that runs until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where it listens without TLS.
    pub plain: Option<SocketAddr>,
    /// Where it listens with TLS.
    pub tls: Option<SocketAddr>,
    /// Ends when it has stopped.
    pub join: JoinHandle<Result<(), Error>>,
}

/// Why a gateway did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration is not usable: {0}")]
    Config(String),
    #[error("a part of the gateway stopped unexpectedly")]
    Crashed,
}

/// Starts a gateway and returns when it answers requests.
pub async fn start(_config: Config, _shutdown: CancellationToken) -> Result<Running, Error> {
    Err(Error::Config("the gateway has no routes".to_owned()))
}
