//! Large answers: whole, in pieces, packed.

use std::io::Read;

use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::service::Api;

#[tokio::test]
async fn a_long_list_arrives_whole() {
    let api = Api::start().await;
    let apps: Vec<Value> = (0..300)
        .map(|n| {
            json!({"id": format!("a{n}"), "cmd": "sleep 100", "instances": n % 7,
                        "cpus": 0.001, "mem": 1, "labels": {"x": "y".repeat(500)}})
        })
        .collect();
    api.put("/v2/groups", &json!({"apps": apps})).await.expect(200);
    api.settled().await;
    let path = "/v2/apps?embed=apps.tasks&embed=apps.taskStats&embed=apps.lastTaskFailure";
    let plain = api.get(path).await;
    assert!(plain.bytes.len() > 400_000, "{}", plain.bytes.len());
    let list = plain.expect(200);
    let apps = list["apps"].as_array().unwrap();
    assert_eq!(apps.len(), 300);
    for app in apps {
        let tasks = app["tasks"].as_array().unwrap().len();
        assert_eq!(app["instances"], tasks, "{}", app["id"]);
        assert_eq!(app["tasksRunning"], tasks);
    }
    let request = api.request(Method::GET, path).header("accept-encoding", "gzip");
    let packed = api.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&packed.bytes[..]).read_to_end(&mut unpacked).unwrap();
    let unpacked: Value = serde_json::from_slice(&unpacked).unwrap();
    assert_eq!(unpacked["apps"].as_array().unwrap().len(), 300);
    let tasks = api.get("/v2/tasks").await.expect(200);
    let wanted: usize = (0..300).map(|n| n % 7).sum();
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), wanted);
    let group = api.get("/v2/groups").await.expect(200);
    assert_eq!(group["apps"].as_array().unwrap().len(), 300);
    // One that matches nothing is looked for among all.
    assert_eq!(api.get("/v2/apps?id=nothing").await.expect(200), json!({"apps": []}));
}
