//! Single situations, each with its expected messages.

use super::{
    Answer, ContainerEnd, Core, Effect, Effects, ExecutorState, Inbound, Input, Outbound,
    RequestId, Settings, State, Stop,
};
use crate::checkpoint::{Layout, Recovered, Write};
use bytes::Bytes;
use mesos_messages::{
    internal,
    time::Now,
    v1::{self, TaskState, executor::event, task_status::Reason},
};
use std::time::Duration;

const MASTER: &str = "master@127.0.0.1:5050";

pub(super) fn settings() -> Settings {
    Settings {
        pid: "slave(1)@127.0.0.1:5051".into(),
        master: MASTER.into(),
        info: v1::AgentInfo { hostname: "localhost".into(), ..Default::default() },
        version: "1.11.0".into(),
        layout: Layout::new("/work"),
        command_executor: ("/bin/dais".into(), vec!["dais".into(), "command-executor".into()]),
        switch_user: false,
        cleanup: false,
        executor_registration_timeout: Duration::from_secs(60),
        executor_reregistration_timeout: Duration::from_secs(2),
        executor_shutdown_grace_period: Duration::from_secs(5),
        registration_backoff_factor: Duration::from_secs(1),
        ping_timeout: Duration::from_secs(75),
        gc_delay: Duration::from_secs(7 * 86_400),
        gc_disk_headroom: 0.1,
        disk_watch_interval: Duration::from_secs(60),
        max_completed_frameworks: 50,
        max_completed_executors_per_framework: 150,
        max_completed_tasks_per_executor: 200,
    }
}

/// A core with a clock and shorthands.
struct Agent {
    core: Core,
    now: Now,
}

impl Agent {
    fn new() -> Self {
        let now = Now { mono: Duration::ZERO, wall: Duration::from_secs(1000) };
        let mut agent = Self { core: Core::new(settings(), 7), now };
        agent.input(Input::Recover(Box::default()));
        agent
    }

    fn registered() -> Self {
        let mut agent = Self::new();
        agent.pass(1000);
        agent.master(Inbound::Registered(registered("S0")));
        assert_eq!(agent.core.state(), State::Running);
        agent
    }

    fn input(&mut self, input: Input) -> Effects {
        let mut effects = Effects::new();
        self.core.handle(self.now, input, &mut effects);
        effects
    }

    fn master(&mut self, message: Inbound) -> Effects {
        self.input(Input::Message { from: MASTER.into(), message })
    }

    fn pass(&mut self, millis: u64) -> Effects {
        self.now = self.now.plus(Duration::from_millis(millis));
        self.input(Input::Timer)
    }

    /// Launches a command task up to its subscribed executor; answers with the container.
    fn running(&mut self, id: &str, checkpoint: bool) -> String {
        let effects = self.master(run(task(id), checkpoint));
        let container = launched(&effects).unwrap();
        self.input(Input::Launched { container_id: container.clone(), result: Ok(42) });
        let effects = self.subscribe(1, id);
        assert!(events(&effects).contains(&event::Type::Launch), "{effects:?}");
        container
    }

    fn subscribe(&mut self, stream: u64, id: &str) -> Effects {
        let call = v1::executor::Call {
            r#type: Some(v1::executor::call::Type::Subscribe as i32),
            subscribe: Some(Default::default()),
            ..call(id)
        };
        self.input(Input::Call { request: RequestId(stream), call: Box::new(call) })
    }

    fn update(&mut self, id: &str, state: TaskState, uuid: u8) -> Effects {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: id.into() },
            state: state as i32,
            uuid: Some(Bytes::from(vec![uuid; 16])),
            ..Default::default()
        };
        let call = v1::executor::Call {
            r#type: Some(v1::executor::call::Type::Update as i32),
            update: Some(v1::executor::call::Update { status }),
            ..call(id)
        };
        self.input(Input::Call { request: RequestId(99), call: Box::new(call) })
    }

    fn acknowledge(&mut self, id: &str, uuid: &[u8]) -> Effects {
        self.master(Inbound::Acknowledgement(internal::StatusUpdateAcknowledgementMessage {
            slave_id: v1::AgentId { value: "S0".into() },
            framework_id: v1::FrameworkId { value: "f".into() },
            task_id: v1::TaskId { value: id.into() },
            uuid: Bytes::copy_from_slice(uuid),
        }))
    }

    fn terminate(&mut self, container: &str, end: ContainerEnd) -> Effects {
        self.input(Input::Terminated { container_id: container.into(), end })
    }
}

