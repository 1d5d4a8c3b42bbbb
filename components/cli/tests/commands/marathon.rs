//! `dais marathon`.

use crate::support::Scripted;
use serde_json::json;

fn deployment() -> serde_json::Value {
    json!({"version": "2020-01-01T00:00:00.000Z", "deploymentId": "d-1"})
}

fn apps() -> serde_json::Value {
    json!({"apps": [{"id": "/web", "cpus": 0.1, "mem": 32, "instances": 2, "tasksRunning": 2,
        "version": "2020-01-01T00:00:00.000Z", "cmd": "run", "role": "*", "deployments": []}]})
}

#[test]
fn an_app_is_added_from_a_file_or_standard_input() {
    let cluster = Scripted::start();
    let answer = json!({"id": "/web", "version": "v", "deployments": [{"id": "d-1"}]});
    cluster.on("POST /v2/apps", 201, answer);
    let file = cluster.file("web.json", r#"{"id": "/web", "cmd": "run"}"#);
    let out = cluster.run(&format!("marathon app add {file}")).ok();
    assert_eq!(out, "Created deployment d-1\n");
    assert_eq!(cluster.sent("POST /v2/apps"), json!({"id": "/web", "cmd": "run"}));
    for place in ["", " -"] {
        let out = cluster.run_with(&format!("marathon app add{place}"), r#"{"id": "/web"}"#).ok();
        assert_eq!(out, "Created deployment d-1\n");
    }
    // Nothing is waited for where nobody watches.
    assert_eq!(cluster.lines(), ["POST /v2/apps"; 3]);
}

#[test]
fn refusals_come_with_every_detail() {
    let cluster = Scripted::start();
    let invalid = json!({"message": "Object is not valid", "details": [
        {"path": "/instances", "errors": ["got -1, expected 0 or more"]},
        {"path": "/", "errors": ["AppDefinition must either contain one of 'cmd' or 'args'"]}]});
    cluster.on("POST /v2/apps", 422, invalid);
    let err = cluster.run_with("marathon app add", r#"{"id": "/web"}"#).failed(1);
    let expected = "dais: Object is not valid\n  /instances: got -1, expected 0 or more\n  \
                    /: AppDefinition must either contain one of 'cmd' or 'args'\n";
    assert_eq!(err, expected);

    let cluster = Scripted::start();
    let exists = json!({"message": "An app with id [/web] already exists."});
    cluster.on("POST /v2/apps", 409, exists);
    let err = cluster.run_with("marathon app add", r#"{"id": "web"}"#).failed(1);
    assert_eq!(err, "dais: Application '/web' already exists\n");
}

#[test]
fn what_cannot_be_read_is_named() {
    let cluster = Scripted::start();
    let err = cluster.run("marathon app add /no/such/file.json").failed(1);
    assert!(err.contains("/no/such/file.json") && err.contains("exists"), "{err}");
    let file = cluster.file("bad.json", "{\"id\": \n oops}");
    let err = cluster.run(&format!("marathon app add {file}")).failed(1);
    assert!(err.contains("bad.json") && err.contains("line 2"), "{err}");
    let err = cluster.run_with("marathon app add", "{}").failed(1);
    assert!(err.contains("\"id\" is missing"), "{err}");
    assert!(cluster.lines().is_empty());
}

#[test]
fn a_locked_app_names_what_locks_it() {
    let cluster = Scripted::start();
    cluster.on("GET /v2/apps?id=/web", 200, apps());
    let locked = json!({"message": "App is locked by one or more deployments.",
        "deployments": [{"id": "d-0"}]});
    cluster.on("PUT /v2/apps/web", 409, locked);
    cluster.on("PUT /v2/apps/web?force=true", 200, deployment());
    let err = cluster.run("marathon app update web cpus=1").failed(1);
    assert!(err.contains("deployment d-0") && err.contains("--force"), "{err}");
    let out = cluster.run("marathon app update --force web cpus=1 cmd='sleep 5'").ok();
    assert_eq!(out, "Created deployment d-1\n");
    let sent = cluster.sent("PUT /v2/apps/web?force=true");
    assert_eq!(sent, json!({"cpus": 1, "cmd": "sleep 5"}));
}

#[test]
fn apps_are_listed_as_table_json_and_ids() {
    let cluster = Scripted::start();
    cluster.on("GET /v2/apps", 200, apps());
    cluster.on("GET /v2/deployments", 200, "[]");
    cluster.on("GET /v2/queue", 200, r#"{"queue":[]}"#);
    let out = cluster.run("marathon app list").ok();
    let words: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
    let header = [
        "ID",
        "MEM",
        "CPUS",
        "TASKS",
        "HEALTH",
        "DEPLOYMENT",
        "WAITING",
        "CONTAINER",
        "CMD",
        "ROLE",
    ];
    assert_eq!(words[0], header);
    assert_eq!(words[1], ["/web", "32", "0.1", "2/2", "---", "---", "false", "MESOS", "run", "*"]);
    assert_eq!(cluster.run("marathon app list -q").ok(), "/web\n");
    let out = cluster.run("marathon app list --json");
    assert!(out.out.starts_with("[\n    {\n        \"id\": \"/web\","), "{}", out.out);
    // Ids and JSON need no more than the apps.
    assert_eq!(cluster.lines().len(), 5);
}

#[test]
fn apps_are_scaled_started_stopped_and_restarted() {
    let cluster = Scripted::start();
    cluster.on("GET /v2/apps?id=/web", 200, apps());
    cluster.on("PUT /v2/apps/web", 200, deployment());
    cluster.on("POST /v2/apps/web/restart", 200, deployment());
    cluster.on("DELETE /v2/apps/web?force=false", 200, deployment());
    assert_eq!(cluster.run("marathon app scale web 5").ok(), "Created deployment d-1\n");
    assert_eq!(cluster.sent("PUT /v2/apps/web"), json!({"instances": 5}));
    assert_eq!(cluster.run("marathon app stop web").ok(), "Created deployment d-1\n");
    assert_eq!(cluster.run("marathon app restart web").ok(), "Created deployment d-1\n");
    assert_eq!(cluster.run("marathon app remove web").ok(), "");
    let err = cluster.run("marathon app start web").failed(1);
    assert!(err.contains("already started: 2 instances"), "{err}");
    let err = cluster.run("marathon app start web 0").failed(2);
    assert!(err.contains("must be positive"), "{err}");
    let cluster = Scripted::start();
    cluster.on("GET /v2/apps?id=/nope", 200, r#"{"apps":[]}"#);
    let err = cluster.run("marathon app scale nope 5").failed(1);
    assert_eq!(err, "dais: app '/nope' does not exist\n");
    assert_eq!(cluster.lines(), ["GET /v2/apps?id=/nope"], "a PUT would have made an app");
}

#[test]
fn versions_may_be_relative() {
    let cluster = Scripted::start();
    cluster.on("GET /v2/apps/web/versions", 200, r#"{"versions":["c","b","a"]}"#);
    cluster.on("GET /v2/apps/web/versions/b", 200, r#"{"id":"/web","version":"b"}"#);
    let app = cluster.run("marathon app show --app-version=-1 web").json();
    assert_eq!(app["version"], "b");
    let out = cluster.run("marathon app version list --max-count=2 web").ok();
    assert_eq!(out, "[\n  \"c\",\n  \"b\"\n]\n");
    let err = cluster.run("marathon app show --app-version=-7 web").failed(1);
    assert!(err.contains("only has 3 version(s)"), "{err}");
    let err = cluster.run("marathon app show --app-version=1 web").failed(2);
    assert!(err.contains("must be negative"), "{err}");
}

#[test]
fn killed_tasks_are_printed_and_none_is_a_failure() {
    let cluster = Scripted::start();
    cluster.on("DELETE /v2/apps/web/tasks", 200, r#"{"tasks":[{"id":"web.1"}]}"#);
    cluster.on("DELETE /v2/apps/web/tasks", 200, r#"{"tasks":[]}"#);
    cluster.on("DELETE /v2/apps/web/tasks?scale=true", 200, deployment());
    let out = cluster.run("marathon app kill web").ok();
    assert_eq!(out, "Killed tasks: [{\"id\":\"web.1\"}]\n");
    let outcome = cluster.run("marathon app kill web");
    assert_eq!((outcome.status, outcome.out.as_str()), (1, "Killed tasks: []\n"));
    let out = cluster.run("marathon app kill --scale web").ok();
    assert!(out.starts_with("Started deployment: {"), "{out}");
    assert_eq!(cluster.run("marathon app kill --scale --host=a web").status, 2);

    cluster.on("POST /v2/tasks/delete", 200, r#"{"tasks":[]}"#);
    let err = cluster.run("marathon task kill nope").failed(1);
    assert!(err.contains("unknown"), "{err}");
}

#[test]
fn groups_are_managed() {
    let cluster = Scripted::start();
    cluster.on(
        "GET /v2/groups/prod?embed=none",
        404,
        r#"{"message":"Group '/prod' does not exist"}"#,
    );
    cluster.on("POST /v2/groups", 201, deployment());
    assert_eq!(cluster.run("marathon group add --id prod").ok(), "Created deployment d-1\n");
    assert_eq!(cluster.sent("POST /v2/groups"), json!({"id": "prod"}));
    let err = cluster.run("marathon group scale prod 2").failed(1);
    assert_eq!(err, "dais: Group '/prod' does not exist\n");
    cluster.instead("GET /v2/groups/prod?embed=none", 200, "{}");
    cluster.on("PUT /v2/groups/prod", 200, deployment());
    cluster.run("marathon group scale prod 1.5").ok();
    assert_eq!(cluster.sent("PUT /v2/groups/prod"), json!({"scaleBy": 1.5}));
    assert_eq!(cluster.run("marathon group scale prod 0").status, 2);
}

#[test]
fn deployments_are_listed_stopped_and_rolled_back() {
    let cluster = Scripted::start();
    cluster.on(
        "GET /v2/deployments",
        200,
        json!([{"id": "d-1", "affectedApps": ["/web"],
        "affectedPods": [], "currentStep": 1, "totalSteps": 2,
        "currentActions": [{"action": "RestartApplication", "app": "/web"}]}]),
    );
    let out = cluster.run("marathon deployment list web").ok();
    assert!(out.contains("/web  -    restart  0/2       d-1"), "{out}");
    let err = cluster.run("marathon deployment list other").failed(1);
    assert_eq!(err, "dais: There are no deployments for 'other'\n");
    assert_eq!(cluster.run("marathon deployment list --json other").ok(), "[]\n");
    cluster.on("DELETE /v2/deployments/d-1?force=true", 202, "");
    assert_eq!(cluster.run("marathon deployment stop d-1").ok(), "");
    cluster.on("DELETE /v2/deployments/d-1", 200, deployment());
    let answer = cluster.run("marathon deployment rollback d-1").json();
    assert_eq!(answer["deploymentId"], "d-1");
    let out = cluster.run("marathon deployment watch --max-count=1 --interval=1 d-1").ok();
    assert!(out.contains("\"currentStep\": 1"), "{out}");
}

#[test]
fn waiting_says_how_far_it_is_and_why_it_is_no_further() {
    let cluster = Scripted::start();
    let look = "GET /v2/apps?id=/web&embed=apps.taskStats%2Capps.lastTaskFailure";
    let app = |running: u32, version: &str| {
        json!({"apps": [{"id": "/web-2"}, {"id": "/web", "instances": 2, "tasksRunning": running,
            "version": version}]})
    };
    let running = json!([{"id": "d-1", "version": "b", "affectedApps": ["/web"],
        "currentActions": [{"action": "ScaleApplication", "app": "/web"}]}]);
    let waiting = json!({"queue": [{"app": {"id": "/web"}, "pendingReasons": [
        {"reason": "InsufficientCpus", "message": "cpus: 1 of 9", "agents": 2}]}]});
    cluster.on("GET /v2/apps?id=/web", 200, app(1, "a"));
    cluster.on("PUT /v2/apps/web", 200, json!({"version": "b", "deploymentId": "d-1"}));
    for _ in 0..3 {
        cluster.on("GET /v2/deployments", 200, &running).on(look, 200, app(1, "b"));
    }
    cluster.on("GET /v2/deployments", 200, "[]").on(look, 200, app(2, "b"));
    cluster.on("GET /v2/queue", 200, &waiting).on("GET /v2/queue", 200, waiting);
    cluster.on("GET /v2/queue", 200, r#"{"queue":[]}"#);
    let outcome = cluster.run("marathon app scale --wait web 2");
    assert_eq!(outcome.out, "Created deployment d-1\n");
    let expected = "/web: 1/2 ready\n/web: 1/2 ready (waiting: cpus: 1 of 9 (2 agents))\n\
                    /web: 1/2 ready\nDeployment d-1 is complete\n  /web: 2/2 ready\n";
    assert_eq!((outcome.status, outcome.err.as_str()), (0, expected));
}

#[test]
fn a_deployment_that_was_taken_back_is_a_failure() {
    let cluster = Scripted::start();
    let look = "GET /v2/apps?id=/web&embed=apps.taskStats%2Capps.lastTaskFailure";
    cluster.on("GET /v2/apps?id=/web", 200, apps());
    cluster.on("PUT /v2/apps/web", 200, deployment());
    cluster.on("GET /v2/deployments", 200, "[]");
    // A rollback makes a version too.
    let app = json!({"apps": [{"id": "/web", "instances": 2, "tasksRunning": 2,
        "version": "2020-01-01T00:01:00.000Z", "lastTaskFailure": {"message": "exited with 1"}}]});
    cluster.on(look, 200, app);
    let err = cluster.run("marathon app update --wait web cmd=false").failed(1);
    assert!(err.contains("taken back") && err.contains("exited with 1"), "{err}");
}

#[test]
fn what_is_refused_for_good_is_not_asked_for_again() {
    for status in [401, 403, 404] {
        let cluster = Scripted::start();
        cluster.on("GET /v2/apps?id=/web", 200, apps());
        cluster.on("PUT /v2/apps/web", 200, deployment());
        cluster.on("GET /v2/deployments", status, r#"{"message":"not for you"}"#);
        let err = cluster.run("marathon app update --wait web cpus=1").failed(1);
        assert!(err.contains("not for you") && !err.contains("asking again"), "{err}");
        let asked = cluster.lines().into_iter().filter(|line| line == "GET /v2/deployments");
        assert_eq!(asked.count(), 1, "{status}");
    }
}

#[test]
fn a_marathon_that_is_away_for_a_moment_is_asked_again() {
    let cluster = Scripted::start();
    let look = "GET /v2/apps?id=/web&embed=apps.taskStats%2Capps.lastTaskFailure";
    cluster.on("GET /v2/apps?id=/web", 200, apps()).on(look, 200, apps());
    cluster.on("PUT /v2/apps/web", 200, deployment());
    for _ in 0..3 {
        cluster.on("GET /v2/deployments", 503, "");
    }
    cluster.on("GET /v2/deployments", 200, "[]");
    let outcome = cluster.run("marathon app update --wait web cpus=1");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let expected = "Marathon does not answer; asking again\nDeployment d-1 is complete\n  \
                    /web: 2/2 ready\n";
    assert_eq!(outcome.err, expected);
}

#[test]
fn pods_are_refused_in_words() {
    let err = Scripted::start().run("marathon pod list --json").failed(1);
    assert!(err.contains("pods come later"), "{err}");
}

#[test]
fn the_rest_of_marathon_answers() {
    let cluster = Scripted::start();
    cluster.on("GET /ping", 200, "pong").on("GET /v2/info", 200, r#"{"name":"marathon"}"#);
    cluster.on("GET /v2/leader", 200, r#"{"leader":"10.0.0.1:8080"}"#);
    cluster.on("DELETE /v2/leader", 200, r#"{"message":"Leadership abdicated"}"#);
    cluster.on("DELETE /v2/queue/web/delay", 204, "");
    cluster.on("GET /v2/plugins", 200, r#"{"plugins":[]}"#);
    assert_eq!(cluster.run("marathon ping").ok(), "Marathon ping response[1x]: \"pong\"\n");
    assert_eq!(cluster.run("marathon about").json()["name"], "marathon");
    assert!(cluster.run("marathon leader show").ok().contains("10.0.0.1  8080"));
    assert_eq!(cluster.run("marathon leader delete").ok(), "Leadership abdicated\n");
    assert_eq!(cluster.run("marathon delay reset web").ok(), "Delay on [/web] has been reset\n");
    assert_eq!(cluster.run("marathon plugin list").ok(), "  ID  IMPLEMENTATION  PLUGIN\n");
}

#[test]
fn the_queue_is_explained() {
    let cluster = Scripted::start();
    let queue = json!({"queue": [{"count": 2, "since": "s", "delay": {"overdue": true},
        "app": {"id": "/web", "cpus": 9}, "pendingReasons": [{"message": "too few cpus", "agents": 1}],
        "processedOffersSummary": {"rejectSummaryLastOffers": [
            {"reason": "InsufficientCpus", "declined": 1, "processed": 1}]}}]});
    cluster.on("GET /v2/queue", 200, &queue).on(
        "GET /v2/queue?embed=lastUnusedOffers",
        200,
        &queue,
    );
    assert!(cluster.run("marathon debug list").ok().contains("/web"));
    let out = cluster.run("marathon debug summary web").ok();
    assert!(out.contains("0 / 1") && out.contains("reason: too few cpus (1 agent)"), "{out}");
    let err = cluster.run("marathon debug details other").failed(1);
    assert_eq!(err, "dais: couldn't find app /other in Marathon queue\n");
}

#[test]
fn a_plan_changes_nothing() {
    let cluster = Scripted::start();
    cluster.on("GET /v2/info", 200, r#"{"buildref":"dais-0.1.0"}"#);
    let plan = json!({"steps": [{"actions": [{"action": "StartApplication", "app": "/web"}]}],
        "apps": [{"id": "/web", "action": "create", "started": 2,
            "changes": [{"path": "/cmd", "new": "run"}]}]});
    cluster.on("PUT /v2/apps/web?dryRun=true", 200, &plan);
    let out = cluster.run_with("service plan", r#"{"id": "web", "cmd": "run"}"#).ok();
    let expected = "+ create app /web (instances: 2 started)\n    + /cmd: \"run\"\n\
                    Step 1 of 1\n    start /web\n";
    assert_eq!(out, expected);
    let file = cluster.file("web.json", r#"{"id": "web"}"#);
    assert_eq!(cluster.run(&format!("service plan --json {file}")).json(), plan);

    // The original would deploy the app.
    let cluster = Scripted::start();
    cluster.on("GET /v2/info", 200, r#"{"buildref":"90619da"}"#);
    let err = cluster.run_with("service plan", r#"{"id": "web"}"#).failed(1);
    assert!(err.contains("plans groups only"), "{err}");
    assert_eq!(cluster.lines(), ["GET /v2/info"]);
}
