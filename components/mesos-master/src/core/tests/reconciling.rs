//! The table of reconciliation answers.
use v1::{OperationState, TaskState, scheduler::call, task_status::Reason};

use super::world::*;
use crate::core::{Admitted, Registry};
use mesos_messages::v1;

fn ask(world: &mut World, framework: &SomeFramework, task: &str, agent: Option<&str>) {
    let tasks = vec![call::reconcile::Task {
        task_id: v1::TaskId { value: task.into() },
        agent_id: agent.map(|id| v1::AgentId { value: id.into() }),
    }];
    let call = v1::scheduler::Call {
        reconcile: Some(call::Reconcile { tasks }),
        ..typed(call::Type::Reconcile)
    };
    world.call(framework, call);
}

fn answer(
    world: &mut World,
    framework: &SomeFramework,
    task: &str,
    agent: Option<&str>,
) -> Option<v1::TaskStatus> {
    let before = world.statuses(framework).len();
    ask(world, framework, task, agent);
    let mut statuses = world.statuses(framework);
    assert!(statuses.len() <= before + 1);
    (statuses.len() > before).then(|| statuses.pop().unwrap())
}

fn id(agent: &SomeAgent) -> String {
    agent.info.id.as_ref().unwrap().value.clone()
}

#[test]
fn unknown_tasks_get_the_answer_of_their_agent() {
    for (info, aware) in [(aware(), true), (info(&[]), false)] {
        let gone_agent = Registry { gone: vec![("gone".into(), 7)], ..Registry::default() };
        let mut world = World::with(config(), gone_agent);
        let agent = world.register(1, "cpus:1;mem:100");
        let lost = world.register(2, "cpus:1;mem:100");
        let framework = world.subscribe(info);
        // The second agent answers no pings.
        for _ in 0..80 {
            world.pass(1);
            world.message(&agent.pid, crate::core::Incoming::Pong { observer: 1 });
        }
        let unreachable = id(&lost);
        assert!(world.core.agents.unreachable.contains_key(&*unreachable));
        let cases = [
            (Some(id(&agent)), TaskState::TaskGone),
            (Some(unreachable.clone()), TaskState::TaskUnreachable),
            (Some("gone".to_owned()), TaskState::TaskGoneByOperator),
            (Some("nobody".to_owned()), TaskState::TaskUnknown),
            (None, TaskState::TaskUnknown),
        ];
        for (agent, state) in cases {
            let status = answer(&mut world, &framework, "t", agent.as_deref()).unwrap();
            let expected = if aware { state } else { TaskState::TaskLost };
            assert_eq!(status.state(), expected, "{agent:?}");
            assert_eq!(status.reason(), Reason::Reconciliation);
            assert_eq!(status.source(), v1::task_status::Source::Master);
            assert_eq!(status.uuid, None);
            assert_eq!(status.agent_id.map(|id| id.value), agent);
            assert_eq!(status.unreachable_time.is_some(), state == TaskState::TaskUnreachable);
        }
    }
}

#[test]
fn nothing_is_said_of_agents_that_may_still_come_back() {
    let admitted = Admitted {
        info: v1::AgentInfo {
            id: Some(v1::AgentId { value: "old".into() }),
            ..agent_info("cpus:1")
        },
        pid: None,
    };
    let registry = Registry { admitted: vec![admitted], ..Registry::default() };
    let mut world = World::with(config(), registry);
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    assert_eq!(answer(&mut world, &framework, "t", Some("old")), None);
    assert_eq!(answer(&mut world, &framework, "t", None), None);
    let status = answer(&mut world, &framework, "t", Some(&id(&agent))).unwrap();
    assert_eq!(status.state(), TaskState::TaskGone);
    // Ten minutes later it is unreachable.
    world.pass_alive(601);
    let status = answer(&mut world, &framework, "t", Some("old")).unwrap();
    assert_eq!(status.state(), TaskState::TaskUnreachable);
    assert!(answer(&mut world, &framework, "t", None).is_some());
}

#[test]
fn known_tasks_answer_with_what_was_forwarded() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    world.launch(&framework, "t");
    let status = answer(&mut world, &framework, "t", None).unwrap();
    assert_eq!(status.state(), TaskState::TaskStaging);
    assert_eq!(status.message(), "Reconciliation: Latest task state");
    let uuid = world.update(&agent, &framework, "t", TaskState::TaskRunning);
    let status = answer(&mut world, &framework, "t", Some("whatever")).unwrap();
    assert_eq!(status.state(), TaskState::TaskRunning);
    assert_eq!(status.uuid, None);
    world.acknowledge(&agent, &framework, "t", uuid);
    // It has ended, but the scheduler was not told of it yet: it is told what it knows.
    world.input(crate::core::Input::StreamClosed { stream: framework.stream.clone() });
    world.update(&agent, &framework, "t", TaskState::TaskFinished);
    let info = world.snapshot().frameworks[0].framework.info.as_ref().clone();
    let framework = world.subscribe(info);
    let status = answer(&mut world, &framework, "t", None).unwrap();
    assert_eq!(status.state(), TaskState::TaskRunning);
    // The implicit form: one for each task, nothing else.
    let before = world.statuses(&framework).len();
    let call = v1::scheduler::Call {
        reconcile: Some(call::Reconcile::default()),
        ..typed(call::Type::Reconcile)
    };
    world.call(&framework, call);
    assert_eq!(world.statuses(&framework).len(), before + 1);
}

#[test]
fn killing_an_unknown_task_reconciles_it() {
    let mut world = World::new();
    let framework = world.subscribe(aware());
    let kill = call::Kill { task_id: v1::TaskId { value: "nope".into() }, ..call::Kill::default() };
    let call = v1::scheduler::Call { kill: Some(kill), ..typed(call::Type::Kill) };
    world.call(&framework, call);
    let status = world.last_status(&framework);
    assert_eq!(status.state(), TaskState::TaskUnknown);
    assert_eq!(status.message(), "Reconciliation: Task is unknown");
}

#[test]
fn operations_are_unknown_but_their_agents_may_be_known() {
    let registry = Registry { gone: vec![("gone".into(), 7)], ..Registry::default() };
    let mut world = World::with(config(), registry);
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    let cases = [
        (None, OperationState::OperationUnknown),
        (Some(id(&agent)), OperationState::OperationUnknown),
        (Some("gone".to_owned()), OperationState::OperationGoneByOperator),
        (Some("nobody".to_owned()), OperationState::OperationUnknown),
    ];
    for (agent, state) in cases {
        let operation = call::reconcile_operations::Operation {
            operation_id: v1::OperationId { value: "o".into() },
            agent_id: agent.map(|value| v1::AgentId { value }),
            resource_provider_id: None,
        };
        let call = v1::scheduler::Call {
            reconcile_operations: Some(call::ReconcileOperations { operations: vec![operation] }),
            ..typed(call::Type::ReconcileOperations)
        };
        world.call(&framework, call);
        let event = world.on_stream(&framework.stream).pop().unwrap();
        assert_eq!(event.update_operation_status.unwrap().status.state(), state);
    }
}
