//! From a configuration to a running agent.

use super::{
    Clock, Event, Handle, Owner,
    actuator::{Actuator, Fetches},
    committer::Committer,
    runtime::{Containers, Runtime},
    streams::Streams,
};
use crate::{
    AgentConfig, AgentError,
    checkpoint::{self, Layout, Recovered, Writer},
    config::{Launcher, Recover},
    core::{Core, Input, Settings},
    detect, http,
};
use http_kit::{Preface, ServeConfig, files::VirtualFiles, guard::Mode, serve};
use libprocess::{
    Outbox, OutboxConfig, Upid,
    server::{Inlet, InletConfig},
};
use mesos_containerizer::{Containerizer, ContainerizerConfig, LauncherChoice};
use mesos_fetcher::{Fetcher, FetcherConfig};
use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, RwLock},
    time::Instant,
};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The agent's actor id. Several agents in one process differ by their ports.
pub(crate) const ACTOR: &str = "slave(1)";
/// Messages and calls that may wait for the owner.
const INBOX: usize = 4096;

/// A started agent, from inside.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) upid: Upid,
    pub(crate) handle: Handle,
    pub(crate) join: JoinHandle<Result<(), AgentError>>,
}

/// Starts an agent on a runtime made from its configuration, or on the given one.
pub(crate) async fn start(
    mut config: AgentConfig,
    runtime: Option<Arc<dyn Runtime>>,
    shutdown: CancellationToken,
) -> Result<Running, AgentError> {
    let started = Instant::now();
    // Its own: an agent that ends by itself must not end its neighbours.
    let shutdown = shutdown.child_token();
    prepare_directories(&mut config)?;
    if config.switch_user && !nix::unistd::Uid::effective().is_root() {
        tracing::warn!("not root: executors run as this process's user");
        config.switch_user = false;
    }
    let master = resolve(&config.master).await?;
    let asked = SocketAddr::new(config.ip, config.port);
    let bind = |source| AgentError::Bind { address: asked, source };
    let listener = TcpListener::bind(asked).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let upid = Upid::new(ACTOR, advertised(&config, address));
    let settings = settings(&config, &upid, master)?;
    let config = Arc::new(config);

    let (loaded, runtime) = tokio::try_join!(
        blocking({
            let (config, settings) = (Arc::clone(&config), settings.clone());
            move || load(&config, &settings)
        }),
        blocking({
            let config = Arc::clone(&config);
            move || match runtime {
                Some(runtime) => Ok(runtime),
                None => containers(&config),
            }
        })
    )?;

    let (inbox, events) = mpsc::channel(INBOX);
    let (message_queue, messages) = mpsc::channel(INBOX);
    let (exit_queue, exits) = mpsc::channel(256);
    let (stop, stops) = mpsc::channel(1);
    let files = VirtualFiles::default();
    let agent_id = loaded.agent.as_ref().and_then(|agent| agent.id.clone());
    let actuator = Arc::new(Actuator {
        config: Arc::clone(&config),
        upid: upid.clone(),
        outbox: Outbox::new(OutboxConfig::default(), exit_queue),
        streams: Arc::new(Streams::default()),
        fetches: Arc::new(Fetches::default()),
        runtime,
        files: files.clone(),
        inbox: inbox.clone(),
        agent_id: RwLock::new(agent_id.as_ref().map(|id| id.value.clone()).unwrap_or_default()),
        launching: Mutex::default(),
        stop,
    });
    let handle = Handle { inbox };
    let writer = Writer::new(settings.layout.clone(), agent_id.map(|id| id.value));
    let owner = Owner {
        core: Core::new(settings, rand::random()),
        clock: Clock(started),
        inbox: events,
        messages,
        exits,
        stops,
        actuator: Arc::clone(&actuator),
        committer: Committer::start(writer, Arc::clone(&actuator)),
        effects: Vec::new(),
        shown: None,
    };
    let inlet = Inlet::new(inlet_config(config.guard.mode()), |id| id == ACTOR, message_queue);
    let state = http::State::new(
        Arc::clone(&config),
        handle.clone(),
        Arc::clone(&actuator.runtime),
        Arc::clone(&actuator.streams),
        Arc::clone(&actuator.fetches),
        files,
        upid.clone(),
    );
    let limits = ServeConfig { preface: Some(preface(inlet.clone())), ..ServeConfig::default() };
    let routes = Arc::new(http::routes(&state, inlet));
    let serving = tokio::spawn(serve(listener, routes, limits, shutdown.child_token()));
    let join = tokio::spawn(run(owner, loaded, serving, shutdown));
    Ok(Running { address, upid, handle, join })
}

