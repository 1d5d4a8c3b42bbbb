//! Logging in and out, and what makes tokens void.

use http::Method;
use identity::{KeySet, SigningKey, service_login_token};
use serde_json::{Value, json};

use crate::harness::{Iam, Reply, started};

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

async fn own(iam: &Iam, uid: &str, token: &str) -> u16 {
    let path = format!("/users/{uid}");
    iam.ask(Method::GET, &path).token(token).send().await.status.as_u16()
}

fn cookies(reply: &Reply) -> Vec<String> {
    let values = reply.headers.get_all("set-cookie").iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_password_gives_a_token_and_cookies() {
    let iam = started().await;
    iam.user("anna").await;
    let body = json!({ "uid": "anna", "password": "password" });
    let reply = iam.try_login(body.clone()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control"), "no-store");
    let token = reply.json()["token"].as_str().unwrap().to_owned();
    let [auth, info] = cookies(&reply).try_into().unwrap();
    let head = format!("dcos-acs-auth-cookie={token}; HttpOnly; Max-Age=432000; Path=/");
    assert_eq!(auth, format!("{head}; SameSite=Lax"));
    assert!(info.starts_with("dcos-acs-info-cookie=ey") && !info.contains("HttpOnly"));
    let tls = iam
        .ask(Method::POST, "/auth/login")
        .json(body)
        .through_gateway()
        .header("x-forwarded-proto", "https");
    assert!(cookies(&tls.send().await).iter().all(|cookie| cookie.ends_with("; Secure")));
    // The token is verified by the published keys, and says what the original's does.
    let jwks = iam.ask(Method::GET, "/auth/jwks").send().await;
    let keys = KeySet::from_json(&jwks.json()).unwrap();
    let claims = keys.verify(&token, now()).unwrap();
    assert_eq!(claims.uid, "anna");
    let lifetime = claims.exp.unwrap() - now();
    assert!((431_990..=432_000).contains(&lifetime), "{lifetime}");
    for scheme in ["token=", "Bearer "] {
        let ask = iam.ask(Method::GET, "/users/anna");
        let reply = ask.header("authorization", &format!("{scheme}{token}")).send().await;
        assert_eq!(reply.status, 200);
    }
    let out = iam.ask(Method::GET, "/auth/logout").send().await;
    assert_eq!(out.status, 200);
    assert!(cookies(&out).iter().all(|cookie| cookie.contains("=; expires=Sat, 01 Jan 2000")));
    iam.stopped().await;
}

#[tokio::test]
async fn wrong_logins_are_told_apart_by_nothing() {
    let iam = started().await;
    iam.user("anna").await;
    iam.user("off").await;
    assert_eq!(iam.patch("/users/off", json!({ "active": false })).await.status, 204);
    assert_eq!(iam.put("/users/far@b.c", json!({})).await.status, 201);
    let mut answers = Vec::new();
    for uid in ["anna", "off", "nobody", "far@b.c", "dcos_marathon", "no uid!"] {
        let password = if uid == "off" { "password" } else { "wrong-one" };
        let reply = iam.try_login(json!({ "uid": uid, "password": password })).await;
        reply.refused(401, "ERR_INVALID_CREDENTIALS");
        assert_eq!(reply.header("www-authenticate"), "acsjwt");
        answers.push(reply.body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    for (body, text) in [
        (json!({}), "Exactly one of `token` and `password`"),
        (json!({ "uid": "u", "password": "p", "token": "t" }), "Exactly one of"),
        (json!({ "password": "p" }), "`uid` missing in the request body"),
        (json!({ "uid": "", "password": "p" }), "must not be empty strings"),
        (json!({ "uid": "u", "password": "" }), "must not be empty strings"),
        (json!({ "uid": 5, "password": "p" }), "5 is not of type 'string'"),
    ] {
        let reply = iam.try_login(body).await;
        assert_eq!(reply.status, 400);
        let body = reply.json();
        assert!(body["description"].as_str().unwrap().contains(text), "{body}");
        assert_eq!(body.get("code"), None);
    }
    let remote = iam.try_login(json!({ "token": "x.y.z" })).await;
    assert_eq!(remote.status, 401);
    iam.stopped().await;
}

fn service_key() -> (String, String) {
    let pkcs8 = SigningKey::generate_es256().unwrap();
    (SigningKey::pkcs8_pem(&pkcs8), SigningKey::es256(&pkcs8).unwrap().public().pem())
}

#[tokio::test]
async fn services_log_in_with_what_they_signed() {
    let iam = started().await;
    let (private, public) = service_key();
    assert_eq!(iam.put("/users/svc", json!({ "public_key": public })).await.status, 201);
    let login = |uid: &'static str, token: String, exp: Option<i64>| {
        let mut body = json!({ "uid": uid, "token": token });
        if let Some(exp) = exp {
            body["exp"] = exp.into();
        }
        iam.try_login(body)
    };
    let token = || service_login_token("svc", &private, now()).unwrap();
    let reply = login("svc", token(), None).await;
    assert_eq!(reply.status, 200);
    let given = reply.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(own(&iam, "svc", &given).await, 200);
    let keys = iam.ask(Method::GET, "/auth/jwks").send().await.json();
    let keys = KeySet::from_json(&keys).unwrap();
    let longest = 365 * 86_400;
    for (exp, expected) in [
        (Some(0), now() + longest),
        (Some(now() + 2 * longest), now() + longest),
        (Some(now() + 99), now() + 99),
    ] {
        let reply = login("svc", token(), exp).await;
        let given = reply.json()["token"].as_str().unwrap().to_owned();
        let claims = keys.verify(&given, now()).unwrap();
        assert!(claims.exp.is_some_and(|exp| (expected - 5..expected + 5).contains(&exp)));
    }
    login("svc", token(), Some(now() - 1)).await.refused(400, "ERR_INVALID_DATA");
    let (foreign, other_public) = service_key();
    let wrong = [
        login("svc", service_login_token("svc", &foreign, now()).unwrap(), None).await,
        login("svc", service_login_token("other", &private, now()).unwrap(), None).await,
        login("svc", service_login_token("svc", &private, now() - 3600).unwrap(), None).await,
        login("nobody", service_login_token("nobody", &private, now()).unwrap(), None).await,
        login("admin", service_login_token("admin", &private, now()).unwrap(), None).await,
        login("svc", "nonsense".to_owned(), None).await,
    ];
    for reply in wrong {
        reply.refused(401, "ERR_INVALID_CREDENTIALS");
    }
    // With a new key the old one and all tokens are void.
    let patched = iam.patch("/users/svc", json!({ "public_key": other_public })).await;
    assert_eq!(patched.status, 204);
    assert_eq!(own(&iam, "svc", &given).await, 401);
    assert_eq!(login("svc", token(), None).await.status, 401);
    iam.stopped().await;
}

#[tokio::test]
async fn tokens_die_at_once() {
    let iam = started().await;
    let first = iam.user("anna").await;
    assert_eq!(own(&iam, "anna", &first).await, 200);
    // By a new password,
    assert_eq!(iam.patch("/users/anna", json!({ "password": "password" })).await.status, 204);
    assert_eq!(own(&iam, "anna", &first).await, 401);
    // by hand, also by one's own,
    let second = iam.login("anna", "password").await;
    let revoked = iam.ask(Method::DELETE, "/users/anna/tokens").token(&second).send().await;
    assert_eq!(revoked.status, 204);
    assert_eq!(own(&iam, "anna", &second).await, 401);
    // by being disabled,
    let third = iam.login("anna", "password").await;
    assert_eq!(iam.patch("/users/anna", json!({ "active": false })).await.status, 204);
    assert_eq!(own(&iam, "anna", &third).await, 401);
    assert_eq!(iam.get("/users/anna").await.json()["active"], false);
    assert_eq!(iam.patch("/users/anna", json!({ "active": true })).await.status, 204);
    assert_eq!(own(&iam, "anna", &third).await, 401);
    // by being deleted and made anew, also across a restart.
    let fourth = iam.login("anna", "password").await;
    assert_eq!(iam.delete("/users/anna").await.status, 204);
    assert_eq!(own(&iam, "anna", &fourth).await, 401);
    let fifth = iam.user("anna").await;
    let iam = iam.restarted().await;
    for token in [first, second, third, fourth] {
        assert_eq!(own(&iam, "anna", &token).await, 401);
    }
    assert_eq!(own(&iam, "anna", &fifth).await, 200);
    iam.stopped().await;
}

#[tokio::test]
async fn users_of_the_original_keep_their_passwords() {
    let iam = started().await;
    // sha512_crypt of "Hello world!", from the specification of SHA-crypt.
    let hash = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
    let body = json!({ "password_hash": hash, "description": "Old" });
    assert_eq!(iam.put("/users/old", body).await.status, 201);
    let token = iam.login("old", "Hello world!").await;
    // The better hash voids nothing.
    assert_eq!(own(&iam, "old", &token).await, 200);
    iam.login("old", "Hello world!").await;
    let bad = iam.put("/users/bad", json!({ "password_hash": "$1$x$y" })).await;
    bad.refused(400, "ERR_INVALID_DATA");
    let both = json!({ "password_hash": hash, "password": "password" });
    iam.put("/users/both", both).await.refused(400, "ERR_INVALID_DATA");
    let rehashed = iam.audit().into_iter().filter(|line| line["event"] == "password-rehash");
    let results: Vec<_> = rehashed.map(|line| line["result"].clone()).collect();
    assert_eq!(results, ["begun", "allow"], "once");
    let iam = iam.restarted().await;
    assert_eq!(own(&iam, "old", &token).await, 200);
    iam.stopped().await;
}

#[tokio::test]
async fn keys_change_without_anybody_noticing_and_are_revoked_at_once() {
    let iam = started().await;
    let token = iam.user("anna").await;
    let rotated = iam.ask(Method::POST, "/auth/keys/rotate").admin().send().await;
    assert_eq!(rotated.status, 201);
    let kids = |keys: Value| {
        let keys = keys["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = kids(iam.ask(Method::GET, "/auth/jwks").send().await.json());
    assert_eq!(all.len(), 2);
    assert_eq!(own(&iam, "anna", &token).await, 200);
    let old = all.iter().find(|kid| **kid != rotated.json()["kid"]).unwrap();
    let revoked = iam.delete(&format!("/auth/keys/{old}")).await;
    assert_eq!(revoked.status, 204);
    crate::harness::until("the key is out", async || own(&iam, "anna", &token).await == 401).await;
    iam.login("anna", "password").await;
    iam.stopped().await;
}

#[tokio::test]
async fn what_pages_ask_before_anybody_is_logged_in() {
    let iam = started().await;
    let get = |path: &'static str| iam.ask(Method::GET, path).send();
    let providers = get("/auth/providers").await.json();
    assert_eq!(providers["dcos-users"]["authentication-type"], "dcos-uid-password");
    assert_eq!(providers["dcos-services"]["config"]["start_flow_url"], "/acs/api/v1/auth/login");
    let ui = get("/uiconfig").await.json();
    let cluster = json!({ "firstUser": false, "id": "the-cluster" });
    assert_eq!(ui["clusterConfiguration"], cluster);
    assert_eq!(ui["uiConfiguration"]["plugins"]["mesos"]["logging-strategy"], "logrotate");
    get("/auth/login").await.refused(400, "ERR_MISSING_QUERY_PARAMETERS");
    let ask = iam.ask(Method::GET, "/auth/login?oidc-provider=x'y");
    let reply = ask.header("accept", "text/html, */*").send().await;
    assert_eq!(reply.status, 303);
    assert!(reply.header("location").starts_with("/?iam-error=The%20login%20provider"));
    assert!(get("/ca/dcos-ca.crt").await.body.starts_with(b"-----BEGIN CERTIFICATE-----"));
    assert_eq!(get("/health").await.json(), json!({ "healthy": true }));
    let spec = get("/internal/openapispec.yaml").await;
    assert!(spec.body.starts_with(b"openapi: "));
    iam.stopped().await;
}
