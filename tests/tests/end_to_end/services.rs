//! Services on a whole cluster: they outlive crashes, come back after a stop, and an upgrade
//! that was interrupted goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::cluster::{Cluster, Running, Separate, binary, free_port};
use crate::support::marathon::{Marathon, TaskProcess, sleeper, sleepers};
use crate::support::{http, processes, wait_until};

/// Other moments for kills: DAIS_TEST_SEED=<number>.
fn seed() -> u64 {
    let given = std::env::var("DAIS_TEST_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(20_260_801)
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % bound
    }
}

fn cluster() -> Cluster {
    let resources = "cpus:8;mem:4096;disk:4096;ports:[31000-31999]";
    Cluster::with_services(&["--agents", "1", "--public-agents", "0", "--resources", resources])
}

/// Marathon as a process of its own; returns when it answers.
fn start_marathon(master: &str, folder: &Path, port: u16) -> (Running, Marathon) {
    let mut command = Command::new(binary());
    command.args(["run", "marathon", "--logging_level=info"]);
    command.arg(format!("--master={master}")).arg(format!("--http_port={port}"));
    command.arg(format!("--work_dir={}", folder.join("marathon").display()));
    let running = Running::start(&mut command, folder.join("marathon.log"));
    let address = format!("127.0.0.1:{port}");
    wait_until("marathon", || {
        http::try_get(&address, "/ping").is_some_and(|answer| answer.status == 200)
    });
    (running, Marathon(address))
}

/// An app whose upgrade takes several rounds: at most a fifth is replaced at once.
fn twenty(seconds: u32, version: &str) -> Value {
    let mut app = sleeper("/twenty", 20, seconds);
    app["env"] = json!({"ROUND": version});
    app["upgradeStrategy"] = json!({"minimumHealthCapacity": 0.8, "maximumOverCapacity": 0.2});
    app["healthChecks"] = json!([{
        "protocol": "COMMAND", "command": {"value": "true"},
        "delaySeconds": 1, "intervalSeconds": 1, "timeoutSeconds": 20, "gracePeriodSeconds": 60,
    }]);
    app
}

/// Looks at the processes of an upgrade and notices whatever must not happen in it.
struct Watch {
    folder: std::path::PathBuf,
    seconds: u32,
    old: BTreeSet<String>,
    seen: BTreeMap<String, TaskProcess>,
}

impl Watch {
    fn look(&mut self) -> (usize, usize) {
        let now = sleepers(&self.folder, self.seconds);
        for (id, task) in &now {
            let before = self.seen.entry(id.clone()).or_insert_with(|| task.clone());
            let (before, after) = (&before.process, &task.process);
            assert_eq!(before.pid, after.pid, "task {id} runs twice");
            assert_eq!(before.started, after.started, "task {id} was started again");
        }
        // Processes are found one after the other, hence a task more may be gone by now.
        assert!(now.len() >= 15, "only {} of at least 16 are left", now.len());
        assert!(now.len() <= 24, "{} are more than 24", now.len());
        let old = now.keys().filter(|id| self.old.contains(*id)).count();
        (old, now.len() - old)
    }

    /// Every new task ever seen must still run, as it did: nothing healthy was killed.
    fn end(mut self, marathon: &Marathon) {
        let (old, new) = self.look();
        assert_eq!((old, new), (0, 20));
        let now = sleepers(&self.folder, self.seconds);
        for (id, task) in self.seen.iter().filter(|(id, _)| !self.old.contains(*id)) {
            assert!(processes::still_runs(&task.process), "new task {id} was killed");
        }
        let told: Vec<String> = marathon.running("twenty").into_keys().collect();
        assert_eq!(told, now.keys().cloned().collect::<Vec<_>>());
        let versions: BTreeSet<&str> = now.values().map(|task| task.version.as_str()).collect();
        assert_eq!(versions.len(), 1, "{versions:?}");
    }
}

