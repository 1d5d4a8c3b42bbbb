//! A whole agent life under a seed: executors, a master, lost connections, and death at any
//! point between two effects, with recovery from what was written.
//!
//! What must hold: every task of a checkpointing framework ends in exactly one terminal update
//! that the master acknowledged, and the master sees a task's updates in the order in which its
//! executor sent them.

use super::{
    Answer, ContainerEnd, Core, Effect, Effects, Inbound, Input, Outbound, RequestId, Settings,
    State, tests::settings, updates::is_terminal,
};
use crate::checkpoint::{self, Layout, Writer};
use bytes::Bytes;
use mesos_messages::{
    internal::{self, StatusUpdate},
    time::Now,
    v1::{self, TaskState, executor::event},
};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

const MASTER: &str = "master@127.0.0.1:5050";
const TASKS: usize = 14;

/// What an executor's process does.
#[derive(Debug)]
struct Process {
    framework: String,
    executor: String,
    v0: bool,
    checkpoint: bool,
    alive: bool,
    /// The stream, for v1; any value for v0.
    connected: Option<RequestId>,
    /// v0 executors wait to be called after the agent's death.
    called: bool,
    registered_before: bool,
    unacked_tasks: BTreeMap<String, v1::TaskInfo>,
    unacked: Vec<StatusUpdate>,
    /// Tasks with the number of updates sent.
    running: BTreeMap<String, usize>,
    killed: BTreeSet<String>,
    had_task: bool,
}

#[derive(Default)]
struct Master {
    agent: Option<String>,
    connected: bool,
    /// Every task launched: its framework.
    tasks: BTreeMap<String, String>,
    /// Updates in order of their first arrival, by task.
    seen: BTreeMap<String, Vec<Bytes>>,
    /// Terminal updates by task.
    ended: BTreeMap<String, BTreeSet<Bytes>>,
    /// Executors it thinks the agent has: (framework, executor).
    executors: BTreeSet<(String, String)>,
    version: Option<v1::Uuid>,
}

struct World {
    rng: StdRng,
    now: Now,
    core: Option<Core>,
    settings: Settings,
    writer: Writer,
    processes: BTreeMap<String, Process>,
    master: Master,
    to_agent: VecDeque<(String, Inbound)>,
    to_master: VecDeque<Outbound>,
    events: VecDeque<Input>,
    next_request: u64,
    /// What each task's executor sent, in order.
    sent: BTreeMap<String, Vec<Bytes>>,
    faults: bool,
    crashes: usize,
    _dir: tempfile::TempDir,
}