fn registered(id: &str) -> internal::SlaveRegisteredMessage {
    internal::SlaveRegisteredMessage {
        slave_id: v1::AgentId { value: id.into() },
        connection: Some(internal::MasterSlaveConnection {
            total_ping_timeout_seconds: Some(75.0),
        }),
    }
}

fn call(id: &str) -> v1::executor::Call {
    v1::executor::Call {
        executor_id: v1::ExecutorId { value: id.into() },
        framework_id: v1::FrameworkId { value: "f".into() },
        ..Default::default()
    }
}

fn task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: v1::AgentId { value: "S0".into() },
        command: Some(Box::new(v1::CommandInfo {
            value: Some("true".into()),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn run(task: v1::TaskInfo, checkpoint: bool) -> Inbound {
    Inbound::RunTask(Box::new(internal::RunTaskMessage {
        framework: v1::FrameworkInfo {
            user: "root".into(),
            id: Some(v1::FrameworkId { value: "f".into() }),
            checkpoint: Some(checkpoint),
            ..Default::default()
        },
        task,
        launch_executor: Some(true),
        ..Default::default()
    }))
}

fn launched(effects: &Effects) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Launch(launch) => Some(launch.container_id.clone()),
        _ => None,
    })
}

fn events(effects: &Effects) -> Vec<event::Type> {
    let kinds = effects.iter().filter_map(|effect| match effect {
        Effect::Event(_, event) => Some(event.r#type()),
        _ => None,
    });
    kinds.collect()
}

/// The statuses forwarded to the master.
fn statuses(effects: &Effects) -> Vec<v1::TaskStatus> {
    let updates = effects.iter().filter_map(|effect| match effect {
        Effect::Send { message: Outbound::StatusUpdate(message), .. } => {
            Some(message.update.status.clone())
        }
        _ => None,
    });
    updates.collect()
}

fn states(effects: &Effects) -> Vec<TaskState> {
    statuses(effects).iter().map(v1::TaskStatus::state).collect()
}

fn names(effects: &Effects) -> Vec<&'static str> {
    let names = effects.iter().map(|effect| match effect {
        Effect::Write(_) => "write",
        Effect::Send { message: Outbound::Register(_), .. } => "register",
        Effect::Send { message: Outbound::Reregister(_), .. } => "reregister",
        Effect::Send { message: Outbound::UpdateSlave(_), .. } => "update-slave",
        Effect::Send { message: Outbound::StatusUpdate(_), .. } => "status",
        Effect::Send { message: Outbound::ExitedExecutor(_), .. } => "exited",
        Effect::Send { message: Outbound::Pong(_), .. } => "pong",
        Effect::Send { .. } => "send",
        Effect::Link(_) => "link",
        Effect::Answer(..) => "answer",
        Effect::Event(..) => "event",
        Effect::CloseStream(_) => "close",
        Effect::Launch(_) => "launch",
        Effect::Update { .. } => "update",
        Effect::Destroy(_) => "destroy",
        Effect::Release(_) => "release",
        Effect::MeasureDisk => "measure",
        Effect::Remove(_) => "remove",
        Effect::Stop(_) => "stop",
    });
    names.collect()
}

#[test]
fn registration_is_repeated_until_it_is_answered() {
    let mut agent = Agent::new();
    assert_eq!(names(&agent.pass(1000)), ["link", "register"]);
    let mut sent = 0;
    for _ in 0..60 {
        sent += agent.pass(1000).iter().filter(|e| matches!(e, Effect::Send { .. })).count();
    }
    assert!((3..12).contains(&sent), "{sent} in a minute");
    let effects = agent.master(Inbound::Registered(registered("S0")));
    assert_eq!(names(&effects), ["write", "update-slave"]);
    assert!(names(&agent.pass(70_000)).iter().all(|name| *name == "measure"));
}

