//! Names and virtual addresses of a whole cluster, asked for by Debian's dig and by Dais's own
//! command line.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::cluster::{Cluster, binary};
use crate::support::marathon::Marathon;
use crate::support::{eventually, wait_until};

/// Without the program the test passes, and says so.
fn has(program: &str) -> bool {
    let found =
        ["/usr/bin", "/usr/sbin"].iter().any(|folder| Path::new(folder).join(program).exists());
    if !found {
        assert!(std::env::var_os("DAIS_REQUIRE_TOOLS").is_none(), "{program} is missing");
        println!("skipped: no {program}; `cargo xtask test e2e` installs it");
    }
    found
}

/// What dig says of a name.
#[derive(Debug)]
struct Dug {
    status: String,
    answers: Vec<String>,
}

fn dig(cluster: &Cluster, words: &[&str]) -> Dug {
    let address: SocketAddr = cluster.endpoints["dns"].as_str().unwrap().parse().unwrap();
    let output = Command::new("dig")
        .arg(format!("@{}", address.ip()))
        .args(["-p", &address.port().to_string(), "+tries=1", "+time=5"])
        .args(["+noall", "+comments", "+answer"])
        .args(words)
        .output()
        .expect("dig");
    let text = String::from_utf8(output.stdout).expect("text");
    let status = text.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
    let answers = text.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    let answers = answers.map(|line| {
        let words: Vec<&str> = line.split_whitespace().skip(4).collect();
        words.join(" ")
    });
    let mut answers: Vec<String> = answers.collect();
    answers.sort();
    Dug { status: status.unwrap_or("NONE").to_owned(), answers }
}

/// Answers with its own port to whatever is asked of it.
const SERVER: &str = "exec python3 -c \"
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = os.environ['PORT0'].encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT0'])), Answer).serve_forever()
\"";

fn web(instances: u32) -> Value {
    json!({
        "id": "/shop/web", "cmd": SERVER, "cpus": 0.1, "mem": 32, "instances": instances,
        "portDefinitions": [{"port": 0, "name": "http", "labels": {"VIP_0": "/web:80"}}],
        "healthChecks": [{"protocol": "MESOS_HTTP", "path": "/", "portIndex": 0,
            "gracePeriodSeconds": 60, "intervalSeconds": 1, "timeoutSeconds": 10}],
    })
}

fn ports(marathon: &Marathon) -> Vec<u64> {
    let running = marathon.running("shop/web");
    let ports = running.values().filter_map(|task| task["ports"][0].as_u64());
    let mut ports: Vec<u64> = ports.collect();
    ports.sort_unstable();
    ports
}

#[test]
fn a_service_is_found_by_its_names_and_by_a_virtual_address() {
    if !has("dig") {
        return;
    }
    let mut cluster = Cluster::with_services(&["--agents", "1", "--public-agents", "0"]);
    let marathon = Marathon(cluster.marathon().to_owned());
    assert_eq!(dig(&cluster, &["web-shop.marathon.mesos"]).status, "NXDOMAIN");
    assert_eq!(dig(&cluster, &["leader.mesos"]).answers, ["127.0.0.1"]);
    marathon.run(&web(2));
    for name in ["web-shop.marathon.mesos", "web-shop.marathon.autoip.dcos.thisdcos.directory"] {
        wait_until(name, || dig(&cluster, &[name]).answers == ["127.0.0.1"]);
        assert_eq!(dig(&cluster, &["+tcp", name]).answers, ["127.0.0.1"]);
        let other = dig(&cluster, &[name, "AAAA"]);
        assert_eq!((other.status.as_str(), other.answers.len()), ("NOERROR", 0));
    }
    let wanted = ports(&marathon);
    for name in ["_web-shop._tcp.marathon.mesos", "_http._web-shop._tcp.marathon.mesos"] {
        let found = dig(&cluster, &[name, "SRV"]).answers;
        let mut found: Vec<u64> =
            found.iter().filter_map(|answer| answer.split(' ').nth(2)?.parse().ok()).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "{name}");
    }
    every_way_works(&cluster);
    // One virtual address, behind which both are.
    let address = virtual_address(&cluster);
    wait_until("both behind the address", || {
        let mut seen: Vec<u64> = (0..8).filter_map(|_| fetch(address)?.parse().ok()).collect();
        seen.sort_unstable();
        seen.dedup();
        seen == ports(&marathon)
    });
    marathon.send("DELETE", "/v2/apps/shop/web", &Value::Null);
    wait_until("the name to go", || {
        dig(&cluster, &["web-shop.marathon.mesos"]).status == "NXDOMAIN"
    });
    wait_until("the address to go", || fetch(address).is_none());
    cluster.assert_alive();
}

