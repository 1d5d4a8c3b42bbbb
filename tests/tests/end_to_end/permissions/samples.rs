//! A request for each row.

use http_kit::permissions::Row;
use serde_json::{Value, json};

use super::people::Person;
use super::world::{Asked, World};

/// What is there before anybody asks.
pub(super) struct Facts {
    /// A deployment that cannot end.
    deployment: String,
}

/// The app that is there, and the group that it is in.
const APP: &str = "/dev/web";
const TASK: &str = "dev_web.instance-00000000-0000-0000-0000-000000000007._app.1";

fn request(method: &str, path: &str, body: &Value) -> Asked {
    let json = |name| (name, "application/json".to_owned());
    Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: vec![json("Content-Type"), json("Accept")],
        body: if body.is_null() { String::new() } else { body.to_string() },
        whole: false,
    }
}

/// Makes what the samples speak of.
pub(super) fn prepare(world: &World) -> Facts {
    let create = |body: Value| {
        let asked = Asked { whole: true, ..request("POST", "/v2/apps", &body) };
        let answer = world.ask(world.marathon, &asked, Person::Admin, false);
        assert_eq!(answer.status, 201, "{body}: {}", answer.body);
        let name = "marathon-deployment-id: ";
        let id = answer.head.lines().find_map(|line| line.strip_prefix(name));
        id.expect("a deployment").to_owned()
    };
    create(json!({"id": APP, "cmd": "true", "instances": 0}));
    let deployment = create(json!({"id": "/slow", "cmd": "true", "instances": 1}));
    Facts { deployment }
}

/// The request of a row. `number` makes what is created new each time.
pub(super) fn of(component: &str, row: &Row, method: &str, number: usize, facts: &Facts) -> Asked {
    match component {
        "marathon" => of_marathon(row, method, number, facts),
        "cosmos" => of_cosmos(row, method),
        "dns" | "net" => request(method, &row.path.replace("{name}", "leader.mesos"), &Value::Null),
        "mesos-agent" => of_mesos(row, method, "/slave(1)"),
        _ => of_mesos(row, method, "/master"),
    }
}

fn of_mesos(row: &Row, method: &str, actor: &str) -> Asked {
    let form = "application/x-www-form-urlencoded".to_owned();
    match (row.path, row.call) {
        ("/{id}/mesos.internal.*", _) => Asked {
            method: "POST".to_owned(),
            path: format!("{actor}/mesos.internal.PingSlaveMessage"),
            headers: vec![("Libprocess-From", "nobody@127.0.0.1:1".to_owned())],
            ..Asked::default()
        },
        ("/master/teardown", _) => Asked {
            headers: vec![("Content-Type", form)],
            body: "frameworkId=none".to_owned(),
            ..request(method, row.path, &Value::Null)
        },
        ("/logging/toggle", "level") => {
            request(method, "/logging/toggle?level=1&duration=1secs", &Value::Null)
        }
        (path, call) if path.starts_with("/files/") => {
            let shown = match call {
                "log" => "/slave/log",
                "sandbox" => return request(method, &sandbox(path), &Value::Null),
                _ => "/master/log",
            };
            request(method, &format!("{path}?path={shown}"), &Value::Null)
        }
        (path, "") => request(method, path.trim_end_matches('/'), &Value::Null),
        (path, call) => request(method, path, &mesos_call(path, call)),
    }
}

/// Below it are the sandboxes of an agent; `{work_dir}` is filled in with the agent's.
fn sandbox(path: &str) -> String {
    format!("{path}?path={{work_dir}}/slaves")
}

fn mesos_call(path: &str, call: &str) -> Value {
    let scheduler = path.ends_with("/scheduler");
    match call {
        "SUBSCRIBE" if scheduler => json!({"type": call, "subscribe": {"framework_info": {
            "user": "root", "name": "sample", "roles": ["web"],
            "capabilities": [{"type": "MULTI_ROLE"}],
        }}}),
        _ if scheduler => json!({"type": call, "framework_id": {"value": "none"}}),
        "TEARDOWN" => json!({"type": call, "teardown": {"framework_id": {"value": "none"}}}),
        "LIST_FILES" => json!({"type": call, "list_files": {"path": "/slave/log"}}),
        "READ_FILE" => json!({"type": call, "read_file": {"path": "/slave/log", "offset": 0}}),
        _ => json!({"type": call}),
    }
}

fn of_marathon(row: &Row, method: &str, number: usize, facts: &Facts) -> Asked {
    let id = match (row.call, method) {
        ("create", _) => format!("/new/{method}-{number}").to_lowercase(),
        // What is gone is not there for the next row.
        ("", "DELETE") if !row.path.contains("tasks") => "/gone".to_owned(),
        _ if row.path.starts_with("/v2/groups") => "/dev".to_owned(),
        _ => APP.to_owned(),
    };
    let path = row.path.replace("{id}", id.trim_start_matches('/'));
    let path = path.replace("{group}", "dev").replace("{task}", TASK);
    let path = path.replace("{version}", "2020-01-01T00:00:00.000Z");
    let path = path.replace("{deployment}", &facts.deployment);
    let app = json!({"id": id, "cmd": "true", "instances": 0});
    let (path, body) = match (method, row.path) {
        ("POST", "/logging") => (path, json!({"logger": "ROOT", "level": "info"})),
        ("POST", "/v2/apps") => {
            (path, json!({"id": format!("/posted-{number}"), "cmd": "true", "instances": 0}))
        }
        ("PUT" | "PATCH", "/v2/apps") => (path, json!([app])),
        ("PUT" | "PATCH", "/v2/apps/{id}") => (path, json!({"cmd": "true", "instances": 0})),
        ("POST", "/v2/tasks/delete") => (path, json!({"ids": [TASK]})),
        ("POST", "/v2/groups/{id}") => {
            let path = format!("/v2/groups/posted-{number}");
            (path, json!({"dependencies": []}))
        }
        ("PATCH", "/v2/groups/{id}") => (path, json!({"enforceRole": false})),
        ("PUT", "/v2/groups/{id}") => (path, json!({"dependencies": []})),
        ("DELETE", "/v2/leader") => (format!("{path}?dryRun=true"), Value::Null),
        _ => (path, Value::Null),
    };
    let mut asked = request(method, &path, &body);
    if row.path == "/v2/events" {
        asked.headers = vec![("Accept", "text/event-stream".to_owned())];
    }
    asked
}

/// The bodies say nothing: who may is judged before they are read.
fn of_cosmos(row: &Row, method: &str) -> Asked {
    let body = if method == "POST" { json!({}) } else { Value::Null };
    request(method, row.path, &body)
}
