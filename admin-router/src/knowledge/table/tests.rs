//! What the table makes of what it is told, case by case.

use std::sync::Arc;
use std::time::Duration;

use proxy::{Protocol, Scheme};

use super::super::facts::{
    FrameworkFact, Input, LeaderFact, MarathonInput, MesosInput, MesosState, Phase, TaskFact,
};
use super::super::snapshot::{LookUp, Source};
use super::super::{labels, snapshot::Snapshot};
use super::testing::*;
use crate::cluster::Known;

#[test]
fn before_anything_is_told_nobody_can_say() {
    let world = World::new();
    assert_eq!(world.found("app"), "Marathon");
    assert_eq!(world.found(""), "Marathon");
    assert_eq!(world.found("marathon"), "Mesos");
    assert!(matches!(world.snapshot.agent("a1"), Known::Unknown));
    assert!(matches!(world.snapshot.leader(), Known::Unknown));
    assert!(matches!(world.snapshot.marathon_leader(), Known::Unknown));
}

#[test]
fn a_service_is_there_while_its_task_runs() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    assert_eq!(world.found("web"), "missing");
    let task = task_of("/web", 1);
    world.mesos(MesosInput::TaskAdded(waiting(&task, 31000)));
    assert_eq!(world.found("web"), "missing");
    // The task says itself which port it has; Marathon need not be waited for.
    world.mesos(MesosInput::TaskUpdated(running(&task, 31000)));
    assert_eq!(world.found("web/deep/path"), "10.0.0.11:31000 1");
    let upstream = world.upstream("web");
    world.marathon(MarathonInput::Task(told(&task, Phase::Running, &[31000])));
    assert!(Arc::ptr_eq(&world.upstream("web"), &upstream), "nothing has changed");
    world.end(&task);
    assert_eq!(world.found("web"), "missing");
    assert!(upstream.is_retired());
    // What Marathon tells late brings nothing back.
    world.marathon(MarathonInput::Task(told(&task, Phase::Running, &[31000])));
    assert_eq!(world.found("web"), "missing");
}

#[test]
fn a_port_that_is_used_again_is_another_server() {
    let mut world = World::live();
    world.app(app("/old", "old"));
    world.app(app("/new", "new"));
    let (old, new) = (task_of("/old", 1), task_of("/new", 2));
    world.run(&old, 31000);
    let upstream = world.upstream("old");
    world.end(&old);
    world.run(&new, 31000);
    assert!(upstream.is_retired());
    assert_eq!(world.found("old"), "missing");
    assert_eq!(world.found("new"), "10.0.0.11:31000 1");
    assert!(!Arc::ptr_eq(&upstream, &world.upstream("new")));
    // Also for another task of the same app.
    let (upstream, newer) = (world.upstream("new"), task_of("/new", 3));
    world.end(&new);
    world.run(&newer, 31000);
    assert!(upstream.is_retired() && !world.upstream("new").is_retired());
}

#[test]
fn marathon_tells_of_an_end_as_well_as_the_master() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    let task = task_of("/web", 1);
    world.run(&task, 31000);
    world.marathon(MarathonInput::Task(told(&task, Phase::Ended, &[])));
    assert_eq!(world.found("web"), "missing");
    world.marathon(MarathonInput::Task(told(&task, Phase::Running, &[31000])));
    assert_eq!(world.found("web"), "missing");
}

#[test]
fn the_first_running_task_is_the_service() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    world.run(&task_of("/web", 2), 31002);
    world.run(&task_of("/web", 3), 31003);
    assert_eq!(world.found("web"), "10.0.0.11:31002 1");
    let upstream = world.upstream("web");
    world.end(&task_of("/web", 3));
    assert!(Arc::ptr_eq(&upstream, &world.upstream("web")));
    world.run(&task_of("/web", 4), 31004);
    world.end(&task_of("/web", 2));
    assert_eq!(world.found("web"), "10.0.0.11:31004 1");
}

#[test]
fn tasks_of_other_frameworks_are_no_services() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    let task = task_of("/web", 1);
    let foreign = TaskFact { framework: "other".into(), ..running(&task, 31000) };
    world.mesos(MesosInput::TaskAdded(foreign));
    assert_eq!(world.found("web"), "missing");
}

