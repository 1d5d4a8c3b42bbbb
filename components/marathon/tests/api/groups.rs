//! `/v2/groups`.

use serde_json::{Value, json};

use crate::service::Api;

fn prod() -> Value {
    json!({"id": "/prod", "groups": [
        {"id": "db", "apps": [{"id": "redis", "cmd": "sleep 100"}]},
        {"id": "svc", "dependencies": ["/prod/db"],
         "apps": [{"id": "api", "cmd": "sleep 100", "instances": 2}]}
    ]})
}

#[tokio::test]
async fn groups_are_trees() {
    let api = Api::start().await;
    let empty = api.get("/v2/groups").await.expect(200);
    assert_eq!(
        (&empty["id"], &empty["apps"], &empty["groups"]),
        (&json!("/"), &json!([]), &json!([]))
    );
    let created = api.post("/v2/groups", &prod()).await;
    let result = created.expect(201);
    assert_eq!(created.header("location"), "/prod");
    assert_eq!(created.header("marathon-deployment-id"), result["deploymentId"]);
    api.settled().await;
    api.post("/v2/groups", &prod()).await.expect(409);

    let group = api.get("/v2/groups//prod").await.expect(200);
    assert_eq!((&group["id"], &group["version"]), (&json!("/prod"), &result["version"]));
    assert_eq!(group["enforceRole"], false);
    assert_eq!((&group["apps"], &group["pods"]), (&json!([]), &json!([])));
    let svc = &group["groups"][1];
    assert_eq!((&svc["id"], &svc["dependencies"]), (&json!("/prod/svc"), &json!(["/prod/db"])));
    assert!(svc.get("enforceRole").is_none());
    assert_eq!(svc["apps"][0]["id"], "/prod/svc/api");
    assert!(svc["apps"][0].get("tasksRunning").is_none());

    let query = "?embed=group.groups&embed=group.apps,group.apps.counts";
    let counted = api.get(&format!("/v2/groups/prod{query}")).await.expect(200);
    assert_eq!(counted["groups"][1]["apps"][0]["tasksRunning"], 2);
    let bare = api.get("/v2/groups/prod?embed=group.apps").await.expect(200);
    assert_eq!(bare["groups"], json!([]));
    let apps = api.get("/v2/groups/prod/apps").await.expect(200);
    assert_eq!(apps.as_array().map(Vec::len), Some(2));
    api.delete("/v2/groups/nope").await.expect(404);
    api.delete("/v2/groups/prod").await.expect(200);
    api.settled().await;
    api.get("/v2/groups/prod").await.expect(404);
}

#[tokio::test]
async fn groups_scale_and_go_back() {
    let api = Api::start().await;
    let first = api.post("/v2/groups", &prod()).await.expect(201);
    api.settled().await;
    api.put("/v2/groups/prod", &json!({"scaleBy": 1.5})).await.expect(200);
    api.settled().await;
    let instances = |api: &Api| {
        let view = api.handle.view();
        view.root.apps().values().map(|app| app.instances).collect::<Vec<_>>()
    };
    assert_eq!(instances(&api), [2, 3]);
    let versions = api.get("/v2/groups/prod/versions").await.expect(200);
    let versions = versions.as_array().unwrap();
    assert_eq!((versions.len(), &versions[1]), (2, &first["version"]));
    let old = first["version"].as_str().unwrap();
    let group = api.get(&format!("/v2/groups/prod/versions/{old}")).await.expect(200);
    assert_eq!(group["groups"][1]["apps"][0]["instances"], 2);
    assert_eq!(group["version"], old);
    let text = api.get("/v2/groups/prod/versions/2020-01-01T00:00:00.000Z").await.expect(404);
    assert_eq!(text["message"], "Group '/prod' does not exist");

    api.put("/v2/groups/prod", &json!({"version": old})).await.expect(200);
    api.settled().await;
    assert_eq!(instances(&api), [1, 2]);
    let never = json!({"version": "2020-01-01T00:00:00.000Z"});
    let text = api.put("/v2/groups/prod", &never).await.expect(422);
    assert_eq!(text["message"], "Group /prod not available in version 2020-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn only_top_level_groups_take_a_role() {
    let api = Api::start().await;
    api.post("/v2/groups", &prod()).await.expect(201);
    api.settled().await;
    let enforce = json!({"enforceRole": true});
    api.patch("/v2/groups/prod/db", &enforce).await.expect(422);
    api.patch("/v2/groups/nope", &enforce).await.expect(404);
    api.patch("/v2/groups/prod", &json!({"enforceRole": 1})).await.expect(422);
    let done = api.patch("/v2/groups/prod", &enforce).await;
    assert_eq!((done.status, done.bytes.len()), (200, 0));
    assert_eq!(api.get("/v2/groups/prod").await.json()["enforceRole"], true);
    assert_eq!(api.get("/v2/deployments").await.expect(200), json!([]));
}
