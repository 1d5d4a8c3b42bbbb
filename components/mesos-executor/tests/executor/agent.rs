//! An agent for one executor: accepts its two connections, records its calls, sends it events.

use bytes::Bytes;
use mesos_messages::{
    recordio,
    v1::{
        AgentId, CommandInfo, FrameworkInfo, TaskId, TaskInfo, TaskState, TaskStatus,
        executor::{Call, Event, call, event},
    },
};
use prost::Message;
use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Agent {
    pub(crate) port: u16,
    subscriptions: Receiver<(Call, TcpStream)>,
    calls: Receiver<Call>,
    stream: Option<TcpStream>,
    open: Vec<TcpStream>,
}

impl Agent {
    pub(crate) fn start() -> Self {
        Self::listen("127.0.0.1:0".to_owned())
    }

    pub(crate) fn listen(address: String) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (subscribed, subscriptions) = sync_channel(4);
        let (called, calls) = sync_channel(1000);
        thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let (stream, subscribed, called) =
                    (stream.unwrap(), subscribed.clone(), called.clone());
                thread::spawn(move || serve(stream, &subscribed, &called));
            }
        });
        Self { port, subscriptions, calls, stream: None, open: Vec::new() }
    }

    /// Waits for the subscription, answers it and gives what it said.
    pub(crate) fn subscribe(&mut self, framework: FrameworkInfo) -> call::Subscribe {
        let (call, mut stream) = self.subscriptions.recv_timeout(PATIENCE).expect("subscription");
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        self.open.push(stream.try_clone().unwrap());
        self.stream = Some(stream);
        self.send(Event {
            r#type: Some(event::Type::Subscribed.into()),
            subscribed: Some(event::Subscribed { framework_info: framework, ..Default::default() }),
            ..Default::default()
        });
        call.subscribe.unwrap()
    }

    pub(crate) fn send(&mut self, event: Event) {
        let record = recordio::encode(&event.encode_to_vec());
        // In two pieces, so that the executor must join them.
        let (head, tail) = record.split_at(record.len() / 2);
        for piece in [head, tail] {
            let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
            chunk.extend_from_slice(piece);
            chunk.extend_from_slice(b"\r\n");
            self.stream.as_mut().unwrap().write_all(&chunk).unwrap();
        }
    }

    pub(crate) fn launch(&mut self, task: TaskInfo) {
        self.send(Event {
            r#type: Some(event::Type::Launch.into()),
            launch: Some(event::Launch { task }),
            ..Default::default()
        });
    }

    pub(crate) fn kill(&mut self) {
        let task_id = TaskId { value: "task".into() };
        self.send(Event {
            r#type: Some(event::Type::Kill.into()),
            kill: Some(event::Kill { task_id, kill_policy: None }),
            ..Default::default()
        });
    }

    /// The next update, which is not acknowledged.
    pub(crate) fn update(&mut self) -> TaskStatus {
        let call = self.calls.recv_timeout(PATIENCE).expect("no update came");
        call.update.expect("an update").status
    }

    pub(crate) fn acknowledge(&mut self, status: &TaskStatus) {
        let uuid = Bytes::copy_from_slice(status.uuid());
        let task_id = status.task_id.clone();
        self.send(Event {
            r#type: Some(event::Type::Acknowledged.into()),
            acknowledged: Some(event::Acknowledged { task_id, uuid }),
            ..Default::default()
        });
    }

    /// Takes and acknowledges the next update, which must be this.
    pub(crate) fn expect(&mut self, state: TaskState, message: &str) -> TaskStatus {
        let status = self.update();
        assert_eq!((status.state(), status.message()), (state, message));
        self.acknowledge(&status);
        status
    }

    pub(crate) fn is_quiet(&self) -> bool {
        let next = self.calls.recv_timeout(Duration::from_millis(50));
        matches!(next, Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected))
    }

    /// Dies: both connections end.
    pub(crate) fn crash(self) -> u16 {
        for stream in &self.open {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        self.port
    }
}

fn serve(stream: TcpStream, subscribed: &SyncSender<(Call, TcpStream)>, called: &SyncSender<Call>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(call) = read_call(&mut reader) {
        if call.r#type() == call::Type::Subscribe {
            let _ = subscribed.send((call, writer.try_clone().unwrap()));
        } else {
            let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
            if writer.write_all(answer).is_err() || called.send(call).is_err() {
                return;
            }
        }
    }
}

fn read_call(reader: &mut BufReader<TcpStream>) -> Option<Call> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line);
    }
    assert_eq!(lines[0], "POST /slave(1)/api/v1/executor HTTP/1.1\r\n");
    assert!(lines.contains(&"Content-Type: application/x-protobuf\r\n".to_owned()));
    let length = lines.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.trim().parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(Call::decode(body.as_slice()).unwrap())
}

/// A running executor; killed if the test leaves it behind.
pub(crate) struct Executor {
    child: Child,
}

impl Executor {
    pub(crate) fn start(port: u16, checkpoint: bool, sandbox: &Path) -> Self {
        let file = |name| File::options().create(true).append(true).open(sandbox.join(name));
        let child = Command::new(env!("CARGO_BIN_EXE_dais-command-executor"))
            .env("MESOS_SLAVE_PID", format!("slave(1)@127.0.0.1:{port}"))
            .env("MESOS_FRAMEWORK_ID", "framework")
            .env("MESOS_EXECUTOR_ID", "task")
            .env("MESOS_CHECKPOINT", if checkpoint { "1" } else { "0" })
            .env("MESOS_RECOVERY_TIMEOUT", "15mins")
            .env("MESOS_SUBSCRIPTION_BACKOFF_MAX", "100ms")
            .env("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "secret")
            .current_dir(sandbox)
            .stdout(file("stdout").unwrap())
            .stderr(file("stderr").unwrap())
            .spawn()
            .unwrap();
        Self { child }
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "the executor does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn task(command: &str) -> TaskInfo {
    TaskInfo {
        name: "name".into(),
        task_id: TaskId { value: "task".into() },
        agent_id: AgentId { value: "agent".into() },
        command: Some(Box::new(CommandInfo { value: Some(command.into()), ..Default::default() })),
        ..Default::default()
    }
}
