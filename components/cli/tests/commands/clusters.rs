//! `dais cluster`, `config` and `auth`, and how a cluster is found.

use crate::support::{Outcome, Scripted, run};
use serde_json::json;
use std::net::TcpListener;

/// Runs a command with a configuration of its own and no cluster but those in it.
fn with_config(cluster: &Scripted, words: &str) -> Outcome {
    let home = cluster.folder().join("home");
    std::fs::create_dir_all(&home).unwrap();
    run(words, "", &[("HOME", home.to_str().unwrap())])
}

fn master(cluster: &Scripted) {
    cluster.on("GET /state-summary", 200, json!({"cluster": "lab", "slaves": []}));
    let frameworks =
        json!([{"name": "marathon", "webui_url": format!("http://{}", cluster.address())}]);
    cluster.on("GET /state", 200, json!({"id": "id-1", "frameworks": frameworks}));
    cluster.on("GET /version", 200, r#"{"version":"1.11.0"}"#);
    cluster.on("GET /ping", 200, "pong");
}

#[test]
fn a_cluster_without_a_gateway_is_set_up_from_its_master() {
    let cluster = Scripted::start();
    master(&cluster);
    let url = format!("http://{}", cluster.address());
    let outcome = with_config(&cluster, &format!("cluster setup {url}"));
    assert_eq!(outcome.err, format!("The cluster \"lab\" at {url} is set up and attached.\n"));
    let shown = with_config(&cluster, "config show").ok();
    assert!(shown.contains(&format!("core.mesos_master_url {url}\n")), "{shown}");
    assert!(shown.contains(&format!("marathon.url {url}\n")), "{shown}");
    let out = with_config(&cluster, "cluster list").ok();
    let words: Vec<&str> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words, ["*", "lab", "id-1", "AVAILABLE", "1.11.0", &url]);
    let listed = with_config(&cluster, "cluster list --json --attached").json();
    assert_eq!(listed[0]["cluster_id"], "id-1");
    // From now on commands go there.
    assert!(with_config(&cluster, "marathon ping").ok().contains("pong"));
    with_config(&cluster, "cluster rename lab mine").ok();
    assert_eq!(with_config(&cluster, "config show cluster.name").ok(), "mine\n");
    with_config(&cluster, "cluster remove mine").ok();
    let err = with_config(&cluster, "cluster list --attached").failed(1);
    assert!(err.contains("no cluster is attached"), "{err}");
}

