//! The recorded answers of the original, given again from the same state.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::{
    State,
    permissions::{MESSAGES, OPERATOR, TABLE},
    routes,
};
use crate::{
    AgentConfig,
    checkpoint::Run,
    core::{
        Counters, ExecutorState, ExecutorView, FrameworkView, GcView, Snapshot, State as AgentState,
    },
    shell::{Event, Handle, streams::Streams, testing::FakeRuntime},
};
use http_kit::{Body, Reply, Request, Response, Routes, Service, files::VirtualFiles};
use libprocess::{
    Upid,
    server::{Inlet, InletConfig},
};
use mesos_messages::{json::JsonMessage, v1};
use prost::Message;
use serde_json::Value;
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The recordings; none where they are not at hand.
fn golden(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("DAIS_GOLDEN").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden")
    });
    let path = folder.join("mesos/http_running").join(name);
    let found = std::fs::read(&path).ok();
    if found.is_none() {
        println!("skipped: {} is absent", path.display());
    }
    found
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

/// What the recorded agent held, put together from its own answers.
fn recorded() -> Option<Snapshot> {
    let state = json(&golden("agent_v1_GET_STATE.json")?)["get_state"].clone();
    let classic = json(&golden("agent_GET_state.json")?);
    let agent = json(&golden("agent_v1_GET_AGENT.json")?)["get_agent"]["agent_info"].clone();
    let framework = |info: &Value, classic: &Value, completed: bool| {
        let key = if completed { "completed_executors" } else { "executors" };
        let shown = &state["get_executors"][key][0]["executor_info"];
        let info = v1::FrameworkInfo::from_json(&info["framework_info"]).unwrap();
        let id = info.id.clone().unwrap().value;
        let tasks = |list: &str| -> Vec<Arc<v1::Task>> {
            let all = state["get_tasks"][list].as_array().unwrap();
            all.iter()
                .map(|task| Arc::new(v1::Task::from_json(task).unwrap()))
                .filter(|task| task.framework_id.value == id)
                .collect()
        };
        let view = ExecutorView {
            info: Arc::new(v1::ExecutorInfo::from_json(shown).unwrap()),
            run: Arc::new(Run {
                framework_id: id.clone(),
                executor_id: "t".into(),
                container_id: classic[key][0]["container"].as_str().unwrap().into(),
            }),
            directory: classic[key][0]["directory"].as_str().unwrap().into(),
            state: if completed { ExecutorState::Terminated } else { ExecutorState::Running },
            generated: true,
            pid: Some(26116),
            queued: Vec::new(),
            launched: tasks("launched_tasks"),
            terminated: tasks("terminated_tasks"),
            completed: Vec::new(),
        };
        let mut framework = FrameworkView {
            info: Arc::new(info),
            pid: None,
            executors: Vec::new(),
            completed_executors: Vec::new(),
        };
        if completed {
            framework.completed_executors.push(Arc::new(view));
        } else {
            framework.executors.push(view);
        }
        framework
    };
    let frameworks = &state["get_frameworks"];
    Some(Snapshot {
        state: AgentState::Running,
        info: Arc::new(v1::AgentInfo::from_json(&agent).unwrap()),
        master: Arc::from("master@localhost:5050"),
        frameworks: vec![framework(&frameworks["frameworks"][0], &classic["frameworks"][0], false)],
        completed_frameworks: vec![framework(
            &frameworks["completed_frameworks"][0],
            &classic["completed_frameworks"][0],
            true,
        )],
        counters: Counters::default(),
        drain: None,
        gc: GcView { max_allowed_age: Duration::from_secs(1), ..GcView::default() },
    })
}

