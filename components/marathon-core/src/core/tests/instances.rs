//! Single instances: failures, kills, agents out of reach, foreign tasks.

use super::{app, path, running, with};
use crate::{
    Call, Command, Condition, Done, Effects, Input, KillWhat, RequestId,
    testing::{Fate, Task},
};
use mesos_messages::v1::TaskState;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn a_failed_task_is_launched_again_under_the_same_instance() {
    let mut world = running(&app("/a", 1));
    let before = world.instances("/a");
    let task = before[0].task_id().to_string();
    world.end_task(&task, TaskState::TaskFailed);
    world.run(30);
    let after = world.instances("/a");
    assert_eq!((after.len(), &after[0].id), (1, &before[0].id));
    assert_eq!(after[0].incarnation, before[0].incarnation + 1);
    assert_eq!(after[0].condition, Condition::Running);
    let failure = world.core.view().app(&path("/a")).unwrap().last_failure.clone().unwrap();
    assert_eq!((failure.state.as_str(), &failure.task_id), ("TASK_FAILED", &task));
}

#[test]
fn kills_keep_the_instance_and_wipes_do_not() {
    let mut world = running(&app("/a", 2));
    let before = world.instances("/a");
    let first = vec![before[0].id.clone()];
    match world.kill(KillWhat::Ids(first.clone()), false, false) {
        Ok(Done::Killed(killed)) => assert_eq!(killed.len(), 1),
        other => panic!("{other:?}"),
    }
    world.run(30);
    let after = world.instances("/a");
    let same = after.iter().find(|one| one.id == first[0]).unwrap();
    assert_eq!((same.incarnation, same.condition), (2, Condition::Running));
    world.kill(KillWhat::App { id: path("/a"), host: None }, false, true).unwrap();
    world.run(30);
    let wiped = world.instances("/a");
    assert_eq!(wiped.len(), 2);
    assert!(wiped.iter().all(|one| before.iter().all(|old| old.id != one.id)));
    assert_eq!(world.running("/a"), 2);
}

#[test]
fn an_unreachable_instance_is_replaced_at_once_by_default() {
    let mut world = running(&app("/a", 4));
    let lost = world.instances("/a")[0].placement.clone().unwrap().agent_id.clone();
    let were = world.cluster.live().filter(|(_, task)| task.agent == lost).count();
    world.cut(&lost, false);
    world.run(30);
    let live = world.cluster.live().filter(|(_, task)| !task.cut_off).count();
    assert_eq!((live, world.instances("/a").len()), (4, 4));
    // What comes back is a stranger and is killed.
    world.cut(&lost, true);
    world.run(60);
    assert_eq!(world.cluster.live().count(), 4, "{were}");
}

#[test]
fn a_patient_app_waits_for_its_unreachable_instance() {
    let strategy = json!({"inactiveAfterSeconds": 60, "expungeAfterSeconds": 600});
    let mut world = running(&with(app("/a", 2), "unreachableStrategy", strategy));
    let lost = world.instances("/a")[0].placement.clone().unwrap().agent_id.clone();
    let were = world.cluster.live().filter(|(_, task)| task.agent == lost).count();
    world.cut(&lost, false);
    world.run(50);
    assert_eq!(world.instances("/a").len(), 2);
    world.run(20);
    // Replaced, but not forgotten.
    assert_eq!(world.instances("/a").len(), 2 + were);
    world.cut(&lost, true);
    world.run(60);
    assert_eq!((world.instances("/a").len(), world.running("/a")), (2, 2));
    world.cut(&lost, false);
    world.run(700);
    assert_eq!((world.instances("/a").len(), world.running("/a")), (2, 2));
}

#[test]
fn tasks_nobody_knows_are_killed() {
    let mut world = running(&app("/a", 1));
    let status = crate::testing::status("a.instance-00000000-0000-0000-0000-000000000007._app.1");
    let mut effects = crate::Effects::default();
    world.core.handle(world.now, Input::Update(Box::new(status)), &mut effects);
    assert!(matches!(effects.calls.first(), Some(crate::Call::Kill { .. })), "{effects:?}");
}

