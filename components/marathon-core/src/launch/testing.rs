//! Apps and offers for the tests of this crate's matching and health.

use super::{LaunchRequest, LaunchSettings, Offer, RemainingOffer};
use marathon_model::{
    App, InstanceId, PathId, Timestamp,
    app::{
        Constraint, Container, ContainerKind, KillSelection, Network, NetworkMode, Operator,
        PortDefinition, PortMapping, Protocol, UnreachableStrategy, UpgradeStrategy, VersionInfo,
    },
};
use mesos_messages::{resources::Resources, v1};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use uuid::Uuid;

/// `/prod/web`, one cpu, 128 MiB, no ports.
pub(crate) fn app() -> App {
    App {
        id: PathId::parse("/prod/web").unwrap(),
        cmd: Some("sleep 100".to_owned()),
        args: Vec::new(),
        instances: 1,
        cpus: 1.0,
        mem: 128.0,
        disk: 0.0,
        gpus: 0,
        resource_limits: None,
        executor: String::new(),
        executor_resources: None,
        user: None,
        tty: None,
        env: BTreeMap::new(),
        secrets: BTreeMap::new(),
        labels: BTreeMap::new(),
        dependencies: Default::default(),
        constraints: Vec::new(),
        container: None,
        networks: vec![network(NetworkMode::Host, None)],
        port_definitions: Vec::new(),
        require_ports: false,
        fetch: Vec::new(),
        health_checks: Vec::new(),
        check: None,
        readiness_checks: Vec::new(),
        backoff_seconds: 1.0,
        backoff_factor: 1.15,
        max_launch_delay_seconds: 300.0,
        upgrade_strategy: UpgradeStrategy {
            minimum_health_capacity: 1.0,
            maximum_over_capacity: 1.0,
        },
        task_kill_grace_period_seconds: None,
        kill_selection: KillSelection::YoungestFirst,
        unreachable_strategy: UnreachableStrategy::Disabled,
        role: "*".to_owned(),
        accepted_resource_roles: None,
        version: Timestamp(1_580_464_800_000),
        version_info: VersionInfo::default(),
    }
}

pub(crate) fn network(mode: NetworkMode, name: Option<&str>) -> Network {
    Network { mode, name: name.map(str::to_owned), labels: BTreeMap::new() }
}

pub(crate) fn definition(port: u16, name: Option<&str>) -> PortDefinition {
    let name = name.map(str::to_owned);
    PortDefinition { port, protocol: Protocol::Tcp, name, labels: BTreeMap::new() }
}

pub(crate) fn mapping(container_port: u16, host_port: Option<u16>) -> PortMapping {
    PortMapping {
        container_port,
        host_port,
        service_port: 10_000,
        protocol: Protocol::Tcp,
        name: None,
        labels: BTreeMap::new(),
        network_names: Vec::new(),
    }
}

pub(crate) fn container(kind: ContainerKind, port_mappings: Vec<PortMapping>) -> Container {
    Container { kind, docker: None, volumes: Vec::new(), port_mappings, linux_info: None }
}

pub(crate) fn constraint(field: &str, operator: Operator, value: Option<&str>) -> Constraint {
    Constraint { field: field.to_owned(), operator, value: value.map(str::to_owned) }
}

/// An offer of agent `agent-<host>` to role `*`.
pub(crate) fn offer(host: &str, resources: &str, attributes: &str) -> v1::Offer {
    let resources = Resources::parse(resources, "*").unwrap();
    v1::Offer {
        id: v1::OfferId { value: format!("offer-{host}") },
        agent_id: v1::AgentId { value: format!("agent-{host}") },
        hostname: host.to_owned(),
        resources: resources.allocated("*").to_proto(),
        attributes: mesos_messages::attributes::parse(attributes).unwrap(),
        allocation_info: Some(v1::resource::AllocationInfo { role: Some("*".to_owned()) }),
        ..v1::Offer::default()
    }
}

pub(crate) fn remaining(offer: &v1::Offer) -> RemainingOffer {
    RemainingOffer::new(Arc::new(Offer::from_proto(offer).unwrap()))
}

pub(crate) fn instance(app: &App, number: u128) -> InstanceId {
    InstanceId::new(&app.id, Uuid::from_u128(number))
}

pub(crate) fn request<'a>(
    app: &'a App,
    instance: &'a InstanceId,
    settings: &'a LaunchSettings,
) -> LaunchRequest<'a> {
    LaunchRequest {
        app,
        instance,
        incarnation: 1,
        settings,
        local_region: None,
        enforce_role: false,
        seed: 7,
        wall: Duration::from_secs(1_600_000_000),
    }
}
