//! The table against a plain model, in clusters where things happen at random: events of both
//! streams lag by different times, come twice, get lost with their streams; reads are late.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proxy::Upstream;

use super::super::facts::{
    AppFact, FrameworkFact, Input, MarathonInput, MarathonTask, MesosInput, MesosState, Phase,
    TaskFact, Turn,
};
use super::super::snapshot::{Source, Web};
use super::testing::*;
use super::{Snapshot, Table};

const AGENTS: u32 = 3;
/// Few, so that they are used again soon.
const PORTS: u16 = 3;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.below(all.len())).cloned()
    }
}

#[derive(Clone)]
struct TrueTask {
    app: String,
    agent: u32,
    port: u16,
    since: Option<u64>,
}

/// A read that was asked for: what Marathon says may be from any moment until it is answered.
struct Reading {
    as_of: u64,
    /// None for all of them.
    app: Option<String>,
    answer: Option<MarathonInput>,
}

/// How things really are, what is on its way, and the table.
struct Cluster {
    random: Random,
    table: Table,
    snapshot: Snapshot,
    now: Duration,
    count: u32,
    apps: BTreeMap<String, AppFact>,
    agents: BTreeSet<u32>,
    tasks: BTreeMap<String, TrueTask>,
    /// Those on agents that are out of reach.
    hidden: BTreeMap<String, TrueTask>,
    frameworks: BTreeMap<String, FrameworkFact>,
    from_master: VecDeque<MesosInput>,
    from_marathon: VecDeque<MarathonInput>,
    readings: Vec<Reading>,
    dirty: BTreeSet<String>,
    master_is_heard: bool,
    marathon_is_heard: bool,
    number: u64,
    /// What the master's stream has said so far.
    told: BTreeMap<String, (String, Phase)>,
    /// Everything that was ever routed to, with the task that was there.
    routed: Vec<(Arc<Upstream>, String)>,
}

fn host(agent: u32) -> String {
    format!("10.0.1.{agent}")
}

// === impl Cluster: what happens ===

impl Cluster {
    fn new(seed: u64) -> Cluster {
        Cluster {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            table: Table::new(upstreams(), Duration::from_secs(1 << 20)),
            snapshot: Snapshot::default(),
            now: Duration::ZERO,
            count: 0,
            apps: BTreeMap::new(),
            agents: (0..AGENTS).collect(),
            tasks: BTreeMap::new(),
            hidden: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            from_master: VecDeque::new(),
            from_marathon: VecDeque::new(),
            readings: Vec::new(),
            dirty: BTreeSet::new(),
            master_is_heard: false,
            marathon_is_heard: false,
            number: 0,
            told: BTreeMap::new(),
            routed: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..14 => self.launch(),
            14..30 => self.start(),
            30..40 => self.end(),
            40..46 => self.change_app(),
            46..48 => self.lose_agent(),
            48..51 => self.regain_agent(),
            51..54 => self.change_framework(),
            54..74 => self.hear_master(),
            74..88 => self.hear_marathon(),
            88..91 => self.ask(),
            91..95 => self.answer(),
            95..97 => self.cut_master(),
            97 => self.cut_marathon(),
            _ => self.connect(),
        }
        self.check();
    }

    fn master_says(&mut self, input: MesosInput) {
        if self.master_is_heard {
            self.from_master.push_back(input);
        }
    }

    fn marathon_says(&mut self, input: MarathonInput) {
        if self.marathon_is_heard {
            self.from_marathon.push_back(input);
        }
    }

    fn launch(&mut self) {
        let ids: Vec<String> = self.apps.keys().cloned().collect();
        let agents: Vec<u32> = self.agents.iter().copied().collect();
        let (Some(app), Some(agent)) = (self.random.pick(&ids), self.random.pick(&agents)) else {
            return;
        };
        let everywhere = || self.tasks.values().chain(self.hidden.values());
        let is_free = |port: &u16| !everywhere().any(|t| t.agent == agent && t.port == *port);
        let Some(port) = (31000..31000 + PORTS).find(is_free) else { return };
        self.count += 1;
        let id = task_of(&app, self.count);
        let task = TrueTask { app, agent, port, since: None };
        self.master_says(MesosInput::TaskAdded(fact(&id, &task)));
        self.tasks.insert(id, task);
    }

