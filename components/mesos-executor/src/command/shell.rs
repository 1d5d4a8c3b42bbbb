//! Polls the agent's connections and the children, and does what the core decides.

use super::{
    checks::{Finding, Kind, Probe},
    core::{Config, Core, Effect, Input},
    http::{Chunks, Head, HttpError, Target, parse_head},
    probe, process,
    settings::Settings,
    text::Exit,
};
use mesos_messages::{
    recordio::{Decoder, RecordError},
    time::Now,
    v1::executor::{Call, Event},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::Pid,
};
use prost::Message;
use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    process::ChildStdout,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use thiserror::Error;

/// The agent is on this machine; longer than this it is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest event taken.
const MAX_EVENT: usize = 64 * 1024 * 1024;
const READ_SIZE: usize = 16 * 1024;

/// Why the executor cannot run at all.
#[derive(Debug, Error)]
pub enum ShellError {
    /// The operating system refuses what the loop needs.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The refusal.
        source: Errno,
    },
}

/// Why the agent counts as gone.
#[derive(Debug, Error)]
enum Lost {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] HttpError),
    #[error("{0}")]
    Record(#[from] RecordError),
    #[error("an event of the agent is malformed: {0}")]
    Event(#[from] prost::DecodeError),
    #[error("the agent answered {0}")]
    Refused(u16),
    #[error("the agent closed the connection")]
    Closed,
}

/// Runs the executor to its end and gives its exit status. `helper` is the program and first
/// arguments that run a check.
pub fn run(settings: Settings, helper: Vec<OsString>) -> Result<u8, ShellError> {
    let signals = child_signals()?;
    let mut shell = Shell::new(settings, helper);
    let mut effects = Vec::new();
    shell.core.handle(shell.clock.now(), Input::Tick, &mut effects);
    loop {
        if let Some(code) = shell.settle(&mut effects) {
            return Ok(code);
        }
        shell.wait(&signals)?;
        shell.collect(&signals, &mut effects);
        shell.core.handle(shell.clock.now(), Input::Tick, &mut effects);
    }
}

/// Ends of children as something to poll. Children start with nothing blocked: the standard
/// library resets that.
fn child_signals() -> Result<SignalFd, ShellError> {
    let error = |what| move |source| ShellError::System { what, source };
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().map_err(error("block SIGCHLD"))?;
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    SignalFd::with_flags(&mask, flags).map_err(error("watch children"))
}

struct Clock {
    start: Instant,
}

struct Shell {
    core: Core,
    clock: Clock,
    target: Target,
    agent: SocketAddr,
    environment: Vec<(OsString, OsString)>,
    helper: Vec<OsString>,
    link: Option<Link>,
    task: Option<Pid>,
    runs: Vec<Run>,
    /// The agent's absence has been logged; its log is the task's, and one line is enough.
    complained: bool,
}

/// A run of a check.
struct Run {
    kind: Kind,
    pid: Pid,
    /// For an HTTP check: what it prints.
    output: Option<ChildStdout>,
    tcp: bool,
}

/// Both connections to the agent.
struct Link {
    events: Pipe,
    calls: Pipe,
    stream: Option<Chunks>,
    body: Vec<u8>,
    decoder: Decoder,
    /// What is left of an answer's body to skip.
    skip: usize,
}

/// One connection with what waits to be written and what was read.
struct Pipe {
    socket: TcpStream,
    output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
}

// === impl Clock ===

impl Clock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Not from zero: deadlines of zero mean "at once" and must lie before now.
        Now { mono: self.start.elapsed() + Duration::from_secs(1), wall }
    }
}

// === impl Shell ===

impl Shell {
    fn new(settings: Settings, helper: Vec<OsString>) -> Self {
        let config = Config {
            framework_id: settings.framework_id,
            executor_id: settings.executor_id,
            checkpoint: settings.checkpoint,
            recovery_timeout: settings.recovery_timeout,
            backoff_max: settings.backoff_max,
            shutdown_grace: settings.shutdown_grace,
        };
        let ids = Box::new(|| *uuid::Uuid::new_v4().as_bytes());
        let target =
            Target { host: settings.agent.to_string(), path: settings.path, token: settings.token };
        Self {
            core: Core::new(config, ids, uuid::Uuid::new_v4().as_u64_pair().0),
            clock: Clock { start: Instant::now() },
            target,
            agent: settings.agent,
            environment: settings.environment,
            helper,
            link: None,
            task: None,
            runs: Vec::new(),
            complained: false,
        }
    }

