//! `dais up`: a whole cluster in one process.

mod cluster;
pub(crate) mod data_dir;
pub(crate) mod endpoints;
mod gateway;
mod network;
mod ports;
mod services;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use cluster::{Cluster, Plan};
use data_dir::DataDir;
use http_kit::guard::Mode;
use network::VirtualAddresses;
use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What `dais up` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How many private agents to start.
    #[arg(long, default_value_t = 1, value_name = "N")]
    agents: usize,
    /// How many public agents to start (role slave_public, attribute public_ip:true).
    #[arg(long, default_value_t = 1, value_name = "N")]
    public_agents: usize,
    /// Where state, sandboxes and endpoints.json live.
    ///
    /// By default $DAIS_DATA_DIR, else $XDG_STATE_HOME/dais, else ~/.local/share/dais.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    listen: IpAddr,
    /// The usual ports (5050, 5051, ..., 8080, 7070, 8000, 8443, 8101, 8053, 8123, 62080), or any free ones, kept for the next start.
    #[arg(long, value_enum, default_value_t = Ports::Default)]
    ports: Ports,
    /// Resources of each private agent, as cpus:4;mem:1024; what it does not name is detected.
    #[arg(long, value_name = "TEXT")]
    resources: Option<String>,
    /// Start the kernel only: no Marathon, no Cosmos, no gateway, no names.
    #[arg(long)]
    no_services: bool,
    /// Who may call the components: with strict, whoever has a token; with permissive, also
    /// programs on this machine that show none, tasks on its network among them; with disabled,
    /// everybody, even at the gateway.
    #[arg(long, value_enum, default_value_t = Security::Permissive)]
    security: Security,
    /// How virtual addresses of services work: by listeners on loopback, or by rules in this
    /// machine's kernel (needs root).
    #[arg(long, value_enum, default_value_t = VirtualAddresses::UserSpace, value_name = "WAY")]
    virtual_ips: VirtualAddresses,
    /// Print the endpoints as one line of JSON when ready, and nothing else.
    #[arg(long)]
    json: bool,
    /// What to log: a level, or a filter such as info,mesos_master=debug.
    #[arg(long, default_value = "warn,mesos_containerizer::launch=info", value_name = "LEVEL")]
    log_level: String,
}

/// Who may call the components.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Security {
    Strict,
    Permissive,
    Disabled,
}

impl From<Security> for Mode {
    fn from(security: Security) -> Mode {
        match security {
            Security::Strict => Mode::Strict,
            Security::Permissive => Mode::Permissive,
            Security::Disabled => Mode::Disabled,
        }
    }
}

/// How ports are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ports {
    /// 5050 for the master, 5051 and up for agents, 8080 for Marathon, 7070 for Cosmos, 8000 and
    /// 8443 for the gateway, 8101 for the identity service, 8053 and 8123 for names, 62080 for
    /// virtual addresses.
    Default,
    /// Free ones, the same at every start on a data directory.
    Auto,
}

/// Starts the cluster, waits for Ctrl-C, stops the cluster.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    if arguments.security == Security::Disabled && !arguments.listen.is_loopback() {
        bail!(
            "--security disabled lets everybody do everything; it needs a --listen address on \
             loopback, not {}",
            arguments.listen
        );
    }
    let logging = crate::logging::start(&arguments.log_level)?;
    let mut signals = Signals::new()?;
    let path = match &arguments.data_dir {
        Some(path) => path.clone(),
        None => data_dir::default_path().context("name a folder with --data-dir")?,
    };
    let data_dir = DataDir::open(&path)?;
    let count = 1 + arguments.agents + arguments.public_agents;
    let ports = ports::choose(arguments.ports, arguments.listen, count, data_dir.path())?;
    let (mode, listen) = (arguments.ports, arguments.listen);
    let (services, gateway, network) = match arguments.no_services {
        true => (None, None, None),
        false => {
            let services = ports::choose_for_services(mode, listen, &ports, data_dir.path())?;
            let taken = [&ports[..], &[services.0, services.1]].concat();
            let gateway = ports::choose_for_gateway(mode, listen, &taken, data_dir.path())?;
            let taken = [&taken[..], &[gateway.iam, gateway.plain, gateway.tls]].concat();
            let network = ports::choose_for_network(mode, listen, &taken, data_dir.path())?;
            (Some(services), Some(gateway), Some(network))
        }
    };
    let plan = Plan {
        listen: arguments.listen,
        ports,
        services,
        gateway,
        network,
        virtual_addresses: arguments.virtual_ips,
        security: arguments.security.into(),
        agents: arguments.agents,
        public_agents: arguments.public_agents,
        resources: arguments.resources.clone(),
        logging,
    };
    let say = !arguments.json;
    // However this ends, nobody is to be sent to addresses where nothing listens.
    let _removal = Removal(data_dir.path());
    let mut cluster = Cluster::default();
    let failure = tokio::select! {
        failure = live(&mut cluster, &plan, data_dir.path(), say, started) => Some(failure),
        () = signals.next() => None,
    };
    if let Some(failure) = &failure {
        tracing::error!(error = format!("{failure:#}"), "the cluster is stopped");
    }
    if say {
        tell("stopping; Ctrl-C again leaves the tasks running\n");
    }
    let stopped = tokio::select! {
        result = cluster.stop() => result,
        () = signals.next() => Ok(()),
    };
    match failure {
        Some(failure) => Err(failure),
        None => stopped.map(|()| ExitCode::SUCCESS),
    }
}

/// Starts a cluster and lets it run; why it cannot go on.
async fn live(
    cluster: &mut Cluster,
    plan: &Plan,
    folder: &Path,
    say: bool,
    started: Instant,
) -> anyhow::Error {
    if let Err(error) = begin(cluster, plan, folder, say, started).await {
        return error;
    }
    cluster.failed().await
}

async fn begin(
    cluster: &mut Cluster,
    plan: &Plan,
    folder: &Path,
    say: bool,
    started: Instant,
) -> anyhow::Result<()> {
    cluster.start(plan, folder).await?;
    if say {
        let version = env!("CARGO_PKG_VERSION");
        tell(&format!("Dais {version} in {}\n{}", folder.display(), cluster.endpoints()));
    }
    cluster.ready().await?;
    let file = cluster.endpoints().write(folder)?;
    if say {
        let seconds = started.elapsed().as_secs_f64();
        tell(&format!("ready in {seconds:.2} s; addresses are in {}\n", file.display()));
        tell("Ctrl-C stops the cluster and its tasks\n");
    } else {
        tell(&format!("{}\n", cluster.endpoints().json()));
    }
    Ok(())
}

/// Removes `endpoints.json` when it is dropped.
struct Removal<'a>(&'a Path);

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        endpoints::remove(self.0);
    }
}

/// Prints; a reader that has gone away is no reason to end a cluster.
fn tell(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What asks a cluster to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

// === impl Signals ===

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
