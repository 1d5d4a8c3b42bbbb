//! An app: the normalised specification of a service. Reading and printing are in `json`.

use crate::{PathId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What Marathon calls an app definition, with every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    pub id: PathId,
    pub cmd: Option<String>,
    pub args: Vec<String>,
    pub instances: u32,
    pub cpus: f64,
    /// MiB.
    pub mem: f64,
    /// MiB.
    pub disk: f64,
    pub gpus: u32,
    pub resource_limits: Option<ResourceLimits>,
    pub executor: String,
    pub executor_resources: Option<ExecutorResources>,
    pub user: Option<String>,
    pub tty: Option<bool>,
    pub env: BTreeMap<String, EnvValue>,
    /// Name to source.
    pub secrets: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    pub dependencies: BTreeSet<PathId>,
    pub constraints: Vec<Constraint>,
    pub container: Option<Container>,
    /// Never empty: host mode when nothing else was asked for.
    pub networks: Vec<Network>,
    /// Only with host networking; service ports are assigned, never 0.
    pub port_definitions: Vec<PortDefinition>,
    pub require_ports: bool,
    pub fetch: Vec<Artifact>,
    pub health_checks: Vec<HealthCheck>,
    pub check: Option<Check>,
    pub readiness_checks: Vec<ReadinessCheck>,
    pub backoff_seconds: f64,
    pub backoff_factor: f64,
    pub max_launch_delay_seconds: f64,
    pub upgrade_strategy: UpgradeStrategy,
    pub task_kill_grace_period_seconds: Option<u32>,
    pub kill_selection: KillSelection,
    pub unreachable_strategy: UnreachableStrategy,
    pub role: String,
    /// Unset means both `*` and the app's role.
    pub accepted_resource_roles: Option<BTreeSet<String>>,
    pub version: Timestamp,
    pub version_info: VersionInfo,
}

