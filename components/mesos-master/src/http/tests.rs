//! The recorded answers of the original, given again from the same state.
#![allow(clippy::unwrap_used, clippy::panic)]
use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use http_body_util::BodyExt;
use http_kit::{Body, Reply, Request, Response, Routes, Service};
use mesos_messages::{json::JsonMessage, recordio, v1};
use prost::Message;
use serde_json::Value;

use super::{
    HttpState, PERMISSIONS,
    permissions::{MESSAGES, OPERATOR, SCHEDULER},
    plain_routes, testing,
};
use crate::{config::MasterConfig, model::OperatorEvent};

/// The recordings; none where they are not at hand.
fn golden(name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("DAIS_GOLDEN").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden")
    });
    let path = folder.join("mesos").join(name);
    let found = std::fs::read(&path).ok();
    if found.is_none() {
        println!("skipped: {} is absent", path.display());
    }
    found
}

fn routes(snapshot: crate::model::Snapshot, config: MasterConfig) -> Routes {
    let handle = testing::owner(snapshot, config);
    let address = SocketAddr::from(([127, 0, 0, 1], 5050));
    plain_routes(&Arc::new(HttpState::new(handle, address).unwrap()))
}

fn running() -> Routes {
    routes(testing::recorded_snapshot(), testing::recorded_config())
}

async fn send(routes: &Routes, request: Request) -> Response {
    match routes.call(request, SocketAddr::from(([127, 0, 0, 1], 40_000))) {
        Reply::Now(response) => response,
        Reply::Later(future) => future.await,
    }
}

async fn get(routes: &Routes, path: &str) -> Response {
    send(routes, http::Request::get(path).body(Body::Empty).unwrap()).await
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

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(bytes));
    })
}

/// Facts of the build and the machine, which are ours.
fn without_ours(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        for name in [
            "version",
            "git_sha",
            "git_branch",
            "build_date",
            "build_time",
            "build_user",
            "flags",
            "log_dir",
        ] {
            members.remove(name);
        }
    }
    value
}

#[tokio::test]
async fn classic_reads_are_the_recorded_ones() {
    let routes = running();
    for (file, path) in [
        ("master_GET_state.json", "/state"),
        ("master_GET_master_state.json", "/master/state"),
        ("master_GET_state-summary.json", "/state-summary"),
        ("master_GET_slaves.json", "/slaves"),
        ("master_GET_slaves_q_slave_id-nope.json", "/slaves?slave_id=nope"),
        ("master_GET_frameworks.json", "/frameworks"),
        ("master_GET_frameworks_q_framework_id-nope.json", "/frameworks?framework_id=nope"),
        ("master_GET_tasks.json", "/tasks"),
        ("master_GET_tasks_q_limit-1_offset-0_order-asc.json", "/tasks?limit=1&offset=0&order=asc"),
        ("master_GET_roles.json", "/roles"),
        ("master_GET_quota.json", "/quota"),
        ("master_GET_weights.json", "/weights"),
        ("master_GET_maintenance_schedule.json", "/maintenance/schedule"),
        ("master_GET_maintenance_status.json", "/maintenance/status"),
        ("master_GET_allocator_offer_constraints_debug.json", "/allocator/offer_constraints_debug"),
    ] {
        let Some(recorded) = golden(&format!("http_running/{file}")) else { return };
        let response = get(&routes, path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json", "{path}");
        let ours = without_ours(json(&bytes(response).await));
        let theirs = without_ours(json(&recorded));
        pretty_assert(path, &ours, &theirs);
    }
}

fn pretty_assert(what: &str, ours: &Value, theirs: &Value) {
    let mut found = Vec::new();
    differences("", ours, theirs, &mut found);
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn differences(path: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let (a, b) =
                    (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
                differences(&format!("{path}.{name}"), a, b, found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{n}]"), a, b, found);
            }
        }
        // Reading a number back may lose its last digit.
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let apart = a.as_f64().unwrap() - b.as_f64().unwrap();
            if apart.abs() > 1e-6 {
                found.push(format!("{path}: {ours}, should be {theirs}"));
            }
        }
        _ if ours != theirs => found.push(format!("{path}: {ours}, should be {theirs}")),
        _ => {}
    }
}

