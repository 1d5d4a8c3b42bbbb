//! Traffic from outside: the package edge-lb on a public agent, services behind it, and what
//! clients see while those are replaced.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, binary};
use crate::support::http::Connection;
use crate::support::{http, processes, wait_until};

/// Upgrades under load.
const UPGRADES: usize = 20;

fn dais(cluster: &Cluster, arguments: &[&str]) -> String {
    let output = Command::new(binary())
        .args(arguments)
        .env("DAIS_DATA_DIR", cluster.data_dir())
        .env("DAIS_DIR", cluster.folder.path().join("client"))
        .stdin(Stdio::null())
        .output()
        .expect("dais starts");
    let (out, err) = (&output.stdout, &output.stderr);
    let told = format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    assert!(output.status.success(), "dais {arguments:?}: {told}");
    told
}

fn install(cluster: &Cluster, package: &str, options: &Value) {
    let file = cluster.folder.path().join(format!("{package}-options.json"));
    std::fs::write(&file, options.to_string()).expect("the options");
    let file = file.to_str().expect("a path");
    dais(cluster, &["package", "install", package, "--yes", "--options", file]);
}

fn app(cluster: &Cluster, id: &str) -> Value {
    let path = format!("/v2/apps/{id}?embed=app.tasks");
    http::get(cluster.marathon(), &path).json()["app"].clone()
}

/// No deployment is under way.
fn settled(cluster: &Cluster) {
    wait_until("the deployment", || {
        http::get(cluster.marathon(), "/v2/deployments").json() == json!([])
    });
}

/// Where the frontends of edge-lb are: http, https, statistics, app id.
fn edge(cluster: &Cluster) -> Vec<String> {
    wait_until("edge-lb", || app(cluster, "edge-lb")["tasksHealthy"] == 1);
    let ports = app(cluster, "edge-lb")["tasks"][0]["ports"].clone();
    let ports = ports.as_array().expect("ports").iter();
    ports.map(|port| format!("127.0.0.1:{port}")).collect()
}

/// On free ports, which needs no root.
fn unprivileged() -> Value {
    json!({"edge": {"require_ports": false, "bind": "127.0.0.1", "service_ports": "none",
                    "access_log": "access.log"}})
}

fn ask(address: &str, host: &str, path: &str) -> http::Response {
    ask_with(address, host, path, "")
}

fn ask_with(address: &str, host: &str, path: &str, headers: &str) -> http::Response {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    Connection::open(address).exchange(head.as_bytes(), "GET")
}

fn cluster() -> Cluster {
    Cluster::with_services(&["--agents", "1", "--public-agents", "1"])
}

fn installed(program: &str) -> bool {
    let mut command = Command::new(program);
    if command.arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok() {
        return true;
    }
    assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "{program} is not installed");
    eprintln!("skipped: {program} is not installed");
    false
}

#[test]
fn a_service_is_reached_from_outside_by_its_host_name() {
    let cluster = cluster();
    install(&cluster, "edge-lb", &unprivileged());
    let edge = edge(&cluster);
    let roles = &app(&cluster, "edge-lb")["acceptedResourceRoles"];
    assert_eq!(*roles, json!(["slave_public"]));
    assert_eq!(ask(&edge[0], "hello.example.com", "/").status, 503);
    let options = json!({"virtual_host": "hello.example.com", "greeting": "outside"});
    install(&cluster, "hello-world", &options);
    wait_until("the service", || ask(&edge[0], "hello.example.com", "/").status == 200);
    let page = ask(&edge[0], "hello.example.com:80", "/").text();
    assert!(page.contains("Hello, outside!"), "{page}");
    assert_eq!(ask(&edge[0], "other.example.com", "/").status, 503);
    if installed("curl") {
        let url = format!("https://{}/health", edge[1]);
        let output = Command::new("curl")
            .args(["-sk", "--resolve"])
            .arg(format!("hello.example.com:{}:127.0.0.1", edge[1].rsplit(':').next().unwrap()))
            .arg(url.replace("127.0.0.1", "hello.example.com"))
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("\"healthy\""), "{text}");
    }
    let config = http::get(&edge[2], "/_haproxy_getconfig").text();
    assert!(config.contains("backend hello-world_"), "{config}");
    assert_eq!(http::get(&edge[2], "/_edge/problems").json()["labels"], json!([]));
    let csv = http::get(&edge[2], "/haproxy?stats;csv").text();
    assert!(csv.lines().any(|line| line.starts_with("hello-world_") && line.contains(",UP,")));
    let id = "X-Marathon-App-Id: /hello-world\r\n";
    assert_eq!(ask_with(&edge[3], "x", "/health", id).status, 200);

    // Without an instance there is no service; with one there is again.
    for (instances, status) in [("0", 503), ("2", 200)] {
        dais(
            &cluster,
            &["marathon", "app", "update", "/hello-world", &format!("instances={instances}")],
        );
        wait_until("the change", || ask(&edge[0], "hello.example.com", "/").status == status);
        settled(&cluster);
    }
    dais(&cluster, &["package", "uninstall", "hello-world", "--yes"]);
    wait_until("the end", || ask(&edge[0], "hello.example.com", "/").status == 503);
}

/// wrk's words about requests: all of them, and those that failed in one way or another.
#[derive(Debug, Default)]
struct Load {
    requests: u64,
    failed: u64,
}

