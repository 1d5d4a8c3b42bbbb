//! `/v2/apps`.

use serde_json::{Value, json};

use crate::service::Api;

fn web() -> Value {
    json!({"id": "web", "cmd": "sleep 100", "cpus": 0.1, "mem": 16, "instances": 2,
           "labels": {"tier": "front"}})
}

#[tokio::test]
async fn an_app_is_created_shown_and_deleted() {
    let api = Api::start().await;
    let answer = api.post("/v2/apps", &web()).await;
    let app = answer.expect(201);
    assert_eq!(answer.header("location"), "/web");
    let deployment = answer.header("marathon-deployment-id").to_owned();
    assert_eq!(app["deployments"], json!([{"id": deployment}]));
    for count in ["tasksStaged", "tasksRunning", "tasksHealthy", "tasksUnhealthy"] {
        assert_eq!(app[count], 0, "{count}");
    }
    assert!(app.get("tasks").is_none());
    api.settled().await;

    // With and without the id's own slash.
    for path in ["/v2/apps/web", "/v2/apps//web", "/v2/apps//web/"] {
        let shown = api.get(path).await.expect(200)["app"].clone();
        assert_eq!((&shown["id"], &shown["tasksRunning"]), (&json!("/web"), &json!(2)));
        assert_eq!(shown["deployments"], json!([]));
        let tasks = shown["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), 2);
        let task = &tasks[0];
        assert_eq!((&task["state"], &task["host"]), (&json!("TASK_RUNNING"), &json!("host-1")));
        assert_eq!((&task["appId"], &task["slaveId"]), (&json!("/web"), &json!("agent-1")));
        assert_eq!(task["version"], app["version"]);
        assert_eq!(task["ports"].as_array().unwrap().len(), 1);
    }
    let answer = api.delete("/v2/apps//web").await;
    answer.expect(200);
    assert_ne!(answer.header("marathon-deployment-id"), "");
    api.settled().await;
    assert_eq!(api.get("/v2/apps").await.expect(200), json!({"apps": []}));
}

#[tokio::test]
async fn lists_are_narrowed_and_embed_what_is_asked_for() {
    let api = Api::start().await;
    api.running(&web()).await;
    api.running(&json!({"id": "/db/one", "cmd": "Redis-Server", "instances": 0})).await;
    let ids = |value: Value| -> Vec<String> {
        let apps = value["apps"].as_array().unwrap().clone();
        apps.iter().map(|app| app["id"].as_str().unwrap().to_owned()).collect()
    };
    for (query, expected) in [
        ("", vec!["/db/one", "/web"]),
        ("?cmd=redis", vec!["/db/one"]),
        ("?id=WEB", vec!["/web"]),
        ("?label=tier%3D%3Dfront", vec!["/web"]),
        ("?label=tier+in+(back)", vec![]),
        ("?cmd=sleep&id=db", vec![]),
    ] {
        let list = api.get(&format!("/v2/apps{query}")).await.expect(200);
        assert_eq!(ids(list), expected, "{query}");
    }
    api.get("/v2/apps?label=%21%21").await.expect(422);
    let app = |value: Value| value["apps"][1].clone();
    let plain = app(api.get("/v2/apps").await.expect(200));
    assert!(plain.get("tasks").is_none() && plain.get("tasksStats").is_none());
    assert_eq!((&plain["tasksRunning"], &plain["deployments"]), (&json!(2), &json!([])));
    for query in ["embed=apps.tasks,apps.taskStats", "embed=app.tasks&embed=taskStats"] {
        let full = app(api.get(&format!("/v2/apps?{query}")).await.expect(200));
        assert_eq!(full["tasks"].as_array().map(Vec::len), Some(2), "{query}");
        let counts = &full["tasksStats"]["totalSummary"]["stats"]["counts"];
        assert_eq!(counts["running"], 2);
    }
    let below = api.get("/v2/apps/db/*").await.expect(200);
    assert_eq!(below["*"].as_array().map(Vec::len), Some(1));
    api.get("/v2/apps/nope/*").await.expect(404);
}

#[tokio::test]
async fn what_is_wrong_is_told_in_the_originals_words() {
    let api = Api::start().await;
    api.running(&web()).await;
    let message = |value: Value| value["message"].as_str().unwrap().to_owned();
    let taken = api.post("/v2/apps", &web()).await.expect(409);
    assert_eq!(message(taken), "An app with id [/web] already exists.");
    for (path, text) in [
        ("/v2/apps/nope", "App '/nope' does not exist"),
        ("/v2/apps/No_Id", "App '/No_Id' does not exist"),
        ("/v2/apps/nope/tasks", "App '/nope' does not exist"),
        ("/v2/apps/nope/versions", "App '/nope' does not exist"),
        ("/v2/groups/nope", "Group '/nope' does not exist"),
        (
            "/v2/apps/web/versions/2020-01-01T00:00:00.000Z",
            "App '/web' does not exist in version 2020-01-01T00:00:00.000Z",
        ),
    ] {
        assert_eq!(message(api.get(path).await.expect(404)), text);
    }
    api.get("/v2/apps/web/versions/yesterday").await.expect(422);
    let broken = api.put("/v2/apps/web", &json!("x")).await;
    assert!(matches!(broken.status, 400 | 422), "{broken:?}");
    let invalid = api.put("/v2/apps/web", &json!({"cpus": "many"})).await.expect(422);
    assert_eq!(invalid["message"], "Invalid JSON");
    assert_eq!(invalid["details"][0]["path"], "/cpus");
    let invalid = api.put("/v2/apps/we_b", &web()).await.expect(422);
    assert_eq!(invalid["message"], "Object is not valid");
    api.patch("/v2/apps/nope", &json!({"instances": 1})).await.expect(404);
    api.delete("/v2/apps/nope").await.expect(404);
    api.post("/v2/apps/nope/restart", &Value::Null).await.expect(404);
}

#[tokio::test]
async fn apps_change_and_go_back() {
    let api = Api::start().await;
    let first = api.running(&web()).await;
    let answer = api.put("/v2/apps//web?force=False", &json!({"cmd": "sleep 200"})).await;
    let second = answer.expect(200);
    assert_eq!(answer.header("marathon-deployment-id"), second["deploymentId"]);
    api.settled().await;
    let versions = api.get("/v2/apps/web/versions").await.expect(200);
    assert_eq!(versions, json!({"versions": [second["version"], first["version"]]}));
    let old = first["version"].as_str().unwrap();
    let stored = api.get(&format!("/v2/apps/web/versions/{old}")).await.expect(200);
    assert_eq!((&stored["cmd"], &stored["version"]), (&json!("sleep 100"), &json!(old)));

    let back = json!({"version": old});
    let mixed = json!({"version": old, "cmd": "other"});
    api.put("/v2/apps/web", &mixed).await.expect(422);
    api.put("/v2/apps/web", &back).await.expect(200);
    api.settled().await;
    let now = api.get("/v2/apps/web").await.expect(200)["app"].clone();
    assert_eq!(now["cmd"], "sleep 100");
    assert_eq!(
        api.get("/v2/apps/web/versions").await.json()["versions"].as_array().unwrap().len(),
        3
    );
    let unknown = json!({"version": "2020-01-01T00:00:00.000Z"});
    api.put("/v2/apps/web", &unknown).await.expect(404);

    // Several at once; the second is new.
    let updates = json!([{"id": "/web", "instances": 1}, {"id": "/new", "cmd": "sleep 1"}]);
    api.patch("/v2/apps", &updates).await.expect(404);
    api.put("/v2/apps", &updates).await.expect(200);
    api.settled().await;
    assert_eq!(api.get("/v2/apps/web").await.json()["app"]["instances"], 1);
    let created = api.put("/v2/apps/third", &json!({"cmd": "sleep 1"})).await;
    created.expect(201);
    assert_eq!(created.header("location"), "/third");
    api.settled().await;
    api.post("/v2/apps/third/restart", &Value::Null).await.expect(200);
    api.settled().await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let api = Api::start().await;
    api.running(&web()).await;
    let before = (api.get("/v2/apps/web").await.bytes, api.get("/v2/groups").await.bytes);
    let restart = |plan: Value| {
        let action = plan["steps"][0]["actions"][0].clone();
        (action["action"].as_str().unwrap().to_owned(), action["app"].as_str().unwrap().to_owned())
    };
    let plan = api.put("/v2/apps/web?dryRun=True", &json!({"cmd": "sleep 5"})).await.expect(200);
    assert_eq!(restart(plan), ("RestartApplication".into(), "/web".into()));
    let plan = api.delete("/v2/apps/web?dryRun=true").await.expect(200);
    assert_eq!(restart(plan), ("StopApplication".into(), "/web".into()));
    let plan = api.post("/v2/apps?dryRun=true", &json!({"id": "x", "cmd": "sleep 5"})).await;
    assert_eq!(restart(plan.expect(200)).1, "/x");
    let plan = api.delete("/v2/apps/web/tasks?dryRun=true&scale=true").await.expect(200);
    assert_eq!(restart(plan).0, "ScaleApplication");
    let tasks = api.delete("/v2/apps/web/tasks?dryRun=true").await.expect(200);
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(2));
    api.post("/v2/apps/web/restart?dryRun=true", &Value::Null).await.expect(200);
    let group = json!({"id": "g", "apps": [{"id": "a", "cmd": "sleep 5"}]});
    api.post("/v2/groups?dryRun=true", &group).await.expect(200);
    api.put("/v2/groups?dryRun=true", &json!({"scaleBy": 2})).await.expect(200);
    api.delete("/v2/groups?dryRun=true").await.expect(200);
    let after = (api.get("/v2/apps/web").await.bytes, api.get("/v2/groups").await.bytes);
    assert_eq!(before, after);
    // What would be refused is refused.
    api.post("/v2/apps?dryRun=true", &web()).await.expect(409);
}