#[tokio::test]
async fn the_empty_master_answers_as_recorded() {
    let routes = routes(testing::empty_snapshot(), MasterConfig::default());
    for (file, path) in [
        ("master_GET_state-summary.json", "/state-summary"),
        ("master_GET_roles.json", "/roles"),
        ("master_GET_tasks.json", "/tasks"),
        ("master_GET_slaves.json", "/slaves"),
        ("master_GET_frameworks.json", "/frameworks"),
        ("master_GET_allocator_offer_constraints_debug.json", "/allocator/offer_constraints_debug"),
    ] {
        let Some(recorded) = golden(&format!("http_empty_master/{file}")) else { return };
        let response = get(&routes, path).await;
        let ours = json(&bytes(response).await);
        pretty_assert(path, &ours, &json(&recorded));
    }
}

fn tasks_of(response: &mut v1::master::Response) -> Option<&mut v1::master::response::GetTasks> {
    match &mut response.get_state {
        Some(state) => state.get_tasks.as_mut(),
        None => response.get_tasks.as_mut(),
    }
}

#[tokio::test]
async fn operator_reads_are_the_recorded_ones() {
    let routes = running();
    for name in [
        "GET_STATE",
        "GET_AGENTS",
        "GET_FRAMEWORKS",
        "GET_EXECUTORS",
        "GET_OPERATIONS",
        "GET_TASKS",
        "GET_ROLES",
        "GET_HEALTH",
        "GET_LOGGING_LEVEL",
        "GET_WEIGHTS",
        "GET_QUOTA",
        "GET_MAINTENANCE_STATUS",
        "GET_MAINTENANCE_SCHEDULE",
        "GET_MASTER",
    ] {
        let Some(recorded) = golden(&format!("http_running/master_v1_{name}.json")) else { return };
        let body = format!("{{\"type\":\"{name}\"}}");
        let response = call(&routes, &body, "application/json").await;
        assert_eq!(response.status(), 200, "{name}");
        let ours = json(&bytes(response).await);
        pretty_assert(name, &ours, &json(&recorded));

        let Some(recorded) = golden(&format!("http_running/master_v1_{name}_protobuf.body")) else {
            return;
        };
        let response = call(&routes, &body, "application/x-protobuf").await;
        assert_eq!(response.headers()["content-type"], "application/x-protobuf", "{name}");
        let mut ours = v1::master::Response::decode(&bytes(response).await[..]).unwrap();
        let mut theirs = v1::master::Response::decode(&recorded[..]).unwrap();
        // The original forgets the completed tasks in this form.
        if let (Some(theirs), Some(ours)) = (tasks_of(&mut theirs), tasks_of(&mut ours)) {
            assert_eq!((theirs.completed_tasks.len(), ours.completed_tasks.len()), (0, 1));
            ours.completed_tasks.clear();
        }
        pretty_assert(name, &json(&ours.to_json()), &json(&theirs.to_json()));
    }
}

/// Sends the request as it was recorded and compares the answer, text included.
async fn replay(routes: &Routes, file: &str) {
    let Some(recorded) = golden(&format!("http_running/{file}.http")) else { return };
    let text = String::from_utf8_lossy(&recorded).replace("\r\n", "\n");
    let (request, answer) = text.split_once("<<< RESPONSE HEAD\n").unwrap();
    let (head, body) = request.trim_start_matches(">>> REQUEST\n").split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let mut built = http::Request::builder().method(method).uri(target);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        built = built.header(name, value);
    }
    let body = if file.ends_with("bad_protobuf") {
        "\u{1}\u{2}\u{3}"
    } else {
        body.trim_end_matches('\n')
    };
    let ours = send(routes, built.body(Body::from(body.to_owned())).unwrap()).await;
    let (head, expected) = answer.split_once("\n\n").unwrap();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(ours.status().as_u16(), status, "{file}");
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        if !matches!(name, "Date" | "Content-Length" | "Content-Encoding") {
            let own = ours.headers().get(name).and_then(|v| v.to_str().ok());
            assert_eq!(own, Some(value), "{file} {name}");
        }
    }
    let expected = expected.split_once('\n').map_or("", |(_, body)| body);
    if head.contains("Content-Type: text/plain") {
        let own = String::from_utf8(bytes(ours).await).unwrap();
        assert_eq!(own.trim_end(), expected.trim_end(), "{file}");
    }
}

