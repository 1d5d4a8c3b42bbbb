//! The core, its store and its cluster, under one clock.

use super::{
    Dice,
    cluster::{Cluster, Fate, Next, Task, over},
    store::Store,
};
use crate::{
    Call, Command, Config, Core, Done, Effects, Event, EventKind, Input, Instance, KillWhat,
    MAX_PROBE_WAIT, ProbeId, ProbeOutcome, ProbeRequest, Recovered, Refusal, RequestId, View,
};
use marathon_model::{PathId, change::Change};
use mesos_messages::{
    time::Now,
    v1::{self, TaskState},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// What is on its way.
#[allow(clippy::large_enum_variant, reason = "few at a time, in tests only")]
#[derive(Debug)]
enum Coming {
    /// To the core of that life.
    Input(u32, Input),
    Call(u32, Call),
    Task(Next),
}

/// Everything.
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) cluster: Cluster,
    pub(crate) dice: Dice,
    pub(crate) events: Vec<Event>,
    pub(crate) config: Config,
    /// Answers of tasks to probes go over these.
    pub(crate) now: Now,
    /// When the process began: its clock counts from here.
    born: Duration,
    store: Store,
    coming: BTreeMap<(Duration, u64), Coming>,
    /// Streams are in order: nothing arrives before what was sent earlier.
    last_input: Duration,
    last_call: Duration,
    order: u64,
    life: u32,
    replies: VecDeque<(RequestId, Result<Done, Refusal>)>,
    next_request: u64,
    /// Called after every input, with the view before it.
    pub(crate) check: Option<fn(&World, &View, &Input, &Effects)>,
    pub(crate) keep_events: bool,
    /// Probes may be late, not made at all, or nothing is heard of them.
    pub(crate) rough_probes: bool,
}

const START: Duration = Duration::from_secs(1_700_000_000);

// === impl World ===

impl World {
    /// A connected core without apps, and `agents` agents with `cpus` each.
    pub(crate) fn new(seed: u64, agents: usize, cpus: f64) -> Self {
        let config = Config { seed, ..Config::default() };
        let now = Now { mono: Duration::from_secs(1), wall: START };
        let mut cluster = Cluster::default();
        for number in 0..agents {
            cluster.add_agent(&format!("agent-{number}"), cpus);
        }
        let core = Core::new(config.clone(), Recovered::default(), now);
        let mut world = Self {
            core,
            cluster,
            dice: Dice(seed),
            events: Vec::new(),
            config,
            now,
            born: Duration::ZERO,
            store: Store::default(),
            coming: BTreeMap::new(),
            last_input: Duration::ZERO,
            last_call: Duration::ZERO,
            order: 0,
            life: 0,
            replies: VecDeque::new(),
            next_request: 0,
            check: None,
            keep_events: true,
            rough_probes: false,
        };
        world.connect();
        world
    }

    pub(crate) fn connect(&mut self) {
        self.cluster.subscribe();
        self.handle(Input::Subscribed {
            framework_id: "framework".to_owned(),
            master: "master:5050".to_owned(),
            region: None,
            zone: None,
        });
        self.offer();
    }

    /// Kill -9 and a start from what was written. Calls that were on their way may get lost.
    pub(crate) fn restart(&mut self) {
        self.life += 1;
        let cut = self.dice.below(4);
        let mut kept = 0;
        let life = self.life;
        for coming in self.coming.values_mut() {
            match coming {
                Coming::Call(of, _) if kept < cut => (kept, *of) = (kept + 1, life),
                _ => {}
            }
        }
        self.coming.retain(|_, coming| match coming {
            Coming::Input(of, _) | Coming::Call(of, _) => *of == life,
            Coming::Task(_) => true,
        });
        self.config.seed = self.config.seed.wrapping_add(1);
        self.now = self.now.plus(Duration::from_secs(2));
        self.born = self.now.mono;
        self.core = Core::new(self.config.clone(), self.store.recovered(), self.clock());
        self.connect();
    }

    /// What time it is for the process.
    fn clock(&self) -> Now {
        Now { mono: self.now.mono - self.born, ..self.now }
    }