fn framework_info(id: &str) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "nobody".into(),
        name: id.into(),
        id: Some(v1::FrameworkId { value: id.into() }),
        checkpoint: Some(id != "plain"),
        ..Default::default()
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let settings = Settings { layout: layout.clone(), ..settings() };
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            now: Now { mono: Duration::ZERO, wall: Duration::from_secs(1_000_000) },
            core: None,
            settings,
            writer: Writer::new(layout, None).without_sync(),
            processes: BTreeMap::new(),
            master: Master::default(),
            to_agent: VecDeque::new(),
            to_master: VecDeque::new(),
            events: VecDeque::new(),
            next_request: 0,
            sent: BTreeMap::new(),
            faults: true,
            crashes: 0,
            _dir: dir,
        };
        world.start();
        world
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.random_ratio(1, one_in)
    }

    fn start(&mut self) {
        let mut recovered = checkpoint::load(&self.settings.layout, "boot").unwrap();
        assert!(recovered.errors.is_empty(), "{:?}", recovered.errors);
        let known: BTreeSet<String> = recovered
            .frameworks
            .iter()
            .flat_map(|framework| &framework.executors)
            .map(|executor| executor.run.container_id.clone())
            .collect();
        // The containerizer ends what nobody knows.
        self.processes.retain(|id, _| known.contains(id));
        recovered.containers = self.processes.keys().cloned().collect();
        for (id, process) in &self.processes {
            if !process.alive {
                let end = ContainerEnd::default();
                self.events.push_back(Input::Terminated { container_id: id.clone(), end });
            }
        }
        let seed = self.rng.next_u64();
        let id = recovered.agent.as_ref().and_then(|a| a.id.clone()).map(|id| id.value);
        self.writer = Writer::new(self.settings.layout.clone(), id).without_sync();
        self.core = Some(Core::new(self.settings.clone(), seed));
        self.input(Input::Recover(Box::new(recovered)));
    }

    fn crash(&mut self) {
        self.crashes += 1;
        self.core = None;
        self.events.clear();
        self.lose_connection();
        for process in self.processes.values_mut() {
            process.connected = None;
            process.called = false;
            // Without checkpoints an executor follows its agent.
            process.alive &= process.checkpoint;
        }
    }

    fn lose_connection(&mut self) {
        self.to_agent.clear();
        self.to_master.clear();
        self.master.connected = false;
        self.master.tasks.retain(|_, framework| framework != "plain");
    }

    fn input(&mut self, input: Input) {
        let Some(core) = &mut self.core else { return };
        let mut effects = Effects::new();
        core.handle(self.now, input, &mut effects);
        for effect in effects {
            if self.faults && self.chance(250) {
                self.crash();
                return;
            }
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Write(write) => self.writer.apply(&[*write]).unwrap(),
            Effect::Send { to, message } if &*to == MASTER => self.to_master.push_back(message),
            Effect::Send { to, message } => self.send_v0(&to, message),
            Effect::Launch(launch) => {
                let process = Process {
                    framework: launch.framework_id.clone(),
                    executor: launch.executor.executor_id.value.clone(),
                    v0: !launch.generated,
                    checkpoint: launch.checkpoint,
                    alive: true,
                    connected: None,
                    called: true,
                    registered_before: false,
                    unacked_tasks: BTreeMap::new(),
                    unacked: Vec::new(),
                    running: BTreeMap::new(),
                    killed: BTreeSet::new(),
                    had_task: false,
                };
                self.processes.insert(launch.container_id.clone(), process);
                let result = Ok(77);
                let container_id = launch.container_id.clone();
                self.events.push_back(Input::Launched { container_id, result });
            }
            Effect::Update { container_id, .. } => {
                self.events.push_back(Input::Updated { container_id, result: Ok(()) });
            }
            Effect::Destroy(id) => self.kill_process(&id, Some(9)),
            Effect::Release(id) => {
                self.processes.remove(&id);
            }
            Effect::Event(stream, event) => self.event(stream, *event),
            Effect::CloseStream(stream) => {
                for process in self.processes.values_mut() {
                    if process.connected == Some(stream) {
                        process.connected = None;
                    }
                }
            }
            Effect::Answer(request, Answer::Refused(..)) => {
                for process in self.processes.values_mut() {
                    if process.connected == Some(request) {
                        process.connected = None;
                    }
                }
            }
            Effect::Stop(stop) => panic!("{stop:?}"),
            Effect::Answer(..) | Effect::Link(_) | Effect::MeasureDisk | Effect::Remove(_) => {}
        }
    }

    fn kill_process(&mut self, id: &str, status: Option<i32>) {
        let Some(process) = self.processes.get_mut(id) else { return };
        if std::mem::take(&mut process.alive) {
            process.connected = None;
            let end = ContainerEnd { status, ..Default::default() };
            self.events.push_back(Input::Terminated { container_id: id.to_owned(), end });
        }
    }

    // === Executors ===

    fn send_v0(&mut self, to: &str, message: Outbound) {
        let Some(id) =
            to.strip_prefix("executor-").and_then(|rest| rest.strip_suffix("@127.0.0.1:9"))
        else {
            return;
        };
        let id = id.to_owned();
        let Some(process) = self.processes.get_mut(&id).filter(|process| process.alive) else {
            return;
        };
        match message {
            Outbound::RunTask(message) => take_task(process, message.task),
            Outbound::Acknowledgement(ack) => taken_over(process, &ack.task_id.value, &ack.uuid),
            Outbound::KillTask(kill) => drop(process.killed.insert(kill.task_id.value)),
            Outbound::ReconnectExecutor(_) => process.called = true,
            Outbound::ShutdownExecutor(_) => self.kill_process(&id, Some(0)),
            _ => {}
        }
    }

    fn event(&mut self, stream: RequestId, event: v1::executor::Event) {
        let found = self
            .processes
            .iter_mut()
            .find(|(_, process)| process.alive && process.connected == Some(stream));
        let Some((id, process)) = found else { return };
        let id = id.clone();
        match event.r#type() {
            event::Type::Launch => take_task(process, event.launch.unwrap().task),
            event::Type::Acknowledged => {
                let acknowledged = event.acknowledged.unwrap();
                taken_over(process, &acknowledged.task_id.value, &acknowledged.uuid);
            }
            event::Type::Kill => drop(process.killed.insert(event.kill.unwrap().task_id.value)),
            event::Type::Shutdown => self.kill_process(&id, Some(0)),
            _ => {}
        }
    }

    fn step_executor(&mut self, id: &str) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let Some(process) = self.processes.get_mut(id).filter(|process| process.alive) else {
            return;
        };
        if self.core.is_none() {
            return;
        }
        if process.connected.is_none() {
            if let Some(input) = connect(process, id, request) {
                self.input(input);
            }
            return;
        }
        let task = process.running.keys().next().cloned();
        let Some(task) = task else {
            // A command executor ends when its task's end is safe.
            if !process.v0 && process.had_task && process.unacked.is_empty() {
                self.kill_process(id, Some(0));
            }
            return;
        };
        let input = self.next_update(id, &task);
        self.input(input);
    }

    fn next_update(&mut self, id: &str, task: &str) -> Input {
        let mut uuid = [0; 16];
        self.rng.fill_bytes(&mut uuid);
        let uuid = Bytes::copy_from_slice(&uuid);
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let process = self.processes.get_mut(id).unwrap();
        let sent = process.running.get_mut(task).unwrap();
        *sent += 1;
        let state = match *sent {
            _ if process.killed.contains(task) => TaskState::TaskKilled,
            1 => TaskState::TaskStarting,
            2 => TaskState::TaskRunning,
            _ => TaskState::TaskFinished,
        };
        if is_terminal(state as i32) {
            process.running.remove(task);
        }
        let update = update_of(process, task, state, uuid.clone());
        process.unacked.push(update.clone());
        self.sent.entry(task.to_owned()).or_default().push(uuid);
        if process.v0 {
            let pid = pid_of(id);
            let message = internal::StatusUpdateMessage { update, pid: Some(pid.clone()) };
            return Input::Message { from: pid, message: Inbound::StatusUpdate(Box::new(message)) };
        }
        let call = v1::executor::Call {
            r#type: Some(v1::executor::call::Type::Update as i32),
            update: Some(v1::executor::call::Update { status: update.status }),
            ..call_of(process)
        };
        Input::Call { request, call: Box::new(call) }
    }

    // === The master ===

    fn launch_task(&mut self) {
        if !self.master.connected || self.master.tasks.len() >= TASKS {
            return;
        }
        let framework =
            *["commands", "custom", "plain"].get(self.rng.random_range(0..3_usize)).unwrap();
        let id = format!("{framework}-{}", self.next_request);
        self.next_request += 1;
        let custom = (framework == "custom").then(|| {
            let command = v1::CommandInfo { value: Some("x".into()), ..Default::default() };
            v1::ExecutorInfo {
                executor_id: v1::ExecutorId { value: "custom-executor".into() },
                command: Some(Box::new(command)),
                ..Default::default()
            }
        });
        let executor = custom.as_ref().map_or(id.clone(), |e| e.executor_id.value.clone());
        let is_new = self.master.executors.insert((framework.to_owned(), executor));
        let task = v1::TaskInfo {
            name: "t".into(),
            task_id: v1::TaskId { value: id.clone() },
            agent_id: v1::AgentId { value: self.master.agent.clone().unwrap() },
            executor: custom.map(Box::new),
            ..Default::default()
        };
        let versions = self.master.version.iter().map(|uuid| internal::ResourceVersionUuid {
            resource_provider_id: None,
            uuid: uuid.clone(),
        });
        let message = internal::RunTaskMessage {
            framework: framework_info(framework),
            task,
            resource_version_uuids: versions.collect(),
            launch_executor: Some(is_new),
            ..Default::default()
        };
        self.master.tasks.insert(id, framework.to_owned());
        self.to_agent.push_back((MASTER.into(), Inbound::RunTask(Box::new(message))));
    }

    fn kill_task(&mut self) {
        let open: Vec<_> = self
            .master
            .tasks
            .iter()
            .filter(|(id, _)| !self.master.ended.contains_key(*id))
            .map(|(id, framework)| (id.clone(), framework.clone()))
            .collect();
        if open.is_empty() || !self.master.connected {
            return;
        }
        let (id, framework) = open[self.rng.random_range(0..open.len())].clone();
        let message = internal::KillTaskMessage {
            framework_id: v1::FrameworkId { value: framework },
            task_id: v1::TaskId { value: id },
            kill_policy: None,
        };
        self.to_agent.push_back((MASTER.into(), Inbound::KillTask(message)));
    }

    fn master_receives(&mut self, message: Outbound) {
        match message {
            Outbound::Register(message) => {
                self.master.version = message.resource_version_uuid;
                let id = self.master.agent.get_or_insert_with(|| "S0".into()).clone();
                let message = internal::SlaveRegisteredMessage {
                    slave_id: v1::AgentId { value: id },
                    connection: None,
                };
                self.master.connected = true;
                self.to_agent.push_back((MASTER.into(), Inbound::Registered(message)));
            }
            Outbound::Reregister(message) => self.reregister(*message),
            Outbound::StatusUpdate(message) if self.master.connected => self.update(*message),
            Outbound::ExitedExecutor(message) => {
                let key = (message.framework_id.value, message.executor_id.value);
                self.master.executors.remove(&key);
            }
            _ => {}
        }
    }

    fn reregister(&mut self, message: internal::ReregisterSlaveMessage) {
        self.master.version = message.resource_version_uuid;
        self.master.connected = true;
        self.master.executors = message
            .executor_infos
            .iter()
            .map(|info| (info.framework_id.clone().unwrap().value, info.executor_id.value.clone()))
            .collect();
        let reported: BTreeSet<_> =
            message.tasks.iter().map(|task| task.task_id.value.clone()).collect();
        let mut reconciliations = Vec::new();
        for (id, framework) in &self.master.tasks {
            if reported.contains(id) || self.master.ended.contains_key(id) {
                continue;
            }
            let status =
                v1::TaskStatus { task_id: v1::TaskId { value: id.clone() }, ..Default::default() };
            reconciliations.push(internal::ReconcileTasksMessage {
                framework_id: v1::FrameworkId { value: framework.clone() },
                statuses: vec![status],
                framework: Some(framework_info(framework)),
            });
        }
        let message = internal::SlaveReregisteredMessage {
            slave_id: message.slave.id.unwrap(),
            reconciliations,
            connection: None,
        };
        self.to_agent.push_back((MASTER.into(), Inbound::Reregistered(Box::new(message))));
    }

    fn update(&mut self, message: internal::StatusUpdateMessage) {
        let update = message.update;
        let task = update.status.task_id.value.clone();
        let uuid = update.uuid.clone().unwrap();
        let seen = self.master.seen.entry(task.clone()).or_default();
        if !seen.contains(&uuid) {
            seen.push(uuid.clone());
        }
        if is_terminal(update.status.state) {
            self.master.ended.entry(task).or_default().insert(uuid.clone());
        }
        // Now and then the scheduler is slow to acknowledge, and the agent must repeat.
        if self.faults && self.chance(6) {
            return;
        }
        let message = internal::StatusUpdateAcknowledgementMessage {
            slave_id: v1::AgentId { value: self.master.agent.clone().unwrap() },
            framework_id: update.framework_id,
            task_id: update.status.task_id,
            uuid,
        };
        self.to_agent.push_back((MASTER.into(), Inbound::Acknowledgement(message)));
    }

    // === The course of things ===

    fn step(&mut self) {
        if self.core.is_none() {
            self.start();
            return;
        }
        match self.rng.random_range(0..100) {
            0..15 if self.faults => self.launch_task(),
            0..35 => {
                if let Some((from, message)) = self.to_agent.pop_front() {
                    self.input(Input::Message { from, message });
                }
            }
            35..55 => {
                if let Some(message) = self.to_master.pop_front() {
                    self.master_receives(message);
                }
            }
            55..65 => {
                if let Some(event) = self.events.pop_front() {
                    self.input(event);
                }
            }
            65..85 => {
                let ids: Vec<_> = self.processes.keys().cloned().collect();
                if !ids.is_empty() {
                    let id = ids[self.rng.random_range(0..ids.len())].clone();
                    self.step_executor(&id);
                }
            }
            85..88 if self.faults => self.kill_task(),
            88 if self.faults => {
                self.lose_connection();
                self.input(Input::Exited("127.0.0.1:5050".parse().unwrap()));
            }
            89 if self.faults && self.chance(4) => {
                let ids: Vec<_> = self.processes.keys().cloned().collect();
                if !ids.is_empty() {
                    let id = ids[self.rng.random_range(0..ids.len())].clone();
                    self.kill_process(&id, Some(9));
                }
            }
            90 if self.faults && self.chance(3) => self.crash(),
            _ => self.pass_time(),
        }
    }

    fn pass_time(&mut self) {
        // In the end, patience: an update may wait for its third repetition.
        let longest = if self.faults { 400 } else { 3000 };
        let millis = self.rng.random_range(1..longest);
        self.now = self.now.plus(Duration::from_millis(millis));
        if self.master.connected {
            let ping = internal::PingSlaveMessage { connected: true };
            let from = "slave-observer(1)@127.0.0.1:5050".to_owned();
            self.input(Input::Message { from, message: Inbound::Ping(ping) });
        }
        let due = |core: &Core, now: Now| core.next_deadline().is_some_and(|at| at <= now.mono);
        if self.core.as_ref().is_some_and(|core| due(core, self.now)) {
            self.input(Input::Timer);
        }
    }

    fn check(&self, seed: u64) {
        for (task, framework) in &self.master.tasks {
            if framework == "plain" {
                continue;
            }
            let ends = self.master.ended.get(task).map_or(0, BTreeSet::len);
            assert_eq!(ends, 1, "seed {seed}: {task} ended {ends} times");
        }
        for (task, sent) in &self.sent {
            let mut rest = sent.iter();
            for seen in self.master.seen.get(task).into_iter().flatten() {
                if sent.contains(seen) {
                    let in_order = rest.any(|uuid| uuid == seen);
                    let all = self.master.seen.get(task);
                    assert!(in_order, "seed {seed}: {task} sent {sent:?}, arrived as {all:?}");
                }
            }
        }
        for (id, process) in &self.processes {
            assert!(
                process.v0 || !process.alive,
                "seed {seed}: the executor in {id} is left over: {process:?}"
            );
        }
        let snapshot = self.core.as_ref().unwrap().snapshot();
        assert_eq!(snapshot.state, State::Running, "seed {seed}");
        for executor in snapshot.frameworks.iter().flat_map(|framework| &framework.executors) {
            let open = executor.launched.len() + executor.queued.len() + executor.terminated.len();
            assert_eq!(open, 0, "seed {seed}: {executor:?} still holds tasks");
        }
    }
}

