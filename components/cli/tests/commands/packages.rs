//! `dais package`.

use crate::support::Scripted;
use serde_json::json;

fn described() -> serde_json::Value {
    json!({"package": {"name": "hello", "version": "1.2", "selected": true,
        "preInstallNotes": "Before.", "postInstallNotes": "After.",
        "config": {"type": "object"},
        "marathon": {"v2AppMustacheTemplate": "eyJpZCI6ICJ7e2lkfX0ifQ=="}}})
}

fn installed(apps: &[&str]) -> serde_json::Value {
    let packages: Vec<_> = apps
        .iter()
        .map(|app| {
            json!({"appId": app, "packageInformation": {"packageDefinition":
                {"name": "hello", "version": "1.2", "selected": true, "description": "Says hello"}}})
        })
        .collect();
    json!({"packages": packages})
}

#[test]
fn packages_are_searched_for_with_the_media_types_of_cosmos() {
    let cluster = Scripted::start();
    let found = json!({"packages": [{"name": "hello", "currentVersion": "1.2", "selected": true,
        "framework": false, "description": "Says hello"}]});
    cluster.on("POST /package/search", 200, found);
    cluster.on("POST /package/search", 200, r#"{"packages":[]}"#);
    let out = cluster.run("package search hello").ok();
    let expected = "  NAME   VERSION  CERTIFIED  FRAMEWORK  DESCRIPTION\n  \
                    hello      1.2  true       false      Says hello\n";
    assert_eq!(out, expected);
    let seen = &cluster.seen()[0];
    let media = |kind: &str| {
        format!("application/vnd.dcos.package.search-{kind}+json;charset=utf-8;version=v1")
    };
    assert_eq!(seen.headers["content-type"], media("request"));
    assert_eq!(seen.headers["accept"], media("response"));
    assert_eq!(seen.body, r#"{"query":"hello"}"#);
    assert_eq!(cluster.run("package search nothing").failed(1), "dais: no packages found\n");
}

#[test]
fn a_package_is_installed_after_its_notes_and_a_yes() {
    let cluster = Scripted::start();
    cluster.on("POST /package/describe", 200, described());
    let answer = json!({"packageName": "hello", "packageVersion": "1.2", "appId": "/hello"});
    cluster.on("POST /package/install", 200, answer);
    let outcome = cluster.run_with("package install hello", "yes\n");
    let expected = "Before.\nContinue installing? [yes/no] \
                    Installing Marathon app for package [hello] version [1.2]\nAfter.\n";
    assert_eq!((outcome.status, outcome.err.as_str()), (0, expected));
    let sent = cluster.sent("POST /package/install");
    assert_eq!(sent, json!({"packageName": "hello", "packageVersion": "1.2"}));
    let seen = cluster.seen();
    assert!(seen[0].headers["accept"].ends_with("describe-response+json;charset=utf-8;version=v3"));
    assert!(seen[1].headers["accept"].ends_with("install-response+json;charset=utf-8;version=v2"));

    let options = cluster.file("o.json", r#"{"service": {"instances": 3}}"#);
    let words = format!("package install hello --yes --app-id=/x/y --options={options}");
    cluster.run(&words).ok();
    let sent: serde_json::Value = serde_json::from_str(&cluster.seen()[3].body).unwrap();
    assert_eq!(sent["options"]["service"]["instances"], 3);
    assert_eq!(sent["appId"], "/x/y");
}

/// Scripts install commands of packages in passing.
#[test]
fn commands_of_packages_are_left_out_with_a_word() {
    let cluster = Scripted::start();
    let only = json!({"package": {"name": "tool", "version": "1", "selected": true,
        "resource": {"cli": {"binaries": {}}}}});
    cluster.on("POST /package/describe", 200, only);
    let expected = "Package [tool] brings commands for the dcos CLI, which dais does not load\n";
    for words in ["package install tool --yes", "package install tool --cli --yes"] {
        let outcome = cluster.run(words);
        assert_eq!((outcome.status, outcome.err.as_str()), (0, expected), "{words}");
    }
    let mut both = described();
    both["package"]["command"] = json!({"pip": ["x"]});
    cluster.instead("POST /package/describe", 200, both);
    cluster.on("POST /package/install", 200, json!({"appId": "/hello"}));
    assert!(cluster.run("package install hello --yes").err.contains("[hello] brings commands"));
    assert!(!cluster.run("package install hello --app --yes").err.contains("brings commands"));
}

#[test]
fn notes_of_a_package_cannot_steer_the_terminal() {
    let cluster = Scripted::start();
    let mut package = described();
    package["package"]["preInstallNotes"] = json!("a\u{1b}]0;owned\u{7}b");
    package["package"]["postInstallNotes"] = json!("c\u{1b}[2Jd");
    cluster.on("POST /package/describe", 200, package);
    cluster.on("POST /package/install", 200, json!({"appId": "/hello"}));
    cluster.on(
        "POST /package/repository/list",
        200,
        json!({"repositories": [{"name": "x\u{1b}[1m", "uri": "http://u"}]}),
    );
    let err = cluster.run("package install hello --yes").err;
    assert!(err.contains("a\u{fffd}]0;owned") && !err.contains('\u{1b}'), "{err:?}");
    assert_eq!(cluster.run("package repo list").ok(), "x\u{fffd}[1m: http://u\n");
}

#[test]
fn an_install_that_is_waited_for_is_looked_at() {
    let look = "GET /v2/apps?id=/hello&embed=apps.taskStats%2Capps.lastTaskFailure";
    let cluster = Scripted::start();
    cluster.on("POST /package/describe", 200, described());
    cluster.on("POST /package/install", 200, json!({"appId": "/hello"}));
    // Over before the first look: the app tells.
    cluster.on("GET /v2/deployments", 200, "[]");
    let app = |running: u32| {
        json!({"apps": [{"id": "/hello", "instances": 1, "tasksRunning": running,
            "lastTaskFailure": {"message": "exited with 3"}}]})
    };
    let install = "package install hello --yes --wait";
    cluster.on(look, 200, app(1));
    assert!(cluster.run(install).err.contains("/hello: 1/1 ready\nAfter.\n"));
    cluster.instead(look, 200, app(0));
    let err = cluster.run(install).failed(1);
    assert!(err.contains("not done: /hello: 0/1") && err.contains("exited with 3"), "{err}");
    cluster.instead(look, 200, r#"{"apps":[]}"#);
    let err = cluster.run(install).failed(1);
    assert!(err.contains("/hello is not there"), "{err}");
    // What will never be answered is not asked for again and again.
    cluster.instead("GET /v2/deployments", 403, r#"{"message":"not you"}"#);
    let before = cluster.lines().len();
    let err = cluster.run(install).failed(1);
    assert!(err.contains("/hello is accepted") && err.contains("not you"), "{err}");
    assert_eq!(cluster.lines().len(), before + 3);
}

#[test]
fn without_a_yes_nothing_is_installed() {
    let cluster = Scripted::start();
    cluster.on("POST /package/describe", 200, described());
    for input in ["no\n", "", "a\nb\nc\n"] {
        let err = cluster.run_with("package install hello", input).failed(1);
        assert!(err.contains("couldn't get confirmation"), "{err}");
    }
    assert!(cluster.lines().iter().all(|line| line == "POST /package/describe"));
}

#[test]
fn wrong_options_are_all_named() {
    let cluster = Scripted::start();
    cluster.on("POST /package/describe", 200, described());
    let refused = json!({"type": "JsonSchemaMismatch", "message": "Options JSON failed validation",
        "data": {"errors": [
            {"instance": {"pointer": "/service/cpus"}, "message": "is less than 0.01"},
            {"instance": {"pointer": ""}, "message": "has unknown properties"}]}});
    cluster.on("POST /package/install", 400, refused);
    let outcome = cluster.run("package install hello --yes");
    assert_eq!(outcome.status, 1);
    let expected = "dais: Options JSON failed validation\n  /service/cpus: is less than 0.01\n  \
                    /: has unknown properties\n";
    assert!(outcome.err.ends_with(expected), "{}", outcome.err);
    let file = cluster.file("list.json", "[1]");
    let err = cluster.run(&format!("package install hello --options={file}")).failed(1);
    assert!(err.contains("list.json holds no JSON object"), "{err}");
    let err = cluster.run("package install hello --options=/no/such").failed(1);
    assert!(err.contains("couldn't find options file '/no/such'"), "{err}");
}

#[test]
fn a_package_is_described_in_parts() {
    let cluster = Scripted::start();
    cluster.on("POST /package/describe", 200, described());
    cluster.on("POST /package/list-versions", 200, r#"{"results":{"1.2":"1","1.0":"0"}}"#);
    cluster.on("POST /package/render", 200, r#"{"marathonJson":{"id":"/hello"}}"#);
    assert_eq!(cluster.run("package describe hello").json()["package"]["name"], "hello");
    assert_eq!(cluster.run("package describe --config hello").json(), json!({"type": "object"}));
    assert_eq!(cluster.run("package describe --app hello").ok(), "{\"id\": \"{{id}}\"}");
    let rendered = cluster.run("package describe --app --render hello").json();
    assert_eq!(rendered, json!({"id": "/hello"}));
    let out = cluster.run("package describe --package-versions hello").ok();
    assert_eq!(out, "[\n  \"1.0\",\n  \"1.2\"\n]\n");
}

#[test]
fn what_a_package_has_not_is_said() {
    let cluster = Scripted::start();
    cluster.on("POST /package/describe", 200, json!({"package": {"name": "tool"}}));
    let outcome = cluster.run("package describe tool --app");
    assert_eq!(outcome.err, "Package [tool] has no application\n");
    assert_eq!(outcome.ok(), "");
    let outcome = cluster.run("package describe tool --cli");
    assert_eq!(outcome.err, "Package [tool] has no commands\n");
    let outcome = cluster.run("package describe tool --render");
    assert!(outcome.err.contains("only count together with --app"), "{outcome:?}");
    assert!(outcome.ok().contains("tool"));
}

#[test]
fn installed_packages_are_listed_and_filtered() {
    let cluster = Scripted::start();
    cluster.on("POST /package/list", 200, installed(&["/hello", "/b/hello"]));
    let out = cluster.run("package list").ok();
    assert!(
        out.starts_with("  NAME   VERSION  CERTIFIED  APP       COMMAND  DESCRIPTION\n"),
        "{out}"
    );
    assert!(out.contains("/b/hello"), "{out}");
    assert_eq!(cluster.run("package list --json").json()[0]["apps"], json!(["/hello", "/b/hello"]));
    let err = cluster.run("package list other").failed(1);
    assert_eq!(err, "dais: cannot find packages matching the provided filter\n");
    assert_eq!(cluster.run("package list --json other").ok(), "[]\n");
    assert_eq!(cluster.run("package list --app-id=/x hello").status, 2);
}

#[test]
fn uninstalling_wants_the_name_typed() {
    let cluster = Scripted::start();
    cluster.on("POST /package/list", 200, installed(&["/hello"]));
    let answer = json!({"results": [{"packageName": "hello", "appId": "/hello",
        "packageVersion": "1.2", "postUninstallNotes": "Gone."}]});
    cluster.on("POST /package/uninstall", 200, answer);
    let outcome = cluster.run_with("package uninstall hello", "helo\nhello\n");
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.err.contains("WARNING: This action cannot be undone."), "{}", outcome.err);
    assert!(outcome.err.contains("Expected 'hello'. You supplied 'helo'."), "{}", outcome.err);
    assert!(outcome.err.ends_with("Uninstalled package [hello] version [1.2]\nGone.\n"));
    assert_eq!(cluster.run_with("package uninstall hello", "x\ny\nz\n").status, 1);
    let err = cluster.run("package uninstall other --yes").failed(1);
    assert_eq!(err, "dais: Package [other] is not installed\n");
    cluster.run("package uninstall hello --all --yes").ok();
    let sent: serde_json::Value =
        serde_json::from_str(&cluster.seen().last().unwrap().body).unwrap();
    assert_eq!(sent, json!({"packageName": "hello", "all": true}));
    assert_eq!(cluster.run("package uninstall hello --cli --all").status, 2);
}

#[test]
fn a_package_is_updated_where_it_is_installed() {
    let cluster = Scripted::start();
    cluster.on("POST /package/list", 200, installed(&["/hello"]));
    cluster.on("POST /service/update", 200, r#"{"package":{},"marathonDeploymentId":"d-1"}"#);
    let options = cluster.file("o.json", r#"{"greeting": "you"}"#);
    let out = cluster.run(&format!("package update hello --yes --options={options}")).ok();
    assert_eq!(out, "Created deployment d-1\n");
    let sent = cluster.sent("POST /service/update");
    let expected = json!({"appId": "/hello", "packageName": "hello", "replace": false,
        "options": {"greeting": "you"}});
    assert_eq!(sent, expected);

    let cluster = Scripted::start();
    cluster.on("POST /package/list", 200, installed(&["/a", "/b"]));
    let err = cluster.run("package update hello --yes").failed(1);
    assert!(err.contains("/a, /b") && err.contains("--app-id"), "{err}");
}

#[test]
fn repositories_are_managed() {
    let cluster = Scripted::start();
    let repos = r#"{"repositories":[{"name":"Dais","uri":"file:catalog"}]}"#;
    cluster.on("POST /package/repository/list", 200, repos);
    cluster.on("POST /package/repository/add", 200, repos);
    cluster.on("POST /package/repository/delete", 200, repos);
    assert_eq!(cluster.run("package repo list").ok(), "Dais: file:catalog\n");
    cluster.run("package repo add --index 0 mine http://example.com/repo").ok();
    let sent = cluster.sent("POST /package/repository/add");
    assert_eq!(sent, json!({"name": "mine", "uri": "http://example.com/repo", "index": 0}));
    cluster.run("package repo remove mine Dais").ok();
    let file = cluster.file("repos.json", repos);
    let outcome = cluster.run(&format!("package repo import {file}"));
    assert_eq!(outcome.err, "Added repo 'Dais' (file:catalog) at index 0\n");
    let add = &cluster.seen()[1];
    let media = "application/vnd.dcos.package.repository.add-request+json;charset=utf-8;version=v1";
    assert_eq!(add.headers["content-type"], media);
}