    fn pick_task(&mut self, is_running: bool) -> Option<(String, TrueTask)> {
        let all = self.tasks.iter().filter(|(_, task)| task.since.is_some() == is_running);
        let all: Vec<_> = all.map(|(id, task)| (id.clone(), task.clone())).collect();
        self.random.pick(&all)
    }

    fn start(&mut self) {
        let Some((id, mut task)) = self.pick_task(false) else { return };
        self.count += 1;
        task.since = Some(u64::from(self.count));
        self.master_says(MesosInput::TaskUpdated(fact(&id, &task)));
        self.marathon_says(MarathonInput::Task(word(&id, &task, Phase::Running)));
        self.tasks.insert(id, task);
    }

    fn end(&mut self) {
        let is_running = self.random.below(4) > 0;
        let Some((id, task)) = self.pick_task(is_running) else { return };
        let over = TaskFact { phase: Phase::Ended, ..fact(&id, &task) };
        self.master_says(MesosInput::TaskUpdated(over));
        self.marathon_says(MarathonInput::Task(word(&id, &task, Phase::Ended)));
        self.tasks.remove(&id);
    }

    fn change_app(&mut self) {
        let id = format!("/app-{}", self.random.below(5));
        let name = format!("name-{}", self.random.below(4));
        let has_tasks = self.tasks.values().chain(self.hidden.values()).any(|t| t.app == id);
        if self.random.below(4) == 0 && !has_tasks {
            self.apps.remove(&id);
        } else {
            let labels: &[(&str, &str)] = match self.random.below(5) {
                0 => &[("DCOS_SERVICE_SCHEME", "nonsense")],
                1 => &[("DCOS_SERVICE_REWRITE_REQUEST_URLS", "false")],
                2 => &[("DCOS_SERVICE_SCHEME", "https")],
                _ => &[],
            };
            self.apps.insert(id.clone(), app_with(&id, &name, labels));
        }
        self.marathon_says(MarathonInput::Touched(id.as_str().into()));
    }

    fn lose_agent(&mut self) {
        let agents: Vec<u32> = self.agents.iter().copied().collect();
        let Some(agent) = self.random.pick(&agents) else { return };
        self.agents.remove(&agent);
        self.master_says(MesosInput::AgentRemoved(host(agent).into()));
        let lost = self.tasks.extract_if(.., |_, task| task.agent == agent).collect::<Vec<_>>();
        for (id, task) in lost {
            self.marathon_says(MarathonInput::Task(word(&id, &task, Phase::Waiting)));
            self.hidden.insert(id, task);
        }
    }

    fn regain_agent(&mut self) {
        let lost: Vec<u32> = (0..AGENTS).filter(|agent| !self.agents.contains(agent)).collect();
        let Some(found) = self.random.pick(&lost) else { return };
        self.agents.insert(found);
        self.master_says(MesosInput::AgentAdded(agent(&host(found), &host(found))));
        let back = self.hidden.extract_if(.., |_, task| task.agent == found).collect::<Vec<_>>();
        for (id, task) in back {
            // As with a real master, ports are told anew with the task.
            self.master_says(MesosInput::TaskAdded(fact(&id, &task)));
            if task.since.is_some() {
                self.marathon_says(MarathonInput::Task(word(&id, &task, Phase::Running)));
            }
            self.tasks.insert(id, task);
        }
    }

    fn change_framework(&mut self) {
        let id = format!("framework-{}", self.random.below(3));
        if self.random.below(3) == 0 {
            self.frameworks.remove(&id);
            return self.master_says(MesosInput::FrameworkRemoved(id.as_str().into()));
        }
        let name = format!("pages-{}", self.random.below(2));
        let url = match self.random.below(4) {
            0 => None,
            1 => Some(String::new()),
            _ => Some(format!("http://10.0.2.{}:80/", self.random.below(2))),
        };
        let mut fact = framework(&id, &name, url.as_deref());
        fact.is_active = self.random.below(2) == 0;
        fact.is_connected = self.random.below(4) > 0;
        fact.since = self.random.below(3) as i64;
        self.master_says(MesosInput::Framework(fact.clone()));
        self.frameworks.insert(id, fact);
    }
}

