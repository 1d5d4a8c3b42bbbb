//! Frameworks that come, fail over, change and go.
use libprocess::Upid;
use mesos_messages::v1;
use v1::{
    TaskState,
    framework_info::capability::Type as Capability,
    scheduler::{Call, call},
};

use super::world::*;
use crate::{
    config::MasterConfig,
    core::{Incoming, Input, Outgoing, Registry},
    handle::SchedulerReply,
    model::OperatorEvent,
    wire::PidSubscribe,
};

fn refused(world: &mut World, info: v1::FrameworkInfo) -> String {
    let framework = world.subscribe(info);
    assert_eq!(framework.id, "");
    let events = world.on_stream(&framework.stream);
    assert_eq!(events.len(), 1);
    assert!(world.events.last().unwrap().1.is_none(), "the stream is ended");
    events[0].error.clone().unwrap().message
}

#[test]
fn subscriptions_are_refused_in_the_recorded_words() {
    let mut world = World::new();
    let roles = |roles: &[&str], capabilities: &[Capability]| v1::FrameworkInfo {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        ..info(capabilities)
    };
    assert_eq!(
        refused(&mut world, roles(&["*"], &[])),
        "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
    );
    assert_eq!(
        refused(&mut world, roles(&["a", "a"], &[Capability::MultiRole])),
        "'FrameworkInfo.roles' contains duplicate items: { a }"
    );
    let timeout = v1::FrameworkInfo { failover_timeout: Some(1e20), ..info(&[]) };
    assert_eq!(refused(&mut world, timeout), "The framework failover_timeout (1e+20) is invalid");
    let negative = v1::FrameworkInfo { failover_timeout: Some(-1.0), ..info(&[]) };
    assert_ne!(world.subscribe(negative).id, "");
    let config = MasterConfig { roles: Some(vec!["ops".into()]), ..config() };
    let mut world = World::with(config, Registry::default());
    assert_eq!(
        refused(&mut world, roles(&["dev"], &[Capability::MultiRole])),
        "Roles { dev } are not present in the master's --roles"
    );
}

#[test]
fn a_new_stream_replaces_the_old_one() {
    let mut world = World::new();
    world.register(1, "cpus:1;mem:100");
    let old = world.subscribe(aware());
    world.launch(&old, "t");
    world.pass_alive(2);
    let info = world.snapshot().frameworks[0].framework.info.as_ref().clone();
    let new = world.subscribe(info);
    assert_eq!(new.id, old.id);
    let error = world.on_stream(&old.stream).pop().unwrap().error.unwrap();
    assert_eq!(error.message, "Framework failed over");
    assert!(world.events.iter().any(|(to, event)| *to == old.stream && event.is_none()));
    let reply = world.call(&old, typed(call::Type::Revive));
    let SchedulerReply::Refused(400, text) = reply else { panic!("{reply:?}") };
    assert!(text.starts_with("The stream ID 'stream-0' included in this request didn't match"));
    // The old stream's end means nothing any more.
    world.input(Input::StreamClosed { stream: old.stream.clone() });
    assert!(world.snapshot().frameworks[0].framework.connected);
    assert_eq!(world.snapshot().frameworks[0].tasks.len(), 1);
    world.pass_alive(2);
    assert!(!world.offers(&new).is_empty(), "what the old one held is offered again");
}

#[test]
fn a_framework_has_its_failover_timeout() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    world.launch(&framework, "t");
    world.input(Input::StreamClosed { stream: framework.stream.clone() });
    let reply = world.call(&framework, typed(call::Type::Revive));
    assert_eq!(reply, SchedulerReply::Refused(403, "Framework is not subscribed".into()));
    world.pass_alive(59);
    assert_eq!(world.snapshot().frameworks.len(), 1);
    world.sent.clear();
    world.pass_alive(2);
    let snapshot = world.snapshot();
    assert_eq!((snapshot.frameworks.len(), snapshot.completed_frameworks.len()), (0, 1));
    assert_eq!(snapshot.completed_frameworks[0].completed_tasks.len(), 1);
    assert!(world.sent.iter().any(|(to, message)| {
        *to == agent.pid && matches!(message, Outgoing::ShutdownFramework(_))
    }));
    let info = snapshot.completed_frameworks[0].framework.info.as_ref().clone();
    assert_eq!(refused(&mut world, info), "Framework has been removed");
}

