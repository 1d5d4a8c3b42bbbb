//! A login at a provider that others wrote: `oidc-provider-mock` of PyPI. `cargo xtask test e2e`
//! installs it and names it in the environment; without it the test says that it did nothing.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;

use crate::harness::{started, until};

const PROGRAM: &str = "DAIS_OIDC_PROVIDER";
const USER: &str = r#"{"sub": "ann", "email": "ann@example.com", "email_verified": true}"#;

struct Provider(Child);

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_provider_that_others_wrote() {
    let Some(program) = std::env::var_os(PROGRAM) else {
        eprintln!("{PROGRAM} names no provider: this was NOT tested");
        return;
    };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port_text = port.to_string();
    let arguments = ["--port", &port_text, "--require-nonce", "true", "--user-claims", USER];
    let provider = Command::new(program).args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let _provider = Provider(provider);
    let iam = started().await;
    let issuer = format!("http://127.0.0.1:{port}");
    let there = Request::builder().uri(format!("{issuer}/.well-known/openid-configuration"));
    let there = there.body(Full::default()).unwrap();
    until("the provider answers", async || iam.client.fetch(there.clone()).await.is_ok()).await;
    let config = json!({
        "issuer": issuer,
        "base_url": format!("http://{}", iam.address()),
        "client_id": "dcos",
        "client_secret": "secret",
        "auto_create_users": true,
    });
    assert_eq!(iam.put("/auth/oidc/providers/theirs", config).await.status, 201);
    let start = "/auth/login?oidc-provider=theirs&target=%2Fservice%2Fx%2F";
    let start = iam.ask(Method::GET, start).send().await;
    assert_eq!(start.status, 302, "{start:?}");
    let cookie = start.header("set-cookie").split(';').next().unwrap().to_owned();
    // The person presses the button of the provider's form.
    let form = Request::builder()
        .method(Method::POST)
        .uri(start.header("location"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from("sub=ann"))
        .unwrap();
    let pressed = iam.client.fetch(form).await.unwrap();
    assert_eq!(pressed.status(), 302, "{pressed:?}");
    let back = pressed.headers()["location"].to_str().unwrap();
    let path = back.split_once("/acs/api/v1").unwrap().1;
    let done = iam.ask(Method::GET, path).header("cookie", &cookie).send().await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/service/x/"), "{done:?}");
    let user = iam.get("/users/ann@example.com").await.json();
    assert_eq!((&user["provider_type"], &user["provider_id"]), (&json!("oidc"), &json!("theirs")));
    iam.stopped().await;
}