#[test]
fn an_upgrade_goes_on_after_a_killed_cluster() {
    let mut cluster = cluster();
    let (seconds, mut random) = (101_001, Random(seed()));
    let marathon = Marathon(cluster.marathon().to_owned());
    marathon.run(&twenty(seconds, "one"));
    let old = sleepers(cluster.folder.path(), seconds);
    assert_eq!(old.len(), 20);
    let mut watch = Watch {
        folder: cluster.folder.path().to_owned(),
        seconds,
        old: old.keys().cloned().collect(),
        seen: old,
    };
    marathon.send("PUT", "/v2/apps/twenty", &twenty(seconds, "two"));
    for round in 0..3 {
        let wanted = 1 + usize::try_from(round * 6 + random.below(5)).expect("a small number");
        wait_until("some of the upgrade", || watch.look().1 >= wanted);
        cluster.kill();
        assert!(watch.look().0 > 0, "the upgrade was over before the kill");
        cluster.start_again();
        watch.look();
    }
    let marathon = Marathon(cluster.marathon().to_owned());
    wait_until("the end of the upgrade", || {
        watch.look();
        marathon.deployments().is_empty()
    });
    watch.end(&marathon);
}

#[test]
fn an_upgrade_goes_on_after_a_killed_marathon() {
    let resources = "cpus:8;mem:4096;disk:4096;ports:[31000-31999]";
    let cluster = Cluster::with(&["--public-agents", "0", "--resources", resources]);
    let (seconds, mut random) = (101_002, Random(seed() + 1));
    let (port, folder) = (free_port(), cluster.folder.path().to_owned());
    let start = || start_marathon(cluster.master(), &folder, port);
    let (mut process, marathon) = start();
    marathon.run(&twenty(seconds, "one"));
    let old = sleepers(cluster.folder.path(), seconds);
    let mut watch = Watch {
        folder: cluster.folder.path().to_owned(),
        seconds,
        old: old.keys().cloned().collect(),
        seen: old,
    };
    marathon.send("PUT", "/v2/apps/twenty", &twenty(seconds, "two"));
    for round in 0..4 {
        let wanted = 1 + usize::try_from(round * 4 + random.below(3)).expect("a small number");
        wait_until("some of the upgrade", || watch.look().1 >= wanted);
        std::thread::sleep(std::time::Duration::from_millis(random.below(200)));
        process.kill();
        assert!(watch.look().0 > 0, "the upgrade was over before the kill");
        process = start().0;
    }
    wait_until("the end of the upgrade", || {
        watch.look();
        marathon.deployments().is_empty()
    });
    watch.end(&marathon);
    process.signal(Signal::SIGTERM);
    assert!(process.wait().success());
    assert_eq!(sleepers(cluster.folder.path(), seconds).len(), 20, "tasks outlive a stop");
}

#[test]
fn master_and_agent_may_be_killed_under_running_services() {
    let mut cluster = Separate::start();
    let (seconds, folder) = (101_006, cluster.folder.path().to_owned());
    let (mut process, marathon) = start_marathon(&cluster.master_address(), &folder, free_port());
    marathon.run(&sleeper("/steady", 3, seconds));
    let before = sleepers(&folder, seconds);
    assert_eq!(before.len(), 3);
    cluster.master.as_mut().expect("a master").kill();
    cluster.start_master();
    cluster.wait_for_agent();
    marathon.send("PUT", "/v2/apps/steady?force=true", &json!({"instances": 5}));
    marathon.wait_for("steady", 5);
    cluster.agent.as_mut().expect("an agent").kill();
    cluster.start_agent();
    cluster.wait_for_agent();
    marathon.send("PUT", "/v2/apps/steady?force=true", &json!({"instances": 6}));
    marathon.wait_for("steady", 6);
    for (id, task) in &before {
        assert!(processes::still_runs(&task.process), "task {id} was killed");
    }
    marathon.send("DELETE", "/v2/apps/steady", &Value::Null);
    wait_until("the end of all tasks", || sleepers(&folder, seconds).is_empty());
    process.signal(Signal::SIGTERM);
    assert!(process.wait().success());
}

