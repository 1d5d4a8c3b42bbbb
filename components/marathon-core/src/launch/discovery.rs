//! What service discovery is told about an instance.

use super::task::labels;
use crate::health::is_host_mode;
use marathon_model::app::{App, NetworkMode, PortMapping, Protocol};
use mesos_messages::v1;
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// `ports` are the host ports, in the order of the app's ports.
pub(super) fn info(app: &App, ports: &[Option<u16>]) -> v1::DiscoveryInfo {
    let all = if is_host_mode(app) { definitions(app, ports) } else { mappings(app, ports) };
    v1::DiscoveryInfo {
        visibility: v1::discovery_info::Visibility::Framework.into(),
        name: Some(app.id.reversed()),
        ports: Some(v1::Ports { ports: all }),
        ..v1::DiscoveryInfo::default()
    }
}

fn definitions(app: &App, ports: &[Option<u16>]) -> Vec<v1::Port> {
    let mut all = Vec::new();
    for (definition, number) in app.port_definitions.iter().zip(ports) {
        let number = number.unwrap_or(definition.port);
        for protocol in protocols(definition.protocol).iter().copied() {
            all.push(port(number, definition.name.as_ref(), protocol, &definition.labels));
        }
    }
    all
}

fn mappings(app: &App, ports: &[Option<u16>]) -> Vec<v1::Port> {
    let mut all = Vec::new();
    let mappings = app.container.iter().flat_map(|container| &container.port_mappings);
    for (mapping, host_port) in mappings.zip(ports) {
        match host_port {
            Some(number) => {
                let labels = scoped(&mapping.labels, "host", None);
                for protocol in protocols(mapping.protocol).iter().copied() {
                    all.push(port(*number, mapping.name.as_ref(), protocol, &labels));
                }
            }
            None => inside(app, mapping, &mut all),
        }
    }
    all
}

/// A port that is not published: one entry per protocol and network.
fn inside(app: &App, mapping: &PortMapping, all: &mut Vec<v1::Port>) {
    let container = app.networks.iter().filter(|one| one.mode == NetworkMode::Container);
    let names: Vec<&str> = if mapping.network_names.is_empty() {
        container.filter_map(|network| network.name.as_deref()).collect()
    } else {
        mapping.network_names.iter().map(String::as_str).collect()
    };
    for protocol in protocols(mapping.protocol).iter().copied() {
        for name in &names {
            let labels = scoped(&mapping.labels, "container", Some(name));
            all.push(port(mapping.container_port, mapping.name.as_ref(), protocol, &labels));
        }
    }
}

fn scoped(labels: &Labels, scope: &str, network: Option<&str>) -> Labels {
    let mut labels = labels.clone();
    labels.insert("network-scope".to_owned(), scope.to_owned());
    if let Some(network) = network {
        labels.insert("network-name".to_owned(), network.to_owned());
    }
    labels
}

fn port(number: u16, name: Option<&String>, protocol: &str, all: &Labels) -> v1::Port {
    v1::Port {
        number: number.into(),
        name: name.cloned(),
        protocol: Some(protocol.to_owned()),
        labels: labels(all),
        ..v1::Port::default()
    }
}

/// One by one; both in the order in which they are written together.
pub(super) fn protocols(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Tcp => &["tcp"],
        Protocol::Udp => &["udp"],
        Protocol::Both => &["udp", "tcp"],
    }
}
