//! A strict cluster does its work with tokens alone.

use http_kit::guard::Mode;
use serde_json::{Value, json};

use super::super::support::{cluster::binary, wait_until};
use super::people::Person;
use super::world::{Answer, Asked, Plan, World};

const PACKAGE: &str = "application/vnd.dcos.package";

fn json_request(method: &str, path: &str, body: &Value) -> Asked {
    let json = |name| (name, "application/json".to_owned());
    Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: vec![json("Content-Type"), json("Accept")],
        body: if body.is_null() { String::new() } else { body.to_string() },
        whole: true,
    }
}

/// A call of the package service.
fn package(call: &str, version: u8, body: &Value) -> Asked {
    let media = |kind: &str, version: u8| {
        format!("{PACKAGE}.{call}-{kind}+json;charset=utf-8;version=v{version}")
    };
    Asked {
        headers: vec![
            ("Content-Type", media("request", 1)),
            ("Accept", media("response", version)),
        ],
        ..json_request("POST", &format!("/package/{call}"), body)
    }
}

fn app(id: &str) -> Value {
    json!({"id": id, "cmd": "sleep 1000", "instances": 1, "cpus": 0.1, "mem": 32})
}

/// Asks Marathon, as the account that may do everything in `/dev` and nothing else.
fn deployer(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    let token = world.people.of_account("deployer");
    world.ask_with(world.marathon, &json_request(method, path, body), Some(token), false)
}

#[test]
fn a_strict_cluster_works_with_tokens_alone() {
    let world = World::start(&Plan { mode: Mode::Strict, helper: Some(binary()) });
    let admin = |to, path: &str| {
        world.ask(to, &json_request("GET", path, &Value::Null), Person::Admin, false)
    };
    wait_until("Marathon to register", || {
        admin(world.master, "/frameworks").body.contains("\"principal\":\"dcos_marathon\"")
    });
    wait_until("the agent to register", || {
        admin(world.master, "/slaves").body.contains("\"active\":true")
    });

    let created = deployer(&world, "POST", "/v2/apps", &app("/dev/sleeper"));
    assert_eq!(created.status, 201, "{}", created.body);
    for (method, path, body) in [
        ("POST", "/v2/apps", app("/prod/sleeper")),
        ("POST", "/v2/apps", app("/develop")),
        ("PUT", "/v2/apps/dev/../prod", app("/x")),
        ("PUT", "/v2/apps", json!([app("/dev/a"), app("/prod/a")])),
        ("PUT", "/v2/groups/dev", json!({"id": "/prod", "apps": [app("a")]})),
        ("POST", "/v2/groups", json!({"id": "prod", "apps": [app("a")]})),
        ("PUT", "/v2/groups/dev", json!({"apps": [app("/prod/a")]})),
        ("DELETE", "/v2/groups", Value::Null),
        ("GET", "/v2/info", Value::Null),
    ] {
        let answer = deployer(&world, method, path, &body);
        assert_eq!(answer.status, 403, "{method} {path} {body}: {}", answer.body);
    }
    wait_until("the app to run", || {
        let shown = deployer(&world, "GET", "/v2/apps/dev/sleeper", &Value::Null);
        assert_eq!(shown.status, 200, "{}", shown.body);
        shown.body.contains("\"tasksRunning\":1")
    });
    let other = |path: &str| {
        let asked = json_request("GET", path, &Value::Null);
        world.ask(world.marathon, &asked, Person::Other, false).body
    };
    for path in ["/v2/apps", "/v2/tasks", "/v2/queue", "/v2/deployments", "/v2/groups"] {
        assert!(!other(path).contains("dev"), "{path}: {}", other(path));
        assert_eq!(
            deployer(&world, "GET", path, &Value::Null).status,
            200,
            "{path} is for everybody who is somebody"
        );
    }
    assert!(deployer(&world, "GET", "/v2/groups", &Value::Null).body.contains("/dev/sleeper"));

    // The package service hands the caller's token on.
    let asked = package("install", 2, &json!({"packageName": "hello-world"}));
    let refused = world.ask(world.cosmos, &asked, Person::Reader, false);
    assert_eq!(refused.status, 403, "{}", refused.body);
    wait_until("the repositories to be read", || {
        let answer = world.ask(world.cosmos, &asked, Person::Admin, false);
        assert!(matches!(answer.status, 200 | 400), "{} {}", answer.status, answer.body);
        answer.status == 200
    });
    let listed = package("list", 1, &json!({}));
    let all = world.ask(world.cosmos, &listed, Person::Reader, false);
    assert!(all.status == 200 && all.body.contains("hello-world"), "{}", all.body);

    for id in ["/dev/sleeper", "/hello-world"] {
        let path = format!("/v2/apps{id}?force=true");
        let asked = json_request("DELETE", &path, &Value::Null);
        let deleted = world.ask(world.marathon, &asked, Person::Admin, false);
        assert_eq!(deleted.status, 200, "{}", deleted.body);
    }
    wait_until("the tasks to end", || {
        let tasks = admin(world.marathon, "/v2/tasks");
        tasks.status == 200 && tasks.body.contains("{\"tasks\":[]}")
    });
}

/// A driver of the older API has no way to show a token.
#[test]
fn a_strict_master_takes_no_scheduler_without_a_token() {
    use mesos_messages::{internal, v1};
    use prost::Message;

    let world = World::start(&Plan { mode: Mode::Strict, helper: None });
    let framework = v1::FrameworkInfo {
        user: "root".to_owned(),
        name: "older".to_owned(),
        ..v1::FrameworkInfo::default()
    };
    let message = internal::RegisterFrameworkMessage { framework }.encode_to_vec();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("an address");
    let mut stream = std::net::TcpStream::connect(world.master).expect("a connection");
    let head = format!(
        "POST /master/mesos.internal.RegisterFrameworkMessage HTTP/1.1\r\n\
         Libprocess-From: scheduler@{own}\r\nContent-Length: {}\r\n\r\n",
        message.len()
    );
    std::io::Write::write_all(&mut stream, &[head.as_bytes(), &message].concat()).expect("sent");
    let (mut answer, _) = listener.accept().expect("an answer");
    answer.set_read_timeout(Some(super::super::support::PATIENCE)).expect("a timeout");
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains("token") {
        let mut piece = [0; 1024];
        let count = std::io::Read::read(&mut answer, &mut piece).expect("the whole answer");
        assert!(count > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..count]);
    }
    assert!(String::from_utf8_lossy(&text).contains("FrameworkErrorMessage"));
}
