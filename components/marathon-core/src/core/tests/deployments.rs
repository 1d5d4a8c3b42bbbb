//! Deployments: what they do, in which order, and what they tell.

use super::{app, deployment, path, running, with};
use crate::{Command, Condition, Done, KillWhat, Refusal, testing::World};
use marathon_model::{ModelError, change::Change};
use serde_json::json;

#[test]
fn a_new_app_comes_to_run() {
    let mut world = World::new(1, 3, 10.0);
    let done = world.create(&app("/a", 5)).unwrap();
    let Done::Deployment { id, app, created, .. } = done else { panic!("{done:?}") };
    assert!(created && app.is_some_and(|app| app.instances == 5));
    assert_eq!(world.core.view().deployments.front().unwrap().plan.id, id);
    assert!(world.until(60, World::idle));
    assert_eq!(world.running("/a"), 5);
    let view = world.core.view();
    let state = view.app(&path("/a")).unwrap();
    assert_eq!((state.counts.running, state.counts.total, state.counts.staged), (5, 5, 0));
    assert!(state.queue.is_none() && view.queued.is_empty() && state.deployments.is_empty());
    let told = [
        "group_change_success",
        "deployment_info",
        "deployment_step_success",
        "deployment_info",
        "deployment_step_success",
        "deployment_success",
    ];
    assert_eq!(world.told(), told);
}

#[test]
fn counts_follow_scaling() {
    let mut world = running(&app("/a", 3));
    world.put_app("/a", &json!({"instances": 6}), false).unwrap();
    assert!(world.until(60, World::idle));
    assert_eq!(world.running("/a"), 6);
    let old = world.instances("/a");
    world.put_app("/a", &json!({"instances": 2}), false).unwrap();
    assert!(world.until(60, World::idle));
    assert_eq!(world.running("/a"), 2);
    // The youngest went, nobody was launched anew.
    let mut ages: Vec<_> = old.iter().map(|one| one.started_at).collect();
    ages.sort();
    let left: Vec<_> = world.instances("/a").iter().map(|one| one.started_at).collect();
    assert!(left.iter().all(|at| *at <= ages[1]));
}

