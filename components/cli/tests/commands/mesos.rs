//! `dais node`, `service` and `task`: what the master and the agents tell.

use crate::support::Scripted;
use serde_json::{Value, json};

fn state(cluster: &Scripted) -> Value {
    let status =
        |container: &str| json!([{"container_status": {"container_id": {"value": container}}}]);
    json!({
        "id": "m-1", "pid": format!("master@{}", cluster.address()), "hostname": "boss",
        "slaves": [{"id": "S0", "hostname": "a", "active": true,
            "pid": format!("slave(1)@{}", cluster.address())}],
        "frameworks": [{"id": "F0", "name": "marathon", "active": true, "user": "root",
            "tasks": [
                {"id": "web.1", "name": "web", "slave_id": "S0", "state": "TASK_RUNNING",
                    "statuses": status("c1")},
                {"id": "web.2", "name": "web", "slave_id": "S0", "state": "TASK_RUNNING",
                    "statuses": status("c2")}],
            "completed_tasks": [{"id": "old.1", "name": "old", "slave_id": "S0",
                "state": "TASK_FINISHED", "statuses": status("c0")}]}],
        "completed_frameworks": [],
    })
}

fn cluster() -> Scripted {
    let cluster = Scripted::start();
    cluster.on("GET /master/state", 200, state(&cluster));
    cluster
}

/// A file in the sandbox of `web.<number>`.
fn file(cluster: &Scripted, number: u32, text: &str) {
    let path = format!("/frameworks/F0/executors/web.{number}/runs/latest/stdout");
    let read = |query: &str| format!("GET /files/read?path={path}&offset={query}");
    let length = text.len();
    cluster.on(&read("-1"), 200, json!({"data": "", "offset": length}));
    let whole = json!({"data": text, "offset": 0});
    cluster.on(&read(&format!("0&length={length}")), 200, &whole);
    for begin in 0..length {
        let part = json!({"data": &text[begin..], "offset": begin});
        cluster.on(&read(&format!("{begin}&length=65536")), 200, part);
    }
}

#[test]
fn tasks_are_listed_with_one_request() {
    let cluster = cluster();
    let out = cluster.run("task list").ok();
    let words: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
    let header = ["NAME", "HOST", "USER", "STATE", "ID", "AGENT", "ID", "REGION", "ZONE"];
    assert_eq!(words[0], header);
    assert_eq!(words[1], ["web", "a", "root", "TASK_RUNNING", "web.1", "S0", "N/A", "N/A"]);
    assert_eq!(cluster.lines(), ["GET /master/state"]);
    assert_eq!(cluster.run("task list -q --all").ok(), "web.1\nweb.2\nold.1\n");
    assert_eq!(cluster.run("task list -q --completed").ok(), "old.1\n");
    assert_eq!(cluster.run("task list -q web.?").ok(), "web.1\nweb.2\n");
    assert_eq!(cluster.run("task list --json 2").json()[0]["id"], "web.2");
    assert_eq!(cluster.run("task list --json nope").ok(), "[]\n");
    let err = cluster.run("task list nope").failed(1);
    assert_eq!(err, "dais: no task ID found containing 'nope'\n");
    assert_eq!(cluster.run("task list --all --completed").status, 2);
}

#[test]
fn the_old_way_to_list_goes_on_with_a_word_of_warning() {
    let cluster = cluster();
    let outcome = cluster.run("task --json");
    assert!(outcome.err.contains("deprecated"), "{}", outcome.err);
    assert_eq!(outcome.json()[0]["id"], "web.1");
    assert_eq!(cluster.run("node --json").json()[0]["id"], "S0");
    assert!(cluster.run("service").ok().contains("marathon"));
    // Options may stand before the word too.
    let outcome = cluster.run("task --json -v list web.2");
    assert_eq!(outcome.err, "");
    assert_eq!(outcome.json()[0]["id"], "web.2");
    assert_eq!(cluster.run("node --json list").json()[0]["id"], "S0");
    assert_eq!(cluster.run("service -q list").ok(), "marathon\n");
    let err = cluster.run("task --json log web.1").failed(2);
    assert!(err.contains("`dais task list`"), "{err}");
}