fn fact(id: &str, task: &TrueTask) -> TaskFact {
    let phase = if task.since.is_some() { Phase::Running } else { Phase::Waiting };
    let agent = host(task.agent).into();
    TaskFact { phase, since: task.since, agent, ..waiting(id, task.port) }
}

fn word(id: &str, task: &TrueTask, phase: Phase) -> MarathonTask {
    MarathonTask { host: host(task.agent).into(), ..told(id, phase, &[task.port]) }
}

// === impl Cluster: how it becomes known ===

impl Cluster {
    fn apply(&mut self, input: Input) {
        self.table.apply(input, self.now);
        publish(&mut self.table, &mut self.snapshot);
        self.check();
    }

    fn hear_master(&mut self) {
        let Some(input) = self.from_master.pop_front() else { return };
        self.note(&input);
        self.apply(Input::Mesos(input.clone()));
        if self.random.below(8) == 0 {
            self.apply(Input::Mesos(input));
        }
    }

    fn note(&mut self, input: &MesosInput) {
        match input {
            MesosInput::State(state) => {
                let told = state.tasks.iter().map(|task| (task.id.to_string(), place(task)));
                self.told = told.collect();
            }
            MesosInput::TaskAdded(task) | MesosInput::TaskUpdated(task) => {
                if task.phase == Phase::Ended {
                    self.told.remove(&*task.id);
                } else {
                    self.told.insert(task.id.to_string(), place(task));
                }
            }
            MesosInput::AgentRemoved(agent) => {
                let prefix = format!("{agent}:");
                self.told.retain(|_, (place, _)| !place.starts_with(&prefix));
            }
            _ => {}
        }
    }

    fn marathon(&mut self, input: MarathonInput) {
        self.number += 1;
        let oldest = self.readings.iter().map(|reading| reading.as_of).min();
        let turn = Turn { number: self.number, oldest: oldest.unwrap_or(self.number) };
        self.apply(Input::Marathon(turn, input));
    }

    fn hear_marathon(&mut self) {
        let Some(input) = self.from_marathon.pop_front() else { return };
        if let MarathonInput::Touched(id) = &input {
            self.dirty.insert(id.to_string());
        }
        self.marathon(input.clone());
        if self.random.below(8) == 0 {
            self.marathon(input);
        }
    }

    /// Reads what is known to have changed, several things at once, but each only once.
    fn ask(&mut self) {
        let is_under_way =
            |id: &String| self.readings.iter().any(|read| read.app.as_ref() == Some(id));
        let Some(id) = self.dirty.iter().find(|id| !is_under_way(id)).cloned() else { return };
        self.dirty.remove(&id);
        let mut reading = Reading { as_of: self.number, app: Some(id), answer: None };
        if self.random.below(2) == 0 {
            // Marathon answers at once, but the answer takes its time.
            reading.answer = Some(self.document(&reading));
        }
        self.readings.push(reading);
    }

    fn document(&self, reading: &Reading) -> MarathonInput {
        let as_of = reading.as_of;
        let shown = |id: &String| {
            let mut fact = self.apps.get(id)?.clone();
            let own = self.tasks.iter().filter(|(_, task)| task.app == *id);
            fact.tasks = own
                .map(|(id, task)| {
                    let phase = task.since.map_or(Phase::Waiting, |_| Phase::Running);
                    word(id, task, phase)
                })
                .collect();
            Some(fact)
        };
        match &reading.app {
            Some(id) => MarathonInput::App { as_of, id: id.as_str().into(), app: shown(id) },
            None => {
                MarathonInput::Apps { as_of, apps: self.apps.keys().filter_map(shown).collect() }
            }
        }
    }

    fn answer(&mut self) {
        if self.readings.is_empty() {
            return;
        }
        let at = self.random.below(self.readings.len());
        let Some(reading) = self.readings.get(at) else { return };
        let answer = reading.answer.clone().unwrap_or_else(|| self.document(reading));
        self.marathon(answer);
        self.readings.swap_remove(at);
    }

