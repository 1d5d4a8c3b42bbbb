//! What a request must say before it is answered.

use http::Method;
use serde_json::{Value, json};

use crate::harness::World;

const REQUEST: &str = "application/vnd.dcos.package.install-request+json;charset=utf-8;version=v1";
const RESPONSE: &str =
    "application/vnd.dcos.package.install-response+json;charset=utf-8;version=v2";
const ERROR: &str = "application/vnd.dcos.package.error+json;charset=utf-8;version=v1";

async fn refused(world: &World, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let answer = world.send(Method::POST, "/package/install", headers, body).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.headers()["content-type"], ERROR);
    serde_json::from_slice(answer.body()).unwrap()
}

#[tokio::test]
async fn everything_that_is_missing_is_told_at_once() {
    let world = World::start(&[]).await;
    let error = refused(&world, &[], b"").await;
    assert_eq!(
        error,
        json!({
            "type": "multiple_errors",
            "message": "Multiple errors while processing request",
            "data": {"errors": [
                {"type": "not_present", "message": "Item header 'Accept' not present but required"},
                {"type": "not_present", "message": "Item header 'Content-Type' not present but required"},
                {"type": "not_present", "message": "Item body not present but required"},
            ]},
        })
    );
}

#[tokio::test]
async fn pages_of_others_change_nothing() {
    let world = World::start(&[]).await;
    for foreign in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")] {
        // What a page may send without asking first.
        for path in ["/package/install", "/package/repository/delete", "/service/describe"] {
            let headers = [foreign, ("content-type", "text/plain")];
            let answer = world.send(Method::POST, path, &headers, b"{}").await;
            assert_eq!(answer.status(), 403, "{path} {foreign:?}");
            let error: Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(error["type"], "Forbidden");
        }
    }
    let own = format!("http://{}", world.address());
    let headers = [("origin", own.as_str()), ("content-type", "text/plain")];
    let answer = world.send(Method::POST, "/package/install", &headers, b"{}").await;
    assert_eq!(answer.status(), 400, "it is read");
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let world = World::start(&[]).await;
    let headers = [("accept", "application/json"), ("content-type", "text/plain")];
    let error = refused(&world, &headers, b"{}").await;
    let errors = error["data"]["errors"].as_array().unwrap();
    let kinds: Vec<&str> = errors.iter().map(|error| error["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["not_valid", "not_valid", "not_parsed"]);
    assert_eq!(
        errors[2]["message"],
        "Item 'body' unable to be parsed: Attempt to decode value on failed cursor: \
         DownField(packageName)"
    );
    // One alone stands for itself.
    let headers = [("accept", RESPONSE), ("content-type", REQUEST)];
    let error = refused(&world, &headers, b"{\"packageName\": 5}").await;
    assert_eq!(error["message"], "Item 'body' unable to be parsed: String: DownField(packageName)");
    let error = refused(&world, &headers, b"{").await;
    assert_eq!(error["type"], "not_parsed");
    let error = refused(&world, &headers, b"[]").await;
    assert_eq!(error["type"], "not_parsed");
}

#[tokio::test]
async fn capabilities_need_no_body() {
    let world = World::start(&[]).await;
    let kind = "application/vnd.dcos.capabilities+json;charset=utf-8;version=v1";
    let answer = world.send(Method::GET, "/capabilities", &[("accept", kind)], b"").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], kind);
    let found: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(found["capabilities"][0], json!({"name": "PACKAGE_MANAGEMENT"}));
    assert_eq!(found["capabilities"].as_array().unwrap().len(), 5);
    let answer = world.send(Method::GET, "/capabilities", &[], b"").await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn a_prefix_does_not_matter_and_other_paths_are_unknown() {
    let world = World::start(&[]).await;
    let kind = |what: &str| {
        format!("application/vnd.dcos.package.search-{what}+json;charset=utf-8;version=v1")
    };
    let (request, response) = (kind("request"), kind("response"));
    let headers = [("content-type", request.as_str()), ("accept", response.as_str())];
    for path in ["/package/search", "/cosmos/package/search", "/service/dais/package/search/"] {
        let answer = world.send(Method::POST, path, &headers, b"{}").await;
        assert_eq!(
            (answer.status().as_u16(), &answer.body()[..]),
            (200, &b"{\"packages\":[]}"[..])
        );
    }
    for (method, path) in
        [(Method::GET, "/package/search"), (Method::POST, "/"), (Method::POST, "/package")]
    {
        assert_eq!(world.send(method, path, &headers, b"{}").await.status(), 404);
    }
}

#[tokio::test]
async fn a_body_without_end_is_refused() {
    let world = World::start(&[]).await;
    let headers = [("accept", RESPONSE), ("content-type", REQUEST)];
    let body = vec![b' '; 6 << 20];
    let answer = world.send(Method::POST, "/package/install", &headers, &body).await;
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn metrics_count_what_was_asked() {
    let world = World::start(&[(catalog::NAME, catalog::URI)]).await;
    assert_eq!(world.send(Method::GET, "/health", &[], b"").await.status(), 200);
    world.names().await;
    world.refused("package/describe", json!({"packageName": "nothing"})).await;
    let answer = world.send(Method::GET, "/metrics", &[], b"").await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    for line in [
        "http_requests_total{path=\"/package/search\",class=\"2xx\"} 1",
        "http_requests_total{path=\"/package/describe\",class=\"4xx\"} 1",
        "cosmos_repository_broken{repository=\"Dais\"} 0",
    ] {
        assert!(text.contains(line), "{text}");
    }
}
