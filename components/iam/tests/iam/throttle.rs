//! Failed logins slow each other down.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use iam::throttle::Limits;
use identity::{SigningKey, service_login_token};
use serde_json::json;

use crate::harness::{Iam, Reply, started_with};

async fn guess(iam: &Iam, uid: &str, from: &str) -> Reply {
    let ask =
        iam.ask(Method::POST, "/auth/login").through_gateway().header("x-forwarded-for", from);
    ask.json(json!({ "uid": uid, "password": "a guess" })).send().await
}

#[tokio::test]
async fn guessing_is_refused_whether_the_user_exists_or_not() {
    let limits = Limits { free_of_user: 3, patience: Duration::ZERO, ..Limits::default() };
    let iam = started_with(|config| {
        config.login_limits = Limits { first_wait: Duration::from_secs(20), ..limits };
    })
    .await;
    iam.user("anna").await;
    let mut refusals = Vec::new();
    for uid in ["anna", "nobody"] {
        // The test's own login made 127.0.0.1 known, so guesses come from elsewhere.
        for n in 0..3 {
            let reply = guess(&iam, uid, &format!("10.0.0.{n}")).await;
            reply.refused(401, "ERR_INVALID_CREDENTIALS");
        }
        let refused = guess(&iam, uid, "10.0.0.9").await;
        refused.refused(429, "ERR_TOO_MANY_LOGINS");
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=20).contains(&seconds));
        refusals.push(refused.body);
        // Also the right password waits, from where nobody logged in before.
        let right = iam
            .ask(Method::POST, "/auth/login")
            .through_gateway()
            .header("x-forwarded-for", "10.0.0.8");
        let right = right.json(json!({ "uid": uid, "password": "password" })).send().await;
        assert_eq!(right.status, 429);
    }
    assert_eq!(refusals[0], refusals[1]);
    // Where the user is known, guesses elsewhere do not matter.
    iam.login("anna", "password").await;
    let denied = iam.audit().into_iter().filter(|line| line["event"] == "login-password");
    let denied: Vec<_> = denied.filter(|line| line["result"] == "deny").collect();
    assert_eq!(denied.len(), 10);
    assert_eq!(denied[3]["reason"], "too many failed logins");
    iam.stopped().await;
}

#[tokio::test]
async fn short_waits_are_sat_out() {
    let iam = started_with(|config| {
        config.login_limits = Limits {
            free_of_user: 1,
            first_wait: Duration::from_millis(1),
            longest_of_user: Duration::from_millis(5),
            ..Limits::default()
        };
    })
    .await;
    iam.user("anna").await;
    for _ in 0..6 {
        guess(&iam, "anna", "10.0.0.1").await.refused(401, "ERR_INVALID_CREDENTIALS");
    }
    let ask = iam
        .ask(Method::POST, "/auth/login")
        .through_gateway()
        .header("x-forwarded-for", "10.0.0.1");
    let right = ask.json(json!({ "uid": "anna", "password": "password" })).send().await;
    assert_eq!(right.status, 200);
    iam.stopped().await;
}

#[tokio::test]
async fn nobody_locks_a_service_out() {
    let pkcs8 = SigningKey::generate_es256().unwrap();
    let (private, key) = (SigningKey::pkcs8_pem(&pkcs8), SigningKey::es256(&pkcs8).unwrap());
    let iam = started_with(|config| {
        config.login_limits = Limits { free_of_user: 2, ..Limits::default() };
        config.login_limits.patience = Duration::ZERO;
    })
    .await;
    let made = iam.put("/users/svc", json!({ "public_key": key.public().pem() })).await;
    assert_eq!(made.status, 201);
    let login = |token: String| iam.try_login(json!({ "uid": "svc", "token": token }));
    let wrong = async || login("a.b.c".to_owned()).await.status.as_u16();
    assert_eq!([wrong().await, wrong().await, wrong().await], [401, 401, 429]);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(since.as_secs()).unwrap();
    let token = service_login_token("svc", &private, now).unwrap();
    assert_eq!(login(token).await.status, 200);
    iam.stopped().await;
}