#[test]
fn the_order_of_ports_is_not_guessed() {
    let mut world = World::live();
    world.app(app_with("/web", "web", &[("DCOS_SERVICE_PORT_INDEX", "1")]));
    let task = task_of("/web", 1);
    let fact = TaskFact { ports: vec![31000, 31001], ..running(&task, 0) };
    world.mesos(MesosInput::TaskAdded(fact));
    assert_eq!(world.found("web"), "missing", "the app defines one port, the task has two");
    world.marathon(MarathonInput::Task(told(&task, Phase::Running, &[31001, 31000])));
    assert_eq!(world.found("web"), "10.0.0.11:31000 1");
}

#[test]
fn containers_have_addresses_of_their_own() {
    let mut world = World::live();
    let json = serde_json::json!({"id": "/web", "networks": [{"mode": "container"}],
        "container": {"portMappings": [{"containerPort": 80}]},
        "labels": {"DCOS_SERVICE_NAME": "web", "DCOS_SERVICE_SCHEME": "https",
            "DCOS_SERVICE_PORT_INDEX": "0"}});
    let mut fact = app("/web", "web");
    fact.labelled = labels::read(&json).unwrap().map(Arc::new);
    world.app(fact);
    let task = task_of("/web", 1);
    world.mesos(MesosInput::TaskAdded(running(&task, 31000)));
    assert_eq!(world.found("web"), "missing", "it has no address yet");
    let ip = Some("9.0.0.7".parse().unwrap());
    world.mesos(MesosInput::TaskUpdated(TaskFact { ip, ..running(&task, 31000) }));
    assert_eq!(world.found("web"), "9.0.0.7:80 1");
    let upstream = world.upstream("web");
    assert!(matches!(&upstream.protocol, Protocol::Tls { name, .. } if **name == *"9.0.0.7"));
}

#[test]
fn the_shortest_path_wins() {
    let mut world = World::live();
    world.app(app("/deep", "group/app"));
    world.run(&task_of("/deep", 1), 31001);
    assert_eq!(world.found("group/app/x"), "10.0.0.11:31001 2");
    assert_eq!(world.found("group"), "missing");
    world.app(app("/group", "group"));
    world.run(&task_of("/group", 2), 31002);
    assert_eq!(world.found("group/app/x"), "10.0.0.11:31002 1");
    world.end(&task_of("/group", 2));
    assert_eq!(world.found("group/app/x"), "10.0.0.11:31001 2");
    assert_eq!(world.found("/1/2/3/4/5/6/7/8/9/10/11"), "missing");
}

#[test]
fn another_spelling_needs_the_same_permission() {
    let mut world = World::live();
    world.app(app("/deep", "group/app"));
    world.run(&task_of("/deep", 1), 31001);
    let LookUp::Found(service) = world.look_up("app.group/x") else { panic!("not found") };
    assert_eq!((&*service.path, service.depth), ("app.group", 1));
    assert_eq!(&*service.rid, "dcos:adminrouter:service:group/app");
    assert!(Arc::ptr_eq(&service.upstream, &world.upstream("group/app")));
}

#[test]
fn who_has_a_name_keeps_it() {
    let mut world = World::live();
    world.app(app("/b", "web"));
    world.run(&task_of("/b", 2), 31001);
    let upstream = world.upstream("web");
    world.app(app("/a", "web"));
    // It has run longer, and its id comes first; but it came later.
    world.run(&task_of("/a", 1), 31002);
    assert!(Arc::ptr_eq(&upstream, &world.upstream("web")));
    assert_eq!(&*world.snapshot.ignored["/a"], "the app /b has the name 'web' already");
    // Another spelling is the same name.
    world.app(app("/c", "x.web"));
    world.app(app("/d", "web/x"));
    world.run(&task_of("/d", 5), 31005);
    world.run(&task_of("/c", 4), 31004);
    assert_eq!(world.found("x.web"), "10.0.0.11:31005 1");
    assert_eq!(&*world.snapshot.ignored["/c"], "the app /d has the name 'x.web' already");
    world.run(&task_of("/b", 3), 31003);
    world.end(&task_of("/b", 2));
    assert_eq!(world.found("web"), "10.0.0.11:31003 1", "it still runs");
    world.end(&task_of("/b", 3));
    assert_eq!(world.found("web"), "10.0.0.11:31002 1");
    assert_eq!(world.snapshot.ignored.get("/a"), None);
    assert_eq!(&*world.snapshot.ignored["/b"], "none of its tasks runs");
}