#[test]
fn services_come_back_after_ctrl_c() {
    let mut cluster = cluster();
    let seconds = 101_003;
    Marathon(cluster.marathon().to_owned()).run(&sleeper("/back", 3, seconds));
    assert_eq!(sleepers(cluster.folder.path(), seconds).len(), 3);
    let status = cluster.interrupt();
    assert!(status.success(), "{status}");
    assert!(processes::of_folder(cluster.folder.path()).is_empty());
    cluster.start_again();
    let marathon = Marathon(cluster.marathon().to_owned());
    // The API goes on saying what it knew until the master has told that the tasks are gone.
    wait_until("the tasks", || sleepers(cluster.folder.path(), seconds).len() == 3);
    let told: Vec<String> = marathon.wait_for("back", 3).into_keys().collect();
    let found: Vec<String> = sleepers(cluster.folder.path(), seconds).into_keys().collect();
    assert_eq!(told, found);
    assert_eq!(marathon.get("/v2/apps/back")["app"]["instances"], 3);
}

#[test]
fn a_torn_down_framework_registers_anew_and_starts_its_services_again() {
    let cluster = cluster();
    let seconds = 101_004;
    let marathon = Marathon(cluster.marathon().to_owned());
    marathon.run(&sleeper("/again", 2, seconds));
    let before = sleepers(cluster.folder.path(), seconds);
    let id = marathon.get("/v2/info")["frameworkId"].as_str().expect("an id").to_owned();
    let body = format!("frameworkId={id}");
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = http::send(cluster.master(), "POST", "/teardown", &form, body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_until("new tasks", || {
        let now = sleepers(cluster.folder.path(), seconds);
        now.len() == 2 && now.keys().all(|id| !before.contains_key(id))
    });
    assert_ne!(marathon.get("/v2/info")["frameworkId"], json!(id));
}

#[test]
fn public_agents_run_what_asks_for_them() {
    let cluster = Cluster::with_services(&[]);
    let marathon = Marathon(cluster.marathon().to_owned());
    marathon.run(&sleeper("/private", 1, 101_005));
    let mut public = sleeper("/public", 1, 101_005);
    public["acceptedResourceRoles"] = json!(["slave_public"]);
    marathon.run(&public);
    let slaves = http::get(cluster.master(), "/slaves").json();
    let slaves = slaves["slaves"].as_array().expect("slaves").clone();
    for (app, attribute) in [("private", false), ("public", true)] {
        let task = marathon.wait_for(app, 1).into_values().next().expect("a task");
        let agent = slaves.iter().find(|slave| slave["id"] == task["slaveId"]).expect("its agent");
        assert_eq!(!agent["attributes"]["public_ip"].is_null(), attribute, "{app}: {task:#}");
    }
}

#[test]
fn hello_world_greets_and_an_upgrade_breaks_off_no_answer() {
    let cluster = cluster();
    let marathon = Marathon(cluster.marathon().to_owned());
    let app = |name: &str| {
        json!({
            "id": "/hello", "cmd": "exec \"$MESOS_LAUNCHER_DIR/dais\" hello-world", "instances": 2,
            "cpus": 0.1, "mem": 32, "disk": 0, "env": {"HELLO_NAME": name},
            "portDefinitions": [{"port": 0, "name": "http"}],
            "upgradeStrategy": {"minimumHealthCapacity": 1.0, "maximumOverCapacity": 0.5},
            "healthChecks": [{
                "protocol": "HTTP", "path": "/health", "portIndex": 0, "intervalSeconds": 1,
                "timeoutSeconds": 10, "gracePeriodSeconds": 60,
            }],
        })
    };
    marathon.run(&app("one"));
    marathon.send("PUT", "/v2/apps/hello", &app("two"));
    let mut greeted = BTreeSet::new();
    wait_until("the upgrade", || {
        // As a proxy does: ask those that are healthy, and only those that take the connection.
        for task in marathon.running("hello").into_values() {
            let healthy = task["healthCheckResults"][0]["alive"] == true;
            let address = format!("127.0.0.1:{}", task["ports"][0]);
            let Some(mut connection) =
                healthy.then(|| http::Connection::try_open(&address).ok()).flatten()
            else {
                continue;
            };
            let request = http::request(&address, "GET", "/", &[("Connection", "close")], b"");
            let answer = connection.exchange(&request, "GET");
            assert_eq!(answer.status, 200);
            let text = answer.text();
            greeted.insert(if text.contains("Hello, one!") { "one" } else { "two" });
        }
        marathon.deployments().is_empty()
    });
    assert!(greeted.contains("two"), "{greeted:?}");
    let left = marathon.wait_for("hello", 2);
    assert_eq!(left.len(), 2);
}
