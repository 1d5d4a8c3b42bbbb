//! Logging in: each way, what is asked, what is kept, and what is never sent elsewhere.

use crate::support::{AUTHORITY, Outcome, Scripted, run};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const GUARDED: &str = "HEAD /pkgpanda/active.buildinfo.full.json";
const LOGIN: &str = "POST /acs/api/v1/auth/login";
const PROVIDERS: &str = "GET /acs/api/v1/auth/providers";
/// openssl x509 -in authority.pem -noout -fingerprint -sha256
const FINGERPRINT: &str = include_str!("keys/authority.fingerprint");

fn providers() -> Value {
    let local = |kind: &str, method: &str| {
        json!({
            "authentication-type": kind,
            "client-method": method,
            "config": {"start_flow_url": "/acs/api/v1/auth/login"},
            "description": "Default DC/OS login provider",
        })
    };
    json!({
        "dcos-users": local("dcos-uid-password", "dcos-usercredential-post-receive-authtoken"),
        "dcos-services":
            local("dcos-uid-servicekey", "dcos-servicecredential-post-receive-authtoken"),
    })
}

fn gateway(cluster: &Scripted) {
    cluster.on("HEAD /", 200, "").on("GET /state-summary", 404, "");
    cluster.on_with(GUARDED, 401, "WWW-Authenticate: acsjwt", "");
    cluster.on(PROVIDERS, 200, providers());
    cluster.on("GET /metadata", 200, r#"{"CLUSTER_ID":"gate-1"}"#);
    cluster.on("GET /mesos/state-summary", 200, r#"{"cluster":"prod","slaves":[]}"#);
    cluster.on("GET /service/marathon/v2/apps", 200, r#"{"apps":[]}"#);
    cluster.on(LOGIN, 200, r#"{"token":"the-token"}"#);
}

/// Runs a command with a configuration of its own.
fn with_config(cluster: &Scripted, words: &str, input: &str, more: &[(&str, &str)]) -> Outcome {
    let home = cluster.folder().join("home");
    std::fs::create_dir_all(&home).unwrap();
    let home = [("HOME", home.to_str().unwrap())];
    run(words, input, &[&home[..], more].concat())
}

fn kept(cluster: &Scripted) -> String {
    let path = cluster.folder().join("home/.dais/clusters/gate-1/dcos.toml");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_setup_logs_in_and_everything_after_it_has_the_token() {
    let cluster = Scripted::start();
    gateway(&cluster);
    let password = cluster.secret_file("password", "geheim\n");
    let words =
        format!("cluster setup {} --username=ada --password-file={password}", cluster.url());
    let outcome = with_config(&cluster, &words, "", &[]);
    assert!(!format!("{outcome:?}").contains("geheim"));
    outcome.ok();
    assert_eq!(cluster.sent(LOGIN), json!({"uid": "ada", "password": "geheim"}));
    let config = kept(&cluster);
    assert!(config.contains("the-token") && config.contains("name = \"prod\""), "{config}");
    with_config(&cluster, "marathon app list --json", "", &[]).ok();
    for seen in cluster.seen() {
        let told = seen.headers.get("authorization").map(String::as_str);
        let expected = match seen.line.as_str() {
            "GET /metadata" | "GET /mesos/state-summary" | "GET /service/marathon/v2/apps" => {
                Some("token=the-token")
            }
            _ => None,
        };
        assert_eq!(told, expected, "{}", seen.line);
    }
}

#[test]
fn a_login_asks_for_what_is_not_given_and_again_after_a_mistake() {
    let cluster = Scripted::start();
    gateway(&cluster);
    cluster.instead(
        LOGIN,
        401,
        r#"{"title":"401 Unauthorized","description":"Invalid credentials.","code":"x"}"#,
    );
    let words = format!("cluster setup {}", cluster.url());
    let outcome = with_config(&cluster, &words, "ada\nwrong\nada\nworse\nada\nworst\n", &[]);
    let err = outcome.failed(1);
    assert_eq!(err.matches("Username: Password: ").count(), 3, "{err}");
    assert_eq!(err.matches("Invalid credentials.").count(), 3, "{err}");
    assert!(!err.contains("auth login"), "{err}");
    cluster.instead(LOGIN, 200, r#"{"token":"t-2"}"#);
    with_config(&cluster, &words, "ada\nright\n", &[]).ok();
    let last = cluster.seen().into_iter().rfind(|seen| seen.line == LOGIN).unwrap();
    assert!(last.body.contains("right"), "{last:?}");
    // Later, to the cluster that is attached; credentials may stand in the environment.
    cluster.instead(LOGIN, 200, r#"{"token":"t-3"}"#);
    let credentials = [("DCOS_USERNAME", "eve"), ("DCOS_PASSWORD", "pw")];
    let outcome = with_config(&cluster, "auth login -vv", "", &credentials);
    assert!(outcome.err.contains(&format!("Logged in to {}", cluster.url())), "{outcome:?}");
    assert!(kept(&cluster).contains("t-3"));
    with_config(&cluster, "auth logout", "", &[]).ok();
    assert!(!kept(&cluster).contains("t-3"));
    cluster.instead("GET /service/marathon/v2/apps", 401, "<html>");
    let err = with_config(&cluster, "marathon app list --json", "", &[]).failed(1);
    assert!(err.contains("`dais auth login` logs in"), "{err}");
}

#[test]
fn a_service_logs_in_with_its_key() {
    let cluster = Scripted::start();
    gateway(&cluster);
    let folder = cluster.folder().to_str().unwrap();
    for (kind, name) in [("ec", "a"), ("rsa", "b")] {
        let words = format!(
            "security account keypair {folder}/{name}.pem {folder}/{name}.pub.pem -t {kind}"
        );
        with_config(&cluster, &words, "", &[]).ok();
        let private = cluster.folder().join(format!("{name}.pem"));
        assert_eq!(std::fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
        let err = with_config(&cluster, &words, "", &[]).failed(1);
        assert!(err.contains("not overwritten"), "{err}");
        let words = format!(
            "cluster setup {} --username=svc --service-account {}",
            cluster.url(),
            private.display()
        );
        // A password in the environment is somebody else's.
        with_config(&cluster, &words, "", &[("DCOS_PASSWORD", "x")]).ok();
        let last = cluster.seen().into_iter().rfind(|seen| seen.line == LOGIN);
        let sent: Value = serde_json::from_str(&last.unwrap().body).unwrap();
        let public = std::fs::read_to_string(cluster.folder().join(format!("{name}.pub.pem")));
        let public = identity::PublicKey::from_pem(&public.unwrap()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        let token = sent["token"].as_str().unwrap();
        assert_eq!(sent["uid"], "svc");
        let claims = identity::verify_service_login(token, "svc", &public, now).unwrap();
        assert!(claims.exp.unwrap() <= now + 300);
    }
    let open = cluster.file("open.pem", "x");
    let words = format!("cluster setup {} --private-key={open} --username=a", cluster.url());
    let err = with_config(&cluster, &words, "", &[]).failed(1);
    assert!(err.contains("too open"), "{err}");
}

#[test]
fn credentials_go_to_the_cluster_and_nowhere_else() {
    let (cluster, other) = (Scripted::start(), Scripted::start());
    gateway(&cluster);
    let words = format!("cluster setup {} --username=a --password=geheim", cluster.url());
    // The list of providers names another server.
    let mut elsewhere = providers();
    elsewhere["dcos-users"]["config"]["start_flow_url"] = format!("{}/x", other.url()).into();
    cluster.instead(PROVIDERS, 200, elsewhere);
    let err = with_config(&cluster, &words, "", &[]).failed(1);
    assert!(err.contains("is elsewhere") && !err.contains("geheim"), "{err}");
    // The answer to the login points there.
    cluster.instead(PROVIDERS, 200, providers());
    cluster.script_redirect(LOGIN, &format!("{}/x", other.url()));
    with_config(&cluster, &words, "", &[]).failed(1);
    assert!(other.lines().is_empty(), "{:?}", other.lines());
    // The front page is on another host.
    let again = Scripted::start();
    again.on_with("HEAD /", 302, "Location: http://localhost:1/", "");
    let err = with_config(&again, &format!("cluster setup {}", again.url()), "", &[]).failed(1);
    assert!(err.contains("points to http://localhost:1/"), "{err}");
}

#[test]
fn a_setup_continues_where_the_front_page_is() {
    let (plain, tls) = (Scripted::start(), Scripted::start_tls());
    gateway(&tls);
    plain.on_with("HEAD /", 301, &format!("Location: {}/", tls.url()), "");
    plain.on("GET /ca/dcos-ca.crt", 200, AUTHORITY);
    let words = format!("cluster setup {} --username=a --password=b", plain.url());
    let outcome = with_config(&tls, &words, "yes\n", &[]);
    assert!(outcome.err.contains(&format!("Continuing cluster setup with: {}", tls.url())));
    assert!(outcome.err.contains(FINGERPRINT.trim()), "{outcome:?}");
    outcome.ok();
    assert!(kept(&tls).contains(&tls.url()));
}

#[test]
fn an_unknown_authority_is_shown_confirmed_and_kept() {
    let cluster = Scripted::start_tls();
    gateway(&cluster);
    cluster.on("GET /ca/dcos-ca.crt", 200, AUTHORITY);
    let words = format!("cluster setup {} --username=a --password=geheim", cluster.url());
    for input in ["", "no\n", "\n\n\nyes\n"] {
        let err = with_config(&cluster, &words, input, &[]).failed(1);
        assert!(err.contains(FINGERPRINT.trim()) && err.contains("is not trusted"), "{err}");
    }
    let before: Vec<String> = cluster.lines();
    assert!(before.iter().all(|line| line == "GET /ca/dcos-ca.crt"), "{before:?}");
    with_config(&cluster, &words, "y\n", &[]).ok();
    assert!(kept(&cluster).contains("gate-1/dcos_ca.crt"), "{}", kept(&cluster));
    let authority = cluster.folder().join("home/.dais/clusters/gate-1/dcos_ca.crt");
    assert_eq!(std::fs::read_to_string(authority).unwrap(), AUTHORITY);
    // From now on it is trusted without being asked for.
    with_config(&cluster, "marathon app list --json", "", &[]).ok();
    assert_eq!(cluster.lines().iter().filter(|line| line.contains("/ca/")).count(), 4);
}

#[test]
fn trust_can_be_given_or_waived_by_flags() {
    for (flag, asks, verifies) in [
        ("--no-check", 1, "dcos_ca.crt"),
        ("--ca-certs=FILE", 0, "dcos_ca.crt"),
        ("--insecure", 0, "false"),
    ] {
        let cluster = Scripted::start_tls();
        gateway(&cluster);
        cluster.on("GET /ca/dcos-ca.crt", 200, AUTHORITY);
        let flag = flag.replace("FILE", &cluster.file("given.pem", AUTHORITY));
        let words = format!("cluster setup {} --username=a --password=b {flag}", cluster.url());
        with_config(&cluster, &words, "", &[]).ok();
        let asked = cluster.lines().iter().filter(|line| line.contains("/ca/")).count();
        assert_eq!(asked, asks, "{flag}");
        let config = kept(&cluster);
        assert!(
            config.lines().any(|l| l.starts_with("ssl_verify") && l.contains(verifies)),
            "{config}"
        );
        with_config(&cluster, "marathon app list --json", "", &[]).ok();
    }
}

#[test]
fn a_cluster_that_asks_nobody_is_set_up_without_a_login() {
    let cluster = Scripted::start();
    gateway(&cluster);
    cluster.instead(GUARDED, 200, "");
    let outcome = with_config(&cluster, &format!("cluster setup {}", cluster.url()), "", &[]);
    assert!(outcome.err.contains("Skipping login"), "{outcome:?}");
    outcome.ok();
    assert!(!kept(&cluster).contains("acs_token"));
}

#[test]
fn a_token_of_the_environment_spares_the_login() {
    let cluster = Scripted::start();
    gateway(&cluster);
    let words = format!("cluster setup {}", cluster.url());
    with_config(&cluster, &words, "", &[("DCOS_CLUSTER_SETUP_ACS_TOKEN", "given")]).ok();
    assert!(kept(&cluster).contains("given"));
    assert!(!cluster.lines().contains(&LOGIN.to_owned()));
}

#[test]
fn providers_are_listed() {
    let cluster = Scripted::start();
    gateway(&cluster);
    let words = format!("auth list-providers {}", cluster.url());
    let out = with_config(&cluster, &words, "", &[]).ok();
    let expected = "  PROVIDER ID    LOGIN METHOD\n  \
        dcos-services  Log in using a service user account (username and private key)\n  \
        dcos-users     Log in using a standard user account (username and password)\n";
    assert_eq!(out, expected);
    assert_eq!(with_config(&cluster, &format!("{words} --json"), "", &[]).json(), providers());
    // Older clusters say it in a header.
    cluster.instead(PROVIDERS, 404, "");
    cluster.remove(GUARDED);
    cluster.on_with(GUARDED, 401, "WWW-Authenticate: oauthjwt", "");
    let out = with_config(&cluster, &words, "", &[]).ok();
    assert!(out.contains("dcos-oidc-auth0  Log in using OpenID Connect (Google"), "{out}");
}

fn with_oidc(cluster: &Scripted, flow: &str) {
    let mut all = providers();
    all["ours"] = json!({
        "authentication-type": "oidc-authorization-code-flow",
        "client-method": "browser-prompt-authtoken",
        "config": {"start_flow_url": "/acs/api/v1/auth/login?oidc-provider=ours&target=x",
                   "cli_flow": flow},
        "description": "Ours",
    });
    cluster.instead(PROVIDERS, 200, all);
}

#[test]
fn a_token_can_be_copied_from_the_browser() {
    let cluster = Scripted::start();
    gateway(&cluster);
    with_oidc(&cluster, "");
    // Is there a login, is the first token any good, is the second.
    cluster.remove(GUARDED);
    cluster.on_with(GUARDED, 401, "WWW-Authenticate: acsjwt", "");
    cluster.on(GUARDED, 401, "").on(GUARDED, 503, "");
    let words = format!("cluster setup {}", cluster.url());
    let outcome = with_config(&cluster, &words, "2\nbad\ngood\n", &[]);
    let place = format!("{}/acs/api/v1/auth/login?oidc-provider=ours&target=x", cluster.url());
    assert!(outcome.err.contains(&place), "{outcome:?}");
    assert!(outcome.err.contains("(1) Log in using a standard user"), "{outcome:?}");
    assert!(outcome.err.contains("invalid auth token"), "{outcome:?}");
    outcome.ok();
    assert!(kept(&cluster).contains("good"));
}

#[test]
fn the_clusters_own_page_can_be_used() {
    let cluster = Scripted::start();
    gateway(&cluster);
    cluster.remove(GUARDED);
    cluster.on_with(GUARDED, 401, "WWW-Authenticate: acsjwt", "").on(GUARDED, 200, "");
    let words = format!("cluster setup {} --browser", cluster.url());
    let outcome = with_config(&cluster, &words, "copied\n", &[]);
    let place = format!("{}/login?redirect_uri=urn:ietf:wg:oauth:2.0:oob", cluster.url());
    assert!(outcome.err.contains(&place), "{outcome:?}");
    outcome.ok();
    assert!(kept(&cluster).contains("copied"));
    with_config(&cluster, &format!("{words} --username=a"), "", &[]).failed(2);
}

#[test]
fn a_page_hands_its_token_over_on_loopback() {
    let cluster = Scripted::start();
    gateway(&cluster);
    with_oidc(&cluster, "v1");
    cluster.remove(GUARDED);
    cluster.on_with(GUARDED, 401, "WWW-Authenticate: acsjwt", "").on(GUARDED, 200, "");
    // A browser that does what the page would: it posts a token to where it is told.
    let script = r#"#!/bin/bash
        port=${1##*localhost%3A}
        csrf=${1#*dcos_cli_csrf_token=}
        post() {
            exec 3<>"/dev/tcp/127.0.0.1/$port"
            head='POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n'
            printf "${head}Content-Length: %d\r\n\r\n%s" "${#1}" "$1" >&3
            cat <&3 >/dev/null
        }
        post "token=evil&csrf=wrong"
        post "token=handed-over&csrf=${csrf%%&*}"
    "#;
    let browser = cluster.file("browser", script);
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();
    let words = format!("cluster setup {} --provider=ours", cluster.url());
    with_config(&cluster, &words, "", &[("BROWSER", &browser)]).ok();
    assert!(kept(&cluster).contains("handed-over"));
}

/// The cluster of `dais up` on this machine, with a gateway.
#[test]
fn the_cluster_of_this_machine_is_logged_in_to_as_its_administrator() {
    let cluster = Scripted::start_tls();
    gateway(&cluster);
    cluster.secret_file("admin-password", "generated");
    cluster.file("ca.crt", AUTHORITY);
    let direct = Scripted::start();
    direct.on("GET /v2/apps", 200, r#"{"apps":[]}"#);
    let endpoints = json!({
        "mesos_master": direct.address(),
        "marathon": direct.url(),
        "cosmos": direct.url(),
        "gateway": cluster.url(),
        "admin_user": "admin",
        "admin_password_file": cluster.folder().join("admin-password"),
        "ca_file": cluster.folder().join("ca.crt"),
    });
    cluster.file("endpoints.json", endpoints);
    let here = [("DAIS_DATA_DIR", cluster.folder().to_str().unwrap())];
    let run = |words: &str| with_config(&cluster, words, "", &here);
    run("marathon app list --json").ok();
    assert_eq!(direct.lines(), ["GET /v2/apps"], "nobody is logged in: directly");
    assert!(run("auth list-providers").ok().contains("dcos-users"));
    let outcome = run("auth login");
    assert!(!format!("{outcome:?}").contains("generated"));
    outcome.ok();
    assert_eq!(cluster.sent(LOGIN), json!({"uid": "admin", "password": "generated"}));
    assert!(!cluster.lines().iter().any(|line| line.contains("/ca/")), "its file has it");
    run("marathon app list --json").ok();
    assert_eq!(direct.lines().len(), 1, "through the gateway now");
    let last = cluster.seen().pop().unwrap();
    assert_eq!(last.line, "GET /service/marathon/v2/apps");
    assert_eq!(last.headers["authorization"], "token=the-token");
    // Again, as somebody else.
    run("auth login --username=eve --password=pw").ok();
    let last = cluster.seen().into_iter().rfind(|seen| seen.line == LOGIN);
    assert!(last.unwrap().body.contains("eve"));
    run("auth logout").ok();
    run("marathon app list --json").ok();
    assert_eq!(direct.lines().len(), 2);
}
