//! Simulated agents and the part of a master that a framework sees of them: no sockets.
//!
//! A task starts as soon as it is launched, runs as soon as that was acknowledged, and ends when
//! it is killed. What was not used of an offer is offered again at the next tick.
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use mesos_messages::v1::{
    self,
    scheduler::{Call, Event, call, event},
};

/// Offers of one event.
const OFFERS_AT_ONCE: usize = 500;
const PORTS: (u64, u64) = (10_000, 60_000);

/// What the agents have come to; read by the measurements.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Tasks whose running the framework has acknowledged and that were not ended since.
    pub(crate) running: AtomicU64,
    pub(crate) launched: AtomicU64,
    pub(crate) killed: AtomicU64,
    pub(crate) subscribed: AtomicU64,
}

/// Agents, their tasks and their offers.
pub(crate) struct Agents {
    agents: Vec<Agent>,
    tasks: HashMap<String, Task>,
    /// The agent of each offer that waits for an answer.
    offers: HashMap<String, usize>,
    framework: Option<v1::FrameworkInfo>,
    suppressed: bool,
    serial: u64,
}

struct Agent {
    cpus: f64,
    mem: f64,
    disk: f64,
    ports: Vec<(u64, u64)>,
    offered: bool,
    declined_until: Option<Instant>,
}

struct Task {
    agent: usize,
    resources: Vec<v1::Resource>,
    running: bool,
    acknowledged: bool,
}

// === impl Agents ===

impl Agents {
    pub(crate) fn new(count: usize) -> Self {
        let agent = || Agent {
            cpus: 64.0,
            mem: 1e6,
            disk: 1e6,
            ports: vec![PORTS],
            offered: false,
            declined_until: None,
        };
        Self {
            agents: (0..count).map(|_| agent()).collect(),
            tasks: HashMap::new(),
            offers: HashMap::new(),
            framework: None,
            suppressed: false,
            serial: 0,
        }
    }

    /// A framework subscribes (again): what was offered before is void.
    pub(crate) fn subscribe(&mut self, call: call::Subscribe, counts: &Counts) -> Event {
        let mut framework = call.framework_info;
        let id = framework.id.get_or_insert(v1::FrameworkId { value: "bench-0000".into() }).clone();
        self.framework = Some(framework);
        self.suppressed = !call.suppressed_roles.is_empty();
        self.offers.clear();
        for agent in &mut self.agents {
            agent.offered = false;
            agent.declined_until = None;
        }
        counts.subscribed.fetch_add(1, Ordering::SeqCst);
        Event {
            subscribed: Some(event::Subscribed {
                framework_id: id,
                heartbeat_interval_seconds: Some(15.0),
                ..Default::default()
            }),
            ..typed(event::Type::Subscribed)
        }
    }

