//! A master's events in the words of the picture.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mesos_messages::content::{self, ContentType, DecodeError};
use mesos_messages::v1::container_info;
use mesos_messages::v1::master::response::{GetState, get_agents, get_frameworks};
use mesos_messages::v1::master::{Event, event::Type};
use mesos_messages::v1::{self, NetworkInfo, TaskState, TaskStatus};
use rustc_hash::FxHashSet;

use super::Input;
use super::facts::{
    Agent, Discovery, Framework, Id, Label, Network, Phase, Port, PortMapping, PortRange, Runtime,
    State, StatusUpdate, Task,
};

/// The port of an agent that does not say which it is.
const AGENT_PORT: i32 = 5051;
const DOCKER_LABEL: &str = "Docker.NetworkSettings.IPAddress";
const MESOS_LABEL: &str = "MesosContainerizer.NetworkSettings.IPAddress";

/// Reads a master's events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder;

/// Reads an event of the operator API in protobuf; none if it says nothing that matters here.
pub fn decode(record: &[u8]) -> Result<Option<Input>, DecodeError> {
    Ok(input(content::decode(ContentType::Protobuf, record)?))
}

fn input(event: Event) -> Option<Input> {
    let kind = event.r#type.and_then(|kind| Type::try_from(kind).ok())?;
    Some(match kind {
        Type::Subscribed => {
            let subscribed = event.subscribed?;
            let mut state = subscribed.get_state.map(state).unwrap_or_default();
            let seconds = subscribed.heartbeat_interval_seconds.filter(|value| *value > 0.0);
            state.heartbeat = seconds.and_then(|value| Duration::try_from_secs_f64(value).ok());
            Input::State(Box::new(state))
        }
        Type::TaskAdded => Input::TaskAdded(Shared::default().task(event.task_added?.task)),
        Type::TaskUpdated => {
            let updated = event.task_updated?;
            Input::TaskUpdated(update(&updated.framework_id.value, &updated.status, updated.state))
        }
        Type::AgentAdded => Input::Agent(agent(event.agent_added?.agent)?),
        Type::AgentRemoved => Input::AgentRemoved(event.agent_removed?.agent_id.value.into()),
        Type::FrameworkAdded => Input::Framework(framework(event.framework_added?.framework)?),
        Type::FrameworkUpdated => Input::Framework(framework(event.framework_updated?.framework)?),
        Type::FrameworkRemoved => {
            Input::FrameworkRemoved(event.framework_removed?.framework_info.id?.value.into())
        }
        Type::Heartbeat => Input::Heartbeat,
        Type::Unknown => return None,
    })
}

fn state(state: GetState) -> State {
    let mut shared = Shared::default();
    let agents = state.get_agents.unwrap_or_default();
    let frameworks = state.get_frameworks.map(|frameworks| frameworks.frameworks);
    let tasks = state.get_tasks.map(|tasks| tasks.tasks).unwrap_or_default();
    State {
        agents: agents.agents.into_iter().filter_map(agent).collect(),
        recovered: agents.recovered_agents.into_iter().filter_map(recovered).collect(),
        frameworks: frameworks.unwrap_or_default().into_iter().filter_map(framework).collect(),
        tasks: tasks.into_iter().map(|task| shared.task(task)).collect(),
        heartbeat: None,
    }
}

fn agent(agent: get_agents::Agent) -> Option<Agent> {
    // As in `slave(1)@10.0.0.1:5051`.
    let pid = agent.pid.as_deref().and_then(|pid| pid.rsplit_once('@')?.1.parse().ok());
    let known = recovered(agent.agent_info)?;
    Some(Agent { address: pid.or(known.address), ..known })
}

fn recovered(info: v1::AgentInfo) -> Option<Agent> {
    let port = u16::try_from(info.port.unwrap_or(AGENT_PORT)).ok();
    let address = info.hostname.parse().ok().zip(port);
    Some(Agent {
        id: info.id?.value.into(),
        address: address.map(|(ip, port)| SocketAddr::new(ip, port)),
        hostname: info.hostname.into(),
    })
}

fn framework(framework: get_frameworks::Framework) -> Option<Framework> {
    let get_frameworks::Framework { framework_info: info, active, connected, .. } = framework;
    Some(Framework {
        id: info.id?.value.into(),
        name: info.name.into(),
        active,
        connected,
        hostname: info.hostname.unwrap_or_default().into(),
        scheduler: None,
    })
}

/// Texts that many tasks have are there once.
#[derive(Default)]
struct Shared {
    ids: FxHashSet<Id>,
}

// === impl Shared ===

impl Shared {
    fn id(&mut self, text: String) -> Id {
        if let Some(id) = self.ids.get(text.as_str()) {
            return id.clone();
        }
        let id: Id = text.into();
        self.ids.insert(id.clone());
        id
    }

    fn task(&mut self, task: v1::Task) -> Task {
        let running = task.statuses.iter().filter(|status| is_running(status.state));
        let running = running.max_by_key(|status| micros(status.timestamp));
        let latest = task.statuses.iter().max_by_key(|status| micros(status.timestamp));
        let checked = task.health_check.is_some().then_some(false);
        let network_told = running.map_or(0, |status| micros(status.timestamp));
        let network = running.map(network).unwrap_or_default();
        Task {
            healthy: latest.and_then(|status| status.healthy).or(checked),
            id: task.task_id.value.into(),
            framework: self.id(task.framework_id.value),
            agent: self.id(task.agent_id.value),
            name: self.id(task.name),
            phase: phase(task.state),
            runtime: runtime(task.container.as_deref()),
            discovery: task.discovery.map(|found| Arc::new(self.discovery(*found))),
            labels: labels(task.labels).into(),
            host_ports: host_ports(&task.resources).into(),
            mappings: asked_mappings(task.container.as_deref()).into(),
            network: Arc::new(network),
            network_told,
        }
    }

