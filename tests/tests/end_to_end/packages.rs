//! Packages through the command line: installed from the catalog, scaled, updated without
//! losing a request, uninstalled; and what a terminal or a pipe sees of it.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::cluster::{Cluster, binary};
use crate::support::http::Connection;
use crate::support::marathon::Marathon;
use crate::support::{eventually, http, processes, wait_until};

const APP: &str = "hello-world";

fn cluster() -> Cluster {
    let resources = "cpus:4;mem:2048;disk:4096;ports:[31000-31999]";
    Cluster::with_services(&["--agents", "1", "--public-agents", "0", "--resources", resources])
}

/// A client command for the cluster, with a configuration of its own.
fn command(cluster: &Cluster, words: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(words).stdin(Stdio::null());
    for name in ["DAIS_URL", "DCOS_URL", "DAIS_DIR", "DCOS_DIR", "DAIS_CLUSTER", "DCOS_CLUSTER"] {
        command.env_remove(name);
    }
    command.env("DAIS_DATA_DIR", cluster.data_dir()).env("HOME", cluster.folder.path());
    command
}

fn run(cluster: &Cluster, words: &[&str]) -> Output {
    command(cluster, words).output().expect("the binary starts")
}

/// The output of a command that must go well.
fn dais(cluster: &Cluster, words: &[&str]) -> String {
    let output = run(cluster, words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{words:?}: {}\n{out}\n{err}", output.status);
    out
}

/// Addresses of the instances that Marathon tells to be healthy.
fn healthy(marathon: &Marathon) -> Vec<String> {
    let address = |task: &Value| {
        let checks = task["healthCheckResults"].as_array()?;
        let alive = !checks.is_empty() && checks.iter().all(|check| check["alive"] == true);
        alive.then(|| format!("{}:{}", task["host"].as_str().unwrap(), task["ports"][0]))
    };
    marathon.running(APP).values().filter_map(address).collect()
}

/// Asks an instance once, on a connection of its own; gives the version that answered.
fn ask(address: &str) -> Result<String, String> {
    let mut connection = Connection::try_open(address).map_err(|e| format!("{address}: {e}"))?;
    connection.send_raw(&http::request(address, "GET", "/", &[("Connection", "close")], b""));
    let answer = connection.receive("GET").ok_or_else(|| format!("{address}: no answer"))?;
    if answer.status != 200 {
        return Err(format!("{address}: {}", answer.status));
    }
    Ok(answer.text())
}

/// Clients that ask every healthy instance in turn, and never ask twice.
struct Load {
    instances: Mutex<Vec<String>>,
    over: AtomicBool,
    asked: AtomicU64,
    failures: Mutex<Vec<String>>,
    texts: Mutex<BTreeSet<String>>,
}

impl Load {
    fn new(instances: Vec<String>) -> Load {
        Load {
            instances: Mutex::new(instances),
            over: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            failures: Mutex::default(),
            texts: Mutex::default(),
        }
    }

    /// What a load balancer does: it looks again and again who is there.
    fn look(&self, marathon: &Marathon) {
        while !self.over.load(Ordering::Relaxed) {
            let found = healthy(marathon);
            if !found.is_empty() {
                *self.instances.lock().unwrap() = found;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Two hundred requests a second at most: the machine has other work too.
    fn ask(&self) {
        while !self.over.load(Ordering::Relaxed) {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let address = {
                let instances = self.instances.lock().unwrap();
                instances[usize::try_from(number).unwrap() % instances.len()].clone()
            };
            match ask(&address) {
                Ok(text) => drop(self.texts.lock().unwrap().insert(text)),
                Err(failure) => self.failures.lock().unwrap().push(failure),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs `work` under load; gives what the instances said.
    fn during(self, marathon: &Marathon, work: impl FnOnce()) -> BTreeSet<String> {
        let asked = std::thread::scope(|scope| {
            let looking = scope.spawn(|| self.look(marathon));
            let asking = [(); 2].map(|()| scope.spawn(|| self.ask()));
            // The load ends even if the work fails.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            self.over.store(true, Ordering::Relaxed);
            looking.join().expect("looking");
            asking.into_iter().for_each(|asking| asking.join().expect("asking"));
            result.map(|()| self.asked.load(Ordering::Relaxed))
        });
        let asked = asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let failures = self.failures.into_inner().unwrap();
        assert!(failures.is_empty(), "{} of {asked} failed: {failures:?}", failures.len());
        assert!(asked > 100, "only {asked} requests");
        self.texts.into_inner().unwrap()
    }
}

#[test]
fn a_package_of_the_catalog_is_installed_scaled_updated_under_load_and_uninstalled() {
    let cluster = cluster();
    let marathon = Marathon(cluster.marathon().to_owned());
    let found = dais(&cluster, &["package", "search", "hello", "--json"]);
    assert!(found.contains(&format!("\"name\": \"{APP}\"")), "{found}");

    dais(&cluster, &["package", "install", APP, "--yes", "--wait"]);
    assert_eq!(healthy(&marathon).len(), 1, "healthy when the command ends");
    let listed = dais(&cluster, &["package", "list"]);
    assert!(listed.contains("/hello-world"), "{listed}");

    let out = dais(&cluster, &["marathon", "app", "scale", "--wait", APP, "5"]);
    assert!(out.starts_with("Created deployment "), "{out}");
    assert_eq!(healthy(&marathon).len(), 5);

    let options = cluster.folder.path().join("options.json");
    let text = r#"{"greeting": "load", "version": "2.0.0", "service": {"instances": 5}}"#;
    std::fs::write(&options, text).unwrap();
    let old = marathon.running(APP);
    let load = Load::new(healthy(&marathon));
    let texts = load.during(&marathon, || {
        let options = options.to_str().unwrap();
        let words = ["package", "update", APP, "--yes", "--wait", "--options", options];
        dais(&cluster, &words);
        // All at once, the new ones first.
        let all = r#"upgradeStrategy={"minimumHealthCapacity": 1, "maximumOverCapacity": 1}"#;
        dais(&cluster, &["marathon", "app", "update", "--wait", APP, "cpus=0.06", all]);
    });
    assert!(texts.len() > 1, "old and new answered: {texts:?}");
    let new = marathon.wait_for(APP, 5);
    assert!(old.keys().all(|id| !new.contains_key(id)), "every instance was replaced");
    for address in healthy(&marathon) {
        let text = ask(&address).unwrap();
        assert!(text.contains("load"), "{text}");
    }

    dais(&cluster, &["package", "uninstall", APP, "--yes"]);
    wait_until("no app", || http::get(&marathon.0, "/v2/apps/hello-world").status == 404);
    wait_until("no task", || dais(&cluster, &["task", "list", "--quiet"]).is_empty());
    let over = dais(&cluster, &["task", "list", "--completed", "--quiet"]);
    assert!(over.lines().count() >= 15, "{over}");
    let output = run(&cluster, &["package", "list"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn logs_and_files_of_tasks_are_at_hand_while_they_run_and_after() {
    let cluster = cluster();
    dais(&cluster, &["package", "install", APP, "--yes", "--wait"]);
    let id = dais(&cluster, &["task", "list", "--quiet"]).trim().to_owned();
    let log = dais(&cluster, &["task", "log", APP]);
    assert!(log.contains("listens on"), "{log}");
    assert!(dais(&cluster, &["task", "ls", APP]).contains("stdout"));

    let mut following = command(&cluster, &["task", "log", "-f", APP]);
    let following = following.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    dais(&cluster, &["marathon", "app", "remove", "--wait", APP]);
    let output = following.wait_with_output().unwrap();
    assert!(output.status.success(), "following ends with the tasks: {output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("listens on"), "{output:?}");

    wait_until("the end of the task", || {
        dais(&cluster, &["task", "list", "--quiet", "--completed"]).contains(&id)
    });
    let target = cluster.folder.path().join("files");
    let target = target.to_str().unwrap();
    dais(&cluster, &["task", "download", &id, "stdout", "--target-dir", target]);
    let stdout = std::fs::read_to_string(format!("{target}/stdout")).unwrap();
    assert!(stdout.contains("listens on"), "{stdout}");
}

#[test]
fn an_interrupted_wait_leaves_the_deployment_running() {
    let cluster = cluster();
    let file = cluster.folder.path().join("big.json");
    std::fs::write(&file, r#"{"id": "/big", "cmd": "sleep 100", "cpus": 99}"#).unwrap();
    let file = file.to_str().unwrap();
    let mut waiting = command(&cluster, &["marathon", "app", "add", "--wait", file]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deployment = eventually("the deployment", || {
        let ids = run(&cluster, &["marathon", "deployment", "list", "--quiet"]);
        let ids = String::from_utf8(ids.stdout).unwrap();
        ids.lines().next().map(str::to_owned)
    });
    wait_until("a reason", || {
        let output = run(&cluster, &["marathon", "debug", "summary", "big"]);
        String::from_utf8_lossy(&output.stdout).contains("reason: needs 99 cpus")
    });
    // The client looks at its own pace.
    std::thread::sleep(Duration::from_secs(2));
    processes::signal(waiting.id().cast_signed(), Signal::SIGINT);
    let output = waiting.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(err.contains("/big: 0/1 ready (waiting: needs 99 cpus"), "{err}");
    assert!(err.contains(&format!("dais marathon deployment watch {deployment}")), "{err}");
    assert!(dais(&cluster, &["marathon", "deployment", "list", "--quiet"]).contains(&deployment));
    dais(&cluster, &["marathon", "app", "remove", "--force", "--wait", "big"]);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let cluster = cluster();
    let mut command = command(&cluster, &["package", "describe", APP]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_change_is_shown_before_it_is_made_and_can_be_taken_back() {
    let cluster = cluster();
    let marathon = Marathon(cluster.marathon().to_owned());
    let file = cluster.folder.path().join("app.json");
    let app = r#"{"id": "/a", "cmd": "sleep 1000", "cpus": 0.01, "mem": 16}"#;
    std::fs::write(&file, app).unwrap();
    let file = file.to_str().unwrap();
    let plan = dais(&cluster, &["service", "plan", file]);
    assert!(plan.starts_with("+ create app /a (instances: 1 started)\n"), "{plan}");
    assert!(plan.contains("    + /cmd: \"sleep 1000\"\n"), "{plan}");
    assert_eq!(http::get(&marathon.0, "/v2/apps//a").status, 404, "a plan deploys nothing");
    dais(&cluster, &["marathon", "app", "add", "--wait", file]);

    std::fs::write(file, app.replace("0.01", "99")).unwrap();
    let plan = dais(&cluster, &["service", "plan", file]);
    assert!(plan.contains("- /cpus: 0.01\n    + /cpus: 99\n"), "{plan}");
    assert!(plan.contains("replace the instances of /a"), "{plan}");
    let mut waiting = command(&cluster, &["marathon", "app", "update", "--wait", "a", "cpus=99"]);
    let waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the deployment", || !marathon.deployments().is_empty());
    let id = marathon.deployments()[0]["id"].as_str().unwrap().to_owned();
    // Whoever waits has seen it before it is gone.
    std::thread::sleep(Duration::from_secs(2));
    dais(&cluster, &["marathon", "deployment", "rollback", "--wait", &id]);
    let output = waiting.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(err.contains(&format!("deployment {id} was taken back or replaced")), "{err}");
    assert_eq!(marathon.get("/v2/apps//a")["app"]["cpus"], 0.01);
}
