//! What becomes of apps, as a table: the original's cases, and what happens over time.

use serde_json::{Value, json};

use super::*;
use crate::labels::Mode;

fn scope() -> Scope {
    Scope {
        groups: vec!["external".into()],
        strict: false,
        health_check: false,
        pseudo_ports: 10_050..=10_100,
        own: None,
    }
}

fn routes(scope: Scope, apps: &[Value]) -> Routes {
    let mut routes = Routes::new(scope);
    routes.all(0, apps.iter().filter_map(AppFact::read).collect());
    for host in ["agent1", "agent2"] {
        let ip = format!("1.1.1.{}", host.trim_start_matches("agent"));
        routes.resolved(&host.into(), ip.parse().unwrap());
    }
    routes
}

/// A line for each service: its name, mode, check, and what its labels ask for, then servers.
fn shown(routes: &Routes) -> Vec<String> {
    let services = routes.services();
    let line = |service: &Arc<Service>| {
        let settings = &service.settings;
        let mut line = format!("{} {}", service.name, service.mode.name());
        if settings.balance != crate::labels::Balance::RoundRobin {
            line.push_str(&format!(" {}", settings.balance.haproxy()));
        }
        if let Some(check) = &service.health_check {
            line.push_str(&format!(" check={}", check.protocol));
        }
        if let Some(port) = service.check_port {
            line.push_str(&format!("@{port}"));
        }
        if !settings.hosts.is_empty() {
            line.push_str(&format!(" {}", settings.hosts.join(",")));
        }
        if let Some(paths) = &settings.paths {
            line.push_str(&format!("{}", paths.text));
        }
        let flags = [
            (settings.redirect_to_https, "redirect"),
            (settings.hsts, "hsts"),
            (settings.sticky, "sticky"),
            (settings.auth.is_some(), "auth"),
            (settings.weight != 0, "weighed"),
        ];
        for (_, flag) in flags.iter().filter(|(on, _)| *on) {
            line.push_str(&format!(" {flag}"));
        }
        for server in &service.servers {
            let drains = if server.draining { "-" } else { "" };
            let lost = if server.lost { "?" } else { "" };
            line.push_str(&format!(" {drains}{lost}{}:{}", server.ip, server.port));
        }
        line
    };
    services.iter().map(line).collect()
}

fn task(host: &str, ports: &[u16]) -> Value {
    json!({"id": format!("t.{host}.{ports:?}"), "host": host, "ports": ports,
           "state": "TASK_RUNNING"})
}

/// An app with these labels, one port 10000 and one task.
fn app(labels: Value) -> Value {
    let mut all = json!({"HAPROXY_GROUP": "external"});
    all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
    json!({"id": "/apps/nginx", "labels": all, "instances": 1,
           "portDefinitions": [{"port": 10000}], "tasks": [task("agent1", &[1024])]})
}

fn with(mut app: Value, more: Value) -> Value {
    app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    app
}

fn labelled(name: &str, value: &str) -> Value {
    app(json!({format!("HAPROXY_0_{name}"): value}))
}

const AUTH: &str = "realm:bagur:$6$salt$hash";