#[test]
fn operators_are_told_that_a_scheduler_is_gone() {
    let mut world = World::new();
    world.input(Input::Observed(true));
    let framework = world.subscribe(aware());
    world.operators.clear();
    world.input(Input::StreamClosed { stream: framework.stream });
    let told = world.operators.iter().map(|event| match event {
        OperatorEvent::FrameworkUpdated(framework) => framework.connected,
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [false]);
}

#[test]
fn coming_back_in_time_stops_the_clock() {
    let mut world = World::new();
    let framework = world.subscribe(aware());
    let info = world.snapshot().frameworks[0].framework.info.as_ref().clone();
    world.input(Input::StreamClosed { stream: framework.stream.clone() });
    world.pass(30);
    let back = world.subscribe(info);
    world.pass(100);
    assert_eq!(world.snapshot().frameworks.len(), 1);
    world.input(Input::StreamClosed { stream: back.stream });
    world.pass(59);
    assert_eq!(world.snapshot().frameworks.len(), 1);
}

#[test]
fn without_a_timeout_a_framework_goes_at_once() {
    let mut world = World::new();
    let short = v1::FrameworkInfo { failover_timeout: None, ..aware() };
    let framework = world.subscribe(short);
    world.input(Input::StreamClosed { stream: framework.stream });
    assert_eq!(world.snapshot().frameworks.len(), 0);
}

#[test]
fn streams_show_signs_of_life() {
    let mut world = World::new();
    let framework = world.subscribe(aware());
    let beats = |world: &World| {
        let events = world.on_stream(&framework.stream);
        let beat = v1::scheduler::event::Type::Heartbeat;
        events.iter().filter(|event| event.r#type() == beat).count()
    };
    assert_eq!(beats(&world), 1);
    world.pass(14);
    assert_eq!(beats(&world), 1);
    world.pass(31);
    assert_eq!(beats(&world), 4);
}

#[test]
fn an_update_is_all_or_nothing() {
    let mut world = World::new();
    world.register(1, "cpus:1;mem:100");
    let multi =
        v1::FrameworkInfo { roles: vec!["a".into(), "b".into()], ..info(&[Capability::MultiRole]) };
    let framework = world.subscribe(multi.clone());
    assert!(!world.offers(&framework).is_empty());
    let update = |info: v1::FrameworkInfo, suppressed: &[&str]| {
        let id = Some(v1::FrameworkId { value: framework.id.clone() });
        Call {
            update_framework: Some(call::UpdateFramework {
                framework_info: v1::FrameworkInfo { id, ..info },
                suppressed_roles: suppressed.iter().map(|role| (*role).to_owned()).collect(),
                ..call::UpdateFramework::default()
            }),
            ..typed(call::Type::UpdateFramework)
        }
    };
    let other = v1::FrameworkInfo { user: "other".into(), ..multi.clone() };
    assert_eq!(
        world.call(&framework, update(other, &[])),
        SchedulerReply::Refused(
            400,
            "FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; \
             attempted to update from 'root' to 'other'"
                .into()
        )
    );
    assert_eq!(
        world.call(&framework, update(multi.clone(), &["c"])),
        SchedulerReply::Refused(
            400,
            "'UpdateFramework' call is not valid: Suppressed roles { c } are not contained in \
             the set of roles"
                .into()
        )
    );
    let renamed = v1::FrameworkInfo { name: "g".into(), roles: vec!["c".into()], ..multi };
    assert_eq!(world.call(&framework, update(renamed, &["c"])), SchedulerReply::Done);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.frameworks[0].framework.info.name, "g");
    assert_eq!(snapshot.frameworks[0].offers.len(), 0, "offers of lost roles are rescinded");
    let events = world.on_stream(&framework.stream);
    assert!(events.iter().any(|event| event.rescind.is_some()));
}

#[test]
fn suppressed_roles_get_no_offers_until_revived() {
    let mut world = World::new();
    let framework = world.subscribe(aware());
    world.call(&framework, typed(call::Type::Suppress));
    world.register(1, "cpus:1;mem:100");
    world.pass_alive(3);
    assert!(world.offers(&framework).is_empty());
    assert_eq!(world.snapshot().frameworks[0].framework.suppressed_roles.len(), 1);
    // A role that is not the framework's drops the whole call.
    let wrong = Call {
        revive: Some(call::Revive { roles: vec!["x".into()] }),
        ..typed(call::Type::Revive)
    };
    assert_eq!(world.call(&framework, wrong), SchedulerReply::Accepted);
    assert!(world.offers(&framework).is_empty());
    world.call(&framework, typed(call::Type::Revive));
    assert!(!world.offers(&framework).is_empty());
}

fn pid_subscribe(world: &mut World, from: &Upid, info: v1::FrameworkInfo, force: bool) {
    let subscribe =
        PidSubscribe { info, force, suppressed_roles: Vec::new(), offer_constraints: None };
    world.message(from, Incoming::Subscribe(Box::new(subscribe)));
}

fn last_sent<'a>(world: &'a World, to: &Upid) -> &'a Outgoing {
    &world.sent.iter().rev().find(|(other, _)| other == to).expect("a message").1
}

