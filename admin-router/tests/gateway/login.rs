//! The login of a browser.

use crate::fakes::Gate;
use crate::wire::{Answer, ask};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const GOOD: &str = "uid=admin&password=pass%3Bword%26&redirect=%2Fmesos%2Fx%3Fa%3Db";

async fn post(gate: &Gate, body: &str) -> Answer {
    let origin = format!("http://{}", gate.address());
    ask(gate.address(), "POST /login", &[FORM, ("Origin", &origin)], body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_and_lands_where_it_was_going() {
    let gate = Gate::plain().await;
    let html = ("Accept", "text/html,application/xhtml+xml");
    let sent = ask(gate.address(), "GET /mesos/x?a=b", &[html], "").await;
    assert_eq!(
        (sent.status, sent.header("location")),
        (302, Some("/login?redirect=/mesos/x%3Fa%3Db"))
    );
    let page = ask(gate.address(), "GET /login?redirect=/mesos/x%3Fa%3Db", &[html], "").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("name=\"redirect\" value=\"/mesos/x?a=b\""), "{}", page.body);
    let provider = "/acs/api/v1/auth/login?oidc-provider=corp&amp;target=/mesos/x%3Fa%3Db";
    assert!(page.body.contains(&format!("<a href=\"{provider}\">Corp &lt;SSO&gt;</a>")));
    let done = post(&gate, GOOD).await;
    assert_eq!((done.status, done.header("location")), (303, Some("/mesos/x?a=b")));
    let cookies = done.all("set-cookie");
    assert_eq!(cookies.len(), 2);
    assert!(cookies[0].contains("HttpOnly"));
    let jar: Vec<_> = cookies.iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    let cookie = jar.join("; ");
    let landed = ask(gate.address(), "GET /mesos/x?a=b", &[("Cookie", &cookie)], "").await;
    assert_eq!(landed.status, 200);
    assert!(landed.body.starts_with("GET /x?a=b HTTP/1.1\r\n"));
    assert!(!landed.body.contains("dcos-acs"), "{}", landed.body);
    let logins = gate.iam.logins.lock().unwrap().join("\n");
    assert!(logins.contains("\"x-forwarded-for\": \"127.0.0.1\""), "{logins}");
    let by_form = logins.lines().find(|login| login.contains("pass;word&")).unwrap();
    assert!(by_form.contains("\"dais-gateway\": \"token="), "{by_form}");
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_login_does_not_tell_what_was_wrong() {
    let gate = Gate::plain().await;
    let unknown = post(&gate, "uid=who&password=x&redirect=/mesos/").await;
    let wrong = post(&gate, "uid=admin&password=x&redirect=/mesos/").await;
    assert_eq!((unknown.status, wrong.status), (401, 401));
    assert_eq!(unknown.body.replace("who", "admin"), wrong.body);
    assert!(wrong.body.contains("User or password is wrong."));
    assert!(wrong.body.contains("name=\"redirect\" value=\"/mesos/\""));
    assert!(wrong.all("set-cookie").is_empty());
    let empty = post(&gate, "uid=admin&password=").await;
    assert_eq!(empty.status, 401);
    let slow = post(&gate, "uid=slow&password=x").await;
    assert_eq!(slow.status, 429);
    let evil = post(&gate, "uid=%22%3E%3Cscript%3E&password=x").await;
    assert!(!evil.body.contains("<script>"));
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_elsewhere_by_a_login() {
    let gate = Gate::plain().await;
    for target in [
        "https://evil.example.com",
        "//evil.example.com",
        "/%5Cevil.example.com",
        "%2F%2Fevil.example.com",
        "/%09/evil.example.com",
        "/%0d%0aLocation:%20https://evil.example.com",
        "javascript:alert(1)",
        "/login",
        "",
    ] {
        let body = format!("uid=admin&password=pass%3Bword%26&redirect={target}");
        let done = post(&gate, &body).await;
        assert_eq!((done.status, done.header("location")), (303, Some("/")), "{target}");
        let page = ask(gate.address(), &format!("GET /login?redirect={target}"), &[], "").await;
        assert!(!page.body.contains("evil"), "{target}: {}", page.body);
    }
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_logged_in_by_another_page() {
    let gate = Gate::plain().await;
    let before = gate.iam.logins.lock().unwrap().len();
    for headers in [
        &[FORM][..],
        &[FORM, ("Origin", "https://evil.example.com")],
        &[FORM, ("Origin", "null")],
        &[FORM, ("Sec-Fetch-Site", "cross-site")],
    ] {
        let answer = ask(gate.address(), "POST /login", headers, GOOD).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    assert_eq!(gate.iam.logins.lock().unwrap().len(), before);
    let origin = format!("http://{}", gate.address());
    let long = format!("{GOOD}&x={}", "x".repeat(20_000));
    let answer = ask(gate.address(), "POST /login", &[FORM, ("Origin", &origin)], &long).await;
    assert_eq!(answer.status, 413);
    gate.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_a_token_to_copy() {
    let gate = Gate::plain().await;
    let page =
        ask(gate.address(), "GET /login?redirect_uri=urn:ietf:wg:oauth:2.0:oob", &[], "").await;
    assert!(page.body.contains("name=\"copy\""), "{}", page.body);
    let done = post(&gate, "uid=admin&password=pass%3Bword%26&copy=1").await;
    assert_eq!(done.status, 200);
    assert!(done.body.contains(">eyJ"), "{}", done.body);
    assert!(done.all("set-cookie").is_empty(), "no session is begun in the browser");
    assert_eq!(done.header("cache-control"), Some("no-store"));
    gate.end().await;
}
