//! Services: one for each port of an app that is reached from outside, with its servers. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::Scope;
use super::facts::{AppFact, HealthCheck, Networking, State, TaskFact};
use super::groups::Merged;
use super::pseudo::PseudoPorts;
use crate::labels::{self, Kind, Mode, Problem, Settings};

/// One port of an app, as it is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The app, or the deployment group.
    pub app: Arc<str>,
    /// As the sections of a configuration of HAProxy's are called: `group_app_10000`.
    pub name: Arc<str>,
    pub port: u16,
    pub mode: Mode,
    pub settings: Arc<Settings>,
    pub health_check: Option<HealthCheck>,
    /// Where the check of the first server is made, if not where requests go.
    pub check_port: Option<u16>,
    pub servers: Vec<Server>,
}

/// One task's port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub task: Arc<str>,
    pub host: Arc<str>,
    pub ip: IpAddr,
    pub port: u16,
    /// `host_ip_port`, or `ip_port`.
    pub name: Arc<str>,
    pub id: u16,
    pub cookie: Arc<str>,
    /// Gets no new requests.
    pub draining: bool,
    /// Nobody knows whether it runs: it gets requests while there is no other.
    pub lost: bool,
}

/// What became of an app.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unit {
    pub(crate) services: Vec<Arc<Service>>,
    /// Not those about single labels: they are of the member apps.
    pub(crate) problems: Vec<Problem>,
    /// Hosts whose addresses are not known.
    pub(crate) unresolved: BTreeSet<Arc<str>>,
}

// === impl Service ===

impl Service {
    /// Whether all but the servers is the same.
    pub fn same_shape(&self, other: &Service) -> bool {
        self.app == other.app
            && self.name == other.name
            && self.port == other.port
            && self.mode == other.mode
            && self.health_check == other.health_check
            && self.settings == other.settings
    }
}

/// What is taken from the outside while services are made.
pub(crate) struct Making<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) pseudo: &'a mut PseudoPorts,
    pub(crate) address: &'a dyn Fn(&str) -> Option<IpAddr>,
    /// Whether a task is told to stop.
    pub(crate) is_stopping: &'a dyn Fn(&TaskFact) -> bool,
}

// === impl Making ===

