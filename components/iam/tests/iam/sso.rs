//! Logins at a provider, over HTTP, as a browser and a program see them.

#[allow(dead_code, reason = "what lies is told by other tests")]
#[path = "../../src/oidc/tests/provider.rs"]
mod provider;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Method;
use serde_json::json;

use self::provider::{Behaviour, Idp};
use crate::harness::{Iam, Reply, started, started_with};

const BROWSER: &str = "text/html,application/xhtml+xml";

async fn with_provider(auto_create_users: bool) -> (Iam, Idp) {
    provided(started().await, auto_create_users).await
}

async fn provided(iam: Iam, auto_create_users: bool) -> (Iam, Idp) {
    let base = format!("http://{}", iam.address());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let back = format!("{base}/acs/api/v1/auth/oidc/callback");
    let idp = Idp::start(back, i64::try_from(now).unwrap()).await;
    let config = json!({
        "description": "Ours",
        "issuer": idp.issuer(),
        "base_url": base,
        "client_id": provider::CLIENT,
        "client_secret": provider::SECRET,
        "auto_create_users": auto_create_users,
        "id_token_login": true,
    });
    assert_eq!(iam.put("/auth/oidc/providers/ours", config).await.status, 201);
    (iam, idp)
}

async fn browse(iam: &Iam, path: &str, cookie: &str) -> Reply {
    let ask = iam.ask(Method::GET, path).header("accept", BROWSER);
    if cookie.is_empty() { ask.send().await } else { ask.header("cookie", cookie).send().await }
}

fn cookies(reply: &Reply) -> Vec<String> {
    let values = reply.headers.get_all("set-cookie").iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// From the start to the return.
async fn log_in(iam: &Iam, idp: &Idp, target: &str) -> Reply {
    let start =
        format!("/auth/login?oidc-provider=ours&target={}", http_kit::query::encode(target));
    let start = browse(iam, &start, "").await;
    assert_eq!(start.status, 302, "{start:?}");
    assert_eq!(start.header("cache-control"), "no-store");
    let cookie = start.header("set-cookie").split(';').next().unwrap().to_owned();
    let query = idp.browse(start.header("location")).await;
    browse(iam, &format!("/auth/oidc/callback?{query}"), &format!("a=b; {cookie}")).await
}

#[tokio::test]
async fn a_browser_comes_back_logged_in_where_it_was_going() {
    let (iam, idp) = with_provider(true).await;
    let back = log_in(&iam, &idp, "/service/x/?a=b").await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, "/service/x/?a=b"));
    let cookies = cookies(&back);
    let token = cookies[0].strip_prefix("dcos-acs-auth-cookie=").unwrap();
    let token = token.split(';').next().unwrap().to_owned();
    assert!(cookies[0].contains("HttpOnly"));
    assert!(cookies[2].starts_with("dcos-oidc-flow=; "), "the login is over: {cookies:?}");
    let own = iam.ask(Method::GET, "/users/ann@example.com").token(&token).send().await.json();
    assert_eq!((&own["provider_type"], &own["provider_id"]), (&json!("oidc"), &json!("ours")));
    let refused = iam.ask(Method::GET, "/users").token(&token).send().await;
    assert_eq!(refused.status, 403, "a new user may do nothing");
    let audit = iam.audit();
    let events: Vec<_> = audit.iter().filter_map(|line| line["event"].as_str()).collect();
    assert!(events.contains(&"provider-create") && events.contains(&"login-oidc"), "{events:?}");
    let results = audit.iter().filter(|line| line["event"] == "user-create");
    let results: Vec<_> = results.filter_map(|line| line["result"].as_str()).collect();
    assert_eq!(results, ["begun", "allow"], "the user was made by the login");
    assert!(!format!("{audit:?}").contains(provider::SECRET));
    iam.stopped().await;
}

#[tokio::test]
async fn a_program_gets_the_token_and_the_browser_no_session() {
    let (iam, idp) = with_provider(true).await;
    let page = log_in(&iam, &idp, "dcos:authenticationresponse:html").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(cookies(&page).iter().all(|cookie| cookie.starts_with("dcos-oidc-flow=; ")));
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    let token = text.split('>').find(|part| part.starts_with("eyJ")).unwrap();
    let token = token.split('<').next().unwrap();
    let own = iam.ask(Method::GET, "/users/ann@example.com").token(token).send().await;
    assert_eq!(own.status, 200);
    iam.stopped().await;
}

