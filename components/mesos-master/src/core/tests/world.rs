//! A core with its surroundings played by the test.
use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use libprocess::Upid;
use mesos_messages::{internal, resources::Resources, time::Now, v1};
use v1::scheduler::{Call, Event, call};

use crate::{
    config::MasterConfig,
    core::{Effect, Incoming, Input, MasterCore, Outgoing, Registry, Start},
    handle::{Principal, SchedulerReply},
    model::{Id, MasterRecord, OperatorEvent, Snapshot},
};

/// A core and what it did, in order.
pub(super) struct World {
    pub(super) core: MasterCore,
    pub(super) now: Now,
    /// Sent to agents and drivers.
    pub(super) sent: Vec<(Upid, Outgoing)>,
    /// Written to streams; none ends one.
    pub(super) events: Vec<(Id, Option<Event>)>,
    /// What operators were told.
    pub(super) operators: Vec<OperatorEvent>,
    pub(super) replies: Vec<SchedulerReply>,
    /// Registry writes are not confirmed while set.
    pub(super) hold_writes: bool,
    pub(super) held: Vec<u64>,
    next: u64,
}

/// An agent as the test sees it.
#[derive(Clone, Debug)]
pub(super) struct SomeAgent {
    pub(super) pid: Upid,
    pub(super) info: v1::AgentInfo,
}

/// A framework as the test sees it.
#[derive(Clone, Debug)]
pub(super) struct SomeFramework {
    pub(super) id: String,
    pub(super) stream: Id,
}

pub(super) fn config() -> MasterConfig {
    MasterConfig { seed: Some(1), ..MasterConfig::default() }
}

pub(super) fn start(config: MasterConfig, registry: Registry, out: &mut Vec<Effect>) -> MasterCore {
    let now = Now { mono: Duration::from_secs(1), wall: Duration::from_secs(1_000_000) };
    let info = v1::MasterInfo { id: "m".into(), ..v1::MasterInfo::default() };
    let start = Start {
        master: Arc::new(MasterRecord { info, cluster: None, start_time: 0.0, elected_time: 0.0 }),
        allocator: mesos_allocator::build(mesos_allocator::PolicyConfig::default()),
        seed: 1,
        config: Arc::new(config),
        now,
        registry,
    };
    MasterCore::new(start, out)
}

pub(super) fn info(capabilities: &[v1::framework_info::capability::Type]) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "root".into(),
        name: "f".into(),
        failover_timeout: Some(60.0),
        checkpoint: Some(true),
        capabilities: capabilities
            .iter()
            .map(|kind| v1::framework_info::Capability { r#type: Some(*kind as i32) })
            .collect(),
        ..v1::FrameworkInfo::default()
    }
}

pub(super) fn aware() -> v1::FrameworkInfo {
    info(&[v1::framework_info::capability::Type::PartitionAware])
}