#[test]
fn services_of_single_apps() {
    let check = |more: Value| {
        let check = json!({"protocol": "HTTP", "path": "/", "portIndex": 0, "intervalSeconds": 2});
        json!({"healthChecks": [with(check, more)]})
    };
    let vhost = "test.example.com";
    let hosts = "test1.example.com,test2.example.com";
    let two = |labels: Value| {
        let ports = json!([{"port": 10000}, {"port": 10001}]);
        with(app(labels), json!({"portDefinitions": ports, "tasks": [task("agent1", &[1, 2])]}))
    };
    let bridge = |mappings: Value| json!({"networks": [{"mode": "container/bridge"}], "container": {"portMappings": mappings}});
    let one = "1.1.1.1:1024";
    let name = "apps_nginx_10000";
    for (apps, expected) in [
        (vec![], vec![]),
        // Groups.
        (vec![with(app(json!({})), json!({"labels": {}}))], vec![]),
        (vec![app(json!({}))], vec![format!("{name} tcp {one}")]),
        (vec![app(json!({"HAPROXY_GROUP": "internal"}))], vec![]),
        (
            vec![app(json!({"HAPROXY_GROUP": "internal,external"}))],
            vec![format!("{name} tcp {one}")],
        ),
        (vec![labelled("GROUP", "internal")], vec![]),
        (
            vec![two(json!({"HAPROXY_GROUP": "internal", "HAPROXY_1_GROUP": "external"}))],
            vec!["apps_nginx_10001 tcp 1.1.1.1:2".to_owned()],
        ),
        (
            vec![two(json!({"HAPROXY_0_GROUP": "internal"}))],
            vec!["apps_nginx_10001 tcp 1.1.1.1:2".to_owned()],
        ),
        // Modes.
        (vec![labelled("MODE", "http")], vec![format!("{name} http {one}")]),
        (vec![labelled("VHOST", vhost)], vec![format!("{name} http {vhost} {one}")]),
        (vec![labelled("VHOST", hosts)], vec![format!("{name} http {hosts} {one}")]),
        (
            vec![app(json!({"HAPROXY_0_VHOST": vhost, "HAPROXY_0_MODE": "tcp"}))],
            vec![format!("{name} tcp {vhost} {one}")],
        ),
        (
            vec![with(app(json!({})), check(json!({})))],
            vec![format!("{name} http check=HTTP {one}")],
        ),
        (
            vec![with(labelled("MODE", "tcp"), check(json!({})))],
            vec![format!("{name} tcp check=HTTP {one}")],
        ),
        (
            vec![with(app(json!({})), check(json!({"protocol": "MESOS_HTTP"})))],
            vec![format!("{name} tcp check=MESOS_HTTP {one}")],
        ),
        (
            vec![with(app(json!({})), check(json!({"protocol": "TCP"})))],
            vec![format!("{name} tcp check=TCP {one}")],
        ),
        (
            vec![with(app(json!({})), check(json!({"protocol": "COMMAND"})))],
            vec![format!("{name} tcp check=COMMAND {one}")],
        ),
        // Checks of other ports.
        (
            vec![with(app(json!({})), check(json!({"portIndex": 1})))],
            vec![format!("{name} tcp {one}")],
        ),
        (
            vec![with(app(json!({})), check(json!({"portIndex": null, "port": 9999})))],
            vec![format!("{name} http check=HTTP {one}")],
        ),
        (
            vec![with(
                two(json!({"HAPROXY_0_BACKEND_HEALTHCHECK_PORT_INDEX": "1"})),
                check(json!({"portIndex": 1, "protocol": "MESOS_HTTP"})),
            )],
            vec![
                format!("{name} http check=MESOS_HTTP@2 1.1.1.1:1"),
                "apps_nginx_10001 tcp check=MESOS_HTTP 1.1.1.1:2".to_owned(),
            ],
        ),
        (
            vec![with(
                two(json!({"HAPROXY_0_BACKEND_HEALTHCHECK_PORT_INDEX": "7"})),
                check(json!({"portIndex": 0})),
            )],
            vec![
                format!("{name} http check=HTTP@1 1.1.1.1:1"),
                "apps_nginx_10001 tcp 1.1.1.1:2".to_owned(),
            ],
        ),
        // What labels ask for.
        (vec![labelled("BALANCE", "leastconn")], vec![format!("{name} tcp leastconn {one}")]),
        (vec![labelled("STICKY", "true")], vec![format!("{name} tcp sticky {one}")]),
        (vec![labelled("PORT", "8888")], vec![format!("apps_nginx_8888 tcp {one}")]),
        (vec![labelled("ENABLED", "false")], vec![]),
        (vec![labelled("ENABLED", "yes")], vec![format!("{name} tcp {one}")]),
        (vec![labelled("BACKEND_WEIGHT", "1")], vec![format!("{name} tcp weighed {one}")]),
        (vec![labelled("BACKEND_NETWORK_ALLOWED_ACL", "1.2.3.4 x")], vec![]),
        (vec![labelled("AUTH", "no")], vec![]),
    ] {
        assert_eq!(shown(&routes(scope(), &apps)), expected, "{apps:?}");
    }
    // Virtual hosts with everything that goes with them.
    for hosts in [vhost, hosts] {
        for bits in 0..16 {
            let on = |bit: u8| bits & (1 << bit) != 0;
            let mut labels = json!({"HAPROXY_0_VHOST": hosts});
            let mut expected = format!("{name} http {hosts}");
            let choices = [
                ("PATH", "/some/path", "/some/path"),
                ("REDIRECT_TO_HTTPS", "true", " redirect"),
                ("USE_HSTS", "true", " hsts"),
                ("AUTH", AUTH, " auth"),
            ];
            for (bit, (label, value, text)) in choices.iter().enumerate() {
                if on(bit as u8) {
                    labels[format!("HAPROXY_0_{label}")] = json!(value);
                    expected.push_str(text);
                }
            }
            if on(0) {
                expected.push_str(" weighed");
            }
            let expected = vec![format!("{expected} {one}")];
            assert_eq!(shown(&routes(scope(), &[app(labels)])), expected);
        }
    }
    // Ports of containers.
    let mapped = json!([{"containerPort": 80, "servicePort": 10000}]);
    for (app, expected) in [
        (with(app(json!({})), bridge(mapped.clone())), format!("{name} tcp {one}")),
        (
            with(
                app(json!({})),
                json!({"container": {"docker": {"network": "BRIDGE",
                "portMappings": mapped}}}),
            ),
            format!("{name} tcp {one}"),
        ),
        (
            with(app(json!({})), bridge(json!([{"containerPort": 80, "servicePort": null}]))),
            format!("{name} tcp {one}"),
        ),
        (
            with(
                app(json!({})),
                json!({"networks": [{"mode": "container", "name": "n"}],
                "container": {"portMappings": [{"containerPort": 80, "servicePort": 10002}]},
                "tasks": [with(task("agent1", &[]), json!({"ipAddresses": [{"ipAddress": "9.0.0.1"}]}))]}),
            ),
            "apps_nginx_10002 tcp 9.0.0.1:80".to_owned(),
        ),
        (
            with(
                app(json!({})),
                json!({"ipAddress": {"discovery": {"ports": [{"number": 80}]}},
                "portDefinitions": [],
                "tasks": [with(task("agent1", &[]), json!({"ipAddresses": [{"ipAddress": "9.0.0.1"}]}))]}),
            ),
            "apps_nginx_10057 tcp 9.0.0.1:80".to_owned(),
        ),
    ] {
        let found = shown(&routes(scope(), &[app]));
        let port =
            |line: &str| line.split(' ').next().unwrap().rsplit('_').next().unwrap().to_owned();
        // A port that is derived from the name is not worth a calculation here.
        let expected = match port(&expected).as_str() {
            "10057" => expected.replace("10057", &port(&found[0])),
            _ => expected,
        };
        assert_eq!(found, [expected]);
    }
}

