//! Short words for tests of the table.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use proxy::{Address, Scheme, Upstream};
use serde_json::json;

use super::super::facts::{
    AgentFact, AppFact, FrameworkFact, Input, LeaderFact, MarathonInput, MarathonTask, MesosInput,
    MesosState, Phase, TaskFact, Turn,
};
use super::super::snapshot::{LookUp, Web};
use super::super::{labels, task_id};
use super::{Snapshot, Table, Upstreams};
use crate::cluster::Service;

pub(super) const MAX_AGE: Duration = Duration::from_secs(100);
pub(super) const MARATHON: &str = "marathon-framework";

pub(super) fn upstreams() -> Upstreams {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let tls = Arc::new(tls);
    Upstreams {
        tls: Arc::clone(&tls),
        gateway_tls: tls,
        host_ip: Some("10.0.0.1".parse().unwrap()),
        master_gateway: (Scheme::Https, 8443),
        agent_scheme: Scheme::Http,
        agent_port: 61001,
    }
}

/// A table with what it published last.
pub(super) struct World {
    pub(super) table: Table,
    pub(super) now: Duration,
    pub(super) snapshot: Snapshot,
    number: u64,
    /// As of when the oldest read under way was asked for.
    pub(super) oldest: Option<u64>,
}

// === impl World ===

impl World {
    /// Nothing was told yet.
    pub(super) fn new() -> World {
        let table = Table::new(upstreams(), MAX_AGE);
        World { table, now: Duration::ZERO, snapshot: Snapshot::default(), number: 0, oldest: None }
    }

    /// Both streams have begun; there is one agent, `a1`.
    pub(super) fn live() -> World {
        let mut world = World::new();
        let agents = vec![agent("a1", "10.0.0.11")];
        world.mesos(MesosInput::State(Box::new(MesosState { agents, ..state() })));
        world.identity();
        world.apps(vec![]);
        world
    }

    pub(super) fn identity(&mut self) {
        let framework = Some(MARATHON.into());
        self.marathon(MarathonInput::Identity { framework, leader: None });
    }

    pub(super) fn apply(&mut self, input: Input) {
        self.table.apply(input, self.now);
        publish(&mut self.table, &mut self.snapshot);
    }

    pub(super) fn mesos(&mut self, input: MesosInput) {
        self.apply(Input::Mesos(input));
    }

