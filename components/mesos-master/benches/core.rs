//! What the core alone costs: `cargo bench -p mesos-master`. It prints and judges nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::{hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use libprocess::Upid;
use mesos_master::{
    config::MasterConfig,
    core::{Admitted, Effect, Incoming, Input, MasterCore, Outgoing, Registry, Start},
    handle::Principal,
    model::MasterRecord,
};
use mesos_messages::{internal, resources::Resources, time::Now, v1};
use v1::scheduler::{Call, call};

const AGENTS: usize = 10_000;
const TASKS: usize = 10;

/// Time this thread had a processor, so that neighbours do not count.
struct Instant(u64);

impl Instant {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        Self(text.split(' ').next().unwrap().parse().unwrap())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(Self::now().0 - self.0)
    }
}

fn now() -> Now {
    Now { mono: Duration::from_secs(1), wall: Duration::from_secs(1_000_000) }
}

fn core(registry: Registry) -> MasterCore {
    let info = v1::MasterInfo { id: uuid::Uuid::nil().to_string(), ..v1::MasterInfo::default() };
    let start = Start {
        config: Arc::new(MasterConfig { seed: Some(1), ..MasterConfig::default() }),
        master: Arc::new(MasterRecord { info, cluster: None, start_time: 0.0, elected_time: 0.0 }),
        allocator: mesos_allocator::build(mesos_allocator::PolicyConfig::default()),
        seed: 1,
        now: now(),
        registry,
    };
    MasterCore::new(start, &mut Vec::new())
}

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn pid(number: usize) -> Upid {
    format!("slave({number})@127.0.0.1:{}", 20_000 + number % 16).parse().unwrap()
}

/// Gives inputs, confirms writes, and hands the effects over.
fn feed(core: &mut MasterCore, inputs: Vec<Input>) -> Vec<Effect> {
    let mut out = Vec::new();
    for input in inputs {
        core.handle(now(), input, &mut out);
    }
    core.settle(now(), &mut out);
    let tickets: Vec<Input> = out
        .iter()
        .filter_map(|effect| match effect {
            Effect::Write { ticket, .. } => Some(Input::Written { ticket: *ticket }),
            _ => None,
        })
        .collect();
    if !tickets.is_empty() {
        out.extend(feed(core, tickets));
    }
    out
}

fn capabilities() -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type;
    [Type::MultiRole, Type::HierarchicalRole, Type::ReservationRefinement, Type::ResourceProvider]
        .into_iter()
        .map(|kind| v1::agent_info::Capability { r#type: Some(kind as i32) })
        .collect()
}

fn agent_info(text: &str) -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: "10.20.30.40".into(),
        port: Some(5051),
        resources: Resources::parse(text, "*").unwrap().to_proto(),
        checkpoint: Some(true),
        ..v1::AgentInfo::default()
    }
}

fn register(resources: &str) -> Vec<Input> {
    (0..AGENTS)
        .map(|number| {
            let message = internal::RegisterSlaveMessage {
                slave: agent_info(resources),
                version: Some("1.11.0".into()),
                agent_capabilities: capabilities(),
                ..internal::RegisterSlaveMessage::default()
            };
            Input::Message { from: pid(number), message: Incoming::Register(Box::new(message)) }
        })
        .collect()
}

fn framework() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "root".into(),
        name: "bench".into(),
        failover_timeout: Some(1e6),
        checkpoint: Some(true),
        ..v1::FrameworkInfo::default()
    }
}

