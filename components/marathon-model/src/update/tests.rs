//! Laying updates over apps.

use super::*;
use crate::is_config_change;
use proptest::prelude::*;
use serde_json::{Value, json};

fn update(body: &Value) -> AppUpdate {
    AppUpdate::parse(body).unwrap()
}

fn app(body: &Value) -> App {
    update(body).create(None, &Settings::default()).unwrap()
}

fn merged(before: &Value, change: &Value) -> App {
    update(change).merge(&app(before), &Settings::default()).unwrap()
}

#[test]
fn what_is_absent_stays() {
    let before = json!({"id": "/a", "cmd": "xx", "cpus": 2, "env": {"A": "1"}, "ports": [80],
        "resourceLimits": {"mem": 256}, "executorResources": {}, "version": "2020-01-01T00:00:00Z"});
    let after = merged(&before, &json!({"instances": 3}));
    assert_eq!(after, App { instances: 3, ..app(&before) });
    let after = merged(&before, &json!({"env": {}, "cmd": "yy"}));
    let expected = App { cmd: Some("yy".to_owned()), env: BTreeMap::new(), ..app(&before) };
    assert_eq!(after, expected);
}

#[test]
fn a_replacement_forgets_what_was() {
    let before = App { version: Timestamp(7), ..app(&json!({"id": "/a", "cmd": "xx", "cpus": 2})) };
    let after = update(&json!({"cmd": "yy"})).replace(&before, &Settings::default()).unwrap();
    let expected = App { version: Timestamp(7), ..app(&json!({"id": "/a", "cmd": "yy"})) };
    assert_eq!(after, expected);
}

#[test]
fn another_kind_of_network_moves_the_ports() {
    let host = json!({"id": "/a", "container": {"docker": {"image": "i"}}, "ports": [80, 81]});
    let after = merged(&host, &json!({"networks": [{"mode": "container/bridge"}]}));
    assert_eq!((after.port_definitions.len(), after.port_mappings().len()), (0, 2));
    assert!(after.host_ports().all(|port| port == Some(0)));
    let bridge = json!({"id": "/a", "container": {"docker": {"image": "i", "network": "BRIDGE",
        "portMappings": [{"containerPort": 1}, {"containerPort": 2}]}}});
    let after = merged(&bridge, &json!({"networks": [{"mode": "host"}]}));
    assert_eq!((after.port_definitions.len(), after.port_mappings().len()), (1, 0));
    // A container in old words says nothing of networks unless it names one.
    let docker = json!({"container": {"docker": {"image": "j"}}});
    let after = merged(&bridge, &docker);
    assert_eq!(after.networks, app(&bridge).networks);
    assert_eq!(after.port_mappings().len(), 1);
}

#[test]
fn an_update_is_checked_as_a_whole() {
    let before = app(&json!({"id": "/a", "cmd": "xx"}));
    let merge = |body: Value| update(&body).merge(&before, &Settings::default());
    assert_eq!(merge(json!({"args": ["a"]})).unwrap_err().status(), 422);
    let error = merge(json!({"ports": [1, 1], "constraints": [["a"]]})).unwrap_err().body();
    assert_eq!(error["details"].as_array().unwrap().len(), 3, "{error}");
}

#[test]
fn rolling_back_stands_alone() {
    let version = "2020-01-31T10:00:00.000Z";
    let rollback = |body: Value| update(&body).rollback();
    assert_eq!(rollback(json!({"cmd": "xx"})), Ok(None));
    let moment = version.parse().ok();
    assert_eq!(rollback(json!({"id": "/a", "version": version})), Ok(moment));
    let error = rollback(json!({"cmd": "xx", "version": version})).unwrap_err().body();
    let text = "The 'version' field may only be combined with the 'id' field.";
    assert_eq!(error["details"], json!([{"path": "/", "errors": [text]}]));
    // A definition as it was printed can be posted again.
    app(&json!({"id": "/a", "cmd": "xx", "version": version, "tasksRunning": 1}));
}

#[test]
fn relative_ids_mean_the_group_they_are_written_in() {
    let base = PathId::parse("/g/h").unwrap();
    let update = update(&json!({"id": "a", "dependencies": ["../b", "/c", "d"]}));
    let update = update.rebase(&base).unwrap();
    assert_eq!(update.id.as_deref(), Some("/g/h/a"));
    assert_eq!(update.dependencies.unwrap(), ["/g/b", "/c", "/g/h/d"]);
}

#[test]
fn an_app_needs_an_id() {
    let error = update(&json!({"cmd": "xx"})).create(None, &Settings::default()).unwrap_err();
    assert_eq!(error.body()["details"][0]["path"], "/id");
}

proptest! {
    #[test]
    fn scaling_is_no_change_of_configuration(before in crate::arbitrary::app(), instances: u32) {
        let after = App { instances, version: Timestamp(1), ..before.clone() };
        prop_assert!(!is_config_change(&before, &after));
        let labels = BTreeMap::from([("new".to_owned(), "one".to_owned())]);
        let after = App { labels, ..before.clone() };
        prop_assert!(is_config_change(&before, &after));
    }
}
