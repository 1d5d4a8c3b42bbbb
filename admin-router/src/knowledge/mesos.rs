//! A master's events in the words of the table.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use cluster_events::master::{Decode, DecodeError, Told};
use mesos_messages::content::{self, ContentType};
use mesos_messages::v1::master::response::{GetState, get_agents, get_frameworks};
use mesos_messages::v1::master::{Event, event::Type};
use mesos_messages::v1::{self, FrameworkInfo, Task, TaskState, TaskStatus};

use super::facts::{AgentFact, FrameworkFact, MesosInput, MesosState, Phase, TaskFact};

/// Reads what the gateway needs to know of agents, frameworks and tasks.
#[derive(Debug)]
pub(crate) struct Places;

// === impl Places ===

impl Decode for Places {
    type Input = MesosInput;

    fn decode(&self, record: &[u8]) -> Result<Told<MesosInput>, DecodeError> {
        event(record)
    }
}

/// Reads an event of the operator API.
pub(crate) fn event(record: &[u8]) -> Result<Told<MesosInput>, DecodeError> {
    let event = content::decode(ContentType::Protobuf, record)?;
    Ok(change(event).unwrap_or(Told::Nothing))
}

fn change(event: Event) -> Option<Told<MesosInput>> {
    let kind = event.r#type.and_then(|kind| Type::try_from(kind).ok())?;
    let input = match kind {
        Type::Subscribed => {
            let subscribed = event.subscribed?;
            let seconds = subscribed.heartbeat_interval_seconds.filter(|value| *value > 0.0);
            let heartbeat = seconds.and_then(|value| Duration::try_from_secs_f64(value).ok());
            let state = subscribed.get_state.map(state).unwrap_or_default();
            return Some(Told::State(MesosInput::State(Box::new(state)), heartbeat));
        }
        Type::TaskAdded => MesosInput::TaskAdded(task(event.task_added?.task)),
        Type::TaskUpdated => {
            let updated = event.task_updated?;
            MesosInput::TaskUpdated(update(updated.framework_id, &updated.status, updated.state))
        }
        Type::AgentAdded => MesosInput::AgentAdded(agent(event.agent_added?.agent)?),
        Type::AgentRemoved => MesosInput::AgentRemoved(event.agent_removed?.agent_id.value.into()),
        Type::FrameworkAdded => MesosInput::Framework(framework(event.framework_added?.framework)?),
        Type::FrameworkUpdated => {
            MesosInput::Framework(framework(event.framework_updated?.framework)?)
        }
        Type::FrameworkRemoved => {
            let FrameworkInfo { id, .. } = event.framework_removed?.framework_info;
            MesosInput::FrameworkRemoved(id?.value.into())
        }
        Type::Heartbeat | Type::Unknown => return None,
    };
    Some(Told::Change(input))
}

fn state(state: GetState) -> MesosState {
    let agents = state.get_agents.map(|agents| agents.agents).unwrap_or_default();
    let frameworks = state.get_frameworks.map(|frameworks| frameworks.frameworks);
    let tasks = state.get_tasks.map(|tasks| tasks.tasks).unwrap_or_default();
    MesosState {
        leader: None,
        agents: agents.into_iter().filter_map(agent).collect(),
        frameworks: frameworks.unwrap_or_default().into_iter().filter_map(framework).collect(),
        tasks: tasks.into_iter().map(task).collect(),
    }
}

fn agent(agent: get_agents::Agent) -> Option<AgentFact> {
    let info = agent.agent_info;
    let pid = agent.pid.as_deref().and_then(pid_address);
    let own = || {
        let ip: IpAddr = info.hostname.parse().ok()?;
        Some(SocketAddr::new(ip, u16::try_from(info.port.unwrap_or(5051)).ok()?))
    };
    Some(AgentFact {
        id: info.id?.value.into(),
        address: pid.or_else(own),
        hostname: info.hostname.into(),
    })
}

/// Of `slave(1)@10.0.0.1:5051`.
fn pid_address(pid: &str) -> Option<SocketAddr> {
    pid.rsplit_once('@')?.1.parse().ok()
}

fn framework(framework: get_frameworks::Framework) -> Option<FrameworkFact> {
    let get_frameworks::Framework { framework_info: info, active, connected, .. } = framework;
    let since = framework.registered_time.or(framework.reregistered_time);
    Some(FrameworkFact {
        id: info.id?.value.into(),
        name: info.name.into(),
        // The state of a master has an empty text where there is none, and that is what decides
        // whether Mesos-DNS is asked.
        webui_url: Some(info.webui_url.unwrap_or_default().into()),
        is_active: active,
        is_connected: connected,
        since: since.map_or(i64::MAX, |time| time.nanoseconds),
    })
}

fn task(task: Task) -> TaskFact {
    let running = task.statuses.iter().filter(|status| is_running(status.state));
    let since = running.filter_map(|status| status.timestamp).map(micros).min();
    let ip = task.statuses.iter().rev().find_map(ip);
    let discovery = task.discovery.and_then(|discovery| discovery.ports);
    let ports = discovery.map(|ports| ports.ports).unwrap_or_default();
    let ports: Option<Vec<u16>> =
        ports.iter().map(|port| u16::try_from(port.number).ok()).collect();
    TaskFact {
        id: task.task_id.value.into(),
        framework: task.framework_id.value.into(),
        agent: task.agent_id.value.into(),
        phase: phase(task.state),
        since,
        ip,
        ports: ports.unwrap_or_default(),
    }
}

/// `state` is the latest; the status may be an earlier one that is still to be acknowledged.
fn update(framework: v1::FrameworkId, status: &TaskStatus, state: i32) -> TaskFact {
    let since = status.timestamp.filter(|_| is_running(status.state)).map(micros);
    TaskFact {
        id: status.task_id.value.as_str().into(),
        framework: framework.value.into(),
        agent: status.agent_id.as_ref().map_or("", |id| &id.value).into(),
        phase: phase(state),
        since,
        ip: ip(status),
        ports: Vec::new(),
    }
}

fn phase(state: i32) -> Phase {
    TaskState::try_from(state).map_or(Phase::Waiting, |state| Phase::of(state.as_str_name()))
}

fn is_running(state: i32) -> bool {
    state == TaskState::TaskRunning as i32
}

fn micros(seconds: f64) -> u64 {
    // Saturates, and is 0 for what is no number.
    (seconds * 1e6) as u64
}

fn ip(status: &TaskStatus) -> Option<IpAddr> {
    let networks = status.container_status.as_ref()?.network_infos.iter();
    let mut addresses = networks.flat_map(|network| &network.ip_addresses);
    addresses.find_map(|address| address.ip_address.as_deref()?.parse().ok())
}
