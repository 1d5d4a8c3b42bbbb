//! The components of `dais up`, started, watched and stopped together.

use super::{
    data_dir::make_private,
    endpoints::Endpoints,
    gateway::{self, Behind, Gateway, Identity},
    network::{self, Network, VirtualAddresses},
    services::Services,
};
use anyhow::{Context, anyhow};
use http_kit::{
    guard::{Guard, Mode},
    logging::LevelControl,
};
use mesos_agent::{AgentConfig, RunningAgent};
use mesos_master::{RunningMaster, config::MasterConfig};
use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use tokio::{
    task::{JoinError, JoinHandle},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long registering may take before it counts as failed.
const READY: Duration = Duration::from_secs(60);
/// How long tasks may take to end before they are left to the next start.
const STOP: Duration = Duration::from_secs(15);
/// The first port that the first agent's tasks get; the range ends below ports of the system.
const TASK_PORTS: u64 = 31_000;
const TASK_PORT_COUNT: u64 = 1000;

/// What to start.
pub(super) struct Plan {
    pub(super) listen: IpAddr,
    /// The master's port, then one for each agent.
    pub(super) ports: Vec<u16>,
    pub(super) agents: usize,
    pub(super) public_agents: usize,
    /// Ports of Marathon and Cosmos, if they are wanted.
    pub(super) services: Option<(u16, u16)>,
    /// Ports of the gateway and the identity service; only with services.
    pub(super) gateway: Option<gateway::Ports>,
    /// Ports of names and virtual addresses; only with services.
    pub(super) network: Option<network::Ports>,
    pub(super) virtual_addresses: VirtualAddresses,
    pub(super) security: Mode,
    pub(super) resources: Option<String>,
    pub(super) logging: LevelControl,
}

/// A cluster, as far as it runs.
#[derive(Default)]
pub(super) struct Cluster {
    endpoints: Endpoints,
    master: Option<RunningMaster>,
    agents: Vec<RunningAgent>,
    services: Option<Services>,
    network: Option<Network>,
    identity: Option<Identity>,
    gateway: Option<Gateway>,
    stop_master: CancellationToken,
    stop_agents: CancellationToken,
}

// === impl Cluster ===

impl Cluster {
    /// Starts everything below `folder`; returns when all listen. However this ends, what was
    /// started until then is kept here, to be stopped.
    pub(super) async fn start(&mut self, plan: &Plan, folder: &Path) -> anyhow::Result<()> {
        super::endpoints::remove(folder);
        if let Some(ports) = plan.gateway {
            let identity = Identity::start(plan.listen, ports.iam, plan.security, folder);
            self.identity = Some(identity.await?);
        }
        let guard = self.identity.as_ref().map_or_else(Guard::disabled, Identity::guard);
        let mut ports = plan.ports.iter().copied();
        let master_dir = folder.join("master");
        make_private(&master_dir)
            .with_context(|| format!("cannot make {}", master_dir.display()))?;
        let state = cluster_state::embedded::open(master_dir.join("state.redb"))
            .with_context(|| format!("cannot open the state in {}", master_dir.display()))?;
        let config = MasterConfig {
            ip: plan.listen,
            port: ports.next().unwrap_or_default(),
            cluster: Some("dais".to_owned()),
            work_dir: Some(master_dir),
            logging: plan.logging.clone(),
            guard: guard.clone(),
            ..MasterConfig::default()
        };
        let master = mesos_master::start(config, state, self.stop_master.clone()).await?;
        let master = self.master.insert(master).address;

        let memory = memory_share(plan.agents + plan.public_agents);
        for (number, port) in ports.enumerate() {
            let public = number >= plan.agents;
            let mut config = agent_config(plan, folder, number, public, port, master, memory)?;
            config.guard = guard.clone();
            let agent = mesos_agent::start(config, self.stop_agents.child_token()).await?;
            self.agents.push(agent);
        }
        if let Some(ports) = plan.services {
            let identity = self.identity.as_mut();
            let services = Services::start(plan, ports, master, folder, identity);
            self.services = Some(services.await?);
        }
        if let Some(ports) = plan.network {
            let identity = self.identity.as_mut();
            let network = Network::start(plan, ports, master, folder, identity);
            self.network = Some(network.await?);
        }
        if let (Some(ports), Some(identity), Some(services)) =
            (plan.gateway, &self.identity, &self.services)
        {
            let behind = Behind {
                master,
                marathon: services.marathon_address(),
                cosmos: services.cosmos_address(),
                mesos_dns: self.network.as_ref().map(Network::dns_http_address),
                net: self.network.as_ref().map(Network::net_address),
            };
            let gateway = Gateway::start(plan, ports, folder, identity, &behind);
            self.gateway = Some(gateway.await?);
        }
        self.endpoints = self.listening(plan, master);
        Ok(())
    }

    /// Where everything listens.
    fn listening(&self, plan: &Plan, master: SocketAddr) -> Endpoints {
        let addresses = |agents: &[RunningAgent]| {
            agents.iter().map(|agent| agent.address.to_string()).collect()
        };
        let (services, identity) = (&self.services, &self.identity);
        let (private, public) = self.agents.split_at(plan.agents.min(self.agents.len()));
        let admin = identity.as_ref().map(Identity::admin);
        let http = |address| format!("http://{}", reachable(address));
        let names = self.network.as_ref();
        Endpoints {
            mesos_master: master.to_string(),
            agents: addresses(private),
            public_agents: addresses(public),
            marathon: services.as_ref().map(Services::marathon_url),
            cosmos: services.as_ref().map(Services::cosmos_url),
            gateway: self.gateway.as_ref().map(|gateway| gateway.url().to_owned()),
            iam: identity.as_ref().map(Identity::url),
            admin_user: admin.map(|(user, _)| user.to_owned()),
            admin_password_file: admin.map(|(_, file)| file.to_owned()),
            dns: names.and_then(Network::dns_address).map(|one| reachable(one).to_string()),
            dns_http: names.map(|names| http(names.dns_http_address())),
            net: names.map(|names| http(names.net_address())),
            ca_file: identity.as_ref().map(|identity| identity.ca_file().to_owned()),
            pid: std::process::id(),
        }
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Waits until the master knows every agent, and the services.
    pub(super) async fn ready(&mut self) -> anyhow::Result<()> {
        let expected: HashSet<String> = self.agents.iter().map(|agent| agent.pid.clone()).collect();
        let handle = self.master.as_ref().context("there is no master")?.handle.clone();
        let services = self.services.as_ref().map(Services::watch);
        let registered = async {
            loop {
                let snapshot = handle.snapshot().await?;
                let active = snapshot.agents.iter().filter(|agent| agent.active);
                let known = active.filter(|agent| expected.contains(&*agent.pid)).count();
                if known == expected.len() && services.as_ref().is_none_or(|ready| ready()) {
                    return anyhow::Ok(());
                }
                sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            result = timeout(READY, registered) => {
                result.map_err(|_| anyhow!("not all registered with the master within {READY:?}"))?
            }
            failure = self.failed() => Err(failure),
        }
    }

    /// Resolves when a component ends by itself, with why.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        let agents = self.agents.iter_mut().map(|agent| &mut agent.join);
        let (services, identity) = (self.services.as_mut(), self.identity.as_mut());
        let (gateway, network) = (self.gateway.as_mut(), self.network.as_mut());
        tokio::select! {
            Some(error) = optional(services.map(Services::failed)) => error,
            Some(error) = optional(identity.map(Identity::failed)) => error,
            Some(error) = optional(gateway.map(Gateway::failed)) => error,
            Some(error) = optional(network.map(Network::failed)) => error,
            Some(result) = optional(self.master.as_mut().map(|master| &mut master.join)) => match result {
                Ok(Err(error)) => anyhow::Error::new(error).context("the master failed"),
                _ => anyhow!("the master stopped unexpectedly"),
            },
            result = first(agents) => match result {
                Ok(Err(error)) => anyhow::Error::new(error).context("an agent failed"),
                _ => anyhow!("an agent stopped unexpectedly"),
            },
        }
    }

    /// Ends the gateway, the services, the tasks, the agents, the master, and who knows the users;
    /// those of them that run.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(gateway) = self.gateway {
            gateway.stop().await;
        }
        if let Some(network) = self.network {
            network.stop().await;
        }
        // Before the tasks, so that nobody starts again what is about to end; the next start does.
        if let Some(services) = self.services {
            services.stop().await;
        }
        let leaving = self.agents.into_iter().map(|mut agent| async move {
            agent.leave().await;
            ended(&mut agent.join).await;
        });
        let mut tasks = tokio::task::JoinSet::new();
        leaving.for_each(|agent| drop(tasks.spawn(agent)));
        if timeout(STOP, tasks.join_all()).await.is_err() {
            eprintln!("dais: tasks did not end within {STOP:?}; they run on");
        }
        self.stop_agents.cancel();
        self.stop_master.cancel();
        let master = match &mut self.master {
            Some(master) => ended(&mut master.join).await,
            None => None,
        };
        if let Some(identity) = self.identity {
            identity.stop().await;
        }
        if let Some(result) = master {
            result??;
        }
        Ok(())
    }
}