pub(super) fn typed(kind: call::Type) -> Call {
    Call { r#type: Some(kind as i32), ..Call::default() }
}

impl World {
    pub(super) fn new() -> World {
        World::with(config(), Registry::default())
    }

    pub(super) fn with(config: MasterConfig, registry: Registry) -> World {
        let mut effects = Vec::new();
        let core = start(config, registry, &mut effects);
        let mut world = World {
            core,
            now: Now { mono: Duration::from_secs(1), wall: Duration::from_secs(1_000_000) },
            sent: Vec::new(),
            events: Vec::new(),
            replies: Vec::new(),
            hold_writes: false,
            held: Vec::new(),
            operators: Vec::new(),
            next: 0,
        };
        world.take(effects);
        world
    }

    /// Gives one input, and what it makes due.
    pub(super) fn input(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.core.handle(self.now, input, &mut effects);
        self.core.settle(self.now, &mut effects);
        self.take(effects);
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, message, .. } => self.sent.push((to, message)),
                Effect::Event { stream, event } => {
                    self.events.push((stream, Some(event.event().into_owned())))
                }
                Effect::CloseStream { stream } => self.events.push((stream, None)),
                Effect::Reply { reply, .. } => self.replies.push(reply),
                Effect::Write { ticket, .. } if self.hold_writes => self.held.push(ticket),
                Effect::Write { ticket, .. } => self.input(Input::Written { ticket }),
                Effect::Operator(event) => self.operators.push(event),
                Effect::Link(_) | Effect::TornDown { .. } => {}
            }
        }
    }

    /// Lets time go on, in steps, with all that becomes due.
    pub(super) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now.plus(Duration::from_secs(1));
            self.input(Input::Tick);
        }
    }

    /// The same while every agent answers its pings.
    pub(super) fn pass_alive(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.pass(1);
            for observer in 0..64 {
                let message = Incoming::Pong { observer };
                self.input(Input::Message { from: Upid::empty(), message });
            }
        }
    }

    pub(super) fn message(&mut self, from: &Upid, message: Incoming) {
        self.input(Input::Message { from: from.clone(), message });
    }

    pub(super) fn register(&mut self, port: u16, resources: &str) -> SomeAgent {
        let pid: Upid = format!("slave(1)@127.0.0.1:{port}").parse().unwrap();
        let mut agent = SomeAgent { pid, info: agent_info(resources) };
        let message = internal::RegisterSlaveMessage {
            slave: agent.info.clone(),
            version: Some("1.11.0".into()),
            agent_capabilities: agent_capabilities(),
            ..internal::RegisterSlaveMessage::default()
        };
        self.message(&agent.pid.clone(), Incoming::Register(Box::new(message)));
        let id = self.sent.iter().rev().find_map(|(to, message)| match message {
            Outgoing::AgentRegistered(message) if *to == agent.pid => Some(&message.slave_id),
            _ => None,
        });
        agent.info.id = id.cloned();
        agent
    }

    pub(super) fn reregister(
        &mut self,
        agent: &SomeAgent,
        tasks: Vec<v1::Task>,
        frameworks: Vec<v1::FrameworkInfo>,
    ) {
        let message = internal::ReregisterSlaveMessage {
            slave: agent.info.clone(),
            version: Some("1.11.0".into()),
            agent_capabilities: agent_capabilities(),
            tasks,
            frameworks,
            ..internal::ReregisterSlaveMessage::default()
        };
        self.message(&agent.pid.clone(), Incoming::Reregister(Box::new(message)));
    }

    pub(super) fn subscribe(&mut self, info: v1::FrameworkInfo) -> SomeFramework {
        let stream: Id = format!("stream-{}", self.next).into();
        self.next += 1;
        let call = Call {
            framework_id: info.id.clone(),
            subscribe: Some(call::Subscribe { framework_info: info, ..call::Subscribe::default() }),
            ..typed(call::Type::Subscribe)
        };
        self.input(Input::Subscribe {
            stream: stream.clone(),
            call: Box::new(call),
            principal: Principal(None),
        });
        let id = self.on_stream(&stream).iter().find_map(|event| {
            event.subscribed.as_ref().map(|subscribed| subscribed.framework_id.value.clone())
        });
        SomeFramework { id: id.unwrap_or_default(), stream }
    }

    pub(super) fn call(&mut self, framework: &SomeFramework, call: Call) -> SchedulerReply {
        let id = Some(v1::FrameworkId { value: framework.id.clone() });
        self.input(Input::Call {
            token: 0,
            call: Box::new(Call { framework_id: id, ..call }),
            stream: Some(framework.stream.to_string()),
            principal: Principal(None),
        });
        self.replies.pop().unwrap()
    }

    pub(super) fn on_stream(&self, stream: &Id) -> Vec<Event> {
        let events = self.events.iter().filter(|(to, _)| to == stream);
        events.filter_map(|(_, event)| event.clone()).collect()
    }

    /// The last offers a framework got.
    pub(super) fn offers(&self, framework: &SomeFramework) -> Vec<v1::Offer> {
        let events = self.on_stream(&framework.stream);
        let last = events.into_iter().rev().find_map(|event| event.offers);
        last.map(|offers| offers.offers).unwrap_or_default()
    }

    pub(super) fn statuses(&self, framework: &SomeFramework) -> Vec<v1::TaskStatus> {
        let events = self.on_stream(&framework.stream).into_iter();
        events.filter_map(|event| Some(event.update?.status)).collect()
    }

    pub(super) fn last_status(&self, framework: &SomeFramework) -> v1::TaskStatus {
        self.statuses(framework).pop().expect("a status")
    }

    pub(super) fn accept(
        &mut self,
        framework: &SomeFramework,
        offers: &[v1::Offer],
        tasks: Vec<v1::TaskInfo>,
    ) {
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
            ..v1::offer::Operation::default()
        };
        let reply = self.operate(framework, offers, vec![operation]);
        assert_eq!(reply, SchedulerReply::Accepted);
    }

    pub(super) fn operate(
        &mut self,
        framework: &SomeFramework,
        offers: &[v1::Offer],
        operations: Vec<v1::offer::Operation>,
    ) -> SchedulerReply {
        let accept = call::Accept {
            offer_ids: offers.iter().map(|offer| offer.id.clone()).collect(),
            operations,
            filters: Some(v1::Filters { refuse_seconds: Some(0.0) }),
        };
        let call = Call { accept: Some(accept), ..typed(call::Type::Accept) };
        self.call(framework, call)
    }

    /// Launches one task on the first offer and gives back what the agent was sent.
    pub(super) fn launch(&mut self, framework: &SomeFramework, id: &str) -> v1::TaskInfo {
        let offers = self.offers(framework);
        let offer = offers.first().expect("an offer").clone();
        let task = task(id, &offer.agent_id, "cpus:0.1;mem:32");
        self.accept(framework, &[offer], vec![task]);
        let run = self.sent.iter().rev().find_map(|(_, message)| match message {
            Outgoing::RunTask(run) if run.task.task_id.value == id => Some(run.task.clone()),
            _ => None,
        });
        run.expect("the task was sent")
    }

    pub(super) fn update(
        &mut self,
        agent: &SomeAgent,
        framework: &SomeFramework,
        task: &str,
        state: v1::TaskState,
    ) -> Bytes {
        self.next += 1;
        let uuid = Bytes::from(self.next.to_be_bytes().repeat(2));
        let update = internal::StatusUpdate {
            framework_id: v1::FrameworkId { value: framework.id.clone() },
            slave_id: agent.info.id.clone(),
            status: v1::TaskStatus {
                task_id: v1::TaskId { value: task.into() },
                state: state as i32,
                source: Some(v1::task_status::Source::Executor as i32),
                ..v1::TaskStatus::default()
            },
            timestamp: 5.0,
            uuid: Some(uuid.clone()),
            latest_state: Some(state as i32),
            ..internal::StatusUpdate::default()
        };
        let message = internal::StatusUpdateMessage { update, pid: Some(agent.pid.to_string()) };
        self.message(&agent.pid.clone(), Incoming::StatusUpdate(Box::new(message)));
        uuid
    }

    pub(super) fn acknowledge(
        &mut self,
        agent: &SomeAgent,
        framework: &SomeFramework,
        task: &str,
        uuid: Bytes,
    ) {
        let acknowledge = call::Acknowledge {
            agent_id: agent.info.id.clone().unwrap(),
            task_id: v1::TaskId { value: task.into() },
            uuid,
        };
        let call = Call { acknowledge: Some(acknowledge), ..typed(call::Type::Acknowledge) };
        assert_eq!(self.call(framework, call), SchedulerReply::Accepted);
    }

    /// How many frameworks and agents got an id.
    pub(super) fn next_ids(&self) -> (u64, u64) {
        (self.core.next_framework, self.core.next_agent)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let snapshot = self.core.snapshot();
        check(&snapshot);
        snapshot
    }
}