#[test]
fn a_broken_link_leads_to_a_new_registration_within_two_seconds() {
    let mut agent = Agent::registered();
    let address = "127.0.0.1:5050".parse().unwrap();
    agent.input(Input::Exited(address));
    assert_eq!(agent.core.state(), State::Disconnected);
    // The master stays away for a minute: each attempt fails at once.
    for _ in 0..60 {
        let effects = agent.pass(1000);
        if names(&effects).contains(&"reregister") {
            agent.input(Input::Exited(address));
        }
    }
    let mut waited = 0;
    while !names(&agent.pass(100)).contains(&"reregister") {
        waited += 100;
        assert!(waited < 2000, "the master is back and the agent waits");
    }
}

#[test]
fn silence_of_the_master_leads_to_a_new_registration() {
    let mut agent = Agent::registered();
    let ping = || Inbound::Ping(internal::PingSlaveMessage { connected: true });
    agent.pass(74_000);
    let observer =
        Input::Message { from: "slave-observer(1)@127.0.0.1:5050".into(), message: ping() };
    assert_eq!(names(&agent.input(observer)), ["pong"]);
    agent.pass(74_000);
    assert_eq!(agent.core.state(), State::Running);
    agent.pass(2000);
    assert_eq!(agent.core.state(), State::Disconnected);
    assert!(names(&agent.pass(1000)).contains(&"reregister"));
}

#[test]
fn a_command_task_runs_from_launch_to_its_last_acknowledgement() {
    let mut agent = Agent::registered();
    let container = agent.running("t", false);
    let effects = agent.update("t", TaskState::TaskRunning, 1);
    assert_eq!(names(&effects), ["event", "status", "answer"]);
    let status = &statuses(&effects)[0];
    let container_status = status.container_status.as_ref().unwrap();
    assert_eq!(container_status.executor_pid, Some(42));
    assert_eq!(container_status.container_id.as_ref().unwrap().value, container);
    let effects = agent.update("t", TaskState::TaskFinished, 2);
    assert_eq!(names(&effects), ["event", "answer"], "one update is in flight");
    assert_eq!(states(&agent.acknowledge("t", &[1; 16])), [TaskState::TaskFinished]);
    assert_eq!(names(&agent.terminate(&container, ContainerEnd::default())), ["close"]);
    assert_eq!(names(&agent.acknowledge("t", &[2; 16])), ["release"]);
    let snapshot = agent.core.snapshot();
    assert!(snapshot.frameworks.is_empty());
    assert_eq!(snapshot.completed_frameworks[0].completed_executors[0].completed.len(), 1);
    assert_eq!(snapshot.counters.tasks.finished, 1);
}

#[test]
fn writes_precede_what_relies_on_them() {
    let mut agent = Agent::registered();
    let effects = agent.master(run(task("t"), true));
    assert_eq!(names(&effects), ["write", "write", "write", "launch"]);
    let container = launched(&effects).unwrap();
    agent.input(Input::Launched { container_id: container, result: Ok(1) });
    assert_eq!(names(&agent.subscribe(1, "t")), ["answer", "write", "event", "event"]);
    let effects = agent.update("t", TaskState::TaskRunning, 1);
    assert_eq!(names(&effects), ["write", "event", "status", "answer"]);
    assert_eq!(names(&agent.acknowledge("t", &[1; 16])), ["write"]);
}

#[test]
fn an_update_sent_twice_is_acknowledged_twice_and_stored_once() {
    let mut agent = Agent::registered();
    agent.running("t", true);
    agent.update("t", TaskState::TaskRunning, 1);
    let effects = agent.update("t", TaskState::TaskRunning, 1);
    assert_eq!(names(&effects), ["event", "answer"]);
}

#[test]
fn unacknowledged_updates_are_repeated_and_resent_on_registration() {
    let mut agent = Agent::registered();
    agent.running("t", false);
    agent.update("t", TaskState::TaskRunning, 1);
    assert!(states(&agent.pass(9000)).is_empty());
    assert_eq!(states(&agent.pass(1000)), [TaskState::TaskRunning]);
    assert!(states(&agent.pass(19_000)).is_empty());
    assert_eq!(states(&agent.pass(1000)), [TaskState::TaskRunning]);
    agent.input(Input::Exited("127.0.0.1:5050".parse().unwrap()));
    assert!(states(&agent.pass(60_000)).is_empty(), "nothing is sent without a master");
    let message = internal::SlaveReregisteredMessage {
        slave_id: v1::AgentId { value: "S0".into() },
        ..Default::default()
    };
    let effects = agent.master(Inbound::Reregistered(Box::new(message)));
    assert_eq!(states(&effects), [TaskState::TaskRunning]);
}

