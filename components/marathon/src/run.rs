//! Starting the service: state read back, sockets bound, the owner running; and beginning anew
//! from what is on disk when it cannot go on.
use std::{net::SocketAddr, sync::Arc, time::Duration};

use cluster_state::ClusterState;
use http_kit::ServeConfig;
use marathon_core::{Core, Recovered, Refusal, View};
use thiserror::Error;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    framework::Framework,
    handle::{Handle, Inbox, Info, channel},
    http,
    owner::{Clock, End, Owner},
    probes::Probes,
    store::{Committer, Store, StoreError},
};

/// The pause before beginning anew, doubled each time in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// A life that lasted so long was a good one.
const GOOD_LIFE: Duration = Duration::from_secs(30);

/// A service that runs until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    pub handle: Handle,
    /// Ends when the service has stopped. Its tasks run on.
    pub join: JoinHandle<Result<(), Error>>,
}

/// Why a service did not start.
#[derive(Debug, Error)]
pub enum Error {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("cannot read the state of services")]
    Store(#[from] StoreError),
    #[error("no address of a master is configured")]
    NoMaster,
    #[error("the service stopped unexpectedly")]
    Crashed,
}

/// Starts a service and returns when it answers requests.
pub async fn start(
    config: Config,
    state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<Running, Error> {
    if config.masters.iter().all(String::is_empty) {
        return Err(Error::NoMaster);
    }
    let address = SocketAddr::new(config.http_address, config.http_port);
    let listen = |source| Error::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let config = Arc::new(config);
    let store = Store::new(state);
    let (recovered, committer) = store.load(config.max_versions).await?;
    let (instances, deployments) = (recovered.instances.len(), recovered.deployments.len());
    tracing::info!(%address, instances, deployments, "marathon starts");

    let info = Info { address, leader: leader(&config, address), config: config.clone() };
    let (handle, inbox) = channel(View::default(), store.clone(), info);
    let service = http::service(handle.clone());
    let life = Lives { config, store, inbox, clock: Clock::start(), shutdown: shutdown.clone() };
    let first = life.begin(recovered, committer);
    let join = tokio::spawn(supervise(life, first, listener, service, shutdown));
    Ok(Running { address, handle, join })
}

/// Runs a service until `shutdown` is cancelled.
pub async fn run(
    config: Config,
    state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    start(config, state, shutdown).await?.join.await.map_err(|_| Error::Crashed)?
}

/// The owner and the server live and end together.
async fn supervise(
    lives: Lives,
    first: Beginning,
    listener: TcpListener,
    service: impl http_kit::Service,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let stop = CancellationToken::new();
    let serving =
        http_kit::serve(listener, Arc::new(service), ServeConfig::default(), stop.clone());
    let server = tokio::spawn(serving);
    let owner = tokio::spawn(lives.run(first)).await;
    shutdown.cancel();
    stop.cancel();
    let _ = server.await;
    owner.map_err(|_| Error::Crashed)
}

/// `host:port` that others reach it at.
fn leader(config: &Config, address: SocketAddr) -> String {
    match &config.hostname {
        Some(name) => format!("{name}:{}", address.port()),
        None if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        None => address.to_string(),
    }
}

/// What one core after the other lives from.
struct Lives {
    config: Arc<Config>,
    store: Store,
    inbox: Inbox,
    clock: Clock,
    shutdown: CancellationToken,
}

/// What one life begins with.
struct Beginning {
    core: Core,
    committer: Committer,
    framework_id: Option<String>,
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

// === impl Lives ===

impl Lives {
    /// A core that goes on from what was recovered. Readers see it at once.
    fn begin(&self, recovered: Recovered, committer: Committer) -> Beginning {
        let framework_id = recovered.framework_id.clone();
        let config = self.config.for_core(rand::random());
        let core = Core::new(config, recovered, self.clock.now());
        self.inbox.show(core.view());
        Beginning { core, committer, framework_id }
    }

    async fn run(mut self, first: Beginning) {
        let mut next = Some(first);
        let mut pause = FIRST_PAUSE;
        let mut torn_down = false;
        loop {
            let Some(mut beginning) = next.take() else {
                match self.store.load(self.config.max_versions).await {
                    Ok((recovered, committer)) => next = Some(self.begin(recovered, committer)),
                    Err(error) => {
                        tracing::error!(error = chain(&error), "the state cannot be read");
                        if !self.pause(&mut pause).await {
                            return;
                        }
                    }
                }
                continue;
            };
            if std::mem::take(&mut torn_down) {
                // The new id replaces the one on disk when the master has given it.
                beginning.framework_id = None;
            }
            let born = self.clock.now().mono;
            let end = self.live(beginning).await;
            if self.clock.now().mono.saturating_sub(born) > GOOD_LIFE {
                pause = FIRST_PAUSE;
            }
            torn_down = matches!(end, End::Removed(_));
            match &end {
                End::Stopped => return,
                End::Write(error) => {
                    tracing::error!(error = chain(error), "cannot write; going back to what is");
                }
                End::Abdicated => tracing::info!("beginning anew, as asked"),
                End::Refused(reason) => tracing::error!(reason, "the master refuses us"),
                End::Removed(reason) => {
                    tracing::warn!(reason, "the framework was torn down; registering a new one");
                }
            }
            if !self.pause(&mut pause).await {
                return;
            }
        }
    }

    async fn live(&mut self, beginning: Beginning) -> End {
        let Beginning { core, committer, framework_id } = beginning;
        let (config, info) = (&self.config, self.inbox.info());
        let webui = config.webui_url.clone().unwrap_or_else(|| format!("http://{}", info.leader));
        if let Some(tokens) = &config.tokens {
            // Who subscribes as nobody is refused later, when they call as somebody.
            tokio::select! {
                () = self.shutdown.cancelled() => return End::Stopped,
                () = tokens.ready() => {}
            }
        }
        let hostname = info.leader.rsplit_once(':').map_or(&*info.leader, |(host, _)| host);
        let hostname = hostname.trim_start_matches('[').trim_end_matches(']');
        let framework = Framework::start(config, framework_id, hostname, webui);
        let probes = Probes::new(config.max_concurrent_health_checks);
        let owner = Owner::new(core, self.clock, committer, framework, probes);
        owner.run(&mut self.inbox, &self.shutdown).await
    }

    /// Waits, refusing commands meanwhile. False when it is time to stop.
    async fn pause(&mut self, pause: &mut Duration) -> bool {
        let over = sleep(*pause);
        *pause = pause.saturating_mul(2).min(LAST_PAUSE);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return false,
                () = &mut over => return true,
                request = self.inbox.next() => {
                    let Some(request) = request else { return false };
                    let reason = "The service is recovering; try again.".to_owned();
                    let _ = request.reply.send(Err(Refusal::Unavailable(reason)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