fn pid_of(container: &str) -> String {
    format!("executor-{container}@127.0.0.1:9")
}

fn take_task(process: &mut Process, task: v1::TaskInfo) {
    let id = task.task_id.value.clone();
    process.had_task = true;
    process.running.insert(id.clone(), 0);
    process.unacked_tasks.insert(id, task);
}

fn taken_over(process: &mut Process, task: &str, uuid: &Bytes) {
    process.unacked_tasks.remove(task);
    process.unacked.retain(|update| update.uuid.as_ref() != Some(uuid));
}

fn call_of(process: &Process) -> v1::executor::Call {
    v1::executor::Call {
        executor_id: v1::ExecutorId { value: process.executor.clone() },
        framework_id: v1::FrameworkId { value: process.framework.clone() },
        ..Default::default()
    }
}

fn update_of(process: &Process, task: &str, state: TaskState, uuid: Bytes) -> StatusUpdate {
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: task.to_owned() },
        state: state as i32,
        uuid: Some(uuid.clone()),
        ..Default::default()
    };
    StatusUpdate {
        framework_id: v1::FrameworkId { value: process.framework.clone() },
        executor_id: Some(v1::ExecutorId { value: process.executor.clone() }),
        status,
        uuid: Some(uuid),
        ..Default::default()
    }
}

