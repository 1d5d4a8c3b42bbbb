//! The launch queue: what waits and why, revive and suppress, fairness.

use super::{app, path, running, with};
use crate::{Call, Command, Effects, Input, testing::World};
use marathon_model::change::Change;
use mesos_messages::v1::TaskState;
use serde_json::json;

#[test]
fn what_waits_says_why() {
    let mut world = World::new(1, 0, 0.0);
    world.create(&app("/a", 3)).unwrap();
    let view = world.core.view();
    let queue = view.app(&path("/a")).unwrap().queue.clone().unwrap();
    assert_eq!(
        (queue.count, queue.reasons.as_slice()),
        (3, &["no offers received".to_owned()][..])
    );
    world.cluster.add_agent("agent-0", 0.5);
    world.run(130);
    let view = world.core.view();
    let queue = view.app(&path("/a")).unwrap().queue.clone().unwrap();
    assert!(queue.reasons[0].starts_with("InsufficientCpus on 1 agent:"), "{:?}", queue.reasons);
    assert!(queue.offers.processed() > 0);
    assert_eq!(view.queued.len(), 1);
}

#[test]
fn an_app_that_keeps_failing_waits_longer_and_longer() {
    let mut world = World::new(1, 1, 10.0);
    let app = with(with(app("/a", 1), "cmd", json!("crash")), "backoffSeconds", json!(10));
    world.create(&with(app, "backoffFactor", json!(2))).unwrap();
    world.run(300);
    let launched = world.core.view().metrics.instances_launched;
    assert!((4..=6).contains(&launched), "{launched}");
    let view = world.core.view();
    let queue = view.app(&path("/a")).unwrap().queue.clone().unwrap();
    assert!(queue.reasons[0].starts_with("back-off until 20"), "{:?}", queue.reasons);
    // By hand it goes on at once.
    world.command(Command::ResetDelay { app: path("/a") }).unwrap();
    world.run(7);
    assert_eq!(world.core.view().metrics.instances_launched, launched + 1);
    assert!(world.command(Command::ResetDelay { app: path("/b") }).is_err());
}

#[test]
fn a_kill_is_no_failure() {
    let mut world = running(&app("/a", 1));
    let task = world.instances("/a")[0].task_id().to_string();
    world.end_task(&task, TaskState::TaskKilled);
    world.run(10);
    assert_eq!(world.running("/a"), 1);
    assert_eq!(world.core.view().metrics.instances_failed, 0);
}

#[test]
fn nothing_is_wanted_when_nothing_waits() {
    let mut world = running(&app("/a", 1));
    let mut effects = Effects::default();
    world.core.handle(world.now, Input::Tick, &mut effects);
    assert!(effects.calls.is_empty(), "{effects:?}");
    assert!(world.core.view().metrics.suppresses > 0);
}

#[test]
fn a_huge_app_lets_others_in() {
    let mut world = World::new(1, 2, 10.0);
    world.create(&app("/huge", 1000)).unwrap();
    world.run(20);
    world.create(&app("/small", 1)).unwrap();
    // Two of the huge app's tasks end, and the next free place is the small one's.
    for task in world.instances("/huge").iter().filter(|one| one.launched()).take(2) {
        world.end_task(&task.task_id().to_string(), TaskState::TaskKilled);
    }
    world.run(20);
    assert_eq!(world.running("/small"), 1);
}

#[test]
fn ten_thousand_instances_take_one_round_of_offers() {
    let mut world = World::new(1, 0, 0.0);
    for number in 0..200 {
        world.cluster.add_agent(&format!("agent-{number:03}"), 50.0);
    }
    let app = with(app("/a", 10_000), "cpus", json!(0.5));
    world.create(&app).unwrap();
    let view = world.core.view();
    let offers = world.cluster.offer(world.now.mono);
    let mut effects = Effects::default();
    world.core.handle(world.now, Input::Offers(offers), &mut effects);
    let launched = effects.calls.iter().filter(|call| matches!(call, Call::Accept { .. })).count();
    assert_eq!(launched, 100);
    assert_eq!(world.core.view().metrics.instances_launched, 10_000);
    assert_eq!(view.metrics.instances_launched, 0);
}

#[test]
fn offers_that_are_too_small_for_everybody_stop_coming() {
    let mut world = World::new(1, 0, 0.0);
    let large = |number| with(app(&format!("/a{number}"), 1), "cpus", json!(8.0));
    let updates = (0..1200).map(|number| crate::testing::update(&large(number))).collect();
    world.change(Change::UpdateApps { updates, partial: false, create: true }).unwrap();
    world.cluster.add_agent("agent-0", 1.5);
    for _ in 0..10 {
        world.run(1);
    }
    let declined = |world: &World| world.core.view().metrics.offers_declined;
    // Everybody had a look by now.
    let before = declined(&world);
    assert_eq!(before, 3);
    for _ in 0..60 {
        world.run(1);
    }
    assert_eq!(declined(&world), before);
    // What is newly wanted is not kept from it.
    world.create(&app("/small", 1)).unwrap();
    assert!(world.until(10, |world| world.running("/small") == 1));
}
