//! Tasks as Marathon and other frameworks start them.

use std::sync::Arc;

use cluster_events::picture::{Discovery, Network, Phase, PortMapping, PortRange};

use super::*;

const AGENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const INSIDE: Ipv4Addr = Ipv4Addr::new(9, 0, 2, 130);

fn labels(all: &[(&str, &str)]) -> Vec<Label> {
    all.iter().map(|(key, value)| Label { key: (*key).into(), value: (*value).into() }).collect()
}

fn port(number: u32, protocol: &str, all: &[(&str, &str)]) -> Port {
    let protocol = Some(protocol.into());
    Port { number, name: None, protocol, labels: labels(all).into() }
}

fn task(ports: Vec<Port>, addresses: &[IpAddr]) -> Task {
    let discovery = Discovery { name: None, ports, labels: Vec::new() };
    Task {
        id: "web.1".into(),
        framework: "f".into(),
        agent: "a".into(),
        name: "web".into(),
        phase: Phase::Running,
        healthy: None,
        runtime: Runtime::Mesos,
        discovery: Some(Arc::new(discovery)),
        labels: Vec::new().into(),
        host_ports: Vec::new().into(),
        mappings: Vec::new().into(),
        network: Arc::new(Network { addresses: addresses.into(), ..Network::default() }),
        network_told: 0,
    }
}

fn offer(task: &Task) -> Offer {
    let around = Surroundings { framework: "marathon", agent: AGENT };
    of(task, around, |address| (address == AGENT).then(|| "an agent".to_owned()))
}

/// As `name protocol port -> where (inside)`.
fn shown(task: &Task) -> Vec<String> {
    let offer = offer(task);
    assert_eq!(offer.problems, [], "{task:?}");
    let show = |(service, backend): &(Service, Backend)| {
        let host = match &service.host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => address.to_string(),
        };
        let inside = backend.inside.map(|inside| format!(" ({inside})")).unwrap_or_default();
        let protocol = service.protocol.as_str();
        format!("{host} {protocol} {} -> {}{inside}", service.port, backend.at)
    };
    offer.entries.iter().map(show).collect()
}

fn fault(task: &Task) -> Fault {
    let offer = offer(task);
    assert_eq!(offer.entries, []);
    let [problem] = offer.problems.as_slice() else { panic!("{:?}", offer.problems) };
    assert!(problem.framework == "marathon" && problem.task == "web");
    problem.fault.clone()
}

#[test]
fn on_the_hosts_network_the_number_is_the_hosts() {
    let ports = vec![port(9999, "tcp", &[("VIP_0", "/web:80"), ("VIP_1", "1.2.3.4:81")])];
    let wanted = ["web.marathon tcp 80 -> 10.0.0.7:9999", "1.2.3.4 tcp 81 -> 10.0.0.7:9999"];
    assert_eq!(shown(&task(ports.clone(), &[AGENT.into()])), wanted);
    assert_eq!(shown(&task(ports, &[])), wanted, "one that tells nothing of a network");
}

#[test]
fn ports_of_containers_are_reached_where_they_are() {
    let scoped = [("VIP_0", "/web:80"), ("network-scope", "container")];
    let one = task(vec![port(8080, "tcp", &scoped)], &[INSIDE.into()]);
    assert_eq!(shown(&one), ["web.marathon tcp 80 -> 9.0.2.130:8080"]);
    let none = task(vec![port(8080, "tcp", &[("vip0", "/web:80")])], &[INSIDE.into()]);
    assert_eq!(shown(&none), ["web.marathon tcp 80 -> 9.0.2.130:8080"]);
}