    /// What a call comes to, as events.
    pub(crate) fn handle(&mut self, call: Call, counts: &Counts, out: &mut Vec<Event>) {
        match call.r#type() {
            call::Type::Accept => {
                let Some(accept) = call.accept else { return };
                let agents = self.take_offers(&accept.offer_ids, accept.filters.as_ref());
                if agents.is_empty() {
                    return;
                }
                for operation in accept.operations {
                    for task in operation.launch.into_iter().flat_map(|launch| launch.task_infos) {
                        counts.launched.fetch_add(1, Ordering::Relaxed);
                        out.push(self.launch(agents[0], task));
                    }
                }
            }
            call::Type::Decline => {
                let Some(decline) = call.decline else { return };
                self.take_offers(&decline.offer_ids, decline.filters.as_ref());
            }
            call::Type::Acknowledge => {
                let Some(acknowledge) = call.acknowledge else { return };
                out.extend(self.acknowledged(&acknowledge.task_id.value, counts));
            }
            call::Type::Kill => {
                let Some(kill) = call.kill else { return };
                out.extend(self.kill(kill.task_id, counts));
            }
            call::Type::Reconcile => self.reconcile(call.reconcile.unwrap_or_default(), out),
            call::Type::Suppress => self.suppressed = true,
            call::Type::Revive => {
                self.suppressed = false;
                self.agents.iter_mut().for_each(|agent| agent.declined_until = None);
            }
            _ => {}
        }
    }

    fn take_offers(&mut self, ids: &[v1::OfferId], filters: Option<&v1::Filters>) -> Vec<usize> {
        let refuse = filters.and_then(|filters| filters.refuse_seconds).unwrap_or(5.0);
        let until = Instant::now() + Duration::from_secs_f64(refuse.clamp(0.0, 1e6));
        let mut agents = Vec::new();
        for id in ids {
            let Some(index) = self.offers.remove(&id.value) else { continue };
            let agent = &mut self.agents[index];
            agent.offered = false;
            agent.declined_until = (refuse > 0.0).then_some(until);
            agents.push(index);
        }
        agents
    }

    fn launch(&mut self, agent: usize, info: v1::TaskInfo) -> Event {
        self.agents[agent].take(&info.resources);
        // Less is left, but it is not what was declined.
        let id = info.task_id.clone();
        let task = Task { agent, resources: info.resources, running: false, acknowledged: false };
        self.tasks.insert(id.value.clone(), task);
        self.update(id, agent, v1::TaskState::TaskStarting, true)
    }

    fn acknowledged(&mut self, id: &str, counts: &Counts) -> Option<Event> {
        let task = self.tasks.get_mut(id)?;
        let agent = task.agent;
        if task.running {
            if !task.acknowledged {
                task.acknowledged = true;
                counts.running.fetch_add(1, Ordering::SeqCst);
            }
            return None;
        }
        task.running = true;
        let id = v1::TaskId { value: id.to_owned() };
        Some(self.update(id, agent, v1::TaskState::TaskRunning, true))
    }

    fn kill(&mut self, id: v1::TaskId, counts: &Counts) -> Option<Event> {
        let task = self.tasks.remove(&id.value)?;
        self.agents[task.agent].give(&task.resources);
        counts.killed.fetch_add(1, Ordering::Relaxed);
        if task.acknowledged {
            counts.running.fetch_sub(1, Ordering::SeqCst);
        }
        Some(self.update(id, task.agent, v1::TaskState::TaskKilled, true))
    }

    fn reconcile(&mut self, asked: call::Reconcile, out: &mut Vec<Event>) {
        let ids: Vec<String> = if asked.tasks.is_empty() {
            self.tasks.keys().cloned().collect()
        } else {
            asked.tasks.into_iter().map(|task| task.task_id.value).collect()
        };
        for id in ids {
            let (agent, state) = match self.tasks.get(&id) {
                Some(task) if task.running => (task.agent, v1::TaskState::TaskRunning),
                Some(task) => (task.agent, v1::TaskState::TaskStarting),
                None => (0, v1::TaskState::TaskGone),
            };
            let mut event = self.update(v1::TaskId { value: id }, agent, state, false);
            if let Some(update) = &mut event.update {
                update.status.reason = Some(v1::task_status::Reason::Reconciliation.into());
                update.status.source = Some(v1::task_status::Source::Master.into());
            }
            out.push(event);
        }
    }

    fn update(
        &mut self,
        task_id: v1::TaskId,
        agent: usize,
        state: v1::TaskState,
        wants_answer: bool,
    ) -> Event {
        self.serial += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let uuid =
            wants_answer.then(|| Bytes::copy_from_slice(&u128::from(self.serial).to_be_bytes()));
        let status = v1::TaskStatus {
            executor_id: Some(v1::ExecutorId { value: task_id.value.clone() }),
            task_id,
            state: state.into(),
            source: Some(v1::task_status::Source::Executor.into()),
            agent_id: Some(agent_id(agent)),
            timestamp: Some(now.as_secs_f64()),
            uuid,
            container_status: Some(Box::new(container_status(agent))),
            ..Default::default()
        };
        Event { update: Some(event::Update { status }), ..typed(event::Type::Update) }
    }

    /// Everything that may be offered now.
    pub(crate) fn offers(&mut self, now: Instant) -> Vec<Event> {
        let Some(framework) = self.framework.as_ref().filter(|_| !self.suppressed) else {
            return Vec::new();
        };
        let mut offers = Vec::new();
        for (index, agent) in self.agents.iter_mut().enumerate() {
            if agent.offered || agent.declined_until.is_some_and(|until| until > now) {
                continue;
            }
            agent.offered = true;
            self.serial += 1;
            let id = format!("bench-O{}", self.serial);
            self.offers.insert(id.clone(), index);
            offers.push(agent.offer(id, index, framework));
        }
        offers
            .chunks(OFFERS_AT_ONCE)
            .map(|offers| Event {
                offers: Some(event::Offers { offers: offers.to_vec() }),
                ..typed(event::Type::Offers)
            })
            .collect()
    }
}

