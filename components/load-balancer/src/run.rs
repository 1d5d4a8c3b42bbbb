//! Starting and stopping.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster_events::asking::{Ask, AskConfig, Authorization, Server};
use cluster_events::master::Follower;
use cluster_events::picture::Decoder;
use cluster_state::{ClusterState, StateError};
use http::HeaderValue;
use http_kit::guard::TokenSource;
use http_kit::{Client, ClientConfig, ServeConfig};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::addresses::Addresses;
use crate::controller::Controller;
use crate::http::{Api, Shared};
use crate::kernel::Kernel;
use crate::local::Local;
use crate::metrics::Metrics;
use crate::node::{Balancer, Node};
use crate::user_space::{Listening, UserSpace};
use crate::view::View;
use crate::{Config, Role, Way, remote};

/// Events of the master that wait.
const EVENTS: usize = 1024;
/// Who asks others.
const AGENT: HeaderValue = HeaderValue::from_static("dcos-net");
/// DNS's list of all records is one answer.
const LARGEST_ANSWER: usize = 256 << 20;

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
    #[error("the kernel cannot balance: {0}")]
    Kernel(String),
    #[error("the configuration is not usable: {0}")]
    Config(String),
}

/// Starts the service and returns when it answers requests.
pub async fn start(
    config: Config,
    state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<Running, StartError> {
    let servers = check(&config)?;
    let wanted = SocketAddr::new(config.ip, config.port);
    let listen = |source| StartError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    // However it ends, all of it ends.
    let stop = shutdown.child_token();
    let (view, metrics) = (Arc::new(View::default()), Arc::new(Metrics::default()));
    let tasks = TaskTracker::new();

    let (mode, listening) = match &config.role {
        Role::Controller { .. } => (Mode::Elsewhere, None),
        Role::Node { .. } | Role::Both { .. } => {
            let listening = Arc::new(Listening::default());
            let (balancer, mode) = balancer(&config, &listening).await?;
            let node = Node::new(balancer, &config.node, Arc::clone(&metrics));
            let local = Local::new(Arc::clone(&view));
            let local = local.ok_or_else(|| StartError::Config("too many listeners".to_owned()))?;
            tasks.spawn(node.run(local, stop.clone()));
            let stands_in = matches!(mode, Mode::UserSpace(_));
            (mode, stands_in.then_some(listening))
        }
    };
    let ask = Arc::new(Ask::new(asking(&config)));
    match &config.role {
        Role::Node { .. } => {
            let follow = remote::run(ask, servers, Arc::clone(&view));
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(follow).await.unwrap_or_default() });
        }
        Role::Controller { .. } | Role::Both { .. } => {
            let (addresses, watch) = Addresses::open(state, config.range).await?;
            let controller =
                Controller::new(addresses, Arc::clone(&view), config.address_retention);
            let (to, events) = mpsc::channel(EVENTS);
            let decoder = Arc::new(Decoder);
            let follower = Follower { ask, masters: servers, decoder, to };
            let stop = stop.clone();
            tasks.spawn(async move {
                let both = async { tokio::join!(follower.run(), controller.run(events, watch)) };
                let _ = stop.run_until_cancelled(both).await;
            });
        }
    }
    let api = Api(Arc::new(shared(&config, view, metrics, listening, stop.clone())));
    let join = tokio::spawn(async move {
        http_kit::serve(listener, Arc::new(api), ServeConfig::default(), stop.clone()).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    });
    Ok(Running { address, mode, join })
}

fn shared(
    config: &Config,
    view: Arc<View>,
    metrics: Arc<Metrics>,
    listening: Option<Arc<Listening>>,
    stop: CancellationToken,
) -> Shared {
    let client = ClientConfig { body_limit: LARGEST_ANSWER, ..ClientConfig::default() };
    let controllers = match &config.role {
        Role::Node { controllers } => controllers.clone(),
        Role::Controller { .. } | Role::Both { .. } => Vec::new(),
    };
    Shared {
        view,
        metrics,
        listening,
        guard: config.guard.clone(),
        client: Client::new(client),
        dns: config.dns.clone(),
        controllers,
        answer: Mutex::new(None),
        stop,
    }
}

/// Whom to follow.
fn check(config: &Config) -> Result<Vec<Server>, StartError> {
    let (what, urls) = match &config.role {
        Role::Controller { masters } | Role::Both { masters } => ("master", masters),
        Role::Node { controllers } => ("controller", controllers),
    };
    if urls.is_empty() {
        return Err(StartError::Config(format!("there is no {what} to follow")));
    }
    if config.range.0 >= config.range.1 {
        return Err(StartError::Config("the range of addresses is empty".to_owned()));
    }
    if let Some(dns) = &config.dns
        && dns.parse::<Server>().is_err()
    {
        return Err(StartError::Config(format!("dns is '{dns}', not http://host:port")));
    }
    let of = |url: &String| {
        url.parse().map_err(|error| StartError::Config(format!("{what} '{url}': {error}")))
    };
    urls.iter().map(of).collect()
}

fn asking(config: &Config) -> AskConfig {
    AskConfig {
        authorization: config.tokens.clone().map(authorization),
        connect_timeout: Duration::from_secs(2),
        ..AskConfig::new(AGENT)
    }
}

/// The token of the moment, for each request.
fn authorization(tokens: TokenSource) -> Authorization {
    Arc::new(move || {
        let tokens = tokens.clone();
        Box::pin(async move { tokens.authorization() })
    })
}

async fn balancer(
    config: &Config,
    listening: &Arc<Listening>,
) -> Result<(Balancer, Mode), StartError> {
    let user_space = || UserSpace::new(config.node.limits, Arc::clone(listening));
    if config.node.way == Way::UserSpace {
        let mode = Mode::UserSpace("it is configured".to_owned());
        return Ok((Balancer::UserSpace(user_space()), mode));
    }
    match Kernel::start(&config.node, config.range).await {
        Ok(kernel) => {
            for lack in &kernel.lacks.0 {
                tracing::warn!("virtual addresses: {lack}");
            }
            Ok((Balancer::Kernel(Box::new(kernel)), Mode::Kernel))
        }
        Err(reason) if config.node.way == Way::Kernel => Err(StartError::Kernel(reason)),
        Err(reason) => {
            tracing::warn!(
                reason,
                "the kernel does not balance: virtual addresses are listeners on loopback, for \
                 this machine only"
            );
            Ok((Balancer::UserSpace(user_space()), Mode::UserSpace(reason)))
        }
    }
}