#[tokio::test]
async fn what_fails_is_told_to_browsers_and_programs_and_the_log() {
    let (iam, idp) = with_provider(false).await;
    let unknown = log_in(&iam, &idp, "/").await;
    assert_eq!(unknown.status, 303);
    assert_eq!(
        unknown.header("location"),
        "/?iam-error=ID%20Token%20login%20failed%3A%20user%20unknown"
    );
    assert!(cookies(&unknown).iter().all(|cookie| cookie.starts_with("dcos-oidc-flow=; ")));
    idp.behave(Behaviour::Claim("aud", json!("other")));
    assert!(log_in(&iam, &idp, "/").await.header("location").contains("audience"));
    let plain = iam.ask(Method::GET, "/auth/oidc/callback?code=x&state=y").send().await;
    assert_eq!((plain.status.as_u16(), plain.header("www-authenticate")), (401, "acsjwt"));
    let elsewhere = "/auth/login?oidc-provider=ours&target=https%3A%2F%2Fevil.example";
    iam.ask(Method::GET, elsewhere).send().await.refused(400, "ERR_INVALID_TARGET");
    let denied = iam.audit().into_iter().filter(|line| line["event"] == "login-oidc");
    assert_eq!(denied.filter(|line| line["result"] == "deny").count(), 4);
    iam.stopped().await;
}

#[tokio::test]
async fn codes_and_id_tokens_that_are_made_up_are_slowed_down() {
    let iam = started_with(|config| {
        config.login_limits.free_of_source = 3;
        config.login_limits.patience = Duration::ZERO;
    })
    .await;
    let (iam, idp) = provided(iam, true).await;
    let start = browse(&iam, "/auth/login?oidc-provider=ours", "").await;
    let cookie = start.header("set-cookie").split(';').next().unwrap().to_owned();
    let query = idp.browse(start.header("location")).await;
    let state = http_kit::Params::parse(&query).get("state").unwrap().to_owned();
    let made_up = format!("/auth/oidc/callback?code=made-up&state={state}");
    let guess = async || {
        let ask = iam.ask(Method::GET, &made_up).header("cookie", &cookie);
        ask.send().await.status.as_u16()
    };
    // What is no login of ours costs nothing, and counts for nothing.
    for _ in 0..5 {
        let plain = iam.ask(Method::GET, "/auth/oidc/callback?code=x&state=y").send().await;
        assert_eq!(plain.status, 401);
    }
    // Those that are right are taken back.
    assert_eq!(log_in(&iam, &idp, "/").await.status, 303);
    assert_eq!(idp.exchanges(), 1);
    assert_eq!([guess().await, guess().await], [503, 503]);
    let token = idp.token(json!({ "aud": "other" }));
    let wrong = async || iam.try_login(json!({ "token": token })).await.status.as_u16();
    assert_eq!([wrong().await, wrong().await, guess().await], [401, 429, 429]);
    assert_eq!(idp.exchanges(), 3);
    let browser = browse(&iam, &made_up, &cookie).await;
    assert_eq!(browser.status, 303);
    assert!(browser.header("location").starts_with("/?iam-error=Too%20many"), "{browser:?}");
    // Passwords are another matter.
    let password = std::fs::read_to_string(&iam.running.admin_password_file).unwrap();
    iam.login("admin", password.trim()).await;
    iam.stopped().await;
}

#[tokio::test]
async fn providers_are_superusers_matter() {
    let (iam, idp) = with_provider(true).await;
    let ways = iam.ask(Method::GET, "/auth/providers").send().await.json();
    assert_eq!(ways["ours"]["authentication-type"], "oidc-authorization-code-flow");
    let path = "/auth/oidc/providers/ours";
    let user = iam.user("bob").await;
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let asked = iam.ask(method.clone(), path).token(&user).json(json!({})).send().await;
        assert_eq!(asked.status, 403, "{method}");
    }
    let shown = iam.get(path).await.json();
    assert_eq!(shown["issuer"], idp.issuer());
    assert!(shown.get("client_secret").is_none());
    let changed = iam.patch(path, json!({"description": "Theirs"})).await;
    assert_eq!(changed.status, 204);
    assert_eq!(iam.get("/auth/oidc/providers").await.json(), json!({"ours": "Theirs"}));
    let iam = iam.restarted().await;
    assert_eq!(iam.get(path).await.json()["description"], "Theirs");
    assert_eq!(iam.delete(path).await.status, 204);
    iam.get(path).await.refused(400, "ERR_UNKNOWN_PROVIDER_ID");
    iam.stopped().await;
}

#[tokio::test]
async fn the_clusters_own_address_need_not_be_repeated() {
    let url = "https://cluster.example.com";
    let iam = started_with(|config| config.public_url = Some(url.to_owned())).await;
    let config = json!({"issuer": "https://idp.example.com", "client_id": "dcos"});
    assert_eq!(iam.put("/auth/oidc/providers/ours", config).await.status, 201);
    assert_eq!(iam.get("/auth/oidc/providers/ours").await.json()["base_url"], url);
    iam.stopped().await;
}
