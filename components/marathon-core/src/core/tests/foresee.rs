//! What a dry run says of the agents, and that it changes nothing.

use super::{app, path, running, with};
use crate::{Command, Done, testing::World};
use marathon_model::{AppUpdate, change::Change};
use serde_json::{Value, json};

fn dry_run(world: &mut World, id: &str, body: &Value) -> Value {
    let update = AppUpdate::parse(body).unwrap();
    let change = Change::UpdateApp { id: path(id), update, partial: true, create: true };
    match world.command(Command::DryRun { change }) {
        Ok(Done::Impact(impact)) => impact,
        other => panic!("no impact: {other:?}"),
    }
}

fn warnings(impact: &Value) -> Vec<&str> {
    let warnings = impact.pointer("/apps/0/warnings").and_then(Value::as_array).unwrap();
    warnings.iter().filter_map(Value::as_str).collect()
}

#[test]
fn room_on_the_agents_is_foretold() {
    // Four agents with ten cpus each, six cpus in use.
    let mut world = running(&app("/a", 6));
    let version = world.core.view().root.version();
    let impact = dry_run(&mut world, "/a", &json!({"instances": 30}));
    assert_eq!(impact.pointer("/apps/0/instances/running"), Some(&json!(6)));
    assert_eq!(impact.pointer("/apps/0/started"), Some(&json!(24)));
    assert!(warnings(&impact).is_empty() && impact.pointer("/apps/0/unmet/0").is_none());

    let impact = dry_run(&mut world, "/a", &json!({"instances": 60}));
    assert_eq!(warnings(&impact), ["agents have room for only 34 of 54 instances"]);
    assert_eq!(impact.pointer("/apps/0/unmet/0/reason"), Some(&json!("InsufficientCpus")));
    assert_eq!(impact.pointer("/apps/0/unmet/0/agents"), Some(&json!(4)));

    let wide = with(app("/b", 5), "constraints", json!([["hostname", "UNIQUE"]]));
    let impact = dry_run(&mut world, "/b", &wide);
    let last = warnings(&impact).pop().unwrap();
    assert_eq!(last, "agents have room for only 4 of 5 instances");
    let impact = dry_run(&mut world, "/b", &with(app("/b", 1), "cpus", json!(11)));
    let last = warnings(&impact).pop().unwrap();
    assert_eq!(last, "no agent can take an instance now");

    let view = world.core.view();
    assert_eq!((view.root.version(), view.root.apps().len()), (version, 1));
    assert!(view.deployments.is_empty());
}
