//! A master that only tells: a hundred thousand tasks at first, and then that some end and others
//! begin.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use http_kit::{Body, Reply, Request, Service, respond};
use mesos_messages::content::{self, ContentType};
use mesos_messages::recordio;
use mesos_messages::resources::Resources;
use mesos_messages::v1::master::Event;
use mesos_messages::v1::master::event::{self, Type};
use mesos_messages::v1::master::response::{
    GetAgents, GetFrameworks, GetState, GetTasks, get_agents, get_frameworks,
};
use mesos_messages::v1::{self, TaskState};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const FRAMEWORK: &str = "d7b6a4e2-8a0f-4a6e-9a53-0f5a1f1a0001-0000";
const AGENTS: usize = 1000;

pub(crate) struct Master {
    first: Bytes,
    listener: Mutex<Option<mpsc::Sender<Bytes>>>,
}

// === impl Master ===

impl Master {
    pub(crate) fn with_tasks(tasks: usize) -> Result<Master> {
        let tasks = (0..tasks).map(|number| task("web", number)).collect::<Result<_>>()?;
        let state = GetState {
            get_tasks: Some(GetTasks { tasks, ..GetTasks::default() }),
            get_frameworks: Some(GetFrameworks {
                frameworks: vec![framework()],
                ..GetFrameworks::default()
            }),
            get_agents: Some(GetAgents {
                agents: (0..AGENTS).map(agent).collect(),
                ..GetAgents::default()
            }),
            ..GetState::default()
        };
        let subscribed =
            event::Subscribed { get_state: Some(state), heartbeat_interval_seconds: Some(15.0) };
        let first = record(&Event { subscribed: Some(subscribed), ..of(Type::Subscribed) });
        Ok(Master { first, listener: Mutex::new(None) })
    }

    pub(crate) async fn serve(
        self: &Arc<Self>,
        token: CancellationToken,
    ) -> Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let config = http_kit::ServeConfig::default();
        let serving = http_kit::serve(listener, Arc::clone(self), config, token);
        Ok((address, tokio::spawn(serving)))
    }

    /// Whether it was heard, or at least waits to be.
    pub(crate) fn tell(&self, event: &Event) -> bool {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        listener.as_ref().is_some_and(|listener| listener.try_send(record(event)).is_ok())
    }
}

impl Service for Master {
    fn call(&self, request: Request, _: SocketAddr) -> Reply {
        match request.uri().path() {
            "/master/state-summary" => Reply::Now(respond::json(r#"{"frameworks":[]}"#)),
            "/api/v1" => {
                let (to, body) = Body::channel(65_536);
                let is_told = to.try_send(self.first.clone()).is_ok();
                let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
                *listener = is_told.then_some(to);
                let kind = HeaderValue::from_static("application/x-protobuf");
                Reply::Now(respond::with_body(StatusCode::OK, kind, body))
            }
            _ => Reply::Now(respond::status(StatusCode::NOT_FOUND)),
        }
    }
}

fn record(event: &Event) -> Bytes {
    recordio::encode(&content::encode(ContentType::Protobuf, event)).into()
}

fn of(kind: Type) -> Event {
    Event { r#type: Some(kind as i32), ..Event::default() }
}

/// A task begins, with a name of its own.
pub(crate) fn begins(kind: &str, number: usize) -> Result<Event> {
    let task_added = event::TaskAdded { task: task(kind, number)? };
    Ok(Event { task_added: Some(task_added), ..of(Type::TaskAdded) })
}

pub(crate) fn ends(kind: &str, number: usize) -> Event {
    let state = TaskState::TaskFinished as i32;
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: id(kind, number) },
        state,
        timestamp: Some(2.0),
        ..v1::TaskStatus::default()
    };
    let framework_id = v1::FrameworkId { value: FRAMEWORK.into() };
    let task_updated = event::TaskUpdated { framework_id, status, state };
    Event { task_updated: Some(task_updated), ..of(Type::TaskUpdated) }
}

/// What the task is called; its address is asked for as `<label>.marathon.mesos`.
pub(crate) fn label(kind: &str, number: usize) -> String {
    format!("{kind}-{number:06}-shop")
}

fn id(kind: &str, number: usize) -> String {
    format!("{}.instance-{number:012}._app.1", label(kind, number))
}

fn agent_id(number: usize) -> v1::AgentId {
    v1::AgentId { value: format!("d7b6a4e2-8a0f-4a6e-9a53-0f5a1f1a0001-S{}", number % AGENTS) }
}

fn agent(number: usize) -> get_agents::Agent {
    let address = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap_or(0));
    let agent_info = v1::AgentInfo {
        id: Some(agent_id(number)),
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

fn framework() -> get_frameworks::Framework {
    let framework_info = v1::FrameworkInfo {
        id: Some(v1::FrameworkId { value: FRAMEWORK.into() }),
        name: "marathon".into(),
        ..v1::FrameworkInfo::default()
    };
    get_frameworks::Framework {
        framework_info,
        active: true,
        connected: true,
        ..get_frameworks::Framework::default()
    }
}

/// As Marathon starts them: one port of the host, and no container address.
fn task(kind: &str, number: usize) -> Result<v1::Task> {
    let host_port = 31_000 + number / AGENTS % 1000;
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: id(kind, number) },
        state: TaskState::TaskRunning as i32,
        timestamp: Some(1.0),
        ..v1::TaskStatus::default()
    };
    let port = v1::Port {
        number: u32::try_from(host_port)?,
        name: Some("http".into()),
        protocol: Some("tcp".into()),
        ..v1::Port::default()
    };
    let discovery = v1::DiscoveryInfo {
        name: Some(label(kind, number)),
        ports: Some(v1::Ports { ports: vec![port] }),
        ..v1::DiscoveryInfo::default()
    };
    let ports = Resources::parse(&format!("ports:[{host_port}-{host_port}]"), "*")?;
    Ok(v1::Task {
        name: label(kind, number),
        task_id: v1::TaskId { value: id(kind, number) },
        framework_id: v1::FrameworkId { value: FRAMEWORK.into() },
        agent_id: agent_id(number),
        state: TaskState::TaskRunning as i32,
        resources: ports.to_proto(),
        statuses: vec![status],
        discovery: Some(Box::new(discovery)),
        ..v1::Task::default()
    })
}
