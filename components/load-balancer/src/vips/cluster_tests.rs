//! What the master tells, and what follows from it.

use cluster_events::picture::{
    Discovery, Framework, Id, Label, Network, Phase, Port, Runtime, State, StatusUpdate,
};

use super::super::label::{Fault, Host, Protocol};
use super::super::offer::Service;
use super::*;

const MASTER: std::net::SocketAddr =
    std::net::SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 5050);

fn agent(number: u8) -> Agent {
    let address = std::net::SocketAddr::from(([10, 0, 1, number], 5051));
    let id: Id = format!("agent{number}").into();
    Agent { id, address: Some(address), hostname: format!("node{number}").into() }
}

fn framework(name: &str) -> Framework {
    Framework {
        id: "f".into(),
        name: name.into(),
        active: true,
        connected: true,
        hostname: "".into(),
        scheduler: None,
    }
}

fn task(number: u8, label: &str) -> Task {
    let label = Label { key: "VIP_0".into(), value: label.into() };
    let port = Port { number: 31000, name: None, protocol: None, labels: vec![label].into() };
    Task {
        id: format!("t{number}").into(),
        framework: "f".into(),
        agent: format!("agent{number}").into(),
        name: "web".into(),
        phase: Phase::Running,
        healthy: None,
        runtime: Runtime::Unknown,
        discovery: Some(Arc::new(Discovery { ports: vec![port], ..Discovery::default() })),
        labels: Vec::new().into(),
        host_ports: Vec::new().into(),
        mappings: Vec::new().into(),
        network: Arc::new(Network::default()),
        network_told: 0,
    }
}

struct Test {
    cluster: Cluster,
    pool: Pool,
}

impl Test {
    fn connected(state: State) -> (Test, Changes) {
        let pool = Pool::new((Ipv4Addr::new(11, 0, 0, 0), Ipv4Addr::new(11, 255, 255, 254)));
        let (mut cluster, mut changes) = (Cluster::default(), Changes::default());
        cluster.connected(MASTER, Input::State(Box::new(state)), &pool, &mut changes);
        (Test { cluster, pool }, changes)
    }

    fn tell(&mut self, input: Input) -> Changes {
        let mut changes = Changes::default();
        self.cluster.apply(input, &self.pool, &mut changes);
        changes
    }

    /// Backends with their openness.
    fn of(&self, name: &str) -> Vec<(String, bool)> {
        let destinations = self.cluster.table().get(&named(name)).unwrap_or_default();
        destinations.into_iter().map(|(one, open)| (one.at.to_string(), open)).collect()
    }

    fn faults(&self) -> Vec<Fault> {
        self.cluster.table().problems().keys().map(|problem| problem.fault.clone()).collect()
    }
}

fn named(name: &str) -> Service {
    Service { host: Host::Name(name.into()), protocol: Protocol::Tcp, port: 80 }
}

fn state(agents: &[u8], tasks: Vec<Task>) -> State {
    State {
        agents: agents.iter().copied().map(agent).collect(),
        frameworks: vec![framework("marathon")],
        tasks,
        ..State::default()
    }
}

fn update(number: u8, phase: Phase, healthy: Option<bool>) -> Input {
    Input::TaskUpdated(StatusUpdate {
        id: format!("t{number}").into(),
        framework: "f".into(),
        phase,
        healthy,
        network: None,
        told: 1,
    })
}

#[test]
fn tasks_come_close_and_go() {
    let (mut test, changes) = Test::connected(state(&[1, 2], vec![task(1, "/web:80")]));
    assert_eq!(changes.services, [named("web.marathon")].into());
    let first = ("10.0.1.1:31000".to_owned(), true);
    let second = |open| ("10.0.1.2:31000".to_owned(), open);
    assert_eq!(test.of("web.marathon"), std::slice::from_ref(&first));
    test.tell(Input::TaskAdded(task(2, "/web:80")));
    assert_eq!(test.of("web.marathon"), [first.clone(), second(true)]);
    test.tell(update(2, Phase::Running, Some(false)));
    assert_eq!(test.of("web.marathon"), [first.clone(), second(false)], "not healthy");
    test.tell(update(2, Phase::Running, Some(true)));
    test.tell(update(2, Phase::Killing, None));
    assert_eq!(test.of("web.marathon"), [first.clone(), second(false)], "told to stop");
    test.tell(update(2, Phase::Ended, None));
    assert_eq!(test.of("web.marathon"), [first]);
    let changes = test.tell(Input::AgentRemoved("agent1".into()));
    assert_eq!(changes.services, [named("web.marathon")].into());
    assert_eq!(test.of("web.marathon"), []);
}

#[test]
fn tasks_wait_for_their_agent_and_framework() {
    let (mut test, _) =
        Test::connected(State { tasks: vec![task(1, "/web:80")], ..State::default() });
    assert_eq!(test.of("web.marathon"), []);
    test.tell(Input::Agent(agent(1)));
    assert_eq!(test.of("web.marathon"), []);
    test.tell(Input::Framework(framework("marathon")));
    assert_eq!(test.of("web.marathon").len(), 1);
    test.tell(Input::Framework(framework("kafka")));
    assert_eq!((test.of("web.marathon").len(), test.of("web.kafka").len()), (0, 1));
    let mut moved = agent(1);
    moved.address = Some(([10, 9, 9, 9], 5051).into());
    test.tell(Input::Agent(moved));
    assert_eq!(test.of("web.kafka"), [("10.9.9.9:31000".to_owned(), true)]);
}

#[test]
fn labels_do_not_take_what_is_anothers() {
    let tasks = vec![task(1, "10.0.1.2:80"), task(2, "10.0.0.1:5050")];
    let (mut test, changes) = Test::connected(state(&[1, 2], tasks));
    assert_eq!(changes.problems.len(), 2);
    assert!(changes.services.is_empty());
    // Once the agent is gone its address is free, and taken again when it is back.
    test.tell(Input::AgentRemoved("agent2".into()));
    assert_eq!(test.faults(), []);
    let changes = test.tell(Input::Agent(agent(2)));
    assert_eq!(changes.problems.len(), 1);
    assert!(!test.cluster.table().has_address(Ipv4Addr::new(10, 0, 1, 2)));
    let address = test.pool.candidate("db.marathon", |_| false).unwrap();
    test.pool.insert("db.marathon".into(), address);
    test.tell(Input::TaskAdded(task(1, &format!("{address}:80"))));
    let owner = "db.marathon.l4lb.thisdcos.directory".to_owned();
    assert!(test.faults().contains(&Fault::Taken(address, owner)));
}

#[test]
fn a_new_leader_changes_only_what_differs() {
    let (mut test, _) =
        Test::connected(state(&[1, 2], vec![task(1, "/web:80"), task(2, "/db:80")]));
    test.cluster.cut();
    assert!(test.cluster.known() && !test.cluster.is_led());
    let mut changes = Changes::default();
    let input = Input::State(Box::new(state(&[1, 2], vec![task(1, "/web:80")])));
    test.cluster.connected(MASTER, input, &test.pool, &mut changes);
    assert_eq!(changes.services, [named("db.marathon")].into());
    assert_eq!(test.cluster.nodes().len(), 2);
}
