//! A v0 scheduler with a v0 executor, both played by the test: the exchange of
//! registering, offers, launch, executor registration, updates and their
//! acknowledgement, as the original's test framework does it.

use std::collections::HashMap;
use std::path::Path;

use mesos_messages::{internal, v0_scheduler};
use serde_json::{Value, json};

use super::{as_json, compare, message};
use crate::support::cluster::Cluster;
use crate::support::libprocess::{Arrived, Peer};
use crate::support::scheduler::user;
use crate::support::shape::Allowed;
use crate::support::{eventually, http, unique, wait_until};

const CAPTURE: &str = "v0_test_framework.txt";

struct Framework {
    peer: Peer,
    master: String,
    id: Value,
    agent_pid: String,
}

/// What the test framework of the original says about itself.
fn framework_info() -> Value {
    json!({"user": user(), "name": unique("v0"), "checkpoint": false, "hostname": "vm",
           "principal": "test", "roles": ["*"],
           "capabilities": [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]})
}

impl Framework {
    fn register(cluster: &Cluster) -> Framework {
        let id = format!("scheduler-{}", unique("5e22"));
        let mut framework = Framework {
            peer: Peer::listen(&id),
            master: format!("master@{}", cluster.master()),
            id: Value::Null,
            agent_pid: String::new(),
        };
        framework.call(json!({"type": "SUBSCRIBE", "subscribe": {
            "framework_info": framework_info(), "offer_constraints": {}}}));
        let registered = framework.peer.expect("mesos.internal.FrameworkRegisteredMessage");
        assert_eq!(registered.from, framework.master);
        compare::<internal::FrameworkRegisteredMessage>(&registered, CAPTURE, "/scheduler-", &[]);
        let registered = as_json(&registered.decode::<internal::FrameworkRegisteredMessage>());
        framework.id = registered["framework_id"].clone();
        assert_eq!(registered["master_info"]["pid"], framework.master);
        framework
    }

    fn call(&mut self, mut call: Value) {
        if !self.id.is_null() {
            call["framework_id"] = self.id.clone();
        }
        let call: v0_scheduler::Call = message(&call);
        self.peer.send(&self.master.clone(), "mesos.scheduler.Call", &call);
    }

    fn offer(&mut self) -> Value {
        let arrived = self.peer.expect("mesos.internal.ResourceOffersMessage");
        let offers: internal::ResourceOffersMessage = arrived.decode();
        assert_eq!(offers.offers.len(), offers.pids.len(), "one pid an offer");
        self.agent_pid = offers.pids[0].clone();
        as_json(&offers)["offers"][0].clone()
    }

    /// Launches a task whose executor only writes down its environment; the test
    /// plays the executor.
    fn launch(&mut self, offer: &Value, name: &str, environment: &Path) -> Value {
        let command =
            format!("env > {0}.new && mv {0}.new {0}; exec sleep 1000", environment.display());
        let resource = |name: &str, value: f64| {
            json!({"name": name, "type": "SCALAR", "scalar": {"value": value},
                   "allocation_info": {"role": "*"}})
        };
        let task = json!({"name": name, "task_id": {"value": name}, "agent_id": offer["agent_id"],
            "resources": [resource("cpus", 0.1), resource("mem", 64.0)],
            "executor": {"executor_id": {"value": "default"}, "name": "Test Executor (C++)",
                         "command": {"value": command}}});
        self.call(json!({"type": "ACCEPT", "accept": {
            "offer_ids": [offer["id"]], "filters": {},
            "operations": [{"type": "LAUNCH", "launch": {"task_infos": [task]}}]}}));
        task
    }

    /// The next update, which is acknowledged.
    fn update(&mut self, state: &str) -> Arrived {
        let arrived = self.peer.expect("mesos.internal.StatusUpdateMessage");
        let update = as_json(&arrived.decode::<internal::StatusUpdateMessage>());
        let status = &update["update"]["status"];
        assert_eq!(status["state"], state, "{update:#}");
        if !update["update"]["uuid"].is_null() {
            let agent_id = update["update"]["slave_id"].clone();
            self.call(json!({"type": "ACKNOWLEDGE", "acknowledge": {
                "slave_id": agent_id, "agent_id": agent_id, "task_id": status["task_id"],
                "uuid": update["update"]["uuid"]}}));
        }
        arrived
    }
}

/// The executor, played by the test with the environment of the real process.
struct Executor {
    peer: Peer,
    agent: String,
    framework_id: Value,
    executor_id: Value,
    agent_id: Value,
    environment: HashMap<String, String>,
}