#[tokio::test]
async fn refusals_are_the_recorded_ones() {
    let routes = running();
    for file in [
        "err_op_bad_json",
        "err_op_empty_body",
        "err_op_unknown_type",
        "err_op_no_type",
        "err_op_missing_payload",
        "err_op_wrong_field_type",
        "err_op_no_content_type",
        "err_op_wrong_content_type",
        "err_op_wrong_accept",
        "err_op_no_accept",
        "err_op_unknown_field",
        "err_op_bad_enum_in_list",
        "err_op_GET",
        "err_op_PUT",
        "err_op_ct_charset",
        "err_op_bad_protobuf",
        "err_op_LIST_FILES_missing",
        "err_op_READ_FILE_missing",
        "master_GET_nope",
        "master_GET_state.json",
        "master_GET_machine_down",
        "master_GET_health",
        "master_GET_master_health",
        "master_GET_redirect",
        "master_GET_master_redirect",
        "master_GET_logging_toggle",
        "master_GET_profiler_start",
        "master_GET_files_browse",
        "master_GET_files_browse_q_path-_nope",
        "master_GET_static_index.html",
        "master_GET_overlay-master_state",
        "master_GET_api_v1",
        "master_GET_version",
        "master_GET_system_stats.json",
        "master_GET_state_q_jsonp-cb",
        "master_HEAD_state",
        "master_OPTIONS_state",
        "master_POST_state",
        "master_DELETE_state",
        "master_GET_state_gzip",
        "master_GET_state_keepalive_accept_xml",
        "err_exec_on_master",
    ] {
        replay(&routes, file).await;
    }
}

#[tokio::test]
async fn every_recorded_metric_of_an_empty_master_is_there() {
    let Some(recorded) = golden("http_empty_master/master_GET_metrics_snapshot.json") else {
        return;
    };
    let routes = routes(testing::empty_snapshot(), MasterConfig::default());
    let ours = json(&bytes(get(&routes, "/metrics/snapshot").await).await);
    let recorded = json(&recorded);
    let missing: Vec<&String> = recorded
        .as_object()
        .unwrap()
        .keys()
        .filter(|name| ours.get(name.as_str()).is_none())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let text = bytes(get(&routes, "/metrics").await).await;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\nmesos_master_tasks_running 0\n"), "{text}");
    assert!(text.contains("http_requests_total{path=\"/metrics/snapshot\",class=\"2xx\"} 1"));
}

#[tokio::test]
async fn writes_that_are_not_there_yet_say_so() {
    let routes = running();
    for (kind, part) in [
        (
            "UPDATE_WEIGHTS",
            "\"update_weights\":{\"weight_infos\":[{\"weight\":2.0,\"role\":\"a\"}]}",
        ),
        ("RESERVE_RESOURCES", "\"reserve_resources\":{\"agent_id\":{\"value\":\"a\"}}"),
        ("CREATE_VOLUMES", "\"create_volumes\":{\"agent_id\":{\"value\":\"a\"}}"),
        ("START_MAINTENANCE", "\"start_maintenance\":{}"),
        ("DRAIN_AGENT", "\"drain_agent\":{\"agent_id\":{\"value\":\"a\"}}"),
        ("DEACTIVATE_AGENT", "\"deactivate_agent\":{\"agent_id\":{\"value\":\"a\"}}"),
        ("UPDATE_QUOTA", "\"update_quota\":{}"),
        ("MARK_AGENT_GONE", "\"mark_agent_gone\":{\"agent_id\":{\"value\":\"a\"}}"),
    ] {
        let body = format!("{{\"type\":\"{kind}\",{part}}}");
        let response = call(&routes, &body, "application/json").await;
        assert_eq!(response.status(), 501, "{kind}");
        assert!(String::from_utf8(bytes(response).await).unwrap().contains("does not support"));
    }
    for path in ["/quota", "/weights", "/reserve", "/machine/up", "/maintenance/schedule"] {
        let method = if path == "/weights" { "PUT" } else { "POST" };
        let request = http::Request::builder().method(method).uri(path).body(Body::Empty).unwrap();
        assert_eq!(send(&routes, request).await.status(), 501, "{path}");
        let request = http::Request::builder().method("PATCH").uri(path).body(Body::Empty).unwrap();
        assert_eq!(send(&routes, request).await.status(), 405, "{path}");
    }
}

