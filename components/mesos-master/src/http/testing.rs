//! Records for the tests of what readers see.
#![allow(clippy::unwrap_used)]
use std::{collections::BTreeMap, sync::Arc};

use mesos_messages::{resources::Resources, v1};
use tokio::sync::mpsc;

use crate::{
    config::MasterConfig,
    handle::{Command, EventSubscription, MasterHandle, TeardownError},
    metrics::MetricsSnapshot,
    model::{
        Agent, ContainerStatus, CowSlab, Framework, FrameworkView, Id, MasterRecord, OperatorEvent,
        Snapshot, Status, StatusMore, Task, TaskSpec, TaskSpecMore,
    },
};

/// An owner that holds one state for ever.
pub(crate) fn owner(snapshot: Snapshot, config: MasterConfig) -> MasterHandle {
    let (sender, events) = mpsc::channel(1);
    drop(sender);
    owner_with_events(snapshot, config, events)
}

/// As [`owner`], and what comes out of `events` goes to every subscriber.
pub(crate) fn owner_with_events(
    snapshot: Snapshot,
    config: MasterConfig,
    mut events: mpsc::Receiver<OperatorEvent>,
) -> MasterHandle {
    let (inbox, mut commands) = mpsc::channel(64);
    let snapshot = Arc::new(snapshot);
    tokio::spawn(async move {
        let mut streams: Vec<mpsc::Sender<OperatorEvent>> = Vec::new();
        let mut ended = false;
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => answer(command, &snapshot, &mut streams),
                    None => return,
                },
                event = events.recv(), if !ended => match event {
                    Some(event) => streams.retain(|s| s.try_send(event.clone()).is_ok()),
                    None => {
                        ended = true;
                        streams.clear();
                    }
                },
            }
        }
    });
    MasterHandle::new(inbox, Arc::new(config))
}

fn answer(
    command: Command,
    snapshot: &Arc<Snapshot>,
    streams: &mut Vec<mpsc::Sender<OperatorEvent>>,
) {
    match command {
        Command::Snapshot(reply) => {
            let _ = reply.send(Arc::clone(snapshot));
        }
        Command::Metrics(reply) => {
            let _ = reply.send(Arc::new(MetricsSnapshot::default()));
        }
        Command::Teardown(_, reply) => {
            let _ = reply.send(Err(TeardownError::UnknownFramework));
        }
        Command::SubscribeEvents(reply) => {
            let (sender, events) = mpsc::channel(64);
            streams.push(sender);
            let snapshot = Arc::clone(snapshot);
            let _ = reply.send(EventSubscription { snapshot, events });
        }
        _ => {}
    }
}

const MASTER: &str = "bedc6304-3813-403e-82bb-25acf28dc6a5";

/// The configuration of the recorded master, as far as answers show it.
pub(crate) fn recorded_config() -> MasterConfig {
    MasterConfig { log_dir: Some("/var/mrun/log/master".into()), ..MasterConfig::default() }
}

fn capabilities<const N: usize>(kinds: [i32; N]) -> Arc<[i32]> {
    Arc::from(kinds)
}

fn slab<T>(values: impl IntoIterator<Item = T>) -> CowSlab<T> {
    let mut slab = CowSlab::default();
    for value in values {
        slab.insert(Arc::new(value));
    }
    slab
}

/// An agent with what the recorded one had.
pub(crate) fn agent(id: &str, used: &Resources) -> Agent {
    let all = Resources::parse("cpus:2;mem:23081;disk:252899;ports:[31000-32000]", "*").unwrap();
    #[allow(deprecated)]
    let info = v1::AgentInfo {
        hostname: "127.0.0.1".to_owned(),
        port: Some(5051),
        id: Some(v1::AgentId { value: id.to_owned() }),
        checkpoint: Some(true),
        ..v1::AgentInfo::default()
    };
    Agent {
        id: id.into(),
        info: Arc::new(info),
        info_resources: all.clone(),
        pid: "slave(1)@127.0.0.1:5051".into(),
        version: "1.12.0".into(),
        capabilities: capabilities([1, 2, 3, 4, 5, 6, 7, 8]),
        registered_time: 1_795_200_906.996_169_4,
        reregistered_time: None,
        connected: true,
        active: true,
        deactivated: false,
        total: all,
        used: used.clone(),
        offered: Resources::new(),
    }
}

