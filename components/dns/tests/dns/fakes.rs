//! A master that tells what a test says, and a load balancer that does.

use std::net::SocketAddr;
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
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Something that serves HTTP and can be stopped, and started again where it was.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    join: tokio::task::JoinHandle<()>,
}

impl Fake {
    pub(crate) async fn start(address: &str, service: Arc<impl Service>) -> Fake {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let config = http_kit::ServeConfig::default();
        let join = tokio::spawn(http_kit::serve(listener, service, config, stop.clone()));
        Fake { address, stop, join }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.join.await.unwrap();
    }
}

/// What a master knows, and who listens to it.
#[derive(Default)]
pub(crate) struct Master {
    pub(crate) state: Mutex<GetState>,
    listeners: Mutex<Vec<mpsc::Sender<Bytes>>>,
}

impl Master {
    pub(crate) fn new(state: GetState) -> Arc<Master> {
        Arc::new(Master { state: Mutex::new(state), ..Master::default() })
    }

    pub(crate) async fn tell(&self, event: Event) {
        let listeners = self.listeners.lock().unwrap().clone();
        for listener in listeners {
            // Who has left does not matter.
            let _ = listener.send(record(&event)).await;
        }
    }

    pub(crate) async fn listener(&self) {
        while self.listeners.lock().unwrap().iter().all(mpsc::Sender::is_closed) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Ends all streams.
    pub(crate) fn hang_up(&self) {
        self.listeners.lock().unwrap().clear();
    }
}

impl Service for Master {
    fn call(&self, request: Request, _: SocketAddr) -> Reply {
        if request.uri().path() == "/master/state-summary" {
            let summary = r#"{"frameworks":[{"id":"f","pid":"scheduler-1@127.0.0.3:4321"}]}"#;
            return Reply::Now(respond::json(summary));
        }
        if request.uri().path() != "/api/v1" {
            return Reply::Now(respond::status(StatusCode::NOT_FOUND));
        }
        let (to, body) = Body::channel(4096);
        let subscribed = event::Subscribed {
            get_state: Some(self.state.lock().unwrap().clone()),
            heartbeat_interval_seconds: Some(15.0),
        };
        let first = Event { subscribed: Some(subscribed), ..of(Type::Subscribed) };
        to.try_send(record(&first)).unwrap();
        self.listeners.lock().unwrap().push(to);
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

pub(crate) fn added(task: v1::Task) -> Event {
    Event { task_added: Some(event::TaskAdded { task }), ..of(Type::TaskAdded) }
}

pub(crate) fn updated(task: &str, state: TaskState) -> Event {
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: task.into() },
        state: state as i32,
        timestamp: Some(2.0),
        ..v1::TaskStatus::default()
    };
    let framework_id = v1::FrameworkId { value: "f".into() };
    let task_updated = event::TaskUpdated { framework_id, status, state: state as i32 };
    Event { task_updated: Some(task_updated), ..of(Type::TaskUpdated) }
}

pub(crate) fn heartbeat() -> Event {
    of(Type::Heartbeat)
}

pub(crate) fn agent_added() -> Event {
    Event { agent_added: Some(event::AgentAdded { agent: agent() }), ..of(Type::AgentAdded) }
}

pub(crate) fn agent() -> get_agents::Agent {
    let agent_info = v1::AgentInfo {
        id: Some(v1::AgentId { value: "x-S7".into() }),
        hostname: "127.0.0.2".into(),
        port: Some(5051),
        ..v1::AgentInfo::default()
    };
    get_agents::Agent {
        agent_info,
        active: true,
        pid: Some("slave(1)@127.0.0.2:5051".into()),
        ..get_agents::Agent::default()
    }
}

pub(crate) fn framework() -> get_frameworks::Framework {
    let framework_info = v1::FrameworkInfo {
        id: Some(v1::FrameworkId { value: "f".into() }),
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

/// A task with a port of the host and one by which it wants to be found.
pub(crate) fn task(id: &str, name: &str, ip: &str) -> v1::Task {
    let address = v1::network_info::IpAddress {
        ip_address: Some(ip.into()),
        ..v1::network_info::IpAddress::default()
    };
    let network_info =
        v1::NetworkInfo { ip_addresses: vec![address], ..v1::NetworkInfo::default() };
    let container_status =
        v1::ContainerStatus { network_infos: vec![network_info], ..v1::ContainerStatus::default() };
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: id.into() },
        state: TaskState::TaskRunning as i32,
        timestamp: Some(1.0),
        container_status: Some(Box::new(container_status)),
        ..v1::TaskStatus::default()
    };
    let port = v1::Port {
        number: 80,
        name: Some("http".into()),
        protocol: Some("tcp".into()),
        ..v1::Port::default()
    };
    let discovery = v1::DiscoveryInfo {
        name: Some(name.into()),
        ports: Some(v1::Ports { ports: vec![port] }),
        ..v1::DiscoveryInfo::default()
    };
    v1::Task {
        name: name.into(),
        task_id: v1::TaskId { value: id.into() },
        framework_id: v1::FrameworkId { value: "f".into() },
        agent_id: v1::AgentId { value: "x-S7".into() },
        state: TaskState::TaskRunning as i32,
        resources: mesos_messages::resources::Resources::parse("ports:[31000-31000]", "*")
            .unwrap()
            .to_proto(),
        statuses: vec![status],
        discovery: Some(Box::new(discovery)),
        ..v1::Task::default()
    }
}

pub(crate) fn state(tasks: Vec<v1::Task>) -> GetState {
    GetState {
        get_tasks: Some(GetTasks { tasks, ..GetTasks::default() }),
        get_frameworks: Some(GetFrameworks {
            frameworks: vec![framework()],
            ..GetFrameworks::default()
        }),
        get_agents: Some(GetAgents { agents: vec![agent()], ..GetAgents::default() }),
        ..GetState::default()
    }
}

/// The stream of virtual addresses.
#[derive(Default)]
pub(crate) struct Net {
    listeners: Mutex<Vec<mpsc::Sender<Bytes>>>,
}

impl Net {
    pub(crate) async fn tell(&self, line: &'static str) {
        let listeners = self.listeners.lock().unwrap().clone();
        for listener in listeners {
            listener.send(line.into()).await.unwrap();
        }
    }
}

impl Service for Net {
    fn call(&self, request: Request, _: SocketAddr) -> Reply {
        assert_eq!(request.uri().path(), "/v1/vips/stream");
        let (to, body) = Body::channel(64);
        to.try_send("{\"vips\":[{\"name\":\"web.marathon\",\"ip\":\"11.1.2.3\"}]}\n".into())
            .unwrap();
        self.listeners.lock().unwrap().push(to);
        Reply::Now(respond::json(body))
    }
}