#[test]
fn tasks_that_get_requests() {
    let of = |task: Value, checked: bool| {
        let mut app = app(json!({}));
        app["tasks"] = json!([task]);
        if checked {
            app["healthChecks"] = json!([{"protocol": "TCP", "portIndex": 0}]);
        }
        let scope = Scope { health_check: true, ..scope() };
        let found = shown(&routes(scope, &[app]));
        found.first().and_then(|line| Some(line.split(' ').next_back()?.to_owned()))
    };
    let base = || task("agent1", &[1]);
    for (state, server) in [
        ("TASK_RUNNING", Some("1.1.1.1:1")),
        ("TASK_UNREACHABLE", Some("?1.1.1.1:1")),
        ("TASK_LOST", Some("?1.1.1.1:1")),
        ("TASK_STAGING", None),
        ("TASK_STARTING", None),
        ("TASK_KILLING", None),
        ("TASK_KILLED", None),
        ("TASK_FAILED", None),
        ("TASK_UNKNOWN", None),
    ] {
        assert_eq!(of(with(base(), json!({"state": state})), false).as_deref(), server, "{state}");
    }
    let results = |alive: &[bool]| {
        let results: Vec<Value> = alive.iter().map(|alive| json!({"alive": alive})).collect();
        of(with(base(), json!({"healthCheckResults": results})), true).is_some()
    };
    assert!(!results(&[]) && !results(&[false]) && results(&[true]) && results(&[false, true]));
    assert_eq!(of(with(base(), json!({"host": "unknown-host"})), false), None);
    assert_eq!(of(with(base(), json!({"host": "10.0.0.9"})), false).as_deref(), Some("10.0.0.9:1"));
    assert_eq!(of(with(base(), json!({"host": ""})), false), None);
}

