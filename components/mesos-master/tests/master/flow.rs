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
