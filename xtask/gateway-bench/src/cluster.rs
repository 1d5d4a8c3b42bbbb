//! A master and a Marathon as far as the gateway follows them: the states of both, and a stream of
//! events each. The tasks they tell of are backends that always run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mesos_messages::content::{ContentType, encode_record};
use mesos_messages::v1::master::event::{self, Type};
use mesos_messages::v1::master::{Event, response};
use mesos_messages::v1::{self, TaskState};
use serde_json::{Value, json};

use crate::services::{Change, Service, Task, Verdict, name};

pub(crate) const SERVICES: usize = 100;
const FRAMEWORK: &str = "marathon-of-the-bench";
const AGENT: &str = "agent-of-the-bench";
const HOST: &str = "127.0.0.1";
/// More than the head of any request that is made here.
const LARGEST_HEAD: u64 = 1 << 16;
/// A gateway that reads nothing for so long does not follow.
const PATIENCE: Duration = Duration::from_secs(10);

/// Both servers, on one port. Dropping it ends them, and their connections with the gateway's.
pub(crate) struct Cluster {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    services: Vec<Mutex<Service>>,
    /// Of the backends.
    ports: Vec<u16>,
    streams: Mutex<Streams>,
    stops: AtomicBool,
}

/// The streams of events, once the gateway has asked for them.
#[derive(Default)]
struct Streams {
    master: Option<TcpStream>,
    marathon: Option<TcpStream>,
    opened: usize,
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn start(ports: Vec<u16>) -> Result<Cluster> {
        let listener = TcpListener::bind((HOST, 0))?;
        let address = listener.local_addr()?;
        let now = Instant::now();
        let services = (0..SERVICES).map(|number| Mutex::new(Service::new(number, now))).collect();
        let shared = Arc::new(Shared {
            services,
            ports,
            streams: Mutex::default(),
            stops: AtomicBool::new(false),
        });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Cluster { address, shared, accepting: Some(accepting) })
    }

    /// How often a stream was asked for.
    pub(crate) fn streams_opened(&self) -> usize {
        lock(&self.shared.streams).opened
    }

    /// Changes one service after the other until then; how many changes there were.
    pub(crate) fn keep_changing(&self, per_second: u32, until: Instant) -> usize {
        let begun = Instant::now();
        let mut done = 0_usize;
        while Instant::now() < until {
            let due = (begun.elapsed().as_secs_f64() * f64::from(per_second)) as usize;
            if done < due {
                self.shared.change(done % SERVICES);
                done += 1;
            } else {
                std::thread::sleep(Duration::from_secs(1) / per_second);
            }
        }
        done
    }

    /// Judges the text that a backend gave in the name of a service.
    pub(crate) fn judge(
        &self,
        service: usize,
        answer: &str,
        began: Instant,
        answered: Instant,
    ) -> Verdict {
        let port = answer.trim().parse::<u16>().ok();
        let backend = self.shared.ports.iter().position(|known| Some(*known) == port);
        match (self.shared.services.get(service), backend) {
            (Some(service), Some(backend)) => lock(service).judge(backend, began, answered),
            _ => Verdict::Wrong,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shared.stops.store(true, Ordering::SeqCst);
        *lock(&self.shared.streams) = Streams::default();
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn change(&self, service: usize) {
        let Some(service) = self.services.get(service) else { return };
        // First: who asks for a stream meanwhile is told a state that the next events follow.
        let mut streams = lock(&self.streams);
        let mut service = lock(service);
        let change = service.change(Instant::now());
        let name = service.name();
        drop(service);
        tell(&mut streams.master, &self.master_events(&change));
        tell(&mut streams.marathon, self.marathon_events(&name, &change).as_bytes());
    }

    fn port(&self, task: &Task) -> u16 {
        self.ports.get(task.backend).copied().unwrap_or_default()
    }

    fn master_events(&self, Change { started, ended }: &Change) -> Vec<u8> {
        let added = event::TaskAdded { task: self.task(started, TaskState::TaskStaging) };
        let added = Event { task_added: Some(added), ..of_type(Type::TaskAdded) };
        let mut bytes = record(&added);
        bytes.extend(record(&updated(started, TaskState::TaskRunning)));
        if let Some(ended) = ended {
            bytes.extend(record(&updated(ended, TaskState::TaskKilled)));
        }
        bytes
    }

    fn marathon_events(&self, name: &str, Change { started, ended }: &Change) -> String {
        let mut text = String::new();
        let told = ended.iter().map(|task| (task, "TASK_KILLED"));
        for (task, status) in std::iter::once((started, "TASK_RUNNING")).chain(told) {
            let data = json!({"eventType": "status_update_event", "slaveId": AGENT,
                "taskId": task.id, "taskStatus": status, "appId": format!("/{name}"),
                "host": HOST, "ports": [self.port(task)]});
            text.push_str(&format!("event: status_update_event\r\ndata: {data}\r\n\r\n"));
        }
        text
    }

    fn task(&self, task: &Task, state: TaskState) -> v1::Task {
        let port = v1::Port { number: u32::from(self.port(task)), ..v1::Port::default() };
        let discovery = v1::DiscoveryInfo {
            ports: Some(v1::Ports { ports: vec![port] }),
            ..v1::DiscoveryInfo::default()
        };
        let statuses = match state {
            TaskState::TaskRunning => vec![status(task, state)],
            _ => Vec::new(),
        };
        v1::Task {
            task_id: v1::TaskId { value: task.id.clone() },
            framework_id: v1::FrameworkId { value: FRAMEWORK.to_owned() },
            agent_id: v1::AgentId { value: AGENT.to_owned() },
            state: state as i32,
            statuses,
            discovery: Some(Box::new(discovery)),
            ..v1::Task::default()
        }
    }

    /// The first record of a master's stream.
    fn subscribed(&self) -> Vec<u8> {
        let agent = response::get_agents::Agent {
            agent_info: v1::AgentInfo {
                hostname: HOST.to_owned(),
                id: Some(v1::AgentId { value: AGENT.to_owned() }),
                ..v1::AgentInfo::default()
            },
            active: true,
            version: "1.11.0".to_owned(),
            pid: Some(format!("slave(1)@{HOST}:5051")),
            ..response::get_agents::Agent::default()
        };
        let mut tasks = Vec::new();
        for service in &self.services {
            let service = lock(service);
            tasks.extend(service.running().map(|task| self.task(task, TaskState::TaskRunning)));
        }
        let state = response::GetState {
            get_agents: Some(response::GetAgents { agents: vec![agent], ..Default::default() }),
            get_tasks: Some(response::GetTasks { tasks, ..Default::default() }),
            ..Default::default()
        };
        let subscribed =
            event::Subscribed { get_state: Some(state), heartbeat_interval_seconds: None };
        record(&Event { subscribed: Some(subscribed), ..of_type(Type::Subscribed) })
    }

    /// Answers requests of one connection until it ends or becomes a stream.
    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(target) = read_request(&mut reader)? {
            let path = target.split('?').next().unwrap_or_default();
            match path {
                "/api/v1" | "/v2/events" => return self.open(stream, path == "/api/v1"),
                _ => stream.write_all(self.document(path).as_bytes())?,
            }
        }
        Ok(())
    }

    fn open(&self, mut stream: TcpStream, of_master: bool) -> Result<()> {
        let kind = if of_master { "application/x-protobuf" } else { "text/event-stream" };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        let mut streams = lock(&self.streams);
        streams.opened += 1;
        if of_master {
            stream.write_all(&self.subscribed())?;
            streams.master = Some(stream);
        } else {
            stream.write_all(b"event: event_stream_attached\r\ndata: {}\r\n\r\n")?;
            streams.marathon = Some(stream);
        }
        Ok(())
    }

    fn document(&self, path: &str) -> String {
        let document = match path {
            "/v2/info" => json!({"frameworkId": FRAMEWORK}),
            "/v2/leader" => json!({"leader": format!("{HOST}:8080")}),
            "/v2/apps" => json!({"apps": self.apps()}),
            _ => return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        };
        let body = document.to_string();
        let kind = "Content-Type: application/json";
        format!("HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    fn apps(&self) -> Vec<Value> {
        let app = |(number, service): (usize, &Mutex<Service>)| {
            let task = |task: &Task| {
                json!({"id": task.id, "state": "TASK_RUNNING", "host": HOST,
                    "ports": [self.port(task)]})
            };
            let tasks: Vec<Value> = lock(service).running().map(task).collect();
            json!({"id": format!("/{}", name(number)), "portDefinitions": [{"port": 0}],
                "labels": {"DCOS_SERVICE_NAME": name(number), "DCOS_SERVICE_SCHEME": "http",
                    "DCOS_SERVICE_PORT_INDEX": "0"},
                "tasks": tasks})
        };
        self.services.iter().enumerate().map(app).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream that takes nothing is no more; the gateway asks for another one.
fn tell(stream: &mut Option<TcpStream>, bytes: &[u8]) {
    if stream.as_mut().is_some_and(|stream| stream.write_all(bytes).is_err()) {
        *stream = None;
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stops.load(Ordering::SeqCst) {
            return;
        }
        if let Ok(stream) = stream {
            let shared = Arc::clone(shared);
            // Ends with the connection, and that with the gateway.
            std::thread::spawn(move || shared.serve(stream));
        }
    }
}

/// The target of the next request, its body read; none at the end of the connection.
fn read_request(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut head = reader.take(LARGEST_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).context("no target")?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            bail!("the connection was closed within a head");
        }
        if line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
    }
    let body = std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    if body < length {
        bail!("the connection was closed within a body");
    }
    Ok(Some(target))
}

fn of_type(kind: Type) -> Event {
    Event { r#type: Some(kind as i32), ..Event::default() }
}

fn record(event: &Event) -> Vec<u8> {
    encode_record(ContentType::Protobuf, event).to_vec()
}

/// Tasks begin to run in the order of their numbers: the gateway leads to the first.
fn status(task: &Task, state: TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: v1::TaskId { value: task.id.clone() },
        agent_id: Some(v1::AgentId { value: AGENT.to_owned() }),
        state: state as i32,
        timestamp: Some(task.number as f64),
        ..v1::TaskStatus::default()
    }
}

fn updated(task: &Task, state: TaskState) -> Event {
    let framework_id = v1::FrameworkId { value: FRAMEWORK.to_owned() };
    let status = status(task, state);
    let updated = event::TaskUpdated { framework_id, status, state: state as i32 };
    Event { task_updated: Some(updated), ..of_type(Type::TaskUpdated) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

    use super::*;
    use mesos_messages::content::decode;
    use mesos_messages::recordio::Decoder;

    #[test]
    fn requests_are_read_one_after_the_other() {
        let mut bytes: &[u8] = b"POST /api/v1 HTTP/1.1\r\ncontent-Length: 3\r\nA: b\r\n\r\nxyz\
            GET /v2/apps?embed=apps.tasks HTTP/1.1\r\n\r\nGET /cut HTTP/1.1\r\n";
        assert_eq!(read_request(&mut bytes).unwrap().unwrap(), "/api/v1");
        assert_eq!(read_request(&mut bytes).unwrap().unwrap(), "/v2/apps?embed=apps.tasks");
        assert!(read_request(&mut bytes).is_err());
        assert!(read_request(&mut bytes).unwrap().is_none());
    }

    /// What a stream says, from its socket.
    fn stream(address: SocketAddr, request: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0);
        }
        reader
    }

    fn next_event(reader: &mut impl BufRead, decoder: &mut Decoder) -> Event {
        loop {
            if let Some(record) = decoder.next_record().unwrap() {
                return decode(ContentType::Protobuf, &record).unwrap();
            }
            let bytes = reader.fill_buf().unwrap().to_vec();
            reader.consume(bytes.len());
            decoder.push(bytes);
        }
    }

    #[test]
    fn a_stream_begins_with_all_and_goes_on_with_changes() {
        let ports: Vec<u16> = (1000..1064).collect();
        let cluster = Cluster::start(ports).unwrap();
        let post = "POST /api/v1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        let mut reader = stream(cluster.address, post);
        let mut decoder = Decoder::new(1 << 24);
        let first = next_event(&mut reader, &mut decoder).subscribed.unwrap();
        let tasks = first.get_state.unwrap().get_tasks.unwrap().tasks;
        assert_eq!(tasks.len(), 2 * SERVICES);
        while lock(&cluster.shared.streams).master.is_none() {
            std::thread::yield_now();
        }
        cluster.shared.change(5);
        let added = next_event(&mut reader, &mut decoder).task_added.unwrap().task;
        let port = added.discovery.unwrap().ports.unwrap().ports[0].number;
        assert_eq!(port, 1007);
        let states = [TaskState::TaskRunning, TaskState::TaskKilled];
        let told = states.map(|_| next_event(&mut reader, &mut decoder).task_updated.unwrap());
        assert_eq!(told.each_ref().map(|told| told.state), states.map(|state| state as i32));
        assert_eq!(told[0].status.task_id, added.task_id);
        assert!(tasks.iter().any(|task| task.task_id == told[1].status.task_id));
        let now = Instant::now();
        assert_eq!(cluster.judge(5, "1007\n", now, now), Verdict::Current);
        assert_eq!(cluster.judge(5, "nonsense", now, now), Verdict::Wrong);
    }
}