#[test]
fn a_driver_registers_once_and_fails_over_by_force() {
    let mut world = World::new();
    let first: Upid = "scheduler-1@127.0.0.1:7001".parse().unwrap();
    let second: Upid = "scheduler-2@127.0.0.1:7002".parse().unwrap();
    pid_subscribe(&mut world, &first, aware(), false);
    pid_subscribe(&mut world, &first, aware(), false);
    assert_eq!(world.snapshot().frameworks.len(), 1);
    let registered = world
        .sent
        .iter()
        .filter(|(_, message)| matches!(message, Outgoing::FrameworkRegistered(_)))
        .count();
    assert_eq!(registered, 2);
    let info = world.snapshot().frameworks[0].framework.info.as_ref().clone();
    pid_subscribe(&mut world, &first, info.clone(), false);
    assert!(matches!(last_sent(&world, &first), Outgoing::FrameworkReregistered(_)));
    pid_subscribe(&mut world, &second, info.clone(), false);
    let Outgoing::FrameworkError(error) = last_sent(&world, &second) else { panic!() };
    assert_eq!(error.message, "Framework failed over");
    pid_subscribe(&mut world, &second, info, true);
    assert!(matches!(last_sent(&world, &first), Outgoing::FrameworkError(_)));
    assert!(matches!(last_sent(&world, &second), Outgoing::FrameworkRegistered(_)));
    let snapshot = world.snapshot();
    assert_eq!(snapshot.frameworks[0].framework.pid.as_deref(), Some(&*second.to_string()));
}

#[test]
fn a_driver_that_disconnects_is_told_so() {
    let mut world = World::new();
    let driver: Upid = "scheduler-1@127.0.0.1:7001".parse().unwrap();
    pid_subscribe(&mut world, &driver, aware(), false);
    let id = world.snapshot().frameworks[0].framework.id.to_string();
    world.input(Input::Exited { address: driver.address });
    let Outgoing::FrameworkError(error) = last_sent(&world, &driver) else { panic!() };
    assert_eq!(error.message, "Framework disconnected");
    world.sent.clear();
    let call =
        Call { framework_id: Some(v1::FrameworkId { value: id }), ..typed(call::Type::Revive) };
    world.message(&driver, Incoming::Call(Box::new(call)));
    assert!(matches!(last_sent(&world, &driver), Outgoing::FrameworkError(_)));
    assert!(!world.snapshot().frameworks[0].framework.connected);
}

#[test]
fn teardown_ends_everything() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    world.launch(&framework, "t");
    world.update(&agent, &framework, "t", TaskState::TaskRunning);
    let statuses = world.statuses(&framework).len();
    assert_eq!(world.call(&framework, typed(call::Type::Teardown)), SchedulerReply::Accepted);
    assert_eq!(world.statuses(&framework).len(), statuses, "nobody is told of the kills");
    let snapshot = world.snapshot();
    let completed = &snapshot.completed_frameworks[0];
    assert_eq!(completed.completed_tasks[0].state, TaskState::TaskKilled);
    assert!(completed.framework.unregistered_time > 0.0);
    assert!(snapshot.agents.iter().all(|agent| agent.used.is_empty()));
    let again = world.subscribe(aware());
    assert!(!world.offers(&again).is_empty());
}