    pub(super) fn marathon(&mut self, input: MarathonInput) {
        self.number += 1;
        let turn = Turn { number: self.number, oldest: self.oldest.unwrap_or(self.number) };
        self.apply(Input::Marathon(turn, input));
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn apps(&mut self, apps: Vec<AppFact>) {
        self.marathon(MarathonInput::Apps { as_of: self.number, apps });
    }

    pub(super) fn app(&mut self, app: AppFact) {
        let id = Arc::clone(&app.id);
        self.marathon(MarathonInput::App { as_of: self.number, id, app: Some(app) });
    }

    /// A task of an app begins to run, and both tell of it.
    pub(super) fn run(&mut self, task: &str, port: u16) {
        self.mesos(MesosInput::TaskAdded(waiting(task, port)));
        self.mesos(MesosInput::TaskUpdated(running(task, port)));
        self.marathon(MarathonInput::Task(told(task, Phase::Running, &[port])));
    }

    pub(super) fn end(&mut self, task: &str) {
        let fact = TaskFact { phase: Phase::Ended, ..running(task, 0) };
        self.mesos(MesosInput::TaskUpdated(fact));
    }

    /// What a path under `/service/` leads to.
    pub(super) fn look_up(&self, path: &str) -> LookUp {
        let segments: Vec<Cow<'_, str>> =
            path.split('/').filter(|one| !one.is_empty()).map(Cow::Borrowed).collect();
        self.snapshot.service(&segments, 1, true)
    }

    /// The same in few words: where it is and how much of the path it took, or what is wrong.
    pub(super) fn found(&self, path: &str) -> String {
        match self.look_up(path) {
            LookUp::Found(service) => {
                assert!(!service.upstream.is_retired(), "{path}: {:?}", service.upstream);
                format!("{} {}", address(&service.upstream), service.depth)
            }
            LookUp::Missing => "missing".to_owned(),
            LookUp::Failed(failure) => format!("{failure:?}"),
            LookUp::Ask(question) => format!("ask {}", question.dotted),
        }
    }

    pub(super) fn upstream(&self, path: &str) -> Arc<Upstream> {
        match self.look_up(path) {
            LookUp::Found(service) => Arc::clone(&service.upstream),
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// As the keeper does it; until then nothing is retired of what can be seen.
pub(super) fn publish(table: &mut Table, snapshot: &mut Snapshot) {
    let seen = |service: &Arc<Service>| !service.upstream.is_retired();
    assert!(snapshot.services.values().all(seen), "{snapshot:?}");
    let webs = snapshot.frameworks.values().chain(snapshot.named_frameworks.values());
    for web in webs {
        assert!(!matches!(web, Web::At(service) if !seen(service)), "{web:?}");
    }
    assert!(snapshot.agents.values().all(|agent| !agent.upstream.is_retired()));
    let leaders = snapshot.leader.iter().chain(&snapshot.marathon_leader);
    assert!(leaders.map(|leader| &leader.upstream).all(|upstream| !upstream.is_retired()));
    if let Some(changed) = table.take_change() {
        *snapshot = changed;
    }
    table.take_retired().iter().for_each(|upstream| upstream.retire());
}

pub(super) fn address(upstream: &Upstream) -> String {
    match &upstream.address {
        Address::Tcp(address) => address.to_string(),
        other => format!("{other:?}"),
    }
}

pub(super) fn state() -> MesosState {
    let address = "10.0.0.1:5050".parse().unwrap();
    MesosState { leader: Some(LeaderFact { address, is_tls: false }), ..MesosState::default() }
}

pub(super) fn agent(id: &str, ip: &str) -> AgentFact {
    let address = format!("{ip}:5051").parse().ok();
    AgentFact { id: id.into(), hostname: ip.into(), address }
}

pub(super) fn framework(id: &str, name: &str, url: Option<&str>) -> FrameworkFact {
    let webui_url = url.map(Arc::from);
    FrameworkFact {
        id: id.into(),
        name: name.into(),
        webui_url,
        is_active: true,
        is_connected: true,
        since: 0,
    }
}

/// The id of a task of an app.
pub(super) fn task_of(app: &str, number: u32) -> String {
    let path = app.trim_start_matches('/').replace('/', "_");
    format!("{path}.instance-00000000-0000-0000-0000-{number:012}._app.1")
}

/// A task on agent `a1`. Its number is when it began to run.
pub(super) fn waiting(task: &str, port: u16) -> TaskFact {
    TaskFact {
        id: task.into(),
        framework: MARATHON.into(),
        agent: "a1".into(),
        phase: Phase::Waiting,
        since: None,
        ip: None,
        ports: vec![port],
    }
}

pub(super) fn running(task: &str, port: u16) -> TaskFact {
    let digits = task.split("._app").next().and_then(|id| id.rsplit('-').next());
    let since = digits.and_then(|digits| digits.parse().ok());
    TaskFact { phase: Phase::Running, since, ..waiting(task, port) }
}

pub(super) fn told(task: &str, phase: Phase, ports: &[u16]) -> MarathonTask {
    MarathonTask {
        id: task.into(),
        app: task_id::app(task).unwrap().into(),
        phase,
        host: "10.0.0.11".into(),
        ports: ports.to_vec(),
        ip: None,
    }
}

/// An app that is the service `name` at its first port.
pub(super) fn app(id: &str, name: &str) -> AppFact {
    app_with(id, name, &[])
}

pub(super) fn app_with(id: &str, name: &str, labels: &[(&str, &str)]) -> AppFact {
    let mut all = json!({"DCOS_SERVICE_NAME": name, "DCOS_SERVICE_SCHEME": "http",
        "DCOS_SERVICE_PORT_INDEX": "0"});
    for (label, value) in labels {
        all[*label] = json!(value);
    }
    let json = json!({"id": id, "labels": all, "portDefinitions": [{"port": 0}]});
    let labelled = labels::read(&json).unwrap().map(Arc::new);
    AppFact { id: id.into(), labelled, tasks: Vec::new() }
}
