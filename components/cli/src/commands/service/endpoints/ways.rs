//! The ways to reach an app, from what Marathon says of it.

use crate::json::{list, some_text, text};
use serde_json::Value;

/// Apps of these packages carry traffic from outside.
const EDGES: [&str; 2] = ["edge-lb", "marathon-lb"];
/// The longest label of a name.
const LABEL: usize = 63;

/// What kind of way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A port of one task.
    Task,
    /// A name with addresses.
    Name,
    /// A name with addresses and ports.
    Srv,
    /// A virtual address.
    Vip,
    /// Below the cluster's gateway.
    Gateway,
    /// From outside, through a public agent.
    Public,
}

/// One way, and how to find out whether it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) kind: Kind,
    pub(super) address: String,
    /// What it leads through, where that is not said by the address.
    pub(super) through: Option<String>,
    pub(super) probe: Probe,
}

/// How a way is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// A connection to host:port.
    Connect(String),
    /// The addresses of a name.
    Hosts(String),
    /// The places of a service.
    Services(String),
    /// The address of a name, then a connection to its port.
    Virtual { name: String, port: u16 },
    /// A connection to a virtual address without a name.
    Get { url: String, host: Option<String> },
}

// === impl Kind ===

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Task => "task",
            Kind::Name => "name",
            Kind::Srv => "srv",
            Kind::Vip => "vip",
            Kind::Gateway => "gateway",
            Kind::Public => "public",
        }
    }
}

/// Whether an app carries traffic of others.
pub(super) fn is_edge(app: &Value) -> bool {
    EDGES.contains(&text(app, "/labels/DCOS_PACKAGE_NAME"))
}

/// All of them.
pub(super) fn ways(
    app: &Value,
    framework: &str,
    gateway: Option<&str>,
    edges: &[Value],
) -> Vec<Way> {
    let ports = ports(app);
    let mut ways = tasks(app, &ports);
    ways.extend(names(app, framework, &ports));
    ways.extend(virtual_addresses(framework, &ports));
    ways.extend(gateway.and_then(|gateway| through_gateway(app, gateway)));
    ways.extend(public(app, ports.len(), edges));
    ways
}

/// A port that the app declares.
#[derive(Debug)]
struct Port<'a> {
    name: Option<&'a str>,
    protocols: Vec<&'a str>,
    /// That inside of the container, where it has a network of its own.
    container: Option<u16>,
    is_mapped: bool,
    labels: &'a Value,
}

fn port(value: &Value, pointer: &str) -> Option<u16> {
    value.pointer(pointer)?.as_u64()?.try_into().ok()
}

fn ports(app: &Value) -> Vec<Port<'_>> {
    let mappings = list(app, "/container/portMappings");
    let is_mapped = !mappings.is_empty();
    let declared = if is_mapped { mappings } else { list(app, "/portDefinitions") };
    let ports = declared.iter().map(|one| Port {
        name: some_text(one, "/name"),
        protocols: some_text(one, "/protocol").unwrap_or("tcp").split(',').collect(),
        container: port(one, "/containerPort").filter(|port| *port != 0),
        is_mapped,
        labels: one.pointer("/labels").unwrap_or(&Value::Null),
    });
    ports.collect()
}

fn has_own_address(app: &Value) -> bool {
    list(app, "/networks").iter().any(|network| text(network, "/mode") == "container")
}