#[test]
fn mapped_ports_are_reached_at_the_host() {
    let mappings = || {
        let mapping = |host, container, protocol: &str| PortMapping {
            host,
            container,
            protocol: Some(protocol.into()),
        };
        Arc::from(vec![mapping(31000, 8080, "tcp"), mapping(31001, 8080, "udp")])
    };
    let scoped = [("VIP_0", "/web:80"), ("network-scope", "host")];
    let mut one = task(vec![port(31000, "tcp", &scoped)], &[INSIDE.into()]);
    one.mappings = mappings();
    let wanted = ["web.marathon tcp 80 -> 10.0.0.7:31000 (9.0.2.130:8080)"];
    assert_eq!(shown(&one), wanted);
    // By the container's number the same is found.
    let mut other = task(vec![port(8080, "tcp", &[("VIP_0", "/web:80")])], &[INSIDE.into()]);
    other.mappings = mappings();
    assert_eq!(shown(&other), wanted);
    // Docker publishes by itself, with a listener where rules do not reach.
    other.runtime = Runtime::Docker;
    assert_eq!(shown(&other), ["web.marathon tcp 80 -> 10.0.0.7:31000"]);
}

#[test]
fn labels_of_tasks_mean_ports_among_resources() {
    let mut one = task(Vec::new(), &[AGENT.into()]);
    one.host_ports = vec![PortRange(31000, 31001), PortRange(31005, 31005)].into();
    one.labels = labels(&[("vip_port0", "tcp://def:80"), ("VIP_PORT2", "udp:///jkl:53")]).into();
    assert_eq!(
        shown(&one),
        ["def.marathon tcp 80 -> 10.0.0.7:31000", "jkl.marathon udp 53 -> 10.0.0.7:31005"]
    );
    one.labels = labels(&[("vip_port3", "tcp://def:80")]).into();
    assert_eq!(fault(&one), Fault::NoSuchPort);
    one.labels = labels(&[("vip_port0", "def:80")]).into();
    assert_eq!(fault(&one), Fault::Scheme);
    one.labels = labels(&[("vip_portal", "x"), ("vip_port", "y"), ("vip_port-1", "z")]).into();
    assert_eq!(offer(&one), Offer { open: true, ..Offer::default() });
    assert!(!asks(&one));
}

#[test]
fn what_cannot_be_is_told() {
    let told = |port: Port| fault(&task(vec![port], &[AGENT.into()]));
    assert_eq!(told(port(1, "tcp", &[("VIP_0", "/web")])), Fault::NoPort);
    assert_eq!(told(port(1, "sctp", &[("VIP_0", "/web:1")])), Fault::Protocol("sctp".to_owned()));
    assert_eq!(told(port(65536, "tcp", &[("VIP_0", "/web:1")])), Fault::Number);
    let scoped = [("VIP_0", "/web:1"), ("network-scope", "galaxy")];
    assert_eq!(told(port(1, "tcp", &scoped)), Fault::Scope("galaxy".to_owned()));
    let agents = told(port(1, "tcp", &[("VIP_0", "10.0.0.7:5051")]));
    assert_eq!(agents, Fault::Taken(AGENT, "an agent".to_owned()), "not another's place");
    let six = task(vec![port(1, "tcp", &[("VIP_0", "/web:1")])], &["fd01::1".parse().unwrap()]);
    assert_eq!(fault(&six), Fault::Unreachable);
}

#[test]
fn the_number_zero_and_other_labels_are_nothing() {
    let ports = vec![
        port(0, "tcp", &[("VIP_0", "/web:80")]),
        port(1, "tcp", &[("Vip_0", "/web:80"), ("xVIP", "/web:80")]),
    ];
    assert_eq!(shown(&task(ports, &[AGENT.into()])), [] as [String; 0]);
}

#[test]
fn health_and_state_open_and_close() {
    let mut one = task(vec![port(1, "tcp", &[("VIP_0", "/web:80")])], &[AGENT.into()]);
    for (phase, healthy, entries, open) in [
        (Phase::Running, None, 1, true),
        (Phase::Running, Some(true), 1, true),
        (Phase::Running, Some(false), 1, false),
        (Phase::Killing, Some(true), 1, false),
        (Phase::Preparing, None, 0, false),
        (Phase::Ended, None, 0, false),
    ] {
        (one.phase, one.healthy) = (phase, healthy);
        let offer = offer(&one);
        assert_eq!((offer.entries.len(), offer.open), (entries, open), "{phase:?} {healthy:?}");
    }
}