// === impl Agent ===

impl Agent {
    fn offer(&self, id: String, index: usize, framework: &v1::FrameworkInfo) -> v1::Offer {
        let role = framework.roles.first().cloned().unwrap_or_else(|| "*".to_owned());
        let allocation = v1::resource::AllocationInfo { role: Some(role) };
        let resource = |name: &str, kind: v1::value::Type| v1::Resource {
            name: name.to_owned(),
            r#type: kind.into(),
            allocation_info: Some(allocation.clone()),
            ..Default::default()
        };
        let scalar = |name: &str, value: f64| v1::Resource {
            scalar: Some(v1::value::Scalar { value }),
            ..resource(name, v1::value::Type::Scalar)
        };
        let range = self.ports.iter().map(|&(begin, end)| v1::value::Range { begin, end });
        let ports = v1::Resource {
            ranges: Some(v1::value::Ranges { range: range.collect() }),
            ..resource("ports", v1::value::Type::Ranges)
        };
        v1::Offer {
            id: v1::OfferId { value: id },
            framework_id: framework.id.clone().unwrap_or_default(),
            agent_id: agent_id(index),
            hostname: format!("agent-{index}"),
            resources: vec![
                scalar("cpus", self.cpus),
                scalar("mem", self.mem),
                scalar("disk", self.disk),
                ports,
            ],
            allocation_info: Some(allocation.clone()),
            ..Default::default()
        }
    }

    fn take(&mut self, resources: &[v1::Resource]) {
        self.add(resources, -1.0);
        for range in ranges(resources) {
            self.take_ports(range.begin, range.end);
        }
    }

    fn give(&mut self, resources: &[v1::Resource]) {
        self.add(resources, 1.0);
        self.ports.extend(ranges(resources).map(|range| (range.begin, range.end)));
        self.ports.sort_unstable();
        self.ports.dedup_by(|next, before| {
            let touches = next.0 == before.1 + 1;
            if touches {
                before.1 = next.1;
            }
            touches
        });
    }

    fn add(&mut self, resources: &[v1::Resource], sign: f64) {
        for resource in resources {
            let amount = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value * sign);
            match resource.name.as_str() {
                "cpus" => self.cpus += amount,
                "mem" => self.mem += amount,
                "disk" => self.disk += amount,
                _ => {}
            }
        }
    }

    fn take_ports(&mut self, begin: u64, end: u64) {
        let Some(at) = self.ports.iter().position(|range| range.0 <= begin && end <= range.1)
        else {
            return;
        };
        let (first, last) = self.ports.remove(at);
        if end < last {
            self.ports.insert(at, (end + 1, last));
        }
        if first < begin {
            self.ports.insert(at, (first, begin - 1));
        }
    }
}

fn ranges(resources: &[v1::Resource]) -> impl Iterator<Item = &v1::value::Range> {
    let ports = resources.iter().filter(|resource| resource.name == "ports");
    ports.flat_map(|resource| &resource.ranges).flat_map(|ranges| &ranges.range)
}

fn agent_id(index: usize) -> v1::AgentId {
    v1::AgentId { value: format!("bench-S{index}") }
}

fn container_status(agent: usize) -> v1::ContainerStatus {
    let address = v1::network_info::IpAddress {
        ip_address: Some(format!("10.{}.{}.{}", agent >> 16, (agent >> 8) & 255, agent & 255)),
        ..Default::default()
    };
    v1::ContainerStatus {
        network_infos: vec![v1::NetworkInfo { ip_addresses: vec![address], ..Default::default() }],
        ..Default::default()
    }
}

pub(crate) fn typed(kind: event::Type) -> Event {
    Event { r#type: Some(kind.into()), ..Default::default() }
}