#[test]
fn strict_balancers_serve_what_is_enabled() {
    let strict = || Scope { strict: true, ..scope() };
    assert_eq!(shown(&routes(strict(), &[app(json!({}))])), Vec::<String>::new());
    assert_eq!(shown(&routes(strict(), &[labelled("ENABLED", "true")])).len(), 1);
    assert_eq!(shown(&routes(strict(), &[labelled("ENABLED", "no")])).len(), 0);
}

#[test]
fn every_group_is_everything_but_oneself() {
    let mut scope = Scope { groups: vec!["*".into()], ..scope() };
    let ungrouped = with(app(json!({})), json!({"labels": {}}));
    assert_eq!(shown(&routes(scope.clone(), std::slice::from_ref(&ungrouped))).len(), 1);
    scope.own = Some("/apps/nginx".into());
    assert_eq!(shown(&routes(scope, &[ungrouped])).len(), 0);
}

#[test]
fn servers_are_sorted_and_known_by_name() {
    let tasks = json!([task("agent2", &[1025]), task("agent1", &[1026]), task("agent1", &[1024])]);
    let routes = routes(scope(), &[with(app(json!({})), json!({"tasks": tasks}))]);
    let service = &routes.services()[0];
    let names: Vec<&str> = service.servers.iter().map(|server| &*server.name).collect();
    assert_eq!(names, ["agent1_1_1_1_1_1024", "agent1_1_1_1_1_1026", "agent2_1_1_1_2_1025"]);
    assert_eq!((service.servers[0].id, &*service.servers[0].cookie), (28_363, "d6ad48c81f"));
    assert_eq!(service.mode, Mode::Tcp);
}

#[test]
fn groups_of_deployments_are_one_app() {
    let member = |id: &str, started: &str, host: &str| {
        let labels = json!({"HAPROXY_DEPLOYMENT_GROUP": "nginx", "HAPROXY_0_PORT": "10000",
            "HAPROXY_DEPLOYMENT_STARTED_AT": started,
            "HAPROXY_DEPLOYMENT_TARGET_INSTANCES": "1", "HAPROXY_DEPLOYMENT_NEW_INSTANCES": "0"});
        with(app(labels), json!({"id": id, "tasks": [task(host, &[1])]}))
    };
    let blue = member("/nginx-blue", "2026-01-01T00:00:00", "agent1");
    let green = member("/nginx-green", "2026-01-02T00:00:00", "agent2");
    let mut routes = routes(scope(), &[blue, green]);
    assert_eq!(shown(&routes), ["nginx_10000 tcp -1.1.1.1:1 1.1.1.2:1"]);
    // The old one is deleted.
    let changed = routes.one(1, &"/nginx-blue".into(), None);
    assert_eq!(changed, Changed::from(["/nginx".into()]));
    assert_eq!(shown(&routes), ["nginx_10000 tcp 1.1.1.2:1"]);
    routes.one(2, &"/nginx-green".into(), None);
    assert_eq!(shown(&routes), Vec::<String>::new());
}

fn stopping(instance: &str) -> TaskNews {
    TaskNews { app: "/apps/nginx".into(), what: What::Stopping { instance: instance.into() } }
}

fn running(id: &str, port: u16) -> TaskNews {
    let task = TaskFact {
        id: id.into(),
        host: "agent1".into(),
        ports: vec![port],
        ip: None,
        state: State::Running,
        alive: None,
    };
    TaskNews { app: "/apps/nginx".into(), what: What::Status { task, ended: false } }
}