#[test]
fn sick_instances_are_killed_and_replaced() {
    let check = json!([{
        "protocol": "HTTP", "path": "/", "gracePeriodSeconds": 5, "intervalSeconds": 5,
        "timeoutSeconds": 2, "maxConsecutiveFailures": 2
    }]);
    let ports = json!([{"port": 0, "name": "http"}]);
    let app = with(with(app("/a", 1), "healthChecks", check), "portDefinitions", ports);
    let mut world = running(&app);
    let healthy = world.instances("/a");
    assert_eq!(healthy[0].healthy, Some(true));
    world.put_app("/a", &json!({"cmd": "sick"}), false).unwrap();
    world.run(200);
    // The old one serves on; the new one never gets well.
    assert!(!world.idle());
    let all = world.instances("/a");
    assert!(all.iter().any(|one| one.id == healthy[0].id && one.healthy == Some(true)));
    assert!(all.iter().any(|one| one.incarnation > 2), "{all:?}");
    assert!(world.told().contains(&"unhealthy_instance_kill_event"));
}

#[test]
fn what_a_lost_connection_left_open_is_soon_asked_about_again() {
    let mut world = running(&app("/a", 1));
    let instance = world.instances("/a").remove(0);
    let (task, mut now) = (instance.task_id().to_string(), world.now);
    let framework_id = world.core.view().framework_id.unwrap().to_string();
    let mut kills = |seconds: u64, input: Input| {
        now = now.plus(Duration::from_secs(seconds));
        let mut out = Effects::default();
        world.core.handle(now, input, &mut out);
        let kill = |call: &Call| matches!(call, Call::Kill { task: of, .. } if *of == task);
        out.calls.iter().filter(|call| kill(call)).count()
    };
    let what = KillWhat::Ids(vec![instance.id.clone()]);
    let kill = Command::Kill { what, scale: false, wipe: false, force: false };
    assert_eq!(kills(0, Input::Command(RequestId(1000), kill)), 1);
    let (master, region, zone) = ("m:5050".to_owned(), None, None);
    assert_eq!(kills(1, Input::Disconnected), 0);
    assert_eq!(kills(1, Input::Subscribed { framework_id, master, region, zone }), 1);
    // The master may not know yet of the agents that come back to it.
    let seconds = [1, 1, 2, 4];
    assert_eq!(seconds.map(|seconds| kills(seconds, Input::Tick)), [1, 1, 1, 1]);
    assert_eq!(kills(8, Input::Tick), 0, "from now on at the usual pace");
}

fn checked(json: Value, grace: u64, failures: u64) -> Value {
    let check = json!([{
        "protocol": "HTTP", "path": "/", "gracePeriodSeconds": grace, "intervalSeconds": 5,
        "timeoutSeconds": 2, "maxConsecutiveFailures": failures
    }]);
    let ports = json!([{"port": 0, "name": "http"}]);
    with(with(json, "healthChecks", check), "portDefinitions", ports)
}

#[test]
fn the_grace_period_does_not_begin_anew_with_the_process() {
    let mut world = running(&checked(app("/a", 1), 300, 2));
    world.run(400);
    let task = world.instances("/a")[0].task_id().to_string();
    world.restart();
    world.cluster.tasks.get_mut(&task).unwrap().fate = Fate::Sick;
    assert!(world.until(60, |world| world.cluster.live().all(|(id, _)| *id != task)));
}

#[test]
fn after_a_start_nobody_is_given_up_before_it_is_known_who_is_healthy() {
    let strategy = json!({"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.0});
    let mut world = running(&with(checked(app("/a", 4), 5, 0), "upgradeStrategy", strategy));
    // The oldest ones: they would go last.
    let mut all = world.instances("/a");
    all.sort_by_key(|one| one.started_at);
    for one in all.iter().take(2) {
        world.cluster.tasks.get_mut(&one.task_id().to_string()).unwrap().fate = Fate::Sick;
    }
    world.run(30);
    world.restart();
    world.put_app("/a", &json!({"cmd": "fine 2"}), false).unwrap();
    let serves = |task: &Task| task.fate == Fate::Fine && task.state == TaskState::TaskRunning;
    for _ in 0..200 {
        world.run(1);
        let healthy = world.cluster.live().filter(|(_, task)| serves(task)).count();
        assert!(healthy >= 2, "{healthy}");
    }
    assert!(world.idle());
}

#[test]
fn a_kill_that_was_answered_outlives_the_process() {
    let mut world = running(&app("/a", 1));
    let id = world.instances("/a")[0].id.clone();
    for round in 2..10 {
        world.kill(KillWhat::Ids(vec![id.clone()]), false, false).unwrap();
        world.restart();
        world.run(60);
        let all = world.instances("/a");
        assert_eq!((all.len(), &all[0].id, all[0].incarnation), (1, &id, round));
    }
}