impl Making<'_> {
    /// The services of an app, in the order of its ports.
    pub(crate) fn unit(&mut self, merged: &Merged) -> Unit {
        let app = &merged.app;
        let mut unit = Unit::default();
        let ports = self.service_ports(app);
        let groups = app.labels.get("HAPROXY_GROUP").map(|text| labels::groups(text));
        // By the port that Marathon gave, as tasks find them; a later one takes the place.
        let mut services: Vec<(u16, Service)> = Vec::new();
        for (index, port) in ports.iter().enumerate() {
            let Some(port) = *port else { continue };
            let (settings, problems) = labels::read(&app.labels, index);
            let own = settings.groups.as_ref().filter(|groups| !groups.is_empty());
            let wanted = self.scope.takes(own.or(groups.as_ref()));
            let enabled = settings.enabled.unwrap_or(!self.scope.strict);
            if !wanted || !enabled {
                continue;
            }
            unit.problems.extend(problems);
            if settings.refused {
                continue;
            }
            let service = service(app, index, port, settings);
            match services.iter_mut().find(|(known, _)| *known == port) {
                Some(place) => place.1 = service,
                None => services.push((port, service)),
            }
        }
        if services.is_empty() && unit.problems.is_empty() {
            return unit;
        }
        unit.problems.extend(labels::of_app(&app.labels, ports.len()));
        self.fill(merged, &ports, &mut services, &mut unit);
        let check_ports: Vec<Option<u16>> =
            services.iter().map(|(_, one)| check_port(one, &services)).collect();
        let filled = services
            .into_iter()
            .zip(check_ports)
            .map(|((_, service), check_port)| Arc::new(Service { check_port, ..service }));
        unit.services = filled.filter(|service| !service.servers.is_empty()).collect();
        unit
    }

    /// The ports under which an app's services are known, in order; none in a place without one.
    fn service_ports(&mut self, app: &AppFact) -> Vec<Option<u16>> {
        if app.networking != Networking::Host {
            let mapped: Vec<_> =
                app.port_mappings.iter().filter_map(|mapping| mapping.service).map(Some).collect();
            if !mapped.is_empty() {
                return mapped;
            }
        }
        let first = app.tasks.first();
        match app.networking {
            Networking::Container if app.ports.is_empty() => match first {
                Some(task) => {
                    let ports = task_ports(app, task);
                    ports.iter().map(|port| self.pseudo.port(&app.id, *port)).collect()
                }
                None => Vec::new(),
            },
            _ => app.ports.iter().copied().map(Some).collect(),
        }
    }

    fn fill(
        &self,
        merged: &Merged,
        ports: &[Option<u16>],
        services: &mut [(u16, Service)],
        unit: &mut Unit,
    ) {
        let app = &merged.app;
        for task in &app.tasks {
            if task.host.is_empty() || task.state == State::Unusable || (self.is_stopping)(task) {
                continue;
            }
            let checked = self.scope.health_check && !app.health_checks.is_empty();
            if checked && task.alive != Some(true) {
                continue;
            }
            let ip = match app.networking {
                Networking::Container => task.ip,
                _ => (self.address)(&task.host),
            };
            let Some(ip) = ip else {
                if app.networking != Networking::Container {
                    unit.unresolved.insert(Arc::clone(&task.host));
                }
                continue;
            };
            let pairs = task_ports(app, task).into_iter().zip(ports);
            for (port, service_port) in pairs {
                let found = services.iter_mut().find(|(known, _)| Some(*known) == *service_port);
                let Some((_, service)) = found else { continue };
                service.servers.push(Server {
                    task: Arc::clone(&task.id),
                    host: Arc::clone(&task.host),
                    ip,
                    port,
                    name: server_name(&task.host, ip, port).into(),
                    id: 0,
                    cookie: "".into(),
                    draining: merged.draining.contains(&task.id),
                    lost: task.state == State::Lost,
                });
            }
        }
        for (_, service) in services {
            finish(&mut service.servers);
        }
    }
}

fn service(app: &AppFact, index: usize, port: u16, settings: Settings) -> Service {
    let mut check = health_check(app, index);
    let mut mode = match check {
        Some(check) if &*check.protocol == "HTTP" => Some(Mode::Http),
        _ => None,
    };
    mode = settings.mode.or(mode);
    if check.is_none()
        && let Some(other) = settings.health_check_port_index
    {
        check = usize::try_from(other).ok().and_then(|other| health_check(app, other));
        let http = ["HTTP", "HTTPS", "MESOS_HTTP", "MESOS_HTTPS"];
        if check.is_some_and(|check| http.contains(&&*check.protocol)) {
            mode = Some(Mode::Http);
        }
    }
    let usual = if settings.hosts.is_empty() { Mode::Tcp } else { Mode::Http };
    let port = settings.port.unwrap_or(port);
    Service {
        app: Arc::clone(&app.id),
        name: backend_name(&app.id, port).into(),
        port,
        mode: mode.unwrap_or(usual),
        settings: Arc::new(settings),
        health_check: check.cloned(),
        check_port: None,
        servers: Vec::new(),
    }
}

/// One with a port of its own is for all ports; otherwise the one of this port.
fn health_check(app: &AppFact, index: usize) -> Option<&HealthCheck> {
    let of_this = |check: &&HealthCheck| {
        check.port.is_some() || check.port_index.is_some_and(|of| usize::try_from(of) == Ok(index))
    };
    app.health_checks.iter().find(of_this)
}

/// Where the first server is checked when another port's check is borrowed.
fn check_port(service: &Service, all: &[(u16, Service)]) -> Option<u16> {
    let other = service.settings.health_check_port_index?;
    let mut sorted: Vec<&Service> = all.iter().map(|(_, service)| service).collect();
    sorted.sort_by_key(|service| service.port);
    let other = usize::try_from(other).ok().and_then(|at| sorted.get(at));
    Some(other.unwrap_or(&service).servers.first()?.port)
}