#[test]
fn a_name_that_is_free_goes_to_who_has_run_longest() {
    let mut world = World::new();
    let with_task = |id: &str, number| {
        let mut fact = app(id, "web");
        fact.tasks = vec![told(&task_of(id, number), Phase::Running, &[31000 + number as u16])];
        fact
    };
    world.identity();
    world.apps(vec![with_task("/a", 3), with_task("/b", 2), with_task("/c", 4)]);
    assert_eq!(world.found("web"), "10.0.0.11:31003 1", "nobody knows how long they run");
    let running = |app: &str, number| running(&task_of(app, number), 31000 + number as u16);
    let tasks = vec![running("/a", 3), running("/b", 2), running("/c", 4)];
    let agents = vec![agent("a1", "10.0.0.11")];
    world.mesos(MesosInput::State(Box::new(MesosState { tasks, agents, ..state() })));
    assert_eq!(world.found("web"), "10.0.0.11:31002 1");
    assert!(world.snapshot.ignored["/a"].contains("/b has"));
    world.end(&task_of("/b", 2));
    assert_eq!(world.found("web"), "10.0.0.11:31003 1");
    assert!(world.snapshot.ignored["/c"].contains("/a has"));
}

#[test]
fn what_replaces_a_server_is_seen_before_it_is_retired() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    world.run(&task_of("/web", 1), 31001);
    world.run(&task_of("/web", 2), 31002);
    let before = world.upstream("web");
    let over = TaskFact { phase: Phase::Ended, ..running(&task_of("/web", 1), 0) };
    world.table.apply(Input::Mesos(MesosInput::TaskUpdated(over)), world.now);
    assert!(!before.is_retired(), "it is what everybody still sees");
    publish(&mut world.table, &mut world.snapshot);
    assert!(before.is_retired());
    assert_eq!(world.found("web"), "10.0.0.11:31002 1");
}

#[test]
fn labels_that_change_keep_the_connections() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    world.run(&task_of("/web", 1), 31000);
    let upstream = world.upstream("web");
    world.app(app_with("/web", "site", &[("DCOS_SERVICE_REQUEST_BUFFERING", "false")]));
    assert_eq!(world.found("web"), "missing");
    let LookUp::Found(service) = world.look_up("site") else { panic!("not found") };
    assert!(Arc::ptr_eq(&upstream, &service.upstream) && !service.buffering && service.rewrite);
    world.app(app_with("/web", "site", &[("DCOS_SERVICE_SCHEME", "ftp")]));
    assert_eq!(world.found("site"), "missing");
    assert!(upstream.is_retired());
    let why = &world.snapshot.ignored["/web"];
    assert!(why.contains("DCOS_SERVICE_SCHEME"), "{why}");
}

#[test]
fn an_older_read_replaces_nothing() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    world.run(&task_of("/web", 1), 31000);
    let before = world.number();
    world.oldest = Some(before);
    world.marathon(MarathonInput::Touched("/web".into()));
    let old =
        MarathonInput::App { as_of: before, id: "/web".into(), app: Some(app("/web", "old")) };
    world.marathon(old);
    assert_eq!(world.found("old"), "missing");
    assert_eq!(world.found("web"), "10.0.0.11:31000 1");
    world.app(app("/web", "new"));
    world.marathon(MarathonInput::Apps { as_of: before, apps: vec![app("/web", "old")] });
    assert_eq!(world.found("new"), "10.0.0.11:31000 1");
    // Not even when the app is gone meanwhile.
    world.end(&task_of("/web", 1));
    let as_of = world.number();
    world.marathon(MarathonInput::App { as_of, id: "/web".into(), app: None });
    world.marathon(MarathonInput::Apps { as_of: before, apps: vec![app("/web", "old")] });
    world.run(&task_of("/web", 2), 31000);
    assert_eq!(world.found("old"), "missing");
}

#[test]
fn a_task_that_has_ended_does_not_come_back_by_an_older_read() {
    let mut world = World::live();
    world.mesos(MesosInput::Cut);
    let task = task_of("/web", 1);
    let mut read = app("/web", "web");
    read.tasks = vec![told(&task, Phase::Running, &[31000])];
    let as_of = world.number();
    world.oldest = Some(as_of);
    world.marathon(MarathonInput::Task(told(&task, Phase::Ended, &[])));
    world.marathon(MarathonInput::App { as_of, id: "/web".into(), app: Some(read) });
    assert_eq!(world.found("web"), "missing");
    assert_eq!(world.table.apps.sizes()[1], 0);
}