/// An agent that always shows the same.
fn serve(snapshot: Snapshot) -> Routes {
    let dir = std::env::temp_dir();
    let mut config = AgentConfig::new("127.0.0.1:5050", dir);
    config.port = 5051;
    let (runtime, _) = FakeRuntime::new();
    if let Some(containers) = golden("agent_v1_GET_CONTAINERS.json") {
        let shown = json(&containers)["get_containers"]["containers"][0].clone();
        *runtime.statistics.lock().unwrap() =
            v1::ResourceStatistics::from_json(&shown["resource_statistics"]).ok();
        *runtime.status.lock().unwrap() =
            v1::ContainerStatus::from_json(&shown["container_status"]).ok();
    }
    let (inbox, mut events) = mpsc::channel(16);
    let snapshot = Arc::new(snapshot);
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            match event {
                Event::Snapshot(reader) => drop(reader.send(Arc::clone(&snapshot))),
                Event::Call(_, call, answer) => {
                    // The core's own answers are tested with the core.
                    let text = if call.framework_id.value == "f" { "Framework" } else { "?" };
                    let text = format!("{text} cannot be found");
                    drop(answer.send(crate::core::Answer::Refused(400, text)));
                }
                Event::Input(_) => {}
            }
        }
    });
    let upid = Upid::new("slave(1)", SocketAddr::from(([127, 0, 0, 1], 5051)));
    let state = State::new(
        Arc::new(config),
        Handle { inbox },
        runtime,
        Arc::new(Streams::default()),
        Arc::default(),
        VirtualFiles::default(),
        upid,
    );
    let (queue, _) = mpsc::channel(1);
    routes(&state, Inlet::new(InletConfig::default(), |_| true, queue))
}

async fn send(routes: &Routes, request: Request) -> Response {
    match routes.call(request, SocketAddr::from(([127, 0, 0, 1], 40_000))) {
        Reply::Now(response) => response,
        Reply::Later(future) => future.await,
    }
}

async fn bytes(response: Response) -> Vec<u8> {
    response.into_body().collect_all().await.unwrap().to_vec()
}

async fn call(routes: &Routes, body: &str, accept: &str) -> Response {
    let request = http::Request::post("/api/v1")
        .header("content-type", "application/json")
        .header("accept", accept)
        .body(Body::from(body.to_owned()))
        .unwrap();
    send(routes, request).await
}

/// Facts of the build, the machine and the moment, which are ours.
fn without_ours(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| {
                let ours = name.starts_with("build_")
                    || name.starts_with("git_")
                    || matches!(name.as_str(), "version" | "flags" | "log_dir" | "start_time");
                !ours && name != "timestamp"
            });
            members.values_mut().for_each(without_ours);
        }
        Value::Array(list) => list.iter_mut().for_each(without_ours),
        _ => {}
    }
}

fn assert_same(what: &str, ours: &[u8], theirs: &[u8]) {
    let (mut ours, mut theirs) = (json(ours), json(theirs));
    without_ours(&mut ours);
    without_ours(&mut theirs);
    assert_eq!(ours, theirs, "{what}");
}

#[tokio::test]
async fn classic_reads_are_the_recorded_ones() {
    let Some(snapshot) = recorded() else { return };
    let routes = serve(snapshot);
    for (file, path) in [
        ("agent_GET_state.json", "/state"),
        ("agent_GET_slave(1)_state.json", "/slave(1)/state"),
        ("agent_GET_slave(1)_state.json", "/slave%281%29/state"),
        ("agent_GET_containers.json", "/containers"),
        ("agent_GET_containers_q_show_nested-true.json", "/containers?show_nested=true"),
        ("agent_GET_monitor_statistics.json", "/monitor/statistics"),
        ("agent_GET_slave(1)_monitor_statistics.json", "/slave(1)/monitor/statistics"),
        ("agent_GET_containerizer_debug.json", "/containerizer/debug"),
        ("agent_GET_version.json", "/version"),
    ] {
        let theirs = golden(file).unwrap();
        let response = send(&routes, http::Request::get(path).body(Body::Empty).unwrap()).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json", "{path}");
        assert_same(path, &bytes(response).await, &theirs);
    }
}