    fn cut_master(&mut self) {
        if std::mem::take(&mut self.master_is_heard) {
            self.from_master.clear();
            self.apply(Input::Mesos(MesosInput::Cut));
        }
    }

    fn cut_marathon(&mut self) {
        if std::mem::take(&mut self.marathon_is_heard) {
            self.from_marathon.clear();
            self.readings.clear();
            self.dirty.clear();
            self.marathon(MarathonInput::Cut);
        }
    }

    fn connect(&mut self) {
        self.connect_master();
        self.connect_marathon();
    }

    fn connect_master(&mut self) {
        if !std::mem::replace(&mut self.master_is_heard, true) {
            let agents = self.agents.iter().map(|number| agent(&host(*number), &host(*number)));
            let state = MesosState {
                agents: agents.collect(),
                frameworks: self.frameworks.values().cloned().collect(),
                tasks: self.tasks.iter().map(|(id, task)| fact(id, task)).collect(),
                ..state()
            };
            self.from_master.push_back(MesosInput::State(Box::new(state)));
        }
    }

    fn connect_marathon(&mut self) {
        if !std::mem::replace(&mut self.marathon_is_heard, true) {
            let framework = Some(MARATHON.into());
            self.marathon(MarathonInput::Identity { framework, leader: None });
            let mut reading = Reading { as_of: self.number, app: None, answer: None };
            if self.random.below(2) == 0 {
                reading.answer = Some(self.document(&reading));
            }
            self.readings.push(reading);
        }
    }