#[test]
fn an_executor_that_dies_takes_its_task_along() {
    let mut agent = Agent::registered();
    let container = agent.running("t", false);
    agent.update("t", TaskState::TaskRunning, 1);
    agent.acknowledge("t", &[1; 16]);
    let end = ContainerEnd {
        status: Some(9),
        reason: Some(Reason::ContainerLimitationMemory),
        message: Some("Memory limit exceeded".into()),
        limitation: Some(Default::default()),
    };
    let effects = agent.terminate(&container, end);
    let status = &statuses(&effects)[0];
    assert_eq!(status.state(), TaskState::TaskFailed);
    assert_eq!(status.reason(), Reason::ContainerLimitationMemory);
    assert_eq!(status.message(), "Memory limit exceeded");
    assert!(status.limitation.is_some());
    assert!(!names(&effects).contains(&"exited"), "the master keeps no account of it");
}

#[test]
fn a_failed_launch_fails_the_task() {
    let mut agent = Agent::registered();
    let container = launched(&agent.master(run(task("t"), false))).unwrap();
    let result = Err("no such user 'x'".to_owned());
    let effects = agent.input(Input::Launched { container_id: container, result });
    let status = &statuses(&effects)[0];
    assert_eq!(status.reason(), Reason::ContainerLaunchFailed);
    assert_eq!(status.message(), "Failed to launch container: no such user 'x'");
    assert_eq!(agent.core.snapshot().counters.container_launch_errors, 1);
}

#[test]
fn an_executor_that_does_not_register_is_killed() {
    let mut agent = Agent::registered();
    let container = launched(&agent.master(run(task("t"), false))).unwrap();
    agent.input(Input::Launched { container_id: container.clone(), result: Ok(1) });
    assert!(names(&agent.pass(60_000)).contains(&"destroy"));
    let effects = agent.terminate(&container, ContainerEnd::default());
    let status = &statuses(&effects)[0];
    assert_eq!(status.reason(), Reason::ExecutorRegistrationTimeout);
    assert_eq!(status.message(), "Executor did not register within 1mins");
}

#[test]
fn launches_that_contradict_the_agent_are_dropped() {
    let mut agent = Agent::registered();
    agent.running("t", false);
    let custom = |id: &str| {
        let executor = v1::ExecutorInfo {
            executor_id: v1::ExecutorId { value: id.into() },
            command: Some(Box::default()),
            ..Default::default()
        };
        v1::TaskInfo { executor: Some(Box::new(executor)), command: None, ..task("x") }
    };
    let Inbound::RunTask(mut message) = run(custom("e"), false) else { panic!() };
    message.launch_executor = Some(false);
    let effects = agent.master(Inbound::RunTask(message));
    assert_eq!(states(&effects), [TaskState::TaskLost], "it knows nothing of TASK_DROPPED");
    assert_eq!(statuses(&effects)[0].reason(), Reason::ExecutorTerminated);
    assert!(names(&effects).contains(&"exited"));

    let Inbound::RunTask(mut message) = run(task("y"), false) else { panic!() };
    message.resource_version_uuids = vec![internal::ResourceVersionUuid {
        resource_provider_id: None,
        uuid: v1::Uuid { value: Bytes::from_static(b"other") },
    }];
    let effects = agent.master(Inbound::RunTask(message));
    assert_eq!(statuses(&effects)[0].reason(), Reason::InvalidOffers);

    let mut reserved = task("z");
    reserved.resources = vec![v1::Resource {
        name: "cpus".into(),
        reservation: Some(Default::default()),
        ..Default::default()
    }];
    let effects = agent.master(run(reserved, false));
    assert_eq!(statuses(&effects)[0].reason(), Reason::ResourcesUnknown);
}

#[test]
fn ids_that_are_no_names_of_files_are_refused() {
    let mut agent = Agent::registered();
    let effects = agent.master(run(task("../../etc"), true));
    assert_eq!(states(&effects), [TaskState::TaskError]);
    assert!(launched(&effects).is_none());
}