    /// Does everything decided so far, and what follows from it. The exit status, at the end.
    fn settle(&mut self, effects: &mut Vec<Effect>) -> Option<u8> {
        let mut queue: VecDeque<Effect> = effects.drain(..).collect();
        while let Some(effect) = queue.pop_front() {
            if let Effect::Exit(code) = effect {
                return Some(code);
            }
            if let Some(input) = self.perform(effect) {
                self.core.handle(self.clock.now(), input, effects);
                queue.extend(effects.drain(..));
            }
        }
        if let Some(link) = &mut self.link
            && let Err(error) = link.flush()
        {
            self.lost(&error, effects);
            return self.settle(effects);
        }
        None
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Connect => return Some(self.connect()),
            Effect::Subscribe(call) => self.send(&call, |link| &mut link.events),
            Effect::Send(call) => self.send(&call, |link| &mut link.calls),
            Effect::Start(task) => {
                let started = process::start_task(&task, &self.environment);
                return Some(Input::Started(started.map(|pid| self.task = Some(pid))));
            }
            Effect::Signal { kill } => {
                let signal = if kill { Signal::SIGKILL } else { Signal::SIGTERM };
                if let Some(pid) = self.task {
                    process::signal_tree(pid, signal);
                }
            }
            Effect::Probe(kind, probe) => match self.start_probe(kind, &probe) {
                Ok(run) => self.runs.push(run),
                Err(reason) => {
                    log(&reason);
                    return Some(Input::Checked(kind, Finding::Nothing));
                }
            },
            Effect::Abort(kind) => self.abort(kind),
            Effect::Log(text) => log(&text),
            Effect::Exit(_) => {}
        }
        None
    }

    fn connect(&mut self) -> Input {
        match Link::connect(self.agent) {
            Ok(link) => {
                self.link = Some(link);
                Input::Connected
            }
            Err(error) => {
                self.complain(&format!("cannot reach the agent at {}: {error}", self.agent));
                Input::Disconnected
            }
        }
    }

    fn send(&mut self, call: &Call, pipe: impl FnOnce(&mut Link) -> &mut Pipe) {
        if let Some(link) = &mut self.link {
            let body = call.encode_to_vec();
            self.target.request(&mut pipe(link).output, &body);
        }
    }

    fn lost(&mut self, error: &Lost, effects: &mut Vec<Effect>) {
        self.complain(&format!("lost the agent at {}: {error}", self.agent));
        self.link = None;
        self.core.handle(self.clock.now(), Input::Disconnected, effects);
    }

    fn complain(&mut self, text: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            log(text);
        }
    }

    // --- checks ---

    fn start_probe(&self, kind: Kind, probe: &Probe) -> Result<Run, String> {
        let (mut child, http) = match probe {
            Probe::Command(info) => (process::start_check(info, &self.environment)?, false),
            Probe::Http(url) => {
                (process::start_probe(&self.helper, &probe::http_arguments(url))?, true)
            }
            Probe::Tcp { ipv6, port } => {
                (process::start_probe(&self.helper, &probe::tcp_arguments(*ipv6, *port))?, false)
            }
        };
        let output = child.stdout.take().filter(|_| http);
        let tcp = matches!(probe, Probe::Tcp { .. });
        Ok(Run { kind, pid: process::pid(&child)?, output, tcp })
    }

    fn abort(&mut self, kind: Kind) {
        self.runs.retain(|run| {
            if run.kind == kind {
                process::kill_group(run.pid);
            }
            run.kind != kind
        });
    }

    fn child_ended(&mut self, pid: Pid, exit: Exit, effects: &mut Vec<Effect>) {
        let now = self.clock.now();
        if self.task == Some(pid) {
            self.task = None;
            return self.core.handle(now, Input::Ended(exit), effects);
        }
        let Some(position) = self.runs.iter().position(|run| run.pid == pid) else { return };
        let run = self.runs.swap_remove(position);
        self.core.handle(now, Input::Checked(run.kind, run.finding(exit)), effects);
    }

    // --- waiting ---

    fn wait(&self, signals: &SignalFd) -> Result<(), ShellError> {
        let now = self.clock.now().mono;
        let timeout = match self.core.deadline() {
            None => PollTimeout::NONE,
            // Rounded up: waking before the deadline would only mean waiting again.
            Some(deadline) => {
                let left = deadline.saturating_sub(now) + Duration::from_micros(999);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if let Some(link) = &self.link {
            fds.extend([&link.events, &link.calls].map(Pipe::interest));
        }
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(source) => Err(ShellError::System { what: "poll", source }),
        }
    }

    /// Everything that came: from the agent first, for its word may already explain an end.
    fn collect(&mut self, signals: &SignalFd, effects: &mut Vec<Effect>) {
        if let Some(link) = &mut self.link {
            let mut events = Vec::new();
            let result = link.receive(&mut events);
            self.complained &= events.is_empty();
            for event in events {
                self.core.handle(self.clock.now(), Input::Event(Box::new(event)), effects);
            }
            if let Err(error) = result {
                self.lost(&error, effects);
            }
        }
        while let Ok(Some(_)) = signals.read_signal() {}
        for (pid, exit) in process::reap() {
            self.child_ended(pid, exit, effects);
        }
    }
}

