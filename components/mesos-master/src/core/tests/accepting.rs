//! ACCEPT and what is wrong with it.
use mesos_messages::{resources::Resources, v1};
use v1::{
    TaskState, offer::Operation, offer::operation::Type as OperationType, task_status::Reason,
};

use super::world::*;
use crate::handle::SchedulerReply;

fn operation(kind: OperationType) -> Operation {
    Operation { r#type: Some(kind as i32), ..Operation::default() }
}

#[test]
fn a_task_too_big_is_an_error_and_the_rest_is_offered_again() {
    let mut world = World::new();
    world.register(1, "cpus:2;mem:1000");
    let framework = world.subscribe(aware());
    let offer = world.offers(&framework)[0].clone();
    let tasks = vec![
        task("big", &offer.agent_id, "cpus:1000000;mem:32"),
        task("fits", &offer.agent_id, "cpus:1;mem:32"),
    ];
    world.accept(&framework, &[offer], tasks);
    let status = world.last_status(&framework);
    assert_eq!(status.state(), TaskState::TaskError);
    assert_eq!(status.reason(), Reason::TaskInvalid);
    assert_eq!(
        status.message(),
        "Total resources cpus(allocated: *):1000000; mem(allocated: *):32 required by task and its \
         executor is more than available cpus(allocated: *):2; mem(allocated: *):1000"
    );
    assert_eq!(world.snapshot().frameworks[0].tasks.len(), 1);
    world.pass_alive(2);
    let rest = Resources::from_proto(&world.offers(&framework)[0].resources).unwrap();
    assert_eq!(rest.cpus().unwrap().to_f64(), 1.0);
}

#[test]
fn invalid_tasks_are_told_why() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:2;mem:1000");
    let framework = world.subscribe(aware());
    let good = |id: &str| task(id, agent.info.id.as_ref().unwrap(), "cpus:0.1;mem:32");
    let no_command = v1::TaskInfo { command: None, ..good("no-command") };
    let no_resources = v1::TaskInfo { resources: Vec::new(), ..good("no-resources") };
    let bad_id = good("a/b");
    let elsewhere = task("elsewhere", &v1::AgentId { value: "x".into() }, "cpus:0.1");
    let negative = v1::TaskInfo {
        kill_policy: Some(v1::KillPolicy {
            grace_period: Some(v1::DurationInfo { nanoseconds: -1 }),
        }),
        ..good("negative")
    };
    let cases = [
        (
            no_command,
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ),
        (no_resources, "Task uses no resources"),
        (bad_id, "'a/b' contains invalid characters"),
        (elsewhere, "Task uses invalid agent x while agent m-S0 is expected"),
        (negative, "Task's 'kill_policy.grace_period' must be non-negative"),
    ];
    for (task, text) in cases {
        world.pass_alive(2);
        let offer = world.offers(&framework)[0].clone();
        world.accept(&framework, &[offer], vec![task]);
        let status = world.last_status(&framework);
        assert_eq!((status.state(), status.message()), (TaskState::TaskError, text));
        assert_eq!(status.uuid, None);
    }
    world.pass_alive(2);
    world.launch(&framework, "twice");
    world.pass_alive(2);
    let offer = world.offers(&framework)[0].clone();
    world.accept(&framework, &[offer], vec![good("twice")]);
    assert_eq!(world.last_status(&framework).message(), "Task has duplicate ID: twice");
}

#[test]
fn invalid_offers_drop_the_tasks() {
    for (info, state) in [(aware(), TaskState::TaskDropped), (info(&[]), TaskState::TaskLost)] {
        let mut world = World::new();
        let agent = world.register(1, "cpus:2;mem:1000");
        let framework = world.subscribe(info);
        let mut offer = world.offers(&framework)[0].clone();
        let real = offer.clone();
        offer.id.value = "nope-O1".into();
        let task = task("t", agent.info.id.as_ref().unwrap(), "cpus:0.1;mem:32");
        world.accept(&framework, &[real.clone(), offer], vec![task.clone()]);
        let status = world.last_status(&framework);
        assert_eq!(status.state(), state);
        assert_eq!(status.reason(), Reason::InvalidOffers);
        assert_eq!(
            status.message(),
            "Task launched with invalid offers: Offer nope-O1 is no longer valid"
        );
        // The valid one was given back, and is no longer valid now.
        assert_eq!(world.snapshot().frameworks[0].offers.len(), 0);
        world.accept(&framework, &[real.clone(), real], vec![task.clone()]);
        assert!(world.last_status(&framework).message().contains("Duplicate offer m-O0"));
        world.accept(&framework, &[], vec![task]);
        let text = "Task launched with invalid offers: No offers specified";
        assert_eq!(world.last_status(&framework).message(), text);
    }
}

