//! Simulated agents: they speak libprocess to a master as real ones do, and run nothing.
//!
//! Reading is by hand, not through an HTTP library: in these benchmarks the
//! agents share two cores with the master that is measured.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use libprocess::Upid;
use mesos_messages::{internal, v1};
use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
};

/// How a host of simulated agents is made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) master: SocketAddr,
    /// Listening addresses; agents are spread over them.
    pub(crate) hosts: usize,
    pub(crate) agents: usize,
    pub(crate) resources: Vec<v1::Resource>,
}

/// What the agents have seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) registered: AtomicUsize,
    pub(crate) launched: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) changed: Notify,
    /// The id each agent was given, by its number.
    pub(crate) ids: Mutex<BTreeMap<usize, String>>,
}

/// Agents that run until dropped.
pub(crate) struct Agents {
    pub(crate) seen: Arc<Seen>,
    hosts: Vec<Host>,
}

struct Host {
    address: SocketAddr,
    indices: Vec<usize>,
    outgoing: mpsc::Sender<Vec<u8>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

struct Incoming {
    master: SocketAddr,
    address: SocketAddr,
    outgoing: mpsc::Sender<Vec<u8>>,
    seen: Arc<Seen>,
    out: Vec<u8>,
}

impl Drop for Host {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Agents {
    /// Starts listening and connects; registers nothing yet.
    pub(crate) async fn start(plan: &Plan) -> Result<Self> {
        let seen = Arc::new(Seen::default());
        let mut hosts = Vec::with_capacity(plan.hosts);
        for host in 0..plan.hosts {
            let indices = (host..plan.agents).step_by(plan.hosts).collect();
            hosts.push(Host::start(plan.master, indices, seen.clone()).await?);
        }
        Ok(Self { seen, hosts })
    }

    /// Registers every agent anew and waits until the master has admitted all.
    pub(crate) async fn register(&self, plan: &Plan) -> Result<()> {
        for host in &self.hosts {
            let mut out = Vec::new();
            for index in &host.indices {
                let body = internal::RegisterSlaveMessage {
                    slave: agent_info(*index, host.address, &plan.resources, None),
                    version: Some("1.11.0".into()),
                    agent_capabilities: capabilities(),
                    resource_version_uuid: Some(v1::Uuid { value: uuid(*index) }),
                    ..Default::default()
                };
                host.append(
                    &mut out,
                    plan.master,
                    *index,
                    "mesos.internal.RegisterSlaveMessage",
                    &body,
                )?;
            }
            host.outgoing.send(out).await.context("connection to the master closed")?;
        }
        self.wait_registered(plan.agents).await
    }

    /// Re-registers agents with ids `prefix-S<n>` that run `tasks` tasks each, and waits for all.
    pub(crate) async fn reregister(
        &self,
        plan: &Plan,
        ids: &[String],
        framework: &v1::FrameworkInfo,
        tasks: usize,
    ) -> Result<()> {
        self.seen.registered.store(0, Ordering::SeqCst);
        let mut batches = Vec::new();
        for host in &self.hosts {
            let mut out = Vec::new();
            for index in &host.indices {
                let body =
                    reregistration(*index, host.address, plan, &ids[*index], framework, tasks);
                host.append(
                    &mut out,
                    plan.master,
                    *index,
                    "mesos.internal.ReregisterSlaveMessage",
                    &body,
                )?;
            }
            batches.push(out);
        }
        for (host, out) in self.hosts.iter().zip(batches) {
            host.outgoing.send(out).await.context("connection to the master closed")?;
        }
        self.wait_registered(plan.agents).await
    }

    async fn wait_registered(&self, agents: usize) -> Result<()> {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(120);
        loop {
            let changed = self.seen.changed.notified();
            let registered = self.seen.registered.load(Ordering::SeqCst);
            if registered >= agents {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                bail!("{registered} of {agents} agents registered within two minutes");
            }
        }
    }
}

impl Host {
    async fn start(master: SocketAddr, indices: Vec<usize>, seen: Arc<Seen>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connection = TcpStream::connect(master).await?;
        connection.set_nodelay(true)?;
        let (mut reader, mut writer) = connection.into_split();
        let (outgoing, mut queue) = mpsc::channel::<Vec<u8>>(1024);
        let write = tokio::spawn(async move {
            while let Some(bytes) = queue.recv().await {
                if writer.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        let discard = tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while matches!(reader.read(&mut buffer).await, Ok(read) if read > 0) {}
        });
        let sender = outgoing.clone();
        let accept = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let incoming = Incoming {
                    master,
                    address,
                    outgoing: sender.clone(),
                    seen: seen.clone(),
                    out: Vec::new(),
                };
                tokio::spawn(incoming.run(stream));
            }
        });
        Ok(Self { address, indices, outgoing, tasks: vec![write, discard, accept] })
    }

