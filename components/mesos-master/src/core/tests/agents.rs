//! Agents that come, go, and come back.
use mesos_messages::{internal, v1};
use v1::{TaskState, task_status::Reason};

use super::world::*;
use crate::core::{Admitted, Incoming, Input, Outgoing, Registry};

fn exited(world: &mut World, agent: &SomeAgent) {
    world.input(Input::Exited { address: agent.pid.address });
}

fn failures(world: &World, framework: &SomeFramework) -> usize {
    let events = world.on_stream(&framework.stream);
    events.iter().filter(|event| event.failure.is_some()).count()
}

#[test]
fn an_agent_is_told_of_its_admission_only_when_it_is_durable() {
    let mut world = World::new();
    world.hold_writes = true;
    let agent = world.register(1, "cpus:1;mem:100");
    assert_eq!(agent.info.id, None);
    assert_eq!(world.held.len(), 1);
    // Asking again while it is under way changes nothing.
    world.register(1, "cpus:1;mem:100");
    assert_eq!(world.held.len(), 1);
    world.hold_writes = false;
    let ticket = world.held[0];
    world.input(Input::Written { ticket });
    assert!(matches!(&world.sent[0].1, Outgoing::AgentRegistered(m) if m.slave_id.value == "m-S0"));
    assert!(matches!(&world.sent[1].1, Outgoing::Ping(ping) if ping.connected));
    // And once more: the answer was lost.
    let again = world.register(1, "cpus:1;mem:100");
    assert_eq!(again.info.id.unwrap().value, "m-S0");
    assert_eq!(world.snapshot().agents.len(), 1);
}

#[test]
fn an_agent_that_answers_no_pings_is_unreachable_and_may_return() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let aware = world.subscribe(aware());
    let plain = {
        let task = world.launch(&aware, "a");
        world.update(&agent, &aware, "a", TaskState::TaskRunning);
        assert_eq!(task.agent_id, agent.info.id.clone().unwrap());
        // Another framework gets what is left.
        let offers = world.offers(&aware);
        drop(offers);
        world.subscribe(info(&[]))
    };
    world.pass(74);
    assert!(world.statuses(&aware).iter().all(|s| s.state() != TaskState::TaskUnreachable));
    world.pass(2);
    let status = world.last_status(&aware);
    assert_eq!(status.state(), TaskState::TaskUnreachable);
    assert_eq!(status.reason(), Reason::AgentRemoved);
    assert_eq!(status.message(), "health check timed out");
    assert!(status.unreachable_time.is_some());
    assert_eq!((failures(&world, &aware), failures(&world, &plain)), (1, 1));
    let snapshot = world.snapshot();
    assert_eq!((snapshot.agents.len(), snapshot.unreachable_agents.len()), (0, 1));
    assert_eq!(snapshot.frameworks[0].unreachable_tasks.len(), 1);

    let task = task("a", agent.info.id.as_ref().unwrap(), "cpus(allocated):0.1");
    let mut reported = report(&task, &aware, TaskState::TaskRunning);
    reported.resources = allocated("cpus:0.1;mem:32");
    let info = snapshot.frameworks[0].framework.info.as_ref().clone();
    world.reregister(&agent, vec![reported], vec![info]);
    let status = world.last_status(&aware);
    assert_eq!(status.state(), TaskState::TaskRunning);
    assert_eq!(status.reason(), Reason::AgentReregistered);
    assert_eq!(status.message(), "Unreachable agent re-reregistered");
    assert_eq!(status.uuid, None);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.frameworks[0].tasks.len(), 1);
    assert_eq!(snapshot.frameworks[0].unreachable_tasks.len(), 0);
}

fn allocated(text: &str) -> Vec<v1::Resource> {
    let resources = mesos_messages::resources::Resources::parse(text, "*").unwrap();
    resources.allocated("*").to_proto()
}

#[test]
fn tasks_of_a_framework_that_does_not_checkpoint_die_with_the_connection() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let volatile = v1::FrameworkInfo { checkpoint: Some(false), ..aware() };
    let volatile = world.subscribe(volatile);
    world.launch(&volatile, "v");
    exited(&mut world, &agent);
    let status = world.last_status(&volatile);
    assert_eq!(status.state(), TaskState::TaskLost);
    assert_eq!(status.reason(), Reason::AgentDisconnected);
    assert_eq!(status.message(), "Agent host disconnected");
    let snapshot = world.snapshot();
    let agent = snapshot.agents.iter().next().unwrap();
    assert!(!agent.connected && !agent.active);
}