    pub(crate) fn handle(&mut self, input: Input) {
        let before = self.check.map(|_| (self.core.view(), input.clone()));
        let mut effects = Effects::default();
        self.core.handle(self.clock(), input, &mut effects);
        self.store.commit(std::mem::take(&mut effects.writes));
        if let (Some(check), Some((before, input))) = (self.check, before) {
            check(self, &before, &input, &effects);
        }
        for call in effects.calls {
            let at = self.later().max(self.last_call);
            self.last_call = at;
            self.put(at, Coming::Call(self.life, call));
        }
        if self.keep_events {
            self.events.append(&mut effects.events);
        }
        self.replies.extend(effects.replies);
        for probe in effects.probes {
            self.probe(&probe);
        }
    }

    fn later(&mut self) -> Duration {
        self.now.mono + Duration::from_millis(self.dice.below(50))
    }

    fn put(&mut self, at: Duration, coming: Coming) {
        self.order += 1;
        self.coming.insert((at, self.order), coming);
    }

    /// Something for the core, in the order of the stream.
    pub(crate) fn send(&mut self, input: Input) {
        let at = self.later().max(self.last_input);
        self.last_input = at;
        self.put(at, Coming::Input(self.life, input));
    }

    fn tell(&mut self, status: v1::TaskStatus) {
        if self.dice.once_in(30) {
            self.send(Input::Update(Box::new(status.clone())));
        }
        self.send(Input::Update(Box::new(status)));
    }

    fn probe(&mut self, probe: &ProbeRequest) {
        let (crate::ProbeTarget::Http { host, port, .. } | crate::ProbeTarget::Tcp { host, port }) =
            &probe.target;
        let instances = self.core.view();
        let there = |one: &&Arc<Instance>| {
            let placement = one.placement.as_ref();
            one.host_ports.contains(port) && placement.is_some_and(|at| at.host == *host)
        };
        let all = instances.apps.values().flat_map(|state| state.instances.values());
        let task = all.filter(there).map(|one| one.task_id().to_string()).next();
        let task = task.and_then(|task| self.cluster.tasks.get(&task));
        let outcome = match task {
            Some(task) if task.cut_off || over(task.state) => ProbeOutcome::TimedOut,
            Some(task) => {
                let status = if task.fate == Fate::Sick { 500 } else { 200 };
                let (content_type, body) = ("text/plain".to_owned(), String::new());
                ProbeOutcome::Response { status, content_type, body }
            }
            None => ProbeOutcome::Failed("connection refused".to_owned()),
        };
        let (mut outcome, mut at) = (outcome, self.later());
        if self.rough_probes {
            match self.dice.below(20) {
                0 => return,
                1 | 2 => {
                    at += MAX_PROBE_WAIT;
                    outcome = ProbeOutcome::NotMade;
                }
                3..=5 => at += MAX_PROBE_WAIT + probe.timeout,
                _ => {}
            }
        }
        self.answer(at, probe.id, outcome);
    }

    fn answer(&mut self, at: Duration, probe: ProbeId, outcome: ProbeOutcome) {
        self.put(at, Coming::Input(self.life, Input::Probed { probe, outcome }));
    }

    fn offer(&mut self) {
        let offers = self.cluster.offer(self.now.mono);
        if !offers.is_empty() {
            self.send(Input::Offers(offers));
        }
    }

