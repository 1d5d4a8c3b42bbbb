//! Bodies as clients send them, and what is printed for them.

use crate::{App, AppUpdate, ModelError, Settings};
use base64::Engine;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::Read;

fn settings() -> Settings {
    Settings { default_network_name: Some("dcos".to_owned()), ..Settings::default() }
}

fn created(body: &Value) -> Result<App, ModelError> {
    AppUpdate::parse(body)?.create(None, &settings())
}

/// The app made of `body`, printed; it is read back on the way.
fn printed(body: &Value) -> Value {
    let app = created(body).unwrap_or_else(|error| panic!("{}: {body}", error.body()));
    assert_reads_back(&app);
    serde_json::to_value(&app).unwrap()
}

fn assert_reads_back(app: &App) {
    let mut bytes = Vec::new();
    app.write_json(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(App::from_stored(&bytes).as_ref(), Ok(app), "{text}");
}

/// Every field of `expected` is printed as it is there.
fn check(body: &Value, expected: &Value) {
    let printed = printed(body);
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(printed.get(key).unwrap_or(&Value::Null), value, "{key} of {body}");
    }
}

#[test]
fn the_least_app_is_printed_as_the_original_does() {
    let app = created(&json!({"id": "sleep", "cmd": "sleep 3600", "unknown": {"a": 1}})).unwrap();
    let mut bytes = Vec::new();
    app.write_json(&mut bytes);
    let expected = concat!(
        r#"{"id":"/sleep","backoffFactor":1.15,"backoffSeconds":1,"cmd":"sleep 3600","cpus":1,"#,
        r#""disk":0,"executor":"","instances":1,"labels":{},"maxLaunchDelaySeconds":300,"#,
        r#""mem":128,"gpus":0,"networks":[{"mode":"host"}],"#,
        r#""portDefinitions":[{"port":0,"name":"default","protocol":"tcp"}],"#,
        r#""requirePorts":false,"#,
        r#""upgradeStrategy":{"maximumOverCapacity":1,"minimumHealthCapacity":1},"#,
        r#""version":"1970-01-01T00:00:00.000Z","#,
        r#""versionInfo":{"lastScalingAt":"1970-01-01T00:00:00.000Z","#,
        r#""lastConfigChangeAt":"1970-01-01T00:00:00.000Z"},"killSelection":"YOUNGEST_FIRST","#,
        r#""unreachableStrategy":{"inactiveAfterSeconds":0,"expungeAfterSeconds":0},"role":"*"}"#,
    );
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn an_app_of_the_first_years() {
    let body = json!({
        "id": "/a/b", "cmd": "x1", "cpus": 0.5, "mem": 64.0, "instances": 5, "backoffFactor": 2,
        "constraints": [["hostname", "unique"]], "acceptedResourceRoles": ["*"],
        "uris": ["file:///etc/docker.tar.gz", "http://a/b.sh"], "dependencies": ["c", "/d"],
        "container": {
            "type": "DOCKER",
            "docker": {
                "image": "i:1", "network": "BRIDGE", "privileged": true,
                "parameters": [{"key": "add-host", "value": "a:1.2.3.4"}],
                "portMappings": [{"containerPort": 8080, "protocol": "tcp", "name": "http"}]
            },
            "volumes": [{"containerPath": "/c", "hostPath": "/h", "mode": "RO"}]
        },
        "healthChecks": [{"path": "/h", "protocol": "HTTP", "portIndex": 0,
            "gracePeriodSeconds": 3, "intervalSeconds": 10}],
        "env": {"A": "1"}, "labels": {"l": "v"}, "ports": [0, 0],
        "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}
    });
    let mapping = |port, name: Value| {
        let mut mapping = json!({"containerPort": port, "hostPort": 0, "labels": {}});
        let fields = mapping.as_object_mut().unwrap();
        if !name.is_null() {
            fields.insert("name".to_owned(), name);
        }
        fields.extend(json!({"protocol": "tcp", "servicePort": 0}).as_object().cloned().unwrap());
        mapping
    };
    let expected = json!({
        "backoffFactor": 2, "cpus": 0.5, "mem": 64, "constraints": [["hostname", "UNIQUE"]],
        "acceptedResourceRoles": ["*"], "networks": [{"mode": "container/bridge"}],
        "portDefinitions": null, "ports": null, "uris": null, "args": null, "secrets": null,
        "dependencies": ["/c", "/d"],
        "container": {
            "type": "DOCKER",
            "docker": {
                "forcePullImage": false, "image": "i:1",
                "parameters": [{"key": "add-host", "value": "a:1.2.3.4"}], "privileged": true
            },
            "volumes": [{"containerPath": "/c", "hostPath": "/h", "mode": "RO"}],
            // As many as there were ports.
            "portMappings": [mapping(8080, json!("http")), mapping(0, Value::Null)]
        },
        "fetch": [
            {"uri": "file:///etc/docker.tar.gz", "extract": true, "executable": false, "cache": false},
            {"uri": "http://a/b.sh", "extract": false, "executable": false, "cache": false}
        ],
        "healthChecks": [{
            "gracePeriodSeconds": 3, "ignoreHttp1xx": false, "intervalSeconds": 10,
            "maxConsecutiveFailures": 3, "path": "/h", "portIndex": 0, "protocol": "HTTP",
            "ipProtocol": "IPv4", "timeoutSeconds": 20, "delaySeconds": 15
        }],
        "env": {"A": "1"}, "labels": {"l": "v"}
    });
    check(&body, &expected);
}

#[test]
fn old_words_for_networks() {
    let image = json!({"image": "i"});
    let with = |network: &str| json!({"image": "i", "network": network});
    for (mut body, networks) in [
        (json!({"container": {"docker": image}}), json!([{"mode": "host"}])),
        (json!({"container": {"docker": with("HOST")}}), json!([{"mode": "host"}])),
        (json!({"container": {"docker": with("bridge")}}), json!([{"mode": "container/bridge"}])),
        (
            json!({"container": {"docker": with("USER")}, "ipAddress": {"networkName": "n"}}),
            json!([{"name": "n", "mode": "container"}]),
        ),
        (
            json!({"container": {"docker": with("USER")}}),
            json!([{"name": "dcos", "mode": "container"}]),
        ),
        (
            json!({"cmd": "xx", "ipAddress": {"labels": {"a": "b"}, "groups": []}}),
            json!([{"name": "dcos", "mode": "container", "labels": {"a": "b"}}]),
        ),
        (
            json!({"cmd": "xx", "ipAddress": {"networkName": "mesos-bridge"}}),
            json!([{"mode": "container/bridge"}]),
        ),
        (json!({"cmd": "xx", "networks": []}), json!([{"mode": "host"}])),
        (
            json!({"cmd": "xx", "networks": [{"name": "x_y"}]}),
            json!([{"name": "x_y", "mode": "container"}]),
        ),
    ] {
        body["id"] = json!("/a");
        check(&body, &json!({"networks": networks}));
    }
}

#[test]
fn ports_of_each_kind_of_network() {
    let port = json!([{"port": 0, "name": "default", "protocol": "tcp"}]);
    check(&json!({"id": "/a", "cmd": "xx"}), &json!({"portDefinitions": port}));
    check(&json!({"id": "/a", "cmd": "xx", "ports": []}), &json!({"portDefinitions": []}));
    check(
        &json!({"id": "/a", "cmd": "xx", "ports": [80], "requirePorts": true}),
        &json!({"portDefinitions": [{"port": 80, "protocol": "tcp"}], "requirePorts": true}),
    );
    // Port mappings mean nothing here, and are not printed.
    check(
        &json!({"id": "/a", "container": {"type": "MESOS", "portMappings": [{"hostPort": 1}]}}),
        &json!({"container": {"type": "MESOS", "volumes": []}, "portDefinitions": port}),
    );
    let default = |host: Value| {
        let mut mapping = json!({"containerPort": 0});
        if !host.is_null() {
            mapping["hostPort"] = host;
        }
        mapping["labels"] = json!({});
        mapping["name"] = json!("default");
        mapping["protocol"] = json!("tcp");
        mapping["servicePort"] = json!(0);
        json!({"type": "MESOS", "volumes": [], "portMappings": [mapping]})
    };
    check(
        &json!({"id": "/a", "cmd": "xx", "networks": [{"mode": "container"}], "requirePorts": true}),
        &json!({"container": default(Value::Null), "requirePorts": false}),
    );
    check(
        &json!({"id": "/a", "cmd": "xx", "networks": [{"mode": "container/bridge"}]}),
        &json!({"container": default(json!(0))}),
    );
    check(
        &json!({"id": "/a", "cmd": "xx", "ipAddress": {"discovery": {"ports":
            [{"name": "web", "number": 80, "protocol": "tcp"}]}}}),
        &json!({"container": {"type": "MESOS", "volumes": [], "portMappings":
            [{"containerPort": 80, "labels": {}, "name": "web", "protocol": "tcp", "servicePort": 0}]}}),
    );
    check(
        &json!({"id": "/a", "container": {"type": "MESOS", "portMappings": []},
            "networks": [{"mode": "container"}]}),
        &json!({"container": {"type": "MESOS", "volumes": [], "portMappings": []}}),
    );
}

#[test]
fn volumes_that_stay_change_the_defaults() {
    check(
        &json!({"id": "/a", "cmd": "xx", "role": "r", "residency": {"taskLostBehavior": "WAIT_FOREVER"},
            "container": {"type": "MESOS", "volumes":
                [{"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}]}}),
        &json!({
            "upgradeStrategy": {"maximumOverCapacity": 0, "minimumHealthCapacity": 0.5},
            "unreachableStrategy": "disabled",
            "residency": {"relaunchEscalationTimeoutSeconds": 3600, "taskLostBehavior": "WAIT_FOREVER"},
            "container": {"type": "MESOS", "volumes": [{"containerPath": "data",
                "persistent": {"type": "root", "size": 10, "constraints": []}, "mode": "RW"}]}
        }),
    );
}

#[test]
fn checks_of_each_kind() {
    let health = |extra: Value| {
        let mut all = json!({"gracePeriodSeconds": 300, "intervalSeconds": 60,
            "maxConsecutiveFailures": 3, "ipProtocol": "IPv4", "timeoutSeconds": 20,
            "delaySeconds": 15});
        all.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap());
        json!([all])
    };
    for (check_body, expected) in [
        (json!({}), json!({"protocol": "HTTP", "portIndex": 0, "ignoreHttp1xx": false})),
        (json!({"protocol": "TCP", "port": 80}), json!({"protocol": "TCP", "port": 80})),
        (
            json!({"protocol": "MESOS_HTTPS", "path": "/x", "portIndex": 7}),
            json!({"protocol": "MESOS_HTTPS", "path": "/x", "portIndex": 7}),
        ),
        (
            json!({"protocol": "COMMAND", "command": {"value": "true"}, "portIndex": 0}),
            json!({"protocol": "COMMAND", "command": {"value": "true"}}),
        ),
        // A number wins over an index.
        (
            json!({"protocol": "mesos_tcp", "portIndex": 1, "port": 80}),
            json!({"protocol": "MESOS_TCP", "port": 80}),
        ),
    ] {
        let body = json!({"id": "/a", "cmd": "xx", "healthChecks": [check_body]});
        check(&body, &json!({"healthChecks": health(expected)}));
    }
    let times = json!({"intervalSeconds": 60, "timeoutSeconds": 20, "delaySeconds": 15});
    for probe in [
        json!({"exec": {"command": {"shell": "true"}}}),
        json!({"exec": {"command": {"argv": ["a", "b"]}}}),
        json!({"tcp": {"port": 80}}),
        json!({"http": {"portIndex": 0, "path": "/x", "scheme": "HTTPS"}}),
    ] {
        let mut expected = probe.clone();
        expected.as_object_mut().unwrap().extend(times.as_object().cloned().unwrap());
        let body = json!({"id": "/a", "cmd": "xx", "check": probe});
        check(&body, &json!({"check": expected}));
    }
    check(
        &json!({"id": "/a", "cmd": "xx", "portDefinitions": [{"name": "http-api"}],
            "readinessChecks": [{}]}),
        &json!({"readinessChecks": [{"name": "readinessCheck", "protocol": "HTTP", "path": "/",
            "portName": "http-api", "intervalSeconds": 30, "timeoutSeconds": 10,
            "httpStatusCodesForReady": [200], "preserveLastResponse": false}]}),
    );
}

#[test]
fn rarer_fields() {
    let same = json!({
        "args": ["a", "b"], "user": "nobody", "tty": true, "executor": "/bin/x",
        "executorResources": {"cpus": 0.2, "mem": 64, "disk": 20},
        "resourceLimits": {"cpus": "unlimited", "mem": 512.5},
        "taskKillGracePeriodSeconds": 7, "killSelection": "OLDEST_FIRST",
        "unreachableStrategy": {"inactiveAfterSeconds": 60, "expungeAfterSeconds": 120},
        "fetch": [{"uri": "a", "extract": false, "executable": true, "cache": true, "destPath": "d"}]
    });
    let mut body = same.clone();
    body["id"] = json!("/a");
    check(&body, &same);
    check(
        &json!({"id": "/a", "cmd": "xx", "upgradeStrategy": {"minimumHealthCapacity": 0.5}}),
        &json!({"upgradeStrategy": {"maximumOverCapacity": 1, "minimumHealthCapacity": 0.5}}),
    );
    check(
        &json!({"id": "/a", "cmd": "xx", "unreachableStrategy": "disabled"}),
        &json!({"unreachableStrategy": "disabled", "residency": null}),
    );
    check(
        &json!({"id": "/a", "container": {"type": "MESOS", "docker": {"image": "i", "privileged": true},
            "linuxInfo": {"seccomp": {"unconfined": true}, "ipcInfo": {"mode": "private", "shmSize": 8}}}}),
        &json!({"container": {"type": "MESOS",
            "docker": {"forcePullImage": false, "image": "i", "parameters": [], "privileged": false},
            "linuxInfo": {"seccomp": {"unconfined": true}, "ipcInfo": {"mode": "PRIVATE", "shmSize": 8}},
            "volumes": []}}),
    );
}

fn shape_errors(body: &str) -> Value {
    let error = AppUpdate::parse_bytes(body.as_bytes()).unwrap_err();
    assert_eq!(error.status(), if error.body()["details"].is_string() { 400 } else { 422 });
    error.body()
}

#[test]
fn every_wrong_type_is_told_with_its_path() {
    let body = r#"{"id": "/A", "cpus": "1", "instances": 1.5, "mem": -1, "env": {"A": 1, "B": {}},
        "container": {"type": "RKT", "portMappings": [{"hostPort": 70000}], "docker": {}},
        "labels": [], "killSelection": 1, "upgradeStrategy": {"minimumHealthCapacity": 2},
        "healthChecks": [{"portIndex": "x"}], "version": "now", "cmd": ""}"#;
    let expected = json!({"message": "Invalid JSON", "details": [
        {"path": "/id", "errors": ["error.pattern"]},
        {"path": "/cmd", "errors": ["error.minLength"]},
        {"path": "/env/A", "errors": ["error.expected.jsstring"]},
        {"path": "/env/B/secret", "errors": ["'secret' is undefined on object: {}"]},
        {"path": "/labels", "errors": ["error.expected.jsobject"]},
        {"path": "/version", "errors": ["error.expected.date.isoformat"]},
        {"path": "/instances", "errors": ["error.expected.int"]},
        {"path": "/cpus", "errors": ["error.expected.jsnumber"]},
        {"path": "/mem", "errors": ["error.min"]},
        {"path": "/upgradeStrategy/minimumHealthCapacity", "errors": ["error.max"]},
        {"path": "/killSelection", "errors": ["error.unknown.enum.literal"]},
        {"path": "/healthChecks(0)/portIndex", "errors": ["error.expected.jsnumber"]},
        {"path": "/container/type", "errors": ["error.unknown.enum.literal"]},
        {"path": "/container/docker/image", "errors": ["'image' is undefined on object: {}"]},
        {"path": "/container/portMappings(0)/hostPort", "errors": ["error.max"]},
    ]});
    assert_eq!(shape_errors(body), expected);
}

#[test]
fn a_definition_needs_an_id() {
    let error = AppUpdate::parse_new_bytes(br#"{"cmd":"xx","cpus":"1"}"#).unwrap_err().body();
    let missing = "'id' is undefined on object: {\"cmd\":\"xx\",\"cpus\":\"1\"}";
    assert_eq!(error["details"][0], json!({"path": "/id", "errors": [missing]}));
    assert_eq!(error["details"].as_array().unwrap().len(), 2);
    assert!(AppUpdate::parse_new_bytes(br#"{"id":"a"}"#).is_ok());
}

#[test]
fn what_is_no_json() {
    assert_eq!(shape_errors("{")["message"], "Invalid JSON");
    assert_eq!(shape_errors(" ")["message"], "Please specify data in JSON format");
    assert_eq!(shape_errors("[]")["details"][0]["errors"][0], "error.expected.jsobject");
    assert_eq!(AppUpdate::parse_list_bytes(b"{}").unwrap_err().status(), 422);
    let error = AppUpdate::parse_list_bytes(br#"[{"cpus": 1}, {"cpus": "1"}]"#).unwrap_err();
    assert_eq!(error.body()["details"][0]["path"], "(1)/cpus");
}

#[test]
fn deep_and_odd_documents_are_refused_without_harm() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(shape_errors(&deep)["message"], "Invalid JSON");
    let huge = r#"{"id": "/a", "instances": 1e300, "cpus": 1e300, "backoffSeconds": -0.0}"#;
    let errors = shape_errors(huge);
    assert_eq!(errors["details"][0]["path"], "/instances");
    assert_eq!(errors["details"][1], json!({"path": "/cpus", "errors": ["error.max"]}));
    // More digits than can be read exactly.
    let body =
        json!({"id": "/a", "cmd": "xx", "cpus": 0.300_000_000_000_000_04, "mem": 1e14 + 0.1});
    check(&body, &json!({"cpus": 0.3}));
}

/// The public Universe, where it is there.
fn universe() -> Option<Vec<u8>> {
    let beside = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/universe/repo-up-to-2.0.json.gz"
    );
    let path = std::env::var("DAIS_UNIVERSE").unwrap_or_else(|_| beside.to_owned());
    let mut document = Vec::new();
    let packed = std::fs::read(path).ok()?;
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut document).ok()?;
    Some(document)
}

/// Templates of packages that are JSON before anything is filled in; in texts something may
/// still have to be.
#[test]
fn definitions_of_the_public_universe() {
    let Some(document) = universe() else {
        println!("skipped: the public Universe is not there (DAIS_UNIVERSE)");
        return;
    };
    let repository: Value = serde_json::from_slice(&document).unwrap();
    let mut read = 0;
    for package in repository["packages"].as_array().unwrap() {
        let template = package["marathon"]["v2AppMustacheTemplate"].as_str().unwrap_or_default();
        let template = base64::engine::general_purpose::STANDARD.decode(template).unwrap();
        let Ok(mut body) = serde_json::from_slice::<Value>(&template) else { continue };
        if !body["cpus"].is_number() {
            continue;
        }
        // Names of variables are no names of apps or roles, and no URIs.
        body["id"] = json!("/package");
        body["role"] = json!("slave_public");
        body.as_object_mut().unwrap().retain(|key, value| {
            !matches!(key.as_str(), "uris" | "fetch" | "acceptedResourceRoles")
                || !value.to_string().contains("{{")
        });
        read += 1;
        printed(&body);
    }
    assert!(read > 40, "only {read}");
}

proptest! {
    #[test]
    fn what_is_printed_is_read(app in crate::arbitrary::app()) {
        assert_reads_back(&app);
        // What was checked once is fine as an update too.
        let value = serde_json::to_value(&app).unwrap();
        let again = AppUpdate::parse(&value).unwrap();
        let again = again.create(Some(&app.id), &settings());
        if let Ok(again) = again {
            let same = App { version: again.version, version_info: again.version_info, ..app };
            prop_assert_eq!(again, same);
        }
    }

    #[test]
    fn an_empty_update_changes_nothing(app in crate::arbitrary::app()) {
        if let Ok(merged) = AppUpdate::default().merge(&app, &settings()) {
            prop_assert_eq!(merged, app);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = AppUpdate::parse_bytes(&bytes);
        let _ = App::from_stored(&bytes);
    }
}
