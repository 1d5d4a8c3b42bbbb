//! What a task offers at virtual addresses, by the labels of its ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use cluster_events::picture::{Label, Port, Runtime, Task};

use super::label::{Asked, Fault, Host, Protocol, shortened};

/// A port of a virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    pub host: Host,
    pub protocol: Protocol,
    pub port: u16,
}

/// Where connections can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Backend {
    pub at: SocketAddrV4,
    /// The node that it is on.
    pub agent: Ipv4Addr,
    /// The same in its container, which is how its own node gets there: rules that publish
    /// ports of containers do not see connections that were sent elsewhere already.
    pub inside: Option<SocketAddrV4>,
}

/// A label that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    pub framework: String,
    pub task: String,
    pub key: String,
    pub value: String,
    pub fault: Fault,
}

/// All of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    pub entries: Vec<(Service, Backend)>,
    /// Whether new connections may come; established ones live on without.
    pub open: bool,
    pub problems: Vec<Problem>,
}

/// What is known of the cluster beside the task.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The name of the task's framework.
    pub framework: &'a str,
    /// The address of the task's agent.
    pub agent: Ipv4Addr,
}

/// What `task` offers. `owner` says to whom an address belongs that labels must not take.
pub fn of(
    task: &Task,
    around: Surroundings<'_>,
    owner: impl Fn(Ipv4Addr) -> Option<String>,
) -> Offer {
    let mut reading = Reading { task, around, owner, offer: Offer::default() };
    if task.is_running() || task.is_killing() {
        reading.offer.open = task.is_running() && task.healthy != Some(false);
        reading.discovery_ports();
        reading.resource_ports();
        let mut seen = rustc_hash::FxHashSet::default();
        reading.offer.entries.retain(|entry| seen.insert(entry.clone()));
    }
    reading.offer
}

/// Whether any label of a task is about virtual addresses: most tasks have none.
pub fn asks(task: &Task) -> bool {
    let ports = task.discovery.iter().flat_map(|discovery| &discovery.ports);
    ports.flat_map(|port| &port.labels).any(is_vip)
        || task.labels.iter().any(|label| resource_index(&label.key).is_some())
}

/// Only these two spellings.
fn is_vip(label: &Label) -> bool {
    label.key.starts_with("VIP") || label.key.starts_with("vip")
}

/// Of `vip_port<index>`, in any case.
fn resource_index(key: &str) -> Option<usize> {
    let (prefix, index) = key.split_at_checked("vip_port".len())?;
    let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    (digits && prefix.eq_ignore_ascii_case("vip_port")).then(|| index.parse().ok()).flatten()
}

/// A port of a task, by its number on the host, in the container, or both.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    host: Option<u16>,
    container: Option<u16>,
}

struct Reading<'a, F> {
    task: &'a Task,
    around: Surroundings<'a>,
    owner: F,
    offer: Offer,
}

// === impl Reading ===

