//! The main path, and what happens when parts of it go away.
use mesos_messages::{internal, v1};
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn a_task_runs_and_ends() {
    let master = Master::start().await;
    let mut agent = Agent::register(&master, "cpus:2;mem:1024;disk:1000;ports:[31000-32000]").await;
    let mut scheduler = Scheduler::subscribe(master.address(), framework_info("f")).await;
    assert_eq!(scheduler.next().await.unwrap()["type"], "HEARTBEAT");
    let offers = scheduler.expect("OFFERS").await;
    let offer = &offers["offers"]["offers"][0];
    assert_eq!(offer["agent_id"]["value"], agent.id.value.as_str());
    assert_eq!(offer["allocation_info"]["role"], "*");

    scheduler.launch(offer, vec![task("one", &offer["agent_id"])]).await;
    let run: internal::RunTaskMessage = agent.peer.expect().await;
    assert_eq!(run.task.task_id.value, "one");
    assert_eq!(run.pid.as_deref(), Some("@0.0.0.0:0"));
    assert_eq!(run.launch_executor, Some(true));
    assert_eq!(run.task.resources[0].allocation_info.as_ref().unwrap().role(), "*");
    assert_eq!(run.framework.id.unwrap().value, scheduler.framework);

    // What is left comes back as another offer.
    let rest = scheduler.expect("OFFERS").await;
    let cpus = rest["offers"]["offers"][0]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .find(|resource| resource["name"] == "cpus")
        .unwrap();
    assert_eq!(cpus["scalar"]["value"], json!(1.9));

    for state in [v1::TaskState::TaskRunning, v1::TaskState::TaskFinished] {
        let uuid = agent.update(&scheduler.framework, "one", state);
        let status = scheduler.status().await;
        assert_eq!(status["state"], state.as_str_name());
        assert_eq!(status["timestamp"], json!(12.5));
        scheduler
            .accepted(json!({"type": "ACKNOWLEDGE", "acknowledge": {
                "agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"],
            }}))
            .await;
        let ack: internal::StatusUpdateAcknowledgementMessage = agent.peer.expect().await;
        assert_eq!(ack.uuid, uuid);
    }
    let snapshot = master.running.handle.snapshot().await.unwrap();
    let framework = &snapshot.frameworks[0];
    assert_eq!(framework.tasks.len(), 0);
    assert_eq!(framework.completed_tasks.len(), 1);
    assert!(framework.framework.used.is_empty());
    assert_eq!(framework.completed_tasks[0].statuses.len(), 2);
}