#[tokio::test]
async fn teardown_answers_as_recorded() {
    let routes = running();
    for (body, expected) in [
        ("frameworkId=nope", "No framework found with specified ID"),
        ("", "Missing 'frameworkId' query parameter in the request body"),
    ] {
        let request = http::Request::post("/master/teardown").body(Body::from(body)).unwrap();
        let response = send(&routes, request).await;
        assert_eq!(response.status(), 400);
        assert_eq!(bytes(response).await, expected.as_bytes());
    }
    let body = "{\"type\":\"TEARDOWN\",\"teardown\":{\"framework_id\":{\"value\":\"nope\"}}}";
    let response = call(&routes, body, "application/json").await;
    assert_eq!(response.status(), 400);
    assert_eq!(bytes(response).await, b"No framework found with specified ID");
}

#[tokio::test]
async fn realms_ask_for_credentials_as_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    std::fs::write(&file, "{\"credentials\":[{\"principal\":\"ops\",\"secret\":\"s\"}]}").unwrap();
    let config = MasterConfig {
        authenticate_http_readonly: true,
        authenticate_http_readwrite: true,
        authenticate_http_frameworks: true,
        credentials: Some(file),
        ..MasterConfig::default()
    };
    let routes = routes(testing::empty_snapshot(), config);
    for (path, realm) in [
        ("/state", Some("mesos-master-readonly")),
        ("/metrics/snapshot", Some("mesos-master-readonly")),
        ("/api/v1", Some("mesos-master-readwrite")),
        ("/api/v1/scheduler", Some("mesos-master-scheduler")),
        ("/health", None),
        ("/version", None),
        ("/redirect", None),
    ] {
        let response = get(&routes, path).await;
        match realm {
            Some(realm) => {
                let expected = format!("Basic realm=\"{realm}\"");
                assert_eq!(response.status(), 401, "{path}");
                assert_eq!(response.headers()["www-authenticate"], *expected, "{path}");
                assert_eq!(bytes(response).await, b"401 Unauthorized.", "{path}");
            }
            None => assert!(response.status().as_u16() < 400, "{path}"),
        }
    }
    let request = http::Request::get("/state")
        .header("authorization", "Basic b3BzOnM=")
        .body(Body::Empty)
        .unwrap();
    assert_eq!(send(&routes, request).await.status(), 200);
}

#[tokio::test]
async fn help_names_every_endpoint() {
    let routes = running();
    let text = bytes(get(&routes, "/help?format=json").await).await;
    let text = String::from_utf8(text).unwrap();
    for name in
        ["/state", "/state-summary", "/api/v1/scheduler", "/files", "/registry", "/snapshot"]
    {
        assert!(text.contains(name.trim_start_matches('/')), "{name}: {text}");
    }
    let page = get(&routes, "/help/master/state").await;
    assert_eq!(page.headers()["content-type"], "text/html");
    assert_eq!(get(&routes, "/").await.headers()["content-type"], "text/html");
}