    fn append(
        &self,
        out: &mut Vec<u8>,
        master: SocketAddr,
        index: usize,
        name: &str,
        body: &impl Message,
    ) -> Result<()> {
        let from = Upid::new(format!("slave({})", index + 1), self.address);
        libprocess::encode(out, &from, &Upid::new("master", master), name, &body.encode_to_vec())?;
        Ok(())
    }
}

impl Incoming {
    async fn run(mut self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut buffer = Vec::with_capacity(256 * 1024);
        loop {
            match stream.read_buf(&mut buffer).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
            let mut used = 0;
            let mut answers = 0;
            while let Some((length, message)) = next_message(&buffer[used..]) {
                self.handle(&message);
                used += length;
                answers += 1;
            }
            buffer.drain(..used);
            let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".repeat(answers);
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            if !self.out.is_empty()
                && self.outgoing.send(std::mem::take(&mut self.out)).await.is_err()
            {
                return;
            }
        }
    }

    fn handle(&mut self, message: &RawMessage<'_>) {
        match message.name {
            "mesos.internal.SlaveRegisteredMessage" | "mesos.internal.SlaveReregisteredMessage" => {
                self.note_id(message);
                self.seen.registered.fetch_add(1, Ordering::SeqCst);
                self.seen.changed.notify_waiters();
            }
            "mesos.internal.PingSlaveMessage" => {
                let from = Upid::new(message.id, self.address);
                if let Some(to) = message.from.and_then(|from| from.parse::<Upid>().ok()) {
                    let _ = libprocess::encode(
                        &mut self.out,
                        &from,
                        &to,
                        "mesos.internal.PongSlaveMessage",
                        b"",
                    );
                }
            }
            "mesos.internal.RunTaskMessage" => self.run_task(message),
            "mesos.internal.StatusUpdateAcknowledgementMessage" => {
                self.seen.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.seen.changed.notify_waiters();
            }
            _ => {}
        }
    }

    fn note_id(&self, message: &RawMessage<'_>) {
        let number = message.id.trim_start_matches("slave(").trim_end_matches(')').parse::<usize>();
        let registered = internal::SlaveRegisteredMessage::decode(&message.body[..]);
        if let (Ok(number), Ok(registered)) = (number, registered) {
            let mut ids = self.seen.ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.insert(number - 1, registered.slave_id.value);
        }
    }

    fn run_task(&mut self, message: &RawMessage<'_>) {
        let Ok(run) = internal::RunTaskMessage::decode(Bytes::copy_from_slice(&message.body))
        else {
            return;
        };
        let number = self.seen.launched.fetch_add(1, Ordering::Relaxed);
        let timestamp =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let uuid = Some(uuid(number as usize));
        let status = v1::TaskStatus {
            task_id: run.task.task_id.clone(),
            state: v1::TaskState::TaskRunning.into(),
            source: Some(v1::task_status::Source::Executor.into()),
            agent_id: Some(run.task.agent_id.clone()),
            executor_id: Some(v1::ExecutorId { value: run.task.task_id.value.clone() }),
            timestamp: Some(timestamp),
            uuid: uuid.clone(),
            ..Default::default()
        };
        let from = Upid::new(message.id, self.address);
        let update = internal::StatusUpdateMessage {
            update: internal::StatusUpdate {
                framework_id: run.framework.id.clone().unwrap_or_default(),
                executor_id: status.executor_id.clone(),
                slave_id: Some(run.task.agent_id),
                status,
                timestamp,
                uuid,
                latest_state: Some(v1::TaskState::TaskRunning.into()),
            },
            pid: Some(from.to_string()),
        };
        let to = Upid::new("master", self.master);
        let body = update.encode_to_vec();
        let _ = libprocess::encode(
            &mut self.out,
            &from,
            &to,
            "mesos.internal.StatusUpdateMessage",
            &body,
        );
    }
}