#[test]
fn the_end_of_a_log_is_printed() {
    let cluster = cluster();
    file(&cluster, 1, "one\ntwo\nthree\n");
    assert_eq!(cluster.run("task log web.1").ok(), "one\ntwo\nthree\n");
    assert_eq!(cluster.run("task log --lines 2 web.1").ok(), "two\nthree\n");
    assert_eq!(cluster.run("task log --lines=-1 web.1").ok(), "three\n");
    assert_eq!(cluster.run("task log --lines 0 web.1").ok(), "");
    let err = cluster.run("task log old.1").failed(1);
    let expected = "1 that are over fit; --completed takes them\n\
                    dais: no task ID found containing 'old.1'\n";
    assert_eq!(err, expected);
}

#[test]
fn logs_of_several_tasks_stand_under_their_names() {
    let cluster = cluster();
    file(&cluster, 1, "a\n");
    file(&cluster, 2, "b\nc\n");
    let out = cluster.run("task log web").ok();
    assert_eq!(out, "===> web.1 <===\na\n===> web.2 <===\nb\nc\n");
}

#[test]
fn following_ends_when_the_tasks_are_over() {
    let cluster = Scripted::start();
    let mut state = state(&cluster);
    cluster.on("GET /master/state", 200, &state);
    let read = "GET /files/read?path=/frameworks/F0/executors/web.1/runs/latest/stdout&offset=";
    cluster.on(&format!("{read}-1"), 200, r#"{"data":"","offset":2}"#);
    cluster.on(&format!("{read}0&length=2"), 200, r#"{"data":"a\n","offset":0}"#);
    cluster.on(&format!("{read}0&length=65536"), 200, r#"{"data":"a\n","offset":0}"#);
    cluster.on(&format!("{read}2&length=65536"), 200, r#"{"data":"","offset":2}"#);
    cluster.on(&format!("{read}2&length=65536"), 200, r#"{"data":"b\n","offset":2}"#);
    cluster.on(&format!("{read}4&length=65536"), 200, r#"{"data":"","offset":4}"#);
    state["frameworks"][0]["tasks"] = json!([]);
    cluster.on("GET /master/state", 200, &state);
    assert_eq!(cluster.run("task log -f web.1").ok(), "a\nb\n");
}

/// A task that is over is read to its end and then left alone, however long another runs.
#[test]
fn following_leaves_tasks_that_are_over() {
    let cluster = Scripted::start();
    let mut state = state(&cluster);
    cluster.on("GET /master/state", 200, &state);
    let read = |number: u32, query: &str| {
        let path = format!("/frameworks/F0/executors/web.{number}/runs/latest/stdout");
        format!("GET /files/read?path={path}&offset={query}")
    };
    for number in [1, 2] {
        cluster.on(&read(number, "-1"), 200, r#"{"data":"","offset":2}"#);
        let whole = r#"{"data":"a\n","offset":0}"#;
        cluster.on(&read(number, "0&length=2"), 200, whole);
        cluster.on(&read(number, "0&length=65536"), 200, whole);
        cluster.on(&read(number, "2&length=65536"), 200, r#"{"data":"","offset":2}"#);
    }
    // First one ends, though the master still knows it, then the other.
    let tasks = state["frameworks"][0]["tasks"].take();
    state["frameworks"][0]["completed_tasks"] = json!([tasks[0]]);
    state["frameworks"][0]["tasks"] = json!([tasks[1]]);
    cluster.on("GET /master/state", 200, &state).on("GET /master/state", 200, &state);
    state["frameworks"][0]["tasks"] = json!([]);
    cluster.on("GET /master/state", 200, &state);
    let out = cluster.run("task log -f --all web").ok();
    assert_eq!(out, "===> web.1 <===\na\n===> web.2 <===\na\n");
    let looks = |number| {
        let line = read(number, "2&length=65536");
        cluster.lines().iter().filter(|seen| **seen == line).count()
    };
    assert!(looks(1) < looks(2), "{} {}", looks(1), looks(2));
}

#[test]
fn sandboxes_are_listed() {
    let cluster = cluster();
    let sandbox = "/frameworks/F0/executors/web.1/runs/latest";
    let entry = |mode: &str, name: &str| {
        json!({"mode": mode, "nlink": 1, "uid": "root", "gid": "root", "size": 3,
            "mtime": 1_600_000_000, "path": format!("/x/{name}")})
    };
    let entries = json!([entry("-rw-r--r--", "stderr"), entry("drwxr-xr-x", "sub")]);
    cluster.on(&format!("GET /files/browse?path={sandbox}"), 200, entries);
    assert_eq!(cluster.run("task ls web.1").ok(), "stderr  sub\n");
    let out = cluster.run("task ls --long web.1").ok();
    assert!(out.contains("2020-09-13 12:26 UTC  stderr"), "{out}");
    cluster.on(&format!("GET /files/browse?path={sandbox}/nope"), 404, "");
    let err = cluster.run("task ls web.1 nope").failed(1);
    assert_eq!(err, "dais: cannot access 'nope': no such file or directory\n");
}

#[test]
fn sandboxes_are_downloaded_of_tasks_that_are_over_too() {
    let cluster = cluster();
    let debug = json!({"/real": "/x/slaves/S0/frameworks/F0/executors/old.1/runs/c0"});
    cluster.on("GET /files/debug", 200, debug);
    let entry = |mode: &str, path: &str| json!({"mode": mode, "path": path, "size": 1});
    let entries = json!([entry("-rw", "/real/stdout"), entry("drwx", "/real/sub")]);
    cluster.on("GET /files/browse?path=/real", 200, entries);
    cluster.on("GET /files/browse?path=/real/sub", 200, json!([entry("-rw", "/real/sub/x")]));
    for (path, text) in [("/real/stdout", "out"), ("/real/sub/x", "y")] {
        let read = |offset| format!("GET /files/read?path={path}&offset={offset}&length=65536");
        cluster.on(&read(0), 200, json!({"data": text, "offset": 0}));
        cluster.on(&read(text.len()), 200, json!({"data": "", "offset": text.len()}));
    }
    let target = cluster.folder().join("got");
    cluster.run(&format!("task download old.1 --target-dir={}", target.display())).ok();
    assert_eq!(std::fs::read_to_string(target.join("stdout")).unwrap(), "out");
    assert_eq!(std::fs::read_to_string(target.join("sub/x")).unwrap(), "y");
    let err = cluster.run("task download old.1 '*.nope'").failed(1);
    assert!(err.contains("no file or directory matched '*.nope'"), "{err}");
    let err = cluster.run("task download web").failed(1);
    assert!(err.contains("more than one task"), "{err}");
}

#[test]
fn nodes_and_services_are_listed() {
    let cluster = cluster();
    let out = cluster.run("node list").ok();
    assert!(out.starts_with("  HOSTNAME  IP         PUBLIC IP(S)  ID"), "{out}");
    assert!(out.contains("agent") && out.contains("master (leader)"), "{out}");
    assert_eq!(cluster.run("node list --json --mesos-id=S0").json()[0]["status"], "ACTIVE");
    assert_eq!(cluster.run("node list --mesos-id=S7").status, 1);
    assert_eq!(cluster.run("service list -q").ok(), "marathon\n");
    assert!(cluster.run("node dns leader.mesos").failed(1).contains("no DNS yet"));
}

#[test]
fn a_service_is_shut_down_after_a_yes() {
    let cluster = cluster();
    cluster.on("POST /api/v1", 202, "");
    assert_eq!(cluster.run_with("service shutdown marathon", "\n").status, 1);
    cluster.run_with("service shutdown marathon", "yes\n").ok();
    let sent = cluster.sent("POST /api/v1");
    let expected = json!({"type": "TEARDOWN", "teardown": {"framework_id": {"value": "F0"}}});
    assert_eq!(sent, expected);
    assert!(cluster.run("service shutdown nope --yes").failed(1).contains("\"nope\""));
}

#[test]
fn the_log_of_a_service_is_that_of_its_tasks() {
    let cluster = cluster();
    let apps = json!({"apps": [{"id": "/web", "labels": {"DCOS_PACKAGE_FRAMEWORK_NAME": "fw"}}]});
    cluster.on("GET /v2/apps", 200, apps);
    cluster.on("GET /v2/apps/web/tasks", 200, r#"{"tasks":[{"id":"web.2"}]}"#);
    file(&cluster, 2, "hello\n");
    assert_eq!(cluster.run("service log fw").ok(), "hello\n");
    assert_eq!(cluster.run("service log web").ok(), "hello\n");
    assert!(cluster.run("service log nope").failed(1).contains("[nope]"));
}

#[test]
fn every_way_to_reach_an_app_is_tried() {
    let cluster = cluster();
    let (host, port) = cluster.address().rsplit_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    // Nobody listens at the second task's port.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let task = |port: u16| json!({"host": host, "ports": [port], "state": "TASK_RUNNING"});
    let web = json!({"id": "/web", "tasks": [task(port), task(nobody)],
        "labels": {"HAPROXY_0_VHOST": "web.example"},
        "portDefinitions": [{"port": 10000, "name": "http", "labels": {"VIP_0": "/web:80"}}]});
    let edge = json!({"id": "/edge-lb", "tasks": [task(port)],
        "labels": {"DCOS_PACKAGE_NAME": "edge-lb"}, "portDefinitions": [{"name": "http"}]});
    cluster.on("GET /v2/apps/web?embed=app.tasks", 200, json!({"app": web}));
    cluster.on("GET /v2/apps?embed=apps.tasks", 200, json!({"apps": [web, edge]}));
    cluster.on("GET /v2/info", 200, r#"{"name":"marathon"}"#);
    let hosts = |name: &str, answer: &str| {
        cluster.on(&format!("GET /v1/hosts/{name}"), 200, answer);
    };
    hosts("web.marathon.mesos", r#"[{"host":"web.marathon.mesos.","ip":"127.0.0.1"}]"#);
    hosts("web.marathon.autoip.dcos.thisdcos.directory", r#"[{"host":"","ip":""}]"#);
    let services = r#"[{"service":"x","host":"h","ip":"127.0.0.1","port":"31000"}]"#;
    cluster.on("GET /v1/services/_web._tcp.marathon.mesos", 200, services);
    cluster.on("GET /", 200, "served");
    let shown = cluster.run("service endpoints web --json").ok();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    let check = |kind: &str, address: &str| {
        let mut rows = rows.iter();
        let row = rows.find(|row| row["kind"] == kind && row["address"] == address);
        let row = row.unwrap_or_else(|| panic!("no {kind} {address} in {shown}"));
        (row["works"].as_bool().unwrap(), row["check"].as_str().unwrap().to_owned())
    };
    assert_eq!(check("task", cluster.address()), (true, "connected".to_owned()));
    assert!(!check("task", &format!("{host}:{nobody}")).0);
    assert_eq!(check("name", "web.marathon.mesos"), (true, "127.0.0.1".to_owned()));
    assert!(!check("name", "web.marathon.autoip.dcos.thisdcos.directory").0);
    let srv = (true, "127.0.0.1:31000".to_owned());
    assert_eq!(check("srv", "_web._tcp.marathon.mesos"), srv);
    assert!(!check("vip", "web.marathon.l4lb.thisdcos.directory:80").0);
    assert_eq!(check("public", "http://web.example/"), (true, "200 OK".to_owned()));
    let seen = cluster.seen().into_iter().find(|seen| seen.line == "GET /").unwrap();
    assert_eq!(seen.headers["host"], "web.example");
    let table = cluster.run("service endpoints web --no-check").ok();
    assert!(table.starts_with("  KIND") && table.contains("web.example"), "{table}");
    cluster.on("GET /v2/apps/nope?embed=app.tasks", 404, r#"{"message":"no"}"#);
    assert!(cluster.run("service endpoints nope").failed(1).contains("/nope"));
}