fn load(report: &str) -> Load {
    let mut load = Load::default();
    for line in report.lines().map(str::trim) {
        let numbers = || {
            line.split(|one: char| !one.is_ascii_digit())
                .filter_map(|word| word.parse::<u64>().ok())
        };
        if line.contains("requests in") {
            load.requests = numbers().next().unwrap_or_default();
        } else if line.starts_with("Socket errors:") || line.starts_with("Non-2xx") {
            load.failed += match line.starts_with("Non") {
                // "Non-2xx or 3xx responses: 5"
                true => numbers().next_back().unwrap_or_default(),
                false => numbers().sum(),
            };
        }
    }
    load
}

/// wrk, until it is told to stop.
struct Wrk(std::process::Child);

impl Wrk {
    fn start(address: &str, folder: &Path) -> Wrk {
        let report = std::fs::File::create(folder.join("wrk.txt")).expect("a file");
        let child = Command::new("wrk")
            .args(["-t1", "-c8", "-d600s", "-H", "Host: hello.example.com"])
            .arg(format!("http://{address}/health"))
            .stdin(Stdio::null())
            .stdout(report.try_clone().expect("a handle"))
            .stderr(report)
            .spawn()
            .expect("wrk starts");
        Wrk(child)
    }

    /// Interrupted, it reports what it has seen.
    fn stop(mut self, folder: &Path) -> Load {
        processes::signal(self.0.id() as i32, Signal::SIGINT);
        self.0.wait().expect("wrk ends");
        let report = std::fs::read_to_string(folder.join("wrk.txt")).expect("a report");
        let load = load(&report);
        assert!(load.requests > 1000, "{report}");
        load
    }
}

impl Drop for Wrk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn answers(edge: &str) -> Value {
    let stats = http::get(edge, "/_edge/stats").json();
    let rows = stats["rows"].as_array().cloned().unwrap_or_default();
    let front = rows.into_iter().find(|row| row["proxy"] == "marathon_http_in");
    front.expect("the frontend")["answers"].clone()
}

#[test]
fn twenty_upgrades_under_load_cost_no_request() {
    if !installed("wrk") {
        return;
    }
    let cluster = cluster();
    let folder = cluster.folder.path();
    install(&cluster, "edge-lb", &unprivileged());
    let edge = edge(&cluster);
    let options = json!({"virtual_host": "hello.example.com", "service": {"instances": 2}});
    install(&cluster, "hello-world", &options);
    wait_until("both instances", || app(&cluster, "hello-world")["tasksHealthy"] == 2);
    wait_until("the service", || ask(&edge[0], "hello.example.com", "/").status == 200);
    let wrk = Wrk::start(&edge[0], folder);
    let begun = Instant::now();
    for upgrade in 1..=UPGRADES {
        let version = format!("env={{\"HELLO_VERSION\":\"1.{upgrade}\",\"HELLO_NAME\":\"world\"}}");
        dais(&cluster, &["marathon", "app", "update", "/hello-world", &version]);
        settled(&cluster);
    }
    let page = ask(&edge[0], "hello.example.com", "/").text();
    assert!(page.contains(&format!("1.{UPGRADES}")), "{page}");
    let took = begun.elapsed();
    let load = wrk.stop(folder);
    eprintln!("{UPGRADES} upgrades in {took:?}: {load:?}, answers {}", answers(&edge[2]));
    assert_eq!(load.failed, 0, "{load:?}, answers {}", answers(&edge[2]));
}

/// Whatever runs on one agent dies at once, as when a machine does: what is under way there is
/// sent to the other server. Only an answer that had begun cannot be had again.
#[test]
fn an_agent_that_dies_costs_at_most_what_it_was_answering() {
    if !installed("wrk") {
        return;
    }
    let cluster = Cluster::with_services(&["--agents", "2", "--public-agents", "1"]);
    let folder = cluster.folder.path();
    install(&cluster, "edge-lb", &unprivileged());
    let edge = edge(&cluster);
    let options = json!({"virtual_host": "hello.example.com", "service": {"instances": 2}});
    install(&cluster, "hello-world", &options);
    wait_until("both instances", || app(&cluster, "hello-world")["tasksHealthy"] == 2);
    wait_until("both servers", || {
        let csv = http::get(&edge[2], "/haproxy?stats;csv").text();
        let up = |line: &&str| line.starts_with("hello-world_") && line.contains(",UP,");
        csv.lines().filter(up).count() >= 3
    });
    let wrk = Wrk::start(&edge[0], folder);
    std::thread::sleep(Duration::from_secs(1));
    let task = app(&cluster, "hello-world")["tasks"][0]["id"].as_str().expect("an id").to_owned();
    let on_it = |process: &processes::Process| {
        let place = std::fs::read_link(format!("/proc/{}/cwd", process.pid));
        place.is_ok_and(|place| place.to_string_lossy().contains(&task))
    };
    let dying: Vec<i32> =
        processes::of_folder(folder).iter().filter(|one| on_it(one)).map(|one| one.pid).collect();
    assert!(!dying.is_empty(), "nothing runs in the sandbox of {task}");
    for pid in dying {
        processes::signal(pid, Signal::SIGKILL);
    }
    std::thread::sleep(Duration::from_secs(3));
    let load = wrk.stop(folder);
    eprintln!("a server vanished: {load:?}, answers {}", answers(&edge[2]));
    // At most one answer had begun on each of its connections.
    assert!(load.failed <= 8, "{load:?}");
    assert_eq!(ask(&edge[0], "hello.example.com", "/health").status, 200);
}
