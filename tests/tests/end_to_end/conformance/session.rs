//! The recorded session of a v1 scheduler: the same calls in the same order, the
//! same answers and the same events.

use std::path::Path;

use serde_json::{Value, json};

use super::compare_headers;
use crate::support::cluster::Cluster;
use crate::support::golden;
use crate::support::http::{self, Response};
use crate::support::scheduler::{Scheduler, bare_task, command_task, user};
use crate::support::shape::{self, Allowed};

struct Session {
    scheduler: Scheduler,
    folder: std::path::PathBuf,
    recorded: Vec<Value>,
    problems: Vec<String>,
}

fn recorded_events(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("events.jsonl")).expect("recorded events");
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // Some recordings wrap each event with its time.
    events
        .map(|event| if event["event"].is_object() { event["event"].clone() } else { event })
        .collect()
}

impl Session {
    /// Compares our answer to a call with the recorded one.
    fn answer(&mut self, file: &str, ours: &Response) {
        let theirs = golden::exchange(&self.folder.join(format!("{file}.http"))).answer;
        if theirs.status != ours.status {
            self.problems.push(format!(
                "{file}: {}, should be {}: {}",
                ours.status,
                theirs.status,
                ours.text()
            ));
            return;
        }
        let headers = compare_headers(&theirs, ours);
        self.problems.extend(headers.into_iter().map(|line| format!("{file}: {line}")));
        // The text names the stream and the framework.
        let about_streams = |answer: &Response| answer.text().starts_with("The stream ID");
        let same = theirs.body == ours.body || (about_streams(&theirs) && about_streams(ours));
        if !same {
            self.problems.push(format!("{file}: {:?}, should be {:?}", ours.text(), theirs.text()));
        }
    }

    fn call(&mut self, file: &str, call: Value) {
        let ours = self.scheduler.call(call);
        self.answer(file, &ours);
    }

    /// Compares an event of ours with the first recorded one that `wanted` accepts.
    fn event(&mut self, what: &str, wanted: impl Fn(&Value) -> bool, allowed: &[Allowed]) -> Value {
        let ours = self.scheduler.wait(what, &wanted);
        let theirs = self.recorded.iter().find(|event| wanted(event)).cloned();
        let theirs = theirs.unwrap_or_else(|| panic!("{what} was not recorded"));
        let found = shape::differences(&theirs, &ours, allowed);
        self.problems.extend(found.into_iter().map(|line| format!("{what}: {line}")));
        ours
    }

    fn update(&mut self, state: &str) -> Value {
        let allowed = [Allowed { path: ".update.status.labels", why: "never set" }];
        let event =
            self.event(state, |event| event["update"]["status"]["state"] == state, &allowed);
        event["update"]["status"].clone()
    }

    /// The update's message must be the recorded one, word for word.
    fn update_says(&mut self, state: &str, replace: &[(&str, &str)]) {
        let status = self.update(state);
        let said = status["message"].as_str().unwrap_or_default();
        let recorded = self.recorded.iter().find(|e| e["update"]["status"]["state"] == state);
        let theirs =
            recorded.and_then(|e| e["update"]["status"]["message"].as_str()).unwrap_or_default();
        let theirs = replace.iter().fold(theirs.to_owned(), |text, (a, b)| text.replace(a, b));
        if said != theirs {
            self.problems.push(format!("{state} says {said:?}, should say {theirs:?}"));
        }
    }
}

fn accept(offer: &Value, tasks: &[Value]) -> Value {
    json!({"type": "ACCEPT", "accept": {"offer_ids": [offer["id"]], "filters": {"refuse_seconds": 0.0},
           "operations": [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]}})
}

#[test]
fn of_a_v1_scheduler() {
    let Some(folder) = golden::folder() else { return };
    let folder = folder.join("v1_scheduler");
    let cluster = Cluster::small();
    let info = json!({"user": user(), "name": "golden-v1", "roles": ["*"], "failover_timeout": 60.0,
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}]});
    let scheduler = Scheduler::subscribe(cluster.master(), &info);
    let recorded = recorded_events(&folder);
    let mut session = Session { scheduler, folder, recorded, problems: Vec::new() };
    let head = session.scheduler.head.clone();
    assert_eq!(head.header("content-type"), Some("application/json"));
    launches(&mut session);
    answers_about_unknown_tasks(&mut session);
    offers_filters_and_the_rest(&mut session);
    malformed_calls(&mut session);
    session.call("call_36_TEARDOWN", json!({"type": "TEARDOWN"}));
    assert!(
        session.problems.is_empty(),
        "{} problems:\n{}",
        session.problems.len(),
        session.problems.join("\n")
    );
}

fn offer(session: &mut Session) -> Value {
    let allowed = [
        Allowed { path: ".offers.offers[].attributes", why: "the recorded agent had none" },
        Allowed { path: ".offers.offers[].executor_ids", why: "none ran then" },
    ];
    let event = session.event("OFFERS", |event| event["type"] == "OFFERS", &allowed);
    event["offers"]["offers"][0].clone()
}

