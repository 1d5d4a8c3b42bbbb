//! A cluster in one thread: agents that crash, messages that are lost, late or
//! doubled, schedulers that break off. A seed replays exactly.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use libprocess::Upid;
use mesos_messages::{internal, v1};
use rand::{Rng, SeedableRng, rngs::StdRng};
use v1::{
    TaskState,
    scheduler::{Call, call},
};

use super::world::*;
use crate::core::{Incoming, Input, Outgoing, tasks::is_terminal};

const AGENTS: u16 = 4;
const FRAMEWORKS: usize = 3;

/// A task on its agent, with the updates its scheduler has not acknowledged.
#[derive(Clone, Debug)]
struct Running {
    framework: String,
    info: v1::TaskInfo,
    state: TaskState,
    /// The first one was sent, or will be.
    updates: VecDeque<(TaskState, Bytes)>,
}

#[derive(Debug)]
struct SimAgent {
    at: SomeAgent,
    tasks: BTreeMap<(String, String), Running>,
    frameworks: BTreeMap<String, v1::FrameworkInfo>,
    registered: bool,
}

/// A scheduler and what it believes.
#[derive(Debug)]
struct SimScheduler {
    info: v1::FrameworkInfo,
    at: SomeFramework,
    read: usize,
    believes: BTreeMap<String, TaskState>,
    launched: BTreeSet<String>,
    next: usize,
}

struct Cluster {
    world: World,
    random: StdRng,
    agents: Vec<SimAgent>,
    schedulers: Vec<SimScheduler>,
    /// Messages to the master, with the second they arrive at.
    to_master: Vec<(u64, Upid, Incoming)>,
    to_agents: Vec<(u64, Upid, Outgoing)>,
    second: u64,
    next_uuid: u64,
    faults: bool,
}

impl Cluster {
    fn new(seed: u64) -> Cluster {
        let mut world = World::new();
        let mut agents = Vec::new();
        for port in 1..=AGENTS {
            let at = world.register(port, "cpus:4;mem:1000");
            agents.push(SimAgent {
                at,
                tasks: BTreeMap::new(),
                frameworks: BTreeMap::new(),
                registered: true,
            });
        }
        let mut schedulers = Vec::new();
        for number in 0..FRAMEWORKS {
            let info = if number == 0 { info(&[]) } else { aware() };
            let at = world.subscribe(info.clone());
            let id = Some(v1::FrameworkId { value: at.id.clone() });
            schedulers.push(SimScheduler {
                info: v1::FrameworkInfo { id, failover_timeout: Some(1e6), ..info },
                at,
                read: 0,
                believes: BTreeMap::new(),
                launched: BTreeSet::new(),
                next: 0,
            });
        }
        world.sent.clear();
        Cluster {
            world,
            random: StdRng::seed_from_u64(seed),
            agents,
            schedulers,
            to_master: Vec::new(),
            to_agents: Vec::new(),
            second: 0,
            next_uuid: 0,
            faults: true,
        }
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.faults && self.random.random_range(0..100) < percent
    }

    /// Puts a message on its way: lost, doubled or late, as luck has it.
    fn fate(&mut self) -> Vec<u64> {
        if self.chance(5) {
            return Vec::new();
        }
        let late = |cluster: &mut Self| {
            if cluster.chance(10) { cluster.random.random_range(1..8) } else { 0 }
        };
        let mut times = vec![self.second + late(self)];
        if self.chance(5) {
            times.push(self.second + late(self));
        }
        times
    }

    fn step(&mut self) {
        self.second += 1;
        self.world.pass(1);
        self.deliver();
        for number in 0..self.agents.len() {
            self.live(number);
        }
        for number in 0..self.schedulers.len() {
            self.schedule(number);
        }
        self.deliver();
        drop(self.world.snapshot());
    }

