//! A master that tells what a test says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_kit::{Body, Reply, Request, Service, respond};
use mesos_messages::content::{self, ContentType};
use mesos_messages::recordio;
use mesos_messages::v1::master::Event;
use mesos_messages::v1::master::event::{self, Type};
use mesos_messages::v1::master::response::{
    GetAgents, GetFrameworks, GetState, GetTasks, get_agents, get_frameworks,
};
use mesos_messages::v1::{self, TaskState};
use tokio::sync::mpsc;

/// What a master knows, and who listens to it.
#[derive(Default)]
pub(crate) struct Master {
    state: Mutex<GetState>,
    listeners: Mutex<Vec<mpsc::Sender<Bytes>>>,
}

/// A task with one port that has a label.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) agent: Ipv4Addr,
    /// Its own, if it is a container with one.
    pub(crate) address: Option<Ipv4Addr>,
    pub(crate) port: u16,
    pub(crate) protocol: &'static str,
    pub(crate) label: String,
}

impl Master {
    pub(crate) fn new(agents: &[Ipv4Addr]) -> Arc<Master> {
        let framework_info = v1::FrameworkInfo {
            id: Some(v1::FrameworkId { value: "f".into() }),
            name: "marathon".into(),
            ..v1::FrameworkInfo::default()
        };
        let framework = get_frameworks::Framework {
            framework_info,
            active: true,
            connected: true,
            ..get_frameworks::Framework::default()
        };
        let agents = agents.iter().map(agent).collect();
        let state = GetState {
            get_tasks: Some(GetTasks::default()),
            get_frameworks: Some(GetFrameworks {
                frameworks: vec![framework],
                ..GetFrameworks::default()
            }),
            get_agents: Some(GetAgents { agents, ..GetAgents::default() }),
            ..GetState::default()
        };
        Arc::new(Master { state: Mutex::new(state), ..Master::default() })
    }

    /// A task begins to run.
    pub(crate) fn add(&self, task: &Task) {
        let task = task.message();
        let mut state = self.state.lock().unwrap();
        state.get_tasks.as_mut().unwrap().tasks.push(task.clone());
        self.tell(&Event { task_added: Some(event::TaskAdded { task }), ..of(Type::TaskAdded) });
    }

    /// A task's state or health changes.
    pub(crate) fn update(&self, id: &str, now: TaskState, healthy: Option<bool>) {
        let mut state = self.state.lock().unwrap();
        let tasks = &mut state.get_tasks.as_mut().unwrap().tasks;
        let at = tasks.iter().position(|task| task.task_id.value == id).unwrap();
        let mut status = tasks[at].statuses[0].clone();
        (status.state, status.healthy) = (now as i32, healthy);
        status.timestamp = Some(status.timestamp.unwrap() + 1.0);
        if matches!(now, TaskState::TaskRunning | TaskState::TaskKilling) {
            tasks[at].state = now as i32;
            tasks[at].statuses = vec![status.clone()];
        } else {
            tasks.remove(at);
        }
        let framework_id = v1::FrameworkId { value: "f".into() };
        let task_updated = event::TaskUpdated { framework_id, status, state: now as i32 };
        self.tell(&Event { task_updated: Some(task_updated), ..of(Type::TaskUpdated) });
    }

    /// While the state is locked: who subscribes meanwhile hears it either way.
    fn tell(&self, event: &Event) {
        let record = record(event);
        let mut listeners = self.listeners.lock().unwrap();
        listeners.retain(|listener| !listener.is_closed());
        for listener in listeners.iter() {
            listener.try_send(record.clone()).unwrap();
        }
    }
}

impl Service for Master {
    fn call(&self, request: Request, _: SocketAddr) -> Reply {
        if request.uri().path() != "/api/v1" {
            return Reply::Now(respond::status(StatusCode::NOT_FOUND));
        }
        let (to, body) = Body::channel(1 << 16);
        let state = self.state.lock().unwrap();
        let subscribed = event::Subscribed {
            get_state: Some(state.clone()),
            heartbeat_interval_seconds: Some(600.0),
        };
        let first = Event { subscribed: Some(subscribed), ..of(Type::Subscribed) };
        to.try_send(record(&first)).unwrap();
        self.listeners.lock().unwrap().push(to);
        drop(state);
        let kind = HeaderValue::from_static("application/x-protobuf");
        Reply::Now(respond::with_body(StatusCode::OK, kind, body))
    }
}

fn record(event: &Event) -> Bytes {
    recordio::encode(&content::encode(ContentType::Protobuf, event)).into()
}

fn of(kind: Type) -> Event {
    Event { r#type: Some(kind as i32), ..Event::default() }
}

fn agent(address: &Ipv4Addr) -> get_agents::Agent {
    let agent_info = v1::AgentInfo {
        id: Some(v1::AgentId { value: address.to_string() }),
        hostname: address.to_string(),
        port: Some(5051),
        ..v1::AgentInfo::default()
    };
    get_agents::Agent {
        agent_info,
        active: true,
        pid: Some(format!("slave(1)@{address}:5051")),
        ..get_agents::Agent::default()
    }
}

impl Task {
    /// On its agent's own network.
    pub(crate) fn new(id: &str, agent: Ipv4Addr, port: u16, label: &str) -> Task {
        let (id, label) = (id.to_owned(), label.to_owned());
        Task { id, agent, address: None, port, protocol: "tcp", label }
    }

    fn message(&self) -> v1::Task {
        let address = v1::network_info::IpAddress {
            ip_address: Some(self.address.unwrap_or(self.agent).to_string()),
            ..v1::network_info::IpAddress::default()
        };
        let network = v1::NetworkInfo { ip_addresses: vec![address], ..v1::NetworkInfo::default() };
        let container_status =
            v1::ContainerStatus { network_infos: vec![network], ..v1::ContainerStatus::default() };
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: self.id.clone() },
            state: TaskState::TaskRunning as i32,
            timestamp: Some(1.0),
            container_status: Some(Box::new(container_status)),
            ..v1::TaskStatus::default()
        };
        let label = v1::Label { key: "VIP_0".to_owned(), value: Some(self.label.clone()) };
        let port = v1::Port {
            number: self.port.into(),
            protocol: Some(self.protocol.to_owned()),
            labels: Some(v1::Labels { labels: vec![label] }),
            ..v1::Port::default()
        };
        let discovery = v1::DiscoveryInfo {
            ports: Some(v1::Ports { ports: vec![port] }),
            ..v1::DiscoveryInfo::default()
        };
        v1::Task {
            name: "web".into(),
            task_id: v1::TaskId { value: self.id.clone() },
            framework_id: v1::FrameworkId { value: "f".into() },
            agent_id: v1::AgentId { value: self.agent.to_string() },
            state: TaskState::TaskRunning as i32,
            statuses: vec![status],
            discovery: Some(Box::new(discovery)),
            ..v1::Task::default()
        }
    }
}
