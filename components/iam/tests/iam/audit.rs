//! The audit log of a running service.

use std::time::Duration;

use http::Method;
use iam::audit::verify;
use serde_json::{Value, json};

use crate::harness::{started, started_with};

#[tokio::test]
async fn everything_that_happened_is_there_and_no_secret() {
    let iam = started().await;
    let body = json!({ "password": "very-secret-1", "description": "Anna" });
    let ask = iam.ask(Method::PUT, "/users/anna").admin().json(body);
    let ask = ask
        .through_gateway()
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-request-id", "request-1");
    assert_eq!(ask.send().await.status, 201);
    let wrong = json!({ "uid": "very-secret-2!", "password": "very-secret-3" });
    assert_eq!(iam.try_login(wrong).await.status, 401);
    let token = iam.login("anna", "very-secret-1").await;
    assert_eq!(iam.ask(Method::GET, "/users").token(&token).send().await.status, 403);
    iam.allow("anna", "dcos:x", "read").await;
    assert_eq!(iam.patch("/users/anna", json!({ "password": "very-secret-4" })).await.status, 204);
    let iam = iam.restarted().await;
    let lines = iam.audit();
    let (first, lines): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line["event"] == "bootstrap");
    assert!(first.len() >= 12 && first.len() % 2 == 0, "{first:?}");
    for step in first.chunks(2) {
        assert_eq!((&step[0]["result"], &step[1]["result"]), (&json!("begun"), &json!("allow")));
        assert_eq!(step[0]["object"], step[1]["object"]);
    }
    let told_of_bootstrap = u64::try_from(first.len()).unwrap();
    let all: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or_default();
            (text("event"), text("uid"), text("result"))
        })
        .collect();
    assert_eq!(
        all,
        [
            ("service-start", "", ""),
            ("login-password", "admin", "allow"),
            ("user-create", "admin", "begun"),
            ("user-create", "admin", "allow"),
            ("login-password", "(not a uid)", "deny"),
            ("login-password", "anna", "allow"),
            ("refused", "anna", "deny"),
            ("acl-create", "admin", "begun"),
            ("acl-create", "admin", "allow"),
            ("permission-create", "admin", "begun"),
            ("permission-create", "admin", "allow"),
            ("user-update", "admin", "begun"),
            ("user-update", "admin", "allow"),
            ("service-start", "", ""),
            ("login-password", "admin", "allow"),
        ]
    );
    assert_eq!(lines[2]["from"], "203.0.113.7");
    assert!(lines[2]["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{}", lines[2]);
    assert_eq!(lines[2]["request_id"], "request-1");
    assert_eq!(lines[2]["object"], "user anna");
    assert_eq!(lines[10]["object"], "user anna: read on dcos:x");
    assert_eq!(lines[11]["object"], "user anna: password");
    let folder = iam.stopped().await;
    let path = folder.path().join("iam/audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("very-secret") && !text.contains(&token));
    let verified = verify(&path).unwrap();
    let all = u64::try_from(lines.len()).unwrap() + told_of_bootstrap;
    assert_eq!((verified.lines, verified.complete), (all, true));
    let tampered = text.replacen("\"uid\":\"anna\"", "\"uid\":\"ben\"", 1);
    std::fs::write(&path, tampered).unwrap();
    let broken = verify(&path).unwrap_err().to_string();
    let line = text.lines().position(|line| line.contains("\"uid\":\"anna\"")).unwrap() + 1;
    assert!(broken.ends_with(&format!(
        "audit.jsonl, line {line}: it was changed, or a line before it was changed, removed or added"
    )), "{broken}");
}

#[tokio::test]
async fn no_secret_is_in_what_is_stored_or_answered() {
    let iam = started().await;
    iam.user("anna").await;
    let answers = [iam.get("/users").await, iam.get("/users/anna").await];
    for answer in answers {
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(!text.contains("argon2") && !text.contains("generation"), "{text}");
    }
    let list: Value = iam.get("/users").await.json();
    assert!(list["array"].as_array().unwrap().iter().all(|user| user.get("password").is_none()));
    iam.stopped().await;
}

/// Whatever it is that is the first to find the log gone: it is not made.
#[tokio::test]
async fn a_change_is_told_before_it_is_made() {
    // Each line begins a file, for which the folder is needed.
    let iam = started_with(|config| config.audit_file_bytes = 1).await;
    let (here, away) = (iam.folder.path().join("iam"), iam.folder.path().join("away"));
    let keys = async || iam.ask(Method::GET, "/auth/jwks").send().await.json();
    let before = keys().await;
    let kid = before["keys"][0]["kid"].as_str().unwrap().to_owned();
    let provider = json!({ "issuer": "https://a.b", "client_id": "c", "base_url": "https://d.e" });
    let changes = [
        (Method::PUT, "/groups/g".to_owned(), json!({ "description": "" })),
        (Method::PUT, "/auth/oidc/providers/p".to_owned(), provider),
        (Method::POST, "/auth/keys/rotate".to_owned(), json!({})),
        (Method::DELETE, format!("/auth/keys/{kid}"), json!({})),
    ];
    for (method, path, body) in changes {
        std::fs::rename(&here, &away).unwrap();
        let reply = iam.ask(method, &path).admin().json(body).send().await;
        assert_eq!(reply.status, 503, "{path}: {reply:?}");
        std::fs::rename(&away, &here).unwrap();
        // Something is written again, so that the next is the first again.
        iam.user(&format!("u{}", path.len())).await;
    }
    iam.get("/groups/g").await.refused(400, "ERR_UNKNOWN_GROUP_ID");
    iam.get("/auth/oidc/providers/p").await.refused(400, "ERR_UNKNOWN_PROVIDER_ID");
    assert_eq!(keys().await, before);
    iam.stopped().await;
}

#[tokio::test]
async fn what_everybody_may_cause_does_not_fill_the_log() {
    let iam = started_with(|config| {
        config.refusals.told_every = Duration::from_secs(3600);
        config.login_limits.patience = Duration::ZERO;
    })
    .await;
    let token = iam.user("anna").await;
    for n in 0..50 {
        let callback = iam.ask(Method::GET, "/auth/oidc/callback?code=x&state=y").send().await;
        assert_eq!(callback.status, 401);
        let start = iam.ask(Method::GET, "/auth/login?oidc-provider=x").send().await;
        assert_eq!(start.status, 400);
        let service = json!({ "uid": format!("u{n}"), "token": "a.b.c" });
        assert_eq!(iam.try_login(service).await.status, 401);
        let guess = iam.try_login(json!({ "uid": "nobody", "password": "guess" })).await;
        assert!(guess.status == 401 || guess.status == 429);
        assert_eq!(iam.ask(Method::GET, "/users").token(&token).send().await.status, 403);
    }
    let denied = |lines: Vec<Value>, uid: &str| {
        let of_user = |line: &Value| (line["event"] == "refused") == (uid == "anna");
        lines.into_iter().filter(|line| line["result"] == "deny" && of_user(line)).count()
    };
    assert_eq!([denied(iam.audit(), ""), denied(iam.audit(), "anna")], [30, 30]);
    // What is granted always has its line.
    iam.login("anna", "password").await;
    assert_eq!(iam.audit().last().unwrap()["result"], "allow");
    let folder = iam.stopped().await;
    let path = folder.path().join("iam/audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let folded = lines.filter(|line| line["event"] == "refusals");
    let folded: Vec<_> = folded.map(|line| line["object"].as_str().unwrap().to_owned()).collect();
    assert_eq!(folded, ["170 more of 127.0.0.1", "20 more of anna"]);
    assert!(verify(&path).is_ok());
}

#[tokio::test]
async fn all_hosts_of_a_certificate_are_told() {
    let iam = started().await;
    let labels = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(56)].join(".");
    let mut hosts: Vec<String> = (0..99).map(|n| format!("h{n:02}.{labels}")).collect();
    hosts.push("gateway.example".to_owned());
    assert_eq!(hosts[0].len(), 252);
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "gateway.example");
    let key = rcgen::KeyPair::generate().unwrap();
    let request = params.serialize_request(&key).unwrap().pem().unwrap();
    let body = json!({ "certificate_request": request, "hosts": hosts, "profile": "server" });
    let reply = iam.ask(Method::POST, "/ca/api/v2/sign").admin().json(body).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let pem = reply.json()["result"]["certificate"].as_str().unwrap().to_owned();
    let pem = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1;
    let digest = ring::digest::digest(&ring::digest::SHA256, &pem.contents);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = iam.audit();
    let told = lines.iter().find(|line| line["event"] == "certificate-sign").unwrap();
    assert_eq!(told["hosts"], json!(hosts));
    assert_eq!(told["common_name"], "gateway.example");
    assert_eq!(told["sha256"], json!(digest));
    let folder = iam.stopped().await;
    assert!(verify(&folder.path().join("iam/audit.jsonl")).is_ok());
}