impl Executor {
    fn register(environment: &Path) -> Executor {
        let text =
            eventually("the executor's process", || std::fs::read_to_string(environment).ok());
        let lines = text.lines().filter_map(|line| line.split_once('='));
        let environment: HashMap<String, String> =
            lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let id = |name: &str| json!({"value": environment[name]});
        let mut executor = Executor {
            peer: Peer::listen("executor(1)"),
            agent: environment["MESOS_SLAVE_PID"].clone(),
            framework_id: id("MESOS_FRAMEWORK_ID"),
            executor_id: id("MESOS_EXECUTOR_ID"),
            agent_id: id("MESOS_SLAVE_ID"),
            environment,
        };
        let register: internal::RegisterExecutorMessage = message(
            &json!({"framework_id": executor.framework_id, "executor_id": executor.executor_id}),
        );
        executor.send("mesos.internal.RegisterExecutorMessage", &register);
        executor
    }

    fn send(&mut self, name: &str, body: &impl prost::Message) {
        self.peer.send(&self.agent.clone(), name, body);
    }

    fn update(&mut self, task: &Value, state: &str) -> Vec<u8> {
        let uuid: Vec<u8> = (0..16).map(|n| n * 7 + state.len() as u8).collect();
        let mut update: internal::StatusUpdateMessage = message(&json!({
            "pid": self.peer.upid(),
            "update": {"framework_id": self.framework_id, "executor_id": self.executor_id,
                       "slave_id": self.agent_id, "timestamp": 1.0,
                       "status": {"task_id": task["task_id"], "state": state,
                                  "agent_id": self.agent_id, "source": "SOURCE_EXECUTOR"}}}));
        update.update.uuid = Some(uuid.clone().into());
        update.update.status.uuid = Some(uuid.clone().into());
        self.send("mesos.internal.StatusUpdateMessage", &update);
        uuid
    }
}

#[test]
fn the_exchange_of_the_original_step_by_step() {
    let cluster = Cluster::small();
    let environment = cluster.folder.path().join("environment");
    let mut framework = Framework::register(&cluster);
    let offer = framework.offer();
    let offers = framework.peer.seen.last().expect("the offers").clone();
    compare::<internal::ResourceOffersMessage>(&offers, CAPTURE, "/scheduler-", &[]);
    let task = framework.launch(&offer, "0", &environment);

    let mut executor = Executor::register(&environment);
    let registered = executor.peer.expect("mesos.internal.ExecutorRegisteredMessage");
    compare::<internal::ExecutorRegisteredMessage>(
        &registered,
        CAPTURE,
        "/executor(1)/",
        &[Allowed { path: ".slave_info.attributes", why: "the recorded agent had none" }],
    );
    let registered: internal::ExecutorRegisteredMessage = registered.decode();
    assert_eq!(registered.slave_info.checkpoint, Some(true));
    let run = executor.peer.expect("mesos.internal.RunTaskMessage");
    compare::<internal::RunTaskMessage>(&run, CAPTURE, "/executor(1)/", &[]);
    let run = as_json(&run.decode::<internal::RunTaskMessage>());
    assert_eq!(run["task"]["task_id"], task["task_id"]);
    assert_eq!(run["pid"], framework.peer.upid());

    for (state, last) in [("TASK_RUNNING", false), ("TASK_FINISHED", true)] {
        let uuid = executor.update(&task, state);
        let stored = executor.peer.expect("mesos.internal.StatusUpdateAcknowledgementMessage");
        compare::<internal::StatusUpdateAcknowledgementMessage>(
            &stored,
            CAPTURE,
            "/executor(1)/",
            &[],
        );
        let stored: internal::StatusUpdateAcknowledgementMessage = stored.decode();
        assert_eq!(stored.uuid, uuid, "the agent answers before the scheduler does");
        let told = framework.update(state);
        compare::<internal::StatusUpdateMessage>(&told, CAPTURE, "/scheduler-", &[]);
        let told: internal::StatusUpdateMessage = told.decode();
        assert_eq!(told.update.uuid.as_deref(), Some(uuid.as_slice()));
        assert_eq!(told.pid(), framework.agent_pid, "acknowledgements go to the agent");
        if last {
            wait_until("the task's end in the master", || {
                let state = cluster.state();
                state["frameworks"][0]["completed_tasks"][0]["id"] == task["task_id"]["value"]
            });
        }
    }
}

