//! The components, started in this process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use http_kit::guard::{Guard, Mode, TokenSource};
use mesos_agent::{RunningAgent, config::Launcher};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::super::support::PATIENCE;
use super::people::{People, Person};

/// What is started, and how.
pub(super) struct Plan<'a> {
    pub(super) mode: Mode,
    /// The program that runs containers; without one nothing can be launched, and Marathon
    /// finds no master.
    pub(super) helper: Option<&'a Path>,
}

/// A master, an agent, Marathon, Cosmos, names and virtual addresses.
pub(super) struct World {
    pub(super) people: People,
    pub(super) master: SocketAddr,
    pub(super) agent: SocketAddr,
    pub(super) marathon: SocketAddr,
    pub(super) cosmos: SocketAddr,
    pub(super) dns: SocketAddr,
    pub(super) net: SocketAddr,
    stop: CancellationToken,
    running: Option<RunningAgent>,
    ends: Vec<tokio::task::JoinHandle<()>>,
    runtime: Option<Runtime>,
    folder: TempDir,
}

/// A request.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// Whether the body of the answer is wanted to its end; that of a stream has none.
    pub(super) whole: bool,
}

/// The head of an answer, and what came of its body when it was closed.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

// === impl World ===

impl World {
    pub(super) fn start(plan: &Plan<'_>) -> World {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::Builder::new().prefix("dais-test-").tempdir().expect("a folder");
        let people = People::new();
        let stop = CancellationToken::new();
        let path = folder.path();
        let guard = Guard::fixed(plan.mode, people.snapshot());
        let log = path.join("log");
        std::fs::write(&log, "a line\n").expect("a log");
        let state = |name: &str| {
            cluster_state::embedded::open(path.join(name)).expect("a state that can be opened")
        };
        let tokens = TokenSource::fixed(&people.of_account("dcos_marathon")).expect("a token");
        let (master, agent, marathon, cosmos, dns, net) = runtime.block_on(async {
            let config = mesos_master::config::MasterConfig {
                port: 0,
                log_file: Some(log.clone()),
                guard: guard.clone(),
                ..Default::default()
            };
            let master = mesos_master::start(config, state("master"), stop.clone()).await;
            let master = master.expect("a master");
            let address = master.address.to_string();
            let mut config = mesos_agent::AgentConfig::new(&address, path.join("agent"));
            config.port = 0;
            config.launcher = Launcher::Posix;
            config.resources = Some("cpus:2;mem:512;disk:512;ports:[31800-31899]".to_owned());
            config.log_file = Some(log.clone());
            config.guard = guard.clone();
            if let Some(helper) = plan.helper {
                helper.clone_into(&mut config.helper);
            }
            let agent = mesos_agent::start(config, stop.clone()).await.expect("an agent");
            let nowhere = "127.0.0.1:1".to_owned();
            let config = marathon::Config {
                http_port: 0,
                masters: vec![if plan.helper.is_some() { address.clone() } else { nowhere }],
                mesos_user: user(),
                guard: guard.clone(),
                tokens: Some(tokens),
                ..Default::default()
            };
            let marathon = marathon::start(config, state("marathon"), stop.clone()).await;
            let marathon = marathon.expect("Marathon");
            let mut config = cosmos::Config::new(
                format!("http://{}", marathon.address),
                format!("http://{address}"),
                path.join("cosmos"),
            );
            config.port = 0;
            config.guard = guard.clone();
            let cosmos = cosmos::start(config, state("packages"), stop.clone()).await;
            let masters = vec![format!("http://{address}")];
            let mut config = dns::Config::new(masters.clone());
            (config.port, config.http_port) = (0, 0);
            config.guard = guard.clone();
            let dns = dns::start(config, stop.clone()).await.expect("names");
            let mut config = load_balancer::Config::new(load_balancer::Role::Both { masters });
            config.port = 0;
            config.dns = Some(format!("http://{}", dns.http));
            config.node.way = load_balancer::Way::UserSpace;
            config.guard = guard;
            let net = load_balancer::start(config, state("net"), stop.clone()).await;
            (master, agent, marathon, cosmos.expect("Cosmos"), dns, net.expect("virtual addresses"))
        });
        let mut ends = Vec::new();
        let addresses = (master.address, agent.address, marathon.address, cosmos.address);
        let network = (dns.http, net.address);
        ends.extend([dns.join, net.join]);
        {
            let _inside = runtime.enter();
            ends.push(tokio::spawn(async move { drop(master.join.await) }));
            ends.push(tokio::spawn(async move { drop(marathon.join.await) }));
            ends.push(tokio::spawn(async move { drop(cosmos.join.await) }));
        }
        let running = Some(agent);
        let (master, agent, marathon, cosmos) = addresses;
        let (dns, net) = network;
        let runtime = Some(runtime);
        World {
            people,
            master,
            agent,
            marathon,
            cosmos,
            dns,
            net,
            stop,
            running,
            ends,
            runtime,
            folder,
        }
    }

    /// Where the agent works.
    pub(super) fn agent_dir(&self) -> String {
        self.folder.path().join("agent").display().to_string()
    }

    /// Asks as somebody, perhaps through a proxy.
    pub(super) fn ask(
        &self,
        to: SocketAddr,
        asked: &Asked,
        person: Person,
        proxied: bool,
    ) -> Answer {
        self.ask_with(to, asked, self.people.authorization(person), proxied)
    }

    pub(super) fn ask_with(
        &self,
        to: SocketAddr,
        asked: &Asked,
        authorization: Option<String>,
        proxied: bool,
    ) -> Answer {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {to}\r\n", asked.method, asked.path);
        head.push_str("Connection: close\r\n");
        let forwarded = proxied.then(|| ("X-Forwarded-For", "10.1.2.3".to_owned()));
        let authorization = authorization.map(|value| ("Authorization", value));
        for (name, value) in asked.headers.iter().cloned().chain(forwarded).chain(authorization) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{}", asked.body.len(), asked.body));
        let mut stream = TcpStream::connect(to).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(head.as_bytes()).expect("a request that is taken");
        read(stream, asked)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            if let Some(mut agent) = self.running.take() {
                // Nothing that it launched may be left behind.
                runtime.block_on(async {
                    agent.leave().await;
                    let _ = tokio::time::timeout(PATIENCE, &mut agent.join).await;
                });
            }
            self.stop.cancel();
            for end in self.ends.drain(..) {
                let _ = runtime.block_on(async { tokio::time::timeout(PATIENCE, end).await });
            }
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

/// Streams do not end: of those only the head is read.
fn read(mut stream: TcpStream, asked: &Asked) -> Answer {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece).unwrap_or_default();
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(count > 0, "no answer to {asked:?}: {text}");
            continue;
        };
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = match length {
            Some(length) => length.trim().parse() == Ok(body.len()),
            None => !asked.whole,
        };
        if count == 0 || whole {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status = status.unwrap_or_else(|| panic!("{asked:?}: {head}"));
            return Answer { status, head: lower, body: body.to_owned() };
        }
    }
}

fn user() -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
    user.ok().flatten().map_or_else(|| "root".to_owned(), |user| user.name)
}