/// What cannot be told is not done, and when it can be told again, all goes on.
#[tokio::test]
async fn without_a_log_nobody_gets_in_and_nothing_changes() {
    // Each line begins a file, for which the folder is needed.
    let iam = started_with(|config| config.audit_file_bytes = 1).await;
    iam.user("anna").await;
    let (here, away) = (iam.folder.path().join("iam"), iam.folder.path().join("away"));
    let login = json!({ "uid": "anna", "password": "password" });
    assert_eq!(iam.try_login(login.clone()).await.status, 200);
    std::fs::rename(&here, &away).unwrap();
    assert_eq!(iam.try_login(login.clone()).await.status, 503);
    let wrong = json!({ "uid": "anna", "password": "wrong" });
    assert_eq!(iam.try_login(wrong).await.status, 503);
    assert_eq!(iam.put("/groups/g", json!({ "description": "" })).await.status, 503);
    iam.get("/groups/g").await.refused(400, "ERR_UNKNOWN_GROUP_ID");
    let metrics = iam.ask(Method::GET, "/metrics").send().await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("iam_audit_failing 1"));
    std::fs::rename(&away, &here).unwrap();
    assert_eq!(iam.try_login(login).await.status, 200);
    assert_eq!(iam.put("/groups/g", json!({ "description": "" })).await.status, 201);
    let folder = iam.stopped().await;
    assert!(verify(&folder.path().join("iam/audit.jsonl")).is_ok());
}