fn instance(id: &str, port: u16) -> Value {
    with(task("agent1", &[port]), json!({"id": id}))
}

#[test]
fn what_is_told_to_stop_gets_nothing_whatever_older_reads_say() {
    let tasks = json!([instance("a.i1._app.1", 1), instance("a.i2._app.1", 2)]);
    let app = with(app(json!({})), json!({"tasks": tasks}));
    let mut routes = routes(scope(), std::slice::from_ref(&app));
    assert_eq!(shown(&routes), ["apps_nginx_10000 tcp 1.1.1.1:1 1.1.1.1:2"]);
    assert_eq!(routes.news(5, 5, stopping("a.i1")), Changed::from(["/apps/nginx".into()]));
    assert_eq!(shown(&routes), ["apps_nginx_10000 tcp 1.1.1.1:2"]);
    // A read that was asked for before, and one after: the task still runs in both.
    let id: Arc<str> = "/apps/nginx".into();
    for as_of in [3, 7] {
        routes.one(as_of, &id, AppFact::read(&app));
        assert_eq!(shown(&routes), ["apps_nginx_10000 tcp 1.1.1.1:2"]);
    }
    // The instance is started anew: another task of it.
    routes.news(8, 8, running("a.i1._app.2", 3));
    assert_eq!(shown(&routes), ["apps_nginx_10000 tcp 1.1.1.1:2 1.1.1.1:3"]);
}

#[test]
fn news_that_came_while_an_app_was_read_are_applied_again() {
    let app = with(app(json!({})), json!({"tasks": [instance("a.i1._app.1", 1)]}));
    let mut routes = routes(scope(), std::slice::from_ref(&app));
    let id: Arc<str> = "/apps/nginx".into();
    // Asked for at 4; at 5 another task runs, and at 6 the first is over; then comes the answer.
    routes.news(5, 4, running("a.i2._app.1", 2));
    let ended = TaskFact { state: State::Unusable, ..routes.apps[&id].tasks[0].clone() };
    let ended = What::Status { task: ended, ended: true };
    routes.news(6, 4, TaskNews { app: id.clone(), what: ended });
    assert_eq!(shown(&routes), ["apps_nginx_10000 tcp 1.1.1.1:2"]);
    routes.one(4, &id, AppFact::read(&app));
    assert_eq!(shown(&routes), ["apps_nginx_10000 tcp 1.1.1.1:2"]);
    // What is older than every read is forgotten.
    routes.news(9, 9, running("a.i3._app.1", 3));
    assert!(routes.news.is_empty());
}

#[test]
fn only_what_changed_is_told() {
    let other = with(app(json!({})), json!({"id": "/other", "portDefinitions": [{"port": 10005}]}));
    let mut routes = routes(scope(), &[app(json!({})), other.clone()]);
    assert_eq!(routes.all(1, routes.apps.values().cloned().collect()), Changed::new());
    let changed =
        routes.one(2, &"/other".into(), AppFact::read(&with(other, json!({"instances": 5}))));
    assert_eq!(changed, Changed::new(), "how many are wanted is nobody's matter");
    let gone = routes.all(3, vec![routes.apps[&Arc::from("/other")].clone()]);
    assert_eq!(gone, Changed::from(["/apps/nginx".into()]));
    assert_eq!(routes.news(4, 4, running("x.1", 1)), Changed::new(), "of an app that is gone");
}

#[test]
fn problems_are_told_of_apps_that_are_served() {
    let wrong = |group: &str| app(json!({"HAPROXY_GROUP": group, "HAPROXY_0_VHST": "a"}));
    assert_eq!(routes(scope(), &[wrong("external")]).problems().len(), 1);
    assert_eq!(routes(scope(), &[wrong("internal")]).problems().len(), 0, "another balancer's");
    let refused = routes(scope(), &[labelled("AUTH", "x")]);
    assert_eq!(refused.services().len(), 0);
    assert_eq!(&*refused.problems()[0].problem.label, "HAPROXY_0_AUTH");
}