#[test]
fn task_groups_are_refused() {
    let mut agent = Agent::registered();
    let message = internal::RunTaskGroupMessage {
        framework: v1::FrameworkInfo {
            id: Some(v1::FrameworkId { value: "f".into() }),
            ..Default::default()
        },
        task_group: v1::TaskGroupInfo { tasks: vec![task("a"), task("b")] },
        launch_executor: Some(true),
        ..Default::default()
    };
    let effects = agent.master(Inbound::RunTaskGroup(Box::new(message)));
    assert_eq!(states(&effects), [TaskState::TaskError, TaskState::TaskError]);
    assert!(names(&effects).contains(&"exited"));
}

#[test]
fn a_kill_before_delivery_ends_task_and_executor() {
    let mut agent = Agent::registered();
    let container = launched(&agent.master(run(task("t"), false))).unwrap();
    let effects = agent.master(kill("t"));
    assert_eq!(states(&effects), [TaskState::TaskKilled]);
    assert_eq!(statuses(&effects)[0].reason(), Reason::TaskKilledDuringLaunch);
    assert!(names(&effects).contains(&"destroy"));
    let uuid = statuses(&effects)[0].uuid.clone().unwrap();
    agent.acknowledge("t", &uuid);
    agent.terminate(&container, ContainerEnd::default());
    assert!(agent.core.snapshot().frameworks.is_empty());
}

fn kill(id: &str) -> Inbound {
    Inbound::KillTask(internal::KillTaskMessage {
        framework_id: v1::FrameworkId { value: "f".into() },
        task_id: v1::TaskId { value: id.into() },
        kill_policy: None,
    })
}

#[test]
fn kills_reach_the_executor_and_unknown_tasks_are_answered() {
    let mut agent = Agent::registered();
    agent.running("t", false);
    assert_eq!(events(&agent.master(kill("t"))), [event::Type::Kill]);
    let effects = agent.master(kill("nope"));
    assert_eq!(statuses(&effects)[0].message(), "Cannot find executor");
}

#[test]
fn shutting_down_a_framework_asks_first_and_kills_later() {
    let mut agent = Agent::registered();
    let container = agent.running("t", false);
    let message =
        internal::ShutdownFrameworkMessage { framework_id: v1::FrameworkId { value: "f".into() } };
    let effects = agent.master(Inbound::ShutdownFramework(message));
    assert_eq!(events(&effects), [event::Type::Shutdown]);
    assert!(!names(&agent.pass(4900)).contains(&"destroy"));
    assert!(names(&agent.pass(200)).contains(&"destroy"));
    let effects = agent.terminate(&container, ContainerEnd::default());
    assert!(statuses(&effects).is_empty(), "nobody wants to know any more");
    assert!(agent.core.snapshot().frameworks.is_empty());
}

