//! Reading containers, volumes, networks and ports.

use super::{
    legacy::OldDocker,
    names::{is_network_name, is_port_name},
    shape::{
        At, Fields, boolean, few, int_in, labels, list, long, matching, name, port, string,
        strings, word,
    },
    words,
};
use crate::{
    app::{
        Constraint, ContainerKind, DiskKind, Docker, IpcInfo, LinuxInfo, Network, NetworkMode,
        PersistentVolume, PortDefinition, PortMapping, Protocol, Seccomp, Volume, VolumeSource,
    },
    update::ContainerUpdate,
};
use serde_json::{Map, Value};

/// The container, and what its `docker` says in old words.
pub(super) fn container(value: &Value, at: At<'_>) -> Option<(ContainerUpdate, OldDocker)> {
    let fields = Fields::of(value, at)?;
    let kind = fields.get("type", |v, at| word(v, at, words::ENGINES));
    let kind = kind.unwrap_or(ContainerKind::Docker);
    let docker = fields.get("docker", |v, at| {
        let fields = Fields::of(v, at)?;
        Some((docker(&fields, kind), OldDocker::read(&fields, kind)))
    });
    let (docker, old) = docker.map_or((None, OldDocker::default()), |(new, old)| (new, old));
    let linux_info = fields.get("linuxInfo", linux_info);
    let container = ContainerUpdate {
        kind,
        docker,
        volumes: fields.get("volumes", volumes).unwrap_or_default(),
        port_mappings: fields.get("portMappings", |v, at| list(v, at, port_mapping)),
        linux_info: linux_info.filter(|_| kind == ContainerKind::Mesos),
    };
    Some((container, old))
}

fn docker(fields: &Fields<'_>, kind: ContainerKind) -> Option<Docker> {
    let parameters = fields.get("parameters", |v, at| list(v, at, parameter)).unwrap_or_default();
    let privileged = fields.get("privileged", boolean).unwrap_or(false);
    let force_pull_image = fields.get("forcePullImage", boolean).unwrap_or(false);
    let pull_config = fields.get("pullConfig", |v, at| Fields::of(v, at)?.need("secret", name));
    // The other engine has neither parameters nor privileges.
    let by_docker = kind == ContainerKind::Docker;
    Some(Docker {
        image: fields.need("image", name)?,
        force_pull_image,
        privileged: privileged && by_docker,
        parameters: if by_docker { parameters } else { Vec::new() },
        pull_config,
    })
}

fn parameter(value: &Value, at: At<'_>) -> Option<(String, String)> {
    let fields = Fields::of(value, at)?;
    let (key, value) = (fields.need("key", name), fields.need("value", string));
    Some((key?, value?))
}

fn linux_info(value: &Value, at: At<'_>) -> Option<LinuxInfo> {
    let fields = Fields::of(value, at)?;
    let seccomp = fields.get("seccomp", |v, at| {
        let fields = Fields::of(v, at)?;
        Some(Seccomp {
            profile_name: fields.get("profileName", string),
            unconfined: fields.get("unconfined", boolean).unwrap_or(false),
        })
    });
    let ipc_info = fields.get("ipcInfo", |v, at| {
        const MODES: &[(&str, &str)] = &[("PRIVATE", "PRIVATE"), ("SHARE_PARENT", "SHARE_PARENT")];
        let fields = Fields::of(v, at)?;
        let mode = fields.need("mode", |v, at| word(v, at, MODES));
        let size = |v: &Value, at: At<'_>| int_in(v, at, 0, i32::MAX);
        let shm_size = fields.get("shmSize", size).and_then(|size| u64::try_from(size).ok());
        Some(IpcInfo { mode: mode?.to_owned(), shm_size })
    });
    Some(LinuxInfo { seccomp, ipc_info })
}

// === volumes ===

/// No host mounts more, and their constraints have to be compiled.
const MOST_VOLUMES: usize = 500;

fn volumes(value: &Value, at: At<'_>) -> Option<Vec<Volume>> {
    if value.as_array().is_some_and(|volumes| volumes.len() > MOST_VOLUMES) {
        return at.wrong("error.maxLength");
    }
    list(value, at, volume)
}

fn volume(value: &Value, at: At<'_>) -> Option<Volume> {
    let fields = Fields::of(value, at)?;
    let container_path = fields.need("containerPath", name);
    let mode = |fields: &Fields<'_>| fields.need("mode", |v, at| word(v, at, words::VOLUME_MODES));
    let (mode, source) = if fields.raw("persistent").is_some() {
        (mode(&fields), fields.get("persistent", persistent).map(VolumeSource::Persistent))
    } else if fields.raw("external").is_some() {
        (mode(&fields), fields.get("external", external).map(VolumeSource::External))
    } else if fields.raw("secret").is_some() {
        let source = fields.get("secret", name).map(VolumeSource::Secret)?;
        return Some(Volume { container_path: container_path?, mode: None, source });
    } else {
        (mode(&fields), fields.need("hostPath", name).map(VolumeSource::Host))
    };
    Some(Volume { container_path: container_path?, mode: Some(mode?), source: source? })
}