#[test]
fn what_is_gone_is_forgotten() {
    let mut world = World::live();
    for number in 0..50 {
        let id = format!("/app-{number}");
        world.app(app(&id, "web"));
        world.run(&task_of(&id, number), 31000);
        world.end(&task_of(&id, number));
        let as_of = world.number();
        world.marathon(MarathonInput::App { as_of, id: id.as_str().into(), app: None });
        world.marathon(MarathonInput::Task(told(&task_of(&id, number), Phase::Ended, &[])));
    }
    assert_eq!(world.table.apps.sizes(), [0; 4]);
    assert!(world.snapshot.ignored.is_empty() && world.snapshot.services.is_empty());
}

#[test]
fn agents_that_leave_take_their_tasks_along() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    let task = task_of("/web", 1);
    world.run(&task, 31000);
    let upstream = world.upstream("web");
    let Known::Found(agent_before) = world.snapshot.agent("a1") else { panic!("unknown") };
    assert_eq!(address(&agent_before.upstream), "10.0.0.11:5051");
    assert_eq!(address(&agent_before.gateway), "10.0.0.11:61001");
    world.mesos(MesosInput::AgentRemoved("a1".into()));
    assert!(matches!(world.snapshot.agent("a1"), Known::Missing));
    assert!(agent_before.upstream.is_retired() && upstream.is_retired());
    assert_eq!(world.found("web"), "missing");
    // It was only out of reach: its task goes on.
    world.mesos(MesosInput::AgentAdded(agent("a1", "10.0.0.11")));
    world.mesos(MesosInput::TaskAdded(running(&task, 0)));
    assert_eq!(world.found("web"), "10.0.0.11:31000 1");
}

#[test]
fn frameworks_are_found_by_id_and_by_name() {
    let mut world = World::live();
    let facts = [
        framework("f-1", "marathon", Some("http://10.0.0.5:8080/")),
        framework("f-2", "group/spark", Some("https://10.0.0.6/ui/")),
        framework("f-3", "silent", Some("")),
        framework("f-4", "none", None),
        framework("f-5", "nonsense", Some("10.0.0.7:80")),
    ];
    facts.into_iter().for_each(|fact| world.mesos(MesosInput::Framework(fact)));
    assert_eq!(world.found("marathon/v2/apps"), "10.0.0.5:8080 1");
    assert_eq!(world.found("f-1"), "10.0.0.5:8080 1");
    assert_eq!(world.found("group/spark/x"), "10.0.0.6:443 2");
    assert_eq!(world.found("silent"), "ask silent");
    assert_eq!(world.found("f-3"), "ask silent", "its name is asked for");
    for path in ["none", "f-4", "nonsense", "f-5", "other"] {
        assert_eq!(world.found(path), "missing", "{path}");
    }
    let LookUp::Found(service) = world.look_up("group/spark") else { panic!("not found") };
    assert_eq!((&*service.base, service.scheme), ("/ui", Scheme::Https));
    let LookUp::Found(by_id) = world.look_up("f-2") else { panic!("not found") };
    assert_eq!((&*by_id.path, &*by_id.rid), ("f-2", "dcos:adminrouter:service:group/spark"));
    // An app of that name comes before it, but never before Marathon itself.
    world.app(app("/silent", "silent"));
    world.app(app("/marathon", "marathon"));
    world.run(&task_of("/silent", 1), 31001);
    world.run(&task_of("/marathon", 2), 31002);
    assert_eq!(world.found("silent"), "10.0.0.11:31001 1");
    assert_eq!(world.found("marathon"), "10.0.0.5:8080 1");
}

#[test]
fn frameworks_change_and_leave() {
    let mut world = World::live();
    world.mesos(MesosInput::Framework(framework("f-1", "spark", Some("http://10.0.0.5:1"))));
    let upstream = world.upstream("spark");
    let moved = framework("f-1", "sparks", Some("http://10.0.0.5:1"));
    world.mesos(MesosInput::Framework(moved));
    assert_eq!(world.found("spark"), "missing");
    assert!(Arc::ptr_eq(&upstream, &world.upstream("sparks")));
    world.mesos(MesosInput::Framework(framework("f-1", "sparks", Some("http://10.0.0.5:2"))));
    assert!(upstream.is_retired());
    let upstream = world.upstream("sparks");
    world.mesos(MesosInput::FrameworkRemoved("f-1".into()));
    assert!(upstream.is_retired());
    assert_eq!(world.found("sparks"), "missing");
    world.mesos(MesosInput::Framework(framework("f-1", "sparks", Some("http://10.0.0.5:2"))));
    world.mesos(MesosInput::State(Box::new(state())));
    assert_eq!(world.found("sparks"), "missing");
}

