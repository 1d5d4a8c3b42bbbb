//! A master, a fake agent or driver that speaks libprocess, and an HTTP client of its own.
use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use http_kit::{Reply, Routes};
use libprocess::{
    Exited, Inbound, Outbox, OutboxConfig, Upid,
    server::{Inlet, InletConfig},
};
use mesos_master::{RunningMaster, config::MasterConfig};
use mesos_messages::{internal, json::JsonMessage, v1};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A master with its store, stopped when dropped.
pub struct Master {
    pub running: RunningMaster,
    pub stop: CancellationToken,
    _folder: Option<tempfile::TempDir>,
}

impl Drop for Master {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub fn config() -> MasterConfig {
    MasterConfig {
        port: 0,
        allocation_interval: Duration::from_millis(50),
        seed: Some(7),
        ..MasterConfig::default()
    }
}

impl Master {
    pub async fn start() -> Master {
        Master::start_with(config()).await
    }

    pub async fn start_with(config: MasterConfig) -> Master {
        let folder = tempfile::tempdir().unwrap();
        let state = cluster_state::embedded::open(folder.path().join("state")).unwrap();
        let mut master = Master::start_on(config, state).await;
        master._folder = Some(folder);
        master
    }

    pub async fn start_on(
        config: MasterConfig,
        state: Arc<dyn cluster_state::ClusterState>,
    ) -> Master {
        let stop = CancellationToken::new();
        let running = mesos_master::start(config, state, stop.clone()).await.unwrap();
        Master { running, stop, _folder: None }
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.running.join).await.unwrap().unwrap();
    }

    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    pub fn pid(&self) -> Upid {
        Upid::new("master", self.address())
    }
}

/// A libprocess peer: something that listens, and what it was sent.
pub struct Peer {
    pub pid: Upid,
    pub outbox: Outbox,
    pub inbox: mpsc::Receiver<Inbound>,
    _exits: mpsc::Receiver<Exited>,
    stop: CancellationToken,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Peer {
    pub async fn new(id: &str) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Peer::on(id, listener).await
    }

    pub async fn on(id: &str, listener: TcpListener) -> Peer {
        let address = listener.local_addr().unwrap();
        let (inbound, inbox) = mpsc::channel(65536);
        let inlet = Inlet::new(InletConfig::default(), |_| true, inbound);
        let routes = Routes::new("peer").intercept(Arc::new(move |request, peer| {
            if !inlet.claims(request.method(), request.headers()) {
                return Err(request);
            }
            let inlet = inlet.clone();
            Ok(Reply::detached(async move {
                let (parts, body) = request.into_parts();
                let answer = inlet.receive(&parts, body, peer.ip()).await;
                let (head, body) = answer.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                http_kit::Response::from_parts(head, body.into())
            }))
        }));
        let stop = CancellationToken::new();
        let config = http_kit::ServeConfig::default();
        tokio::spawn(http_kit::serve(listener, Arc::new(routes), config, stop.clone()));
        let (exits_in, exits) = mpsc::channel(1024);
        let outbox = Outbox::new(OutboxConfig::default(), exits_in);
        Peer { pid: Upid::new(id, address), outbox, inbox, _exits: exits, stop }
    }

    pub fn send<M: JsonMessage>(&self, to: &Upid, message: &M) {
        // The packages' names differ between v0 and v1 only for calls.
        self.outbox.send(&self.pid, to, M::NAME, message.encode_to_vec()).unwrap();
    }

    /// The next message of that name; others are skipped.
    pub async fn expect<M: JsonMessage>(&mut self) -> M {
        self.expect_from::<M>().await.1
    }

    pub async fn expect_from<M: JsonMessage>(&mut self) -> (Upid, M) {
        let next = async {
            loop {
                let message = self.inbox.recv().await.expect("the peer is open");
                if message.name == M::NAME {
                    return (message.from, M::decode(message.body).unwrap());
                }
            }
        };
        timeout(PATIENCE, next).await.unwrap_or_else(|_| panic!("no {} came", M::NAME))
    }
}

/// An agent that does what its test says.
pub struct Agent {
    pub peer: Peer,
    pub id: v1::AgentId,
    pub master: Upid,
}

pub fn agent_info(resources: &str) -> v1::AgentInfo {
    let resources = mesos_messages::resources::Resources::parse(resources, "*").unwrap();
    v1::AgentInfo {
        hostname: "127.0.0.1".to_owned(),
        port: Some(5051),
        resources: resources.to_proto(),
        checkpoint: Some(true),
        ..v1::AgentInfo::default()
    }
}

