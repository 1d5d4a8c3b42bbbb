//! The audit log of a running service.

use http::Method;
use iam::audit::verify;
use serde_json::{Value, json};

use crate::harness::started;

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
            ("login-password", "admin", "allow"),
            ("user-create", "admin", "allow"),
            ("login-password", "(not a uid)", "deny"),
            ("login-password", "anna", "allow"),
            ("refused", "anna", "deny"),
            ("acl-create", "admin", "allow"),
            ("permission-create", "admin", "allow"),
            ("user-update", "admin", "allow"),
            ("login-password", "admin", "allow"),
        ]
    );
    assert_eq!(lines[1]["from"], "203.0.113.7");
    assert_eq!(lines[1]["request_id"], "request-1");
    assert_eq!(lines[1]["object"], "user anna");
    assert_eq!(lines[6]["object"], "user anna: read on dcos:x");
    assert_eq!(lines[7]["object"], "user anna: password");
    let folder = iam.stopped().await;
    let path = folder.path().join("iam/audit.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("very-secret") && !text.contains(&token));
    let verified = verify(&path).unwrap();
    assert_eq!((verified.lines, verified.complete), (9, true));
    let tampered = text.replacen("\"uid\":\"anna\"", "\"uid\":\"ben\"", 1);
    std::fs::write(&path, tampered).unwrap();
    let broken = verify(&path).unwrap_err().to_string();
    assert!(broken.contains("audit.jsonl, line 4"), "{broken}");
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