fn launches(session: &mut Session) {
    let first = offer(session);
    session.call("call_01_ACCEPT", accept(&first, &[command_task(&first, "echo hi; sleep 0.2")]));
    for state in ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"] {
        session.update(state);
    }
    let next = offer(session);
    session.call("call_05_ACCEPT_exit3", accept(&next, &[command_task(&next, "exit 3")]));
    session.update("TASK_STARTING");
    session.update("TASK_RUNNING");
    session.update_says("TASK_FAILED", &[]);
    let next = offer(session);
    let task = command_task(&next, "sleep 100");
    session.call("call_09_ACCEPT_kill", accept(&next, std::slice::from_ref(&task)));
    session.update("TASK_STARTING");
    session.update("TASK_RUNNING");
    let kill =
        json!({"type": "KILL", "kill": {"task_id": task["task_id"], "agent_id": next["agent_id"]}});
    session.call("call_12_KILL", kill);
    session.update_says("TASK_KILLED", &[]);

    let next = offer(session);
    let mut big = bare_task(&next);
    big["command"] = json!({"value": "true"});
    big["resources"][0]["scalar"]["value"] = json!(1_000_000.0);
    session.call("call_14_ACCEPT_toobig", accept(&next, &[big]));
    let status = session.update("TASK_ERROR");
    let said = status["message"].as_str().unwrap_or_default();
    let start = "Total resources cpus(allocated: *):1000000; mem(allocated: *):32 required by task and its executor is more than available ";
    if !said.starts_with(start) {
        session.problems.push(format!("TASK_ERROR says {said:?}"));
    }
    let mut late = command_task(&next, "true");
    late["name"] = json!("late");
    session.call("call_15_ACCEPT_badoffer", accept(&json!({"id": {"value": "nope-O1"}}), &[late]));
    session.update_says("TASK_DROPPED", &[]);
}

fn answers_about_unknown_tasks(session: &mut Session) {
    let agent_id = offer(session)["agent_id"].clone();
    session.call(
        "call_16_RECONCILE",
        json!({"type": "RECONCILE", "reconcile": {"tasks": [
        {"task_id": {"value": "unknown-task"}, "agent_id": agent_id},
        {"task_id": {"value": "unk2"}},
        {"task_id": {"value": "unk3"}, "agent_id": {"value": "no-such-agent"}}]}}),
    );
    session.update_says("TASK_GONE", &[]);
    for id in ["unk2", "unk3"] {
        let wanted = |event: &Value| event["update"]["status"]["task_id"]["value"] == id;
        session.event(id, wanted, &[]);
    }
    session.call(
        "call_17_RECONCILE_implicit",
        json!({"type": "RECONCILE", "reconcile": {"tasks": []}}),
    );
    session.call(
        "call_18_KILL_unknown",
        json!({"type": "KILL", "kill": {"task_id": {"value": "unknown-task"}}}),
    );
    session.update_says("TASK_UNKNOWN", &[]);
}

fn offers_filters_and_the_rest(session: &mut Session) {
    let agent_id = json!({"value": "no-such-agent"});
    session.call("call_21_SUPPRESS", json!({"type": "SUPPRESS", "suppress": {}}));
    session.call("call_22_REVIVE", json!({"type": "REVIVE", "revive": {}}));
    session.call("call_25_REQUEST", json!({"type": "REQUEST", "request": {"requests": []}}));
    session.call(
        "call_26_MESSAGE",
        json!({"type": "MESSAGE", "message": {
        "agent_id": agent_id, "executor_id": {"value": "nope"}, "data": "aGk="}}),
    );
    session.call(
        "call_27_SHUTDOWN",
        json!({"type": "SHUTDOWN", "shutdown": {
        "executor_id": {"value": "nope"}, "agent_id": agent_id}}),
    );
    let renamed = json!({"user": user(), "name": "golden-v1-renamed", "roles": ["*"],
        "id": session.scheduler.framework_id, "failover_timeout": 60.0,
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}]});
    session.call(
        "call_28_UPDATE_FRAMEWORK",
        json!({
        "type": "UPDATE_FRAMEWORK", "update_framework": {"framework_info": renamed}}),
    );
    let bad =
        json!({"user": "other", "name": "x", "roles": ["*"], "id": session.scheduler.framework_id});
    session.call(
        "call_29_UPDATE_FRAMEWORK_bad",
        json!({
        "type": "UPDATE_FRAMEWORK", "update_framework": {"framework_info": bad}}),
    );
}

fn malformed_calls(session: &mut Session) {
    session.call("call_30_REVIVE_nopayload", json!({"type": "REVIVE"}));
    session.call("call_31_DECLINE_nopayload", json!({"type": "DECLINE"}));
    session.call("call_32_ACCEPT_nopayload", json!({"type": "ACCEPT"}));
    session.call(
        "call_33_ACKNOWLEDGE_baduuid",
        json!({"type": "ACKNOWLEDGE", "acknowledge": {
        "agent_id": {"value": "x"}, "task_id": {"value": "x"}, "uuid": "bm90LWEtdXVpZA=="}}),
    );
    session.call(
        "call_34_ACCEPT_empty",
        json!({
        "type": "ACCEPT", "accept": {"offer_ids": [], "operations": []}}),
    );
    session.call("call_35_UNKNOWN_TYPE", json!({"type": "RESERVE_BOGUS"}));
    let revive =
        json!({"type": "REVIVE", "framework_id": session.scheduler.framework_id}).to_string();
    let master = session.scheduler.master.clone();
    let target = "/api/v1/scheduler";
    let missing = http::send(&master, "POST", target, &http::JSON, revive.as_bytes());
    session.answer("err_missing_stream_id", &missing);
    let headers =
        [http::JSON[0], http::JSON[1], ("Mesos-Stream-Id", "e6b7244e-10bc-4256-be25-b1e541914f8d")];
    let wrong = http::send(&master, "POST", target, &headers, revive.as_bytes());
    session.answer("err_wrong_stream_id", &wrong);
}
