//! The audit log of a running service.

use http::Method;
use iam::audit::verify;
use serde_json::{Value, json};

use crate::harness::{started, started_with};

#[tokio::test]
async fn everything_that_happened_is_there_and_no_secret() {
    let iam = started().await;
    let body = json!({ "password": "very-secret-1", "description": "Anna" });
    let ask = iam.ask(Method::PUT, "/users/anna").admin().json(body);
    let ask = ask.header("x-forwarded-for", "203.0.113.7").header("x-request-id", "request-1");
    assert_eq!(ask.send().await.status, 201);
    let wrong = json!({ "uid": "very-secret-2!", "password": "very-secret-3" });
    assert_eq!(iam.try_login(wrong).await.status, 401);
    let token = iam.login("anna", "very-secret-1").await;
    assert_eq!(iam.ask(Method::GET, "/users").token(&token).send().await.status, 403);
    iam.allow("anna", "dcos:x", "read").await;
    assert_eq!(iam.patch("/users/anna", json!({ "password": "very-secret-4" })).await.status, 204);
    let iam = iam.restarted().await;
    let lines = iam.audit();
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
            ("bootstrap", "", ""),
            ("login-password", "admin", "allow"),
            ("user-create", "admin", "allow"),
            ("login-password", "(not a uid)", "deny"),
            ("login-password", "anna", "allow"),
            ("refused", "anna", "deny"),
            ("acl-create", "admin", "allow"),
            ("permission-create", "admin", "allow"),
            ("user-update", "admin", "allow"),
            ("service-start", "", ""),
            ("login-password", "admin", "allow"),
        ]
    );
    assert_eq!(lines[3]["from"], "203.0.113.7");
    assert_eq!(lines[3]["request_id"], "request-1");
    assert_eq!(lines[3]["object"], "user anna");
    assert_eq!(lines[8]["object"], "user anna: read on dcos:x");
    assert_eq!(lines[9]["object"], "user anna: password");
    let folder = iam.stopped().await;
    let path = folder.path().join("iam/audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("very-secret") && !text.contains(&token));
    let verified = verify(&path).unwrap();
    assert_eq!((verified.lines, verified.complete), (12, true));
    let tampered = text.replacen("\"uid\":\"anna\"", "\"uid\":\"ben\"", 1);
    std::fs::write(&path, tampered).unwrap();
    let broken = verify(&path).unwrap_err().to_string();
    assert!(broken.contains("audit.jsonl, line 6"), "{broken}");
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
