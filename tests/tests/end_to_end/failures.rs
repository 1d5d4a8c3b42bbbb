//! Kills and restarts: what ran keeps running, what must end ends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Separate};
use crate::support::processes::{self, Process};
use crate::support::scheduler::{Scheduler, framework, subscribe_request};
use crate::support::{eventually, http, wait_until};

/// The one process of a task that runs `exec sleep ...`, which works in its sandbox.
fn sleeper(folder: &std::path::Path) -> Process {
    eventually("the task's process", || {
        let found = processes::of_folder(folder);
        found.into_iter().find(|process| process.command.starts_with("sleep "))
    })
}

fn sleepers(folder: &std::path::Path) -> usize {
    let found = processes::of_folder(folder);
    found.iter().filter(|process| process.command.starts_with("sleep ")).count()
}

/// Subscribes again as the same framework, as soon as the master takes it.
fn resubscribe(master: &str, framework: &Value, id: &Value) -> Scheduler {
    let mut framework = framework.clone();
    framework["id"] = id.clone();
    // A starting master refuses, or answers 503 while it recovers.
    wait_until("the master to take subscriptions", || {
        let Some(answer) = http::try_get(master, "/state") else { return false };
        answer.status == 200 && !answer.json()["elected_time"].is_null()
    });
    Scheduler::subscribe(master, &framework)
}

#[test]
fn a_killed_cluster_keeps_its_tasks() {
    let mut cluster = Cluster::small();
    let info = framework();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &info);
    let task = scheduler.run("exec sleep 1000");
    scheduler.status(&task, "TASK_RUNNING");
    let process = sleeper(cluster.folder.path());
    let cluster_id = cluster.state()["id"].clone();
    let agent_id = cluster.state()["slaves"][0]["id"].clone();

    cluster.kill();
    assert!(processes::still_runs(&process), "tasks outlive the cluster's process");
    cluster.start_again();
    assert!(processes::still_runs(&process), "recovery leaves tasks alone");
    let state = cluster.state();
    assert_ne!(state["id"], cluster_id, "a new master has a new id, as in the original");
    assert_eq!(state["slaves"][0]["id"], agent_id, "the agent is the same");

    let mut scheduler = resubscribe(cluster.master(), &info, &scheduler.framework_id);
    scheduler.accepted(json!({"type": "RECONCILE", "reconcile": {
        "tasks": [{"task_id": task["task_id"], "agent_id": task["agent_id"]}]}}));
    let status = scheduler.status(&task, "TASK_RUNNING");
    assert_eq!(status["reason"], "REASON_RECONCILIATION");
    scheduler.kill(&task);
    scheduler.status(&task, "TASK_KILLED");
    wait_until("the task's end", || !processes::still_runs(&process));
    let more = scheduler.run("true");
    scheduler.status(&more, "TASK_FINISHED");
}

#[test]
fn a_task_that_ends_while_the_cluster_is_down_is_reported() {
    let mut cluster = Cluster::small();
    let info = framework();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &info);
    let task = scheduler.run("while ! test -e end; do sleep 0.1; done; exit 7");
    scheduler.status(&task, "TASK_RUNNING");
    let sandbox = eventually("the sandbox", || {
        let found = processes::of_folder(cluster.folder.path());
        let shell = found.into_iter().find(|process| process.command.contains("test -e end"))?;
        std::fs::read_link(format!("/proc/{}/cwd", shell.pid)).ok()
    });
    cluster.kill();
    std::fs::write(sandbox.join("end"), "").expect("a file in the sandbox");
    std::thread::sleep(Duration::from_millis(500));
    cluster.start_again();
    let mut scheduler = resubscribe(cluster.master(), &info, &scheduler.framework_id);
    let status = scheduler.status(&task, "TASK_FAILED");
    assert_eq!(status["message"], "Command exited with status 7");
}

#[test]
fn a_killed_agent_recovers_its_executors_untouched() {
    let mut cluster = Separate::start();
    let info = framework();
    let mut scheduler = Scheduler::subscribe(&cluster.master_address(), &info);
    let task = scheduler.run("exec sleep 1000");
    scheduler.status(&task, "TASK_RUNNING");
    let process = sleeper(cluster.folder.path());
    for _ in 0..3 {
        cluster.agent.as_mut().expect("an agent").kill();
        assert!(processes::still_runs(&process));
        cluster.start_agent();
        cluster.wait_for_agent();
        assert!(processes::still_runs(&process), "recovery leaves executors alone");
    }
    let containers = eventually("the container", || {
        let containers = http::get(&cluster.agent_address(), "/containers").json();
        containers.as_array().is_some_and(|list| list.len() == 1).then_some(containers)
    });
    assert_eq!(containers[0]["executor_id"], task["task_id"]["value"]);
    scheduler.kill(&task);
    scheduler.status(&task, "TASK_KILLED");
    wait_until("the task's end", || !processes::still_runs(&process));
    let more = scheduler.run("true");
    scheduler.status(&more, "TASK_FINISHED");
}

