//! Tasks, the queue, deployments.

use serde_json::{Value, json};

use crate::service::Api;

fn task_ids(value: &Value) -> Vec<String> {
    let tasks = value["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn tasks_are_listed_and_killed() {
    let api = Api::start().await;
    api.running(&json!({"id": "/g/web", "cmd": "sleep 100", "instances": 4})).await;
    let listed = api.get("/v2/apps//g/web/tasks").await.expect(200);
    let ids = task_ids(&listed);
    assert_eq!(ids.len(), 4);
    assert_eq!(listed["tasks"][0]["servicePorts"], json!([]));
    assert_eq!(task_ids(&api.get("/v2/apps/g/*/tasks").await.expect(200)), ids);
    let all = api.get("/v2/tasks").await.expect(200);
    assert_eq!(task_ids(&all), ids);
    assert_eq!(all["tasks"][0]["servicePorts"].as_array().map(Vec::len), Some(1));
    assert_eq!(task_ids(&api.get("/v2/tasks?status=running").await.expect(200)).len(), 4);
    assert_eq!(task_ids(&api.get("/v2/tasks?status[]=staging").await.expect(200)).len(), 0);

    let one = api.delete(&format!("/v2/apps/g/web/tasks/{}", ids[0])).await.expect(200);
    assert_eq!(one["task"]["id"], ids[0].as_str());
    let gone = "/v2/apps/g/web/tasks/g_web.instance-00000000-0000-0000-0000-000000000000._app.1";
    let text = api.delete(gone).await.expect(404)["message"].as_str().unwrap().to_owned();
    assert!(text.starts_with("Task 'g_web.instance-") && text.ends_with("' does not exist"));
    let both = api.delete("/v2/apps/g/web/tasks?scale=true&wipe=true").await.expect(400);
    assert_eq!(both["message"], "You cannot use scale and wipe at the same time.");

    let body = json!({"ids": [ids[1]]});
    let scaled = api.post("/v2/tasks/delete?scale=True", &body).await.expect(200);
    assert!(scaled["deploymentId"].is_string());
    api.settled().await;
    assert_eq!(api.get("/v2/apps/g/web").await.json()["app"]["instances"], 3);
    let killed = api.post("/v2/tasks/delete", &json!({"ids": [ids[2], ids[1]]})).await.expect(200);
    assert_eq!(task_ids(&killed), [ids[2].clone()]);
    let bad = api.post("/v2/tasks/delete", &json!({"ids": ["x"]})).await.expect(400);
    assert_eq!(bad["message"], "Invalid task id 'x'. [x (of class java.lang.String)]");
    api.post("/v2/tasks/delete", &json!({})).await.expect(422);
    api.delete("/v2/apps/g/web/tasks?host=host-2").await.expect(200);
    api.delete("/v2/apps/g/web/tasks?host=*").await.expect(200);
    api.delete("/v2/apps/nope/tasks").await.expect(404);
}

#[tokio::test]
async fn what_waits_says_why() {
    let api = Api::start().await;
    assert_eq!(api.get("/v2/queue").await.expect(200), json!({"queue": []}));
    let body = json!({"id": "/huge", "cmd": "sleep 100", "cpus": 5000, "instances": 2});
    let deployment = api.post("/v2/apps", &body).await;
    deployment.expect(201);
    let mut item = Value::Null;
    for _ in 0..500 {
        item = api.get("/v2/queue?embed=lastUnusedOffers").await.expect(200)["queue"][0].clone();
        if item["processedOffersSummary"]["processedOffersCount"] != 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!((&item["count"], &item["app"]["id"]), (&json!(2), &json!("/huge")));
    assert_eq!(item["delay"], json!({"timeLeftSeconds": 0, "overdue": true}));
    assert_eq!(item["role"], "*");
    let summary = &item["processedOffersSummary"];
    let steps = summary["rejectSummaryLastOffers"].as_array().unwrap();
    assert_eq!(steps.len(), 10);
    assert_eq!(steps[4], json!({"reason": "InsufficientCpus", "declined": 1, "processed": 1}));
    assert_eq!(steps[5], json!({"reason": "InsufficientMemory", "declined": 0, "processed": 0}));
    let reasons = item["pendingReasons"].as_array().unwrap();
    assert_eq!(
        (&reasons[0]["reason"], &reasons[0]["agents"]),
        (&json!("InsufficientCpus"), &json!(1))
    );
    let offer = &item["lastUnusedOffers"][0];
    assert_eq!(
        (&offer["offer"]["hostname"], &offer["reason"]),
        (&json!("host-1"), &json!(["InsufficientCpus"]))
    );
    let resources = offer["offer"]["resources"].as_array().unwrap();
    let cpus = resources.iter().find(|resource| resource["name"] == "cpus").unwrap();
    assert_eq!((&cpus["role"], &cpus["scalar"]), (&json!("*"), &json!(1000.0)));
    let plain = api.get("/v2/queue").await.expect(200);
    assert!(plain["queue"][0].get("lastUnusedOffers").is_none());

    api.delete("/v2/queue//huge/delay").await.expect(204);
    let text = api.delete("/v2/queue/nope/delay").await.expect(404);
    assert_eq!(text["message"], "Application /nope not found in tasks queue.");

    // The deployment that waits, its lock, its end.
    let id = deployment.header("marathon-deployment-id").to_owned();
    let list = api.get("/v2/deployments").await.expect(200);
    let shown = &list[0];
    let keys: Vec<&String> = shown.as_object().unwrap().keys().collect();
    let expected = [
        "id",
        "version",
        "affectedApps",
        "affectedPods",
        "steps",
        "currentActions",
        "currentStep",
        "totalSteps",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&shown["id"], &shown["affectedApps"]), (&json!(id), &json!(["/huge"])));
    assert_eq!((&shown["currentStep"], &shown["totalSteps"]), (&json!(2), &json!(2)));
    assert_eq!(
        shown["currentActions"],
        json!([{"action": "ScaleApplication", "app": "/huge", "readinessCheckResults": []}])
    );
    let more = api.get("/v2/deployments?embed=reason").await.expect(200);
    assert!(
        more[0]["startedAt"].is_string() && more[0]["currentActions"][0]["instancesWanted"] == 2
    );
    let locked = api.put("/v2/apps/huge", &json!({"cpus": 1})).await.expect(409);
    assert_eq!(locked["deployments"], json!([{"id": id}]));
    let plan = api.delete(&format!("/v2/deployments/{id}?dryRun=true")).await.expect(200);
    assert_eq!(plan["steps"][0]["actions"][0]["action"], "StopApplication");
    let text = api.delete("/v2/deployments/nope").await.expect(404);
    assert_eq!(text["message"], "DeploymentPlan nope does not exist");
    let back = api.delete(&format!("/v2/deployments/{id}")).await.expect(200);
    assert!(back["deploymentId"].is_string());
    api.settled().await;
    assert_eq!(api.get("/v2/apps").await.expect(200), json!({"apps": []}));
    // Given up in place.
    let id = api.post("/v2/apps", &body).await.header("marathon-deployment-id").to_owned();
    let stopped = api.delete(&format!("/v2/deployments/{id}?force=True")).await;
    assert_eq!((stopped.status, stopped.bytes.len()), (202, 0));
    api.get("/v2/apps/huge").await.expect(200);
}
