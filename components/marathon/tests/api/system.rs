//! Everything about the service itself, and what is in every answer.

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use marathon::Config;
use serde_json::json;

use crate::service::Api;

#[tokio::test]
async fn every_answer_has_the_same_headers() {
    let api = Api::start().await;
    for path in ["/v2/apps", "/nope", "/v2/apps/nope", "/ping"] {
        let answer = api.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-cache, no-store, must-revalidate");
        assert_eq!((answer.header("pragma"), answer.header("expires")), ("no-cache", "0"));
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("x-xss-protection"), "1; mode=block");
        assert_eq!(answer.header("x-marathon-leader"), format!("http://{}", api.address));
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn small_endpoints() {
    let api = Api::start().await;
    let start = api.get("/").await;
    assert_eq!((start.status, start.header("location")), (302, "/ui/"));
    let ping = api.get("/ping").await;
    assert_eq!((ping.status, &ping.bytes[..]), (200, &b"pong"[..]));
    let request = api.request(Method::GET, "/ping").header("accept", "application/json");
    let ping = api.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(
        (ping.header("content-type"), &ping.bytes[..]),
        ("application/json", &b"\"pong\""[..])
    );
    let request = api.request(Method::GET, "/ping").header("accept", "image/png");
    assert_eq!(api.send(request.body(Full::default()).unwrap()).await.status, 204);
    let leader = api.get("/v2/leader").await.expect(200);
    assert_eq!(leader, json!({"leader": api.address.to_string()}));
    let gone = api.delete("/v2/leader").await.expect(200);
    assert_eq!(gone, json!({"message": "Leadership abdicated"}));
    assert_eq!(api.get("/v2/plugins").await.expect(200), json!({"plugins": []}));
    assert_eq!(api.get("/nope").await.expect(404), json!({"message": "URI not found"}));
    for path in ["/v2/pods", "/v2/pods::status", "/v2/pods/a"] {
        assert!(api.get(path).await.expect(501)["message"].as_str().unwrap().contains("Pods"));
    }
    let head = api.request(Method::HEAD, "/v2/pods").body(Full::default()).unwrap();
    assert_eq!(api.send(head).await.status, 501);
    assert!(String::from_utf8(api.get("/help").await.bytes.to_vec()).unwrap().contains("/v2/apps"));
    assert_eq!(api.get("/config").await.expect(200)["framework_name"], "marathon");
    let metrics = api.get("/metrics").await.expect(200);
    assert_eq!(metrics["gauges"]["marathon.apps.active.gauge"], json!({"value": 0.0}));
    let text = String::from_utf8(api.get("/metrics/prometheus").await.bytes.to_vec()).unwrap();
    assert!(
        text.contains("# TYPE marathon_apps_active_gauge gauge\nmarathon_apps_active_gauge 0\n")
    );
    assert_eq!(api.get("/logging").await.expect(200), json!({"ROOT": "INFO"}));
    let change = json!({"logger": "ROOT", "level": "debug", "durationSeconds": 60});
    assert_eq!(api.post("/logging", &change).await.expect(200), change);
    assert_eq!(api.get("/logging").await.expect(200), json!({"ROOT": "DEBUG"}));
    api.post("/logging", &json!({"logger": "x", "level": "loud"})).await.expect(422);
}

#[tokio::test]
async fn info_has_exactly_the_known_keys() {
    let api = Api::start().await;
    let info = api.get("/v2/info").await.expect(200);
    let keys: Vec<&String> = info.as_object().unwrap().keys().collect();
    let expected = [
        "name",
        "version",
        "buildref",
        "elected",
        "leader",
        "frameworkId",
        "marathon_config",
        "zookeeper_config",
        "http_config",
    ];
    assert_eq!(keys, expected);
    assert_eq!(info["marathon_config"].as_object().unwrap().len(), 41);
    assert_eq!(info["zookeeper_config"].as_object().unwrap().len(), 8);
    assert_eq!(info["http_config"], json!({"http_port": api.address.port(), "https_port": 8443}));
}

#[tokio::test]
async fn methods() {
    let api = Api::start().await;
    let wrong = api.put("/v2/info", &json!({})).await;
    assert_eq!(wrong.expect(405), json!({"message": "Method Not Allowed"}));
    assert_eq!(wrong.header("allow"), "GET,HEAD,OPTIONS");
    let options = api.request(Method::OPTIONS, "/v2/apps").body(Full::default()).unwrap();
    let options = api.send(options).await;
    assert_eq!((options.status, options.header("allow")), (200, "GET,POST,PUT,PATCH,HEAD,OPTIONS"));
    let head = api.request(Method::HEAD, "/v2/apps").body(Full::default()).unwrap();
    let head = api.send(head).await;
    assert_eq!((head.status, head.bytes.len(), head.header("content-length")), (200, 0, "11"));
}

#[tokio::test]
async fn bodies_are_read_whatever_their_type_is_called() {
    let api = Api::start().await;
    for (number, kind) in
        ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", ""]
            .iter()
            .enumerate()
    {
        let body = json!({"id": format!("a{number}"), "cmd": "sleep 1", "instances": 0});
        let mut request = api.request(Method::POST, "/v2/apps");
        if !kind.is_empty() {
            request = request.header("content-type", *kind);
        }
        let request = request.body(Full::new(Bytes::from(body.to_string()))).unwrap();
        api.send(request).await.expect(201);
    }
    let broken = api.request(Method::POST, "/v2/apps").body(Full::new("{".into())).unwrap();
    assert_eq!(api.send(broken).await.expect(400)["message"], "Invalid JSON");
}

/// No browser asks before it sends a page's text somewhere; what it sends would be obeyed.
#[tokio::test]
async fn pages_of_others_change_nothing() {
    let config =
        Config { access_control_allow_origin: vec!["http://ui".into()], ..Config::default() };
    let api = Api::with(config).await;
    let own = format!("http://{}", api.address);
    for (origin, status) in [("http://evil.com", 403), ("http://ui", 201), (own.as_str(), 409)] {
        let request = api
            .request(Method::POST, "/v2/apps")
            .header("content-type", "text/plain")
            .header("origin", origin)
            .body(Full::new(r#"{"id":"a","cmd":"sleep 1","instances":0}"#.into()))
            .unwrap();
        let answer = api.send(request).await;
        assert_eq!(answer.status, status, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), "http://ui");
        if status == 403 {
            let message = answer.json()["message"].clone();
            assert!(message.as_str().unwrap().contains("another origin"), "{message}");
            assert_eq!(api.get("/v2/apps").await.json()["apps"], json!([]));
        }
    }
    let request = api.request(Method::GET, "/v2/apps").header("origin", "http://evil.com");
    api.send(request.body(Full::default()).unwrap()).await.expect(200);
}

#[tokio::test]
async fn options_of_the_api() {
    let config = Config {
        http_credentials: Some(("ops".to_owned(), "s3cret".to_owned()).into()),
        access_control_allow_origin: vec!["http://a".into(), "http://b".into()],
        http_max_concurrent_requests: Some(0),
        ..Config::default()
    };
    let api = Api::with(config).await;
    let busy = api.get("/ping").await;
    assert_eq!(busy.expect(503)["message"], "Too many concurrent requests! Allowed: 0.");
    drop(api);
    let config = Config {
        http_credentials: Some(("ops".to_owned(), "s3cret".to_owned()).into()),
        access_control_allow_origin: vec!["http://a".into(), "http://b".into()],
        ..Config::default()
    };
    let api = Api::with(config).await;
    let refused = api.get("/ping").await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), "Basic realm=\"Mesosphere\"");
    let request = api
        .request(Method::GET, "/ping")
        .header("authorization", "Basic b3BzOnMzY3JldA==")
        .header("access-control-request-headers", "x-one,x-two");
    let answer = api.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "http://b");
    assert_eq!(answer.header("access-control-allow-headers"), "x-one, x-two");
    assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, OPTIONS");
    assert_eq!(answer.header("access-control-max-age"), "86400");
    // A browser asks first, without credentials.
    let request = api.request(Method::OPTIONS, "/v2/apps").header("origin", "http://b");
    let answer = api.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "http://b");
}
