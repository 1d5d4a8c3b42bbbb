//! What the gateway knows of a real cluster while services come and go, and servers with them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admin_router::knowledge::{self, Knowledge, Settings, Source};
use admin_router::{Cluster as _, Known, Resolution, Service};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::cluster::Cluster;
use crate::support::marathon::Marathon;
use crate::support::{PATIENCE, wait_until};

fn cluster() -> Cluster {
    let resources = "cpus:8;mem:4096;disk:4096;ports:[31000-31999]";
    Cluster::with_services(&["--agents", "1", "--public-agents", "0", "--resources", resources])
}

/// A gateway's knowledge of a cluster, without the gateway.
struct Follower {
    knowledge: Knowledge,
    runtime: Runtime,
    shutdown: CancellationToken,
    join: JoinHandle<()>,
}

impl Follower {
    fn start(cluster: &Cluster) -> Follower {
        let origin = |address: &str| format!("http://{address}").parse().expect("an origin");
        let (mesos, marathon) = (origin(cluster.master()), origin(cluster.marathon()));
        let settings = Settings::new(vec![mesos], vec![marathon]);
        let runtime = Runtime::new().expect("a runtime");
        let shutdown = CancellationToken::new();
        let (knowledge, join) = {
            let _inside = runtime.enter();
            knowledge::start(&settings, shutdown.clone())
        };
        let follower = Follower { knowledge, runtime, shutdown, join };
        follower.wait_until_live();
        follower
    }

    fn wait_until_live(&self) {
        wait_until("both streams", || {
            let snapshot = self.knowledge.snapshot();
            snapshot.mesos == Source::Live && snapshot.marathon == Source::Live
        });
    }

