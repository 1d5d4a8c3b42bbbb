//! A running API and its client.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cluster_state::embedded;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use http_kit::{Client, ClientConfig, ServeConfig};
use marathon::{Config, Handle, Inbox, Info, handle, store::Committer, store::Store};
use marathon_core::{Call, Core, Effects, Input, RequestId, View};
use mesos_messages::{resources::Resources, time::Now, v1, v1::TaskState};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The API, with everything behind it; ends when dropped.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    client: Client,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON of an answer with this status.
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        if self.bytes.is_empty() { Value::Null } else { self.json() }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = embedded::open(folder.path().join("state.redb")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(config);
        let store = Store::new(state);
        let (recovered, committer) = store.load(config.max_versions).await.unwrap();
        let info = Info { address, leader: address.to_string(), config: config.clone() };
        let (handle, inbox) = handle::channel(View::default(), store, info);
        let stop = CancellationToken::new();
        let mut core = config.core.clone();
        core.seed = 7;
        // Offers come only after a revive here.
        core.min_revive_interval = Duration::from_millis(1);
        let core = Core::new(core, recovered, Clock::default().now());
        let owner =
            Owner { core, committer, inbox, clock: Clock::default(), offers: 0, requests: 0 };
        tokio::spawn(stop.clone().run_until_cancelled_owned(owner.run()));
        let service = Arc::new(marathon::service(handle.clone()));
        tokio::spawn(http_kit::serve(listener, service, ServeConfig::default(), stop.clone()));
        let client = Client::new(ClientConfig::default());
        Self { address, handle, client, stop, _folder: folder }
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (head, bytes) = self.client.fetch(request).await.unwrap().into_parts();
        Answer { status: head.status.as_u16(), headers: head.headers, bytes }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("http://{}{path}", self.address))
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = self.request(method, path).body(Full::new(body.into())).unwrap();
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    /// Until nothing is deployed any more.
    pub(crate) async fn settled(&self) {
        let begun = Instant::now();
        while !self.handle.view().deployments.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "a deployment does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An app that runs.
    pub(crate) async fn running(&self, body: &Value) -> Value {
        let app = self.post("/v2/apps", body).await.expect(201);
        self.settled().await;
        app
    }
}

#[derive(Clone, Copy)]
struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Now { mono: self.0.elapsed(), wall }
    }
}

/// Drives the core, and plays the cluster: one agent on which everything fits and whose tasks
/// run at once.
struct Owner {
    core: Core,
    committer: Committer,
    inbox: Inbox,
    clock: Clock,
    offers: u32,
    requests: u64,
}

impl Owner {
    async fn run(mut self) {
        let subscribed = Input::Subscribed {
            framework_id: "f-1".into(),
            master: "10.0.0.1:5050".into(),
            region: None,
            zone: None,
        };
        let mut replies = std::collections::HashMap::new();
        let mut inputs = std::collections::VecDeque::from([Input::Tick, subscribed]);
        loop {
            while let Some(input) = inputs.pop_front() {
                let mut effects = Effects::default();
                self.core.handle(self.clock.now(), input, &mut effects);
                self.committer.commit(effects.writes).await.unwrap();
                self.inbox.show(self.core.view());
                self.inbox.publish(effects.events);
                for (id, reply) in effects.replies {
                    let waiting: Option<tokio::sync::oneshot::Sender<_>> = replies.remove(&id);
                    let _ = waiting.unwrap().send(reply);
                }
                for call in effects.calls {
                    inputs.extend(self.call(call));
                }
            }
            let due = self.core.deadline().unwrap_or(Duration::from_secs(3600));
            let pause = due.saturating_sub(self.clock.now().mono);
            tokio::select! {
                request = self.inbox.next() => {
                    let Some(request) = request else { return };
                    self.requests += 1;
                    let id = RequestId(self.requests);
                    replies.insert(id, request.reply);
                    inputs.push_back(Input::Command(id, request.command));
                }
                () = tokio::time::sleep(pause) => inputs.push_back(Input::Tick),
            }
        }
    }

    fn call(&mut self, call: Call) -> Vec<Input> {
        match call {
            Call::Accept { operations, .. } => operations
                .into_iter()
                .filter_map(|operation| operation.launch)
                .flat_map(|launch| launch.task_infos)
                .map(|task| update(&task.task_id.value, TaskState::TaskRunning))
                // What is left of the agent is offered again.
                .chain(std::iter::once_with(|| Input::Offers(vec![self.offer()])))
                .collect(),
            Call::Kill { task, .. } => vec![update(&task, TaskState::TaskKilled)],
            Call::Revive { .. } => vec![Input::Offers(vec![self.offer()])],
            _ => Vec::new(),
        }
    }

    fn offer(&mut self) -> v1::Offer {
        self.offers += 1;
        let text = "cpus:1000;mem:1000000;disk:10000;ports:[31000-32999]";
        let resources = Resources::parse(text, "*").unwrap();
        v1::Offer {
            id: v1::OfferId { value: format!("offer-{}", self.offers) },
            agent_id: v1::AgentId { value: "agent-1".into() },
            hostname: "host-1".into(),
            resources: resources.allocated("*").to_proto(),
            allocation_info: Some(v1::resource::AllocationInfo { role: Some("*".into()) }),
            ..v1::Offer::default()
        }
    }
}

fn update(task: &str, state: TaskState) -> Input {
    let mut status = v1::TaskStatus {
        task_id: v1::TaskId { value: task.to_owned() },
        agent_id: Some(v1::AgentId { value: "agent-1".into() }),
        uuid: Some(vec![7; 16].into()),
        ..v1::TaskStatus::default()
    };
    status.set_state(state);
    Input::Update(Box::new(status))
}
