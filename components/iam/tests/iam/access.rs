//! Who may use what.

use std::time::{SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::{Value, json};

use crate::harness::{Iam, started, started_with};

/// Every endpoint that needs a token.
const CLOSED: [(&str, &str); 31] = [
    ("GET", "/users"),
    ("GET", "/users/admin"),
    ("PUT", "/users/x"),
    ("PATCH", "/users/admin"),
    ("DELETE", "/users/admin"),
    ("GET", "/users/admin/groups"),
    ("GET", "/users/admin/permissions"),
    ("DELETE", "/users/admin/tokens"),
    ("GET", "/groups"),
    ("GET", "/groups/superusers"),
    ("PUT", "/groups/x"),
    ("DELETE", "/groups/superusers"),
    ("GET", "/groups/superusers/users"),
    ("PUT", "/groups/superusers/users/anna"),
    ("GET", "/groups/superusers/permissions"),
    ("GET", "/acls"),
    ("GET", "/acls/dcos:superuser"),
    ("PUT", "/acls/x"),
    ("DELETE", "/acls/dcos:superuser"),
    ("GET", "/acls/dcos:superuser/permissions"),
    ("GET", "/acls/dcos:superuser/groups/superusers"),
    ("DELETE", "/acls/dcos:superuser/groups/superusers"),
    ("GET", "/acls/dcos:superuser/groups/superusers/full"),
    ("PUT", "/acls/dcos:superuser/users/anna/full"),
    ("DELETE", "/acls/dcos:superuser/groups/superusers/full"),
    ("GET", "/internal/policy"),
    ("GET", "/internal/policyquery?rid=x&uid=y&action=read"),
    ("POST", "/auth/keys/rotate"),
    ("DELETE", "/auth/keys/x"),
    ("POST", "/ca/api/v2/info"),
    ("POST", "/ca/api/v2/sign"),
];

async fn status(iam: &Iam, (method, path): (&str, &str), token: Option<&str>) -> u16 {
    let ask = iam.ask(method.parse().unwrap(), path).json(json!({ "description": "x" }));
    let ask = match token {
        Some(token) => ask.token(token),
        None => ask,
    };
    let reply = ask.send().await;
    if reply.status == 401 {
        assert_eq!(reply.header("www-authenticate"), "acsjwt");
    }
    reply.status.as_u16()
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_or_a_permission() {
    let iam = started_with(|config| config.refusals.burst_of_source = 1000).await;
    let anna = iam.user("anna").await;
    let mut forged = anna.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    for endpoint in CLOSED {
        assert_eq!(status(&iam, endpoint, None).await, 401, "{endpoint:?}");
        assert_eq!(status(&iam, endpoint, Some("x.y.z")).await, 401, "{endpoint:?}");
        assert_eq!(status(&iam, endpoint, Some(&forged)).await, 401, "{endpoint:?}");
        assert_eq!(status(&iam, endpoint, Some(&anna)).await, 403, "{endpoint:?}");
    }
    let denied = iam.audit().into_iter().filter(|line| line["event"] == "refused");
    let denied: Vec<_> = denied.collect();
    assert_eq!(denied.len(), CLOSED.len());
    assert!(denied.iter().all(|line| line["uid"] == "anna" && line["result"] == "deny"));
    // A gateway in front makes a client none of this machine.
    assert_eq!(iam.ask(Method::GET, "/metrics").send().await.status, 200);
    let outside = iam.ask(Method::GET, "/metrics").header("x-forwarded-for", "10.0.0.1");
    assert_eq!(outside.send().await.status, 401);
    iam.stopped().await;
}

#[tokio::test]
async fn users_see_themselves_and_change_their_password() {
    let iam = started().await;
    let anna = iam.user("anna").await;
    for path in ["/users/anna", "/users/anna/groups", "/users/anna/permissions"] {
        assert_eq!(status(&iam, ("GET", path), Some(&anna)).await, 200, "{path}");
    }
    let patch = |body: serde_json::Value| {
        iam.ask(Method::PATCH, "/users/anna").token(&anna).json(body).send()
    };
    patch(json!({ "description": "me" })).await.refused(403, "ERR_FORBIDDEN");
    patch(json!({ "active": true })).await.refused(403, "ERR_FORBIDDEN");
    patch(json!({ "password": "another" })).await.refused(400, "ERR_INVALID_DATA");
    let wrong = patch(json!({ "password": "another", "old_password": "wrong" })).await;
    wrong.refused(403, "ERR_INVALID_CREDENTIALS");
    let right = patch(json!({ "password": "another", "old_password": "password" })).await;
    assert_eq!(right.status, 204);
    iam.login("anna", "another").await;
    iam.stopped().await;
}

#[tokio::test]
async fn who_keeps_users_does_not_become_a_superuser() {
    let iam = started().await;
    let keeper = iam.user("keeper").await;
    iam.user("anna").await;
    for rid in ["dcos:iam:users", "dcos:iam:groups", "dcos:iam:acls"] {
        iam.allow("keeper", rid, "full").await;
    }
    // Who may sign certificates may pass for the gateway, and hear what superusers type there.
    iam.user("signer").await;
    iam.allow("signer", "dcos:adminrouter:ops:ca:rw", "full").await;
    assert_eq!(iam.put("/groups/signers", json!({ "description": "" })).await.status, 201);
    let signing = "/acls/dcos:adminrouter:ops:ca:rw/groups/signers/full";
    assert_eq!(iam.ask(Method::PUT, signing).admin().send().await.status, 204);
    let ask = |method: Method, path: &str, body: serde_json::Value| {
        iam.ask(method, path).token(&keeper).json(body).send()
    };
    let empty = || json!({ "description": "" });
    // Everyday work goes.
    for (method, path, body, status) in [
        (Method::PUT, "/users/ben", json!({ "password": "password" }), 201),
        (Method::PATCH, "/users/anna", json!({ "password": "new-password" }), 204),
        (Method::PUT, "/groups/dev", empty(), 201),
        (Method::PUT, "/groups/dev/users/ben", empty(), 204),
        (Method::PUT, "/acls/dcos:x", empty(), 201),
        (Method::PUT, "/acls/dcos:x/groups/dev/read", empty(), 204),
        (Method::GET, "/users", empty(), 200),
        (Method::DELETE, "/users/ben", empty(), 204),
    ] {
        assert_eq!(ask(method, path, body).await.status, status, "{path}");
    }
    // Also who is worth protecting changes their own password, with the old one.
    let own = json!({ "password": "another", "old_password": "password" });
    assert_eq!(ask(Method::PATCH, "/users/keeper", own).await.status, 204);
    let keeper = iam.login("keeper", "another").await;
    let ask = |method: Method, path: &str, body: serde_json::Value| {
        iam.ask(method, path).token(&keeper).json(body).send()
    };
    // What would give more than that does not.
    for (method, path, body) in [
        (Method::PATCH, "/users/admin", json!({ "password": "new-password" })),
        (Method::PATCH, "/users/keeper", json!({ "description": "x" })),
        (Method::PATCH, "/users/dcos_marathon", json!({ "active": false })),
        (Method::DELETE, "/users/admin", empty()),
        (Method::DELETE, "/users/admin/tokens", empty()),
        (Method::PUT, "/groups/superusers/users/keeper", empty()),
        (Method::PUT, "/acls/dcos:superuser/users/keeper/full", empty()),
        (Method::PUT, "/acls/dcos", empty()),
        (Method::PUT, "/acls/dcos:iam", empty()),
        (Method::PUT, "/acls/dcos:iam:users/users/anna/full", empty()),
        (Method::PUT, "/acls/dcos:adminrouter:ops", empty()),
        (Method::PUT, "/acls/dcos:adminrouter:ops:ca:rw/users/keeper/full", empty()),
        (Method::PATCH, "/users/dcos_adminrouter", json!({ "active": false })),
        (Method::PATCH, "/users/signer", json!({ "password": "new-password" })),
        (Method::PUT, "/groups/signers/users/keeper", empty()),
        (Method::PUT, "/users/cleo", json!({ "password_hash": "$6$s$x" })),
        (Method::POST, "/auth/keys/rotate", empty()),
    ] {
        ask(method, path, body).await.refused(403, "ERR_FORBIDDEN");
    }
    iam.stopped().await;
}

#[tokio::test]
async fn the_authority_signs_for_the_gateway_alone() {
    let iam = started().await;
    let info = iam.ask(Method::POST, "/ca/api/v2/info").admin().json(json!({})).send().await;
    assert_eq!(info.status, 200);
    assert_eq!(info.json()["success"], true);
    let bad = iam.ask(Method::POST, "/ca/api/v2/sign").admin().json(json!({})).send().await;
    assert_eq!(bad.status, 400);
    assert_eq!(bad.json()["success"], false);
    iam.stopped().await;
}

#[tokio::test]
async fn only_a_gateway_that_proves_itself_says_whom_a_request_is_from() {
    let iam = started().await;
    let path = iam.running.service_accounts.join("dcos_adminrouter.json");
    let account: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let key = account["private_key"].as_str().unwrap();
    let now = i64::try_from(since).unwrap();
    let own = identity::service_login_token("dcos_adminrouter", key, now).unwrap();
    let reply = iam.try_login(json!({ "uid": "dcos_adminrouter", "token": own })).await;
    let gateway = format!("token={}", reply.json()["token"].as_str().unwrap());
    let anna = format!("token={}", iam.user("anna").await);
    let login = async |proofs: &[&str]| {
        let body = json!({ "uid": "anna", "password": "password" });
        let mut ask = iam.ask(Method::POST, "/auth/login").json(body);
        for proof in proofs {
            ask = ask.header("dais-gateway", proof);
        }
        let ask = ask.header("x-forwarded-for", "203.0.113.7");
        let reply = ask.header("x-forwarded-proto", "https").send().await;
        assert_eq!(reply.status, 200);
        let told = iam.audit().pop().unwrap();
        (told["from"].as_str().unwrap().to_owned(), reply.header("set-cookie").contains("Secure"))
    };
    let believed = ("203.0.113.7".to_owned(), true);
    let not = ("127.0.0.1".to_owned(), false);
    assert_eq!(login(&[&gateway]).await, believed);
    for proofs in [&[][..], &["token=x.y.z"], &[&anna], &[&gateway[6..]], &[&gateway, &gateway]] {
        assert_eq!(login(proofs).await, not, "{proofs:?}");
    }
    // Not a client of this machine either.
    let metrics = iam.ask(Method::GET, "/metrics").header("dais-gateway", &gateway);
    assert_eq!(metrics.send().await.status, 401);
    assert_eq!(iam.delete("/users/dcos_adminrouter/tokens").await.status, 204);
    assert_eq!(login(&[&gateway]).await, not, "its tokens are void");
    let folder = iam.stopped().await;
    let log = std::fs::read_to_string(folder.path().join("iam/audit.jsonl")).unwrap();
    assert!(!log.contains(&gateway[6..]) && !log.contains(&anna[6..]));
}
