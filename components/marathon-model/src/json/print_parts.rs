//! Printing the parts of an app.

use super::{
    print::{Entries, List, Number, optional, unless_empty},
    words,
};
use crate::app::{
    Artifact, Check, CheckCommand, CheckProbe, Constraint, Container, ContainerKind, Docker,
    EnvValue, HealthCheck, HealthProbe, Limit, LinuxInfo, Network, PersistentVolume,
    PortDefinition, PortMapping, PortRef, ReadinessCheck, ResourceLimits, Volume, VolumeSource,
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::collections::BTreeMap;

/// A type that prints a part of an app, without being how others print that part.
macro_rules! view {
    ($view:ident($inner:ty), |$value:ident, $map:ident| $body:expr) => {
        pub(super) struct $view<'a>(pub(super) &'a $inner);

        impl Serialize for $view<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self.0;
                let mut $map = serializer.serialize_map(None)?;
                $body
                $map.end()
            }
        }
    };
}

/// Constraints, each in its list form.
pub(super) struct Views<'a>(pub(super) &'a [Constraint]);

impl Serialize for Views<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|constraint| List(|| constraint.parts())))
    }
}

view!(EnvView(BTreeMap<String, EnvValue>), |env, map| {
    for (key, value) in env {
        match value {
            EnvValue::Text(text) => map.serialize_entry(key, text)?,
            EnvValue::Secret(name) => map.serialize_entry(key, &Entries(&[("secret", name)]))?,
        }
    }
});

view!(SecretView(BTreeMap<String, String>), |secrets, map| {
    for (key, source) in secrets {
        map.serialize_entry(key, &Entries(&[("source", source)]))?;
    }
});

pub(super) struct FetchView<'a>(pub(super) &'a [Artifact]);

impl Serialize for FetchView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ArtifactView))
    }
}

view!(ArtifactView(Artifact), |artifact, map| {
    map.serialize_entry("uri", &artifact.uri)?;
    map.serialize_entry("extract", &artifact.extract)?;
    map.serialize_entry("executable", &artifact.executable)?;
    map.serialize_entry("cache", &artifact.cache)?;
    optional(&mut map, "destPath", artifact.dest_path.as_ref())?;
});

view!(LimitsView(ResourceLimits), |limits, map| {
    optional(&mut map, "cpus", limits.cpus.as_ref().map(LimitView).as_ref())?;
    optional(&mut map, "mem", limits.mem.as_ref().map(LimitView).as_ref())?;
});

struct LimitView<'a>(&'a Limit);

impl Serialize for LimitView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Limit::Unlimited => serializer.serialize_str("unlimited"),
            Limit::Value(value) => Number(*value).serialize(serializer),
        }
    }
}

// === container ===

pub(super) struct ContainerView<'a> {
    pub(super) container: &'a Container,
    /// Whether port mappings mean anything.
    pub(super) ports: bool,
}

impl Serialize for ContainerView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let container = self.container;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", words::of(words::ENGINES, &container.kind))?;
        optional(&mut map, "docker", container.docker.as_ref().map(DockerView).as_ref())?;
        if container.kind == ContainerKind::Mesos {
            let info = container.linux_info.as_ref().map(LinuxInfoView);
            optional(&mut map, "linuxInfo", info.as_ref())?;
        }
        map.serialize_entry("volumes", &List(|| container.volumes.iter().map(VolumeView)))?;
        if self.ports {
            let mappings = List(|| container.port_mappings.iter().map(PortMappingView));
            map.serialize_entry("portMappings", &mappings)?;
        }
        map.end()
    }
}

view!(DockerView(Docker), |docker, map| {
    if let Some(secret) = &docker.pull_config {
        map.serialize_entry("pullConfig", &Entries(&[("secret", secret)]))?;
    }
    map.serialize_entry("forcePullImage", &docker.force_pull_image)?;
    map.serialize_entry("image", &docker.image)?;
    let parameters = List(|| {
        docker.parameters.iter().map(|(key, value)| Parameter([("key", key), ("value", value)]))
    });
    map.serialize_entry("parameters", &parameters)?;
    map.serialize_entry("privileged", &docker.privileged)?;
});