/// Many tasks in many frameworks: the pieces fit together in every form.
#[tokio::test(flavor = "multi_thread")]
async fn large_answers_are_whole() {
    let snapshot = testing::large_snapshot(9, 700, 300);
    let routes = routes(snapshot, MasterConfig::default());
    let state = json(&bytes(get(&routes, "/state").await).await);
    let frameworks = state["frameworks"].as_array().unwrap();
    let count = |value: &Value| value.as_array().unwrap().len();
    assert_eq!(frameworks.len(), 9);
    assert_eq!(frameworks.iter().map(|f| count(&f["tasks"])).sum::<usize>(), 9 * 700);
    assert_eq!(count(&state["slaves"]), 300);
    let response = call(&routes, "{\"type\":\"GET_STATE\"}", "application/json").await;
    let state = json(&bytes(response).await);
    assert_eq!(count(&state["get_state"]["get_tasks"]["tasks"]), 9 * 700);
    assert_eq!(count(&state["get_state"]["get_agents"]["agents"]), 300);
    let response = call(&routes, "{\"type\":\"GET_STATE\"}", "application/x-protobuf").await;
    let decoded = v1::master::Response::decode(&bytes(response).await[..]).unwrap();
    let state = decoded.get_state.unwrap();
    assert_eq!(state.get_tasks.unwrap().tasks.len(), 9 * 700);
    assert_eq!(state.get_frameworks.unwrap().frameworks.len(), 9);
    let script = bytes(get(&routes, "/state?jsonp=cb").await).await;
    let inner = script.strip_prefix(b"cb(").unwrap().strip_suffix(b")").unwrap();
    assert_eq!(json(inner)["frameworks"].as_array().unwrap().len(), 9);
}