fn call(kind: call::Type) -> Call {
    Call { r#type: Some(kind as i32), ..Call::default() }
}

fn resources() -> Vec<v1::Resource> {
    Resources::parse("cpus:0.1;mem:32", "*").unwrap().allocated("*").to_proto()
}

fn reregistration() {
    let mut inputs = Vec::new();
    for number in 0..AGENTS {
        let id = v1::AgentId { value: format!("{}-S{number}", uuid::Uuid::max()) };
        let framework_id = v1::FrameworkId { value: format!("{}-0000", uuid::Uuid::max()) };
        let tasks = (0..TASKS)
            .map(|task| v1::Task {
                name: "service".into(),
                task_id: v1::TaskId { value: format!("service.{number}-{task}") },
                framework_id: framework_id.clone(),
                agent_id: id.clone(),
                state: v1::TaskState::TaskRunning as i32,
                resources: resources(),
                statuses: vec![status(&format!("service.{number}-{task}"), &id)],
                ..v1::Task::default()
            })
            .collect();
        let message = internal::ReregisterSlaveMessage {
            slave: v1::AgentInfo { id: Some(id), ..agent_info("cpus:24;mem:40960;disk:100000") },
            version: Some("1.11.0".into()),
            agent_capabilities: capabilities(),
            tasks,
            frameworks: vec![v1::FrameworkInfo { id: Some(framework_id), ..framework() }],
            ..internal::ReregisterSlaveMessage::default()
        };
        let message = Incoming::Reregister(Box::new(message));
        inputs.push(Input::Message { from: pid(number), message });
    }
    let admitted = inputs.iter().filter_map(|input| match input {
        Input::Message { from, message: Incoming::Reregister(message) } => {
            Some(Admitted { info: message.slave.clone(), pid: Some(from.clone()) })
        }
        _ => None,
    });
    let registry = Registry { admitted: admitted.collect(), ..Registry::default() };
    let mut core = core(registry);
    let started = Instant::now();
    black_box(feed(&mut core, inputs));
    println!("{AGENTS} agents with {} tasks re-register: {:?}", AGENTS * TASKS, started.elapsed());
    let started = Instant::now();
    let snapshot = black_box(core.snapshot());
    println!("snapshot: {:?}", started.elapsed());
    drop(snapshot);
}

fn status(task: &str, agent: &v1::AgentId) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: v1::TaskId { value: task.into() },
        state: v1::TaskState::TaskRunning as i32,
        agent_id: Some(agent.clone()),
        executor_id: Some(v1::ExecutorId { value: task.into() }),
        timestamp: Some(12.5),
        uuid: Some(Bytes::copy_from_slice(uuid::Uuid::max().as_bytes())),
        container_status: Some(Box::new(v1::ContainerStatus {
            container_id: Some(v1::ContainerId {
                value: uuid::Uuid::new_v4().to_string(),
                ..v1::ContainerId::default()
            }),
            network_infos: vec![v1::NetworkInfo {
                ip_addresses: vec![v1::network_info::IpAddress {
                    ip_address: Some("10.20.30.40".into()),
                    ..Default::default()
                }],
                ..v1::NetworkInfo::default()
            }],
            executor_pid: Some(1234),
            ..v1::ContainerStatus::default()
        })),
        ..v1::TaskStatus::default()
    }
}

struct Launching {
    core: MasterCore,
    id: v1::FrameworkId,
    stream: &'static str,
}

fn launches() {
    let mut core = core(Registry::default());
    let inputs = register("cpus:2000;mem:1000000;disk:100000;ports:[31000-32000]");
    let before = resident();
    let started = Instant::now();
    black_box(feed(&mut core, inputs));
    println!("{AGENTS} agents register: {:?}", started.elapsed());
    println!("memory an agent: {} B", (resident().saturating_sub(before)) / AGENTS);

    let subscribe = Call {
        subscribe: Some(call::Subscribe {
            framework_info: framework(),
            ..call::Subscribe::default()
        }),
        ..call(call::Type::Subscribe)
    };
    let stream = "stream";
    let input = Input::Subscribe {
        stream: stream.into(),
        call: Box::new(subscribe),
        principal: Principal(None),
    };
    let started = Instant::now();
    let effects = feed(&mut core, vec![input]);
    println!("first offers of {AGENTS} agents: {:?}", started.elapsed());
    let mut id = None;
    let mut offers = Vec::new();
    for effect in effects {
        let Effect::Event { event, .. } = effect else { continue };
        let event = event.event().into_owned();
        if let Some(subscribed) = event.subscribed {
            id = Some(subscribed.framework_id);
        }
        offers.extend(event.offers.into_iter().flat_map(|offers| offers.offers));
    }
    let id = id.unwrap();
    let mut launching = Launching { core, id, stream };
    launching.round(offers);
}

