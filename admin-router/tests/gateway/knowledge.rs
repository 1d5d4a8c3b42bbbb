//! Knowledge that follows servers which break off, lead elsewhere and change their minds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use admin_router::knowledge::{self, Knowledge, Settings, Source};
use admin_router::{Cluster, Failure, Known, Origin, Resolution, Service};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_kit::{Body, Reply, Request, ServeConfig};
use mesos_messages::content::{ContentType, encode_record};
use mesos_messages::v1::master::event::{self, Type};
use mesos_messages::v1::master::{Event, response};
use mesos_messages::v1::{self, TaskState};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

const FRAMEWORK: &str = "marathon-framework";
const TASK: &str = "web.instance-00000000-0000-0000-0000-000000000001._app.1";

/// What a server answers to a path.
enum Answer {
    Document(StatusCode, String),
    Redirect(String),
    /// Begins with this.
    Stream(Bytes),
}

/// A server that answers what it is told to, and notes what it was asked.
struct Server {
    address: SocketAddr,
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<(String, Option<String>)>>,
    streams: Mutex<Vec<mpsc::Sender<Bytes>>>,
    _stop: DropGuard,
}

impl Server {
    async fn start() -> Arc<Server> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stop = CancellationToken::new();
        let server = Arc::new(Server {
            address: listener.local_addr().unwrap(),
            answers: Mutex::default(),
            asked: Mutex::default(),
            streams: Mutex::default(),
            _stop: stop.clone().drop_guard(),
        });
        let weak = Arc::downgrade(&server);
        let service = move |request: Request, _: SocketAddr| {
            let answer = weak.upgrade().map(|server| server.answer(&request));
            Reply::later(async move { answer.unwrap_or_default() })
        };
        tokio::spawn(http_kit::serve(listener, Arc::new(service), ServeConfig::default(), stop));
        server
    }

    fn answer(&self, request: &Request) -> http_kit::Response {
        let token = request.headers().get("authorization");
        let token = token.map(|value| value.to_str().unwrap().to_owned());
        self.asked.lock().unwrap().push((request.uri().to_string(), token));
        let mut response = Response::new(Body::Full(Bytes::new()));
        match self.answers.lock().unwrap().get(request.uri().path()) {
            None => *response.status_mut() = StatusCode::NOT_FOUND,
            Some(Answer::Document(status, text)) => {
                *response.status_mut() = *status;
                *response.body_mut() = Body::Full(text.clone().into());
            }
            Some(Answer::Redirect(to)) => {
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                response.headers_mut().insert("location", to.parse().unwrap());
            }
            Some(Answer::Stream(first)) => {
                let (sender, body) = Body::channel(64);
                sender.try_send(first.clone()).unwrap();
                self.streams.lock().unwrap().push(sender);
                *response.body_mut() = body;
            }
        }
        response
    }

    fn set(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    fn document(&self, path: &str, value: &Value) {
        self.set(path, Answer::Document(StatusCode::OK, value.to_string()));
    }

    async fn tell(&self, piece: impl Into<Bytes>) {
        let stream = self.streams.lock().unwrap().last().cloned().expect("a stream");
        stream.send(piece.into()).await.expect("a reader");
    }

    fn cut(&self) {
        self.streams.lock().unwrap().clear();
    }

    fn origin(&self) -> Origin {
        Origin::http(self.address)
    }
}

/// A master, a Marathon, and what is known of them.
struct World {
    master: Arc<Server>,
    marathon: Arc<Server>,
    knowledge: Knowledge,
    join: JoinHandle<()>,
    stop: CancellationToken,
}

impl World {
    /// With one service, `web`, that runs.
    async fn start(change: impl FnOnce(&mut Settings)) -> World {
        let (master, marathon) = (Server::start().await, Server::start().await);
        master.set("/api/v1", Answer::Stream(subscribed(&[TaskState::TaskRunning])));
        marathon.set("/v2/events", Answer::Stream("event: event_stream_attached\r\n".into()));
        marathon.document("/v2/info", &json!({"frameworkId": FRAMEWORK}));
        marathon.document("/v2/leader", &json!({"leader": "127.0.0.1:8080"}));
        marathon.document("/v2/apps", &json!({"apps": [app("web")]}));
        let mut settings = Settings::new(vec![master.origin()], vec![marathon.origin()]);
        change(&mut settings);
        let stop = CancellationToken::new();
        let (knowledge, join) = knowledge::start(&settings, stop.clone());
        World { master, marathon, knowledge, join, stop }
    }

    fn resolve(&self, path: &str) -> Resolution {
        let segments: Vec<Cow<'_, str>> = path.split('/').map(Cow::Borrowed).collect();
        self.knowledge.service(&segments)
    }

    fn service(&self, path: &str) -> Option<Arc<Service>> {
        match self.resolve(path) {
            Resolution::Found(service) => Some(service),
            _ => None,
        }
    }

