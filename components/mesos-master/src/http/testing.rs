//! Records for the tests of what readers see.
#![allow(clippy::unwrap_used)]
use std::{collections::BTreeMap, sync::Arc};

use mesos_messages::{resources::Resources, v1};

use crate::model::{
    ContainerStatus, Id, MasterRecord, Snapshot, Status, StatusMore, Task, TaskSpec, TaskSpecMore,
};

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