/// Waits until the master looks as `wanted` says.
async fn until(master: &Master, wanted: impl Fn(&mesos_master::model::Snapshot) -> bool) {
    let look = async {
        loop {
            let snapshot = master.running.handle.snapshot().await.unwrap();
            if wanted(&snapshot) {
                return;
            }
            drop(snapshot);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("the master comes to look so");
}

#[tokio::test]
async fn a_scheduler_that_leaves_is_noticed_and_may_come_back() {
    let master = Master::start().await;
    let scheduler = Scheduler::subscribe(master.address(), framework_info("f")).await;
    let id = scheduler.framework.clone();
    drop(scheduler);
    until(&master, |snapshot| !snapshot.frameworks[0].framework.connected).await;
    let mut info = framework_info("f");
    info["id"] = json!({"value": id});
    let back = Scheduler::subscribe(master.address(), info).await;
    assert_eq!(back.framework, id);
    until(&master, |snapshot| snapshot.frameworks[0].framework.connected).await;
    let answer = back.call(json!({"type": "TEARDOWN"})).await;
    assert_eq!(answer.status, 202);
    until(&master, |snapshot| snapshot.completed_frameworks.len() == 1).await;
}

#[tokio::test]
async fn a_new_stream_ends_the_old_one() {
    let master = Master::start().await;
    let mut old = Scheduler::subscribe(master.address(), framework_info("f")).await;
    assert_eq!(old.next().await.unwrap()["type"], "HEARTBEAT");
    let mut info = framework_info("f");
    info["id"] = json!({"value": old.framework});
    let new = Scheduler::subscribe(master.address(), info).await;
    let error = old.next().await.unwrap();
    assert_eq!(error, json!({"type": "ERROR", "error": {"message": "Framework failed over"}}));
    assert_eq!(old.next().await, None);
    let refused = old.call(json!({"type": "REVIVE"})).await;
    assert_eq!(refused.status, 400);
    new.accepted(json!({"type": "REVIVE"})).await;
}

#[tokio::test]
async fn a_scheduler_that_does_not_read_is_cut_off() {
    let limits = mesos_master::config::MasterConfig { max_queued_events: 16, ..config() };
    let master = Master::start_with(limits).await;
    let scheduler = Scheduler::subscribe(master.address(), framework_info("f")).await;
    let tasks: Vec<_> =
        (0..2000).map(|n| json!({"task_id": {"value": format!("{n:0200}")}})).collect();
    // The sockets' buffers fill first.
    for _ in 0..400 {
        let answer =
            scheduler.call(json!({"type": "RECONCILE", "reconcile": {"tasks": tasks}})).await;
        if answer.status != 202 {
            assert_eq!(answer.text(), "Framework is not subscribed");
            return;
        }
    }
    panic!("it was never cut off");
}

#[tokio::test]
async fn admitted_agents_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let state = cluster_state::embedded::open(&path).unwrap();
    let master = Master::start_on(config(), state).await;
    let mut agent = Agent::register(&master, "cpus:2;mem:1024").await;
    master.stop().await;

    let state = cluster_state::embedded::open(&path).unwrap();
    let master = Master::start_on(config(), state).await;
    let snapshot = master.running.handle.snapshot().await.unwrap();
    assert_eq!(snapshot.recovered_agents.len(), 1);
    assert_eq!(snapshot.recovered_agents[0].id, Some(agent.id.clone()));
    // An agent that did not notice the restart is asked whether it is connected.
    let ping = loop {
        let (from, ping) = agent.peer.expect_from::<internal::PingSlaveMessage>().await;
        if from.address == master.address() {
            break ping;
        }
    };
    assert!(!ping.connected);
    let message = internal::ReregisterSlaveMessage {
        slave: v1::AgentInfo { id: Some(agent.id.clone()), ..agent_info("cpus:2;mem:1024") },
        version: Some("1.11.0".to_owned()),
        agent_capabilities: capabilities(),
        ..internal::ReregisterSlaveMessage::default()
    };
    agent.peer.send(&master.pid(), &message);
    let answer: internal::SlaveReregisteredMessage = agent.peer.expect().await;
    assert_eq!(answer.slave_id, agent.id);
    assert_eq!(answer.connection.unwrap().total_ping_timeout_seconds, Some(75.0));
    until(&master, |snapshot| snapshot.recovered_agents.is_empty()).await;
}

#[tokio::test]
async fn a_driver_speaks_the_older_protocol() {
    use mesos_messages::v0_scheduler::{Call, call};
    let master = Master::start().await;
    let mut agent = Agent::register(&master, "cpus:2;mem:1024").await;
    let mut driver = Peer::new("scheduler-7").await;
    let subscribe = Call {
        r#type: Some(call::Type::Subscribe as i32),
        subscribe: Some(call::Subscribe {
            framework_info: v1::FrameworkInfo {
                user: "root".to_owned(),
                name: "old".to_owned(),
                ..v1::FrameworkInfo::default()
            },
            ..call::Subscribe::default()
        }),
        ..Call::default()
    };
    driver.send(&master.pid(), &subscribe);
    let registered: internal::FrameworkRegisteredMessage = driver.expect().await;
    assert_eq!(registered.master_info.pid, Some(master.pid().to_string()));
    let framework_id = registered.framework_id;
    let offers: internal::ResourceOffersMessage = driver.expect().await;
    assert_eq!(offers.pids, [agent.peer.pid.to_string()]);
    // Without MULTI_ROLE nothing is said of allocations, and roles are named the old way.
    let offer = &offers.offers[0];
    assert_eq!(offer.allocation_info, None);
    assert!(offer.resources.iter().all(|one| one.allocation_info.is_none()));
    assert!(offer.resources.iter().all(|one| one.role.as_deref() == Some("*")));

    let launch = internal::LaunchTasksMessage {
        framework_id: framework_id.clone(),
        tasks: vec![v1::TaskInfo {
            name: "t".to_owned(),
            task_id: v1::TaskId { value: "t".to_owned() },
            agent_id: offer.agent_id.clone(),
            resources: offer.resources.clone(),
            executor: Some(Box::new(v1::ExecutorInfo {
                executor_id: v1::ExecutorId { value: "e".to_owned() },
                command: Some(Box::default()),
                ..v1::ExecutorInfo::default()
            })),
            ..v1::TaskInfo::default()
        }],
        offer_ids: vec![offer.id.clone()],
        ..internal::LaunchTasksMessage::default()
    };
    driver.send(&master.pid(), &launch);
    let run: internal::RunTaskMessage = agent.peer.expect().await;
    assert_eq!(run.pid, Some(driver.pid.to_string()));
    assert_eq!(run.task.executor.unwrap().framework_id, Some(framework_id.clone()));

    let uuid = agent.update(&framework_id.value, "t", v1::TaskState::TaskRunning);
    let update: internal::StatusUpdateMessage = driver.expect().await;
    assert_eq!(update.pid, Some(agent.peer.pid.to_string()));
    assert_eq!(update.update.uuid, Some(uuid.clone()));
    driver.send(
        &master.pid(),
        &internal::StatusUpdateAcknowledgementMessage {
            slave_id: agent.id.clone(),
            framework_id: framework_id.clone(),
            task_id: v1::TaskId { value: "t".to_owned() },
            uuid: uuid.clone(),
        },
    );
    let ack: internal::StatusUpdateAcknowledgementMessage = agent.peer.expect().await;
    assert_eq!(ack.uuid, uuid);

    let hello = internal::ExecutorToFrameworkMessage {
        slave_id: agent.id.clone(),
        framework_id: framework_id.clone(),
        executor_id: v1::ExecutorId { value: "e".to_owned() },
        data: "hello".into(),
    };
    agent.peer.send(&master.pid(), &hello);
    let heard: internal::ExecutorToFrameworkMessage = driver.expect().await;
    assert_eq!(heard, hello);
    driver.send(
        &master.pid(),
        &internal::FrameworkToExecutorMessage {
            slave_id: agent.id.clone(),
            framework_id: framework_id.clone(),
            executor_id: v1::ExecutorId { value: "e".to_owned() },
            data: "yes?".into(),
        },
    );
    let heard: internal::FrameworkToExecutorMessage = agent.peer.expect().await;
    assert_eq!(heard.data, "yes?");

    driver.send(&master.pid(), &internal::UnregisterFrameworkMessage { framework_id });
    let _: internal::ShutdownFrameworkMessage = agent.peer.expect().await;
    until(&master, |snapshot| snapshot.completed_frameworks.len() == 1).await;
}

#[tokio::test]
async fn a_driver_that_dies_is_noticed() {
    let master = Master::start().await;
    let driver = Peer::new("scheduler-7").await;
    let register = internal::RegisterFrameworkMessage {
        framework: v1::FrameworkInfo {
            user: "root".to_owned(),
            name: "old".to_owned(),
            ..v1::FrameworkInfo::default()
        },
    };
    driver.send(&master.pid(), &register);
    until(&master, |snapshot| snapshot.frameworks.len() == 1).await;
    drop(driver);
    until(&master, |snapshot| snapshot.completed_frameworks.len() == 1).await;
}

#[tokio::test]
async fn an_agent_that_dies_is_disconnected() {
    let master = Master::start().await;
    let agent = Agent::register(&master, "cpus:2;mem:1024").await;
    until(&master, |snapshot| snapshot.agents.iter().all(|agent| agent.active)).await;
    drop(agent);
    until(&master, |snapshot| snapshot.agents.iter().all(|agent| !agent.connected)).await;
}

#[tokio::test]
async fn encodings_mix_freely() {
    use mesos_messages::v1::scheduler::{Call, call};
    use prost::Message;
    let master = Master::start().await;
    let mut scheduler = Scheduler::subscribe(master.address(), framework_info("f")).await;
    let call = Call {
        framework_id: Some(v1::FrameworkId { value: scheduler.framework.clone() }),
        r#type: Some(call::Type::Reconcile as i32),
        reconcile: Some(call::Reconcile {
            tasks: vec![call::reconcile::Task {
                task_id: v1::TaskId { value: "t".to_owned() },
                agent_id: None,
            }],
        }),
        ..Call::default()
    };
    let body = call.encode_to_vec();
    let mut request = format!(
        "POST /master/api/v1/scheduler HTTP/1.1\r\nHost: x\r\nMesos-Stream-Id: {}\r\n\
         Content-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        scheduler.stream_id,
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    let answer = exchange(master.address(), &request).await;
    assert_eq!((answer.status, answer.text()), (202, String::new()));
    let status = scheduler.status().await;
    assert_eq!(status["state"], "TASK_UNKNOWN");
    assert_eq!(status["message"], "Reconciliation: Task is unknown");
}
