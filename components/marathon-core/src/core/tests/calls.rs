//! What goes to the master, and when.

use super::{app, path, running, with};
use crate::{Call, Effects, Event, EventKind, FailedCall, Input, KillWhat, Write, testing::World};
use mesos_messages::v1::{self, TaskState};
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

fn fail(world: &mut World, call: FailedCall) -> Effects {
    let mut effects = Effects::default();
    let input = Input::CallFailed { call, reason: "no".to_owned() };
    world.core.handle(world.now, input, &mut effects);
    effects
}

#[test]
fn offers_that_were_given_back_in_vain_are_given_back_again() {
    let mut world = World::new(1, 0, 0.0);
    let offers = vec![v1::OfferId { value: "o".to_owned() }];
    assert!(fail(&mut world, FailedCall::Decline(offers.clone())).calls.is_empty());
    let given_back = |effects: &Effects| {
        effects
            .calls
            .iter()
            .any(|call| matches!(call, Call::Decline { offers: of, .. } if *of == offers))
    };
    assert!(given_back(&tick(&mut world, 1)));
    let lost = FailedCall::Accept { tasks: Vec::new(), offers: offers.clone() };
    assert!(fail(&mut world, lost.clone()).calls.is_empty());
    assert!(given_back(&tick(&mut world, 1)));
    // Another subscription has other offers.
    fail(&mut world, lost);
    subscribed(&mut world, "framework");
    assert!(!given_back(&tick(&mut world, 1)));
}

fn in_group(world: &mut World, group: &str) -> Effects {
    let body = json!({"id": format!("/{group}"), "enforceRole": true});
    let update = marathon_model::GroupUpdate::parse(&body).unwrap();
    world.change(marathon_model::Change::CreateGroup { id: path("/"), update }).unwrap();
    let update = crate::testing::update(&app(&format!("/{group}/a"), 1));
    let change = marathon_model::Change::CreateApp(update);
    let command = crate::Command::Change { change, force: false };
    let mut effects = Effects::default();
    world.core.handle(world.now, Input::Command(crate::RequestId(9), command), &mut effects);
    effects
}

fn announced(effects: &Effects) -> Vec<Vec<String>> {
    let of = |call: &Call| match call {
        Call::UpdateFramework { roles, .. } => Some(roles.clone()),
        _ => None,
    };
    effects.calls.iter().filter_map(of).collect()
}

#[test]
fn a_role_that_is_refused_is_left_out_and_named() {
    let mut world = World::new(1, 0, 0.0);
    let bad = announced(&in_group(&mut world, "bad"));
    assert_eq!(bad, [["*", "bad"]]);
    // The next one is on its way when the master's answer comes.
    let both = announced(&in_group(&mut world, "good"));
    assert_eq!(both, [["*", "bad", "good"]]);
    let after = fail(&mut world, FailedCall::Roles(bad[0].clone()));
    assert_eq!(announced(&after), [["*", "good"]]);
    assert!(fail(&mut world, FailedCall::Roles(both[0].clone())).calls.is_empty());
    let later = tick(&mut world, 2);
    let revived = |call: &Call| matches!(call, Call::Revive { roles } if roles.iter().any(|role| role == "bad"));
    assert!(announced(&later).is_empty() && !later.calls.iter().any(revived), "{later:?}");
    let view = world.core.view();
    let queue = view.app(&path("/bad/a")).unwrap().queue.clone().unwrap();
    assert_eq!(queue.reasons, ["the master refuses the role 'bad': no"]);
    // Perhaps the master has changed its mind.
    assert_eq!(announced(&tick(&mut world, 30)), [["*", "bad", "good"]]);
}

#[test]
fn of_several_new_roles_the_bad_one_is_found() {
    let mut world = World::new(1, 0, 0.0);
    in_group(&mut world, "bad");
    in_group(&mut world, "good");
    let all = announced(&subscribed(&mut world, "framework"));
    assert_eq!(all, [["*", "bad", "good"]]);
    let each = announced(&fail(&mut world, FailedCall::Roles(all[0].clone())));
    assert_eq!(each, [vec!["*", "bad"], vec!["*", "bad", "good"]]);
    let rest = announced(&fail(&mut world, FailedCall::Roles(each[0].clone())));
    assert_eq!(rest, [["*", "good"]]);
    assert!(fail(&mut world, FailedCall::Roles(each[1].clone())).calls.is_empty());
}

#[test]
fn what_is_not_heard_is_said_again_after_longer_and_longer_pauses() {
    let mut world = World::new(1, 0, 0.0);
    world.create(&app("/a", 1)).unwrap();
    tick(&mut world, 10);
    let revives = |effects: &Effects| {
        effects.calls.iter().filter(|call| matches!(call, Call::Revive { .. })).count()
    };
    for pause in [1, 2, 4, 8, 16, 30, 30] {
        let effects = fail(&mut world, FailedCall::Interest);
        assert_eq!(revives(&effects), 0);
        assert_eq!(revives(&tick(&mut world, pause - 1)), 0);
        assert_eq!(revives(&tick(&mut world, 1)), 1, "after {pause} s");
    }
}

#[test]
fn what_is_newly_wanted_is_asked_for_at_once() {
    let mut world = World::new(1, 0, 0.0);
    world.config.min_revive_interval = Duration::from_secs(5);
    let mut revives = 0;
    for number in 0..50 {
        let update = crate::testing::update(&app(&format!("/a{number}"), 1));
        let change = marathon_model::Change::CreateApp(update);
        let command = crate::Command::Change { change, force: false };
        let mut effects = Effects::default();
        let input = Input::Command(crate::RequestId(100 + number), command);
        world.core.handle(world.now, input, &mut effects);
        world.now = world.now.plus(Duration::from_millis(100));
        world.core.handle(world.now, Input::Tick, &mut effects);
        let asked = effects.calls.iter().filter(|call| matches!(call, Call::Revive { .. }));
        revives += asked.count();
    }
    assert_eq!(revives, 50);
}
