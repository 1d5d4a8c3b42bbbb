//! A whole agent on loopback, between a stand-in master, stand-in executors and containers
//! without processes.
#![allow(clippy::unwrap_used)]

use super::{
    start,
    testing::{FakeRuntime, Peer},
};
use crate::{AgentConfig, core::ContainerEnd};
use bytes::Bytes;
use libprocess::Upid;
use mesos_messages::{
    content::{self, ContentType},
    internal,
    recordio::Decoder,
    v1::{
        self, TaskState,
        executor::{Call, Event, call, event},
        task_status::Source,
    },
};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

fn config(master: &Peer, dir: &Path) -> AgentConfig {
    let mut config = AgentConfig::new(master.upid.address.to_string(), dir);
    config.port = 0;
    config.registration_backoff_factor = Duration::from_millis(50);
    config.resources = Some("cpus:4;mem:1024;disk:1024;ports:[31000-32000]".into());
    config
}

fn agent_id() -> v1::AgentId {
    v1::AgentId { value: "master-S0".into() }
}

fn framework_id() -> v1::FrameworkId {
    v1::FrameworkId { value: "master-0000".into() }
}

/// An agent that is registered.
struct Agent {
    upid: Upid,
    stop: CancellationToken,
    join: tokio::task::JoinHandle<Result<(), crate::AgentError>>,
}

impl Agent {
    async fn start(config: AgentConfig, runtime: &Arc<FakeRuntime>) -> Self {
        let stop = CancellationToken::new();
        let runtime: Arc<FakeRuntime> = Arc::clone(runtime);
        let running = start(config, Some(runtime), stop.clone()).await.unwrap();
        Self { upid: running.upid, stop, join: running.join }
    }

    async fn registered(
        config: AgentConfig,
        runtime: &Arc<FakeRuntime>,
        master: &mut Peer,
    ) -> Self {
        let agent = Self::start(config, runtime).await;
        let (from, message) = master.receive::<internal::RegisterSlaveMessage>().await;
        assert_eq!(from, agent.upid);
        assert_eq!(message.agent_capabilities.len(), 8);
        assert_eq!(message.slave.resources[0].role.as_deref(), Some("*"));
        master.send(
            &from,
            &internal::SlaveRegisteredMessage { slave_id: agent_id(), connection: None },
        );
        let (_, update) = master.receive::<internal::UpdateSlaveMessage>().await;
        assert_eq!(update.slave_id, agent_id());
        agent
    }

    async fn kill(self) {
        self.stop.cancel();
        self.join.await.unwrap().unwrap();
    }
}

fn run_task(id: &str, executor: Option<&str>, checkpoint: bool) -> internal::RunTaskMessage {
    let command = v1::CommandInfo { value: Some("sleep 1".into()), ..Default::default() };
    let executor = executor.map(|id| {
        Box::new(v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: id.into() },
            command: Some(Box::new(command.clone())),
            ..Default::default()
        })
    });
    internal::RunTaskMessage {
        framework: v1::FrameworkInfo {
            user: "root".into(),
            name: "f".into(),
            id: Some(framework_id()),
            checkpoint: Some(checkpoint),
            ..Default::default()
        },
        task: v1::TaskInfo {
            name: id.into(),
            task_id: v1::TaskId { value: id.into() },
            agent_id: agent_id(),
            command: executor.is_none().then(|| Box::new(command)),
            executor,
            ..Default::default()
        },
        launch_executor: Some(true),
        ..Default::default()
    }
}

fn acknowledgement(
    update: &internal::StatusUpdate,
) -> internal::StatusUpdateAcknowledgementMessage {
    internal::StatusUpdateAcknowledgementMessage {
        slave_id: agent_id(),
        framework_id: framework_id(),
        task_id: update.status.task_id.clone(),
        uuid: update.uuid.clone().unwrap(),
    }
}

fn status(id: &str, state: TaskState, uuid: u8) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: v1::TaskId { value: id.into() },
        state: state as i32,
        source: Some(Source::Executor as i32),
        uuid: Some(Bytes::from(vec![uuid; 16])),
        ..Default::default()
    }
}

// === a v1 executor, by hand ===

fn post(path: &str, content: ContentType, body: &[u8]) -> Vec<u8> {
    let kind = content.as_str();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: agent\r\nContent-Type: {kind}\r\nAccept: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// An answer: its head, and the stream behind it.
async fn exchange(address: SocketAddr, request: &[u8]) -> (String, Vec<u8>, TcpStream) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            return (head, bytes.split_off(end + 4), socket);
        }
        assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "the agent hung up");
    }
}