#[test]
fn nobody_takes_the_name_of_a_framework_by_registering_later() {
    let mut world = World::live();
    let at = |id: &str, since, port: u16| {
        let url = format!("http://10.0.0.5:{port}");
        FrameworkFact { since, ..framework(id, "spark", Some(&url)) }
    };
    world.mesos(MesosInput::Framework(at("f-1", 7, 1)));
    world.mesos(MesosInput::Framework(at("f-0", 9, 2)));
    assert_eq!(world.found("spark"), "10.0.0.5:1 1");
    assert_eq!(world.found("f-0"), "10.0.0.5:2 1");
    // Nor by its id.
    world.mesos(MesosInput::Framework(framework("spark", "other", Some("http://10.0.0.5:3"))));
    assert_eq!(world.found("spark"), "10.0.0.5:1 1");
    // One that is not active has no name while another has it.
    world.mesos(MesosInput::Framework(FrameworkFact { is_active: false, ..at("f-1", 7, 1) }));
    assert_eq!(world.found("spark"), "10.0.0.5:2 1");
    // What Marathon says it is decides, however old the other is.
    let named = |id: &str, since, port: u16| {
        let url = format!("http://10.0.0.6:{port}");
        FrameworkFact { since, ..framework(id, "marathon", Some(&url)) }
    };
    world.mesos(MesosInput::Framework(named("f-7", 1, 1)));
    world.mesos(MesosInput::Framework(named(MARATHON, 2, 2)));
    assert_eq!(world.found("marathon/v2/apps"), "10.0.0.6:2 1");
    let away = FrameworkFact { is_connected: false, ..named(MARATHON, 2, 2) };
    world.mesos(MesosInput::Framework(away));
    assert_eq!(world.found("marathon"), "Framework", "nobody else is asked instead");
    let framework = Some("f-7".into());
    world.marathon(MarathonInput::Identity { framework, leader: None });
    assert_eq!(world.found("marathon"), "10.0.0.6:1 1");
}

#[test]
fn a_framework_that_is_not_connected_is_led_to_no_more() {
    let mut world = World::live();
    let spark = || framework("f-1", "spark", Some("http://10.0.0.5:1"));
    world.mesos(MesosInput::Framework(spark()));
    let upstream = world.upstream("spark");
    world.mesos(MesosInput::Framework(FrameworkFact { is_connected: false, ..spark() }));
    assert!(upstream.is_retired());
    assert_eq!(
        (world.found("spark"), world.found("f-1")),
        ("Framework".into(), "Framework".into())
    );
    assert_eq!(world.snapshot.describe(world.now)["frameworks"]["f-1"]["connected"], false);
    // Services below its name are found all the same.
    world.app(app("/deep", "spark/app"));
    world.run(&task_of("/deep", 1), 31001);
    assert_eq!(world.found("spark/app"), "10.0.0.11:31001 2");
    world.mesos(MesosInput::Framework(spark()));
    assert_eq!(world.found("spark"), "10.0.0.5:1 1");
    assert!(!Arc::ptr_eq(&upstream, &world.upstream("spark")));
}

#[test]
fn a_cut_leaves_what_was_told_for_a_while() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    world.run(&task_of("/web", 1), 31000);
    world.now = Duration::from_secs(10);
    world.mesos(MesosInput::Cut);
    world.marathon(MarathonInput::Cut);
    assert_eq!(world.snapshot.mesos, Source::Cut { since: world.now });
    world.now += MAX_AGE;
    world.apply(super::super::facts::Input::Tick);
    assert_eq!(world.found("web"), "10.0.0.11:31000 1");
    world.now += Duration::from_secs(1);
    world.apply(super::super::facts::Input::Tick);
    assert_eq!(world.found("web"), "Marathon");
    assert!(matches!(world.snapshot.agent("a1"), Known::Unknown));
    assert!(matches!(world.snapshot.leader(), Known::Unknown));
    // A new stream brings all of it back.
    world.apps(vec![app("/web", "web")]);
    let tasks = vec![running(&task_of("/web", 1), 31000)];
    let agents = vec![agent("a1", "10.0.0.11")];
    world.mesos(MesosInput::State(Box::new(MesosState { tasks, agents, ..state() })));
    assert_eq!(world.found("web"), "10.0.0.11:31000 1");
}