// === impl Run ===

impl Run {
    fn finding(mut self, exit: Exit) -> Finding {
        if let Some(output) = &mut self.output {
            let mut printed = Vec::new();
            // All of it is in the pipe by now: the process has ended and has no children.
            let read = output.take(64).read_to_end(&mut printed);
            let whole = exit.success() && read.is_ok();
            return if whole { probe::http_finding(&printed) } else { Finding::Nothing };
        }
        match exit {
            _ if self.tcp => Finding::Connected(exit.success()),
            Exit::Status(status) => Finding::ExitCode(status),
            Exit::Signal { .. } => Finding::Nothing,
        }
    }
}

// === impl Link ===

impl Link {
    fn connect(agent: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            events: Pipe::connect(agent)?,
            calls: Pipe::connect(agent)?,
            stream: None,
            body: Vec::new(),
            decoder: Decoder::new(MAX_EVENT),
            skip: 0,
        })
    }

    fn flush(&mut self) -> Result<(), Lost> {
        self.events.flush()?;
        Ok(self.calls.flush()?)
    }

    /// Takes in what came on both connections.
    fn receive(&mut self, events: &mut Vec<Event>) -> Result<(), Lost> {
        self.flush()?;
        let open = self.events.fill()?;
        self.read_events(events)?;
        let calls_open = self.calls.fill()?;
        self.read_answers()?;
        if open && calls_open { Ok(()) } else { Err(Lost::Closed) }
    }

    fn read_events(&mut self, events: &mut Vec<Event>) -> Result<(), Lost> {
        if self.stream.is_none() {
            let Some(head) = take_head(&mut self.events.input)? else { return Ok(()) };
            if head.status != 200 || !head.chunked {
                return Err(Lost::Refused(head.status));
            }
            self.stream = Some(Chunks::default());
        }
        let Some(chunks) = &mut self.stream else { return Ok(()) };
        let ended = chunks.decode(&mut self.events.input, &mut self.body)?;
        self.decoder.push(&self.body);
        self.body = Vec::new();
        while let Some(record) = self.decoder.next_record()? {
            // From a slice, so that what an event holds does not keep the whole buffer alive.
            events.push(Event::decode(record.as_ref())?);
        }
        if ended { Err(Lost::Closed) } else { Ok(()) }
    }

    /// Answers to calls. A refused update stays unacknowledged and goes out again with the
    /// next subscription.
    fn read_answers(&mut self) -> Result<(), Lost> {
        loop {
            let skipped = self.skip.min(self.calls.input.len());
            self.calls.input.drain(..skipped);
            self.skip -= skipped;
            if self.skip > 0 {
                return Ok(());
            }
            let Some(head) = take_head(&mut self.calls.input)? else { return Ok(()) };
            self.skip = head.length;
            if head.status != 202 {
                log(&format!("the agent answered {} to a call", head.status));
            }
            // It recovers, or does not know the stream any more.
            if matches!(head.status, 403 | 503) {
                return Err(Lost::Refused(head.status));
            }
        }
    }
}

fn take_head(input: &mut Vec<u8>) -> Result<Option<Head>, HttpError> {
    let head = if input.is_empty() { None } else { parse_head(input)? };
    if let Some(head) = head {
        input.drain(..head.bytes);
    }
    Ok(head)
}

// === impl Pipe ===

impl Pipe {
    fn connect(agent: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect_timeout(&agent, CONNECT_TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, output: Vec::new(), written: 0, input: Vec::new() })
    }

    fn interest(&self) -> PollFd<'_> {
        let idle = self.written == self.output.len();
        let write = if idle { PollFlags::empty() } else { PollFlags::POLLOUT };
        PollFd::new(self.socket.as_fd(), PollFlags::POLLIN | write)
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        (self.output, self.written) = (Vec::new(), 0);
        Ok(())
    }

    /// Reads what is there; false at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; READ_SIZE];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => self.input.extend(buffer.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The sandbox's log of errors; quiet unless something is wrong, as it is also the task's.
fn log(text: &str) {
    eprintln!("command-executor: {text}");
}