impl Launching {
    fn call(&mut self, call: Call) -> Vec<Effect> {
        let input = Input::Call {
            token: 0,
            call: Box::new(Call { framework_id: Some(self.id.clone()), ..call }),
            stream: Some(self.stream.into()),
            principal: Principal(None),
        };
        feed(&mut self.core, vec![input])
    }

    /// Ten tasks on each offer, run and acknowledged.
    fn round(&mut self, offers: Vec<v1::Offer>) -> usize {
        let mut runs = Vec::new();
        let mut accepts = Vec::new();
        for (number, offer) in offers.into_iter().enumerate() {
            let task = |task: usize| v1::TaskInfo {
                name: "service".into(),
                task_id: v1::TaskId { value: format!("service.{number}-{task}") },
                agent_id: offer.agent_id.clone(),
                resources: resources(),
                command: Some(Box::default()),
                ..v1::TaskInfo::default()
            };
            let task_infos = (0..TASKS).map(task).collect();
            let operation = v1::offer::Operation {
                r#type: Some(v1::offer::operation::Type::Launch as i32),
                launch: Some(v1::offer::operation::Launch { task_infos }),
                ..v1::offer::Operation::default()
            };
            accepts.push(Call {
                accept: Some(call::Accept {
                    offer_ids: vec![offer.id],
                    operations: vec![operation],
                    filters: None,
                }),
                ..call(call::Type::Accept)
            });
        }
        let started = Instant::now();
        for accept in accepts {
            for effect in self.call(accept) {
                if let Effect::Send { to, message: Outgoing::RunTask(run), .. } = effect {
                    runs.push((to, run));
                }
            }
        }
        let tasks = runs.len();
        let each = |started: Instant| started.elapsed().as_nanos() as usize / tasks;
        println!("{tasks} tasks launched: {} ns each", each(started));
        let mut buffer = Vec::new();
        let started = Instant::now();
        for (_, run) in &runs {
            buffer.clear();
            Outgoing::RunTask(run.clone()).encode(&mut buffer);
        }
        println!("encoded (with a copy): {} ns each", each(started));
        self.updates(runs);
        tasks
    }

    fn updates(&mut self, runs: Vec<(Upid, Box<mesos_master::wire::RunTask>)>) {
        let tasks = runs.len();
        let each = |started: Instant| started.elapsed().as_nanos() as usize / tasks;
        let mut inputs = Vec::new();
        let mut acknowledgements = Vec::new();
        for (number, (from, run)) in runs.into_iter().enumerate() {
            let uuid = Bytes::copy_from_slice(uuid::Uuid::from_u128(number as u128).as_bytes());
            let task = run.task.task_id.value;
            let update = internal::StatusUpdate {
                framework_id: self.id.clone(),
                slave_id: Some(run.task.agent_id.clone()),
                status: status(&task, &run.task.agent_id),
                timestamp: 12.5,
                uuid: Some(uuid.clone()),
                latest_state: Some(v1::TaskState::TaskRunning as i32),
                executor_id: Some(v1::ExecutorId { value: task.clone() }),
            };
            let pid = Some(from.to_string());
            let message = internal::StatusUpdateMessage { update, pid };
            let message = Incoming::StatusUpdate(Box::new(message));
            inputs.push(Input::Message { from, message });
            acknowledgements.push(Call {
                acknowledge: Some(call::Acknowledge {
                    agent_id: run.task.agent_id,
                    task_id: v1::TaskId { value: task },
                    uuid,
                }),
                ..call(call::Type::Acknowledge)
            });
        }
        let started = Instant::now();
        for input in inputs {
            black_box(feed(&mut self.core, vec![input]));
        }
        println!("updates forwarded: {} ns each", each(started));
        let started = Instant::now();
        for acknowledge in acknowledgements {
            black_box(self.call(acknowledge));
        }
        println!("acknowledged: {} ns each", each(started));
    }
}

fn main() {
    launches();
    reregistration();
}