#[test]
fn a_disconnected_agent_has_ten_minutes() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    world.launch(&framework, "t");
    world.update(&agent, &framework, "t", TaskState::TaskRunning);
    exited(&mut world, &agent);
    // Pongs keep it from being given up by its pings.
    world.pass_alive(599);
    assert_eq!(world.last_status(&framework).state(), TaskState::TaskRunning);
    world.pass_alive(2);
    let status = world.last_status(&framework);
    assert_eq!(status.state(), TaskState::TaskUnreachable);
    assert_eq!(status.message(), "agent did not reregister within 10mins after disconnecting");
}

#[test]
fn each_disconnection_has_its_own_ten_minutes() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    exited(&mut world, &agent);
    world.reregister(&agent, Vec::new(), Vec::new());
    world.pass_alive(590);
    exited(&mut world, &agent);
    world.pass_alive(590);
    assert_eq!(world.snapshot().agents.len(), 1);
    world.pass_alive(11);
    assert_eq!(world.snapshot().agents.len(), 0);
}

#[test]
fn a_returning_agent_answers_for_what_it_does_not_report() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    world.launch(&framework, "t");
    exited(&mut world, &agent);
    world.sent.clear();
    world.reregister(&agent, Vec::new(), Vec::new());
    let reconciliation = world.sent.iter().find_map(|(_, message)| match message {
        Outgoing::AgentReregistered(message) => message.reconciliations.first(),
        _ => None,
    });
    let reconciliation = reconciliation.expect("a reconciliation");
    assert_eq!(reconciliation.statuses[0].task_id.value, "t");
    assert_eq!(reconciliation.statuses[0].message(), "Reconciliation request");
    world.update(&agent, &framework, "t", TaskState::TaskDropped);
    assert_eq!(world.last_status(&framework).state(), TaskState::TaskDropped);
    assert!(world.snapshot().agents.iter().all(|agent| agent.active && agent.used.is_empty()));
}

#[test]
fn a_kill_an_agent_missed_is_sent_again() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    let task = world.launch(&framework, "t");
    world.update(&agent, &framework, "t", TaskState::TaskRunning);
    exited(&mut world, &agent);
    world.sent.clear();
    let kill = v1::scheduler::call::Kill {
        task_id: task.task_id.clone(),
        ..v1::scheduler::call::Kill::default()
    };
    let call = v1::scheduler::Call { kill: Some(kill), ..typed(v1::scheduler::call::Type::Kill) };
    world.call(&framework, call);
    assert!(world.sent.is_empty());
    world.reregister(
        &agent,
        vec![report(&task, &framework, TaskState::TaskRunning)],
        vec![{ world.snapshot().frameworks[0].framework.info.as_ref().clone() }],
    );
    assert!(world.sent.iter().any(|(_, message)| matches!(message, Outgoing::KillTask(_))));
}

#[test]
fn a_master_that_restarts_learns_of_frameworks_from_agents() {
    let mut world = World::new();
    let mut agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    let task = world.launch(&framework, "t");
    let info = world.snapshot().frameworks[0].framework.info.as_ref().clone();
    let admitted = Admitted { info: agent.info.clone(), pid: Some(agent.pid.clone()) };
    let registry = Registry { admitted: vec![admitted], ..Registry::default() };
    let mut world = World::with(config(), registry);
    // The agent may not have noticed: it is told that it is not connected.
    assert!(
        matches!(&world.sent[0], (to, Outgoing::Ping(ping)) if *to == agent.pid && !ping.connected)
    );
    agent.info.hostname = "host".into();
    let reported = report(&task, &framework, TaskState::TaskRunning);
    world.reregister(&agent, vec![reported], vec![info.clone()]);
    let snapshot = world.snapshot();
    let view = &snapshot.frameworks[0];
    assert!(view.framework.recovered && !view.framework.active);
    assert_eq!(view.tasks.len(), 1);
    assert_eq!(world.next_ids(), (0, 0));
    let back = world.subscribe(info);
    assert_eq!(back.id, framework.id);
    let snapshot = world.snapshot();
    assert!(snapshot.frameworks[0].framework.active);
    assert_eq!(snapshot.frameworks[0].tasks.len(), 1);
    assert!(!world.offers(&back).is_empty());
}