#[test]
fn messages_kills_reconciliation_and_the_end() {
    let cluster = Cluster::small();
    let environment = cluster.folder.path().join("environment");
    let mut framework = Framework::register(&cluster);
    let offer = framework.offer();
    let task = framework.launch(&offer, "0", &environment);
    let mut executor = Executor::register(&environment);
    executor.peer.expect("mesos.internal.RunTaskMessage");
    executor.update(&task, "TASK_RUNNING");
    framework.update("TASK_RUNNING");

    let ids = json!({"slave_id": offer["agent_id"], "framework_id": framework.id,
                     "executor_id": {"value": "default"}, "data": "cGluZw=="});
    let to_executor: internal::FrameworkToExecutorMessage = message(&ids);
    let agent = framework.agent_pid.clone();
    framework.peer.send(&agent, "mesos.internal.FrameworkToExecutorMessage", &to_executor);
    let arrived = executor.peer.expect("mesos.internal.FrameworkToExecutorMessage");
    let arrived: internal::FrameworkToExecutorMessage = arrived.decode();
    assert_eq!(arrived.data, b"ping"[..]);
    framework.call(json!({"type": "MESSAGE", "message": {
        "slave_id": offer["agent_id"], "agent_id": offer["agent_id"],
        "executor_id": {"value": "default"}, "data": "cGluZw=="}}));
    executor.peer.expect("mesos.internal.FrameworkToExecutorMessage");
    let to_framework: internal::ExecutorToFrameworkMessage = message(&ids);
    executor.send("mesos.internal.ExecutorToFrameworkMessage", &to_framework);
    let arrived = framework.peer.expect("mesos.internal.ExecutorToFrameworkMessage");
    assert_eq!(arrived.from, framework.agent_pid, "straight from the agent");

    framework.call(json!({"type": "RECONCILE", "reconcile": {
        "tasks": [{"task_id": task["task_id"]}]}}));
    let told = framework.update("TASK_RUNNING");
    let told: internal::StatusUpdateMessage = told.decode();
    assert_eq!(
        (told.update.uuid, told.pid),
        (None, Some("@0.0.0.0:0".to_owned())),
        "no process to acknowledge to"
    );

    framework.call(json!({"type": "KILL", "kill": {"task_id": task["task_id"]}}));
    let kill = executor.peer.expect("mesos.internal.KillTaskMessage");
    let kill: internal::KillTaskMessage = kill.decode();
    assert_eq!(kill.task_id.value, "0");
    executor.update(&task, "TASK_KILLED");
    framework.update("TASK_KILLED");

    framework.call(json!({"type": "TEARDOWN"}));
    let shutdown = executor.peer.expect("mesos.internal.ShutdownExecutorMessage");
    compare::<internal::ShutdownExecutorMessage>(&shutdown, CAPTURE, "/executor(1)/", &[]);
    wait_until("the end of the framework", || {
        http::get(cluster.master(), "/frameworks").json()["frameworks"] == json!([])
    });
}

#[test]
fn executors_find_the_documented_environment() {
    let cluster = Cluster::small();
    let environment = cluster.folder.path().join("environment");
    let mut framework = Framework::register(&cluster);
    let offer = framework.offer();
    framework.launch(&offer, "0", &environment);
    let executor = Executor::register(&environment);
    let found = |name: &str| executor.environment.get(name).map(String::as_str);
    assert_eq!(found("MESOS_SLAVE_PID"), Some(framework.agent_pid.as_str()));
    assert_eq!(found("MESOS_AGENT_ENDPOINT"), Some(cluster.agent().as_str()));
    assert_eq!(found("MESOS_CHECKPOINT"), Some("0"));
    assert_eq!(found("MESOS_EXECUTOR_ID"), Some("default"));
    for name in ["MESOS_SANDBOX", "MESOS_DIRECTORY"] {
        assert!(
            found(name).is_some_and(|path| path.contains("/runs/")),
            "{name}: {:?}",
            found(name)
        );
    }
    assert_eq!(found("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"), Some("5secs"));
    assert_eq!(found("LIBPROCESS_PORT"), Some("0"));
}

#[test]
fn a_scheduler_that_exits_is_removed() {
    let cluster = Cluster::small();
    let mut framework = Framework::register(&cluster);
    framework.offer();
    let listed = || http::get(cluster.master(), "/frameworks").json()["frameworks"].clone();
    assert_ne!(listed(), json!([]));
    // Its sockets close, and nothing listens at its address any more.
    framework.peer.exit();
    drop(framework);
    wait_until("the framework's end", || listed() == json!([]));
}