/// Who wants to know who its clients are takes no message whose sender is made up: whoever passes
/// for the master may run anything here.
fn inlet_config(mode: Mode) -> InletConfig {
    let variable = |name: &str| std::env::var(name).ok();
    match mode {
        Mode::Disabled => InletConfig::from_environment(variable),
        Mode::Permissive | Mode::Strict => InletConfig::guarded(variable),
    }
}

/// Connections with libprocess messages do not need an HTTP server.
fn preface(inlet: Inlet) -> Preface {
    Preface::new(move |stream, peer| {
        let inlet = inlet.clone();
        async move { inlet.serve(stream, peer.ip()).await.map(|rest| (rest.stream, rest.read)) }
    })
}

/// Recovers, then runs until the end.
async fn run(
    mut owner: Owner,
    mut loaded: Recovered,
    serving: JoinHandle<()>,
    shutdown: CancellationToken,
) -> Result<(), AgentError> {
    let actuator = Arc::clone(&owner.actuator);
    let known: Vec<String> = loaded
        .frameworks
        .iter()
        .flat_map(|framework| &framework.executors)
        .map(|executor| executor.run.container_id.clone())
        .collect();
    let expected = if loaded.rebooted { Vec::new() } else { known };
    show_sandboxes(&loaded, &actuator);
    let mut recovering = actuator.runtime.recover(expected);
    let recovered = loop {
        // Readers and executors are told to come again; messages wait.
        tokio::select! {
            recovered = &mut recovering => break recovered.map_err(AgentError::Containerizer)?,
            Some(event) = owner.inbox.recv() => owner.event(event),
            () = shutdown.cancelled() => return Ok(()),
        }
        owner.flush().await;
    };
    for container in &recovered {
        let (actuator, container) = (Arc::clone(&actuator), container.clone());
        tokio::spawn(async move { actuator.watch(container).await });
    }
    loaded.containers = recovered.into_iter().collect::<BTreeSet<_>>();
    let agent = loaded.agent.as_ref().and_then(|agent| agent.id.clone()).map(|id| id.value);
    owner.input(Input::Recover(Box::new(loaded)));
    owner.flush().await;
    let layout = Layout::new(actuator.config.work_dir.clone());
    let boot = layout.boot_id();
    if let Err(error) = fs::write(&boot, boot_id()) {
        return Err(AgentError::Io { path: boot, source: error });
    }
    look_for_old(&layout, agent, &actuator);
    let result = owner.run(shutdown.clone()).await;
    // An agent that ends by itself must not go on answering.
    shutdown.cancel();
    actuator.outbox.close(std::time::Duration::from_millis(500)).await;
    let _ = serving.await;
    result
}

/// Gives the sandboxes of recovered executors their short names back.
fn show_sandboxes(loaded: &Recovered, actuator: &Actuator) {
    let layout = Layout::new(actuator.config.work_dir.clone());
    let Some(agent) = loaded.agent.as_ref().and_then(|agent| agent.id.as_ref()) else { return };
    for executor in loaded.frameworks.iter().flat_map(|framework| &framework.executors) {
        let run = &executor.run;
        let sandbox = layout.run(&agent.value, run);
        actuator.attach(&run.framework_id, &run.executor_id, sandbox);
    }
}

/// Finds the sandboxes that an earlier process left behind, without holding up the start.
fn look_for_old(layout: &Layout, agent: Option<String>, actuator: &Arc<Actuator>) {
    let (layout, inbox) = (layout.clone(), actuator.inbox.clone());
    tokio::task::spawn_blocking(move || {
        let found = checkpoint::sandboxes(&layout, agent.as_deref());
        if !found.is_empty() {
            let _ = inbox.blocking_send(Event::Input(Input::OldPaths(found)));
        }
    });
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AgentError> + Send + 'static,
) -> Result<T, AgentError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(AgentError::Internal(error.to_string())))
}

fn prepare_directories(config: &mut AgentConfig) -> Result<(), AgentError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| AgentError::Io { path, source }
    };
    let work_dir = config.work_dir.clone();
    for dir in [work_dir.join("slaves"), work_dir.join("meta/slaves"), config.runtime_dir.clone()] {
        fs::create_dir_all(&dir).map_err(io(&dir))?;
    }
    config.work_dir = fs::canonicalize(&work_dir).map_err(io(&work_dir))?;
    config.runtime_dir = fs::canonicalize(&config.runtime_dir).map_err(io(&config.runtime_dir))?;
    Ok(())
}

async fn resolve(master: &str) -> Result<SocketAddr, AgentError> {
    let failed = |source| AgentError::MasterAddress { address: master.to_owned(), source };
    let found: Vec<SocketAddr> = tokio::net::lookup_host(master).await.map_err(failed)?.collect();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first()).copied();
    first.ok_or_else(|| failed(io::Error::from(io::ErrorKind::NotFound)))
}