#[test]
fn an_update_survives_a_killed_agent() {
    let mut cluster = Separate::start();
    let mut scheduler = Scheduler::subscribe(&cluster.master_address(), &framework());
    scheduler.acknowledges = false;
    let task = scheduler.run("exec sleep 1000");
    let first = scheduler.status(&task, "TASK_STARTING");
    cluster.agent.as_mut().expect("an agent").kill();
    cluster.start_agent();
    let again = scheduler.status(&task, "TASK_STARTING");
    assert_eq!(again["uuid"], first["uuid"], "unacknowledged, therefore sent again");
    scheduler.acknowledges = true;
    scheduler.accepted(json!({"type": "ACKNOWLEDGE", "acknowledge": {
        "agent_id": again["agent_id"], "task_id": again["task_id"], "uuid": again["uuid"]}}));
    scheduler.status(&task, "TASK_RUNNING");
}

#[test]
fn agents_come_back_to_a_restarted_master() {
    let mut cluster = Separate::start();
    let info = framework();
    let mut scheduler = Scheduler::subscribe(&cluster.master_address(), &info);
    let task = scheduler.run("exec sleep 1000");
    scheduler.status(&task, "TASK_RUNNING");
    let process = sleeper(cluster.folder.path());
    cluster.master.as_mut().expect("a master").kill();
    cluster.start_master();
    // The original takes 75 s, until it misses the pings; PATIENCE is less.
    cluster.wait_for_agent();
    assert!(processes::still_runs(&process));
    let mut scheduler = resubscribe(&cluster.master_address(), &info, &scheduler.framework_id);
    scheduler.accepted(json!({"type": "RECONCILE", "reconcile": {"tasks": []}}));
    let status = scheduler.status(&task, "TASK_RUNNING");
    assert_eq!(status["reason"], "REASON_RECONCILIATION");
    scheduler.kill(&task);
    scheduler.status(&task, "TASK_KILLED");
}

#[test]
fn a_scheduler_fails_over_within_its_time() {
    let cluster = Cluster::small();
    let info = framework();
    let mut first = Scheduler::subscribe(cluster.master(), &info);
    let task = first.run("exec sleep 1000");
    first.status(&task, "TASK_RUNNING");
    let mut second = resubscribe(cluster.master(), &info, &first.framework_id);
    let error = first.wait("the old stream's end", |event| event["type"] == "ERROR");
    assert_eq!(error["error"]["message"], "Framework failed over");
    let refused = first.call(json!({"type": "REVIVE"}));
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("didn't match the stream ID"), "{}", refused.text());
    second.kill(&task);
    second.status(&task, "TASK_KILLED");
}

#[test]
fn a_scheduler_that_stays_away_loses_its_tasks() {
    let cluster = Cluster::small();
    let mut info = framework();
    info["failover_timeout"] = json!(0.0);
    let mut scheduler = Scheduler::subscribe(cluster.master(), &info);
    let task = scheduler.run("exec sleep 1000");
    scheduler.status(&task, "TASK_RUNNING");
    let process = sleeper(cluster.folder.path());
    scheduler.disconnect();
    wait_until("the task's end", || !processes::still_runs(&process));
    wait_until("the framework's end", || {
        http::get(cluster.master(), "/frameworks").json()["frameworks"] == json!([])
    });
    let mut info = info.clone();
    info["id"] = scheduler.framework_id.clone();
    let stream = http::Connection::open(cluster.master())
        .stream(&subscribe_request(cluster.master(), &info));
    let mut said = None;
    crate::support::scheduler::for_each_record(stream, |event| {
        said = Some(event);
        false
    });
    let said = said.expect("an event");
    assert_eq!(said["error"]["message"], "Framework has been removed");
}

#[test]
fn nothing_outlives_its_container() {
    let cluster = Cluster::small();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &framework());
    // Orphans, an own session, a double fork, a process that ignores every
    // polite signal, and descendants that go on forking.
    let script = "(sleep 1000 &) ; setsid sleep 1001 & \
                  sh -c 'trap \"\" TERM INT HUP; sleep 1002; sleep 1003' & \
                  setsid sh -c 'setsid sleep 1004 & setsid sleep 1005 & exit' & \
                  i=0; while [ $i -lt 40 ]; do setsid sh -c 'sleep 1006 & sleep 1007 & wait' & \
                  i=$((i+1)); done; sleep 1008";
    let task = scheduler.run(script);
    scheduler.status(&task, "TASK_RUNNING");
    wait_until("the processes", || sleepers(cluster.folder.path()) > 80);
    scheduler.kill(&task);
    scheduler.status(&task, "TASK_KILLED");
    wait_until("the end of all", || sleepers(cluster.folder.path()) == 0);
}

#[test]
fn a_task_that_ends_takes_its_orphans_along() {
    let cluster = Cluster::small();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &framework());
    let task = scheduler.run("(setsid sleep 1000 &) ; (setsid setsid sleep 1001 &) ; sleep 0.2");
    scheduler.status(&task, "TASK_FINISHED");
    wait_until("the end of all", || sleepers(cluster.folder.path()) == 0);
}

#[test]
fn a_killed_executor_is_reported_and_cleaned_up() {
    let cluster = Cluster::small();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &framework());
    let task = scheduler.run("exec sleep 1000");
    let status = scheduler.status(&task, "TASK_RUNNING");
    let process = sleeper(cluster.folder.path());
    let executor = status["container_status"]["executor_pid"].as_i64().expect("a pid");
    processes::signal(i32::try_from(executor).expect("a pid"), nix::sys::signal::Signal::SIGKILL);
    let status = scheduler.status(&task, "TASK_FAILED");
    assert_eq!(status["source"], "SOURCE_AGENT", "{status:#}");
    // The original may leave the task behind.
    wait_until("the task's end", || !processes::still_runs(&process));
}