struct Parameter<'a>([(&'static str, &'a String); 2]);

impl Serialize for Parameter<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Entries(&self.0).serialize(serializer)
    }
}

view!(LinuxInfoView(LinuxInfo), |info, map| {
    if let Some(seccomp) = &info.seccomp {
        map.serialize_entry("seccomp", &SeccompView(seccomp))?;
    }
    if let Some(ipc) = &info.ipc_info {
        map.serialize_entry("ipcInfo", &IpcView(ipc))?;
    }
});

view!(SeccompView(crate::app::Seccomp), |seccomp, map| {
    optional(&mut map, "profileName", seccomp.profile_name.as_ref())?;
    map.serialize_entry("unconfined", &seccomp.unconfined)?;
});

view!(IpcView(crate::app::IpcInfo), |ipc, map| {
    map.serialize_entry("mode", &ipc.mode)?;
    optional(&mut map, "shmSize", ipc.shm_size.as_ref())?;
});

view!(VolumeView(Volume), |volume, map| {
    map.serialize_entry("containerPath", &volume.container_path)?;
    match &volume.source {
        VolumeSource::Host(path) => map.serialize_entry("hostPath", path)?,
        VolumeSource::Persistent(info) => map.serialize_entry("persistent", &DiskView(info))?,
        VolumeSource::External(info) => map.serialize_entry("external", info)?,
        VolumeSource::Secret(name) => map.serialize_entry("secret", name)?,
    }
    let mode = volume.mode.map(|mode| words::of(words::VOLUME_MODES, &mode));
    optional(&mut map, "mode", mode)?;
});

view!(DiskView(PersistentVolume), |disk, map| {
    map.serialize_entry("type", words::of(words::DISKS, &disk.kind))?;
    map.serialize_entry("size", &disk.size)?;
    optional(&mut map, "maxSize", disk.max_size.as_ref())?;
    optional(&mut map, "profileName", disk.profile_name.as_ref())?;
    map.serialize_entry("constraints", &Views(&disk.constraints))?;
});

// === networks and ports ===

view!(NetworkView(Network), |network, map| {
    optional(&mut map, "name", network.name.as_ref())?;
    map.serialize_entry("mode", words::of(words::NETWORKS, &network.mode))?;
    unless_empty(&mut map, "labels", &network.labels, network.labels.is_empty())?;
});

view!(PortDefinitionView(PortDefinition), |port, map| {
    map.serialize_entry("port", &port.port)?;
    unless_empty(&mut map, "labels", &port.labels, port.labels.is_empty())?;
    optional(&mut map, "name", port.name.as_ref())?;
    map.serialize_entry("protocol", words::of(words::PROTOCOLS, &port.protocol))?;
});

view!(PortMappingView(PortMapping), |port, map| {
    map.serialize_entry("containerPort", &port.container_port)?;
    optional(&mut map, "hostPort", port.host_port.as_ref())?;
    map.serialize_entry("labels", &port.labels)?;
    optional(&mut map, "name", port.name.as_ref())?;
    map.serialize_entry("protocol", words::of(words::PROTOCOLS, &port.protocol))?;
    map.serialize_entry("servicePort", &port.service_port)?;
    unless_empty(&mut map, "networkNames", &port.network_names, port.network_names.is_empty())?;
});

// === checks ===

/// What of a health check depends on its protocol.
struct ProbeFields<'a> {
    protocol: &'static str,
    path: Option<&'a String>,
    port: Option<PortRef>,
    ipv6: bool,
}