fn tasks(app: &Value, ports: &[Port<'_>]) -> Vec<Way> {
    let mut ways = Vec::new();
    let running = list(app, "/tasks").iter().filter(|task| text(task, "/state") == "TASK_RUNNING");
    for task in running {
        let host = text(task, "/host");
        let own = list(task, "/ipAddresses").first().and_then(|one| some_text(one, "/ipAddress"));
        let mut addresses: Vec<(String, usize)> = list(task, "/ports")
            .iter()
            .enumerate()
            .filter_map(|(index, port)| Some((address(host, port.as_u64()?), index)))
            .collect();
        if let Some(own) = own.filter(|_| has_own_address(app)) {
            let inside = ports.iter().enumerate();
            let inside = inside.filter_map(|(index, one)| Some((one.container?, index)));
            addresses.extend(inside.map(|(port, index)| (address(own, port.into()), index)));
        }
        for (address, index) in addresses {
            let is_tcp = ports.get(index).is_none_or(|port| port.protocols.contains(&"tcp"));
            if is_tcp {
                let probe = Probe::Connect(address.clone());
                ways.push(Way { kind: Kind::Task, address, through: None, probe });
            }
        }
    }
    ways
}

fn address(host: &str, port: u64) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// The label that an app's id becomes in names: its parts, the last one first.
fn label(id: &str) -> String {
    let parts: Vec<&str> = id.trim_matches('/').rsplit('/').collect();
    let name = parts.join("-").to_ascii_lowercase().replace(['.', '_'], "-");
    let kept: String = name.trim_start_matches('-').chars().take(LABEL).collect();
    kept.trim_end_matches('-').to_owned()
}

fn names(app: &Value, framework: &str, ports: &[Port<'_>]) -> Vec<Way> {
    let label = label(text(app, "/id"));
    let mut hosts = vec![
        format!("{label}.{framework}.mesos"),
        format!("{label}.{framework}.autoip.dcos.thisdcos.directory"),
        format!("{label}.{framework}.agentip.dcos.thisdcos.directory"),
    ];
    if has_own_address(app) {
        hosts.push(format!("{label}.{framework}.containerip.dcos.thisdcos.directory"));
    }
    let mut services: Vec<String> = Vec::new();
    for port in ports {
        for protocol in &port.protocols {
            let all = format!("_{label}._{protocol}.{framework}.mesos");
            if !services.contains(&all) {
                services.push(all.clone());
            }
            services.extend(port.name.map(|name| format!("_{}.{all}", name.to_ascii_lowercase())));
        }
    }
    let way = |kind, name: String, probe: fn(String) -> Probe| Way {
        kind,
        address: name.clone(),
        through: None,
        probe: probe(name),
    };
    let hosts = hosts.into_iter().map(|name| way(Kind::Name, name, Probe::Hosts));
    hosts.chain(services.into_iter().map(|name| way(Kind::Srv, name, Probe::Services))).collect()
}

fn virtual_addresses(framework: &str, ports: &[Port<'_>]) -> Vec<Way> {
    let labels = ports.iter().filter_map(|port| Some((port, port.labels.as_object()?)));
    let values = labels.flat_map(|(port, labels)| {
        let own = labels.iter().filter(|(key, _)| key.starts_with("VIP") || key.starts_with("vip"));
        own.filter_map(move |(_, value)| Some((port, value.as_str()?)))
    });
    let mut ways: Vec<Way> = Vec::new();
    for (port, value) in values {
        let Some((place, number)) = value.rsplit_once(':') else { continue };
        let Ok(number) = number.parse::<u16>() else { continue };
        if !port.protocols.contains(&"tcp") {
            continue;
        }
        let (address, probe) = match place.strip_prefix('/') {
            Some(name) => {
                let name = format!("{}.{framework}.l4lb.thisdcos.directory", virtual_label(name));
                (format!("{name}:{number}"), Probe::Virtual { name, port: number })
            }
            None => (value.to_owned(), Probe::Connect(value.to_owned())),
        };
        let through = Some(if port.is_mapped { "container port" } else { "host port" }.to_owned());
        let way = Way { kind: Kind::Vip, address, through, probe };
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways
}

/// The name of a virtual address without its slashes: the parts, the last one first.
fn virtual_label(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    parts.join("").to_ascii_lowercase()
}

/// Where an app is a service with a web page of its own.
fn through_gateway(app: &Value, gateway: &str) -> Option<Way> {
    let name = some_text(app, "/labels/DCOS_SERVICE_NAME")?.trim_matches('/');
    let url = format!("{gateway}/service/{name}/");
    let probe = Probe::Get { url: url.clone(), host: None };
    Some(Way { kind: Kind::Gateway, address: url, through: None, probe })
}

/// What labels ask for: a host name each, at every place that serves from outside.
fn public(app: &Value, ports: usize, edges: &[Value]) -> Vec<Way> {
    let mut ways = Vec::new();
    for index in 0..ports.max(1) {
        let label = |name: &str| some_text(app, &format!("/labels/HAPROXY_{index}_{name}"));
        let Some(hosts) = label("VHOST") else { continue };
        let path = label("PATH")
            .and_then(|paths| paths.split_ascii_whitespace().find(|word| word.starts_with('/')));
        for host in hosts.split(',').map(str::trim).filter(|host| !host.is_empty()) {
            let host = host.to_ascii_lowercase();
            for place in edges.iter().flat_map(places) {
                let url = format!("http://{place}{}", path.unwrap_or("/"));
                let address = format!("http://{host}{}", path.unwrap_or("/"));
                let probe = Probe::Get { url, host: Some(host.clone()) };
                ways.push(Way { kind: Kind::Public, address, through: Some(place), probe });
            }
        }
    }
    ways
}

/// Where an edge takes requests for host names: its port called `http`, else its first.
fn places(edge: &Value) -> Vec<String> {
    let http = ports(edge).iter().position(|port| port.name == Some("http")).unwrap_or(0);
    let running = list(edge, "/tasks").iter().filter(|task| text(task, "/state") == "TASK_RUNNING");
    let places = running.filter_map(|task| {
        let port = list(task, "/ports").get(http)?.as_u64()?;
        Some(address(text(task, "/host"), port))
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn app() -> Value {
        json!({
            "id": "/shop/web", "networks": [{"mode": "host"}],
            "labels": {"DCOS_SERVICE_NAME": "shop", "HAPROXY_GROUP": "external",
                "HAPROXY_0_VHOST": "Shop.example, www.example", "HAPROXY_0_PATH": "-i /x"},
            "portDefinitions": [
                {"port": 10000, "protocol": "tcp", "name": "http", "labels": {"VIP_0": "/shop:80"}},
                {"port": 10001, "protocol": "udp,tcp", "labels": {"VIP_1": "11.2.3.4:53"}},
            ],
            "tasks": [
                {"host": "10.0.0.1", "ports": [31000, 31001], "state": "TASK_RUNNING"},
                {"host": "10.0.0.2", "ports": [31005, 31006], "state": "TASK_STAGING"},
            ],
        })
    }

    fn addresses(app: &Value, kind: Kind, edges: &[Value]) -> Vec<String> {
        let ways = ways(app, "marathon", Some("https://g"), edges);
        ways.into_iter().filter(|way| way.kind == kind).map(|way| way.address).collect()
    }

    #[test]
    fn all_that_marathon_says_is_a_way() {
        let app = app();
        assert_eq!(addresses(&app, Kind::Task, &[]), ["10.0.0.1:31000", "10.0.0.1:31001"]);
        assert_eq!(addresses(&app, Kind::Gateway, &[]), ["https://g/service/shop/"]);
        assert_eq!(
            addresses(&app, Kind::Name, &[]),
            [
                "web-shop.marathon.mesos",
                "web-shop.marathon.autoip.dcos.thisdcos.directory",
                "web-shop.marathon.agentip.dcos.thisdcos.directory",
            ]
        );
        assert_eq!(
            addresses(&app, Kind::Srv, &[]),
            [
                "_web-shop._tcp.marathon.mesos",
                "_http._web-shop._tcp.marathon.mesos",
                "_web-shop._udp.marathon.mesos",
            ]
        );
        assert_eq!(
            addresses(&app, Kind::Vip, &[]),
            ["shop.marathon.l4lb.thisdcos.directory:80", "11.2.3.4:53"]
        );
    }

    #[test]
    fn host_names_lead_through_every_edge() {
        let edge = json!({
            "labels": {"DCOS_PACKAGE_NAME": "edge-lb"},
            "portDefinitions": [{"name": "stats"}, {"name": "http"}],
            "tasks": [{"host": "10.0.0.9", "ports": [9090, 8088], "state": "TASK_RUNNING"}],
        });
        assert!(is_edge(&edge) && !is_edge(&app()));
        let ways = ways(&app(), "marathon", None, &[edge]);
        let public: Vec<_> = ways.iter().filter(|way| way.kind == Kind::Public).collect();
        let addresses: Vec<_> = public.iter().map(|way| way.address.as_str()).collect();
        assert_eq!(addresses, ["http://shop.example/x", "http://www.example/x"]);
        let probe = Probe::Get {
            url: "http://10.0.0.9:8088/x".to_owned(),
            host: Some("shop.example".to_owned()),
        };
        assert_eq!(public.first().map(|way| &way.probe), Some(&probe));
        assert!(ways.iter().all(|way| way.kind != Kind::Gateway));
    }

    #[test]
    fn containers_with_addresses_of_their_own_are_reached_there_too() {
        let app = json!({
            "id": "/db", "networks": [{"mode": "container", "name": "dcos"}],
            "container": {"portMappings": [{"containerPort": 6379, "hostPort": 0, "name": "r"}]},
            "tasks": [{"host": "::1", "ports": [31000], "state": "TASK_RUNNING",
                "ipAddresses": [{"ipAddress": "9.0.0.5", "protocol": "IPv4"}]}],
        });
        assert_eq!(addresses(&app, Kind::Task, &[]), ["[::1]:31000", "9.0.0.5:6379"]);
        let names = addresses(&app, Kind::Name, &[]);
        assert!(names.contains(&"db.marathon.containerip.dcos.thisdcos.directory".to_owned()));
    }

    #[test]
    fn labels_are_as_name_servers_make_them() {
        assert_eq!(label("/a/b/c"), "c-b-a");
        assert_eq!(label("/a.b/c"), "c-a-b");
        assert_eq!(label(&format!("/{}", "x".repeat(70))).len(), LABEL);
    }
}