    /// Until nothing is on its way any more.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.hear_master();
            self.hear_marathon();
            self.ask();
            self.answer();
            let is_quiet = self.from_master.is_empty() && self.from_marathon.is_empty();
            if is_quiet && self.readings.is_empty() && self.dirty.is_empty() {
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

/// Where a task is, and how far.
fn place(task: &TaskFact) -> (String, Phase) {
    let port = task.ports.first().copied().unwrap_or_default();
    (format!("{}:{port}", task.agent), task.phase)
}

// === impl Cluster: what must hold ===

impl Cluster {
    /// Nothing leads to where the master is known to have nobody any more.
    fn check(&mut self) {
        for service in self.snapshot.services.values() {
            let upstream = &service.upstream;
            assert!(!upstream.is_retired(), "{service:?}");
            if self.snapshot.mesos != Source::Live {
                continue;
            }
            let known = self.routed.iter().any(|(routed, _)| Arc::ptr_eq(routed, upstream));
            let at = address(upstream);
            let running =
                |(place, phase): &(String, Phase)| *place == at && *phase == Phase::Running;
            let task = self.told.iter().find(|(_, told)| running(told)).map(|(id, _)| id.clone());
            let Some(task) = task else { panic!("{service:?} leads to where nothing runs") };
            if !known {
                self.routed.push((Arc::clone(upstream), task));
            }
        }
        if self.snapshot.mesos == Source::Live {
            let over = |task: &String| !self.told.contains_key(task);
            for (upstream, _) in self.routed.iter().filter(|(_, task)| over(task)) {
                assert!(upstream.is_retired(), "{upstream:?} is used although its task is over");
            }
            self.routed.retain(|(upstream, _)| !upstream.is_retired());
        }
    }

    /// The services, by a look at everything: where each of the apps that claim a name is.
    fn services(&self) -> BTreeMap<String, Vec<(String, bool)>> {
        let mut services: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (id, app) in &self.apps {
            let Ok(labelled) = &app.labelled else { continue };
            let own = self.tasks.values().filter(|task| task.app == *id && task.since.is_some());
            let Some(first) = own.min_by_key(|task| task.since) else { continue };
            let place = format!("{}:{}", host(first.agent), first.port);
            services.entry(labelled.path.to_string()).or_default().push((place, labelled.rewrite));
        }
        services
    }

    fn pages(&self) -> BTreeMap<String, String> {
        let mut named: BTreeMap<&str, Vec<&FrameworkFact>> = BTreeMap::new();
        self.frameworks.values().for_each(|fact| named.entry(&fact.name).or_default().push(fact));
        let meant = named.into_iter().filter_map(|(name, facts)| {
            let fact = facts.into_iter().min_by_key(|fact| {
                (!fact.is_active, !fact.is_connected, fact.since, fact.id.clone())
            })?;
            Some((name.to_owned(), shown(fact)))
        });
        let by_id = self.frameworks.values().map(|fact| (fact.id.to_string(), shown(fact)));
        meant.chain(by_id).collect()
    }

    /// What is known is what there is.
    fn compare(&self) {
        let expected = self.services();
        let names: BTreeSet<&str> = self.snapshot.services.keys().map(|name| &**name).collect();
        assert_eq!(names, expected.keys().map(String::as_str).collect());
        for (name, service) in &self.snapshot.services {
            let found = (address(&service.upstream), service.rewrite);
            assert!(expected[&**name].contains(&found), "{name}: {found:?} of {expected:?}");
        }
        self.compare_refused(&expected);
        let frameworks = self.snapshot.frameworks.iter().chain(&self.snapshot.named_frameworks);
        let found = frameworks.map(|(name, web)| {
            let web = match web {
                Web::Nowhere => "nowhere".to_owned(),
                Web::Away => "away".to_owned(),
                Web::Ask { dotted, .. } => format!("ask {dotted}"),
                Web::At(service) => address(&service.upstream),
            };
            (name.to_string(), web)
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), self.pages());
        // Nothing is kept of what is gone.
        assert!(self.table.apps.sizes()[1] <= self.tasks.len() + self.hidden.len());
        let agents: BTreeSet<String> =
            self.snapshot.agents.keys().map(|id| id.to_string()).collect();
        assert_eq!(agents, self.agents.iter().map(|agent| host(*agent)).collect());
    }

    /// Of several apps with one name all but one are told that another has it.
    fn compare_refused(&self, services: &BTreeMap<String, Vec<(String, bool)>>) {
        let refused = self.snapshot.ignored.values().filter(|why| why.contains("has the name"));
        let more: usize = services.values().map(|apps| apps.len() - 1).sum();
        assert_eq!(refused.count(), more, "{:?}", self.snapshot.ignored);
    }

    /// With Marathon alone each service leads to one of its running tasks.
    fn compare_without_master(&self) {
        let found: BTreeSet<&str> = self.snapshot.services.values().map(|one| &*one.path).collect();
        let expected = self.services();
        assert_eq!(found, expected.keys().map(String::as_str).collect());
        for service in self.snapshot.services.values() {
            let at = address(&service.upstream);
            let mut running = self.tasks.values().filter(|task| task.since.is_some());
            let named = |app: &str| {
                let labelled = self.apps.get(app).and_then(|app| app.labelled.as_ref().ok());
                labelled.is_some_and(|labelled| labelled.path == service.path)
            };
            let fits = |task: &TrueTask| {
                format!("{}:{}", host(task.agent), task.port) == at && named(&task.app)
            };
            assert!(running.any(fits), "{service:?}");
        }
    }
}

fn shown(fact: &FrameworkFact) -> String {
    match fact.webui_url.as_deref() {
        None => "nowhere".to_owned(),
        Some("") => format!("ask {}", fact.name),
        Some(_) if !fact.is_connected => "away".to_owned(),
        Some(url) => url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
    }
}

fn run(seed: u64, steps: usize) {
    let mut cluster = Cluster::new(seed);
    cluster.connect();
    for round in 0..4 {
        (0..steps).for_each(|_| cluster.step());
        if round % 2 == 1 {
            // What both streams lost is known again when one of them has begun anew.
            cluster.cut_master();
            cluster.cut_marathon();
            cluster.connect_marathon();
            cluster.settle();
            cluster.compare_without_master();
        }
        cluster.connect();
        cluster.settle();
        cluster.compare();
    }
}

#[test]
fn what_is_known_is_what_there_is() {
    for seed in 0..300 {
        let told = std::panic::catch_unwind(|| run(seed, 150));
        assert!(told.is_ok(), "seed {seed}");
    }
}
