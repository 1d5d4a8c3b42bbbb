//! Users and groups, in the original's forms and words.

use http::Method;
use serde_json::{Value, json};

use crate::harness::started;

const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/wMXOeN0OLzsO22VUsOhwwhaMaxk\n\
    fPBF/7ZXjTv86oBCbnqThDnvpDE/8kp7Y8OQ6I4UO72f9HiA3NZLtiPWSg==\n\
    -----END PUBLIC KEY-----\n";

#[tokio::test]
async fn users_come_change_and_go() {
    let iam = started().await;
    let made = iam.put("/users/usera", json!({ "description": "User A", "password": "secret" }));
    assert_eq!(made.await.status, 201);
    let again = iam.put("/users/usera", json!({ "password": "secret" })).await;
    again.refused(409, "ERR_USER_EXISTS");
    assert_eq!(again.json()["title"], "409 Conflict");
    assert_eq!(again.json()["description"], "User with id `usera` already exists.");
    let expected = json!({
        "uid": "usera",
        "description": "User A",
        "url": "/acs/api/v1/users/usera",
        "is_remote": false,
        "is_service": false,
        "provider_type": "internal",
        "provider_id": "",
    });
    let got = iam.get("/users/usera").await;
    assert_eq!(got.header("content-type"), "application/json; charset=utf-8");
    assert_eq!(got.json(), expected);
    let text = String::from_utf8(got.body.to_vec()).unwrap();
    assert!(text.starts_with("{\n  \"uid\": \"usera\",\n  \"description\""), "{text}");
    assert!(text.ends_with("}\n"));
    let patched = iam.patch("/users/usera", json!({ "description": "new" })).await;
    assert_eq!((patched.status.as_u16(), patched.body.len()), (204, 0));
    assert!(!patched.headers.contains_key("content-type"));
    assert_eq!(iam.get("/users/usera").await.json()["description"], "new");
    let service = json!({ "description": "S", "public_key": KEY });
    assert_eq!(iam.put("/users/svc", service).await.status, 201);
    assert_eq!(iam.get("/users/svc").await.json()["public_key"], KEY);
    let uids = |list: Value| {
        let users = list["array"].as_array().unwrap().clone();
        users.iter().map(|user| user["uid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(uids(iam.get("/users").await.json()), ["admin", "usera"]);
    assert!(uids(iam.get("/users?type=service").await.json()).contains(&"svc".to_owned()));
    let deleted = iam.delete("/users/usera").await;
    assert_eq!(deleted.status, 204);
    assert!(!deleted.headers.contains_key("content-type"));
    let unknown = iam.get("/users/usera").await;
    unknown.refused(400, "ERR_UNKNOWN_USER_ID");
    assert_eq!(unknown.json()["description"], "User with uid `usera` not known.");
    iam.delete("/users/usera").await.refused(400, "ERR_UNKNOWN_USER_ID");
    iam.patch("/users/usera", json!({ "description": "" }))
        .await
        .refused(400, "ERR_UNKNOWN_USER_ID");
    // An address alone is a user of the legacy provider.
    assert_eq!(iam.put("/users/a@b.c", json!({ "creator_uid": "x" })).await.status, 201);
    let legacy = iam.get("/users/a@b.c").await.json();
    assert_eq!(legacy["provider_id"], "https://dcos.auth0.com/");
    assert_eq!(legacy["is_remote"], true);
    iam.stopped().await;
}

#[tokio::test]
async fn bodies_are_refused_in_the_originals_words() {
    let iam = started().await;
    for (path, body, code, text) in [
        (
            "/users/u!",
            json!({ "password": "secret" }),
            "ERR_INVALID_USER_ID",
            "Invalid user ID: u!",
        ),
        (
            "/users/anonymous",
            json!({ "password": "secret" }),
            "ERR_INVALID_USER_ID",
            "Invalid user ID",
        ),
        (
            "/users/u",
            json!({ "password": "1234" }),
            "ERR_INVALID_DATA",
            "Password does not match rules",
        ),
        (
            "/users/u",
            json!({ "password": "" }),
            "ERR_INVALID_DATA",
            "must not be empty when provided",
        ),
        ("/users/u", json!({}), "ERR_INVALID_DATA", "One of `password` or `public_key`"),
        ("/users/u", json!({ "public_key": "x" }), "ERR_INVALID_PUBLIC_KEY", "Invalid public key"),
    ] {
        let refused = iam.put(path, body).await;
        refused.refused(400, code);
        assert!(refused.json()["description"].as_str().unwrap().contains(text), "{refused:?}");
    }
    let plain = |kind: &'static str, body: &'static str| {
        iam.ask(Method::PUT, "/users/u").admin().header("content-type", kind).body(body)
    };
    for (ask, status, text) in [
        (
            plain("application/x-www-form-urlencoded", "x"),
            400,
            "Request has bad Content-Type or lacks JSON data",
        ),
        (plain("application/json", ""), 400, "Request has bad Content-Type or lacks JSON data"),
        (plain("application/json", "x"), 400, "Cannot decode JSON body: "),
        (
            plain("application/json", "{\"x\":1}"),
            400,
            "Unexpected JSON input. Hint: Additional properties",
        ),
        (plain("application/whatsthat", "x"), 415, "Unexpected or undefined Content-Type"),
        (
            plain("application/json", "{}").header("accept", "text/html"),
            406,
            "must support application/json",
        ),
    ] {
        let refused = ask.send().await;
        assert_eq!(refused.status, status, "{refused:?}");
        assert!(refused.json()["description"].as_str().unwrap().contains(text), "{refused:?}");
    }
    let large = iam.put("/users/u", json!({ "description": "x".repeat(300_000) })).await;
    assert_eq!(large.status, 413);
    let long =
        iam.put("/users/u", json!({ "description": "x".repeat(5000), "password": "secret" }));
    long.await.refused(400, "ERR_INVALID_DATA");
    for (method, path, status) in [
        (Method::GET, "/nothing", 404),
        (Method::GET, "/users/u/x", 404),
        (Method::POST, "/users", 405),
        (Method::DELETE, "/auth/login", 405),
    ] {
        let reply = iam.ask(method, path).admin().send().await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (status, 0), "{path}");
    }
    let options = iam.ask(Method::OPTIONS, "/users/u").send().await;
    assert_eq!(options.header("allow"), "GET, PUT, PATCH, DELETE");
    let nothing = iam.patch("/users/admin", json!({})).await;
    nothing.refused(400, "ERR_INVALID_DATA");
    let service = json!({ "public_key": KEY });
    assert_eq!(iam.put("/users/svc", service).await.status, 201);
    let refused = iam.patch("/users/svc", json!({ "password": "new-password" })).await;
    assert_eq!(
        refused.json()["description"],
        "Password update is not available for service user accounts."
    );
    iam.stopped().await;
}

#[tokio::test]
async fn groups_have_members() {
    let iam = started().await;
    iam.user("anna").await;
    assert_eq!(iam.put("/groups/dev", json!({ "description": "Devs" })).await.status, 201);
    iam.put("/groups/dev", json!({ "description": "" })).await.refused(409, "ERR_GROUP_EXISTS");
    iam.put("/groups/d!", json!({ "description": "" })).await.refused(400, "ERR_INVALID_GROUP_ID");
    let without = iam.put("/groups/ops", json!({})).await.json();
    assert_eq!(
        without["description"],
        "Unexpected JSON input. Hint: 'description' is a required property"
    );
    let group = json!({
        "gid": "dev",
        "description": "Devs",
        "url": "/acs/api/v1/groups/dev",
        "provider_type": "internal",
    });
    assert_eq!(iam.get("/groups/dev").await.json(), group);
    let member = "/groups/dev/users/anna";
    let put = || iam.ask(Method::PUT, member).admin().send();
    assert_eq!(put().await.status, 204);
    put().await.refused(409, "ERR_USER_IN_GROUP");
    let nobody = iam.ask(Method::PUT, "/groups/dev/users/nobody").admin().send().await;
    nobody.refused(400, "ERR_UNKNOWN_USER_ID");
    let url = "/acs/api/v1/groups/dev/users/anna";
    let users = iam.get("/groups/dev/users").await.json();
    assert_eq!(users["array"][0]["membershipurl"], url);
    assert_eq!(users["array"][0]["user"]["uid"], "anna");
    assert_eq!(iam.get("/groups/dev/users?type=service").await.json(), json!({ "array": [] }));
    let groups = iam.get("/users/anna/groups").await.json();
    assert_eq!(groups, json!({ "array": [{ "membershipurl": url, "group": group }] }));
    assert_eq!(iam.patch("/groups/dev", json!({ "description": "new" })).await.status, 204);
    assert_eq!(iam.delete(member).await.status, 204);
    iam.delete(member).await.refused(400, "ERR_USER_NOT_IN_GROUP");
    assert_eq!(iam.delete("/groups/dev").await.status, 204);
    iam.get("/groups/dev").await.refused(400, "ERR_UNKNOWN_GROUP_ID");
    iam.stopped().await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let iam = started().await;
    let token = iam.user("anna").await;
    iam.allow("anna", "dcos:service:marathon:/a/b", "read").await;
    assert_eq!(iam.put("/groups/dev", json!({ "description": "" })).await.status, 201);
    let before = iam.get("/users/anna/permissions").await.body;
    let iam = iam.restarted().await;
    assert_eq!(iam.get("/users/anna/permissions").await.body, before);
    assert_eq!(iam.get("/groups/dev").await.status, 200);
    // Tokens of before are good: the keys are the same.
    let own = iam.ask(Method::GET, "/users/anna").token(&token).send().await;
    assert_eq!(own.status, 200);
    iam.stopped().await;
}