/// When an app was changed last, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionInfo {
    pub last_scaling_at: Timestamp,
    pub last_config_change_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ResourceLimits {
    pub cpus: Option<Limit>,
    pub mem: Option<Limit>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Unlimited,
    Value(f64),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExecutorResources {
    pub cpus: f64,
    pub mem: f64,
    pub disk: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    Text(String),
    /// The name of a declared secret.
    Secret(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Constraint {
    pub field: String,
    pub operator: Operator,
    pub value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Unique,
    Cluster,
    GroupBy,
    Like,
    Unlike,
    MaxPer,
    Is,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    pub kind: ContainerKind,
    pub docker: Option<Docker>,
    pub volumes: Vec<Volume>,
    /// Only without host networking.
    pub port_mappings: Vec<PortMapping>,
    pub linux_info: Option<LinuxInfo>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerKind {
    Docker,
    Mesos,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    pub image: String,
    pub force_pull_image: bool,
    pub privileged: bool,
    pub parameters: Vec<(String, String)>,
    /// The name of a declared secret.
    pub pull_config: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    pub container_path: String,
    pub mode: Option<VolumeMode>,
    pub source: VolumeSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeMode {
    ReadWrite,
    ReadOnly,
}

#[derive(Clone, Debug, PartialEq)]
pub enum VolumeSource {
    Host(String),
    Persistent(PersistentVolume),
    /// Kept as it was written.
    External(serde_json::Map<String, serde_json::Value>),
    Secret(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct PersistentVolume {
    pub kind: DiskKind,
    /// MiB.
    pub size: u64,
    pub max_size: Option<u64>,
    pub profile_name: Option<String>,
    pub constraints: Vec<Constraint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskKind {
    Root,
    Path,
    Mount,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinuxInfo {
    pub seccomp: Option<Seccomp>,
    pub ipc_info: Option<IpcInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seccomp {
    pub profile_name: Option<String>,
    pub unconfined: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpcInfo {
    /// `PRIVATE` or `SHARE_PARENT`.
    pub mode: String,
    pub shm_size: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub mode: NetworkMode,
    pub name: Option<String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    Host,
    Bridge,
    Container,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortDefinition {
    /// The service port, and with `requirePorts` the host port.
    pub port: u16,
    pub protocol: Protocol,
    pub name: Option<String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    pub container_port: u16,
    /// None: not published. 0: any.
    pub host_port: Option<u16>,
    pub service_port: u16,
    pub protocol: Protocol,
    pub name: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub network_names: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
    Both,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub uri: String,
    pub extract: bool,
    pub executable: bool,
    pub cache: bool,
    pub dest_path: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthCheck {
    pub probe: HealthProbe,
    pub grace_period_seconds: u64,
    pub interval_seconds: u64,
    pub timeout_seconds: u64,
    pub max_consecutive_failures: u32,
    pub delay_seconds: u64,
    /// `None` where the protocol has no such field.
    pub ignore_http1xx: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HealthProbe {
    /// By Marathon, over the network.
    Http { https: bool, path: Option<String>, port: PortRef },
    /// By Marathon, over the network.
    Tcp { port: PortRef },
    /// By the executor.
    MesosHttp { https: bool, path: Option<String>, port: PortRef, ipv6: bool },
    /// By the executor.
    MesosTcp { port: PortRef, ipv6: bool },
    /// By the executor.
    Command(String),
}

/// Which port a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortRef {
    Index(u32),
    Number(u16),
}

/// Informational; never kills.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    pub probe: CheckProbe,
    pub interval_seconds: u64,
    pub timeout_seconds: u64,
    pub delay_seconds: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CheckProbe {
    Exec(CheckCommand),
    Http { path: Option<String>, scheme_https: bool, port: PortRef },
    Tcp { port: PortRef },
}

/// What a check runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckCommand {
    /// By `/bin/sh -c`.
    Shell(String),
    /// The program, then its arguments.
    Argv(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessCheck {
    pub name: String,
    pub https: bool,
    pub path: String,
    pub port_name: String,
    pub interval_seconds: u64,
    pub timeout_seconds: u64,
    pub http_status_codes_for_ready: BTreeSet<u16>,
    pub preserve_last_response: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpgradeStrategy {
    pub minimum_health_capacity: f64,
    pub maximum_over_capacity: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillSelection {
    YoungestFirst,
    OldestFirst,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreachableStrategy {
    Disabled,
    After { inactive_seconds: u64, expunge_seconds: u64 },
}

/// The label of an app that must never run twice, not even while it is replaced.
const SINGLE_INSTANCE: &str = "MARATHON_SINGLE_INSTANCE_APP";

// === impl App ===

impl App {
    /// Whether its tasks share the network of their hosts.
    pub fn is_host_networked(&self) -> bool {
        self.networks.iter().all(|network| network.mode == NetworkMode::Host)
    }

    /// Whether its instances stay where their volumes are.
    pub fn is_resident(&self) -> bool {
        self.volumes().any(|volume| matches!(volume.source, VolumeSource::Persistent(_)))
    }

    /// Whether it may never run twice.
    pub fn is_single_instance(&self) -> bool {
        self.labels.get(SINGLE_INSTANCE).is_some_and(|value| value == "true")
    }

    /// Whether its health is judged by Marathon, not by executors.
    pub fn has_marathon_health_checks(&self) -> bool {
        self.health_checks.iter().any(|check| !check.probe.by_executor())
    }

    /// The volumes of its container.
    pub fn volumes(&self) -> impl Iterator<Item = &Volume> {
        self.container.iter().flat_map(|container| &container.volumes)
    }

    /// The mappings of ports of its container; none with host networking.
    pub fn port_mappings(&self) -> &[PortMapping] {
        match &self.container {
            Some(container) if !self.is_host_networked() => &container.port_mappings,
            _ => &[],
        }
    }

    /// How many ports a task has: what port indices count.
    pub fn port_count(&self) -> usize {
        match self.port_mappings() {
            [] => self.port_definitions.len(),
            mappings => mappings.len(),
        }
    }

    /// Service ports, in the order of the ports; 0 where none is assigned yet.
    pub fn service_ports(&self) -> impl Iterator<Item = u16> {
        let mapped = self.port_mappings().iter().map(|mapping| mapping.service_port);
        mapped.chain(self.port_definitions.iter().map(|definition| definition.port))
    }

    /// Host ports that were asked for, in the order of the ports; none where a mapping is not
    /// published. 0 is any.
    pub fn host_ports(&self) -> impl Iterator<Item = Option<u16>> {
        let mapped = self.port_mappings().iter().map(|mapping| mapping.host_port);
        mapped.chain(self.port_definitions.iter().map(|definition| Some(definition.port)))
    }

    /// Names of ports.
    pub fn port_names(&self) -> impl Iterator<Item = &str> {
        let mapped = self.port_mappings().iter().map(|mapping| &mapping.name);
        let defined = self.port_definitions.iter().map(|definition| &definition.name);
        mapped.chain(defined).flatten().map(String::as_str)
    }
}

/// Whether an update changes more than the number of instances: every instance is replaced.
pub fn is_config_change(before: &App, after: &App) -> bool {
    // Every field is named, so that a new one is not forgotten.
    let App {
        instances: _,
        version: _,
        version_info: _,
        id,
        cmd,
        args,
        cpus,
        mem,
        disk,
        gpus,
        resource_limits,
        executor,
        executor_resources,
        user,
        tty,
        env,
        secrets,
        labels,
        dependencies,
        constraints,
        container,
        networks,
        port_definitions,
        require_ports,
        fetch,
        health_checks,
        check,
        readiness_checks,
        backoff_seconds,
        backoff_factor,
        max_launch_delay_seconds,
        upgrade_strategy,
        task_kill_grace_period_seconds,
        kill_selection,
        unreachable_strategy,
        role,
        accepted_resource_roles,
    } = before;
    let same = id == &after.id
        && cmd == &after.cmd
        && args == &after.args
        && cpus == &after.cpus
        && mem == &after.mem
        && disk == &after.disk
        && gpus == &after.gpus
        && resource_limits == &after.resource_limits
        && executor == &after.executor
        && executor_resources == &after.executor_resources
        && user == &after.user
        && tty == &after.tty
        && env == &after.env
        && secrets == &after.secrets
        && labels == &after.labels
        && dependencies == &after.dependencies
        && constraints == &after.constraints
        && container == &after.container
        && networks == &after.networks
        && port_definitions == &after.port_definitions
        && require_ports == &after.require_ports
        && fetch == &after.fetch
        && health_checks == &after.health_checks
        && check == &after.check
        && readiness_checks == &after.readiness_checks
        && backoff_seconds == &after.backoff_seconds
        && backoff_factor == &after.backoff_factor
        && max_launch_delay_seconds == &after.max_launch_delay_seconds
        && upgrade_strategy == &after.upgrade_strategy
        && task_kill_grace_period_seconds == &after.task_kill_grace_period_seconds
        && kill_selection == &after.kill_selection
        && unreachable_strategy == &after.unreachable_strategy
        && role == &after.role
        && accepted_resource_roles == &after.accepted_resource_roles;
    !same
}

// === impl HealthProbe ===

impl HealthProbe {
    /// Whether the executor does it.
    pub fn by_executor(&self) -> bool {
        !matches!(self, Self::Http { .. } | Self::Tcp { .. })
    }

    /// The port it is about.
    pub fn port(&self) -> Option<PortRef> {
        match self {
            Self::Http { port, .. }
            | Self::Tcp { port }
            | Self::MesosHttp { port, .. }
            | Self::MesosTcp { port, .. } => Some(*port),
            Self::Command(_) => None,
        }
    }
}

// === impl Network ===

impl Network {
    /// The network of the host.
    pub fn host() -> Self {
        Self { mode: NetworkMode::Host, name: None, labels: BTreeMap::new() }
    }
}
