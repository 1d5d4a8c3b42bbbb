//! Every endpoint of master and agent: with a running task, and on an empty master.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{assert_none, compare, exceptions, replay};
use crate::support::cluster::{Cluster, free_port, start_master};
use crate::support::golden::{self, Exchange};
use crate::support::scheduler::{Scheduler, scalar, user};
use crate::support::{eventually, http, wait_until};

/// The framework that was recorded: the original's `mesos-execute`.
fn mesos_execute() -> Value {
    let kinds =
        ["RESERVATION_REFINEMENT", "TASK_KILLING_STATE", "REVOCABLE_RESOURCES", "PARTITION_AWARE"];
    let capabilities: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    json!({"user": user(), "name": "mesos-execute instance", "capabilities": capabilities,
           "role": "*", "checkpoint": false})
}

fn launch(scheduler: &mut Scheduler, command: &str) -> Value {
    let offer = scheduler.offer();
    let task = json!({"name": "t", "task_id": {"value": "t"}, "agent_id": offer["agent_id"],
                      "resources": [scalar(&offer, "cpus", 0.5), scalar(&offer, "mem", 32.0)],
                      "command": {"value": command, "shell": true}});
    scheduler.launch(&offer, std::slice::from_ref(&task));
    task
}

/// As recorded: one framework has come and gone, another one runs a task.
fn situation(cluster: &Cluster) -> (Scheduler, String) {
    let mut first = Scheduler::subscribe(cluster.master(), &mesos_execute());
    let task = launch(&mut first, "echo hi");
    first.status(&task, "TASK_FINISHED");
    first.teardown();
    let sandbox = eventually("the completed executor's sandbox", || {
        let state = http::get(&cluster.agent(), "/state").json();
        let executor = &state["completed_frameworks"][0]["completed_executors"][0];
        executor["directory"].as_str().map(str::to_owned)
    });
    let mut second = Scheduler::subscribe(cluster.master(), &mesos_execute());
    let task = launch(&mut second, "echo hi; sleep 1000");
    second.status(&task, "TASK_RUNNING");
    second.accepted(json!({"type": "SUPPRESS"}));
    wait_until("no offers", || {
        let offers = cluster.state()["frameworks"][0]["offers"].clone();
        let offers = offers.as_array().cloned().unwrap_or_default();
        offers.iter().for_each(|offer| second.decline(&json!({"value": offer["id"]})));
        offers.is_empty()
    });
    (second, sandbox)
}

/// The first part of the recorded sandbox path, up to the container's run.
fn recorded_sandbox(exchanges: &[Exchange]) -> String {
    let browse = exchanges.iter().find(|e| e.name == "agent_GET_files_browse_sandbox");
    let target = &browse.expect("the recorded sandbox").target;
    target.split_once("path=").expect("a path").1.to_owned()
}

#[test]
fn with_a_running_task() {
    let Some(folder) = golden::folder() else { return };
    let exchanges = golden::exchanges(&folder.join("http_running"));
    assert!(exchanges.len() > 100, "found {}", exchanges.len());
    let cluster = Cluster::small();
    let (_scheduler, sandbox) = situation(&cluster);
    let recorded = recorded_sandbox(&exchanges);
    let replace = [(recorded.as_str(), sandbox)];
    let mut differences = BTreeMap::new();
    for exchange in exchanges.iter().filter(|e| !exceptions::skipped(&e.name)) {
        let address = if exchange.to_agent { cluster.agent() } else { cluster.master().to_owned() };
        let found = compare(exchange, &replay(exchange, &address, &replace));
        if !found.is_empty() {
            differences.insert(exchange.name.clone(), found);
        }
    }
    assert_none(&differences);
}

#[test]
fn on_an_empty_master() {
    let Some(folder) = golden::folder() else { return };
    let exchanges = golden::exchanges(&folder.join("http_empty_master"));
    let work = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let _master = start_master(port, &work.path().join("work"), work.path());
    let address = format!("127.0.0.1:{port}");
    http::wait_for_health(&address);
    let mut differences = BTreeMap::new();
    let to_master = exchanges.iter().filter(|e| !e.to_agent && !exceptions::skipped(&e.name));
    for exchange in to_master {
        let found = compare(exchange, &replay(exchange, &address, &[]));
        if !found.is_empty() {
            differences.insert(exchange.name.clone(), found);
        }
    }
    assert_none(&differences);
}

/// Writes of the operator: refused as the original refuses them, or 501.
#[test]
fn writes_pretend_nothing() {
    let Some(folder) = golden::folder() else { return };
    let exchanges = golden::exchanges(&folder.join("op_writes"));
    let cluster = Cluster::small();
    let mut differences = BTreeMap::new();
    for exchange in exchanges.iter().filter(|e| e.body.first() == Some(&b'{')) {
        let address = if exchange.to_agent { cluster.agent() } else { cluster.master().to_owned() };
        let ours = replay(exchange, &address, &[]);
        let same_error = ours.status == exchange.answer.status && ours.status >= 400;
        // The container could not be launched, and so is not there to wait for.
        let is_wait = exchange.name.contains("WAIT_CONTAINER") && ours.status == 404;
        let is_read = exchange.name.contains("GET_") || exchange.name.contains("SET_LOGGING_LEVEL");
        let fine = [ours.status == 501, same_error, is_wait, is_read && ours.status == 200];
        if !fine.contains(&true) {
            let found =
                format!("{}, originally {}: {}", ours.status, exchange.answer.status, ours.text());
            differences.insert(exchange.name.clone(), vec![found]);
        }
    }
    assert_none(&differences);
}