/// A framework like the recorded `mesos-execute`.
pub(crate) fn framework(
    id: &str,
    registered: f64,
    unregistered: f64,
    used: Resources,
) -> Framework {
    use v1::framework_info::capability::Type;
    let kinds = [
        Type::ReservationRefinement,
        Type::TaskKillingState,
        Type::RevocableResources,
        Type::PartitionAware,
    ];
    #[allow(deprecated)]
    let info = v1::FrameworkInfo {
        role: Some("*".to_owned()),
        user: "root".to_owned(),
        name: "mesos-execute instance".to_owned(),
        id: Some(v1::FrameworkId { value: id.to_owned() }),
        checkpoint: Some(false),
        capabilities: kinds
            .iter()
            .map(|kind| v1::framework_info::Capability { r#type: Some(*kind as i32) })
            .collect(),
        ..v1::FrameworkInfo::default()
    };
    let registered_now = unregistered == 0.0;
    Framework {
        id: id.into(),
        info: Arc::new(info),
        pid: None,
        active: registered_now,
        connected: registered_now,
        recovered: false,
        roles: Arc::from([Id::from("*")]),
        suppressed_roles: Arc::from([]),
        registered_time: registered,
        reregistered_time: registered,
        unregistered_time: unregistered,
        used,
        offered: Resources::new(),
        offer_constraints: None,
    }
}

/// A status as recorded: state, source, time, uuid in base64, container, executor's pid.
fn recorded_status(
    state: v1::TaskState,
    at: f64,
    uuid: &str,
    in_container: &Arc<ContainerStatus>,
) -> Status {
    use base64::Engine;
    let uuid = base64::engine::general_purpose::STANDARD.decode(uuid).unwrap();
    Status {
        timestamp: at,
        uuid: uuid.as_slice().try_into().ok(),
        executor_id: Some("t".into()),
        ..status(state, Some(Arc::clone(in_container)))
    }
}

fn recorded_container(id: &str, pid: u32) -> Arc<ContainerStatus> {
    let address = v1::network_info::IpAddress {
        protocol: Some(v1::network_info::Protocol::IPv4 as i32),
        ip_address: Some("127.0.0.1".to_owned()),
    };
    let network = v1::NetworkInfo { ip_addresses: vec![address], ..v1::NetworkInfo::default() };
    Arc::new(ContainerStatus {
        container_id: Some(Box::new(v1::ContainerId {
            value: id.to_owned(),
            ..v1::ContainerId::default()
        })),
        network_infos: Arc::from([network]),
        cgroup_info: None,
        executor_pid: Some(pid),
    })
}

fn recorded_task(framework: &str, used: &Resources, statuses: Vec<Status>) -> Task {
    let spec = TaskSpec {
        name: "t".into(),
        role: "*".into(),
        resources: used.clone(),
        user: None,
        more: None,
    };
    let last = statuses.iter().rev().find(|status| status.uuid.is_some()).unwrap().clone();
    Task {
        id: "t".into(),
        framework_id: framework.into(),
        agent_id: format!("{MASTER}-S0").into(),
        executor_id: None,
        spec: Arc::new(spec),
        state: last.state,
        status_update_state: Some(last.state),
        status_update_uuid: last.uuid,
        statuses,
    }
}

fn finished_statuses() -> Vec<Status> {
    use v1::TaskState::{TaskFinished, TaskKilled, TaskRunning, TaskStarting};
    let message = |text: &str| {
        Some(Box::new(StatusMore { message: Some(text.into()), ..StatusMore::default() }))
    };
    let done = recorded_container("0e9d39d4-14a2-404b-b10e-e45f7d20f3fa", 25_879);
    let finished =
        recorded_status(TaskFinished, 1_795_200_913.945_518, "vWpas+nbRTykGL/psEMbFA==", &done);
    let removed = format!("Framework {MASTER}-0000 removed");
    vec![
        recorded_status(TaskStarting, 1_795_200_908.832_925, "E5vwyXEVT4mZjREKQY3XmA==", &done),
        recorded_status(TaskRunning, 1_795_200_908.837_03, "cH8g0jhHQjS6cL3AiJDjXw==", &done),
        Status { more: message("Command exited with status 0"), ..finished },
        Status {
            source: Some(v1::task_status::Source::Master),
            reason: Some(v1::task_status::Reason::FrameworkRemoved),
            timestamp: 1_795_200_913.949_036,
            uuid: None,
            executor_id: None,
            more: message(&removed),
            ..status(TaskKilled, None)
        },
    ]
}

/// The state in which the original was recorded: one agent, one task that runs, one framework
/// that has gone.
pub(crate) fn recorded_snapshot() -> Snapshot {
    use v1::TaskState::{TaskRunning, TaskStarting};
    let used = Resources::parse("cpus:1;mem:128", "*").unwrap().allocated("*");
    let (first, second) = (format!("{MASTER}-0000"), format!("{MASTER}-0001"));
    let live = recorded_container("c0b2253a-ebf8-4865-b10c-8a72d24ce3d4", 26_116);
    let running = vec![
        recorded_status(TaskStarting, 1_795_200_965.152_524, "NZXEY3lJQZafm28DEGluaA==", &live),
        recorded_status(TaskRunning, 1_795_200_965.157_055, "86ac5kcXQN+kblZGp77eZA==", &live),
    ];
    let finished = recorded_task(&first, &used, finished_statuses());
    let view = |framework, tasks: Vec<Task>, completed: Vec<Task>| {
        Arc::new(FrameworkView {
            framework: Arc::new(framework),
            tasks: slab(tasks),
            unreachable_tasks: Arc::default(),
            completed_tasks: Arc::new(completed.into_iter().map(Arc::new).collect()),
            executors: CowSlab::default(),
            offers: CowSlab::default(),
        })
    };
    let now = framework(&second, 1_795_200_965.001_344, 0.0, used.clone());
    let gone = framework(&first, 1_795_200_908.687_511, 1_795_200_913.949_176, Resources::new());
    let mut snapshot = empty_snapshot();
    snapshot.master = Arc::new(recorded_master());
    snapshot.agents = slab([agent(&format!("{MASTER}-S0"), &used)]);
    snapshot.frameworks = vec![view(now, vec![recorded_task(&second, &used, running)], vec![])];
    snapshot.completed_frameworks = vec![view(gone, vec![], vec![finished])];
    snapshot
}

fn recorded_master() -> MasterRecord {
    use v1::master_info::capability::Type;
    let kinds = [Type::AgentUpdate, Type::AgentDraining, Type::QuotaV2];
    MasterRecord {
        info: v1::MasterInfo {
            id: MASTER.to_owned(),
            ip: 16_777_343,
            port: 5050,
            pid: Some("master@127.0.0.1:5050".to_owned()),
            hostname: Some("127.0.0.1".to_owned()),
            version: Some("1.12.0".to_owned()),
            address: Some(v1::Address {
                hostname: Some("127.0.0.1".to_owned()),
                ip: Some("127.0.0.1".to_owned()),
                port: 5050,
            }),
            domain: None,
            capabilities: kinds
                .iter()
                .map(|kind| v1::master_info::Capability { r#type: Some(*kind as i32) })
                .collect(),
        },
        cluster: None,
        start_time: 1_795_200_905.031_911,
        elected_time: 1_795_200_905.033_989,
    }
}

/// The recorded master with two agents, one of them with reserved resources.
pub(crate) fn two_agents() -> Snapshot {
    let like = |number: usize, port: i32, registered, resources: &str, attributes: &str| {
        let id = format!("c131497f-4fba-43d2-be86-50db411bd1e5-S{number}");
        let known = agent(&id, &Resources::new());
        let mut info = (*known.info).clone();
        info.port = Some(port);
        info.attributes = mesos_messages::attributes::parse(attributes).unwrap();
        let total = Resources::parse(resources, "*").unwrap();
        Agent {
            info: Arc::new(info),
            info_resources: total.clone(),
            pid: format!("slave(1)@127.0.0.1:{port}").into(),
            registered_time: registered,
            total,
            ..known
        }
    };
    let mut snapshot = empty_snapshot();
    snapshot.agents = slab([
        like(
            1,
            5051,
            1_795_202_610.116_393_4,
            "cpus:2;mem:23081;disk:252899;ports:[31000-32000]",
            "rack:r1;zone:a;n:5;span:[1-10]",
        ),
        like(
            0,
            5052,
            1_795_202_610.104_089,
            "cpus:4;mem:4096;disk:10000;ports:[20000-21000];cpus(eng):2;mem(eng):512",
            "rack:r2",
        ),
    ]);
    snapshot
}

/// Many agents, and frameworks that run `each` tasks of one service.
pub(crate) fn large_snapshot(frameworks: usize, each: usize, agents: usize) -> Snapshot {
    use v1::TaskState::{TaskRunning, TaskStarting};
    let used = Resources::parse("cpus:0.1;mem:32", "*").unwrap().allocated("*");
    let agent_ids: Vec<Id> = (0..agents).map(|n| format!("{MASTER}-S{n}").into()).collect();
    let network = recorded_container("x", 1).network_infos.clone();
    let views = (0..frameworks).map(|number| {
        let id = format!("{MASTER}-{number:04}");
        let spec = Arc::new(TaskSpec {
            name: "service".into(),
            role: "*".into(),
            resources: used.clone(),
            user: None,
            more: None,
        });
        let tasks = (0..each).map(|n| {
            let mut container =
                (*recorded_container(&format!("c0b2253a-ebf8-4865-b10c-{n:012}"), 7)).clone();
            container.network_infos = network.clone();
            let container = Arc::new(container);
            let statuses = [TaskStarting, TaskRunning]
                .map(|state| status(state, Some(Arc::clone(&container))));
            Task {
                framework_id: id.as_str().into(),
                agent_id: agent_ids[(number * each + n) % agents].clone(),
                ..task(&format!("service.{n}"), &spec, statuses.to_vec())
            }
        });
        Arc::new(FrameworkView {
            framework: Arc::new(framework(&id, 1.5, 0.0, used.clone())),
            tasks: slab(tasks),
            unreachable_tasks: Arc::default(),
            completed_tasks: Arc::default(),
            executors: CowSlab::default(),
            offers: CowSlab::default(),
        })
    });
    let mut snapshot = empty_snapshot();
    snapshot.frameworks = views.collect();
    snapshot.agents = slab(agent_ids.iter().map(|id| agent(id, &used)));
    snapshot
}

/// A master that knows nobody.
pub(crate) fn empty_snapshot() -> Snapshot {
    Snapshot {
        master: Arc::new(MasterRecord {
            info: v1::MasterInfo {
                id: "m".to_owned(),
                ip: 16_777_343,
                port: 5050,
                pid: Some("master@127.0.0.1:5050".to_owned()),
                hostname: Some("127.0.0.1".to_owned()),
                ..v1::MasterInfo::default()
            },
            cluster: None,
            start_time: 1.5,
            elected_time: 1.75,
        }),
        agents: Default::default(),
        recovered_agents: Vec::new(),
        unreachable_agents: Vec::new(),
        gone_agents: Vec::new(),
        frameworks: Vec::new(),
        completed_frameworks: Vec::new(),
        weights: Arc::default(),
    }
}

fn status(state: v1::TaskState, container: Option<Arc<ContainerStatus>>) -> Status {
    Status {
        state,
        source: Some(v1::task_status::Source::Executor),
        reason: None,
        healthy: None,
        timestamp: 1_795_200_965.152_524,
        uuid: Some([7; 16]),
        executor_id: Some("e".into()),
        container,
        more: None,
    }
}

fn container(networks: &Arc<[v1::NetworkInfo]>) -> Arc<ContainerStatus> {
    Arc::new(ContainerStatus {
        container_id: Some(Box::new(v1::ContainerId {
            value: "c0b2253a".to_owned(),
            ..v1::ContainerId::default()
        })),
        network_infos: Arc::clone(networks),
        cgroup_info: None,
        executor_pid: Some(26_116),
    })
}

fn task(id: &str, spec: &Arc<TaskSpec>, statuses: Vec<Status>) -> Task {
    Task {
        id: id.into(),
        framework_id: "f-0001".into(),
        agent_id: "m-S0".into(),
        executor_id: None,
        spec: Arc::clone(spec),
        state: v1::TaskState::TaskRunning,
        status_update_state: Some(v1::TaskState::TaskRunning),
        status_update_uuid: Some([9; 16]),
        statuses,
    }
}

/// Tasks with few and with all parts.
pub(crate) fn tasks() -> Vec<Task> {
    let role: Id = "*".into();
    let resources = Resources::parse("cpus:1;mem:128;ports:[31000-31001]", "*").unwrap();
    let plain = Arc::new(TaskSpec {
        name: "t".into(),
        role: role.clone(),
        resources: resources.allocated("*"),
        user: None,
        more: None,
    });
    let labels = v1::Labels {
        labels: vec![v1::Label { key: "k\"".to_owned(), value: Some("v".to_owned()) }],
    };
    let rich = Arc::new(TaskSpec {
        name: "näme\n".into(),
        role,
        resources: resources.allocated("*"),
        user: Some("nobody".into()),
        more: Some(Box::new(TaskSpecMore {
            limits: BTreeMap::from([("cpus".to_owned(), v1::value::Scalar { value: 2.5 })]),
            labels: Some(labels.clone()),
            kill_policy: Some(v1::KillPolicy {
                grace_period: Some(v1::DurationInfo { nanoseconds: 5 }),
            }),
            ..TaskSpecMore::default()
        })),
    });
    let address = v1::network_info::IpAddress {
        ip_address: Some("127.0.0.1".to_owned()),
        ..v1::network_info::IpAddress::default()
    };
    let networks: Arc<[v1::NetworkInfo]> =
        Arc::from([v1::NetworkInfo { ip_addresses: vec![address], ..v1::NetworkInfo::default() }]);
    let shared = container(&networks);
    let mut last = status(v1::TaskState::TaskLost, None);
    last.healthy = Some(false);
    last.reason = Some(v1::task_status::Reason::ExecutorTerminated);
    last.more = Some(Box::new(StatusMore {
        message: Some("gone \"away\"".into()),
        labels: Some(labels),
        unreachable_time_ns: Some(-5),
        ..StatusMore::default()
    }));
    let mut with_executor = task("t-3", &rich, vec![last]);
    with_executor.executor_id = Some("default".into());
    vec![
        task("t-1", &plain, Vec::new()),
        task(
            "t-2",
            &plain,
            vec![
                status(v1::TaskState::TaskStarting, Some(Arc::clone(&shared))),
                status(v1::TaskState::TaskRunning, Some(shared)),
            ],
        ),
        with_executor,
    ]
}
