//! `dais up`: what a newcomer sees.

use serde_json::json;

use crate::support::cluster::Cluster;
use crate::support::scheduler::{Scheduler, framework};
use crate::support::{http, processes, wait_until};

#[test]
fn starts_a_master_a_private_and_a_public_agent() {
    let cluster = Cluster::start();
    assert_eq!((cluster.agents().len(), cluster.public_agents().len()), (1, 1));
    for address in [cluster.master(), &cluster.agent(), &cluster.public_agents()[0]] {
        let health = http::get(address, "/health");
        assert_eq!((health.status, health.body.len()), (200, 0), "{address}");
    }
    let summary = http::get(cluster.master(), "/state-summary").json();
    assert_eq!(summary["slaves"].as_array().map(Vec::len), Some(2));
    let slaves = http::get(cluster.master(), "/slaves").json();
    let is_public = |slave: &&serde_json::Value| !slave["attributes"]["public_ip"].is_null();
    let slaves = slaves["slaves"].as_array().expect("slaves");
    let public: Vec<_> = slaves.iter().filter(is_public).collect();
    assert_eq!(public.len(), 1);
    assert_eq!(public[0]["attributes"]["public_ip"], "true");
    assert!(public[0]["reserved_resources"]["slave_public"]["cpus"].as_f64() > Some(0.0));
    assert_eq!(public[0]["unreserved_resources"]["cpus"], 0.0);
}

#[test]
fn offers_public_resources_to_their_role_only() {
    let cluster = Cluster::start();
    let mut anybody = Scheduler::subscribe(cluster.master(), &framework());
    let offer = anybody.offer();
    let roles = |offer: &serde_json::Value| {
        let resources = offer["resources"].as_array().expect("resources").clone();
        resources.iter().any(|r| r["reservations"][0]["role"] == "slave_public")
    };
    assert!(!roles(&offer), "{offer:#}");
    anybody.teardown();
    let mut public = framework();
    public["roles"] = json!(["slave_public"]);
    public["capabilities"] = json!([{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]);
    let mut public = Scheduler::subscribe(cluster.master(), &public);
    let event = public.wait("an offer of the public agent", |event| {
        let offers = event["offers"]["offers"].as_array().cloned().unwrap_or_default();
        offers.iter().any(|offer| !offer["attributes"].is_null() && roles(offer))
    });
    drop(event);
}

#[test]
fn several_agents() {
    let cluster = Cluster::with(&["--agents", "3", "--public-agents", "2"]);
    assert_eq!((cluster.agents().len(), cluster.public_agents().len()), (3, 2));
    assert_eq!(cluster.active_agents(), 5);
}

#[test]
fn ctrl_c_leaves_nothing_running() {
    let mut cluster = Cluster::small();
    let mut scheduler = Scheduler::subscribe(cluster.master(), &framework());
    let task = scheduler.run("setsid sleep 1000 & (sleep 1000 &) ; sleep 1000");
    scheduler.status(&task, "TASK_RUNNING");
    let of_task = |cluster: &Cluster| {
        let found = processes::of_folder(&cluster.data_dir());
        found.iter().filter(|process| process.command.starts_with("sleep")).count()
    };
    wait_until("the three sleeps", || of_task(&cluster) == 3);
    let status = cluster.interrupt();
    assert!(status.success(), "{status}: {}", cluster.process().output());
    let left = processes::of_folder(cluster.folder.path());
    assert!(left.is_empty(), "left behind: {left:#?}");
}

#[test]
fn a_failure_late_in_the_start_leaves_nothing_running() {
    let mut cluster = Cluster::with_services(&["--agents", "1", "--public-agents", "0"]);
    let mut scheduler = Scheduler::subscribe(cluster.master(), &framework());
    let task = scheduler.run("sleep 1000");
    scheduler.status(&task, "TASK_RUNNING");
    cluster.kill();
    let sleeps = || {
        let found = processes::of_folder(&cluster.data_dir());
        found.iter().filter(|process| process.command.starts_with("sleep")).count()
    };
    assert_eq!(sleeps(), 1, "the task runs on");
    // The gateway is the last to start, and has no folder.
    let folder = cluster.data_dir().join("gateway");
    std::fs::remove_dir_all(&folder).expect("the gateway's folder");
    std::fs::write(&folder, "in the way").expect("a file");
    let mut running = cluster.begin();
    assert!(!running.wait().success());
    assert!(running.output().contains("cannot make"), "{}", running.output());
    let left = processes::of_folder(cluster.folder.path());
    assert!(left.is_empty(), "left behind: {left:#?}");
}

#[test]
fn ctrl_c_is_heeded_during_the_start() {
    let mut cluster = Cluster::with_services(&["--agents", "1", "--public-agents", "0"]);
    assert!(cluster.interrupt().success());
    // The gateway needs a new certificate, and tries in vain to keep it.
    let tls = cluster.data_dir().join("gateway/tls");
    std::fs::remove_file(tls.join("gateway.pem")).expect("its certificate");
    std::fs::create_dir(tls.join("gateway.new")).expect("a folder in the way");
    let version = cluster.data_dir().join("gateway/metadata/dcos-version.json");
    std::fs::remove_file(&version).expect("what is written before");
    let mut running = cluster.begin();
    wait_until("the gateway to start", || version.exists());
    running.signal(nix::sys::signal::Signal::SIGINT);
    let status = running.wait();
    assert!(status.success(), "{status}: {}", running.output());
    let left = processes::of_folder(cluster.folder.path());
    assert!(left.is_empty(), "left behind: {left:#?}");
}

#[test]
fn two_clusters_live_side_by_side() {
    let (one, other) = (Cluster::small(), Cluster::small());
    assert_ne!(one.master(), other.master());
    let mut first = Scheduler::subscribe(one.master(), &framework());
    let mut second = Scheduler::subscribe(other.master(), &framework());
    for scheduler in [&mut first, &mut second] {
        let task = scheduler.run("true");
        scheduler.status(&task, "TASK_FINISHED");
    }
}

#[test]
fn a_data_folder_in_use_is_refused() {
    let cluster = Cluster::small();
    let second = std::process::Command::new(crate::support::cluster::binary())
        .args(["up", "--ports", "auto", "--data-dir"])
        .arg(cluster.data_dir())
        .output()
        .expect("dais up starts");
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("in use"), "{said}");
    assert_eq!(http::get(cluster.master(), "/health").status, 200);
}