    fn discovery(&mut self, discovery: v1::DiscoveryInfo) -> Discovery {
        let ports = discovery.ports.map(|ports| ports.ports).unwrap_or_default();
        Discovery {
            name: discovery.name.filter(|name| !name.is_empty()).map(|name| self.id(name)),
            ports: ports.into_iter().map(port).collect(),
            labels: labels(discovery.labels),
        }
    }
}

fn port(port: v1::Port) -> Port {
    Port {
        number: port.number,
        name: port.name.filter(|name| !name.is_empty()).map(Into::into),
        protocol: port.protocol.filter(|protocol| !protocol.is_empty()).map(Into::into),
        labels: labels(port.labels).into(),
    }
}

fn labels(labels: Option<v1::Labels>) -> Vec<Label> {
    let labels = labels.map(|labels| labels.labels).unwrap_or_default();
    let of = |label: v1::Label| Label {
        key: label.key.into(),
        value: label.value.unwrap_or_default().into(),
    };
    labels.into_iter().map(of).collect()
}

fn runtime(container: Option<&v1::ContainerInfo>) -> Runtime {
    match container.map(v1::ContainerInfo::r#type) {
        Some(container_info::Type::Docker) => Runtime::Docker,
        Some(container_info::Type::Mesos) => Runtime::Mesos,
        None => Runtime::Unknown,
    }
}

/// Ports beyond 65535 are none.
fn host_ports(resources: &[v1::Resource]) -> Vec<PortRange> {
    let ports = resources.iter().filter(|resource| resource.name == "ports");
    let ranges = ports.flat_map(|resource| resource.ranges.iter().flat_map(|all| &all.range));
    let within = ranges.filter_map(|range| {
        let last = u16::try_from(range.end.min(u64::from(u16::MAX))).ok()?;
        Some(PortRange(u16::try_from(range.begin).ok()?, last))
    });
    within.filter(|range| range.0 <= range.1).collect()
}

fn asked_mappings(container: Option<&v1::ContainerInfo>) -> Vec<PortMapping> {
    let Some(container) = container else { return Vec::new() };
    if container.r#type() == container_info::Type::Mesos {
        return mappings(&container.network_infos);
    }
    let asked = container.docker.iter().flat_map(|docker| &docker.port_mappings);
    let of = |one: &container_info::docker_info::PortMapping| {
        mapping(one.host_port, one.container_port, one.protocol.as_deref())
    };
    asked.filter_map(of).collect()
}

fn mappings(networks: &[NetworkInfo]) -> Vec<PortMapping> {
    let all = networks.iter().flat_map(|network| &network.port_mappings);
    all.filter_map(|one| mapping(one.host_port, one.container_port, one.protocol.as_deref()))
        .collect()
}

fn mapping(host: u32, container: u32, protocol: Option<&str>) -> Option<PortMapping> {
    Some(PortMapping {
        host: host.try_into().ok()?,
        container: container.try_into().ok()?,
        protocol: protocol.filter(|protocol| !protocol.is_empty()).map(Into::into),
    })
}

fn network(status: &TaskStatus) -> Network {
    let networks: &[NetworkInfo] =
        status.container_status.as_ref().map_or(&[], |container| &container.network_infos);
    let addresses = networks.iter().flat_map(|network| &network.ip_addresses);
    let addresses = addresses.filter_map(|address| address.ip_address.as_deref()?.parse().ok());
    Network {
        addresses: addresses.collect(),
        docker: labelled(status, DOCKER_LABEL),
        mesos: labelled(status, MESOS_LABEL),
        mappings: mappings(networks).into(),
    }
}

fn labelled(status: &TaskStatus, key: &str) -> Box<[IpAddr]> {
    let labels = status.labels.iter().flat_map(|labels| &labels.labels);
    let labels = labels.filter(|label| label.key == key);
    labels.filter_map(|label| label.value.as_deref()?.parse().ok()).collect()
}

/// `state` is the latest; the status may be an earlier one that is still to be acknowledged.
fn update(framework: &str, status: &TaskStatus, state: i32) -> StatusUpdate {
    StatusUpdate {
        id: status.task_id.value.as_str().into(),
        framework: framework.into(),
        phase: phase(state),
        healthy: status.healthy,
        network: is_running(status.state).then(|| Arc::new(network(status))),
        told: micros(status.timestamp),
    }
}

fn phase(state: i32) -> Phase {
    let Ok(state) = TaskState::try_from(state) else { return Phase::Preparing };
    match state {
        TaskState::TaskStaging | TaskState::TaskStarting | TaskState::TaskUnknown => {
            Phase::Preparing
        }
        TaskState::TaskRunning => Phase::Running,
        TaskState::TaskKilling => Phase::Killing,
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskUnreachable
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => Phase::Ended,
    }
}

fn is_running(state: i32) -> bool {
    state == TaskState::TaskRunning as i32
}

/// Saturates, and is 0 for what is no time.
fn micros(seconds: Option<f64>) -> u64 {
    (seconds.unwrap_or_default() * 1e6) as u64
}