pub fn capabilities() -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type;
    [
        Type::MultiRole,
        Type::HierarchicalRole,
        Type::ReservationRefinement,
        Type::ResourceProvider,
        Type::AgentOperationFeedback,
        Type::TaskResourceLimits,
    ]
    .into_iter()
    .map(|kind| v1::agent_info::Capability { r#type: Some(kind as i32) })
    .collect()
}

impl Agent {
    pub async fn register(master: &Master, resources: &str) -> Agent {
        let mut peer = Peer::new("slave(1)").await;
        let message = internal::RegisterSlaveMessage {
            slave: agent_info(resources),
            version: Some("1.11.0".to_owned()),
            agent_capabilities: capabilities(),
            ..internal::RegisterSlaveMessage::default()
        };
        peer.send(&master.pid(), &message);
        let registered: internal::SlaveRegisteredMessage = peer.expect().await;
        Agent { peer, id: registered.slave_id, master: master.pid() }
    }

    /// Sends an update of a task and gives its uuid.
    pub fn update(&self, framework: &str, task: &str, state: v1::TaskState) -> Bytes {
        let uuid = Bytes::copy_from_slice(uuid::Uuid::new_v4().as_bytes());
        let update = internal::StatusUpdate {
            framework_id: v1::FrameworkId { value: framework.to_owned() },
            slave_id: Some(self.id.clone()),
            status: v1::TaskStatus {
                task_id: v1::TaskId { value: task.to_owned() },
                state: state as i32,
                source: Some(v1::task_status::Source::Executor as i32),
                uuid: Some(uuid.clone()),
                ..v1::TaskStatus::default()
            },
            timestamp: 12.5,
            uuid: Some(uuid.clone()),
            latest_state: Some(state as i32),
            ..internal::StatusUpdate::default()
        };
        let pid = Some(self.peer.pid.to_string());
        self.peer.send(&self.master, &internal::StatusUpdateMessage { update, pid });
        uuid
    }
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

async fn read_head(socket: &mut TcpStream, buffer: &mut BytesMut) -> Answer {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        assert!(socket.read_buf(buffer).await.unwrap() > 0, "the connection ended");
    };
    let head = String::from_utf8(buffer.split_to(end + 4).to_vec()).unwrap();
    let mut lines = head.trim_end().lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Answer { status, headers, body: Vec::new() }
}

/// Sends a request as it stands and reads the whole answer.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let run = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut buffer = BytesMut::new();
        let mut answer = read_head(&mut socket, &mut buffer).await;
        let length: usize = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
        while buffer.len() < length {
            assert!(socket.read_buf(&mut buffer).await.unwrap() > 0, "the body ended early");
        }
        answer.body = buffer[..length].to_vec();
        answer
    };
    timeout(PATIENCE, run).await.expect("an answer in time")
}

pub async fn post(address: SocketAddr, headers: &str, body: &[u8]) -> Answer {
    let mut request = format!(
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    exchange(address, &request).await
}

/// A scheduler over HTTP and JSON.
pub struct Scheduler {
    pub address: SocketAddr,
    pub framework: String,
    pub stream_id: String,
    stream: Stream,
}

/// A stream of records in chunks.
pub struct Stream {
    socket: TcpStream,
    buffer: BytesMut,
}

impl Stream {
    /// The next chunk, which must be one whole record; none at the end.
    pub async fn next(&mut self) -> Option<Value> {
        timeout(PATIENCE, self.read()).await.expect("an event in time")
    }

    async fn read(&mut self) -> Option<Value> {
        let size = usize::from_str_radix(&self.line().await?, 16).unwrap();
        while self.buffer.len() < size + 2 {
            if self.socket.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
        let chunk = self.buffer.split_to(size + 2);
        if size == 0 {
            return None;
        }
        let chunk = &chunk[..size];
        let end = chunk.iter().position(|byte| *byte == b'\n').unwrap();
        let length: usize = std::str::from_utf8(&chunk[..end]).unwrap().parse().unwrap();
        assert_eq!(length, chunk.len() - end - 1, "one record in one chunk");
        Some(serde_json::from_slice(&chunk[end + 1..]).unwrap())
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer.split_to(end + 2);
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            if self.socket.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
}

pub fn framework_info(name: &str) -> Value {
    json!({
        "user": "root",
        "name": name,
        "roles": ["*"],
        "failover_timeout": 60.0,
        "checkpoint": true,
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}],
    })
}

/// Sends a SUBSCRIBE; gives the head of the answer and the stream.
pub async fn open_stream(address: SocketAddr, call: &Value) -> (Answer, Stream) {
    let body = call.to_string();
    let request = format!(
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = BytesMut::new();
    let head = timeout(PATIENCE, read_head(&mut socket, &mut buffer)).await.unwrap();
    (head, Stream { socket, buffer })
}

impl Scheduler {
    pub async fn subscribe(address: SocketAddr, info: Value) -> Scheduler {
        let mut call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}});
        if let Some(id) = call["subscribe"]["framework_info"].get("id").cloned() {
            call["framework_id"] = id;
        }
        let (head, mut stream) = open_stream(address, &call).await;
        assert_eq!(head.status, 200);
        let subscribed = stream.next().await.unwrap();
        assert_eq!(subscribed["type"], "SUBSCRIBED", "{subscribed}");
        let framework = subscribed["subscribed"]["framework_id"]["value"].as_str().unwrap();
        let stream_id = head.header("mesos-stream-id").unwrap().to_owned();
        Scheduler { address, framework: framework.to_owned(), stream_id, stream }
    }

    /// The next event of that type; others but ERROR are skipped.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let event = self.stream.next().await.unwrap_or_else(|| panic!("no {kind}: the end"));
            if event["type"] == kind {
                return event;
            }
            assert_ne!(event["type"], "ERROR", "{event}");
        }
    }

    pub async fn next(&mut self) -> Option<Value> {
        self.stream.next().await
    }

    pub async fn status(&mut self) -> Value {
        self.expect("UPDATE").await["update"]["status"].clone()
    }

    pub async fn call(&self, mut call: Value) -> Answer {
        call["framework_id"] = json!({"value": self.framework});
        let headers = format!("Mesos-Stream-Id: {}\r\n", self.stream_id);
        post(self.address, &headers, call.to_string().as_bytes()).await
    }

    pub async fn accepted(&self, call: Value) {
        let answer = self.call(call).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    pub async fn launch(&self, offer: &Value, tasks: Vec<Value>) {
        self.accepted(json!({"type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]],
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}],
            "filters": {"refuse_seconds": 0.0},
        }}))
        .await;
    }
}

/// A command task of 0.1 cpus and 32 MB.
pub fn task(id: &str, agent: &Value) -> Value {
    json!({
        "name": "t",
        "task_id": {"value": id},
        "agent_id": agent,
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
        ],
        "command": {"value": "true"},
    })
}
