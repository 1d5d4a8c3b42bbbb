//! Clusters of the real binary, started as a user starts them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{eventually, http, processes, wait_until};

/// The binary under test; built here unless `DAIS_BINARY` names it.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("DAIS_BINARY").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "dais"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "cargo build --package dais: {status}");
    // This test runs from <target>/<profile>/deps.
    let test = std::env::current_exe().expect("the own path");
    test.parent().and_then(Path::parent).expect("a target folder").with_file_name("debug/dais")
}

/// A child process whose output goes to a file, shown when the test fails.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    /// Signals are delivered once; after that the pid may be somebody else's.
    exited: Option<ExitStatus>,
}

/// One `dais up` with its folder.
pub(crate) struct Cluster {
    pub(crate) folder: TempDir,
    arguments: Vec<String>,
    running: Option<Running>,
    pub(crate) endpoints: Value,
}

// === impl Running ===

impl Running {
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Running {
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        let child = command
            .stdin(Stdio::null())
            .stderr(file.try_clone().expect("a second handle"))
            .stdout(file)
            .env("RUST_BACKTRACE", "1")
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Running { child, log, exited: None }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.exit_status().is_none() {
            processes::signal(self.pid(), signal);
        }
    }

    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        if self.exited.is_none() {
            self.exited = self.child.try_wait().expect("waiting for a child");
        }
        self.exited
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.log.display());
        eventually(&what, || self.exit_status())
    }

    /// Waits for the end, but no longer than for anything else.
    pub(crate) fn wait_a_while(&mut self) -> Option<ExitStatus> {
        let begun = std::time::Instant::now();
        while begun.elapsed() < super::PATIENCE && self.exit_status().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        self.exited
    }

    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
    }

    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn show(&self) {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let last = lines.get(lines.len().saturating_sub(80)..).unwrap_or_default();
        eprintln!("--- end of {}\n{}\n---", self.log.display(), last.join("\n"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show();
        }
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

// === impl Cluster ===

impl Cluster {
    /// One master, one private and one public agent; as all others without services unless said
    /// otherwise, so that a test sees no other framework.
    pub(crate) fn start() -> Cluster {
        Cluster::with(&[])
    }

    /// A master and one private agent: enough for most tests.
    pub(crate) fn small() -> Cluster {
        Cluster::with(&["--agents", "1", "--public-agents", "0"])
    }

    /// With more arguments to `dais up`.
    pub(crate) fn with(arguments: &[&str]) -> Cluster {
        Cluster::with_services(&[&["--no-services"], arguments].concat())
    }

    /// With Marathon and Cosmos.
    pub(crate) fn with_services(arguments: &[&str]) -> Cluster {
        let mut cluster = Cluster::prepare(arguments);
        cluster.start_again();
        cluster
    }

    fn prepare(arguments: &[&str]) -> Cluster {
        let folder = tempfile::Builder::new().prefix("dais-test-").tempdir().expect("a folder");
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Cluster { folder, arguments, running: None, endpoints: Value::Null }
    }

    /// One that is ready when it says so: the harness cannot ask its components.
    pub(crate) fn with_services_unwatched(arguments: &[&str]) -> Cluster {
        let mut cluster = Cluster::prepare(arguments);
        cluster.launch();
        cluster
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts on the same folder; the caller has ended what ran before.
    pub(crate) fn start_again(&mut self) {
        self.launch();
        self.wait_until_ready();
    }

    /// Starts, and waits for `endpoints.json`.
    fn launch(&mut self) {
        let endpoints = self.data_dir().join("endpoints.json");
        let mut running = self.begin();
        self.endpoints = eventually("endpoints.json", || {
            assert!(running.exit_status().is_none(), "`dais up` ended:\n{}", running.output());
            serde_json::from_slice(&std::fs::read(&endpoints).ok()?).ok()
        });
        self.running = Some(running);
    }

    /// Starts on the same folder, and waits for nothing.
    pub(crate) fn begin(&self) -> Running {
        let _ = std::fs::remove_file(self.data_dir().join("endpoints.json"));
        let mut command = Command::new(binary());
        command.args(["up", "--ports", "auto", "--json", "--data-dir"]).arg(self.data_dir());
        command.args(&self.arguments);
        Running::start(&mut command, self.folder.path().join("up.log"))
    }

    /// All agents have registered.
    fn wait_until_ready(&self) {
        let wanted = self.agents().len() + self.public_agents().len();
        wait_until("the agents to register", || self.active_agents() == wanted);
    }

    /// How many agents the master can use; 0 while it cannot be asked.
    pub(crate) fn active_agents(&self) -> usize {
        let Some(answer) = http::try_get(self.master(), "/slaves") else { return 0 };
        if answer.status != 200 {
            return 0;
        }
        let slaves = answer.json()["slaves"].as_array().cloned().unwrap_or_default();
        slaves.iter().filter(|slave| slave["active"] == true).count()
    }

    pub(crate) fn master(&self) -> &str {
        self.endpoints["mesos_master"].as_str().expect("the master's address")
    }

    /// `host:port` of Marathon.
    pub(crate) fn marathon(&self) -> &str {
        let url = self.endpoints["marathon"].as_str().expect("Marathon's URL");
        url.trim_start_matches("http://")
    }

    pub(crate) fn agents(&self) -> Vec<String> {
        addresses(&self.endpoints["agents"])
    }

    pub(crate) fn public_agents(&self) -> Vec<String> {
        addresses(&self.endpoints["public_agents"])
    }

    /// The first private agent's address.
    pub(crate) fn agent(&self) -> String {
        self.agents().remove(0)
    }

    pub(crate) fn state(&self) -> Value {
        http::get(self.master(), "/state").json()
    }

    pub(crate) fn process(&mut self) -> &mut Running {
        self.running.as_mut().expect("a running cluster")
    }

    /// As a machine that loses power, as far as this process is concerned.
    pub(crate) fn kill(&mut self) {
        self.process().kill();
    }

    /// Ctrl-C, and the end of it.
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        self.process().signal(Signal::SIGINT);
        self.process().wait()
    }

    /// Whether the cluster still answers: said after every attack.
    pub(crate) fn assert_alive(&mut self) {
        assert!(self.process().exit_status().is_none(), "the cluster ended");
        assert_eq!(http::get(self.master(), "/health").status, 200);
        for agent in self.agents() {
            assert_eq!(http::get(&agent, "/health").status, 200);
        }
    }
}

impl Drop for Cluster {
    /// Stops as a user does, so that tasks end too; what stays behind after a
    /// failed test is killed.
    fn drop(&mut self) {
        if let Some(running) = &mut self.running {
            running.signal(Signal::SIGINT);
            for _ in 0..200 {
                if running.exit_status().is_some() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
        self.running = None;
        for process in processes::of_folder(self.folder.path()) {
            processes::signal(process.pid, Signal::SIGKILL);
        }
    }
}

fn addresses(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list of addresses");
    list.iter().map(|address| address.as_str().expect("an address").to_owned()).collect()
}

/// A master and an agent as separate processes, each of which can be killed.
pub(crate) struct Separate {
    pub(crate) folder: TempDir,
    pub(crate) master: Option<Running>,
    pub(crate) agent: Option<Running>,
    master_port: u16,
    agent_port: u16,
}

impl Separate {
    pub(crate) fn start() -> Separate {
        let folder = tempfile::Builder::new().prefix("dais-test-").tempdir().expect("a folder");
        let mut cluster = Separate {
            folder,
            master: None,
            agent: None,
            master_port: free_port(),
            agent_port: free_port(),
        };
        cluster.start_master();
        cluster.start_agent();
        cluster.wait_for_agent();
        cluster
    }

    pub(crate) fn start_master(&mut self) {
        let work_dir = self.folder.path().join("master");
        let running = start_master(self.master_port, &work_dir, self.folder.path());
        self.master = Some(running);
        let address = self.master_address();
        wait_until("the master", || {
            http::try_get(&address, "/health").is_some_and(|answer| answer.status == 200)
        });
    }

    pub(crate) fn start_agent(&mut self) {
        let work_dir = self.folder.path().join("agent");
        let master = self.master_address();
        self.agent = Some(start_agent(self.agent_port, &master, &work_dir, self.folder.path()));
    }

    pub(crate) fn wait_for_agent(&self) {
        let address = self.master_address();
        wait_until("the agent to register", || {
            http::try_get(&address, "/slaves").is_some_and(|answer| {
                answer.status == 200 && answer.json()["slaves"][0]["active"] == true
            })
        });
    }

    pub(crate) fn master_address(&self) -> String {
        format!("127.0.0.1:{}", self.master_port)
    }

    pub(crate) fn agent_address(&self) -> String {
        format!("127.0.0.1:{}", self.agent_port)
    }
}

impl Drop for Separate {
    fn drop(&mut self) {
        self.master = None;
        self.agent = None;
        for process in processes::of_folder(self.folder.path()) {
            processes::signal(process.pid, Signal::SIGKILL);
        }
    }
}

pub(crate) fn start_master(port: u16, work_dir: &Path, logs: &Path) -> Running {
    start_master_with(port, work_dir, logs, &[])
}

pub(crate) fn start_master_with(
    port: u16,
    work_dir: &Path,
    logs: &Path,
    flags: &[String],
) -> Running {
    let mut command = Command::new(binary());
    command.args(["run", "master", "--ip=127.0.0.1"]).args(flags);
    command.arg(format!("--port={port}")).arg(format!("--work_dir={}", work_dir.display()));
    Running::start(&mut command, logs.join("master.log"))
}

pub(crate) fn start_agent(port: u16, master: &str, work_dir: &Path, logs: &Path) -> Running {
    let mut command = Command::new(binary());
    command.args(["run", "agent", "--ip=127.0.0.1"]);
    command.arg(format!("--port={port}")).arg(format!("--master={master}"));
    command.arg(format!("--work_dir={}", work_dir.display()));
    command.arg(format!("--runtime_dir={}", work_dir.with_extension("run").display()));
    command.arg("--resources=cpus:4;mem:1024;disk:1024;ports:[31000-32000]");
    Running::start(&mut command, logs.join("agent.log"))
}

/// A port nobody listens on now; taken so late that it stays free for this test.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