/// Where the load balancer's name leads on this machine.
fn virtual_address(cluster: &Cluster) -> SocketAddr {
    let name = "web.marathon.l4lb.thisdcos.directory";
    let port = cluster.endpoints["net"].as_str().expect("a URL");
    let listening = eventually("where the virtual address is served", || {
        let answer = crate::support::http::get(port.trim_start_matches("http://"), "/v1/vips");
        let vips = answer.json();
        let vip = vips
            .as_array()?
            .iter()
            .find(|vip| vip["vip"].as_str().is_some_and(|vip| vip.starts_with(name)))?;
        vip["listening"].as_str().map(str::to_owned)
    });
    listening.parse().expect("an address")
}

fn fetch(address: SocketAddr) -> Option<String> {
    TcpStream::connect(address).ok()?;
    let answer = crate::support::http::try_get(&address.to_string(), "/")?;
    (answer.status == 200).then(|| answer.text())
}

/// What the command line says of the app: everything but what leads through a gateway or from
/// outside, which the app does not ask for.
fn every_way_works(cluster: &Cluster) {
    let kinds = || {
        let output = Command::new(binary())
            .args(["service", "endpoints", "/shop/web", "--json"])
            .env("DAIS_DATA_DIR", cluster.data_dir())
            .env("HOME", cluster.folder.path())
            .output()
            .expect("dais");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
        rows
    };
    let rows = eventually("every way to work", || {
        let rows = kinds();
        let works = |row: &Value| row["works"] == true || row["kind"] == "vip";
        rows.iter().all(works).then_some(rows)
    });
    let count = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
    assert_eq!(
        (count("task"), count("name"), count("srv"), count("vip")),
        (2, 3, 2, 1),
        "{rows:?}"
    );
}

#[test]
fn names_of_running_tasks_are_never_denied_while_everything_starts_again() {
    if !has("dig") {
        return;
    }
    let mut cluster = Cluster::with_services(&["--agents", "1", "--public-agents", "0"]);
    let marathon = Marathon(cluster.marathon().to_owned());
    marathon.run(&web(1));
    let name = "web-shop.marathon.mesos";
    wait_until("the name", || dig(&cluster, &[name]).answers == ["127.0.0.1"]);
    for _ in 0..3 {
        cluster.kill();
        assert_eq!(dig(&cluster, &[name]).status, "NONE");
        cluster.start_again();
        // From the first answer on, whatever the master knows by then.
        wait_until("the name to be back", || {
            let found = dig(&cluster, &[name]);
            assert_ne!(found.status, "NXDOMAIN", "{found:?}");
            found.answers == ["127.0.0.1"]
        });
    }
    cluster.assert_alive();
}

#[test]
fn a_strict_cluster_has_names_too() {
    if !has("dig") {
        return;
    }
    let arguments = ["--agents", "1", "--public-agents", "0", "--security", "strict"];
    let mut cluster = Cluster::with_services_unwatched(&arguments);
    wait_until("the name of the framework", || {
        dig(&cluster, &["marathon.mesos"]).answers == ["127.0.0.1"]
    });
    wait_until("the names of agents", || dig(&cluster, &["slave.mesos"]).answers == ["127.0.0.1"]);
    let net = cluster.endpoints["net"].as_str().unwrap().trim_start_matches("http://").to_owned();
    assert_eq!(crate::support::http::get(&net, "/v1/vips").status, 401);
    cluster.assert_alive();
    let told = cluster.process().output();
    for refused in ["401 Unauthorized", "403 Forbidden"] {
        assert!(!told.contains(refused), "a component was refused:\n{told}");
    }
}
