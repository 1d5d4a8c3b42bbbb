//! A master, a controller and nodes, each on a machine of its own.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use load_balancer::vips::address::Pool;
use load_balancer::{Config, Mode, Role, Way};
use mesos_messages::v1::TaskState;
use network_lab::{Lab, Node};
use tokio_util::sync::CancellationToken;

use crate::master::{Master, Task};

/// Whatever takes longer does not happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const MASTER_PORT: u16 = 5050;
const API_PORT: u16 = 62080;

/// Something that runs on a machine until it is stopped.
pub(crate) struct Daemon {
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The machine with the master and the controller.
pub(crate) struct Control {
    pub(crate) machine: Node,
    pub(crate) master: Arc<Master>,
    _daemons: Vec<Daemon>,
    _state: tempfile::TempDir,
}

/// A lab, unless the machine cannot have one; then why is said.
pub(crate) fn lab() -> Option<Lab> {
    if let Some(reason) = network_lab::unavailable() {
        eprintln!("skipped: no network of namespaces: {reason}");
        return None;
    }
    if std::process::Command::new("nft").arg("--version").output().is_err() {
        eprintln!("skipped: the program nft (of the package nftables) is missing");
        return None;
    }
    Some(Lab::new().unwrap())
}

/// Until it is so.
pub(crate) fn wait(what: &str, mut so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// Where a name is as long as nobody else is there.
pub(crate) fn vip(name: &str, port: u16) -> SocketAddrV4 {
    let range = Config::new(Role::Both { masters: Vec::new() }).range;
    SocketAddrV4::new(Pool::new(range).candidate(name, |_| false).unwrap(), port)
}

impl Daemon {
    /// Runs `work` on `machine`, in a runtime of its own.
    fn start<F: Future<Output = ()>>(
        machine: &Node,
        work: impl FnOnce(CancellationToken, std::sync::mpsc::SyncSender<()>) -> F + Send + 'static,
    ) -> Daemon {
        let stop = CancellationToken::new();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let token = stop.clone();
        let thread = machine.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(work(token, ready));
        });
        is_ready.recv_timeout(PATIENCE).expect("it starts");
        Daemon { stop, thread: Some(thread) }
    }

    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("a daemon panicked");
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

impl Control {
    /// With these agents, on a machine of its own.
    pub(crate) fn start(lab: &mut Lab, agents: &[&Node]) -> Control {
        let machine = lab.node("m").unwrap();
        let addresses: Vec<Ipv4Addr> = agents.iter().map(|agent| agent.address()).collect();
        let (master, state) = (Master::new(&addresses), tempfile::tempdir().unwrap());
        let address = machine.address();
        let served = Arc::clone(&master);
        let serve = Daemon::start(&machine, move |stop, ready| async move {
            let listener = tokio::net::TcpListener::bind((address, MASTER_PORT)).await.unwrap();
            ready.send(()).unwrap();
            let config = http_kit::ServeConfig {
                grace: Duration::from_millis(100),
                ..http_kit::ServeConfig::default()
            };
            http_kit::serve(listener, served, config, stop).await;
        });
        let masters = vec![format!("http://{address}:{MASTER_PORT}")];
        let path = state.path().join("state");
        let control = Daemon::start(&machine, move |stop, ready| async move {
            let state = cluster_state::embedded::open(path).unwrap();
            let mut config = Config::new(Role::Controller { masters });
            (config.ip, config.port) = (address.into(), API_PORT);
            let running = load_balancer::start(config, state, stop).await.unwrap();
            assert_eq!(running.mode, Mode::Elsewhere);
            ready.send(()).unwrap();
            running.join.await.unwrap();
        });
        Control { machine, master, _daemons: vec![control, serve], _state: state }
    }

    /// The part of it that is on a node.
    pub(crate) fn node(&self, node: &Node) -> Daemon {
        self.node_with(node, |_| {})
    }

    pub(crate) fn node_with(
        &self,
        node: &Node,
        change: impl FnOnce(&mut Config) + Send + 'static,
    ) -> Daemon {
        let controllers = vec![format!("http://{}:{API_PORT}", self.machine.address())];
        let address = node.address();
        Daemon::start(node, move |stop, ready| async move {
            let folder = tempfile::tempdir().unwrap();
            let state = cluster_state::embedded::open(folder.path().join("state")).unwrap();
            let mut config = Config::new(Role::Node { controllers });
            config.node.way = Way::Kernel;
            config.node.address = Some(address);
            config.node.verify = Duration::from_secs(1);
            change(&mut config);
            let running = load_balancer::start(config, state, stop).await.unwrap();
            assert_eq!(running.mode, Mode::Kernel);
            ready.send(()).unwrap();
            running.join.await.unwrap();
        })
    }

    /// A task on a node's own network.
    pub(crate) fn add(&self, id: &str, node: &Node, port: u16, label: &str) {
        self.master.add(&Task::new(id, node.address(), port, label));
    }

    pub(crate) fn healthy(&self, id: &str, healthy: bool) {
        self.master.update(id, TaskState::TaskRunning, Some(healthy));
    }

    pub(crate) fn kill(&self, id: &str) {
        self.master.update(id, TaskState::TaskKilled, None);
    }
}

/// What the rules of a node look like.
pub(crate) fn rules(node: &Node) -> String {
    let output = node.command("nft").args(["list", "table", "ip", "dais_l4lb"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether a node sends new connections there.
pub(crate) fn leads_to(node: &Node, backend: SocketAddrV4) -> bool {
    rules(node).contains(&format!(": {} . {}", backend.ip(), backend.port()))
}