    fn deliver(&mut self) {
        for _ in 0..50 {
            for (to, message) in std::mem::take(&mut self.world.sent) {
                // Pings and pongs keep to themselves here.
                if let Outgoing::Ping(_) = message {
                    self.answer_ping(&to);
                    continue;
                }
                let times = self.fate();
                let mut copies = times.len();
                for time in times {
                    copies -= 1;
                    let copy = copy(&message).filter(|_| copies > 0);
                    if copies == 0 {
                        self.to_agents.push((time, to.clone(), message));
                        break;
                    }
                    if let Some(copy) = copy {
                        self.to_agents.push((time, to.clone(), copy));
                    }
                }
            }
            let (due, later): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.to_agents).into_iter().partition(|m| m.0 <= self.second);
            self.to_agents = later;
            let quiet = due.is_empty();
            for (_, to, message) in due {
                if let Some(number) = self.agents.iter().position(|agent| agent.at.pid == to) {
                    self.agent_gets(number, message);
                }
            }
            let (due, later): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.to_master).into_iter().partition(|m| m.0 <= self.second);
            self.to_master = later;
            if quiet && due.is_empty() && self.world.sent.is_empty() {
                return;
            }
            for (_, from, message) in due {
                self.world.message(&from, message);
            }
        }
        panic!("messages without end");
    }

    fn answer_ping(&mut self, to: &Upid) {
        let Some(agent) = self.agents.iter().find(|agent| agent.at.pid == *to) else { return };
        if agent.registered
            && let Some(id) = &agent.at.info.id
            && let Some((_, _, state)) = self.world.core.agents.by_id(&id.value)
        {
            let observer = state.observer;
            self.world.message(to, Incoming::Pong { observer });
        }
    }

    fn send(&mut self, number: usize, message: impl Fn() -> Incoming) {
        let from = self.agents[number].at.pid.clone();
        for time in self.fate() {
            self.to_master.push((time, from.clone(), message()));
        }
    }

    fn agent_gets(&mut self, number: usize, message: Outgoing) {
        let agent = &mut self.agents[number];
        match message {
            Outgoing::RunTask(run) => {
                let framework = run.framework.id.clone().unwrap().value;
                let key = (framework.clone(), run.task.task_id.value.clone());
                agent.frameworks.insert(framework.clone(), (*run.framework).clone());
                if !agent.tasks.contains_key(&key) {
                    let running = Running {
                        framework,
                        info: run.task.clone(),
                        state: TaskState::TaskStaging,
                        updates: VecDeque::new(),
                    };
                    agent.tasks.insert(key.clone(), running);
                    self.change(number, &key, TaskState::TaskRunning);
                }
            }
            Outgoing::KillTask(kill) => {
                let key = (kill.framework_id.value, kill.task_id.value);
                self.change(number, &key, TaskState::TaskKilled);
            }
            Outgoing::Acknowledge(ack) => {
                let key = (ack.framework_id.value, ack.task_id.value);
                let Some(task) = agent.tasks.get_mut(&key) else { return };
                if task.updates.front().is_some_and(|(_, uuid)| *uuid == ack.uuid) {
                    let (state, _) = task.updates.pop_front().unwrap();
                    if is_terminal(state) {
                        agent.tasks.remove(&key);
                    } else if !task.updates.is_empty() {
                        self.forward(number, &key);
                    }
                }
            }
            Outgoing::AgentReregistered(message) => {
                agent.registered = true;
                for reconciliation in message.reconciliations {
                    let framework = reconciliation.framework_id.value.clone();
                    if let Some(info) = reconciliation.framework {
                        self.agents[number].frameworks.insert(framework.clone(), info);
                    }
                    for status in reconciliation.statuses {
                        self.drop_unknown(number, &framework, status);
                    }
                }
            }
            Outgoing::ShutdownFramework(message) => {
                let id = message.framework_id.value;
                agent.tasks.retain(|(framework, _), _| *framework != id);
            }
            _ => {}
        }
    }

    fn drop_unknown(&mut self, number: usize, framework: &str, status: v1::TaskStatus) {
        let key = (framework.to_owned(), status.task_id.value.clone());
        let agent = &mut self.agents[number];
        if agent.tasks.contains_key(&key) {
            return;
        }
        let id = agent.at.info.id.clone().unwrap();
        let running = Running {
            framework: framework.to_owned(),
            info: task(&status.task_id.value, &id, "cpus:1"),
            state: TaskState::TaskStaging,
            updates: VecDeque::new(),
        };
        agent.tasks.insert(key.clone(), running);
        self.change(number, &key, TaskState::TaskDropped);
    }

    fn change(&mut self, number: usize, key: &(String, String), state: TaskState) {
        self.next_uuid += 1;
        let uuid = Bytes::from(self.next_uuid.to_be_bytes().repeat(2));
        let Some(task) = self.agents[number].tasks.get_mut(key) else { return };
        if is_terminal(task.state) {
            return;
        }
        task.state = state;
        task.updates.push_back((state, uuid));
        if task.updates.len() == 1 {
            self.forward(number, key);
        }
    }

    fn forward(&mut self, number: usize, key: &(String, String)) {
        let agent = &self.agents[number];
        let Some(task) = agent.tasks.get(key) else { return };
        let Some((state, uuid)) = task.updates.front().cloned() else { return };
        if !agent.registered {
            return;
        }
        let update = internal::StatusUpdate {
            framework_id: v1::FrameworkId { value: task.framework.clone() },
            slave_id: agent.at.info.id.clone(),
            status: v1::TaskStatus {
                task_id: task.info.task_id.clone(),
                state: state as i32,
                source: Some(v1::task_status::Source::Executor as i32),
                ..v1::TaskStatus::default()
            },
            timestamp: 1.0,
            uuid: Some(uuid),
            latest_state: Some(task.state as i32),
            ..internal::StatusUpdate::default()
        };
        let pid = Some(agent.at.pid.to_string());
        self.send(number, || {
            let message =
                internal::StatusUpdateMessage { update: update.clone(), pid: pid.clone() };
            Incoming::StatusUpdate(Box::new(message))
        });
    }

    /// One second in the life of an agent.
    fn live(&mut self, number: usize) {
        if self.chance(2) {
            // The process died; what it ran goes on, and it finds it again.
            self.agents[number].registered = false;
            let address = self.agents[number].at.pid.address;
            self.world.input(Input::Exited { address });
        }
        if !self.agents[number].registered {
            if self.chance(70) {
                return;
            }
            self.reregister(number);
        }
        let keys: Vec<(String, String)> = self.agents[number].tasks.keys().cloned().collect();
        for key in keys {
            if self.random.random_range(0..100) < 5 {
                self.change(number, &key, TaskState::TaskFinished);
            }
            if self.second % 10 == u64::from(number as u32) {
                self.forward(number, &key);
            }
        }
    }

    fn reregister(&mut self, number: usize) {
        let agent = &self.agents[number];
        let tasks: Vec<v1::Task> = agent
            .tasks
            .values()
            .map(|task| {
                let at = SomeFramework { id: task.framework.clone(), stream: "".into() };
                let mut report = report(&task.info, &at, task.state);
                for resource in &mut report.resources {
                    let role = Some("*".to_owned());
                    resource.allocation_info = Some(v1::resource::AllocationInfo { role });
                }
                report
            })
            .collect();
        let message = internal::ReregisterSlaveMessage {
            slave: agent.at.info.clone(),
            version: Some("1.11.0".into()),
            tasks,
            frameworks: agent.frameworks.values().cloned().collect(),
            ..internal::ReregisterSlaveMessage::default()
        };
        self.send(number, || Incoming::Reregister(Box::new(message.clone())));
    }

    /// One second in the life of a scheduler.
    fn schedule(&mut self, number: usize) {
        if self.chance(3) {
            let stream = self.schedulers[number].at.stream.clone();
            self.world.input(Input::StreamClosed { stream });
            let info = self.schedulers[number].info.clone();
            self.schedulers[number].at = self.world.subscribe(info);
            self.schedulers[number].read = 0;
        }
        self.read(number);
        if !self.faults {
            return;
        }
        let offers = self.current_offers(number);
        if offers.is_empty() {
            return;
        }
        let choice = self.random.random_range(0..4);
        for offer in offers {
            let tasks = if choice == 0 { Vec::new() } else { self.new_tasks(number, &offer) };
            let at = self.schedulers[number].at.clone();
            self.world.accept(&at, &[offer], tasks);
        }
        if self.chance(30) {
            self.kill_one(number);
        }
        self.read(number);
    }

    fn current_offers(&self, number: usize) -> Vec<v1::Offer> {
        let at = &self.schedulers[number].at;
        let snapshot = self.world.core.snapshot();
        let view = snapshot.frameworks.iter().find(|view| *view.framework.id == *at.id);
        let agents: BTreeMap<&str, _> = snapshot.agents.iter().map(|a| (&*a.id, a)).collect();
        let offers = view.into_iter().flat_map(|view| view.offers.iter());
        offers.map(|offer| offer.to_proto(agents[&*offer.agent_id])).collect()
    }

    fn new_tasks(&mut self, number: usize, offer: &v1::Offer) -> Vec<v1::TaskInfo> {
        let count = self.random.random_range(0..4);
        (0..count)
            .map(|_| {
                let scheduler = &mut self.schedulers[number];
                let id = format!("f{number}-t{}", scheduler.next);
                scheduler.next += 1;
                scheduler.launched.insert(id.clone());
                scheduler.believes.insert(id.clone(), TaskState::TaskStaging);
                // Now and then more than there is.
                task(&id, &offer.agent_id, "cpus:1.5;mem:100")
            })
            .collect()
    }

    fn kill_one(&mut self, number: usize) {
        let scheduler = &self.schedulers[number];
        let alive = scheduler.believes.iter().find(|(_, state)| !is_terminal(**state));
        let Some(id) = alive.map(|(id, _)| id.clone()) else { return };
        let kill = call::Kill { task_id: v1::TaskId { value: id }, ..call::Kill::default() };
        let at = scheduler.at.clone();
        self.world.call(&at, Call { kill: Some(kill), ..typed(call::Type::Kill) });
    }

    /// Reads what came and acknowledges it.
    fn read(&mut self, number: usize) {
        loop {
            let scheduler = &self.schedulers[number];
            let at = scheduler.at.clone();
            let events = self.world.on_stream(&at.stream);
            let fresh: Vec<_> = events.into_iter().skip(scheduler.read).collect();
            if fresh.is_empty() {
                return;
            }
            self.schedulers[number].read += fresh.len();
            for status in fresh.into_iter().filter_map(|event| Some(event.update?.status)) {
                let id = status.task_id.value.clone();
                self.schedulers[number].believes.insert(id, status.state());
                if let Some(uuid) = status.uuid.clone() {
                    let acknowledge = call::Acknowledge {
                        agent_id: status.agent_id.clone().unwrap(),
                        task_id: status.task_id.clone(),
                        uuid,
                    };
                    let call =
                        Call { acknowledge: Some(acknowledge), ..typed(call::Type::Acknowledge) };
                    self.world.call(&at, call);
                }
            }
        }
    }

    /// Asks about every task it believes to run.
    fn reconcile(&mut self, number: usize) {
        let scheduler = &self.schedulers[number];
        let asked = scheduler.believes.iter().filter(|(_, state)| !is_terminal(**state));
        let tasks: Vec<call::reconcile::Task> = asked
            .map(|(id, _)| call::reconcile::Task {
                task_id: v1::TaskId { value: id.clone() },
                agent_id: None,
            })
            .collect();
        let at = scheduler.at.clone();
        for tasks in [tasks, Vec::new()] {
            let reconcile = Some(call::Reconcile { tasks });
            self.world.call(&at, Call { reconcile, ..typed(call::Type::Reconcile) });
        }
        self.read(number);
    }

    fn settle_down(&mut self) {
        self.faults = false;
        for round in 0..60 {
            if round == 10 || round == 30 {
                // What was lost without anyone noticing is found by a new registration.
                for number in 0..self.agents.len() {
                    self.agents[number].registered = false;
                    let address = self.agents[number].at.pid.address;
                    self.world.input(Input::Exited { address });
                }
            }
            self.step();
        }
        for number in 0..self.schedulers.len() {
            self.reconcile(number);
        }
    }

    fn compare(&self) {
        let snapshot = self.world.snapshot();
        assert_eq!(snapshot.agents.len(), self.agents.len());
        for scheduler in &self.schedulers {
            let view = snapshot
                .frameworks
                .iter()
                .find(|view| *view.framework.id == *scheduler.at.id)
                .unwrap();
            let runs: BTreeSet<&str> = view
                .tasks
                .iter()
                .filter(|task| !is_terminal(task.state))
                .map(|task| &*task.id)
                .collect();
            // Unknown is what a task is that nobody has: over, in all but name.
            let over = |state: TaskState| is_terminal(state) || state == TaskState::TaskUnknown;
            let believed: BTreeSet<&str> = scheduler
                .believes
                .iter()
                .filter(|(_, state)| !over(**state))
                .map(|(id, _)| id.as_str())
                .collect();
            assert_eq!(believed, runs, "what {} believes to run", scheduler.at.id);
            let known: BTreeSet<&String> = scheduler.believes.keys().collect();
            assert!(scheduler.launched.iter().all(|id| known.contains(id)));
            let on_agents: BTreeSet<&str> = self
                .agents
                .iter()
                .flat_map(|agent| agent.tasks.values())
                .filter(|task| task.framework == scheduler.at.id && !is_terminal(task.state))
                .map(|task| task.info.task_id.value.as_str())
                .collect();
            assert_eq!(on_agents, runs, "what runs of {}", scheduler.at.id);
        }
    }
}

/// Messages that may arrive twice.
fn copy(message: &Outgoing) -> Option<Outgoing> {
    match message {
        Outgoing::RunTask(run) => Some(Outgoing::RunTask(run.clone())),
        Outgoing::KillTask(kill) => Some(Outgoing::KillTask(kill.clone())),
        Outgoing::Acknowledge(ack) => Some(Outgoing::Acknowledge(ack.clone())),
        _ => None,
    }
}

#[test]
fn views_agree_after_any_trouble() {
    for seed in 0..12 {
        let mut cluster = Cluster::new(seed);
        for _ in 0..150 {
            cluster.step();
        }
        cluster.settle_down();
        cluster.compare();
        let launched: usize = cluster.schedulers.iter().map(|one| one.launched.len()).sum();
        assert!(launched > 100, "only {launched} tasks with seed {seed}");
    }
}