#[test]
fn an_update_replaces_every_instance_within_its_bounds() {
    let strategy = json!({"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.25});
    let mut world = running(&with(app("/a", 8), "upgradeStrategy", strategy));
    let old = world.instances("/a");
    world.put_app("/a", &json!({"cmd": "fine 2"}), false).unwrap();
    while !world.idle() {
        world.run(1);
        let (live, up) = (world.cluster.live().count(), world.running("/a"));
        assert!(live <= 10 && up >= 4, "{live} live, {up} running");
    }
    let new = world.instances("/a");
    assert_eq!(new.len(), 8);
    assert!(new.iter().all(|one| old.iter().all(|old| old.id != one.id)));
    assert!(new.iter().all(|one| one.spec.cmd.as_deref() == Some("fine 2")));
}

#[test]
fn a_deleted_app_leaves_nothing() {
    let mut world = running(&app("/a", 3));
    world.change(Change::DeleteApp { id: path("/a") }).unwrap();
    assert!(world.until(60, World::idle));
    assert_eq!(world.running("/a"), 0);
    let view = world.core.view();
    assert!(view.app(&path("/a")).is_none() && view.root.app(&path("/a")).is_none());
    assert!(world.told().contains(&"app_terminated_event"));
}

#[test]
fn a_locked_app_is_told_who_locks_it() {
    let mut world = World::new(1, 1, 0.5);
    let first = deployment(&world.create(&app("/a", 1)));
    let refused = world.put_app("/a", &json!({"cpus": 0.1}), false);
    match refused {
        Err(Refusal::Model(ModelError::Conflict { deployments, .. })) => {
            assert_eq!(deployments, [first]);
        }
        other => panic!("{other:?}"),
    }
    // By force the other one goes, and this one fits.
    world.put_app("/a", &json!({"cpus": 0.1}), true).unwrap();
    assert!(world.until(60, World::idle));
    assert_eq!(world.running("/a"), 1);
    assert!(world.told().contains(&"deployment_failed"));
}

#[test]
fn no_more_deployments_than_allowed() {
    let mut world = World::new(1, 0, 0.0);
    for number in 0..100 {
        world.create(&app(&format!("/a{number}"), 1)).unwrap();
    }
    let refused = world.create(&app("/b", 1));
    assert!(matches!(refused, Err(Refusal::Model(ModelError::TooMany(_)))), "{refused:?}");
    world.put_app("/a7", &json!({"cmd": "other"}), true).unwrap();
}

#[test]
fn a_cancelled_deployment_is_taken_back_or_left_as_it_is() {
    let mut world = running(&app("/a", 4));
    let old: Vec<_> = world.instances("/a").iter().map(|one| one.id.clone()).collect();
    let id = deployment(&world.put_app("/a", &json!({"cmd": "crash"}), false));
    world.run(20);
    assert!(!world.idle());
    let back = world.command(Command::CancelDeployment { id: id.clone(), force: false });
    assert_ne!(deployment(&back), id);
    assert!(world.until(100, World::idle));
    assert_eq!(world.running("/a"), 4);
    assert_eq!(world.core.view().root.app(&path("/a")).unwrap().cmd.as_deref(), Some("fine"));

    let id = deployment(&world.put_app("/a", &json!({"cmd": "crash 2"}), false));
    world.run(20);
    let done = world.command(Command::CancelDeployment { id, force: true });
    assert!(matches!(done, Ok(Done::Nothing)));
    assert!(world.idle());
    assert_eq!(world.running("/a"), 4, "{old:?}");
    let gone = world.command(Command::CancelDeployment { id: "x".to_owned(), force: true });
    assert!(matches!(gone, Err(Refusal::Model(ModelError::NotFound(_)))));
}

#[test]
fn an_update_that_keeps_failing_is_taken_back_if_the_app_asks_for_it() {
    let labels = json!({"DAIS_AUTO_ROLLBACK": "3"});
    let mut world = running(&with(app("/a", 2), "labels", labels));
    world.put_app("/a", &json!({"cmd": "crash"}), false).unwrap();
    assert!(world.until(200, World::idle));
    let root = world.core.view().root;
    assert_eq!(root.app(&path("/a")).unwrap().cmd.as_deref(), Some("fine"));
    assert_eq!(world.running("/a"), 2);
    assert!(world.told().contains(&"deployment_failed"));
}

#[test]
fn what_takes_an_update_back_is_known_as_that_to_the_next_process() {
    let labels = json!({"DAIS_AUTO_ROLLBACK": "3"});
    let mut world = running(&with(app("/a", 2), "labels", labels));
    world.put_app("/a", &json!({"cmd": "crash"}), false).unwrap();
    let takes_back =
        |world: &World| world.core.view().deployments.front().is_some_and(|shown| shown.rollback);
    let mut seconds = 0;
    while !takes_back(&world) {
        world.step_once();
        seconds += 1;
        assert!(seconds < 100_000);
    }
    world.restart();
    assert!(takes_back(&world));
}

#[test]
fn a_deployment_that_stands_still_says_why() {
    let mut world = World::new(1, 2, 0.5);
    world.create(&app("/a", 1)).unwrap();
    world.run(58);
    assert!(world.core.view().deployments.front().unwrap().reason.is_none());
    world.run(10);
    let view = world.core.view();
    let reason = view.deployments.front().unwrap().reason.clone().unwrap();
    assert!(reason.contains("InsufficientCpus on 2 agents"), "{reason}");
    assert!(world.told().contains(&"deployment_stalled_event"));
}

#[test]
fn apps_come_after_what_they_depend_on() {
    let mut world = World::new(1, 2, 10.0);
    let group = json!({"id": "/g", "apps": [
        app("db", 1),
        with(app("web", 1), "dependencies", json!(["db"])),
    ]});
    let update = marathon_model::GroupUpdate::parse(&group).unwrap();
    world.change(Change::CreateGroup { id: path("/"), update }).unwrap();
    while !world.idle() {
        world.run(1);
        assert!(world.running("/g/web") == 0 || world.running("/g/db") == 1);
    }
    assert_eq!((world.running("/g/db"), world.running("/g/web")), (1, 1));
}

#[test]
fn readiness_is_waited_for() {
    let check =
        json!([{"name": "r", "portName": "http", "intervalSeconds": 2, "timeoutSeconds": 1}]);
    let ports = json!([{"port": 0, "name": "http"}]);
    let app = with(with(app("/a", 2), "readinessChecks", check), "portDefinitions", ports);
    let mut world = running(&app);
    let view = world.core.view();
    assert!(view.app(&path("/a")).unwrap().instances.values().all(|one| one.ready));
    // Never ready: old ones stay.
    world.put_app("/a", &json!({"cmd": "sick"}), false).unwrap();
    world.run(100);
    let view = world.core.view();
    let state = view.app(&path("/a")).unwrap();
    assert_eq!(state.readiness.len(), 2);
    assert!(state.readiness.values().all(|result| !result.ready));
    let reason = view.deployments.front().unwrap().reason.clone().unwrap();
    assert!(reason.contains("not ready by the readiness check"), "{reason}");
    assert_eq!(world.running("/a"), 4);
}

#[test]
fn a_restart_in_the_middle_doubles_nothing() {
    let strategy = json!({"minimumHealthCapacity": 0.75, "maximumOverCapacity": 0.0});
    let mut world = running(&with(app("/a", 8), "upgradeStrategy", strategy));
    world.put_app("/a", &json!({"cmd": "fine 2"}), false).unwrap();
    let mut rounds = 0;
    while !world.idle() {
        world.run(3);
        rounds += 1;
        assert!(rounds < 100);
        world.restart();
        assert!(world.cluster.live().count() <= 8 && world.running("/a") >= 6);
    }
    assert_eq!(world.running("/a"), 8);
    let new = world.instances("/a");
    assert!(new.iter().all(|one| one.condition == Condition::Running));
    assert!(new.iter().all(|one| one.spec.cmd.as_deref() == Some("fine 2")));
}

#[test]
fn a_failed_scale_leaves_the_count_as_it_was() {
    let mut world = running(&app("/a", 3));
    let ids: Vec<_> = world.instances("/a").iter().take(1).map(|one| one.id.clone()).collect();
    let done = world.kill(KillWhat::Ids(ids), true, false);
    deployment(&done);
    assert!(world.until(60, World::idle));
    assert_eq!(world.running("/a"), 2);
    assert_eq!(world.core.view().root.app(&path("/a")).unwrap().instances, 2);
}

#[test]
fn a_restart_before_a_later_step_undoes_nothing_of_it() {
    let check = json!([{
        "protocol": "HTTP", "path": "/", "gracePeriodSeconds": 5, "intervalSeconds": 5,
        "timeoutSeconds": 2
    }]);
    let ports = json!([{"port": 0, "name": "http"}]);
    let group = |cmd: &str, instances: u32| {
        let db = with(
            with(app("db", 1), "healthChecks", check.clone()),
            "portDefinitions",
            ports.clone(),
        );
        let apps = [
            with(db, "cmd", json!(cmd)),
            with(app("web", instances), "dependencies", json!(["db"])),
        ];
        let update =
            marathon_model::GroupUpdate::parse(&json!({"id": "/g", "apps": apps})).unwrap();
        Change::UpdateGroup { id: path("/g"), update }
    };
    let mut world = World::new(1, 4, 4.0);
    world.change(group("fine", 1)).unwrap();
    assert!(world.until(120, World::idle));
    // Two of them find no room: the deployment does not end.
    world.change(group("fine 2", 20)).unwrap();
    assert!(world.until(120, |world| world.running("/g/web") > 10));
    let lost = world.instances("/g/web")[0].placement.clone().unwrap().agent_id.clone();
    let there = |world: &World| {
        let web = |id: &str| id.starts_with("g_web.");
        world.cluster.live().filter(|(id, task)| web(id) && task.agent != lost).count()
    };
    let before = there(&world);
    world.restart();
    world.cut(&lost, false);
    for _ in 0..30 {
        world.run(1);
        assert!(there(&world) >= before, "{} of {before}", there(&world));
    }
}
