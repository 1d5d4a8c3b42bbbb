//! What a dry run says.

use super::*;
use crate::{
    Change,
    plan::plan,
    testing::{World, path},
};

fn facts(id: &str, app: AppFacts) -> Facts {
    Facts { apps: [(path(id), app)].into(), conflicts: Vec::new() }
}

fn dry_run(world: &World, change: impl FnOnce(&mut World) -> Applied, facts: &Facts) -> Value {
    let applied = change(&mut world.clone());
    report(&applied, &plan(&applied, String::new()), facts)
}

#[test]
fn an_update_says_what_changes_and_what_it_replaces() {
    let mut world = World::default();
    world.post(r#"{"id": "/a", "cmd": "xx", "instances": 4, "env": {"K": "1"}}"#).unwrap();
    let known = AppFacts {
        instances: 4,
        running: 4,
        healthy: 3,
        room: Some(0),
        obstacles: vec![Obstacle {
            reason: "InsufficientCpus".to_owned(),
            agents: 2,
            detail: "0.5 of 1 free".to_owned(),
        }],
        warnings: Vec::new(),
    };
    let put = r#"{"instances": 5, "env": {"K": "2", "L": "3"},
                  "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.2}}"#;
    let said = dry_run(&world, |world| world.put("/a", put).unwrap(), &facts("/a", known));
    let app = said.pointer("/apps/0").unwrap();
    assert_eq!(app["action"], "update");
    assert_eq!(app["instances"], json!({"before": 4, "after": 5, "running": 4, "healthy": 3}));
    let moves = ["started", "replaced", "killed"].map(|name| app[name].as_u64().unwrap());
    assert_eq!(moves, [1, 4, 0]);
    assert_eq!(app["capacity"], json!({"atLeast": 3, "atMost": 6}));
    let changes = app["changes"].as_array().unwrap();
    let at = |path: &str| changes.iter().find(|change| change["path"] == path);
    assert_eq!(at("/env/K"), Some(&json!({"path": "/env/K", "old": "1", "new": "2"})));
    assert_eq!(at("/env/L"), Some(&json!({"path": "/env/L", "new": "3"})));
    assert_eq!(at("/instances"), Some(&json!({"path": "/instances", "old": 4, "new": 5})));
    assert!(at("/version").is_none() && at("/cmd").is_none());
    assert_eq!(app["unmet"][0]["agents"], 2);
    let warnings = app["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 3);
    assert_eq!(warnings[2], "no agent can take an instance now");
    assert_eq!(said["steps"][0]["actions"][0]["action"], "RestartApplication");
}

#[test]
fn every_kind_of_write() {
    let mut world = World::default();
    world.post(r#"{"id": "/g/a", "cmd": "xx", "instances": 3}"#).unwrap();
    let known = || AppFacts { instances: 3, running: 3, healthy: 3, ..AppFacts::default() };
    let a = path("/g/a");
    let old = world.app("/g/a").clone();
    let cases = [
        (Change::DeleteApp { id: a.clone() }, "delete", [0, 0, 3]),
        (Change::RestartApp { id: a.clone() }, "restart", [0, 3, 0]),
        (Change::ScaleApps([(a.clone(), 1)].into()), "scale", [0, 0, 2]),
        (Change::ScaleGroup { id: path("/g"), factor: 2.0 }, "scale", [3, 0, 0]),
        (Change::DeleteGroup { id: path("/g") }, "delete", [0, 0, 3]),
    ];
    for (change, action, moves) in cases {
        let said = dry_run(&world, |world| world.apply(change).unwrap(), &facts("/g/a", known()));
        let app = &said["apps"][0];
        assert_eq!(app["action"], action);
        assert_eq!(
            ["started", "replaced", "killed"].map(|name| app[name].as_u64().unwrap()),
            moves
        );
    }
    let new = r#"{"id": "/b", "cmd": "xx", "instances": 2}"#;
    let some = AppFacts { room: Some(1), ..AppFacts::default() };
    let said = dry_run(&world, |world| world.post(new).unwrap(), &facts("/b", some));
    assert_eq!(
        (&said["apps"][0]["action"], &said["apps"][0]["started"]),
        (&json!("create"), &json!(2))
    );
    assert_eq!(said["apps"][0]["warnings"][0], "agents have room for only 1 of 2 instances");
    let restored = Change::RestoreApp { id: a, app: old };
    let said = dry_run(&world, |world| world.apply(restored).unwrap(), &Facts::default());
    assert_eq!((said["apps"].as_array().unwrap().len(), &said["steps"]), (0, &json!([])));
}

#[test]
fn groups_and_locks_are_told() {
    let mut world = World::default();
    world.post(r#"{"id": "/g/a", "cmd": "xx"}"#).unwrap();
    let facts = Facts { conflicts: vec!["d1".to_owned()], ..Facts::default() };
    let said = dry_run(
        &world,
        |world| world.put_group("/", r#"{"groups": [{"id": "h"}]}"#).unwrap(),
        &facts,
    );
    let groups = json!([{"id": "/g", "action": "delete"}, {"id": "/h", "action": "create"}]);
    assert_eq!((&said["groups"], &said["conflicts"]), (&groups, &json!(["d1"])));
}
