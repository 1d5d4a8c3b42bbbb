//! Clusters for tests.

use std::net::SocketAddr;
use std::sync::Arc;

use cluster_events::picture::{
    Agent, Discovery, Framework, Label, Network, Phase, Port, PortMapping, PortRange, Runtime,
    State, Task,
};

pub(super) fn agent(id: &str, address: &str) -> Agent {
    let address: SocketAddr = address.parse().unwrap();
    Agent { id: id.into(), address: Some(address), hostname: address.ip().to_string().into() }
}

pub(super) fn framework(id: &str, name: &str, scheduler: Option<&str>) -> Framework {
    Framework {
        id: id.into(),
        name: name.into(),
        active: true,
        connected: true,
        hostname: "localhost".into(),
        scheduler: scheduler.map(|address| address.parse().unwrap()),
    }
}

pub(super) fn task(framework: &str, id: &str, name: &str, agent: &str) -> Task {
    Task {
        id: id.into(),
        framework: framework.into(),
        agent: agent.into(),
        name: name.into(),
        phase: Phase::Running,
        healthy: None,
        runtime: Runtime::Unknown,
        discovery: None,
        labels: Arc::default(),
        host_ports: Arc::default(),
        mappings: Arc::default(),
        network: Arc::default(),
        network_told: 0,
    }
}

pub(super) trait With: Sized {
    fn ports(self, ports: &[(u16, u16)]) -> Self;
    fn netinfo(self, addresses: &[&str]) -> Self;
    fn docker(self, address: &str) -> Self;
    fn mesos(self, address: &str) -> Self;
    fn found_as(self, name: &str, ports: &[(u32, &str, &str)]) -> Self;
    fn scoped(self, scope: &str) -> Self;
    fn mapped(self, host: u16, container: u16) -> Self;
    fn labelled(self, key: &str, value: &str) -> Self;
}

impl With for Task {
    fn ports(mut self, ports: &[(u16, u16)]) -> Task {
        self.host_ports = ports.iter().map(|(from, to)| PortRange(*from, *to)).collect();
        self
    }

    fn netinfo(mut self, addresses: &[&str]) -> Task {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.network = Arc::new(Network { addresses, ..Network::clone(&self.network) });
        self
    }

    fn docker(mut self, address: &str) -> Task {
        let docker = [address.parse().unwrap()].into();
        self.network = Arc::new(Network { docker, ..Network::clone(&self.network) });
        self
    }

    fn mesos(mut self, address: &str) -> Task {
        let mesos = [address.parse().unwrap()].into();
        self.network = Arc::new(Network { mesos, ..Network::clone(&self.network) });
        self
    }

    fn found_as(mut self, name: &str, ports: &[(u32, &str, &str)]) -> Task {
        let some = |text: &str| (!text.is_empty()).then(|| text.into());
        let port = |(number, protocol, name): &(u32, &str, &str)| Port {
            number: *number,
            name: some(name),
            protocol: some(protocol),
            labels: Box::default(),
        };
        let name = (!name.is_empty()).then(|| name.into());
        let ports = ports.iter().map(port).collect();
        self.discovery = Some(Arc::new(Discovery { name, ports, labels: Vec::new() }));
        self
    }

    fn scoped(mut self, scope: &str) -> Task {
        let mut discovery = Discovery::clone(self.discovery.as_ref().unwrap());
        let label = Label { key: "network-scope".into(), value: scope.into() };
        discovery.ports.iter_mut().for_each(|port| port.labels = [label.clone()].into());
        self.discovery = Some(Arc::new(discovery));
        self
    }

    fn mapped(mut self, host: u16, container: u16) -> Task {
        self.mappings = [PortMapping { host, container, protocol: Some("tcp".into()) }].into();
        self
    }

    fn labelled(mut self, key: &str, value: &str) -> Task {
        self.labels = [Label { key: key.into(), value: value.into() }].into();
        self
    }
}

/// The cluster of Mesos-DNS's own tests, in its facts.
pub(super) fn original() -> State {
    const A0: &str = "20140803-125133-3041283216-5050-2410-0";
    const A1: &str = "20140827-000744-3041283216-5050-2116-1";
    const A3: &str = "20140803-194712-3041283216-5050-2116-3";
    const LIQUOR: &str = "liquor-store.b8db9f73-562f-11e4-a088-c20493233aa5";
    let web: &[(u32, &str, &str)] = &[(80, "tcp", "http"), (443, "tcp", "https")];
    let mut killed =
        task("m", "poseidon.bc4e3796", "poseidon.bc4e3796", A0).ports(&[(31112, 31112)]);
    killed.phase = Phase::Killing;
    State {
        agents: vec![
            agent("20140916-194712-631065744-5050-4798-2", "1.2.3.10:5051"),
            agent(A0, "1.2.3.11:5051"),
            agent(A1, "1.2.3.12:5051"),
            agent(A3, "[2001:db8::1]:5051"),
        ],
        frameworks: vec![
            framework("i", "ipv6-framework", Some("[2001:db8::1]:25501")),
            framework("c", "chronos with a space AND MIXED CASE-2.0.1", Some("1.2.3.12:25501")),
            framework("n", "no pid", None),
            framework("m", "marathon", Some("1.2.3.11:25501")),
        ],
        tasks: vec![
            task("i", "toy-store.b8db9f73-562f-11e4-a088-c20493233aa5", "toy-store", A3)
                .ports(&[(31354, 31354), (31355, 31355)])
                .netinfo(&["12.0.1.3", "12.0.1.2", "fd01:b::1:8000:2"]),
            task("c", "some-box.b8db9f73-562f-11e4-a088-c20493233aa5", "some-box", A0)
                .ports(&[(31354, 31354)]),
            killed,
            task("m", LIQUOR, "liquor.store", A0)
                .ports(&[(31354, 31354), (31355, 31355)])
                .docker("10.3.0.1")
                .found_as("liquor.store", web),
            task("m", "big-dog", "big.dog2", A0).docker("10.3.0.1").found_as("big.dog", web),
            task("m", "liquor-store.b71166c1-562f-11e4-a088-c20493233aa5", "not-for-people", A1)
                .ports(&[(31737, 31738)])
                .docker("10.3.0.2")
                .found_as("liquor.store", web),
            task("m", "car-store.43758382-562f-11e4-a088-c20493233aa5", "car.store", A0)
                .ports(&[(31364, 31364), (31365, 31365)]),
            task("m", "nginx.1bc32344-3dda-11e4-a088-c20493233aa5", "nginx", A0).mesos("10.3.0.3"),
        ],
        ..State::default()
    }
}