    fn service(&self, path: &str) -> Option<Arc<Service>> {
        let segments: Vec<Cow<'_, str>> = path.split('/').map(Cow::Borrowed).collect();
        match self.knowledge.service(&segments) {
            Resolution::Found(service) => Some(service),
            Resolution::Missing => None,
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Looks often, so that the time can be told.
    fn wait_for<T>(&self, what: &str, probe: impl Fn(&Follower) -> Option<T>) -> (T, Instant) {
        let begun = Instant::now();
        loop {
            if let Some(found) = probe(self) {
                return (found, Instant::now());
            }
            let shown = || self.knowledge.describe();
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}: {}", shown());
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn stop(self) {
        self.shutdown.cancel();
        self.runtime.block_on(self.join).expect("an end");
    }
}

fn service(id: &str, name: &str) -> Value {
    json!({
        "id": id, "cmd": "exec sleep 101101", "instances": 1, "cpus": 0.01, "mem": 8, "disk": 0,
        "portDefinitions": [{"port": 0, "protocol": "tcp"}, {"port": 0, "protocol": "tcp"}],
        "labels": {"DCOS_SERVICE_NAME": name, "DCOS_SERVICE_SCHEME": "http",
            "DCOS_SERVICE_PORT_INDEX": "1"},
    })
}

fn address(service: &Service) -> String {
    match &service.upstream.address {
        proxy::Address::Tcp(address) => address.to_string(),
        other => panic!("{other:?}"),
    }
}

/// When Marathon shows the first task of an app as running, and where.
fn running(marathon: &Marathon, app: &str) -> (Instant, String) {
    let begun = Instant::now();
    loop {
        let tasks = marathon.get(&format!("/v2/apps/{app}/tasks"));
        if let Some(task) = tasks["tasks"].as_array().and_then(|tasks| tasks.first())
            && task["state"] == "TASK_RUNNING"
        {
            let host = task["host"].as_str().expect("a host");
            return (Instant::now(), format!("{host}:{}", task["ports"][1]));
        }
        assert!(begun.elapsed() < PATIENCE, "{app} does not run");
    }
}

/// How much later `after` was; printed only, since a loaded machine is slow.
fn told(what: &str, before: Instant, after: Instant) {
    let late = after.saturating_duration_since(before);
    let early = before.saturating_duration_since(after);
    println!("{what}: {late:?} later, {early:?} earlier");
}

#[test]
fn services_come_and_go_with_their_tasks() {
    let cluster = cluster();
    let marathon = Marathon(cluster.marathon().to_owned());
    let follower = Follower::start(&cluster);
    assert!(follower.service("prod/web").is_none());
    for round in 0..3 {
        marathon.send("POST", "/v2/apps", &service("/prod/web", "prod/web"));
        let shown = std::thread::scope(|scope| {
            let shown = scope.spawn(|| running(&marathon, "prod/web"));
            let (found, at) = follower.wait_for("the service", |one| one.service("prod/web"));
            let (shown_at, place) = shown.join().expect("a task");
            told(&format!("round {round}: routable, against Marathon's own list"), shown_at, at);
            assert_eq!(address(&found), place);
            found
        });
        let before = Instant::now();
        marathon.send("DELETE", "/v2/apps/prod/web", &Value::Null);
        let gone = |one: &Follower| one.service("prod/web").is_none().then_some(());
        let ((), at) = follower.wait_for("the service's end", gone);
        told(&format!("round {round}: gone, after it was asked to"), before, at);
        // Who still has it sends nothing there any more.
        assert!(shown.upstream.is_retired());
        marathon.settled();
    }
    follower.stop();
}

#[test]
fn the_cluster_is_known_as_it_is() {
    let cluster = cluster();
    let marathon = Marathon(cluster.marathon().to_owned());
    marathon.run(&service("/before", "before"));
    let follower = Follower::start(&cluster);
    follower.wait_for("a service from before", |one| one.service("before"));
    // Marathon is found as a framework, by its name and its id.
    let found = follower.service("marathon").expect("Marathon");
    assert_eq!(address(&found), cluster.marathon());
    let id = marathon.get("/v2/info")["frameworkId"].as_str().expect("an id").to_owned();
    assert_eq!(address(&follower.service(&id).expect("Marathon")), cluster.marathon());
    let Known::Found(leader) = follower.knowledge.leader() else { panic!("no leader") };
    assert_eq!(leader.upstream.address, proxy::Address::Tcp(cluster.master().parse().unwrap()));
    let Known::Found(leader) = follower.knowledge.marathon_leader() else { panic!("no leader") };
    assert_eq!(leader.is_local, Some(true));
    let state = cluster.state();
    let agent = state["slaves"][0]["id"].as_str().expect("an agent");
    let Known::Found(agent) = follower.knowledge.agent(agent) else { panic!("no agent") };
    assert_eq!(agent.upstream.address, proxy::Address::Tcp(cluster.agent().parse().unwrap()));
    assert!(matches!(follower.knowledge.agent("nobody"), Known::Missing));
    follower.stop();
}

#[test]
fn other_labels_are_another_service() {
    let cluster = cluster();
    let marathon = Marathon(cluster.marathon().to_owned());
    let follower = Follower::start(&cluster);
    marathon.run(&service("/web", "one"));
    follower.wait_for("its first name", |one| one.service("one"));
    let mut changed = service("/web", "two");
    changed["labels"]["DCOS_SERVICE_REWRITE_REQUEST_URLS"] = json!("false");
    marathon.send("PUT", "/v2/apps/web", &changed);
    let (found, _) = follower.wait_for("its second name", |one| one.service("two"));
    assert!(!found.rewrite);
    follower.wait_for("the first name's end", |one| one.service("one").is_none().then_some(()));
    marathon.settled();
    // A whole group at once.
    let apps = [service("/team/a", "team/a"), service("/team/b", "team/b")];
    marathon.send("PUT", "/v2/groups", &json!({"id": "/team", "apps": apps}));
    follower.wait_for("both", |one| one.service("team/a").zip(one.service("team/b")));
    marathon.send("DELETE", "/v2/groups/team?force=true", &Value::Null);
    let gone = |one: &Follower| one.service("team/a").or(one.service("team/b")).is_none();
    follower.wait_for("the end of both", |one| gone(one).then_some(()));
    follower.stop();
}

#[test]
fn a_cluster_that_was_killed_is_known_again() {
    let mut cluster = cluster();
    let marathon = Marathon(cluster.marathon().to_owned());
    marathon.run(&service("/web", "web"));
    let follower = Follower::start(&cluster);
    let (before, _) = follower.wait_for("the service", |one| one.service("web"));
    cluster.kill();
    wait_until("both streams to end", || {
        let snapshot = follower.knowledge.snapshot();
        snapshot.mesos != Source::Live && snapshot.marathon != Source::Live
    });
    // What was told last is still used: the task outlives its cluster.
    let found = follower.service("web").expect("the service");
    assert!(Arc::ptr_eq(&found.upstream, &before.upstream));
    cluster.start_again();
    follower.stop();
    let follower = Follower::start(&cluster);
    let (after, _) = follower.wait_for("the service again", |one| one.service("web"));
    assert_eq!(address(&after), address(&before));
    follower.stop();
}