impl<F: Fn(Ipv4Addr) -> Option<String>> Reading<'_, F> {
    fn discovery_ports(&mut self) {
        let task = self.task;
        let ports = task.discovery.iter().flat_map(|discovery| &discovery.ports);
        for port in ports.filter(|port| port.labels.iter().any(is_vip)) {
            for label in port.labels.iter().filter(|label| is_vip(label)) {
                if let Err(fault) = self.discovery_port(port, label) {
                    self.report(label, fault);
                }
            }
        }
    }

    fn discovery_port(&mut self, port: &Port, label: &Label) -> Result<(), Fault> {
        let number = u16::try_from(port.number).map_err(|_| Fault::Number)?;
        if number == 0 {
            return Ok(());
        }
        let protocol = Protocol::parse(port.protocol.as_deref())?;
        let scopes = port.labels.iter().filter(|label| &*label.key == "network-scope");
        let numbers = match scopes.map(|label| &*label.value).next() {
            Some("host") => self.mapped(protocol, Numbers { host: Some(number), container: None }),
            None | Some("container") => {
                self.mapped(protocol, Numbers { host: None, container: Some(number) })
            }
            Some(other) => return Err(Fault::Scope(shortened(other))),
        };
        self.enter(protocol, &label.value, numbers)
    }

    /// The ports that a framework's own labels mean by their place among the resources.
    fn resource_ports(&mut self) {
        let task = self.task;
        for label in task.labels.iter() {
            let Some(index) = resource_index(&label.key) else { continue };
            if let Err(fault) = self.resource_port(index, &label.value) {
                self.report(label, fault);
            }
        }
    }

    fn resource_port(&mut self, index: usize, value: &str) -> Result<(), Fault> {
        let (protocol, value) = match value.split_once("://") {
            Some(("tcp", value)) => (Protocol::Tcp, value),
            Some(("udp", value)) => (Protocol::Udp, value),
            _ => return Err(Fault::Scheme),
        };
        let port = self.task.host_ports().nth(index).ok_or(Fault::NoSuchPort)?;
        let numbers = self.mapped(protocol, Numbers { host: Some(port), container: None });
        self.enter(protocol, value, numbers)
    }

    /// With the other number, where the task's container maps one to the other.
    fn mapped(&self, protocol: Protocol, numbers: Numbers) -> Numbers {
        let same = |one: &&cluster_events::picture::PortMapping| {
            Protocol::parse(one.protocol.as_deref()) == Ok(protocol)
                && (numbers.host.is_some_and(|host| one.host == host)
                    || numbers.container.is_some_and(|container| one.container == container))
        };
        match self.task.port_mappings().iter().filter(|one| one.host != 0).find(same) {
            Some(one) => Numbers { host: Some(one.host), container: Some(one.container) },
            None => numbers,
        }
    }

    fn enter(&mut self, protocol: Protocol, value: &str, numbers: Numbers) -> Result<(), Fault> {
        let asked = Asked::parse(value, self.around.framework)?;
        if let Host::Address(address) = asked.host
            && let Some(owner) = (self.owner)(address)
        {
            return Err(Fault::Taken(address, owner));
        }
        let backends = self.backends(numbers);
        if backends.is_empty() {
            return Err(Fault::Unreachable);
        }
        let service = Service { host: asked.host, protocol, port: asked.port };
        let entries = backends.into_iter().map(|backend| (service.clone(), backend));
        self.offer.entries.extend(entries);
        Ok(())
    }

    /// The agent's address and the port of the host if there is one, else each of the
    /// container's addresses.
    fn backends(&self, numbers: Numbers) -> Vec<Backend> {
        let agent = self.around.agent;
        let told = self.task.network.addresses.iter();
        let addresses: Vec<Ipv4Addr> = told.filter_map(v4).collect();
        // Where a task has its host's network, all its numbers are the host's.
        let own = addresses.iter().copied().find(|address| *address != agent);
        if let Some(host) = numbers.host {
            let inside = own.zip(numbers.container);
            let inside = inside.filter(|_| self.task.runtime != Runtime::Docker);
            let inside = inside.map(|(address, port)| SocketAddrV4::new(address, port));
            return vec![Backend { at: SocketAddrV4::new(agent, host), agent, inside }];
        }
        let port = numbers.container.unwrap_or_default();
        // One that tells nothing of a network has its host's; one with IPv6 only has its own.
        let host = self.task.network.addresses.is_empty().then_some(agent);
        let all = addresses.into_iter().chain(host);
        all.map(|address| Backend { at: SocketAddrV4::new(address, port), agent, inside: None })
            .collect()
    }

    fn report(&mut self, label: &Label, fault: Fault) {
        self.offer.problems.push(Problem {
            framework: shortened(self.around.framework),
            task: shortened(&self.task.name),
            key: shortened(&label.key),
            value: shortened(&label.value),
            fault,
        });
    }
}

fn v4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
