//! From a parsed body to an app: every default is filled in.

use crate::{
    App, AppUpdate, PathId, Settings, Timestamp,
    app::{
        Container, ContainerKind, KillSelection, Network, NetworkMode, PortDefinition, PortMapping,
        Protocol, UnreachableStrategy, UpgradeStrategy, VersionInfo, Volume, VolumeSource,
    },
    update::ContainerUpdate,
};
use std::collections::{BTreeMap, BTreeSet};

/// The app that `update` describes by itself. Total: what contradicts itself is found by
/// validation, not here.
pub(crate) fn assemble(update: AppUpdate, id: PathId, settings: &Settings) -> App {
    let networks = networks(update.networks, settings);
    let volumes = update.container.as_ref().map_or(&[][..], |container| &container.volumes);
    let upgrade = update.upgrade_strategy.unwrap_or_else(|| default_upgrade(volumes));
    let unreachable = update.unreachable_strategy.unwrap_or_else(|| default_unreachable(volumes));
    let declared = update.port_definitions.as_ref().map_or(0, Vec::len);
    let host = networks.iter().all(|network| network.mode == NetworkMode::Host);
    App {
        cmd: update.cmd,
        args: update.args.unwrap_or_default(),
        instances: update.instances.unwrap_or(1),
        cpus: update.cpus.unwrap_or(1.0),
        mem: update.mem.unwrap_or(128.0),
        disk: update.disk.unwrap_or(0.0),
        gpus: update.gpus.unwrap_or(0),
        resource_limits: update.resource_limits,
        executor: update.executor.unwrap_or_default(),
        executor_resources: update.executor_resources,
        user: update.user,
        tty: update.tty,
        env: update.env.unwrap_or_default(),
        secrets: update.secrets.unwrap_or_default(),
        labels: update.labels.unwrap_or_default(),
        dependencies: dependencies(update.dependencies),
        constraints: update.constraints.unwrap_or_default(),
        container: container(update.container, &networks, declared),
        port_definitions: port_definitions(update.port_definitions, host),
        // It is about ports of the host only.
        require_ports: host && update.require_ports.unwrap_or(false),
        networks,
        fetch: update.fetch.unwrap_or_default(),
        health_checks: update.health_checks.unwrap_or_default(),
        check: update.check,
        readiness_checks: update.readiness_checks.unwrap_or_default(),
        backoff_seconds: update.backoff_seconds.unwrap_or(1.0),
        backoff_factor: update.backoff_factor.unwrap_or(1.15),
        max_launch_delay_seconds: update.max_launch_delay_seconds.unwrap_or(300.0),
        upgrade_strategy: upgrade,
        task_kill_grace_period_seconds: update.task_kill_grace_period_seconds,
        kill_selection: update.kill_selection.unwrap_or(KillSelection::YoungestFirst),
        unreachable_strategy: unreachable,
        role: update.role.unwrap_or_else(|| settings.mesos_role.clone()),
        accepted_resource_roles: update.accepted_resource_roles,
        version: Timestamp::default(),
        version_info: VersionInfo::default(),
        id,
    }
}

/// Ids that cannot be read have been noted when they were resolved.
fn dependencies(texts: Option<Vec<String>>) -> BTreeSet<PathId> {
    texts.unwrap_or_default().iter().filter_map(|text| PathId::parse(text).ok()).collect()
}

fn networks(given: Option<Vec<Network>>, settings: &Settings) -> Vec<Network> {
    let Some(mut networks) = given.filter(|networks| !networks.is_empty()) else {
        return vec![Network::host()];
    };
    for network in &mut networks {
        if network.mode == NetworkMode::Container && network.name.is_none() {
            network.name.clone_from(&settings.default_network_name);
        }
    }
    networks
}

fn default_upgrade(volumes: &[Volume]) -> UpgradeStrategy {
    let bound = |volume: &Volume| {
        matches!(volume.source, VolumeSource::Persistent(_) | VolumeSource::External(_))
    };
    if volumes.iter().any(bound) {
        // Two instances cannot have one volume.
        return UpgradeStrategy { minimum_health_capacity: 0.5, maximum_over_capacity: 0.0 };
    }
    UpgradeStrategy { minimum_health_capacity: 1.0, maximum_over_capacity: 1.0 }
}

fn default_unreachable(volumes: &[Volume]) -> UnreachableStrategy {
    if volumes.iter().any(|volume| matches!(volume.source, VolumeSource::Persistent(_))) {
        return UnreachableStrategy::Disabled;
    }
    UnreachableStrategy::After { inactive_seconds: 0, expunge_seconds: 0 }
}

fn port_definitions(given: Option<Vec<PortDefinition>>, host: bool) -> Vec<PortDefinition> {
    if !host {
        return Vec::new();
    }
    given.unwrap_or_else(|| {
        let name = Some("default".to_owned());
        vec![PortDefinition { port: 0, protocol: Protocol::Tcp, name, labels: BTreeMap::new() }]
    })
}

/// The container with its port mappings. `declared`: how many ports there were with host
/// networking; there are at least as many afterwards.
fn container(
    given: Option<ContainerUpdate>,
    networks: &[Network],
    declared: usize,
) -> Option<Container> {
    let host = networks.iter().all(|network| network.mode == NetworkMode::Host);
    // Another network needs a container, if only an empty one; that has just the default port.
    let declared = if given.is_some() { declared } else { 0 };
    let given = given.or_else(|| (!host).then(ContainerUpdate::empty))?;
    let mut mappings = match given.port_mappings {
        _ if host => Vec::new(),
        Some(mappings) => mappings,
        None => vec![mapping(Some("default"))],
    };
    if !host {
        let missing = declared.saturating_sub(mappings.len());
        mappings.extend(std::iter::repeat_with(|| mapping(None)).take(missing));
    }
    if networks.iter().any(|network| network.mode == NetworkMode::Bridge) {
        for mapping in &mut mappings {
            mapping.host_port.get_or_insert(0);
        }
    }
    Some(Container {
        kind: given.kind,
        docker: given.docker,
        volumes: given.volumes,
        port_mappings: mappings,
        linux_info: given.linux_info,
    })
}

fn mapping(name: Option<&str>) -> PortMapping {
    PortMapping {
        container_port: 0,
        host_port: None,
        service_port: 0,
        protocol: Protocol::Tcp,
        name: name.map(str::to_owned),
        labels: BTreeMap::new(),
        network_names: Vec::new(),
    }
}

// === impl ContainerUpdate ===

impl ContainerUpdate {
    /// A container of the Mesos kind with nothing in it.
    pub(crate) fn empty() -> Self {
        Self {
            kind: ContainerKind::Mesos,
            docker: None,
            volumes: Vec::new(),
            port_mappings: None,
            linux_info: None,
        }
    }
}