pub(super) fn agent_info(resources: &str) -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: "host".into(),
        port: Some(5051),
        resources: Resources::parse(resources, "*").unwrap().to_proto(),
        checkpoint: Some(true),
        ..v1::AgentInfo::default()
    }
}

fn agent_capabilities() -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type;
    [Type::MultiRole, Type::HierarchicalRole, Type::ReservationRefinement, Type::ResourceProvider]
        .into_iter()
        .map(|kind| v1::agent_info::Capability { r#type: Some(kind as i32) })
        .collect()
}

pub(super) fn task(id: &str, agent: &v1::AgentId, resources: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: "t".into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: agent.clone(),
        resources: Resources::parse(resources, "*").unwrap().to_proto(),
        command: Some(Box::new(v1::CommandInfo {
            value: Some("true".into()),
            ..v1::CommandInfo::default()
        })),
        ..v1::TaskInfo::default()
    }
}

/// The task as its agent reports it.
pub(super) fn report(
    task: &v1::TaskInfo,
    framework: &SomeFramework,
    state: v1::TaskState,
) -> v1::Task {
    v1::Task {
        name: task.name.clone(),
        task_id: task.task_id.clone(),
        framework_id: v1::FrameworkId { value: framework.id.clone() },
        agent_id: task.agent_id.clone(),
        state: state as i32,
        resources: task.resources.clone(),
        ..v1::Task::default()
    }
}

/// What must hold at every instant.
pub(super) fn check(snapshot: &Snapshot) {
    use std::collections::BTreeMap;
    let mut used: BTreeMap<&str, Resources> = BTreeMap::new();
    let mut offered: BTreeMap<&str, Resources> = BTreeMap::new();
    for view in &snapshot.frameworks {
        let mut of_framework = Resources::new();
        for task in view.tasks.iter().filter(|task| !crate::core::tasks::is_over(task.state)) {
            *used.entry(&task.agent_id).or_default() += &task.spec.resources;
            of_framework += &task.spec.resources;
        }
        for executor in view.executors.iter() {
            *used.entry(&executor.agent_id).or_default() += &executor.resources;
            of_framework += &executor.resources;
        }
        assert_eq!(view.framework.used, of_framework, "used by {}", view.framework.id);
        let mut of_offers = Resources::new();
        for offer in view.offers.iter() {
            *offered.entry(&offer.agent_id).or_default() += &offer.resources;
            of_offers += &offer.resources;
        }
        assert_eq!(view.framework.offered, of_offers, "offered to {}", view.framework.id);
    }
    for agent in snapshot.agents.iter() {
        let uses = used.remove(&*agent.id).unwrap_or_default();
        let offers = offered.remove(&*agent.id).unwrap_or_default();
        assert_eq!(agent.used, uses, "used on {}", agent.id);
        assert_eq!(agent.offered, offers, "offered on {}", agent.id);
        let both = (&uses + &offers).unallocated();
        assert!(agent.total.contains(&both), "{} has {}, gave {both}", agent.id, agent.total);
    }
    assert!(used.is_empty() && offered.is_empty(), "resources of agents that are not there");
}