struct RawMessage<'a> {
    id: &'a str,
    name: &'a str,
    from: Option<&'a str>,
    body: Vec<u8>,
}

/// One message at the start of `bytes` and its length, if it is there whole.
fn next_message(bytes: &[u8]) -> Option<(usize, RawMessage<'_>)> {
    let head_end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
    let path = head.split(' ').nth(1)?;
    let (id, name) = path.trim_start_matches('/').split_once('/')?;
    let from = head.lines().find_map(|line| line.strip_prefix("Libprocess-From: "));
    let message = |body| RawMessage { id, name, from, body };
    if !head.contains("Transfer-Encoding: chunked") {
        return Some((head_end, message(Vec::new())));
    }
    let mut position = head_end;
    let mut body = Vec::new();
    loop {
        let line = memchr::memmem::find(&bytes[position..], b"\r\n")?;
        let length =
            usize::from_str_radix(std::str::from_utf8(&bytes[position..position + line]).ok()?, 16)
                .ok()?;
        position += line + 2;
        let chunk = bytes.get(position..position + length)?;
        bytes.get(position + length..position + length + 2)?;
        body.extend_from_slice(chunk);
        position += length + 2;
        if length == 0 {
            return Some((position, message(body)));
        }
    }
}

fn reregistration(
    index: usize,
    address: SocketAddr,
    plan: &Plan,
    id: &str,
    framework: &v1::FrameworkInfo,
    tasks: usize,
) -> internal::ReregisterSlaveMessage {
    let resources = vec![scalar("cpus", 0.1, Some("*")), scalar("mem", 32.0, Some("*"))];
    let agent_id = v1::AgentId { value: id.to_owned() };
    let task = |number: usize| v1::Task {
        name: "bench".into(),
        task_id: v1::TaskId { value: format!("task-{index}-{number}") },
        framework_id: framework.id.clone().unwrap_or_default(),
        agent_id: agent_id.clone(),
        state: v1::TaskState::TaskRunning.into(),
        resources: resources.clone(),
        ..Default::default()
    };
    internal::ReregisterSlaveMessage {
        slave: agent_info(index, address, &plan.resources, Some(id)),
        frameworks: vec![framework.clone()],
        tasks: (0..tasks).map(task).collect(),
        version: Some("1.11.0".into()),
        agent_capabilities: capabilities(),
        resource_version_uuid: Some(v1::Uuid { value: uuid(index) }),
        ..Default::default()
    }
}

fn agent_info(
    index: usize,
    address: SocketAddr,
    resources: &[v1::Resource],
    id: Option<&str>,
) -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: format!("agent-{index}.bench"),
        port: Some(address.port().into()),
        resources: resources.to_vec(),
        checkpoint: Some(true),
        id: id.map(|id| v1::AgentId { value: id.to_owned() }),
        ..Default::default()
    }
}

fn capabilities() -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type;
    let capability = |kind: Type| v1::agent_info::Capability { r#type: Some(kind.into()) };
    [Type::MultiRole, Type::HierarchicalRole, Type::ReservationRefinement, Type::ResourceProvider]
        .map(capability)
        .to_vec()
}

/// A scalar resource, unreserved.
pub(crate) fn scalar(name: &str, value: f64, allocated: Option<&str>) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: allocated
            .map(|role| v1::resource::AllocationInfo { role: Some(role.to_owned()) }),
        ..Default::default()
    }
}

/// `cpus`, `mem`, `disk` and the usual ports.
pub(crate) fn agent_resources(cpus: f64, mem: f64) -> Vec<v1::Resource> {
    let ports = v1::Resource {
        name: "ports".into(),
        r#type: v1::value::Type::Ranges.into(),
        ranges: Some(v1::value::Ranges {
            range: vec![v1::value::Range { begin: 31000, end: 32000 }],
        }),
        ..Default::default()
    };
    vec![
        scalar("cpus", cpus, None),
        scalar("mem", mem, None),
        scalar("disk", 100_000.0, None),
        ports,
    ]
}

fn uuid(number: usize) -> Bytes {
    let mut bytes = *b"kernel-bench\0\0\0\0";
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    Bytes::copy_from_slice(&bytes)
}
