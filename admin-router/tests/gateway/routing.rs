//! Requests that go through to upstreams.

use identity::wire::Change;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fakes::Gate;
use crate::wire::ask;

#[tokio::test(flavor = "multi_thread")]
async fn who_may_gets_through_and_others_do_not() {
    let gate = Gate::plain().await;
    let (admin, dev) = (gate.iam.header("admin"), gate.iam.header("dev"));
    for (path, user, status) in [
        ("/mesos/state", None, 401),
        ("/mesos/state", Some(&dev), 403),
        ("/mesos/state", Some(&admin), 200),
        ("/service/app/x", Some(&dev), 200),
        ("/service/other/x", Some(&dev), 403),
        ("/service/none/x", Some(&admin), 404),
        ("/service/none/x", None, 401),
        ("/net/", Some(&admin), 503),
        ("/acs/api/v1/internal/policy", Some(&admin), 404),
        ("/internal/mesos_dns/", Some(&admin), 404),
    ] {
        let headers: Vec<_> =
            user.map(|token| ("Authorization", token.as_str())).into_iter().collect();
        let answer = ask(gate.address(), &format!("GET {path}"), &headers, "").await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
    }
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_gets_the_normal_path_and_no_cookie_of_the_gateway() {
    let gate = Gate::plain().await;
    let cookie = format!("a=b; dcos-acs-auth-cookie={}; c=d", gate.iam.token("admin"));
    let headers = [("Cookie", cookie.as_str()), ("Host", "gate.example.com")];
    let answer = ask(gate.address(), "GET /mesos//a/../%73tate?x=%2F", &headers, "").await;
    assert_eq!(answer.status, 200);
    let head = answer.body.to_ascii_lowercase();
    assert!(head.starts_with("get /state?x=%2f http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: gate.example.com\r\n"), "{head}");
    assert!(head.contains("\r\nauthorization: token=eyj"), "{head}");
    assert!(!head.contains("dcos-acs-auth-cookie"), "{head}");
    assert!(head.contains("a=b") && head.contains("c=d"), "{head}");
    assert!(head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{head}");
    gate.end().await;
}

/// Spellings, each sent as it stands, and what the upstream is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_is_judged_as_one_path_and_forwarded_as_another() {
    let gate = Gate::plain().await;
    let dev = gate.iam.header("dev");
    for (raw, status, forwarded) in [
        ("/service/app/x", 200, "/x"),
        ("/service//app//x", 200, "/x"),
        ("/service/app/%78", 200, "/x"),
        ("/service/app/..%2fapp/x", 200, "/x"),
        ("/service/app/%252e%252e/x", 200, "/%252e%252e/x"),
        ("/service/app/x;y", 200, "/x;y"),
        ("/mesos/..%2fservice/app/x", 200, "/x"),
        ("/service/app/../other/x", 403, ""),
        ("/service/app/..%2fother/x", 403, ""),
        ("/service/app/%2e%2e/other/x", 403, ""),
        ("/service/app/..%2f..%2fmesos/x", 403, ""),
        ("/login/../mesos/x", 403, ""),
        ("/SERVICE/app/x", 404, ""),
        ("/service/app/..;/x", 400, ""),
        ("/service/app/..%5cother/x", 400, ""),
        ("/service/app/%00", 400, ""),
        ("/service/app/%c0%ae%c0%ae/x", 400, ""),
        ("/service/app/%zz", 400, ""),
        ("/../service/app/x", 400, ""),
    ] {
        let line = format!("GET {raw}");
        let answer = ask(gate.address(), &line, &[("Authorization", &dev)], "").await;
        assert_eq!(answer.status, status, "{raw}: {}", answer.body);
        if status == 200 {
            let start = format!("GET {forwarded} HTTP/1.1\r\n");
            assert!(answer.body.starts_with(&start), "{raw}: {}", answer.body);
        }
    }
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_goes_through_to_a_service() {
    let gate = Gate::plain().await;
    let token = gate.iam.header("dev");
    let mut stream = TcpStream::connect(gate.address()).await.unwrap();
    let request = format!(
        "GET /service/app/socket HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    for text in ["one", "two"] {
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut echoed = vec![0; text.len()];
        stream.read_exact(&mut echoed).await.unwrap();
        assert_eq!(echoed, text.as_bytes());
    }
    drop(stream);
    // Another page's socket is refused, as is one where nothing may be upgraded.
    let cookie = format!("dcos-acs-auth-cookie={}", gate.iam.token("dev"));
    let headers = [
        ("Cookie", cookie.as_str()),
        ("Upgrade", "websocket"),
        ("Origin", "https://evil.example.com"),
    ];
    let answer = ask(gate.address(), "GET /service/app/socket", &headers, "").await;
    assert_eq!(answer.status, 403);
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_of_upstreams_are_mapped() {
    let gate = Gate::plain().await;
    let admin = gate.iam.header("admin");
    for (path, to, mapped) in [
        ("/service/app/x", "/login", "/service/app/login"),
        ("/service/app/x", "http://gate:81/y?z", "/service/app/y?z"),
        ("/service/app/x", "https://elsewhere/y", "https://elsewhere/y"),
        ("/exhibitor/x", "http://gate:81/exhibitor/v1/", "/exhibitor/exhibitor/v1/"),
        ("/mesos/x", "/y", "/y"),
    ] {
        let headers = [("Authorization", admin.as_str()), ("Host", "gate:81"), ("X-Redirect", to)];
        let answer = ask(gate.address(), &format!("GET {path}"), &headers, "").await;
        assert_eq!(answer.header("location"), Some(mapped), "{path} {to}");
    }
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_iam_changes_is_in_force_at_once() {
    let gate = Gate::plain().await;
    let dev = gate.iam.header("dev");
    let headers = [("Authorization", dev.as_str())];
    let status = async || ask(gate.address(), "GET /service/app/x", &headers, "").await.status;
    assert_eq!(status().await, 200);
    gate.iam.change(Change::PermissionRemoved { rid: "dcos:adminrouter:service:app".to_owned() });
    wait_for(async || status().await == 403).await;
    gate.iam.change(Change::UserRemoved { uid: "dev".to_owned() });
    wait_for(async || status().await == 401).await;
    gate.end().await;
}

/// Asks again until it is so.
async fn wait_for(mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if so().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it never became so");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_masters_answers_are_kept_for_each_user() {
    let gate = Gate::plain().await;
    let admin = gate.iam.header("admin");
    let get = async |headers: &[(&str, &str)]| {
        let mut all = vec![("Authorization", admin.as_str())];
        all.extend_from_slice(headers);
        ask(gate.address(), "GET /cache/master/state-summary?x", &all, "").await
    };
    let first = get(&[]).await;
    assert_eq!((first.status, first.header("x-cache-status")), (200, Some("MISS")));
    assert!(first.body.starts_with("GET /master/state-summary?x HTTP/1.1\r\n"), "{}", first.body);
    let second = get(&[]).await;
    assert_eq!(second.header("x-cache-status"), Some("HIT"));
    assert_eq!(first.body, second.body);
    assert_eq!(
        get(&[("Cache-Control", "no-cache")]).await.header("x-cache-status"),
        Some("BYPASS")
    );
    let answer = ask(gate.address(), "GET /cache/master/state-summary?x", &[], "").await;
    assert_eq!(answer.status, 401);
    // Whoever else may ask has answers of their own.
    let ops = gate.iam.header("ops");
    let headers = [("Authorization", ops.as_str())];
    let other = ask(gate.address(), "GET /cache/master/state-summary?x", &headers, "").await;
    assert_eq!((other.status, other.header("x-cache-status")), (200, Some("MISS")));
    assert!(other.body.contains(&ops), "it is asked as them");
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_authentication_answers_are_kept_for_each_token() {
    let gate = Gate::start(|config| {
        config.plain = Some(([127, 0, 0, 1], 0).into());
        config.authentication = false;
    })
    .await;
    let get = async |headers: &[(&str, &str)]| {
        ask(gate.address(), "GET /cache/master/state", headers, "").await
    };
    let with_token = get(&[("Authorization", "token=one")]).await;
    assert_eq!(with_token.header("x-cache-status"), Some("MISS"));
    assert!(with_token.body.contains("token=one"), "{}", with_token.body);
    for headers in [&[][..], &[("Authorization", "token=two")]] {
        let other = get(headers).await;
        assert_eq!(other.header("x-cache-status"), Some("MISS"), "{headers:?}");
        assert!(!other.body.contains("token=one"), "{}", other.body);
    }
    let again = get(&[("Authorization", "token=one")]).await;
    assert_eq!(again.header("x-cache-status"), Some("HIT"));
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_away_is_told_in_the_form_that_is_read() {
    let gate = Gate::start(|config| {
        config.plain = Some(([127, 0, 0, 1], 0).into());
        config.upstreams.cosmos = Some("http://127.0.0.1:1".parse().unwrap());
    })
    .await;
    let admin = gate.iam.header("admin");
    let token = ("Authorization", admin.as_str());
    let answer = ask(gate.address(), "GET /package/x", &[token], "").await;
    assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(!answer.body.contains("127.0.0.1"), "{}", answer.body);
    let answer = ask(gate.address(), "GET /package/x", &[token, ("Accept", "text/html")], "").await;
    assert!(answer.body.starts_with("<!DOCTYPE html>"), "{}", answer.body);
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_through_is_counted_by_route() {
    let gate = Gate::plain().await;
    let admin = gate.iam.header("admin");
    ask(gate.address(), "GET /service/app/x", &[("Authorization", admin.as_str())], "").await;
    let answer = ask(gate.address(), "GET /nginx/metrics", &[], "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    assert!(answer.body.contains("route=\"service\""), "{}", answer.body);
    let answer = ask(gate.address(), "GET /nginx/status", &[("Accept", "text/html")], "").await;
    assert!(answer.body.contains("<table>"));
    gate.end().await;
}
