//! Malformed input over raw sockets: every connection gets an answer that names
//! the fault, or a clean close; the stream of a healthy framework and the
//! processes survive.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::http::{self, Connection, Response};
use crate::support::scheduler::{Scheduler, command_task, framework, scalar};

/// Sends bytes, ends the sending half, and reads what comes back.
fn provoke(address: &str, bytes: &[u8]) -> Option<Response> {
    let mut connection = Connection::open(address);
    connection.send_raw(bytes);
    connection.finish_sending();
    connection.receive("POST")
}

fn post(address: &str, target: &str, content: &str, body: &[u8]) -> Response {
    http::send(address, "POST", target, &[("Content-Type", content)], body)
}

/// Requests no HTTP server should accept. `None`: closing is as good as an answer.
const BROKEN_HTTP: [(&str, &[u8]); 11] = [
    ("nothing", b""),
    ("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    ("no version", b"GET /state\r\n\r\n"),
    ("a wrong version", b"GET /state HTTP/9.9\r\n\r\n"),
    ("half a line", b"GET /sta"),
    ("half a head", b"GET /state HTTP/1.1\r\nHost: x\r\nAcc"),
    ("a header without a colon", b"GET /state HTTP/1.1\r\nHost x\r\n\r\n"),
    ("a NUL in a header", b"GET /state HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
    ("a negative length", b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"),
    ("two lengths", b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}"),
    ("a bad chunk", b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
];

#[test]
fn broken_http_is_answered_or_closed() {
    let mut cluster = Cluster::small();
    for address in [cluster.master().to_owned(), cluster.agent()] {
        for (what, bytes) in BROKEN_HTTP {
            if let Some(answer) = provoke(&address, bytes) {
                assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
            }
        }
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20));
        if let Some(answer) = provoke(&address, long.as_bytes()) {
            assert!((400..500).contains(&answer.status), "a long target: {}", answer.status);
        }
        let many: String = (0..5000).map(|n| format!("X-{n}: y\r\n")).collect();
        let many = format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n");
        if let Some(answer) = provoke(&address, many.as_bytes()) {
            assert!((400..500).contains(&answer.status), "many headers: {}", answer.status);
        }
    }
    cluster.assert_alive();
}

#[test]
fn an_announced_body_that_never_comes_blocks_nobody() {
    let mut cluster = Cluster::small();
    let waiting: Vec<Connection> = (0..50)
        .map(|_| {
            let mut connection = Connection::open(cluster.master());
            connection.send_raw(
                b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\n\
                  Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
            );
            connection
        })
        .collect();
    cluster.assert_alive();
    drop(waiting);
    cluster.assert_alive();
}

#[test]
fn bodies_beyond_the_limit_are_refused() {
    let mut cluster = Cluster::small();
    let head = b"POST /api/v1/scheduler HTTP/1.1\r\nHost: x\r\n\
                 Content-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n";
    for address in [cluster.master().to_owned(), cluster.agent()] {
        let target: &[u8] = b"/api/v1/scheduler";
        let mut bytes = head.to_vec();
        if address != cluster.master() {
            let at = bytes.windows(target.len()).position(|w| w == target).expect("the target");
            bytes.splice(at..at + target.len(), *b"/api/v1");
        }
        if let Some(answer) = provoke(&address, &bytes) {
            assert!(matches!(answer.status, 400 | 413), "{}: {}", answer.status, answer.text());
        }
    }
    cluster.assert_alive();
}

/// What is wrong, where it is sent, as what, the body; the status and words of the answer.
type CallCase = (&'static str, &'static str, &'static str, &'static [u8], u16, &'static str);

#[test]
fn calls_get_the_originals_answers() {
    let mut cluster = Cluster::small();
    let master = cluster.master().to_owned();
    let scheduler = "/api/v1/scheduler";
    let json = "application/json";
    let cases: &[CallCase] = &[
        ("no JSON", scheduler, json, b"{", 400, "Failed to parse body into JSON"),
        ("no object", scheduler, json, b"[]", 400, "Failed to"),
        ("empty", scheduler, json, b"", 400, "Failed to parse body into JSON"),
        ("not UTF-8", scheduler, json, b"{\"type\":\"\xff\xfe\"}", 400, ""),
        ("a wrong type", scheduler, json, b"{\"type\": 7}", 400, "Failed to"),
        ("no type", scheduler, json, b"{}", 400, "Expecting 'type' to be present"),
        (
            "no framework",
            scheduler,
            json,
            b"{\"type\":\"SUBSCRIBE\"}",
            400,
            "Expecting 'subscribe' to be present",
        ),
        (
            "no id",
            scheduler,
            json,
            b"{\"type\":\"REVIVE\"}",
            400,
            "Expecting 'framework_id' to be present",
        ),
        (
            "bad protobuf",
            scheduler,
            "application/x-protobuf",
            b"\xff\xff\xff\xff",
            400,
            "Failed to parse body into Call protobuf",
        ),
        ("empty protobuf", scheduler, "application/x-protobuf", b"", 400, "type"),
        (
            "another content",
            scheduler,
            "text/plain",
            b"{}",
            415,
            "Expecting 'Content-Type' of application/json or application/x-protobuf",
        ),
        ("operator: no JSON", "/api/v1", json, b"{", 400, "Failed to parse body into JSON"),
        ("operator: no type", "/api/v1", json, b"{}", 400, "Expecting 'type' to be present"),
        (
            "operator: unknown",
            "/api/v1",
            json,
            b"{\"type\":\"NONSENSE\"}",
            400,
            "Expecting 'type' to be present",
        ),
        (
            "operator: no payload",
            "/api/v1",
            json,
            b"{\"type\":\"READ_FILE\"}",
            400,
            "Expecting 'read_file' to be present",
        ),
        (
            "operator: another content",
            "/api/v1",
            "text/plain",
            b"{}",
            415,
            "Expecting 'Content-Type' of",
        ),
    ];
    for (what, target, content, body, status, text) in cases {
        let answer = post(&master, target, content, body);
        assert_eq!(answer.status, *status, "{what}: {}", answer.text());
        assert!(answer.text().contains(text), "{what}: {}", answer.text());
    }
    let accept = [("Content-Type", "application/json"), ("Accept", "text/plain")];
    let answer = http::send(&master, "POST", "/api/v1", &accept, b"{\"type\":\"GET_VERSION\"}");
    assert_eq!(answer.status, 406, "{}", answer.text());
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let answer = post(&master, scheduler, json, deep.as_bytes());
    assert_eq!(answer.status, 400, "deep JSON: {}", answer.text());
    cluster.assert_alive();
}

#[test]
fn frameworks_that_make_no_sense_are_refused() {
    let mut cluster = Cluster::small();
    let change = |name: &str, value: Value| {
        let mut info = framework();
        info[name] = value;
        info
    };
    let cases = [
        ("an empty role", change("roles", json!([""]))),
        ("a role with a blank", change("roles", json!(["a b"]))),
        ("a role of dots", change("roles", json!([".."]))),
        ("a dashed role", change("roles", json!(["-x"]))),
        ("a role twice", change("roles", json!(["a", "a"]))),
        ("a slash at the end", change("roles", json!(["a/"]))),
        ("a slash in the id", change("id", json!({"value": "a/b"}))),
        ("an endless timeout", change("failover_timeout", json!(1e300))),
    ];
    for (what, info) in cases {
        let request = crate::support::scheduler::subscribe_request(cluster.master(), &info);
        let mut stream = Connection::open(cluster.master()).stream(&request);
        let said = if stream.head.status == 200 {
            String::from_utf8_lossy(&stream.chunk().unwrap_or_default()).into_owned()
        } else {
            assert_eq!(stream.head.status, 400, "{what}");
            stream.rest().text()
        };
        assert!(!said.contains("SUBSCRIBED"), "{what}: {said}");
        assert!(!said.is_empty(), "{what}: nothing said");
    }
    assert_eq!(cluster.state()["frameworks"], json!([]));
    cluster.assert_alive();
}

/// What is wrong with a task, and words of the answer.
fn invalid_tasks(offer: &Value) -> Vec<(&'static str, Value, &'static str)> {
    let with = |name: &str, value: Value| {
        let mut task = command_task(offer, "true");
        task[name] = value;
        task
    };
    let mut both = command_task(offer, "true");
    both["executor"] = json!({"executor_id": {"value": "x"}, "command": {"value": "true"}});
    let mut neither = command_task(offer, "true");
    if let Some(fields) = neither.as_object_mut() {
        fields.remove("command");
    }
    let too_much = scalar(offer, "cpus", 1_000_000.0);
    vec![
        ("a slash in the id", with("task_id", json!({"value": "a/b"})), "invalid characters"),
        ("an id of dots", with("task_id", json!({"value": ".."})), "'..' is disallowed"),
        ("an empty id", with("task_id", json!({"value": ""})), ""),
        ("another agent", with("agent_id", json!({"value": "nobody"})), ""),
        ("too much", with("resources", json!([too_much])), "more than available"),
        ("a negative amount", with("resources", json!([scalar(offer, "cpus", -1.0)])), ""),
        ("no resources", with("resources", json!([])), ""),
        ("command and executor", both, ""),
        ("nothing to run", neither, ""),
    ]
}

#[test]
fn invalid_tasks_are_told_and_cost_nothing() {
    let mut cluster = Cluster::small();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &framework());
    let first = scheduler.offer();
    scheduler.decline(&first["id"]);
    for index in 0..invalid_tasks(&first).len() {
        let offer = scheduler.offer();
        let (what, task, words) = invalid_tasks(&offer).remove(index);
        assert_eq!(offer["resources"], first["resources"], "before {what}");
        scheduler.launch(&offer, std::slice::from_ref(&task));
        let event = scheduler.wait(what, |event| event["type"] == "UPDATE");
        let status = &event["update"]["status"];
        let expected = ["TASK_ERROR", "TASK_DROPPED"];
        assert!(expected.iter().any(|state| status["state"] == *state), "{what}: {status:#}");
        assert_eq!(status["source"], "SOURCE_MASTER", "{what}");
        assert_eq!(status["task_id"], task["task_id"], "{what}");
        let message = status["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty() && message.contains(words), "{what}: {message}");
    }
    let last = scheduler.run("true");
    scheduler.status(&last, "TASK_FINISHED");
    cluster.assert_alive();
}

#[test]
fn invalid_operations_return_the_resources() {
    let mut cluster = Cluster::small();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &framework());
    let offer = scheduler.offer();
    let other = command_task(&offer, "true");
    let operations = json!([
        {"type": "NONSENSE"},
        {"type": "LAUNCH"},
        {"type": "LAUNCH", "launch": {"task_infos": []}}]);
    let answer = scheduler.call(json!({"type": "ACCEPT", "accept": {
        "offer_ids": [offer["id"]], "operations": operations,
        "filters": {"refuse_seconds": 0.0}}}));
    assert!(matches!(answer.status, 202 | 400), "{}: {}", answer.status, answer.text());
    if answer.status == 400 {
        assert!(!answer.text().is_empty());
        scheduler.decline(&offer["id"]);
    }
    let again = scheduler.offer();
    assert_eq!(again["resources"], offer["resources"]);

    // A task for an offer that is gone.
    scheduler.launch(&offer, std::slice::from_ref(&other));
    let event = scheduler.wait("the drop", |event| event["type"] == "UPDATE");
    let status = &event["update"]["status"];
    assert_eq!(
        (&status["state"], &status["reason"]),
        (&json!("TASK_DROPPED"), &json!("REASON_INVALID_OFFERS"))
    );
    cluster.assert_alive();
}

#[test]
fn a_healthy_stream_survives_it_all() {
    let cluster = Cluster::small();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &framework());
    for (_, bytes) in BROKEN_HTTP {
        let _ = provoke(cluster.master(), bytes);
    }
    for body in ["{", "{}", "[]", "{\"type\":\"ACCEPT\"}"] {
        let headers = [
            ("Content-Type", "application/json"),
            ("Mesos-Stream-Id", scheduler.stream_id.as_str()),
        ];
        let answer =
            http::send(cluster.master(), "POST", "/api/v1/scheduler", &headers, body.as_bytes());
        assert_eq!(answer.status, 400, "{body}");
    }
    let ended = scheduler.comes(Duration::from_millis(200), |event| event["type"] == "ERROR");
    assert_eq!(ended, None);
    let task = scheduler.run("true");
    scheduler.status(&task, "TASK_FINISHED");
}

#[test]
fn broken_messages_between_processes_are_dropped() {
    let mut cluster = Cluster::small();
    let from = "scheduler-x@127.0.0.1:1";
    let message = |id: &str, name: &str, from: &str, body: &[u8]| {
        crate::support::libprocess::encode(from, id, "x", name, body)
    };
    let cases = [
        ("garbage", message("master", "mesos.scheduler.Call", from, b"\xff\xff"), Some(202)),
        ("an unknown message", message("master", "mesos.internal.Nonsense", from, b"x"), Some(202)),
        (
            "an empty message",
            message("master", "mesos.internal.RegisterSlaveMessage", from, b""),
            Some(202),
        ),
        ("an unknown process", message("nobody", "mesos.scheduler.Call", from, b"x"), Some(404)),
        ("a broken sender", message("master", "mesos.scheduler.Call", "nonsense", b"x"), Some(500)),
    ];
    for address in [cluster.master().to_owned(), cluster.agent()] {
        for (what, bytes, status) in &cases {
            if address != cluster.master() && *status == Some(202) {
                continue;
            }
            let answer = provoke(&address, bytes);
            assert_eq!(answer.map(|answer| answer.status), *status, "{what}");
        }
    }
    cluster.assert_alive();
}