#[test]
fn calls_of_strangers_are_refused() {
    let mut agent = Agent::registered();
    let refused = |effects: Effects| match effects.as_slice() {
        [Effect::Answer(_, Answer::Refused(status, text))] => (*status, text.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(agent.subscribe(1, "t")), (400, "Framework cannot be found".into()));
    agent.master(run(task("t"), false));
    assert_eq!(refused(agent.subscribe(1, "x")), (400, "Executor cannot be found".into()));
    let update = agent.update("t", TaskState::TaskRunning, 1);
    assert_eq!(refused(update), (403, "Executor is not subscribed".into()));
}

#[test]
fn a_launch_lost_with_its_stream_is_sent_again() {
    let mut agent = Agent::registered();
    agent.running("t", false);
    let effects = agent.subscribe(2, "t");
    assert_eq!(events(&effects), [event::Type::Subscribed, event::Type::Launch]);
    agent.update("t", TaskState::TaskStarting, 1);
    assert_eq!(events(&agent.subscribe(3, "t")), [event::Type::Subscribed]);
}

#[test]
fn a_second_subscription_replaces_the_first() {
    let mut agent = Agent::registered();
    agent.running("t", false);
    agent.update("t", TaskState::TaskRunning, 1);
    let effects = agent.subscribe(2, "t");
    assert_eq!(names(&effects), ["answer", "close", "event"]);
    // The old stream's end is old news.
    agent.input(Input::StreamClosed(RequestId(1)));
    assert_eq!(events(&agent.master(kill("t"))), [event::Type::Kill]);
}

#[test]
fn a_master_that_does_not_want_the_agent_ends_it() {
    let mut agent = Agent::registered();
    let container = agent.running("t", false);
    let message = internal::ShutdownMessage { message: Some("gone".into()) };
    let effects = agent.master(Inbound::Shutdown(message));
    assert_eq!(events(&effects), [event::Type::Shutdown]);
    let effects = agent.terminate(&container, ContainerEnd::default());
    assert!(matches!(
        effects.last(),
        Some(Effect::Stop(Stop::ByMaster(text))) if text == "gone"
    ));
}

#[test]
fn an_impossible_agent_id_is_not_taken() {
    let mut agent = Agent::new();
    agent.pass(1000);
    for id in ["/etc/x", "../..", ""] {
        let message = internal::SlaveRegisteredMessage {
            slave_id: v1::AgentId { value: id.to_owned() },
            ..Default::default()
        };
        let effects = agent.master(Inbound::Registered(message));
        assert!(!names(&effects).contains(&"write"), "{id}: {effects:?}");
    }
    let effects = agent.master(Inbound::Registered(registered("S0")));
    assert!(names(&effects).contains(&"write"));
}

#[test]
fn an_unregistered_agent_obeys_no_stranger() {
    let mut agent = Agent::registered();
    let master = Inbound::Ping(internal::PingSlaveMessage { connected: false });
    agent.master(master);
    assert_eq!(agent.core.state(), State::Disconnected);
    let from = "master@10.9.8.7:6";
    let effects = agent.input(Input::Message { from: from.into(), message: run(task("t"), false) });
    assert!(effects.is_empty(), "{effects:?}");
}

#[test]
fn operations_are_refused_and_said_to_be() {
    let mut agent = Agent::registered();
    let message = internal::ApplyOperationMessage {
        operation_info: v1::offer::Operation {
            id: Some(v1::OperationId { value: "reserve".into() }),
            ..Default::default()
        },
        ..Default::default()
    };
    let effects = agent.master(Inbound::ApplyOperation(Box::new(message)));
    let [Effect::Send { message: Outbound::OperationStatus(update), .. }] = &effects[..] else {
        panic!("one answer expected: {effects:?}");
    };
    assert_eq!(update.status.state(), v1::OperationState::OperationError);
    assert_eq!(update.status.operation_id.as_ref().map(|id| &*id.value), Some("reserve"));
    assert_eq!(update.status.uuid, None, "nothing to acknowledge");
}

#[test]
fn draining_kills_everything_and_refuses_more() {
    let mut agent = Agent::registered();
    let container = agent.running("t", true);
    let config = v1::DrainConfig {
        max_grace_period: Some(Duration::from_secs(1).into()),
        mark_gone: Some(false),
    };
    let effects = agent.master(Inbound::Drain(internal::DrainSlaveMessage { config }));
    assert_eq!(events(&effects), [event::Type::Kill]);
    assert_eq!(names(&effects)[0], "write");
    let effects = agent.master(run(task("more"), true));
    assert_eq!(statuses(&effects)[0].reason(), Reason::AgentDraining);
    let refused = statuses(&effects)[0].uuid.clone().unwrap();
    agent.acknowledge("more", &refused);
    let effects = agent.update("t", TaskState::TaskKilled, 1);
    assert_eq!(statuses(&effects)[0].reason(), Reason::AgentDraining);
    agent.acknowledge("t", &[1; 16]);
    assert!(agent.core.snapshot().drain.is_some());
    agent.terminate(&container, ContainerEnd::default());
    assert!(agent.core.snapshot().drain.is_none(), "nothing is left");
}

#[test]
fn a_framework_that_comes_back_is_no_completed_one() {
    let mut agent = Agent::registered();
    for round in ["one", "two"] {
        let container = agent.running(round, false);
        assert!(agent.core.snapshot().completed_frameworks.is_empty());
        agent.update(round, TaskState::TaskFinished, 3);
        agent.acknowledge(round, &[3; 16]);
        agent.terminate(&container, ContainerEnd::default());
    }
    let snapshot = agent.core.snapshot();
    assert!(snapshot.frameworks.is_empty());
    assert_eq!(snapshot.completed_frameworks.len(), 1);
    assert_eq!(snapshot.completed_frameworks[0].completed_executors.len(), 2);
}

#[test]
fn strangers_do_not_command_the_agent() {
    let mut agent = Agent::registered();
    agent.running("t", false);
    let message = internal::ShutdownMessage::default();
    let from = "master@10.0.0.1:5050".to_owned();
    let effects = agent.input(Input::Message { from, message: Inbound::Shutdown(message) });
    assert!(effects.is_empty());
    assert_eq!(agent.core.state(), State::Running);
}

#[test]
fn only_the_master_it_was_told_of_takes_an_agent_in() {
    let stranger = "master@10.0.0.1:5050";
    let tell = |agent: &mut Agent, message| {
        agent.input(Input::Message { from: stranger.to_owned(), message })
    };
    let mut agent = Agent::new();
    agent.pass(1000);
    for message in [
        Inbound::Registered(registered("S0")),
        Inbound::Ping(internal::PingSlaveMessage { connected: true }),
        Inbound::Shutdown(internal::ShutdownMessage::default()),
    ] {
        assert!(tell(&mut agent, message).is_empty());
    }
    assert_eq!(agent.core.state(), State::Disconnected);
    let mut agent = Agent::registered();
    agent.running("t", false);
    // An id that is another one would end the agent, if its master said it.
    let agent_id = |id: &str| v1::AgentId { value: id.into() };
    let again =
        internal::SlaveReregisteredMessage { slave_id: agent_id("S9"), ..Default::default() };
    for message in [
        Inbound::Registered(registered("S9")),
        Inbound::Reregistered(Box::new(again)),
        Inbound::Ping(internal::PingSlaveMessage { connected: false }),
        Inbound::FrameworkToExecutor(internal::FrameworkToExecutorMessage {
            slave_id: agent_id("S0"),
            framework_id: v1::FrameworkId { value: "f".into() },
            executor_id: v1::ExecutorId { value: "t".into() },
            data: Default::default(),
        }),
    ] {
        assert!(tell(&mut agent, message).is_empty());
    }
    assert_eq!(agent.core.state(), State::Running);
}

#[test]
fn after_a_reboot_executors_are_known_dead() {
    let mut agent = Agent::registered();
    let mut writes: Vec<Write> = Vec::new();
    let mut keep = |effects: Effects| {
        writes.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Write(write) => Some(*write),
            _ => None,
        }));
    };
    keep(agent.master(run(task("t"), true)));
    let mut executors = Vec::new();
    let mut framework = None;
    for write in writes {
        match write {
            Write::Framework { info, .. } => framework = Some((*info).clone()),
            Write::Executor { run, info, generated } => {
                executors.push(crate::checkpoint::RecoveredExecutor {
                    run: (*run).clone(),
                    info: (*info).clone(),
                    generated,
                    forked_pid: None,
                    libprocess_pid: None,
                    http: false,
                    tasks: Vec::new(),
                });
            }
            Write::Task(_, task) => executors[0].tasks.push(crate::checkpoint::RecoveredTask {
                task: (*task).clone(),
                records: Vec::new(),
            }),
            _ => {}
        }
    }
    let recovered = Recovered {
        agent: Some(v1::AgentInfo {
            id: Some(v1::AgentId { value: "S0".into() }),
            ..Default::default()
        }),
        rebooted: true,
        frameworks: vec![crate::checkpoint::RecoveredFramework {
            info: framework.unwrap(),
            pid: None,
            executors,
        }],
        ..Default::default()
    };
    let mut again = Agent { core: Core::new(settings(), 8), now: agent.now };
    again.input(Input::Recover(Box::new(recovered)));
    assert_eq!(again.core.state(), State::Disconnected, "there is nobody to wait for");
    let snapshot = again.core.snapshot();
    assert_eq!(snapshot.frameworks[0].executors[0].state, ExecutorState::Terminated);
    let message = internal::SlaveReregisteredMessage {
        slave_id: v1::AgentId { value: "S0".into() },
        ..Default::default()
    };
    let effects = again.master(Inbound::Reregistered(Box::new(message)));
    assert_eq!(states(&effects), [TaskState::TaskFailed]);
    assert_eq!(statuses(&effects)[0].message(), "The agent's machine was rebooted");
}