/// What others are told: a wildcard address is of no use to them.
fn advertised(config: &AgentConfig, bound: SocketAddr) -> SocketAddr {
    let ip = config.advertise_ip.unwrap_or_else(|| {
        if bound.ip().is_unspecified() { std::net::Ipv4Addr::LOCALHOST.into() } else { bound.ip() }
    });
    SocketAddr::new(ip, config.advertise_port.unwrap_or(bound.port()))
}

fn settings(config: &AgentConfig, upid: &Upid, master: SocketAddr) -> Result<Settings, AgentError> {
    let mut arguments = vec!["dais".to_owned()];
    arguments.extend(config.helper_args.iter().cloned());
    arguments.push("command-executor".to_owned());
    Ok(Settings {
        pid: upid.to_string(),
        master: Upid::new("master", master).to_string(),
        info: detect::agent_info(config, upid.address)?,
        version: config.version.clone(),
        layout: Layout::new(config.work_dir.clone()),
        command_executor: (config.helper.to_string_lossy().into_owned(), arguments),
        switch_user: config.switch_user,
        cleanup: config.recover == Recover::Cleanup,
        executor_registration_timeout: config.executor_registration_timeout,
        executor_reregistration_timeout: config.executor_reregistration_timeout,
        executor_shutdown_grace_period: config.executor_shutdown_grace_period,
        registration_backoff_factor: config.registration_backoff_factor,
        ping_timeout: config.ping_timeout,
        gc_delay: config.gc_delay,
        gc_disk_headroom: config.gc_disk_headroom,
        disk_watch_interval: config.disk_watch_interval,
        max_completed_frameworks: config.max_completed_frameworks,
        max_completed_executors_per_framework: config.max_completed_executors_per_framework,
        max_completed_tasks_per_executor: config.max_completed_tasks_per_executor,
    })
}

/// Names this boot of the machine.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// Reads the checkpoints and sees whether they are of this agent.
fn load(config: &AgentConfig, settings: &Settings) -> Result<Recovered, AgentError> {
    let damaged = |error: checkpoint::FileError| AgentError::Checkpoint {
        path: error.path,
        reason: error.reason,
    };
    let mut recovered = checkpoint::load(&settings.layout, &boot_id()).map_err(damaged)?;
    for error in &recovered.errors {
        tracing::error!(%error, "a damaged checkpoint is left out");
    }
    if config.strict && !recovered.errors.is_empty() {
        return Err(damaged(recovered.errors.swap_remove(0)));
    }
    let Some(agent) = &recovered.agent else { return Ok(recovered) };
    match detect::compatible(config.reconfiguration_policy, agent, &settings.info) {
        Ok(()) => Ok(recovered),
        // Nothing of it can run any more: a fresh agent takes its place.
        Err((what, ..)) if recovered.rebooted => {
            tracing::warn!(what, "the agent changed over a reboot: starting afresh");
            let latest = settings.layout.latest();
            fs::remove_file(&latest).map_err(|source| AgentError::Io { path: latest, source })?;
            Ok(Recovered::default())
        }
        Err((what, old, new)) => {
            let latest = settings.layout.latest();
            Err(AgentError::Incompatible { what, old, new, latest })
        }
    }
}

fn containers(config: &AgentConfig) -> Result<Arc<dyn Runtime>, AgentError> {
    let helper_args = |command: &str| -> Vec<OsString> {
        let prefix = config.helper_args.iter().map(OsString::from);
        prefix.chain([OsString::from(command)]).collect()
    };
    let mut settings = ContainerizerConfig::new(&config.runtime_dir, &config.helper);
    settings.launcher = match config.launcher {
        Launcher::Auto => LauncherChoice::Auto,
        Launcher::Posix => LauncherChoice::Posix,
        Launcher::Linux => LauncherChoice::Linux,
    };
    settings.helper_args = helper_args("containerizer-init");
    settings.cgroups_root.clone_from(&config.cgroups_root);
    settings.cgroups_enable_cfs = config.cgroups_enable_cfs;
    settings.cgroups_limit_swap = config.cgroups_limit_swap;
    settings.switch_user = config.switch_user;
    let containerizer = Containerizer::new(settings)
        .map_err(|error| AgentError::Containerizer(error.to_string()))?;
    let cache: PathBuf = config.fetcher_cache_dir.clone();
    let mut settings = FetcherConfig::new(cache, &config.helper);
    settings.cache_size = config.fetcher_cache_size;
    settings.stall_timeout = config.fetcher_stall_timeout;
    settings.frameworks_home.clone_from(&config.frameworks_home);
    settings.helper_args = helper_args("fetcher-helper");
    let fetcher = Fetcher::new(settings).map_err(|error| AgentError::Fetcher(error.to_string()))?;
    Ok(Arc::new(Containers { containerizer, fetcher }))
}