#[test]
fn offers_of_two_agents_do_not_add_up() {
    let mut world = World::new();
    world.register(1, "cpus:2;mem:1000");
    world.register(2, "cpus:2;mem:1000");
    let framework = world.subscribe(aware());
    let offers = world.offers(&framework);
    assert_eq!(offers.len(), 2);
    let task = task("t", &offers[0].agent_id, "cpus:3");
    world.accept(&framework, &offers, vec![task]);
    let text = world.last_status(&framework).message().to_owned();
    assert!(text.contains("Aggregated offers must belong to one single agent."), "{text}");
}

#[test]
fn another_frameworks_offer_is_not_touched() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:2;mem:1000");
    let owner = world.subscribe(aware());
    let thief = world.subscribe(aware());
    let offers = world.offers(&owner);
    let task = task("t", agent.info.id.as_ref().unwrap(), "cpus:1");
    world.accept(&thief, &offers, vec![task]);
    let text = world.last_status(&thief).message().to_owned();
    assert!(text.contains("has invalid framework"), "{text}");
    assert_eq!(world.snapshot().frameworks[0].offers.len(), 1);
}

#[test]
fn operations_not_done_are_said_to_be_errors() {
    let mut world = World::new();
    world.register(1, "cpus:2;mem:1000");
    let framework = world.subscribe(aware());
    let offers = world.offers(&framework);
    let reserve = Operation {
        id: Some(v1::OperationId { value: "o".into() }),
        reserve: Some(v1::offer::operation::Reserve::default()),
        ..operation(OperationType::Reserve)
    };
    let reply = world.operate(&framework, &offers, vec![reserve]);
    assert_eq!(reply, SchedulerReply::Accepted);
    let event = world.on_stream(&framework.stream).pop().unwrap();
    let status = event.update_operation_status.unwrap().status;
    assert_eq!(status.state(), v1::OperationState::OperationError);
    assert_eq!(status.operation_id.unwrap().value, "o");
    world.pass_alive(2);
    assert_eq!(world.snapshot().frameworks[0].offers.len(), 1, "the resources came back");
}

#[test]
fn a_group_is_checked_and_then_refused() {
    let mut world = World::new();
    world.register(1, "cpus:2;mem:1000;disk:1000");
    let framework = world.subscribe(aware());
    let offer = world.offers(&framework)[0].clone();
    let group = |resources: &str| {
        let tasks = ["a", "b"].map(|id| task(id, &offer.agent_id, "cpus:0.1;mem:32")).to_vec();
        Operation {
            launch_group: Some(v1::offer::operation::LaunchGroup {
                executor: v1::ExecutorInfo {
                    r#type: Some(v1::executor_info::Type::Default as i32),
                    executor_id: v1::ExecutorId { value: "e".into() },
                    framework_id: Some(v1::FrameworkId { value: framework.id.clone() }),
                    resources: Resources::parse(resources, "*").unwrap().to_proto(),
                    ..v1::ExecutorInfo::default()
                },
                task_group: v1::TaskGroupInfo { tasks },
            }),
            ..operation(OperationType::LaunchGroup)
        }
    };
    let big = group("cpus:2;mem:32;disk:32");
    world.operate(&framework, std::slice::from_ref(&offer), vec![big]);
    let status = world.last_status(&framework);
    assert_eq!(status.reason(), Reason::TaskGroupInvalid);
    assert!(status.message().contains("required by task group and its executor are more than"));
    world.pass_alive(2);
    let offers = world.offers(&framework);
    world.operate(&framework, &offers, vec![group("cpus:0.1;mem:32;disk:32")]);
    let statuses = world.statuses(&framework);
    let last: Vec<&str> = statuses.iter().rev().take(2).map(|s| s.message()).collect();
    assert_eq!(last, ["Task groups are not supported yet"; 2]);
    assert_eq!(world.snapshot().frameworks[0].tasks.len(), 0);
}

#[test]
fn unanswered_offers_time_out() {
    let config = crate::config::MasterConfig {
        offer_timeout: Some(std::time::Duration::from_secs(5)),
        ..config()
    };
    let mut world = World::with(config, crate::core::Registry::default());
    world.register(1, "cpus:2;mem:1000");
    let framework = world.subscribe(aware());
    let first = world.offers(&framework)[0].id.clone();
    world.pass_alive(6);
    let events = world.on_stream(&framework.stream);
    let rescinded = events.iter().find_map(|event| event.rescind.as_ref()).unwrap();
    assert_eq!(rescinded.offer_id, first);
    assert_ne!(world.offers(&framework)[0].id, first);
}

#[test]
fn a_declined_offer_stays_away_for_five_seconds() {
    let mut world = World::new();
    world.register(1, "cpus:2;mem:1000");
    let framework = world.subscribe(aware());
    let first = world.offers(&framework)[0].id.clone();
    let decline = v1::scheduler::call::Decline { offer_ids: vec![first.clone()], filters: None };
    let call =
        v1::scheduler::Call { decline: Some(decline), ..typed(v1::scheduler::call::Type::Decline) };
    world.call(&framework, call);
    world.pass_alive(4);
    assert_eq!(world.offers(&framework)[0].id, first);
    world.pass_alive(4);
    assert_ne!(world.offers(&framework)[0].id, first);
}