#[test]
fn what_ended_while_nobody_was_heard_is_gone() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    world.run(&task_of("/web", 1), 31000);
    let upstream = world.upstream("web");
    world.mesos(MesosInput::Cut);
    assert!(Arc::ptr_eq(&upstream, &world.upstream("web")));
    let agents = vec![agent("a1", "10.0.0.11")];
    world.mesos(MesosInput::State(Box::new(MesosState { agents, ..state() })));
    assert!(upstream.is_retired());
    assert_eq!(world.found("web"), "missing");
}

#[test]
fn without_a_master_marathon_is_believed() {
    let mut world = World::new();
    world.identity();
    let task = task_of("/web", 1);
    let mut web = app("/web", "web");
    web.tasks = vec![told(&task, Phase::Running, &[31000])];
    world.apps(vec![web.clone()]);
    assert_eq!(world.found("web"), "10.0.0.11:31000 1");
    world.marathon(MarathonInput::Task(told(&task, Phase::Ended, &[])));
    assert_eq!(world.found("web"), "Mesos");
    // With one, its word counts.
    world.apps(vec![web]);
    world.mesos(MesosInput::State(Box::new(state())));
    assert_eq!(world.found("web"), "missing");
}

#[test]
fn leaders_are_the_same_for_as_long_as_they_lead() {
    let mut world = World::live();
    let leader = |snapshot: &Snapshot| match snapshot.leader() {
        Known::Found(leader) => leader,
        other => panic!("{other:?}"),
    };
    let first = leader(&world.snapshot);
    assert_eq!((address(&first.upstream), first.is_local), ("10.0.0.1:5050".into(), Some(true)));
    world.mesos(MesosInput::Cut);
    world.mesos(MesosInput::State(Box::new(state())));
    assert!(Arc::ptr_eq(&first, &leader(&world.snapshot)));
    let address_of_other = "10.0.0.2:5050".parse().unwrap();
    let other = Some(LeaderFact { address: address_of_other, is_tls: false });
    let agents = vec![agent("a1", "10.0.0.11")];
    world.mesos(MesosInput::State(Box::new(MesosState { leader: other, agents, ..state() })));
    assert!(first.upstream.is_retired());
    let second = leader(&world.snapshot);
    assert_eq!((address(&second.gateway), second.is_local), ("10.0.0.2:8443".into(), Some(false)));
    let tls = |upstream: &proxy::Upstream| matches!(upstream.protocol, Protocol::Tls { .. });
    assert!(tls(&second.gateway) && !tls(&second.upstream));
    let Known::Found(agent) = world.snapshot.agent("a1") else { panic!("unknown") };
    assert!(!tls(&agent.upstream) && !tls(&agent.gateway), "agents have a scheme of their own");
    // Nobody leads Marathon until somebody does.
    assert!(matches!(world.snapshot.marathon_leader(), Known::Missing));
    world.marathon(MarathonInput::Identity { framework: None, leader: other });
    assert!(matches!(world.snapshot.marathon_leader(), Known::Found(_)));
}

#[test]
fn while_no_master_is_heard_marathon_takes_its_place() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    let task = task_of("/web", 1);
    world.run(&task, 31000);
    world.mesos(MesosInput::Cut);
    world.marathon(MarathonInput::Task(told(&task, Phase::Waiting, &[])));
    assert_eq!(world.found("web"), "missing", "its agent is out of reach");
    world.marathon(MarathonInput::Task(told(&task, Phase::Running, &[31000])));
    assert_eq!(world.found("web"), "10.0.0.11:31000 1");
}

#[test]
fn all_of_it_can_be_shown() {
    let mut world = World::live();
    world.app(app("/web", "web"));
    world.app(app("/idle", "idle"));
    world.run(&task_of("/web", 1), 31000);
    world.mesos(MesosInput::Framework(framework("f-1", "silent", Some(""))));
    world.now = Duration::from_secs(5);
    world.marathon(MarathonInput::Cut);
    let shown = world.snapshot.describe(Duration::from_secs(12));
    assert_eq!(shown["mesos"]["state"], "live");
    assert_eq!(shown["marathon"], serde_json::json!({"state": "cut", "age_seconds": 7}));
    assert_eq!(shown["leader"]["address"], "10.0.0.1:5050");
    assert_eq!(shown["services"]["web"]["address"], "10.0.0.11:31000");
    assert_eq!(shown["ignored_apps"]["/idle"], "none of its tasks runs");
    assert_eq!(shown["frameworks"]["f-1"]["mesos_dns"], "silent");
    assert_eq!(shown["agents"]["a1"], "10.0.0.11:5051");
}