impl<'a> From<&'a HealthProbe> for ProbeFields<'a> {
    fn from(probe: &'a HealthProbe) -> Self {
        let pick = |https: bool, plain, secure| if https { secure } else { plain };
        let (protocol, path, port, ipv6) = match probe {
            HealthProbe::Http { https, path, port } => {
                (pick(*https, "HTTP", "HTTPS"), path.as_ref(), Some(*port), false)
            }
            HealthProbe::Tcp { port } => ("TCP", None, Some(*port), false),
            HealthProbe::MesosHttp { https, path, port, ipv6 } => {
                (pick(*https, "MESOS_HTTP", "MESOS_HTTPS"), path.as_ref(), Some(*port), *ipv6)
            }
            HealthProbe::MesosTcp { port, ipv6 } => ("MESOS_TCP", None, Some(*port), *ipv6),
            HealthProbe::Command(_) => ("COMMAND", None, None, false),
        };
        Self { protocol, path, port, ipv6 }
    }
}

fn port_ref<M: SerializeMap>(map: &mut M, port: PortRef) -> Result<(), M::Error> {
    match port {
        PortRef::Index(index) => map.serialize_entry("portIndex", &index),
        PortRef::Number(port) => map.serialize_entry("port", &port),
    }
}

view!(HealthCheckView(HealthCheck), |check, map| {
    let probe = ProbeFields::from(&check.probe);
    if let HealthProbe::Command(command) = &check.probe {
        map.serialize_entry("command", &Entries(&[("value", command)]))?;
    }
    map.serialize_entry("gracePeriodSeconds", &check.grace_period_seconds)?;
    optional(&mut map, "ignoreHttp1xx", check.ignore_http1xx.as_ref())?;
    map.serialize_entry("intervalSeconds", &check.interval_seconds)?;
    map.serialize_entry("maxConsecutiveFailures", &check.max_consecutive_failures)?;
    optional(&mut map, "path", probe.path)?;
    if let Some(port) = probe.port {
        port_ref(&mut map, port)?;
    }
    map.serialize_entry("protocol", probe.protocol)?;
    map.serialize_entry("ipProtocol", words::of(words::IP_PROTOCOLS, &probe.ipv6))?;
    map.serialize_entry("timeoutSeconds", &check.timeout_seconds)?;
    map.serialize_entry("delaySeconds", &check.delay_seconds)?;
});

view!(CheckView(Check), |check, map| {
    match &check.probe {
        CheckProbe::Exec(command) => map.serialize_entry("exec", &ExecView(command))?,
        probe @ CheckProbe::Http { .. } => map.serialize_entry("http", &PortCheckView(probe))?,
        probe @ CheckProbe::Tcp { .. } => map.serialize_entry("tcp", &PortCheckView(probe))?,
    }
    map.serialize_entry("intervalSeconds", &check.interval_seconds)?;
    map.serialize_entry("timeoutSeconds", &check.timeout_seconds)?;
    map.serialize_entry("delaySeconds", &check.delay_seconds)?;
});

view!(ExecView(CheckCommand), |command, map| {
    match command {
        CheckCommand::Shell(text) => {
            map.serialize_entry("command", &Entries(&[("shell", text)]))?;
        }
        CheckCommand::Argv(argv) => {
            map.serialize_entry("command", &Entries(&[("argv", argv)]))?;
        }
    }
});

view!(PortCheckView(CheckProbe), |probe, map| {
    match probe {
        CheckProbe::Exec(_) => {}
        CheckProbe::Tcp { port } => port_ref(&mut map, *port)?,
        CheckProbe::Http { path, scheme_https, port } => {
            port_ref(&mut map, *port)?;
            optional(&mut map, "path", path.as_ref())?;
            map.serialize_entry("scheme", words::of(words::SCHEMES, scheme_https))?;
        }
    }
});

view!(ReadinessCheckView(ReadinessCheck), |check, map| {
    map.serialize_entry("name", &check.name)?;
    map.serialize_entry("protocol", words::of(words::SCHEMES, &check.https))?;
    map.serialize_entry("path", &check.path)?;
    map.serialize_entry("portName", &check.port_name)?;
    map.serialize_entry("intervalSeconds", &check.interval_seconds)?;
    map.serialize_entry("timeoutSeconds", &check.timeout_seconds)?;
    map.serialize_entry("httpStatusCodesForReady", &check.http_status_codes_for_ready)?;
    map.serialize_entry("preserveLastResponse", &check.preserve_last_response)?;
});
