//! What goes to the master, and when.

use super::{app, path, running, with};
use crate::{Call, Effects, Event, EventKind, Input, KillWhat, Write, testing::World};
use mesos_messages::v1::TaskState;
use serde_json::json;
use std::time::Duration;

fn subscribed(world: &mut World, id: &str) -> Effects {
    let mut effects = Effects::default();
    let (framework_id, master) = (id.to_owned(), "master:5050".to_owned());
    let input = Input::Subscribed { framework_id, master, region: None, zone: None };
    world.core.handle(world.now, input, &mut effects);
    effects
}

fn tick(world: &mut World, seconds: u64) -> Effects {
    world.now = world.now.plus(Duration::from_secs(seconds));
    let mut effects = Effects::default();
    world.core.handle(world.now, Input::Tick, &mut effects);
    effects
}

fn reconciliations(effects: &Effects) -> Vec<usize> {
    let of = |call: &Call| match call {
        Call::Reconcile(tasks) => Some(tasks.len()),
        _ => None,
    };
    effects.calls.iter().filter_map(of).collect()
}

#[test]
fn the_framework_id_is_written_before_anything_is_launched() {
    let mut world = World::new(1, 0, 0.0);
    let effects = subscribed(&mut world, "another");
    assert!(matches!(effects.writes.as_slice(), [Write::FrameworkId(id)] if id == "another"));
    let effects = subscribed(&mut world, "another");
    assert!(effects.writes.is_empty());
    let again = |event: &Event| matches!(event.kind, EventKind::SchedulerReregistered { .. });
    assert!(effects.events.iter().any(again));
}

#[test]
fn tasks_are_reconciled_one_by_one_and_all_together() {
    let mut world = running(&app("/a", 3));
    let effects = subscribed(&mut world, "framework");
    assert_eq!(reconciliations(&effects), [3, 0]);
    assert_eq!(reconciliations(&tick(&mut world, 14)), [0; 0]);
    assert_eq!(reconciliations(&tick(&mut world, 1)), [3, 0]);
    assert_eq!(reconciliations(&tick(&mut world, 599)), [0; 0]);
    assert_eq!(reconciliations(&tick(&mut world, 1)), [3, 0]);
}

#[test]
fn kills_come_in_chunks_and_again() {
    let app = with(app("/a", 250), "cpus", json!(0.1));
    let mut world = running(&with(app, "taskKillGracePeriodSeconds", json!(7)));
    let what = KillWhat::App { id: path("/a"), host: None };
    let command = crate::Command::Kill { what, scale: false, wipe: false, force: false };
    let mut effects = Effects::default();
    world.core.handle(world.now, Input::Command(crate::RequestId(9), command), &mut effects);
    let kills = |effects: &Effects| -> Vec<String> {
        let of = |call: &Call| match call {
            Call::Kill { task, grace, .. } => {
                assert_eq!(*grace, Some(Duration::from_secs(7)));
                Some(task.clone())
            }
            _ => None,
        };
        effects.calls.iter().filter_map(of).collect()
    };
    let first = kills(&effects);
    assert_eq!(first.len(), 100);
    // Each answer makes room for one more.
    let mut status = crate::testing::status(&first[0]);
    status.set_state(TaskState::TaskKilled);
    let mut effects = Effects::default();
    world.core.handle(world.now, Input::Update(Box::new(status)), &mut effects);
    assert_eq!(kills(&effects).len(), 1);
    // Silence holds nobody up: after half a minute the others have their turn first.
    let second = kills(&tick(&mut world, 30));
    assert_eq!(second.len(), 100);
    assert!(second.iter().all(|task| !first.contains(task)));
}

#[test]
fn a_launch_that_nobody_heard_of_is_given_up() {
    let mut world = World::new(1, 0, 0.0);
    world.create(&app("/a", 1)).unwrap();
    world.cluster.add_agent("agent-0", 4.0);
    let offers = world.cluster.offer(world.now.mono);
    world.core.handle(world.now, Input::Offers(offers), &mut Effects::default());
    let task = world.instances("/a")[0].task_id().to_string();
    let is_kill = |call: &Call| matches!(call, Call::Kill { task: of, .. } if *of == task);
    assert!(!tick(&mut world, 299).calls.iter().any(is_kill));
    assert!(tick(&mut world, 1).calls.iter().any(is_kill));
    let mut status = crate::testing::status(&task);
    status.set_state(TaskState::TaskUnknown);
    world.core.handle(world.now, Input::Update(Box::new(status)), &mut Effects::default());
    assert_eq!(world.core.view().app(&path("/a")).unwrap().counts.scheduled, 1);
}

#[test]
fn a_new_role_is_announced() {
    let mut world = World::new(1, 0, 0.0);
    let group = marathon_model::GroupUpdate::parse(&json!({"id": "/dev", "enforceRole": true}));
    let update = group.unwrap();
    world.change(marathon_model::Change::CreateGroup { id: path("/"), update }).unwrap();
    let update = crate::testing::update(&app("/dev/a", 1));
    let change = marathon_model::Change::CreateApp(update);
    let command = crate::Command::Change { change, force: false };
    let mut effects = Effects::default();
    world.core.handle(world.now, Input::Command(crate::RequestId(9), command), &mut effects);
    let announced = effects
        .calls
        .iter()
        .any(|call| matches!(call, Call::UpdateFramework { roles, .. } if *roles == ["*", "dev"]));
    assert!(announced, "{:?}", effects.calls);
    assert_eq!(world.core.roles(), ["*", "dev"]);
}

#[test]
fn every_update_is_acknowledged_after_what_it_led_to_is_written() {
    let mut world = running(&app("/a", 1));
    let mut status = crate::testing::status(&world.instances("/a")[0].task_id().to_string());
    status.set_state(TaskState::TaskFailed);
    let mut effects = Effects::default();
    world.core.handle(world.now, Input::Update(Box::new(status)), &mut effects);
    assert!(effects.writes.iter().any(|write| matches!(write, Write::PutInstance(_))));
    assert!(effects.calls.iter().any(|call| matches!(call, Call::Acknowledge(_))));
}