/// Ports of a task, in the order of the app's.
fn task_ports(app: &AppFact, task: &TaskFact) -> Vec<u16> {
    let mapped = || app.port_mappings.iter().filter_map(|mapping| mapping.container).collect();
    let first = |lists: [&Vec<u16>; 2]| lists.into_iter().find(|list| !list.is_empty()).cloned();
    match app.networking {
        Networking::Host => first([&task.ports, &app.ports]).unwrap_or_default(),
        Networking::Bridge => first([&task.ports, &app.ports]).unwrap_or_else(mapped),
        Networking::Container if app.discovery_ports.is_empty() => mapped(),
        Networking::Container => app.discovery_ports.clone(),
    }
}

/// Sorts servers and gives them their ids and cookies.
fn finish(servers: &mut Vec<Server>) {
    servers.sort_by(|one, other| {
        (&one.host, one.port, one.ip, &one.task).cmp(&(
            &other.host,
            other.port,
            other.ip,
            &other.task,
        ))
    });
    servers.dedup_by(|one, other| one.name == other.name);
    let mut taken = BTreeSet::new();
    for server in servers {
        server.id = server_id(&server.name, &mut taken);
        server.cookie = cookie(&server.name).into();
    }
}

/// `/group/app` and 10000: `group_app_10000`.
fn backend_name(app: &str, port: u16) -> String {
    let path = app.strip_prefix('/').unwrap_or(app).replace('/', "_");
    format!("{path}_{port}")
}

fn server_name(host: &str, ip: IpAddr, port: u16) -> String {
    let ip = ip.to_string();
    let name = match host == ip {
        true => format!("{ip}_{port}"),
        false => format!("{host}_{ip}_{port}"),
    };
    cleaned(&name)
}

/// What may not stand in a name becomes `_`.
pub(crate) fn cleaned(text: &str) -> String {
    let plain = |one: char| one.is_ascii_alphanumeric() || one == '-';
    text.chars().map(|one| if plain(one) { one } else { '_' }).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cookie(name: &str) -> String {
    let mut text = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, name.as_bytes()).as_ref());
    text.truncate(10);
    text
}

/// A number that a server keeps as long as those before it do not change: of the hash of its
/// name, hashed on where that is taken.
fn server_id(name: &str, taken: &mut BTreeSet<u16>) -> u16 {
    let mut name = name.to_owned();
    loop {
        let sum = digest(&SHA256, name.as_bytes());
        let modulus = |rest: u32, byte: &u8| (rest * 256 + u32::from(*byte)) % 32_767;
        let id = sum.as_ref().iter().fold(0, modulus) as u16;
        if id > 0 && taken.insert(id) {
            return id;
        }
        if taken.len() >= 32_766 {
            return id.max(1);
        }
        name = format!("{name} {}", hex(sum.as_ref()));
    }
}

/// A port of which two services want to be the one.
pub(crate) fn conflict(label: &str, text: String) -> Problem {
    Problem::new(label, Kind::Invalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_the_originals() {
        assert_eq!(backend_name("/g/b", 10002), "g_b_10002");
        assert_eq!(server_name("10.0.0.1", "10.0.0.1".parse().unwrap(), 80), "10_0_0_1_80");
        let name = server_name("agent1", "1.1.1.1".parse().unwrap(), 1024);
        assert_eq!(name, "agent1_1_1_1_1_1024");
        assert_eq!(cookie(&name), "d6ad48c81f");
        assert_eq!(server_id(&name, &mut BTreeSet::new()), 28_363);
    }

    #[test]
    fn ids_that_are_taken_are_hashed_on() {
        let mut taken = BTreeSet::new();
        let first = server_id("0", &mut taken);
        let again = server_id("0", &mut taken);
        assert_ne!(first, again);
        let mut other = BTreeSet::from([first]);
        assert_eq!(server_id("0", &mut other), again);
    }
}