#[test]
fn an_agent_that_unregisters_loses_its_tasks() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    world.launch(&framework, "t");
    let id = agent.info.id.clone().unwrap().value;
    // Another may not say so.
    world.message(&"slave(1)@127.0.0.1:9".parse().unwrap(), Incoming::Unregister(id.clone()));
    assert_eq!(world.snapshot().agents.len(), 1);
    world.message(&agent.pid, Incoming::Unregister(id));
    let status = world.last_status(&framework);
    assert_eq!(status.state(), TaskState::TaskLost);
    assert_eq!(status.reason(), Reason::AgentRemoved);
    assert_eq!(status.message(), "Agent host removed: the agent unregistered");
    assert_eq!(failures(&world, &framework), 1);
    assert_eq!(world.snapshot().agents.len(), 0);
}

#[test]
fn a_new_agent_at_the_address_of_a_disconnected_one_replaces_it() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:100");
    let framework = world.subscribe(aware());
    world.launch(&framework, "t");
    exited(&mut world, &agent);
    let new = world.register(1, "cpus:1;mem:100");
    assert_ne!(new.info.id, agent.info.id);
    let status = world.last_status(&framework);
    let cause = "Agent host removed: a new agent registered at the same address";
    assert_eq!(status.message(), cause);
    assert_eq!(world.snapshot().agents.len(), 1);
    // And it is at that address that messages reach it.
    world.update(&new, &framework, "nothing", TaskState::TaskRunning);
    assert_eq!(world.last_status(&framework).task_id.value, "nothing");
}

#[test]
fn gone_and_moved_agents_are_shut_down() {
    let registry = Registry { gone: vec![("m-S9".into(), 7)], ..Registry::default() };
    let mut world = World::with(config(), registry);
    let agent = world.register(1, "cpus:1;mem:100");
    let mut gone = agent.clone();
    gone.info.id = Some(v1::AgentId { value: "m-S9".into() });
    world.reregister(&gone, Vec::new(), Vec::new());
    let text = |world: &World| match &world.sent.last().unwrap().1 {
        Outgoing::Shutdown(message) => message.message().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(&world), "Agent has been marked gone");
    let mut moved = agent.clone();
    moved.info.hostname = "elsewhere".into();
    world.reregister(&moved, Vec::new(), Vec::new());
    assert_eq!(text(&world), "Agent attempted to reregister with different IP / hostname");
}

#[test]
fn executors_are_kept_once_and_their_end_is_told() {
    let mut world = World::new();
    let agent = world.register(1, "cpus:1;mem:1000");
    let framework = world.subscribe(aware());
    for id in ["a", "b"] {
        let offer = world.offers(&framework)[0].clone();
        let mut task = task(id, &offer.agent_id, "cpus:0.1;mem:32");
        task.command = None;
        task.executor = Some(Box::new(v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: "e".into() },
            command: Some(Box::default()),
            resources: mesos_messages::resources::Resources::parse("cpus:0.1;mem:32", "*")
                .unwrap()
                .to_proto(),
            ..v1::ExecutorInfo::default()
        }));
        world.accept(&framework, &[offer], vec![task]);
        world.pass_alive(1);
    }
    let snapshot = world.snapshot();
    assert_eq!(snapshot.frameworks[0].executors.len(), 1);
    assert_eq!(snapshot.frameworks[0].tasks.len(), 2);
    let launched: Vec<bool> = world
        .sent
        .iter()
        .filter_map(|(_, message)| match message {
            Outgoing::RunTask(run) => Some(run.launch_executor),
            _ => None,
        })
        .collect();
    assert_eq!(launched, [true, false]);
    let message = internal::ExitedExecutorMessage {
        slave_id: agent.info.id.clone().unwrap(),
        framework_id: v1::FrameworkId { value: framework.id.clone() },
        executor_id: v1::ExecutorId { value: "e".into() },
        status: 9,
    };
    world.message(&agent.pid, Incoming::ExitedExecutor(Box::new(message)));
    let failure = world.on_stream(&framework.stream).pop().unwrap().failure.unwrap();
    assert_eq!(failure.status, Some(9));
    assert_eq!(world.snapshot().frameworks[0].executors.len(), 0);
}