#[tokio::test]
async fn v1_reads_are_the_recorded_ones() {
    let Some(snapshot) = recorded() else { return };
    let routes = serve(snapshot);
    for kind in [
        "GET_STATE",
        "GET_TASKS",
        "GET_EXECUTORS",
        "GET_FRAMEWORKS",
        "GET_AGENT",
        "GET_CONTAINERS",
        "GET_HEALTH",
        "GET_VERSION",
        "GET_LOGGING_LEVEL",
        "GET_OPERATIONS",
        "GET_RESOURCE_PROVIDERS",
    ] {
        let theirs = golden(&format!("agent_v1_{kind}.json")).unwrap();
        let body = format!(r#"{{"type":"{kind}"}}"#);
        let response = call(&routes, &body, "application/json").await;
        assert_eq!(response.status(), 200, "{kind}");
        let ours = bytes(response).await;
        assert_same(kind, &ours, &theirs);
        // The same in protobuf.
        let response = call(&routes, &body, "application/x-protobuf").await;
        assert_eq!(response.headers()["content-type"], "application/x-protobuf");
        let decoded = v1::agent::Response::decode(&*bytes(response).await).unwrap();
        let from_json = v1::agent::Response::from_json(&json(&ours)).unwrap();
        let (mut decoded, mut from_json) = (decoded, from_json);
        for answer in [&mut decoded, &mut from_json] {
            answer.get_version = None;
        }
        assert_eq!(decoded, from_json, "{kind}");
    }
}

#[tokio::test]
async fn metrics_and_flags_have_the_recorded_names() {
    let Some(snapshot) = recorded() else { return };
    let routes = serve(snapshot);
    let get = |path: &str| http::Request::get(path).body(Body::Empty).unwrap();
    let ours = json(&bytes(send(&routes, get("/metrics/snapshot")).await).await);
    let theirs = json(&golden("agent_GET_metrics_snapshot.json").unwrap());
    for (name, value) in theirs.as_object().unwrap() {
        assert!(ours[name].is_f64(), "{name} is missing");
        // What follows from the recorded state is the same number.
        let counted = ["_used", "_percent", "_total", "tasks_running", "executors_running"];
        if name.starts_with("slave/") && counted.iter().any(|end| name.ends_with(end)) {
            let apart = ours[name].as_f64().unwrap() - value.as_f64().unwrap();
            assert!(apart.abs() < 1e-9, "{name}: {} and {value}", ours[name]);
        }
    }
    let ours = json(&bytes(send(&routes, get("/flags")).await).await);
    let theirs = json(&golden("agent_GET_flags.json").unwrap());
    for (name, value) in ours["flags"].as_object().unwrap() {
        assert!(value.is_string(), "{name}");
    }
    for name in ["work_dir", "master", "port", "launcher", "gc_delay", "recover"] {
        assert!(ours["flags"][name].is_string() && theirs["flags"][name].is_string(), "{name}");
    }
    assert_eq!(ours["flags"]["gc_delay"], theirs["flags"]["gc_delay"]);
    let text = bytes(send(&routes, get("/metrics")).await).await;
    assert!(String::from_utf8_lossy(&text).contains("mesos_slave_cpus_total 2"));
}

/// Sends a recorded request again and compares status, type and text of the answers.
#[tokio::test]
async fn errors_are_the_recorded_ones() {
    let Some(snapshot) = recorded() else { return };
    let routes = serve(snapshot);
    for name in [
        "err_agent_exec_GET",
        "err_agent_exec_bad_json",
        "err_agent_exec_missing_ids",
        "err_agent_exec_subscribe_unknown",
        "err_agent_op_KILL_unknown",
        "err_agent_op_LIST_FILES_missing",
        "err_agent_op_unknown_type",
        "err_agent_rp_bad",
        "agent_GET_api_v1",
        "agent_GET_api_v1_executor",
        "agent_GET_state.json",
        "agent_GET_monitor_statistics.json",
        "agent_GET_recordio",
        "agent_GET_files_read_nopath",
        "agent_GET_health",
    ] {
        let recorded = String::from_utf8(golden(&format!("{name}.http")).unwrap()).unwrap();
        let (request, answer) = recorded.split_once("<<< RESPONSE HEAD\n").unwrap();
        let response = send(&routes, parse(request)).await;
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        assert_eq!(response.status().as_u16(), status, "{name}");
        let kind =
            answer.lines().find_map(|line| line.strip_prefix("Content-Type: ")).map(str::trim);
        let ours = response.headers().get("content-type").map(|kind| kind.to_str().unwrap());
        assert_eq!(ours, kind, "{name}");
        let body = answer.split_once("de-chunked)\n").map_or("", |(_, body)| body);
        let ours = String::from_utf8(bytes(response).await).unwrap();
        // The recording tool ends its files as it likes.
        assert_eq!(ours.trim_end(), body.trim_end(), "{name}");
    }
}

fn parse(recorded: &str) -> Request {
    let text = recorded.strip_prefix(">>> REQUEST\n").unwrap();
    let (head, body) = text.split_once("\r\n\r\n").or(text.split_once("\n\n")).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let mut request =
        http::Request::builder().method(first.next().unwrap()).uri(first.next().unwrap());
    let mut length = 0;
    for (name, value) in lines.filter_map(|line| line.trim().split_once(": ")) {
        if name == "Content-Length" {
            length = value.parse().unwrap();
        }
        request = request.header(name, value);
    }
    let body = body.as_bytes().get(..length).unwrap_or_default().to_vec();
    request.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn what_is_not_supported_says_so() {
    let Some(snapshot) = recorded() else { return };
    let routes = serve(snapshot);
    let id = r#"{"container_id":{"value":"c","parent":{"value":"p"}}}"#;
    for (kind, field) in [
        ("LAUNCH_NESTED_CONTAINER", "launch_nested_container"),
        ("LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session"),
        ("ATTACH_CONTAINER_OUTPUT", "attach_container_output"),
        ("LAUNCH_CONTAINER", "launch_container"),
        ("REMOVE_CONTAINER", "remove_container"),
    ] {
        let body = format!(r#"{{"type":"{kind}","{field}":{id}}}"#);
        let response = call(&routes, &body, "application/json").await;
        assert_eq!(response.status(), 501, "{kind}");
        let text = String::from_utf8(bytes(response).await).unwrap();
        assert_eq!(text, format!("{kind} is not supported by this agent"));
        let missing = call(&routes, &format!(r#"{{"type":"{kind}"}}"#), "*/*").await;
        assert_eq!(missing.status(), 400, "{kind}");
    }
}

// --- permissions ---

/// An agent without work.
fn empty() -> Snapshot {
    Snapshot {
        state: AgentState::Running,
        info: Arc::default(),
        master: Arc::from("master@localhost:5050"),
        frameworks: Vec::new(),
        completed_frameworks: Vec::new(),
        counters: Counters::default(),
        drain: None,
        gc: GcView::default(),
    }
}

#[tokio::test]
async fn every_endpoint_and_every_call_has_a_row_and_every_row_an_endpoint() {
    use v1::agent::call::Type;
    let names = serve(empty()).names();
    for name in &names {
        assert!(TABLE.knows(name), "{name} has no row: who may?");
    }
    for row in TABLE.rows.iter().filter(|row| row.path != MESSAGES) {
        assert!(names.iter().any(|name| name == row.path), "{} is no endpoint", row.path);
    }
    let kinds: Vec<&str> =
        (0..256).filter_map(|number| Some(Type::try_from(number).ok()?.as_str_name())).collect();
    assert!(kinds.len() > 15, "{kinds:?}");
    for kind in &kinds {
        assert!(TABLE.row(&http::Method::POST, OPERATOR, kind).is_some(), "{kind}");
    }
    for row in TABLE.rows.iter().filter(|row| row.path == OPERATOR) {
        assert!(kinds.contains(&row.call), "there is no call {}", row.call);
    }
}
