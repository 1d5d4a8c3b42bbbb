//! Fields of older versions, translated on the way in: `uris`, `ports`, `ipAddress`,
//! `container.docker.network`, `container.docker.portMappings`.
//!
//! Where old and new words contradict each other that is noted, and the new ones are taken.

use super::{
    container::{port_mapping, port_name, protocol},
    names::{is_archive, is_uri},
    shape::{At, Fields, labels, list, name, port, strings, word},
};
use crate::{
    app::{Artifact, ContainerKind, Network, NetworkMode, PortDefinition, PortMapping, Protocol},
    update::ContainerUpdate,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The name of the bridge that stands for bridge mode; nobody configures another.
const MESOS_BRIDGE: &str = "mesos-bridge";

/// What old fields of an app say.
pub(super) struct Old {
    pub(super) ip_address: Option<IpAddress>,
    ports: Option<Vec<u16>>,
}

/// `ipAddress`.
pub(super) struct IpAddress {
    network_name: Option<String>,
    labels: BTreeMap<String, String>,
    /// Of `discovery`.
    ports: Option<Vec<PortMapping>>,
}

/// What old fields of `container.docker` say.
#[derive(Default)]
pub(super) struct OldDocker {
    network: Option<OldNetwork>,
    port_mappings: Option<Vec<PortMapping>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OldNetwork {
    Bridge,
    Host,
    None,
    User,
}

const OLD_NETWORKS: &[(&str, OldNetwork)] = &[
    ("BRIDGE", OldNetwork::Bridge),
    ("HOST", OldNetwork::Host),
    ("NONE", OldNetwork::None),
    ("USER", OldNetwork::User),
];

// === impl Old ===

impl Old {
    pub(super) fn port_definitions(&self) -> Option<Vec<PortDefinition>> {
        let definition = |port: &u16| PortDefinition {
            port: *port,
            protocol: Protocol::Tcp,
            name: None,
            labels: BTreeMap::new(),
        };
        Some(self.ports.as_ref()?.iter().map(definition).collect())
    }
}

pub(super) fn read(fields: &Fields<'_>) -> Old {
    let ip_address = fields.get("ipAddress", ip_address);
    Old { ip_address, ports: fields.get("ports", |v, at| list(v, at, port)) }
}

fn ip_address(value: &Value, at: At<'_>) -> Option<IpAddress> {
    let fields = Fields::of(value, at)?;
    // Read to be checked; the original ignores it too.
    fields.get("groups", strings);
    let discovery = fields.get("discovery", |v, at| {
        let ports = Fields::of(v, at)?.get("ports", |v, at| list(v, at, discovery_port));
        Some(ports.unwrap_or_default())
    });
    Some(IpAddress {
        network_name: fields.get("networkName", name),
        labels: fields.get("labels", labels).unwrap_or_default(),
        ports: discovery,
    })
}

fn discovery_port(value: &Value, at: At<'_>) -> Option<PortMapping> {
    let fields = Fields::of(value, at)?;
    Some(PortMapping {
        container_port: fields.get("number", port).unwrap_or(0),
        // What was meant was never published on the host.
        host_port: None,
        service_port: 0,
        protocol: protocol(&fields),
        name: Some(fields.need("name", port_name)?),
        labels: fields.get("labels", labels).unwrap_or_default(),
        network_names: Vec::new(),
    })
}

// === impl OldDocker ===

impl OldDocker {
    pub(super) fn read(fields: &Fields<'_>, kind: ContainerKind) -> Self {
        let must_be_empty = |name: &str, present: bool| {
            if present {
                fields.at.field(name).problem("must be empty");
            }
        };
        must_be_empty("credential", fields.raw("credential").is_some());
        let network = fields.get("network", |v, at| {
            let network = word(v, at, OLD_NETWORKS)?;
            if network == OldNetwork::None && kind == ContainerKind::Docker {
                at.problem("unsupported docker network type NONE");
            }
            Some(network)
        });
        let port_mappings = fields.get("portMappings", |v, at| list(v, at, port_mapping));
        if kind == ContainerKind::Mesos {
            let parameters = fields.raw("parameters").and_then(Value::as_array);
            must_be_empty("network", network.is_some());
            must_be_empty("parameters", parameters.is_some_and(|list| !list.is_empty()));
            must_be_empty("portMappings", port_mappings.is_some());
        }
        Self { network, port_mappings }
    }
}

// === translations ===

/// `uris` are artifacts of which the name says whether they are extracted.
pub(super) fn fetch(
    fields: &Fields<'_>,
    uris: Option<Vec<String>>,
    fetch: Option<Vec<Artifact>>,
) -> Option<Vec<Artifact>> {
    let Some(uris) = uris.filter(|uris| !uris.is_empty()) else { return fetch };
    let at = fields.at.field("uris");
    if fetch.as_ref().is_some_and(|fetch| !fetch.is_empty()) {
        at.problem("may not be set in conjunction with fetch");
        return fetch;
    }
    for (index, _) in uris.iter().enumerate().filter(|(_, uri)| !is_uri(uri)) {
        at.index(index).problem("URI has invalid syntax.");
    }
    let artifact = |uri: String| Artifact {
        extract: is_archive(&uri),
        uri,
        executable: false,
        cache: false,
        dest_path: None,
    };
    Some(uris.into_iter().map(artifact).collect())
}

/// Contradictions between `ports`, `portDefinitions` and `ipAddress`.
pub(super) fn check_ports(fields: &Fields<'_>, old: &Old, definitions: Option<&[PortDefinition]>) {
    let ports = old.ports.as_deref().unwrap_or_default();
    let mut fixed: Vec<u16> = ports.iter().copied().filter(|port| *port != 0).collect();
    fixed.sort_unstable();
    if fixed.windows(2).any(|pair| pair.first() == pair.last()) {
        fields.at.problem("ports must be unique");
    }
    let no_ports = ports.is_empty() && definitions.is_none_or(<[_]>::is_empty);
    if old.ip_address.is_some() && !no_ports {
        fields.at.problem("cannot specify both an IP address and port");
    }
    if let (Some(ports), Some(definitions)) = (&old.ports, definitions)
        && !definitions.iter().map(|definition| definition.port).eq(ports.iter().copied())
    {
        fields.at.problem("cannot specify both ports and port definitions");
    }
}

/// The container, with the port mappings that were written elsewhere.
pub(super) fn container(
    fields: &Fields<'_>,
    container: Option<ContainerUpdate>,
    docker: &OldDocker,
    ip_address: Option<&IpAddress>,
) -> Option<ContainerUpdate> {
    // An address of its own needs a container, if only an empty one.
    let mut container = container.or_else(|| ip_address.map(|_| ContainerUpdate::empty()))?;
    let at = fields.at.field("container");
    if let Some(mappings) = &docker.port_mappings {
        if container.port_mappings.is_some() && !mappings.is_empty() {
            at.problem("cannot specify both portMappings and docker.portMappings");
        } else if container.port_mappings.is_none() {
            container.port_mappings = Some(mappings.clone());
        }
    }
    let Some(discovery) = ip_address.and_then(|ip| ip.ports.as_ref()) else {
        return Some(container);
    };
    if container.kind == ContainerKind::Docker {
        let text = "ipAddress/discovery is not allowed for Docker containers";
        fields.at.field("ipAddress").problem(text);
    } else if !discovery.is_empty() && container.port_mappings.is_some() {
        at.problem("container.portMappings and ipAddress.discovery.ports must not both be set");
    } else if !discovery.is_empty() {
        container.port_mappings = Some(discovery.clone());
    }
    Some(container)
}

/// The networks, or those that `ipAddress` and `container.docker.network` stand for.
pub(super) fn networks(
    fields: &Fields<'_>,
    networks: Option<Vec<Network>>,
    ip_address: Option<&IpAddress>,
    docker: &OldDocker,
) -> Option<Vec<Network>> {
    if networks.as_ref().is_some_and(|networks| !networks.is_empty()) {
        if docker.network.is_some() {
            let text = "must not specify both container.docker.network and networks";
            fields.at.problem(text);
        }
        if ip_address.is_some() {
            fields.at.problem("must not specify both networks and ipAddress");
        }
        return networks;
    }
    let labels = ip_address.map(|ip| ip.labels.clone()).unwrap_or_default();
    let name = ip_address.and_then(|ip| ip.network_name.clone());
    let (mode, name) = match (docker.network, ip_address) {
        (None, None) => return networks,
        (Some(OldNetwork::Host | OldNetwork::None), _) => {
            return Some(vec![Network::host()]);
        }
        (Some(OldNetwork::User), _) => (NetworkMode::Container, name),
        (Some(OldNetwork::Bridge), _) => (NetworkMode::Bridge, None),
        (None, Some(_)) if name.as_deref() == Some(MESOS_BRIDGE) => (NetworkMode::Bridge, None),
        (None, Some(_)) => (NetworkMode::Container, name),
    };
    Some(vec![Network { mode, name, labels }])
}