#[tokio::test]
async fn an_app_that_is_too_large_is_refused_with_its_size() {
    let api = Api::start().await;
    let body = |size: usize| json!({"id": "big", "cmd": "sleep 1", "instances": 0, "labels": {"x": "y".repeat(size)}});
    let refused = api.post("/v2/apps", &body(1_000_000)).await.expect(422);
    assert!(refused["details"][0]["errors"][0].as_str().unwrap().contains("bytes"), "{refused}");
    api.post("/v2/apps", &body(900_000)).await.expect(201);
    api.settled().await;
    let more = json!({"env": {"x": "y".repeat(200_000)}});
    api.put("/v2/apps/big", &more).await.expect(422);
    assert_eq!(
        api.get("/v2/apps/big/versions").await.json()["versions"].as_array().unwrap().len(),
        1
    );
    assert_eq!(api.handle.view().root.apps().len(), 1);
}

#[tokio::test]
async fn what_was_shown_can_be_put_back() {
    let api = Api::start().await;
    api.running(&web()).await;
    let shown = api.get("/v2/apps/web").await.json()["app"].clone();
    api.put("/v2/apps/web?partialUpdate=false", &shown).await.expect(200);
    api.settled().await;
    assert_eq!(api.get("/v2/apps/web").await.json()["app"]["tasks"], shown["tasks"]);
    // As a new app, too: its version is nothing to go back to.
    let mut other = shown.clone();
    other["id"] = json!("/other");
    other["portDefinitions"][0]["port"] = json!(0);
    api.put("/v2/apps/other", &other).await.expect(201);
    api.settled().await;
}