fn persistent(value: &Value, at: At<'_>) -> Option<PersistentVolume> {
    let fields = Fields::of(value, at)?;
    let profile_name = fields.get("profileName", string);
    let kind = fields.get("type", |v, at| word(v, at, words::DISKS));
    // Disks with a profile are made by somebody else and mounted.
    let default = if profile_name.is_some() { DiskKind::Mount } else { DiskKind::Root };
    let constraints = fields.get("constraints", |v, at| few(v, at, 8, volume_constraint));
    Some(PersistentVolume {
        kind: kind.unwrap_or(default),
        size: fields.need("size", long)?,
        max_size: fields.get("maxSize", long),
        profile_name,
        constraints: constraints.unwrap_or_default(),
    })
}

fn volume_constraint(value: &Value, at: At<'_>) -> Option<Constraint> {
    let parts = strings(value, at)?;
    Constraint::parse_for_volume(&parts).map_err(|error| at.problem(error)).ok()
}

/// An external volume, in the order and with the defaults of the original's printing.
fn external(value: &Value, at: At<'_>) -> Option<Map<String, Value>> {
    let fields = Fields::of(value, at)?;
    let provider = fields.get("provider", string);
    if provider.as_deref() == Some("csi") {
        fields.need("name", string)?;
        fields.need("options", |v, at| Fields::of(v, at)?.need("pluginName", name))?;
        return value.as_object().cloned();
    }
    let mut kept = Map::new();
    let mut keep = |name: &str, value: Option<Value>| {
        value.map(|value| kept.insert(name.to_owned(), value));
    };
    keep("size", fields.get("size", long).map(Value::from));
    keep("name", fields.get("name", string).map(Value::from));
    keep("provider", provider.map(Value::from));
    let options = fields.get("options", labels).filter(|options| !options.is_empty());
    keep("options", options.map(|options| serde_json::json!(options)));
    keep("shared", Some(fields.get("shared", boolean).unwrap_or(false).into()));
    Some(kept)
}

// === networks and ports ===

pub(super) fn network(value: &Value, at: At<'_>) -> Option<Network> {
    let fields = Fields::of(value, at)?;
    let mode = fields.get("mode", |v, at| word(v, at, words::NETWORKS));
    Some(Network {
        mode: mode.unwrap_or(NetworkMode::Container),
        name: fields.get("name", |v, at| matching(v, at, is_network_name)),
        labels: fields.get("labels", labels).unwrap_or_default(),
    })
}

pub(super) fn port_definition(value: &Value, at: At<'_>) -> Option<PortDefinition> {
    let fields = Fields::of(value, at)?;
    Some(PortDefinition {
        port: fields.get("port", port).unwrap_or(0),
        protocol: protocol(&fields),
        name: fields.get("name", port_name),
        labels: fields.get("labels", labels).unwrap_or_default(),
    })
}

pub(super) fn port_mapping(value: &Value, at: At<'_>) -> Option<PortMapping> {
    let fields = Fields::of(value, at)?;
    let names = fields.get("networkNames", |v, at| list(v, at, network_name));
    Some(PortMapping {
        container_port: fields.get("containerPort", port).unwrap_or(0),
        host_port: fields.get("hostPort", port),
        service_port: fields.get("servicePort", port).unwrap_or(0),
        protocol: protocol(&fields),
        name: fields.get("name", port_name),
        labels: fields.get("labels", labels).unwrap_or_default(),
        network_names: names.unwrap_or_default(),
    })
}

pub(super) fn protocol(fields: &Fields<'_>) -> Protocol {
    // Both orders are written, though only one is documented.
    const BOTH: &[(&str, Protocol)] = &[("tcp,udp", Protocol::Both)];
    if fields.raw("protocol").and_then(Value::as_str) == Some("tcp,udp") {
        return fields.get("protocol", |v, at| word(v, at, BOTH)).unwrap_or(Protocol::Both);
    }
    fields.get("protocol", |v, at| word(v, at, words::PROTOCOLS)).unwrap_or(Protocol::Tcp)
}

pub(super) fn port_name(value: &Value, at: At<'_>) -> Option<String> {
    matching(value, at, is_port_name)
}

fn network_name(value: &Value, at: At<'_>) -> Option<String> {
    matching(value, at, |text| text.len() <= 63 && is_port_name(text))
}