/// How an executor announces itself, the first time or again.
fn connect(process: &mut Process, id: &str, request: RequestId) -> Option<Input> {
    if !process.v0 {
        process.connected = Some(request);
        let updates = process.unacked.iter();
        let subscribe = v1::executor::call::Subscribe {
            unacknowledged_tasks: process.unacked_tasks.values().cloned().collect(),
            unacknowledged_updates: updates
                .map(|update| v1::executor::call::Update { status: update.status.clone() })
                .collect(),
        };
        let call = v1::executor::Call {
            r#type: Some(v1::executor::call::Type::Subscribe as i32),
            subscribe: Some(subscribe),
            ..call_of(process)
        };
        return Some(Input::Call { request, call: Box::new(call) });
    }
    if !process.called {
        return None;
    }
    process.connected = Some(request);
    let framework_id = v1::FrameworkId { value: process.framework.clone() };
    let executor_id = v1::ExecutorId { value: process.executor.clone() };
    let message = if std::mem::replace(&mut process.registered_before, true) {
        Inbound::ReregisterExecutor(Box::new(internal::ReregisterExecutorMessage {
            executor_id,
            framework_id,
            tasks: process.unacked_tasks.values().cloned().collect(),
            updates: process.unacked.clone(),
        }))
    } else {
        Inbound::RegisterExecutor(internal::RegisterExecutorMessage { framework_id, executor_id })
    };
    Some(Input::Message { from: pid_of(id), message })
}

/// What a run went through.
#[derive(Debug, Default)]
struct Course {
    crashes: usize,
    tasks: usize,
    updates: usize,
}

fn run(seed: u64) -> Course {
    let mut world = World::new(seed);
    for _ in 0..1500 {
        world.step();
    }
    world.faults = false;
    for _ in 0..3000 {
        world.step();
    }
    world.check(seed);
    let durable = world.master.tasks.values().filter(|framework| *framework != "plain");
    Course {
        crashes: world.crashes,
        tasks: durable.count(),
        updates: world.master.seen.values().map(Vec::len).sum(),
    }
}

#[test]
fn every_task_ends_once_whatever_happens() {
    // One seed can be run again alone, and more than usual.
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("DAIS_SEED") {
        run(seed);
        return;
    }
    let mut all = Course::default();
    for course in (0..number("DAIS_SEEDS").unwrap_or(40)).map(run) {
        all.crashes += course.crashes;
        all.tasks += course.tasks;
        all.updates += course.updates;
    }
    println!("{all:?}");
    // Faults and work must be real.
    assert!(all.crashes > 40 && all.tasks > 200 && all.updates > 400, "{all:?}");
}
