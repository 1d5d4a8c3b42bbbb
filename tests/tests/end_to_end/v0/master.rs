//! Our agent with a master played by the test, as a master of the original would be.

use mesos_messages::internal;
use serde_json::{Value, json};

use super::{as_json, compare, message};
use crate::support::cluster::{free_port, start_agent};
use crate::support::libprocess::Peer;
use crate::support::scheduler::user;
use crate::support::shape::Allowed;

const CAPTURE: &str = "register_and_execute.txt";

#[test]
fn our_agent_serves_a_foreign_master() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut master = Peer::listen("master");
    let port = free_port();
    let _agent = start_agent(port, master.address(), &folder.path().join("work"), folder.path());

    let register = master.expect("mesos.internal.RegisterSlaveMessage");
    compare::<internal::RegisterSlaveMessage>(&register, CAPTURE, "/master/", &[]);
    let agent = register.from.clone();
    assert_eq!(agent, format!("slave(1)@127.0.0.1:{port}"));
    let register: internal::RegisterSlaveMessage = register.decode();
    assert_eq!(register.slave.checkpoint, Some(true));
    let register = as_json(&register);
    let resources = register["slave"]["resources"].as_array().expect("resources").clone();
    assert_eq!(
        resources.iter().find(|r| r["name"] == "cpus").expect("cpus")["scalar"]["value"],
        4.0
    );

    let agent_id = json!({"value": "m-S0"});
    let registered: internal::SlaveRegisteredMessage =
        message(&json!({"slave_id": agent_id, "connection": {"total_ping_timeout_seconds": 75.0}}));
    master.send(&agent, "mesos.internal.SlaveRegisteredMessage", &registered);
    let update = master.expect("mesos.internal.UpdateSlaveMessage");
    compare::<internal::UpdateSlaveMessage>(&update, CAPTURE, "/master/", &[]);

    let ping: internal::PingSlaveMessage = message(&json!({"connected": true}));
    // A part of the master's own process.
    master.send_as("slave-observer(1)", &agent, "mesos.internal.PingSlaveMessage", &ping);
    let pong = master.expect("mesos.internal.PongSlaveMessage");
    compare::<internal::PongSlaveMessage>(&pong, CAPTURE, "/slave-observer(1)/", &[]);
    assert!(pong.body.is_empty());

    runs_a_task(&mut master, &agent, &agent_id);
}

fn runs_a_task(master: &mut Peer, agent: &str, agent_id: &Value) {
    let framework_id = json!({"value": "m-0000"});
    let scalar = |name: &str, value: f64| {
        json!({"name": name, "type": "SCALAR", "scalar": {"value": value},
               "allocation_info": {"role": "*"}})
    };
    let run: internal::RunTaskMessage = message(&json!({
        "framework": {"user": user(), "name": "foreign", "id": framework_id, "roles": ["*"],
                      "capabilities": [{"type": "MULTI_ROLE"}]},
        "pid": "@0.0.0.0:0", "launch_executor": true,
        "task": {"name": "t", "task_id": {"value": "t"}, "agent_id": agent_id,
                 "resources": [scalar("cpus", 0.1), scalar("mem", 32.0)],
                 "command": {"value": "exit 4", "shell": true}}}));
    master.send(agent, "mesos.internal.RunTaskMessage", &run);
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"] {
        let arrived = master.expect("mesos.internal.StatusUpdateMessage");
        let message_allowed =
            [Allowed { path: ".update.status.message", why: "the first captured update has none" }];
        compare::<internal::StatusUpdateMessage>(
            &arrived,
            "v1_sched.txt",
            "/master/",
            &message_allowed,
        );
        let update: internal::StatusUpdateMessage = arrived.decode();
        assert_eq!(as_json(&update)["update"]["status"]["state"], state);
        assert_eq!(update.pid(), agent);
        let uuid = update.update.uuid.clone().expect("a uuid");
        let mut acknowledgement: internal::StatusUpdateAcknowledgementMessage = message(&json!({
            "slave_id": agent_id, "framework_id": framework_id, "task_id": {"value": "t"},
            "uuid": ""}));
        acknowledgement.uuid = uuid;
        master.send(agent, "mesos.internal.StatusUpdateAcknowledgementMessage", &acknowledgement);
    }
}