/// The next record of a stream.
async fn record(body: &mut Body, decoder: &mut recordio::Decoder) -> Option<v1::master::Event> {
    loop {
        if let Some(record) = decoder.next_record().unwrap() {
            return Some(v1::master::Event::decode(record).unwrap());
        }
        decoder.push(body.frame().await?.unwrap().into_data().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn the_event_stream_tells_the_state_and_what_happens() {
    let snapshot = testing::recorded_snapshot();
    let framework = Arc::clone(&snapshot.frameworks[0].framework);
    let agent = Arc::clone(snapshot.agents.iter().next().unwrap());
    let task = Arc::clone(snapshot.frameworks[0].tasks.iter().next().unwrap());
    let (happens, events) = tokio::sync::mpsc::channel(16);
    let handle = testing::owner_with_events(snapshot, testing::recorded_config(), events);
    let address = SocketAddr::from(([127, 0, 0, 1], 5050));
    let routes = plain_routes(&Arc::new(HttpState::new(handle, address).unwrap()));
    let state = call(&routes, "{\"type\":\"GET_STATE\"}", "application/x-protobuf").await;
    let state = v1::master::Response::decode(&bytes(state).await[..]).unwrap();

    let answer = call(&routes, "{\"type\":\"SUBSCRIBE\"}", "application/x-protobuf").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-protobuf");
    assert!(!answer.headers().contains_key("mesos-stream-id"));
    let (mut body, mut decoder) = (answer.into_body(), recordio::Decoder::new(1 << 20));
    let first = record(&mut body, &mut decoder).await.unwrap().subscribed.unwrap();
    assert_eq!(first.get_state, state.get_state);
    assert_eq!(first.heartbeat_interval_seconds, Some(15.0));

    use v1::master::event::Type;
    let id = agent.id.clone();
    let status = Arc::new(task.to_proto().statuses[0].clone());
    let framework_id = framework.id.clone();
    let running = v1::TaskState::TaskRunning;
    for (event, kind) in [
        (OperatorEvent::FrameworkAdded(Arc::clone(&framework)), Type::FrameworkAdded),
        (OperatorEvent::FrameworkUpdated(Arc::clone(&framework)), Type::FrameworkUpdated),
        (OperatorEvent::TaskAdded(task), Type::TaskAdded),
        (OperatorEvent::TaskUpdated { framework_id, status, state: running }, Type::TaskUpdated),
        (OperatorEvent::AgentAdded(agent), Type::AgentAdded),
        (OperatorEvent::AgentRemoved(id), Type::AgentRemoved),
        (OperatorEvent::FrameworkRemoved(framework), Type::FrameworkRemoved),
    ] {
        happens.send(event).await.unwrap();
        let told = record(&mut body, &mut decoder).await.unwrap();
        assert_eq!(told.r#type(), kind);
        if let Some(added) = told.framework_added {
            let end = added.framework.unregistered_time.unwrap();
            assert_eq!(end.nanoseconds, 0);
            assert_eq!(added.framework.offer_constraints, None);
        }
    }
    let heartbeat = record(&mut body, &mut decoder).await.unwrap();
    assert_eq!(heartbeat.r#type(), Type::Heartbeat);
    drop(happens);
    assert_eq!(record(&mut body, &mut decoder).await, None);
}

#[tokio::test]
async fn files_are_shown_in_both_apis() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("master.log");
    std::fs::write(&log, "one\ntwo\n").unwrap();
    let config = MasterConfig { log_file: Some(log.clone()), ..MasterConfig::default() };
    let routes = routes(testing::empty_snapshot(), config);
    let read = get(&routes, "/files/read?path=/master/log&offset=4&length=3").await;
    assert_eq!(bytes(read).await, b"{\"data\":\"two\",\"offset\":4}");
    let debug = json(&bytes(get(&routes, "/files/debug").await).await);
    assert_eq!(debug["/master/log"], log.to_str().unwrap());
    let list = "{\"type\":\"LIST_FILES\",\"list_files\":{\"path\":\"/master/log\"}}";
    let listed = call(&routes, list, "application/json").await;
    assert_eq!(bytes(listed).await, b"{\"type\":\"LIST_FILES\",\"list_files\":{}}");
    let read = "{\"type\":\"READ_FILE\",\"read_file\":{\"path\":\"/master/log\",\"offset\":4}}";
    let read = json(&bytes(call(&routes, read, "application/json").await).await);
    assert_eq!(read["read_file"], serde_json::json!({"size": 8, "data": "dHdvCg=="}));
}

#[tokio::test]
async fn the_level_is_set_in_both_apis() {
    let routes = running();
    let set = "{\"type\":\"SET_LOGGING_LEVEL\",\"set_logging_level\":{\"level\":2,\
               \"duration\":{\"nanoseconds\":60000000000}}}";
    assert_eq!(call(&routes, set, "application/json").await.status(), 200);
    assert_eq!(bytes(get(&routes, "/logging/toggle").await).await, b"2\n");
    let toggle = "/logging/toggle?level=3&duration=1mins";
    assert_eq!(get(&routes, toggle).await.status(), 405, "reading changes nothing");
    let toggled = http::Request::post(toggle).body(Body::Empty).unwrap();
    assert_eq!(send(&routes, toggled).await.status(), 200);
    let level = call(&routes, "{\"type\":\"GET_LOGGING_LEVEL\"}", "application/json").await;
    assert_eq!(json(&bytes(level).await)["get_logging_level"]["level"], 3);
}

#[tokio::test]
async fn reservations_and_attributes_are_shown_as_recorded() {
    let Some(recorded) = golden("op_writes/01_GET_slaves_two_agents.json") else { return };
    let routes = routes(testing::two_agents(), MasterConfig::default());
    let ours = json(&bytes(get(&routes, "/slaves").await).await);
    pretty_assert("/slaves", &ours, &json(&recorded));
    let one = format!("/slaves?slave_id={}", ours["slaves"][1]["id"].as_str().unwrap());
    let one = json(&bytes(get(&routes, &one).await).await);
    pretty_assert("one of /slaves", &one["slaves"], &serde_json::json!([ours["slaves"][1]]));
}

// --- permissions ---

/// Every name of an enum of the protocol.
fn kinds(name: impl Fn(i32) -> Option<&'static str>) -> Vec<&'static str> {
    (0..256).filter_map(name).collect()
}

#[tokio::test]
async fn every_endpoint_and_every_call_has_a_row_and_every_row_an_endpoint() {
    use v1::{master::call::Type as Operator, scheduler::call::Type as Scheduler};
    let names = running().names();
    for name in &names {
        assert!(PERMISSIONS.knows(name), "{name} has no row: who may?");
    }
    for row in PERMISSIONS.rows.iter().filter(|row| row.path != MESSAGES) {
        assert!(names.iter().any(|name| name == row.path), "{} is no endpoint", row.path);
    }
    let operator = kinds(|number| Operator::try_from(number).ok().map(|kind| kind.as_str_name()));
    let scheduler = kinds(|number| Scheduler::try_from(number).ok().map(|kind| kind.as_str_name()));
    for (path, kinds) in [(OPERATOR, operator), (SCHEDULER, scheduler)] {
        assert!(kinds.len() > 15, "{kinds:?}");
        for kind in &kinds {
            assert!(PERMISSIONS.row(&http::Method::POST, path, kind).is_some(), "{path} {kind}");
        }
        for row in PERMISSIONS.rows.iter().filter(|row| row.path == path) {
            assert!(kinds.contains(&row.call), "{path} has no call {}", row.call);
        }
    }
}

/// A guard that knows one user, with a permission on some resource.
fn guarded(grants: &[(&str, identity::Action)]) -> (MasterConfig, String) {
    let pkcs8 = identity::SigningKey::generate_es256().unwrap();
    let key = identity::SigningKey::es256(&pkcs8).unwrap();
    let keys = identity::KeySet::new([key.public().clone()]).unwrap();
    let mut snapshot = identity::Snapshot { keys, ..Default::default() };
    snapshot.policy.set_user("user", identity::User::default());
    for (rid, action) in grants {
        snapshot.policy.grant_user("user", rid, *action);
    }
    let guard = http_kit::guard::Guard::fixed(http_kit::guard::Mode::Strict, snapshot);
    let token = key.sign(&identity::Claims::new("user", None, 0)).unwrap();
    (MasterConfig { guard, ..testing::recorded_config() }, format!("token={token}"))
}

async fn post(routes: &Routes, token: &str, path: &str, body: &str) -> u16 {
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("authorization", token)
        .body(Body::from(body.to_owned()))
        .unwrap();
    send(routes, request).await.status().as_u16()
}

#[tokio::test]
async fn a_scheduler_needs_the_permission_of_each_of_its_roles() {
    use identity::Action::Create;
    let (config, token) = guarded(&[
        ("dcos:mesos:master:framework:role:web", Create),
        ("dcos:mesos:master:framework:role:db", Create),
    ]);
    let routes = routes(testing::recorded_snapshot(), config);
    // Nobody takes the subscriptions of those who may: 503.
    for (roles, status) in [
        (r#"["web"]"#, 503),
        (r#"["web", "db"]"#, 503),
        (r#"["web", "prod"]"#, 403),
        (r#"["web/a"]"#, 403),
        (r#"["web:a"]"#, 403),
        ("[]", 403),
    ] {
        let body = format!(
            r#"{{"type": "SUBSCRIBE", "subscribe": {{"framework_info": {{"user": "root",
                "name": "x", "roles": {roles}, "capabilities": [{{"type": "MULTI_ROLE"}}]}}}}}}"#
        );
        assert_eq!(post(&routes, &token, "/api/v1/scheduler", &body).await, status, "{roles}");
    }
    // Of no stream that is known: that takes the permission of every role.
    let call = r#"{"type": "REVIVE", "framework_id": {"value": "none"}}"#;
    assert_eq!(post(&routes, &token, "/api/v1/scheduler", call).await, 403);
}

#[tokio::test]
async fn the_state_comes_without_the_flags_for_those_who_may_not_see_them() {
    use identity::Action::Read;
    let all = [
        ("dcos:mesos:master:framework:role", Read),
        ("dcos:mesos:master:task:app_id", Read),
        ("dcos:mesos:master:executor:app_id", Read),
        ("dcos:mesos:master:flags", Read),
    ];
    for (grants, status, flags) in
        [(&all[..], 200, true), (&all[..3], 200, false), (&all[..2], 403, false)]
    {
        let (config, token) = guarded(grants);
        let routes = routes(testing::recorded_snapshot(), config);
        let request = http::Request::get("/state").header("authorization", &token);
        let response = send(&routes, request.body(Body::Empty).unwrap()).await;
        assert_eq!(response.status(), status, "{grants:?}");
        let text = String::from_utf8(bytes(response).await).unwrap();
        assert_eq!(text.contains("\"flags\":"), flags, "{grants:?}");
    }
}