fn status_of(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A subscribed v1 executor.
struct Executor {
    id: String,
    agent: SocketAddr,
    content: ContentType,
    socket: TcpStream,
    raw: Vec<u8>,
    decoder: Decoder,
}

impl Executor {
    fn call(id: &str) -> Call {
        Call {
            executor_id: v1::ExecutorId { value: id.into() },
            framework_id: framework_id(),
            ..Default::default()
        }
    }

    async fn subscribe(agent: SocketAddr, id: &str, content: ContentType) -> Self {
        let call = Call {
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(Default::default()),
            ..Self::call(id)
        };
        let request = post("/slave(1)/api/v1/executor", content, &content::encode(content, &call));
        let (head, raw, socket) = exchange(agent, &request).await;
        assert_eq!(status_of(&head), 200, "{head}");
        assert!(head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
        assert!(head.contains(content.as_str()), "{head}");
        let decoder = Decoder::new(1 << 20);
        Self { id: id.into(), agent, content, socket, raw, decoder }
    }

    /// Takes whole chunks out of what came.
    fn unchunk(&mut self) {
        while let Some(line) = self.raw.windows(2).position(|window| window == b"\r\n") {
            let length = std::str::from_utf8(&self.raw[..line]).unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            if self.raw.len() < line + 2 + length + 2 {
                return;
            }
            self.decoder.push(&self.raw[line + 2..line + 2 + length]);
            self.raw.drain(..line + 2 + length + 2);
        }
    }

    async fn event(&mut self) -> Event {
        let next = async {
            loop {
                self.unchunk();
                if let Some(record) = self.decoder.next_record().unwrap() {
                    return content::decode::<Event>(self.content, &record).unwrap();
                }
                assert!(self.socket.read_buf(&mut self.raw).await.unwrap() > 0, "the end");
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.unwrap()
    }

    async fn update(&self, status: v1::TaskStatus) -> u16 {
        let call = Call {
            r#type: Some(call::Type::Update as i32),
            update: Some(call::Update { status }),
            ..Self::call(&self.id)
        };
        let body = content::encode(self.content, &call);
        let (head, ..) = exchange(self.agent, &post("/api/v1/executor", self.content, &body)).await;
        status_of(&head)
    }
}

#[tokio::test]
async fn a_command_task_runs_over_the_v1_api() {
    for (content, name) in [(ContentType::Json, "json"), (ContentType::Protobuf, "protobuf")] {
        let dir = tempfile::tempdir().unwrap();
        let mut master = Peer::master().await;
        let (runtime, mut launches) = FakeRuntime::new();
        let config = config(&master, dir.path());
        let agent = Agent::registered(config, &runtime, &mut master).await;
        master.send(&agent.upid, &run_task("t", None, false));
        let container = launches.recv().await.unwrap();
        assert!(container.sandbox.join("../latest").exists());
        assert_eq!(container.argv.last().unwrap(), "command-executor");
        let env = |name: &str| container.env.iter().find(|(n, _)| n == name).unwrap().1.clone();
        assert_eq!(env("MESOS_SLAVE_PID"), agent.upid.to_string());
        assert_eq!(env("MESOS_EXECUTOR_ID"), "t");
        assert_eq!(env("MESOS_SLAVE_ID"), "master-S0");

        let mut executor = Executor::subscribe(agent.upid.address, "t", content).await;
        let subscribed = executor.event().await.subscribed.unwrap();
        assert_eq!(subscribed.container_id.unwrap().value, container.container_id.value);
        let launch = executor.event().await.launch.unwrap();
        assert_eq!(launch.task.task_id.value, "t", "{name}");
        assert_eq!(executor.update(status("t", TaskState::TaskRunning, 1)).await, 202);
        let acknowledged = executor.event().await.acknowledged.unwrap();
        assert_eq!(acknowledged.uuid, vec![1; 16]);
        let (_, forwarded) = master.receive::<internal::StatusUpdateMessage>().await;
        assert_eq!(forwarded.pid, Some(agent.upid.to_string()));
        let told = forwarded.update.status.container_status.as_ref().unwrap();
        assert_eq!(told.executor_pid, Some(4711));
        assert_eq!(told.network_infos[0].ip_addresses[0].ip_address(), "127.0.0.1");
        master.send(&agent.upid, &acknowledgement(&forwarded.update));
        assert_eq!(executor.update(status("t", TaskState::TaskFinished, 2)).await, 202);
        let (_, forwarded) = master.receive::<internal::StatusUpdateMessage>().await;
        assert_eq!(forwarded.update.latest_state, Some(TaskState::TaskFinished as i32));
        master.send(&agent.upid, &acknowledgement(&forwarded.update));
        let id = &container.container_id.value;
        runtime.end(id, ContainerEnd { status: Some(0), ..Default::default() });
        for _ in 0..500 {
            if runtime.is_gone(id) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(runtime.is_gone(id), "the container is forgotten in the end");
        agent.kill().await;
    }
}

#[tokio::test]
async fn a_custom_executor_speaks_v0() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Peer::master().await;
    let (runtime, mut launches) = FakeRuntime::new();
    let agent = Agent::registered(config(&master, dir.path()), &runtime, &mut master).await;
    master.send(&agent.upid, &run_task("t", Some("e"), false));
    let container = launches.recv().await.unwrap();
    assert_eq!(container.argv, ["/bin/sh", "-c", "sleep 1"]);
    let executor_id = v1::ExecutorId { value: "e".into() };
    let mut executor = Peer::start("executor(1)", SocketAddr::from(([127, 0, 0, 1], 0))).await;
    executor.send(
        &agent.upid,
        &internal::RegisterExecutorMessage {
            framework_id: framework_id(),
            executor_id: executor_id.clone(),
        },
    );
    let (_, registered) = executor.receive::<internal::ExecutorRegisteredMessage>().await;
    assert_eq!(registered.slave_id, agent_id());
    assert_eq!(registered.slave_info.checkpoint, Some(true));
    let (_, run) = executor.receive::<internal::RunTaskMessage>().await;
    assert_eq!((run.pid.as_deref(), run.launch_executor), (Some("@0.0.0.0:0"), None));
    let update = internal::StatusUpdate {
        framework_id: framework_id(),
        executor_id: Some(executor_id.clone()),
        status: status("t", TaskState::TaskRunning, 7),
        uuid: Some(Bytes::from_static(&[7; 16])),
        ..Default::default()
    };
    let message = internal::StatusUpdateMessage { update, pid: Some(executor.upid.to_string()) };
    executor.send(&agent.upid, &message);
    executor.receive::<internal::StatusUpdateAcknowledgementMessage>().await;
    let (_, forwarded) = master.receive::<internal::StatusUpdateMessage>().await;
    assert_eq!(forwarded.update.status.source, Some(Source::Executor as i32));
    // Messages both ways.
    let message = internal::ExecutorToFrameworkMessage {
        slave_id: agent_id(),
        framework_id: framework_id(),
        executor_id: executor_id.clone(),
        data: Bytes::from_static(b"up"),
    };
    executor.send(&agent.upid, &message);
    assert_eq!(master.receive::<internal::ExecutorToFrameworkMessage>().await.1, message);
    let message = internal::FrameworkToExecutorMessage {
        slave_id: agent_id(),
        framework_id: framework_id(),
        executor_id,
        data: Bytes::from_static(b"down"),
    };
    master.send(&agent.upid, &message);
    assert_eq!(executor.receive::<internal::FrameworkToExecutorMessage>().await.1, message);
    // Its end is told.
    let end = ContainerEnd { status: Some(256), ..Default::default() };
    runtime.end(&container.container_id.value, end);
    let (_, exited) = master.receive::<internal::ExitedExecutorMessage>().await;
    assert_eq!((exited.executor_id.value.as_str(), exited.status), ("e", 256));
    agent.kill().await;
}

#[tokio::test]
async fn a_restarted_agent_takes_its_executors_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Peer::master().await;
    let (runtime, mut launches) = FakeRuntime::new();
    let mut config = config(&master, dir.path());
    let agent = Agent::registered(config.clone(), &runtime, &mut master).await;
    master.send(&agent.upid, &run_task("t", None, true));
    let container = launches.recv().await.unwrap().container_id.value;
    let mut executor = Executor::subscribe(agent.upid.address, "t", ContentType::Protobuf).await;
    executor.event().await;
    executor.event().await;
    assert_eq!(executor.update(status("t", TaskState::TaskRunning, 1)).await, 202);
    executor.event().await;
    let port = agent.upid.address.port();
    agent.kill().await;
    drop(executor);

    config.port = port;
    runtime.gate.send_replace(false);
    let agent = Agent::start(config, &runtime).await;
    let address = agent.upid.address;
    let get = b"GET /state HTTP/1.1\r\nHost: agent\r\n\r\n";
    let (head, ..) = exchange(address, get).await;
    assert_eq!(status_of(&head), 503, "not before recovery is over");
    let call = Call {
        r#type: Some(call::Type::Subscribe as i32),
        subscribe: Some(Default::default()),
        ..Executor::call("t")
    };
    let body = content::encode(ContentType::Json, &call);
    let (head, ..) = exchange(address, &post("/api/v1/executor", ContentType::Json, &body)).await;
    assert_eq!(status_of(&head), 503, "executors must come again, not give up");
    runtime.gate.send_replace(true);
    // The executor is waited for, and nothing is registered meanwhile.
    assert!(master.quiet::<internal::ReregisterSlaveMessage>(Duration::from_millis(200)).await);
    let mut executor = Executor::subscribe(address, "t", ContentType::Protobuf).await;
    assert_eq!(executor.event().await.r#type(), event::Type::Subscribed);
    let (from, message) = master.receive::<internal::ReregisterSlaveMessage>().await;
    assert_eq!(message.slave.id, Some(agent_id()));
    assert_eq!(message.tasks[0].state(), TaskState::TaskRunning);
    assert_eq!(message.frameworks.len(), 1);
    assert!(message.executor_infos.is_empty(), "the master keeps no account of it");
    let reply = internal::SlaveReregisteredMessage { slave_id: agent_id(), ..Default::default() };
    master.send(&from, &reply);
    // Nobody acknowledged it before.
    let (_, forwarded) = master.receive::<internal::StatusUpdateMessage>().await;
    assert_eq!(forwarded.update.uuid.as_deref(), Some(&[1; 16][..]));
    assert!(!runtime.is_gone(&container));
    agent.kill().await;
}

#[tokio::test]
async fn a_restarted_master_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Peer::master().await;
    let (runtime, _launches) = FakeRuntime::new();
    let agent = Agent::registered(config(&master, dir.path()), &runtime, &mut master).await;
    let address = master.stop();
    let mut master = Peer::start("master", address).await;
    let (from, message) = master.receive::<internal::ReregisterSlaveMessage>().await;
    assert_eq!(message.slave.id, Some(agent_id()));
    let reply = internal::SlaveReregisteredMessage { slave_id: agent_id(), ..Default::default() };
    master.send(&from, &reply);
    master.receive::<internal::UpdateSlaveMessage>().await;
    agent.kill().await;
}

#[tokio::test]
async fn an_agent_with_other_facts_does_not_take_over_a_work_directory() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Peer::master().await;
    let (runtime, _launches) = FakeRuntime::new();
    let mut config = config(&master, dir.path());
    let agent = Agent::registered(config.clone(), &runtime, &mut master).await;
    config.port = agent.upid.address.port();
    agent.kill().await;
    config.resources = Some("cpus:2;mem:1024;disk:1024;ports:[31000-32000]".into());
    let error = start(config, Some(runtime), CancellationToken::new()).await.err().unwrap();
    assert!(error.to_string().contains("resources"), "{error}");
}

#[tokio::test]
async fn damage_is_left_out_and_the_rest_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Peer::master().await;
    let (runtime, mut launches) = FakeRuntime::new();
    let mut config = config(&master, dir.path());
    let agent = Agent::registered(config.clone(), &runtime, &mut master).await;
    for id in ["whole", "broken"] {
        master.send(&agent.upid, &run_task(id, None, true));
        launches.recv().await.unwrap();
        let mut executor = Executor::subscribe(agent.upid.address, id, ContentType::Protobuf).await;
        executor.event().await;
    }
    config.port = agent.upid.address.port();
    agent.kill().await;
    let executors = dir
        .path()
        .join("meta/slaves/master-S0/frameworks/master-0000/executors/broken/executor.info");
    std::fs::write(&executors, b"nonsense").unwrap();
    config.executor_reregistration_timeout = Duration::from_millis(200);
    let agent = Agent::start(config.clone(), &runtime).await;
    let (_, message) = master.receive::<internal::ReregisterSlaveMessage>().await;
    let ids: Vec<_> = message.tasks.iter().map(|task| task.task_id.value.as_str()).collect();
    assert_eq!(ids, ["whole"]);
    agent.kill().await;
    config.strict = true;
    let error = start(config, Some(runtime), CancellationToken::new()).await.err().unwrap();
    assert!(error.to_string().contains("executors/broken/executor.info"), "{error}");
}

#[tokio::test]
async fn nobody_passes_for_the_master_where_clients_have_to_be_who_they_are() {
    use http_kit::guard::{Guard, Mode};
    let dir = tempfile::tempdir().unwrap();
    let (runtime, _launches) = FakeRuntime::new();
    let mut master = Peer::master().await;
    let guard = Guard::fixed(Mode::Strict, identity::Snapshot::default());
    let guarded = AgentConfig { guard, ..config(&master, dir.path()) };
    let agent = Agent::registered(guarded, &runtime, &mut master).await;
    for (from, header, status) in [
        (master.upid.to_string(), "", 202),
        (format!("master@10.0.0.1:{}", master.upid.address.port()), "", 400),
        (master.upid.to_string(), "Via: 1.1 gate\r\n", 400),
    ] {
        let message = format!(
            "POST /slave(1)/mesos.internal.PingSlaveMessage HTTP/1.1\r\nHost: a\r\n\
             Libprocess-From: {from}\r\n{header}Content-Length: 0\r\n\r\n"
        );
        let (head, ..) = exchange(agent.upid.address, message.as_bytes()).await;
        assert_eq!(status_of(&head), status, "{from} {header}");
    }
    agent.kill().await;
}
