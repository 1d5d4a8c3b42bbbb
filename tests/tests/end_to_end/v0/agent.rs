//! Our master with an agent played by the test, as an agent of the original would be.

use mesos_messages::internal;
use prost::Message;
use serde_json::{Value, json};

use super::{as_json, compare, message};
use crate::support::cluster::{free_port, start_master};
use crate::support::libprocess::Peer;
use crate::support::scheduler::{Scheduler, command_task, framework};
use crate::support::{http, wait_until};

const CAPTURE: &str = "register_and_execute.txt";

fn agent_info(address: &str) -> Value {
    let (ip, port) = address.rsplit_once(':').expect("ip:port");
    let scalar = |name: &str, value: f64| json!({"name": name, "type": "SCALAR", "scalar": {"value": value}, "role": "*"});
    json!({"hostname": ip, "port": port.parse::<u16>().expect("a port"), "checkpoint": true,
           "resources": [scalar("cpus", 2.0), scalar("mem", 1024.0), scalar("disk", 1024.0)]})
}

const CAPABILITIES: [&str; 8] = [
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "RESOURCE_PROVIDER",
    "RESIZE_VOLUME",
    "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING",
    "TASK_RESOURCE_LIMITS",
];

#[test]
fn a_foreign_agent_registers_and_runs_a_task() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let _master = start_master(port, &folder.path().join("work"), folder.path());
    let address = format!("127.0.0.1:{port}");
    http::wait_for_health(&address);
    let master = format!("master@{address}");

    let mut agent = Peer::listen("slave(1)");
    let uuid = json!({"value": "zv6usjhhTcevioDV2KwZzQ=="});
    let capabilities: Vec<Value> = CAPABILITIES.iter().map(|kind| json!({"type": kind})).collect();
    let register: internal::RegisterSlaveMessage = message(&json!({
        "slave": agent_info(agent.address()), "version": "1.11.0",
        "agent_capabilities": capabilities, "resource_version_uuid": uuid}));
    agent.send(&master, "mesos.internal.RegisterSlaveMessage", &register);
    let registered = agent.expect("mesos.internal.SlaveRegisteredMessage");
    compare::<internal::SlaveRegisteredMessage>(&registered, CAPTURE, "/slave(1)/", &[]);
    let registered: internal::SlaveRegisteredMessage = registered.decode();
    let agent_id = as_json(&registered)["slave_id"].clone();
    let connection = registered.connection.expect("the connection's facts");
    assert_eq!(connection.total_ping_timeout_seconds, Some(75.0));

    let ping = agent.expect("mesos.internal.PingSlaveMessage");
    compare::<internal::PingSlaveMessage>(&ping, CAPTURE, "/slave(1)/", &[]);
    assert!(ping.from.starts_with("slave-observer("), "{}", ping.from);
    agent.send(&ping.from, "mesos.internal.PongSlaveMessage", &internal::PongSlaveMessage {});
    let update: internal::UpdateSlaveMessage = message(&json!({
        "slave_id": agent_id, "update_oversubscribed_resources": false,
        "operations": {}, "resource_version_uuid": uuid, "resource_providers": {}}));
    agent.send(&master, "mesos.internal.UpdateSlaveMessage", &update);

    let mut scheduler = Scheduler::subscribe(&address, &framework());
    let offer = scheduler.offer();
    assert_eq!(offer["agent_id"], agent_id);
    let task = command_task(&offer, "true");
    scheduler.launch(&offer, std::slice::from_ref(&task));
    let run = agent.expect("mesos.internal.RunTaskMessage");
    compare::<internal::RunTaskMessage>(&run, "v1_sched.txt", "/slave(1)/", &[]);
    let run = as_json(&run.decode::<internal::RunTaskMessage>());
    assert_eq!(run["pid"], "@0.0.0.0:0", "a framework on HTTP has no pid");

    for (round, state) in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"].into_iter().enumerate()
    {
        let status = send_update(&mut agent, &master, &run, &agent_id, state, round as u8);
        let told = scheduler.status(&task, state);
        assert_eq!(told["uuid"], status["uuid"]);
        let acknowledged = agent.expect("mesos.internal.StatusUpdateAcknowledgementMessage");
        compare::<internal::StatusUpdateAcknowledgementMessage>(
            &acknowledged,
            "v1_sched.txt",
            "/slave(1)/",
            &[],
        );
    }
    scheduler.teardown();
    let shutdown = agent.expect("mesos.internal.ShutdownFrameworkMessage");
    compare::<internal::ShutdownFrameworkMessage>(&shutdown, "v1_sched.txt", "/slave(1)/", &[]);

    let unregister: internal::UnregisterSlaveMessage = message(&json!({"slave_id": agent_id}));
    agent.send(&master, "mesos.internal.UnregisterSlaveMessage", &unregister);
    wait_until("the agent's removal", || {
        http::get(&address, "/slaves").json()["slaves"] == json!([])
    });
}

/// An update as an agent forwards it; answers the status.
fn send_update(
    agent: &mut Peer,
    master: &str,
    run: &Value,
    agent_id: &Value,
    state: &str,
    round: u8,
) -> Value {
    let task_id = &run["task"]["task_id"];
    let mut update: internal::StatusUpdateMessage = message(&json!({
        "pid": agent.upid(),
        "update": {"framework_id": run["framework"]["id"], "executor_id": task_id,
                   "slave_id": agent_id, "timestamp": 1.0, "latest_state": state,
                   "status": {"task_id": task_id, "state": state, "agent_id": agent_id,
                              "source": "SOURCE_EXECUTOR", "timestamp": 1.0}}}));
    let uuid: Vec<u8> = (0..16).map(|n| n + round * 16).collect();
    update.update.uuid = Some(uuid.clone().into());
    update.update.status.uuid = Some(uuid.into());
    agent.send(master, "mesos.internal.StatusUpdateMessage", &update);
    let status = as_json(&update.update.status);
    assert!(update.encoded_len() > 0);
    status
}