    async fn wait(&self, what: &str, probe: impl Fn(&World) -> bool) {
        let begun = Instant::now();
        while !probe(self) {
            let known = || self.knowledge.describe();
            assert!(begun.elapsed() < Duration::from_secs(30), "{what}: {}", known());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn wait_for_service(&self) -> Arc<Service> {
        self.wait("the service", |world| world.service("web").is_some()).await;
        self.service("web").unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.join.await.unwrap();
    }
}

fn app(name: &str) -> Value {
    json!({"id": "/web", "portDefinitions": [{"port": 0}], "labels": {
        "DCOS_SERVICE_NAME": name, "DCOS_SERVICE_SCHEME": "http", "DCOS_SERVICE_PORT_INDEX": "0"}})
}

fn of_type(kind: Type) -> Event {
    Event { r#type: Some(kind as i32), ..Event::default() }
}

fn record(event: &Event) -> Bytes {
    encode_record(ContentType::Protobuf, event)
}

fn task_id() -> v1::TaskId {
    v1::TaskId { value: TASK.to_owned() }
}

fn framework_id() -> v1::FrameworkId {
    v1::FrameworkId { value: FRAMEWORK.to_owned() }
}

/// The beginning of a stream, with an agent, a framework without pages, and a task of each state.
fn subscribed(states: &[TaskState]) -> Bytes {
    let agent_id = v1::AgentId { value: "a1".to_owned() };
    let agent = response::get_agents::Agent {
        agent_info: v1::AgentInfo {
            hostname: "127.0.0.1".to_owned(),
            id: Some(agent_id.clone()),
            ..v1::AgentInfo::default()
        },
        active: true,
        version: "1.11.0".to_owned(),
        pid: Some("slave(1)@127.0.0.1:5051".to_owned()),
        ..response::get_agents::Agent::default()
    };
    let framework = response::get_frameworks::Framework {
        framework_info: v1::FrameworkInfo {
            name: "group/silent".to_owned(),
            id: Some(v1::FrameworkId { value: "f-1".to_owned() }),
            ..v1::FrameworkInfo::default()
        },
        ..response::get_frameworks::Framework::default()
    };
    let port = v1::Port { number: 31000, ..v1::Port::default() };
    let discovery = v1::DiscoveryInfo {
        ports: Some(v1::Ports { ports: vec![port] }),
        ..v1::DiscoveryInfo::default()
    };
    let task = |state: &TaskState| v1::Task {
        task_id: task_id(),
        framework_id: framework_id(),
        agent_id: agent_id.clone(),
        state: *state as i32,
        discovery: Some(Box::new(discovery.clone())),
        ..v1::Task::default()
    };
    let state = response::GetState {
        get_agents: Some(response::GetAgents { agents: vec![agent], ..Default::default() }),
        get_frameworks: Some(response::GetFrameworks {
            frameworks: vec![framework],
            ..Default::default()
        }),
        get_tasks: Some(response::GetTasks {
            tasks: states.iter().map(task).collect(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let subscribed =
        event::Subscribed { get_state: Some(state), heartbeat_interval_seconds: Some(15.0) };
    record(&Event { subscribed: Some(subscribed), ..of_type(Type::Subscribed) })
}

fn task_updated(state: TaskState) -> Bytes {
    let status =
        v1::TaskStatus { task_id: task_id(), state: state as i32, ..v1::TaskStatus::default() };
    let updated = event::TaskUpdated { framework_id: framework_id(), status, state: state as i32 };
    record(&Event { task_updated: Some(updated), ..of_type(Type::TaskUpdated) })
}

fn address(service: &Service) -> String {
    match &service.upstream.address {
        proxy::Address::Tcp(address) => address.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_service_goes_with_its_task_and_comes_with_the_next_stream() {
    let world = World::start(|_| {}).await;
    let service = world.wait_for_service().await;
    assert_eq!(address(&service), "127.0.0.1:31000");
    assert!(matches!(world.knowledge.agent("a1"), Known::Found(_)));
    world.master.tell(task_updated(TaskState::TaskFinished)).await;
    world.wait("its end", |world| world.service("web").is_none()).await;
    assert!(service.upstream.is_retired());
    world.master.cut();
    world.wait_for_service().await;
    world.end().await;
}

#[tokio::test]
async fn what_was_told_last_is_used_while_a_master_is_away() {
    let world = World::start(|settings| settings.max_age = Duration::from_secs(2)).await;
    let service = world.wait_for_service().await;
    let away = Answer::Document(StatusCode::SERVICE_UNAVAILABLE, "no leader".to_owned());
    world.master.set("/api/v1", away);
    world.master.cut();
    let is_cut = |world: &World| matches!(world.knowledge.snapshot().mesos, Source::Cut { .. });
    world.wait("the cut", is_cut).await;
    assert!(Arc::ptr_eq(&service, &world.service("web").unwrap()));
    let is_old = |world: &World| matches!(world.resolve("f-1"), Resolution::Failed(Failure::Mesos));
    world.wait("the age", is_old).await;
    world.master.set("/api/v1", Answer::Stream(subscribed(&[])));
    world.wait("its end", |world| world.service("web").is_none()).await;
    assert!(service.upstream.is_retired());
    world.end().await;
}

#[tokio::test]
async fn the_leading_master_is_found_and_told_who_asks() {
    let leader = Server::start().await;
    leader.set("/api/v1", Answer::Stream(subscribed(&[TaskState::TaskRunning])));
    let world = World::start(|settings| {
        let value = http::HeaderValue::from_static("token=t");
        settings.authorization = Some(Arc::new(move || {
            let value = value.clone();
            Box::pin(async move { Some(value) })
        }));
    })
    .await;
    world.wait_for_service().await;
    let to = Answer::Redirect(format!("//{}/api/v1", leader.address));
    world.master.set("/api/v1", to);
    world.master.cut();
    let expected = proxy::Address::Tcp(leader.address);
    let leads = |world: &World| match world.knowledge.leader() {
        Known::Found(leader) => leader.upstream.address == expected,
        _ => false,
    };
    world.wait("the other leader", leads).await;
    for server in [&world.master, &world.marathon, &leader] {
        let asked = server.asked.lock().unwrap().clone();
        assert!(!asked.is_empty());
        assert!(asked.iter().all(|(_, token)| token.as_deref() == Some("token=t")), "{asked:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn an_app_is_read_again_when_an_event_names_it() {
    let world = World::start(|_| {}).await;
    world.wait_for_service().await;
    world.marathon.document("/v2/apps/web", &json!({"app": app("site")}));
    let posted = json!({"appDefinition": {"id": "/web"}});
    let event = format!("event: api_post_event\r\ndata: {posted}\r\n\r\n");
    // In pieces, as networks deliver.
    let (one, other) = event.split_at(40);
    world.marathon.tell(one.to_owned()).await;
    world.marathon.tell(other.to_owned()).await;
    world.wait("its other name", |world| world.service("site").is_some()).await;
    assert!(world.service("web").is_none());
    world.marathon.set("/v2/apps/web", Answer::Document(StatusCode::NOT_FOUND, String::new()));
    let gone = json!({"appId": "/web"});
    world.marathon.tell(format!("event: app_terminated_event\ndata: {gone}\n\n")).await;
    world.wait("its end", |world| world.service("site").is_none()).await;
    let asked = world.marathon.asked.lock().unwrap().clone();
    let lists = asked.iter().filter(|(uri, _)| uri.starts_with("/v2/apps?")).count();
    assert_eq!(lists, 1, "the list is read once a stream: {asked:?}");
    world.end().await;
}

#[tokio::test]
async fn nobody_leads_marathon_where_it_says_so() {
    let world = World::start(|_| {}).await;
    world.wait_for_service().await;
    assert!(matches!(world.knowledge.marathon_leader(), Known::Found(_)));
    world.marathon.set("/v2/leader", Answer::Document(StatusCode::NOT_FOUND, String::new()));
    world.marathon.tell("event: scheduler_registered_event\ndata: {}\n\n").await;
    let nobody = |world: &World| matches!(world.knowledge.marathon_leader(), Known::Missing);
    world.wait("nobody", nobody).await;
    world.end().await;
}

#[tokio::test]
async fn mesos_dns_is_asked_for_frameworks_that_do_not_say() {
    let dns = Server::start().await;
    let path = "/v1/services/_silent.group._tcp.marathon.mesos";
    let world = World::start(|settings| settings.mesos_dns = Some(dns.origin())).await;
    world.wait_for_service().await;
    let ask = async |path: &str| match world.resolve(path) {
        Resolution::Later(later) => later.await,
        other => other,
    };
    dns.document(path, &json!([{"ip": "127.0.0.1", "port": "4000"}]));
    let Resolution::Found(one) = ask("group/silent/x").await else { panic!("not found") };
    assert_eq!((&*one.path, one.depth, &*address(&one)), ("group/silent", 2, "127.0.0.1:4000"));
    let Resolution::Found(by_id) = ask("f-1").await else { panic!("not found") };
    assert!(Arc::ptr_eq(&one.upstream, &by_id.upstream), "connections are shared");
    dns.document(path, &json!([{"ip": "127.0.0.1", "port": "4001"}]));
    assert!(
        matches!(ask("f-1").await, Resolution::Found(moved) if address(&moved).ends_with("4001"))
    );
    assert!(one.upstream.is_retired());
    dns.document(path, &json!([{"ip": "", "port": ""}]));
    assert!(matches!(ask("group/silent/x").await, Resolution::Missing));
    dns.set(path, Answer::Document(StatusCode::INTERNAL_SERVER_ERROR, String::new()));
    assert!(matches!(ask("f-1").await, Resolution::Failed(Failure::MesosDns)));
    world.end().await;
    // Where there is none, nobody is asked.
    let world = World::start(|_| {}).await;
    world.wait_for_service().await;
    assert!(matches!(world.resolve("f-1"), Resolution::Missing));
    world.end().await;
}