#[test]
fn a_gateway_is_recognised_by_its_metadata() {
    let cluster = Scripted::start();
    cluster.on("GET /state-summary", 404, "").on("GET /v2/info", 404, "");
    cluster.on("HEAD /", 404, "");
    cluster.on("GET /metadata", 200, r#"{"CLUSTER_ID":"gate-1"}"#);
    cluster.on("GET /mesos/state-summary", 200, r#"{"cluster":"prod","slaves":[]}"#);
    cluster.on("GET /service/marathon/v2/apps", 200, r#"{"apps":[]}"#);
    cluster.on("POST /cosmos/service/update", 200, "{}");
    let url = format!("http://{}", cluster.address());
    with_config(&cluster, &format!("cluster setup {url} --name=p")).ok();
    with_config(&cluster, "config set core.dcos_acs_token secret").ok();
    with_config(&cluster, "marathon app list --json").ok();
    let seen = cluster.seen();
    assert_eq!(seen.last().unwrap().headers["authorization"], "token=secret");
    assert!(with_config(&cluster, "config show").ok().contains("core.dcos_acs_token ********"));
    with_config(&cluster, "auth logout").ok();
    let err = with_config(&cluster, "config show core.dcos_acs_token").failed(1);
    assert_eq!(err, "dais: unknown key \"core.dcos_acs_token\"\n");
    let err = with_config(&cluster, "auth login").failed(1);
    assert!(err.contains("lists no way to log in"), "{err}");
}

/// Whoever answers at one URL may name any other server.
#[test]
fn a_token_goes_to_the_url_it_was_given_for_and_no_further() {
    let (marathon, other) = (Scripted::start(), Scripted::start());
    master(&other);
    marathon.on("GET /state-summary", 404, "");
    let info = json!({"marathon_config": {"master": other.address()}});
    marathon.on("GET /v2/info", 200, info);
    let home = marathon.folder().to_str().unwrap();
    let token = ("DCOS_CLUSTER_SETUP_ACS_TOKEN", "secret");
    let words = format!("cluster setup http://{}", marathon.address());
    run(&words, "", &[("HOME", home), token]).ok();
    let told = |cluster: &Scripted| {
        let seen = cluster.seen().into_iter();
        let told =
            seen.filter_map(|seen| Some((seen.headers.get("authorization")?.clone(), seen.line)));
        told.collect::<Vec<_>>()
    };
    assert!(told(&marathon).contains(&("token=secret".to_owned(), "GET /v2/info".to_owned())));
    assert!(told(&other).is_empty(), "{:?}", other.seen());
    // And so it is later.
    let url = format!("http://{}", marathon.address());
    for words in [
        format!("config set core.dcos_url {url}"),
        "config set core.dcos_acs_token secret".to_owned(),
        "cluster list".to_owned(),
        "node".to_owned(),
    ] {
        let _ = run(&words, "", &[("HOME", home)]);
    }
    assert!(other.lines().contains(&"GET /version".to_owned()), "{:?}", other.lines());
    assert!(told(&other).is_empty(), "{:?}", other.seen());
}

#[test]
fn flags_of_a_login_are_said_to_be_of_no_use() {
    let cluster = Scripted::start();
    master(&cluster);
    let words = format!("cluster setup {} --username=a --password=geheim", cluster.address());
    let outcome = with_config(&cluster, &words);
    assert!(outcome.err.contains("no login: --username, --password is not used"), "{outcome:?}");
    assert!(!outcome.err.contains("geheim"));
    outcome.ok();
}

#[test]
fn a_bundle_of_authorities_is_read_at_once() {
    let cluster = Scripted::start();
    master(&cluster);
    let words = format!("cluster setup {} --ca-certs=", cluster.address());
    let err = with_config(&cluster, &format!("{words}/no/such/file")).failed(1);
    assert!(err.contains("cannot read the certificates in /no/such/file"), "{err}");
    let file = cluster.file("ca.pem", "nothing");
    let err = with_config(&cluster, &format!("{words}{file}")).failed(1);
    assert!(err.contains("there is no certificate in it"), "{err}");
}

#[test]
fn what_is_no_cluster_is_not_set_up() {
    let cluster = Scripted::start();
    for line in ["GET /state-summary", "GET /v2/info", "GET /metadata"] {
        cluster.on(line, 404, "");
    }
    let url = format!("http://{}", cluster.address());
    let err = with_config(&cluster, &format!("cluster setup {url}")).failed(1);
    assert!(err.contains("neither a cluster's gateway nor a Mesos master"), "{err}");
    let err = with_config(&cluster, "cluster setup").failed(1);
    assert!(err.contains("missing cluster URL"), "{err}");
}

#[test]
fn a_cluster_that_is_away_is_named_with_what_may_help() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let err = run("marathon app list", "", &[("DAIS_URL", &url), ("HOME", "/")]).failed(1);
    assert!(err.contains(&format!("cannot reach Marathon at {url}/service/marathon")), "{err}");
    assert!(err.contains("dais up") && err.contains("cluster setup"), "{err}");
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    let err = run("marathon app list", "", &[("HOME", home)]).failed(1);
    assert!(err.contains("no cluster runs in") && err.contains("dais up"), "{err}");
    let err = run("config show", "", &[("HOME", home)]).failed(1);
    assert!(err.contains("no cluster is attached"), "{err}");
}

#[test]
fn keys_are_listed_and_values_checked() {
    let cluster = Scripted::start();
    master(&cluster);
    with_config(&cluster, &format!("cluster setup {}", cluster.address())).ok();
    let keys = with_config(&cluster, "config keys -q").ok();
    assert!(keys.lines().any(|key| key == "package.cosmos_url"), "{keys}");
    let keys = with_config(&cluster, "config keys").ok();
    assert!(keys.contains("core.timeout : the request timeout"), "{keys}");
    let err = with_config(&cluster, "config set core.timeout soon").failed(1);
    assert!(err.contains("core.timeout") && err.contains("\"soon\""), "{err}");
    with_config(&cluster, "config set core.timeout 5").ok();
    assert_eq!(with_config(&cluster, "config show core.timeout").ok(), "5\n");
    with_config(&cluster, "config unset core.timeout").ok();
    assert_eq!(with_config(&cluster, "config show core.timeout").status, 1);
}

#[test]
fn verbosity_says_what_is_asked_but_not_on_standard_output() {
    let cluster = Scripted::start();
    cluster.on("GET /v2/apps", 200, r#"{"apps":[]}"#);
    assert_eq!(cluster.run("-v marathon app list -q").ok(), "");
    assert_eq!(cluster.run("marathon app list -q -vv").ok(), "");
}
