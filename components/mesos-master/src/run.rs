//! Starting a master: state read back, sockets bound, the owner task running.
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use cluster_state::{ClusterState, StateError};
use http_kit::{Preface, ServeConfig, guard::Mode};
use libprocess::{
    Inbound, Outbox, OutboxConfig, Upid,
    server::{Inlet, InletConfig},
};
use mesos_allocator::{MinAllocatable, Policy, PolicyConfig};
use mesos_messages::v1;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{AllocatorKind, MasterConfig},
    core::{MasterCore, Start},
    handle::MasterHandle,
    http::{self, HttpState},
    model::MasterRecord,
    owner::{Clock, Owner},
    registrar,
    wire::{self, Incoming},
};

/// How many commands may wait for the owner.
const INBOX: usize = 2048;
/// How many messages may wait to be decoded.
const INLET: usize = 1024;
/// What a scheduler is told that speaks libprocess to a strict master.
const NO_TOKENS: &str = "This master wants a token of every scheduler: use the v1 HTTP API";
/// How many ends of links may wait for the owner.
const EXITS: usize = 4096;

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
    config: MasterConfig,
    state: Arc<dyn ClusterState>,
    shutdown: CancellationToken,
) -> Result<RunningMaster, MasterError> {
    if config.authenticate_frameworks || config.authenticate_agents {
        // Asking for it and not getting it must not go unnoticed.
        return Err(MasterError::Config(
            "authentication over libprocess (authenticate_frameworks, authenticate_agents) is \
             not supported yet"
                .to_owned(),
        ));
    }
    let address = SocketAddr::new(config.ip, config.port);
    let listen = |source| MasterError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;

    let registry = registrar::load(&*state).await?;
    let cluster = registrar::cluster_id(&*state).await?;
    let config = Arc::new(config);
    let pid = Upid::new("master", advertised(&config, address));
    let clock = Clock::start();
    let now = clock.now();
    let master = Arc::new(MasterRecord {
        info: master_info(&config, &pid),
        cluster: config.cluster.clone(),
        start_time: now.seconds(),
        elected_time: now.seconds(),
    });
    tracing::info!(%address, id = %master.info.id, %cluster, "master starts");

    let (inbox, commands) = mpsc::channel(INBOX);
    let handle = MasterHandle::new(inbox, config.clone());
    let http = HttpState::new(handle.clone(), address)
        .map_err(|error| MasterError::Config(error.to_string()))?;
    let (exits_in, exits) = mpsc::channel(EXITS);
    let (inbound, messages) = mpsc::channel(INLET);
    let inlet = Inlet::new(inlet_config(config.guard.mode()), is_actor, inbound);

    let mut effects = Vec::new();
    let core = MasterCore::new(
        Start {
            allocator: mesos_allocator::build(policy(&config)?),
            seed: config.seed.unwrap_or_else(rand::random),
            config: config.clone(),
            master,
            now,
            registry,
        },
        &mut effects,
    );
    let owner = Owner {
        core,
        clock,
        inbox: commands,
        exits,
        outbox: Outbox::new(OutboxConfig::default(), exits_in),
        state,
        pid,
        max_subscribers: config.max_operator_event_stream_subscribers,
        shutdown: shutdown.clone(),
        waiting: Default::default(),
        write: None,
        effects,
        streams: Default::default(),
        touched: Vec::new(),
        replies: Default::default(),
        teardowns: Default::default(),
        next_token: 0,
        subscribers: Vec::new(),
        last_snapshot: Default::default(),
        buffer: Vec::new(),
        timings: Default::default(),
    };
    tokio::spawn(decode_messages(messages, handle.clone(), config.guard.mode()));
    let serving = ServeConfig { preface: Some(preface(inlet.clone())), ..Default::default() };
    let routes = http::routes(&Arc::new(http), inlet);
    let join = tokio::spawn(supervise(owner, listener, routes, serving, shutdown));
    Ok(RunningMaster { address, handle, join })
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

/// Connections with libprocess messages do not need an HTTP server.
fn preface(inlet: Inlet) -> Preface {
    Preface::new(move |stream, peer| {
        let inlet = inlet.clone();
        async move { inlet.serve(stream, peer.ip()).await.map(|rest| (rest.stream, rest.read)) }
    })
}

/// The owner and the server live and end together.
async fn supervise(
    owner: Owner,
    listener: TcpListener,
    routes: http_kit::Routes,
    serving: ServeConfig,
    shutdown: CancellationToken,
) -> Result<(), MasterError> {
    let outbox = owner.outbox.clone();
    let server_stop = CancellationToken::new();
    let server =
        tokio::spawn(http_kit::serve(listener, Arc::new(routes), serving, server_stop.clone()));
    let owner = tokio::spawn(owner.run());
    let result = owner.await.map_err(|_| MasterError::Crashed).and_then(|result| result);
    if let Err(error) = &result {
        tracing::error!(%error, "the master must stop");
    }
    shutdown.cancel();
    server_stop.cancel();
    outbox.close(Duration::from_millis(200)).await;
    let _ = server.await;
    result
}

/// Who wants to know who its clients are takes no message whose sender is made up.
fn inlet_config(mode: Mode) -> InletConfig {
    let variable = |name: &str| std::env::var(name).ok();
    match mode {
        Mode::Disabled => InletConfig::from_environment(variable),
        Mode::Permissive | Mode::Strict => InletConfig::guarded(variable),
    }
}

/// Whether schedulers at an address may send messages. They have no way to show a token here, so
/// a strict master takes none, and a permissive one those of its own machine.
fn takes_schedulers(mode: Mode, peer: IpAddr) -> bool {
    match mode {
        Mode::Disabled => true,
        Mode::Permissive => peer.is_loopback(),
        Mode::Strict => false,
    }
}

/// Decodes messages apart from the owner, in the order they came.
async fn decode_messages(mut messages: mpsc::Receiver<Inbound>, handle: MasterHandle, mode: Mode) {
    while let Some(message) = messages.recv().await {
        let Some(incoming) = wire::decode(&message.to, &message.name, &message.body) else {
            tracing::warn!(from = %message.from, name = message.name, "dropping a message");
            continue;
        };
        let incoming = match incoming {
            scheduler if scheduler.is_of_scheduler() && !takes_schedulers(mode, message.peer) => {
                Incoming::Refuse(NO_TOKENS.to_owned())
            }
            other => other,
        };
        if handle.message(message.from, incoming).await.is_err() {
            return;
        }
    }
}

fn is_actor(id: &str) -> bool {
    id == http::ACTOR || id.starts_with("slave-observer(")
}

/// Where others should send to.
fn advertised(config: &MasterConfig, bound: SocketAddr) -> SocketAddr {
    let ip = match config.advertise_ip.unwrap_or(bound.ip()) {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, config.advertise_port.unwrap_or(bound.port()))
}

fn master_info(config: &MasterConfig, pid: &Upid) -> v1::MasterInfo {
    let ip = pid.address.ip();
    let hostname = config.hostname.clone().unwrap_or_else(|| ip.to_string());
    let number = match ip {
        // Network byte order, whatever the machine's.
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    };
    v1::MasterInfo {
        id: uuid::Uuid::new_v4().to_string(),
        ip: number,
        port: u32::from(pid.address.port()),
        pid: Some(pid.to_string()),
        hostname: Some(hostname.clone()),
        version: Some(config.version.clone()),
        address: Some(v1::Address {
            hostname: Some(hostname),
            ip: Some(ip.to_string()),
            port: i32::from(pid.address.port()),
        }),
        domain: config.domain.clone(),
        capabilities: vec![v1::master_info::Capability {
            r#type: Some(v1::master_info::capability::Type::AgentUpdate as i32),
        }],
    }
}

fn policy(config: &MasterConfig) -> Result<PolicyConfig, MasterError> {
    let fault_domain = config.domain.as_ref().and_then(|domain| domain.fault_domain.as_ref());
    let priorities = config.priorities.iter().rev().zip(1..);
    Ok(PolicyConfig {
        policy: match config.allocator {
            AllocatorKind::HierarchicalDrf => Policy::HierarchicalDrf,
            AllocatorKind::StrictPriority => Policy::StrictPriority {
                priorities: priorities.map(|(role, priority)| (role.clone(), priority)).collect(),
            },
        },
        allocation_interval: config.allocation_interval,
        min_allocatable: MinAllocatable::parse(&config.min_allocatable_resources)
            .map_err(|error| MasterError::Config(format!("min_allocatable_resources: {error}")))?,
        filter_gpu_resources: config.filter_gpu_resources,
        fair_sharing_excluded: config.fair_sharing_excluded_resource_names.clone(),
        local_region: fault_domain.map(|domain| domain.region.name.clone()),
        weights: config.weights.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedulers_without_tokens_are_those_of_this_machine() {
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 7]));
        for (mode, from_here, from_there) in [
            (Mode::Disabled, true, true),
            (Mode::Permissive, true, false),
            (Mode::Strict, false, false),
        ] {
            assert_eq!(takes_schedulers(mode, here), from_here, "{mode:?}");
            assert_eq!(takes_schedulers(mode, there), from_there, "{mode:?}");
        }
    }
}