    /// Lets the next thing happen; false: nothing will by `until`.
    fn step(&mut self, until: Duration) -> bool {
        let coming = self.coming.keys().next().map(|(at, _)| *at);
        let deadline = self.core.deadline().map(|at| at + self.born);
        let next = [coming, deadline].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= until) else {
            self.now = self.now.plus(until.saturating_sub(self.now.mono));
            return false;
        };
        self.now = self.now.plus(next.saturating_sub(self.now.mono));
        let due = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now.mono);
        match due.map(|entry| entry.remove()) {
            Some(Coming::Input(life, input)) if life == self.life => self.handle(input),
            Some(Coming::Call(life, call)) if life == self.life => self.call(call),
            Some(Coming::Task(next)) => self.task(next),
            Some(_) => {}
            None => self.handle(Input::Tick),
        }
        true
    }

    fn call(&mut self, call: Call) {
        let next = self.cluster.call(call, self.now.mono, &mut self.dice);
        for (later, next) in next {
            match next {
                Next::Update(status) => self.tell(status),
                next => self.put(self.now.mono + later, Coming::Task(next)),
            }
        }
        self.offer();
    }

    fn task(&mut self, next: Next) {
        match next {
            Next::Step(id) => {
                let (status, next) = self.cluster.step(&id, &mut self.dice);
                if let Some(status) = status {
                    self.tell(status);
                }
                if let Some((later, next)) = next {
                    self.put(self.now.mono + later, Coming::Task(next));
                }
            }
            Next::Die(id) => self.end_task(&id, TaskState::TaskKilled),
            Next::Update(status) => self.tell(status),
        }
        self.offer();
    }

    pub(crate) fn end_task(&mut self, id: &str, state: TaskState) {
        if let Some(status) = self.cluster.die(id, state) {
            self.tell(status);
        }
        self.offer();
    }

    pub(crate) fn cut(&mut self, agent: &str, up: bool) {
        for status in self.cluster.cut(agent, up) {
            self.tell(status);
        }
        self.offer();
    }

    /// Lets one thing happen.
    pub(crate) fn step_once(&mut self) {
        self.step(self.now.mono + Duration::from_secs(1));
    }

    /// Lets time pass.
    pub(crate) fn run(&mut self, seconds: u64) {
        let until = self.now.mono + Duration::from_secs(seconds);
        while self.step(until) {}
        // Filters of declined offers end on their own.
        self.offer();
    }

    /// Lets time pass until `done`, at most so many seconds.
    pub(crate) fn until(&mut self, seconds: u64, done: impl Fn(&World) -> bool) -> bool {
        for _ in 0..seconds {
            if done(self) {
                return true;
            }
            self.run(1);
        }
        done(self)
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<Done, Refusal> {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.handle(Input::Command(request, command));
        let at = self.replies.iter().position(|(of, _)| *of == request).unwrap();
        self.replies.remove(at).unwrap().1
    }

    pub(crate) fn change(&mut self, change: Change) -> Result<Done, Refusal> {
        self.command(Command::Change { change, force: false })
    }

    pub(crate) fn create(&mut self, json: &Value) -> Result<Done, Refusal> {
        self.change(Change::CreateApp(super::update(json)))
    }

    /// PUT of some fields of an app.
    pub(crate) fn put_app(&mut self, id: &str, json: &Value, force: bool) -> Result<Done, Refusal> {
        let id = PathId::parse(id).unwrap();
        let update = super::update(json);
        let change = Change::UpdateApp { id, update, partial: true, create: false };
        self.command(Command::Change { change, force })
    }

    pub(crate) fn kill(
        &mut self,
        what: KillWhat,
        scale: bool,
        wipe: bool,
    ) -> Result<Done, Refusal> {
        self.command(Command::Kill { what, scale, wipe, force: false })
    }

    pub(crate) fn instances(&self, app: &str) -> Vec<Arc<Instance>> {
        let id = PathId::parse(app).unwrap();
        let view = self.core.view();
        view.apps
            .get(&id)
            .map(|state| state.instances.values().cloned().collect())
            .unwrap_or_default()
    }

    /// How many tasks of an app run within reach.
    pub(crate) fn running(&self, app: &str) -> usize {
        let prefix = format!("{}.", PathId::parse(app).unwrap().flat());
        let runs = |task: &Task| task.state == TaskState::TaskRunning && !task.cut_off;
        self.cluster.live().filter(|(id, task)| id.starts_with(&prefix) && runs(task)).count()
    }

    pub(crate) fn idle(&self) -> bool {
        self.core.view().deployments.is_empty()
    }

    /// The names of what happened, without what instances did.
    pub(crate) fn told(&mut self) -> Vec<&'static str> {
        let events = std::mem::take(&mut self.events);
        let quiet = |event: &&Event| {
            !matches!(
                event.kind,
                EventKind::InstanceChanged { .. }
                    | EventKind::StatusUpdate { .. }
                    | EventKind::InstancePending { .. }
                    | EventKind::SchedulerRegistered { .. }
            )
        };
        events.iter().filter(quiet).map(|event| event.kind.name()).collect()
    }
}
