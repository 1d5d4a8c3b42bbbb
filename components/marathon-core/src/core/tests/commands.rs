//! Requests that are refused, and those that change nothing.

use super::{app, path, running, with};
use crate::{Command, Done, KillWhat, Refusal, testing::World};
use marathon_model::{ModelError, change::Change};
use serde_json::json;

fn status(reply: Result<Done, Refusal>) -> u16 {
    match reply {
        Err(Refusal::Model(error)) => error.status(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut world = running(&app("/a", 1));
    assert_eq!(status(world.create(&app("/a", 1))), 409);
    assert_eq!(status(world.put_app("/none", &json!({"instances": 2}), false)), 404);
    assert!(world.told().contains(&"group_change_failed"));
    let all = |id: &str| KillWhat::App { id: path(id), host: None };
    assert_eq!(status(world.kill(all("/a"), true, true)), 400);
    assert_eq!(status(world.kill(all("/none"), false, false)), 404);
    assert!(world.idle());
}

#[test]
fn volumes_that_outlive_tasks_wait_for_reservations() {
    let mut world = running(&app("/a", 1));
    let container = json!({"type": "MESOS", "volumes": [
        {"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}
    ]});
    let strategy = json!({"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0});
    let app = with(with(app("/b", 1), "container", container), "upgradeStrategy", strategy);
    assert_eq!(status(world.create(&with(app, "role", json!("r")))), 422);
}

#[test]
fn unknown_instances_are_not_killed() {
    let mut world = running(&app("/a", 2));
    let stranger = "a.instance-00000000-0000-0000-0000-000000000007";
    let stranger = marathon_model::InstanceId::parse(stranger).unwrap();
    match world.kill(KillWhat::Ids(vec![stranger]), false, false) {
        Ok(Done::Killed(killed)) => assert!(killed.is_empty()),
        other => panic!("{other:?}"),
    }
    // Only those on one host.
    let host = world.instances("/a")[0].placement.clone().unwrap().host.clone();
    let there = |host: &str| KillWhat::App { id: path("/a"), host: Some(host.to_owned()) };
    let count = |reply| match reply {
        Ok(Done::Killed(killed)) => killed.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(count(world.kill(there("nowhere"), false, false)), 0);
    assert!((1..=2).contains(&count(world.kill(there(&host), false, false))));
}

#[test]
fn what_stays_the_same_begins_nothing() {
    let mut world = running(&app("/a", 2));
    let before = world.instances("/a");
    let done = world.put_app("/a", &json!({"instances": 2}), false).unwrap();
    assert!(matches!(done, Done::Deployment { created: false, .. }));
    assert!(world.idle());
    assert_eq!(world.told(), ["group_change_success", "deployment_success"]);
    assert_eq!(world.instances("/a"), before);
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut world = running(&app("/a", 2));
    let root = world.core.view().root.version();
    let change = Change::DeleteApp { id: path("/a") };
    match world.command(Command::DryRun { change }) {
        Ok(Done::Impact(impact)) => assert!(impact.get("steps").is_some()),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.core.view().root.version(), root);
    assert!(world.idle() && world.told().is_empty());
}

#[test]
fn a_kill_with_scale_waits_for_nobody_else() {
    let mut world = running(&app("/a", 2));
    world.put_app("/a", &json!({"cmd": "crash"}), false).unwrap();
    let ids = vec![world.instances("/a")[0].id.clone()];
    let refused = world.kill(KillWhat::Ids(ids.clone()), true, false);
    let locked = Err(Refusal::Model(ModelError::Conflict {
        message: String::new(),
        deployments: Vec::new(),
    }));
    assert_eq!(status(refused), status(locked));
    // Nothing was killed, and by force it is.
    assert_eq!(world.core.view().metrics.kills_sent, 0);
    let what = KillWhat::Ids(ids);
    let kill = Command::Kill { what, scale: true, wipe: false, force: true };
    assert!(matches!(world.command(kill), Ok(Done::Deployment { .. })));
}

#[test]
fn a_kill_with_scale_counts_each_instance_once() {
    let mut world = running(&app("/a", 3));
    let id = world.instances("/a")[0].id.clone();
    let ids = KillWhat::Ids(vec![id.clone(), id.clone(), id]);
    world.kill(ids, true, false).unwrap();
    assert!(world.until(60, World::idle));
    assert_eq!((world.instances("/a").len(), world.running("/a")), (2, 2));
}

#[test]
fn a_kill_with_scale_does_not_count_what_was_replaced() {
    let strategy = json!({"inactiveAfterSeconds": 5, "expungeAfterSeconds": 600});
    let mut world = running(&with(app("/a", 3), "unreachableStrategy", strategy));
    let lost = world.instances("/a")[0].placement.clone().unwrap().agent_id.clone();
    world.cut(&lost, false);
    world.run(30);
    let inactive = |one: &&std::sync::Arc<crate::Instance>| {
        one.condition == crate::Condition::UnreachableInactive
    };
    let all = world.instances("/a");
    let ids: Vec<_> = all.iter().filter(inactive).map(|one| one.id.clone()).collect();
    assert!(!ids.is_empty());
    world.kill(KillWhat::Ids(ids), true, false).unwrap();
    assert!(world.until(60, World::idle));
    assert_eq!((world.instances("/a").len(), world.running("/a")), (3, 3));
}