/// What a task ends with; nothing of one whose end was seen before.
pub(super) async fn ended<T>(join: &mut JoinHandle<T>) -> Option<Result<T, JoinError>> {
    match join.is_finished() {
        true => None,
        false => Some(join.await),
    }
}

/// What a future resolves to; nothing, at once, without a future.
async fn optional<T>(future: Option<impl Future<Output = T>>) -> Option<T> {
    match future {
        Some(future) => Some(future.await),
        None => None,
    }
}

/// The first of several to end; never, if there are none.
async fn first<'a, T: Future + Unpin + 'a>(futures: impl Iterator<Item = &'a mut T>) -> T::Output {
    let mut futures: Vec<&mut T> = futures.collect();
    std::future::poll_fn(|context| {
        for future in &mut futures {
            if let std::task::Poll::Ready(output) = std::pin::Pin::new(&mut **future).poll(context)
            {
                return std::task::Poll::Ready(output);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

fn agent_config(
    plan: &Plan,
    folder: &Path,
    number: usize,
    public: bool,
    port: u16,
    master: SocketAddr,
    memory: Option<u64>,
) -> anyhow::Result<AgentConfig> {
    let name = match public {
        false => format!("agent-{}", number + 1),
        true => format!("public-agent-{}", number - plan.agents + 1),
    };
    let mut config = AgentConfig::new(reachable(master).to_string(), folder.join(name));
    config.helper = std::env::current_exe().context("cannot find this program")?;
    config.ip = plan.listen;
    config.port = port;
    // The random wait spreads a fleet's registrations; here there is no fleet.
    config.registration_backoff_factor = Duration::from_millis(1);
    config.resources = Some(match (&plan.resources, public) {
        (Some(text), false) => text.clone(),
        _ => resources(number, memory, public && number == plan.agents),
    });
    if public {
        config.default_role = "slave_public".to_owned();
        config.attributes = Some("public_ip:true".to_owned());
    }
    // Tasks that are part of the cluster find its services by that.
    let data_dir = folder.display().to_string();
    config.executor_environment_variables = Some([("DAIS_DATA_DIR".to_owned(), data_dir)].into());
    Ok(config)
}

/// What listens everywhere is reached on loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        _ => address,
    }
}

/// All agents are on one machine: they share its memory and must not hand out one port twice.
/// Each may use every core.
fn resources(number: usize, memory: Option<u64>, edge: bool) -> String {
    let number = u64::try_from(number).unwrap_or_default();
    let begin = TASK_PORTS.saturating_sub(number * TASK_PORT_COUNT).max(1024);
    let end = begin + TASK_PORT_COUNT - 1;
    // The first public agent has what is known outside: there can be one of each on a machine.
    let known = if edge { "80-80,443-443,9090-9091," } else { "" };
    let ports = format!("ports:[{known}{begin}-{end}]");
    memory.map_or(ports.clone(), |memory| format!("mem:{memory};{ports}"))
}

/// Each agent's share of the memory in MiB, after what the system itself needs.
fn memory_share(agents: usize) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total = line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? / 1024;
    let usable = if total > 2048 { total - 1024 } else { total / 2 };
    Some((usable / u64::try_from(agents).ok()?.max(1)).max(32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_never_share_a_port() {
        assert_eq!(resources(0, Some(512), false), "mem:512;ports:[31000-31999]");
        assert_eq!(resources(1, None, false), "ports:[30000-30999]");
    }

    #[test]
    fn what_listens_everywhere_is_reached_on_loopback() {
        for (address, expected) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.1:1", "192.0.2.1:1"),
            ("[2001:db8::1]:1", "[2001:db8::1]:1"),
        ] {
            assert_eq!(reachable(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[tokio::test]
    async fn an_end_is_seen_once() {
        let mut task = tokio::spawn(async { 7 });
        assert_eq!(ended(&mut task).await.unwrap().unwrap(), 7);
        assert!(ended(&mut task).await.is_none());
    }

    #[tokio::test]
    async fn what_did_not_start_need_not_be_stopped() {
        Cluster::default().stop().await.unwrap();
    }

    #[tokio::test]
    async fn the_first_to_end_is_noticed() {
        let mut tasks = [tokio::spawn(std::future::pending()), tokio::spawn(async { 7 })];
        assert_eq!(first(tasks.iter_mut()).await.unwrap(), 7);
    }
}
