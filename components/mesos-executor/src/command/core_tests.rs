//! The life of a task as the agent sees it.

use super::*;
use mesos_messages::v1::{
    AgentId, CheckInfo, CommandInfo, DurationInfo, HealthCheck, check_info, executor::event::*,
    framework_info::Capability,
};

/// The core, its clock, and what it wants done.
struct Rig {
    core: Core,
    now: Now,
    effects: Vec<Effect>,
}

fn config(checkpoint: bool) -> Config {
    Config {
        framework_id: "f".into(),
        executor_id: "t".into(),
        checkpoint,
        recovery_timeout: Duration::from_secs(900),
        backoff_max: Duration::from_secs(2),
        shutdown_grace: Duration::from_secs(5),
    }
}

fn task() -> TaskInfo {
    TaskInfo {
        name: "name".into(),
        task_id: TaskId { value: "t".into() },
        agent_id: AgentId { value: "a".into() },
        command: Some(Box::new(CommandInfo { value: Some("true".into()), ..Default::default() })),
        ..Default::default()
    }
}

impl Rig {
    fn new(checkpoint: bool) -> Self {
        let mut counter = 0u8;
        let ids = Box::new(move || {
            counter += 1;
            [counter; 16]
        });
        let now = Now { mono: Duration::from_secs(100), wall: Duration::from_millis(1_500) };
        Self { core: Core::new(config(checkpoint), ids, 7), now, effects: Vec::new() }
    }

    fn subscribed(checkpoint: bool, capabilities: Vec<Capability>) -> Self {
        let mut rig = Self::new(checkpoint);
        assert_eq!(rig.give(Input::Tick), [Effect::Connect]);
        rig.give(Input::Connected);
        rig.event(subscribed_event(capabilities));
        rig
    }

    fn running(task: TaskInfo) -> Self {
        let mut rig = Self::subscribed(true, vec![]);
        rig.launch(task);
        rig.give(Input::Started(Ok(())));
        rig
    }

    fn give(&mut self, input: Input) -> Vec<Effect> {
        self.core.handle(self.now, input, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn event(&mut self, event: Event) -> Vec<Effect> {
        self.give(Input::Event(Box::new(event)))
    }

    fn launch(&mut self, task: TaskInfo) -> Vec<Effect> {
        self.event(Event {
            r#type: Some(Type::Launch.into()),
            launch: Some(Launch { task }),
            ..Default::default()
        })
    }

    fn kill(&mut self, grace: Option<u64>) -> Vec<Effect> {
        let kill_policy = grace.map(|seconds| KillPolicy {
            grace_period: Some(DurationInfo { nanoseconds: (seconds * 1_000_000_000) as i64 }),
        });
        self.event(Event {
            r#type: Some(Type::Kill.into()),
            kill: Some(Kill { task_id: task().task_id, kill_policy }),
            ..Default::default()
        })
    }

    fn shutdown(&mut self) -> Vec<Effect> {
        self.event(Event { r#type: Some(Type::Shutdown.into()), ..Default::default() })
    }

    fn acknowledge(&mut self, id: u8) -> Vec<Effect> {
        let acknowledged =
            Acknowledged { task_id: task().task_id, uuid: Bytes::copy_from_slice(&[id; 16]) };
        self.event(Event {
            r#type: Some(Type::Acknowledged.into()),
            acknowledged: Some(acknowledged),
            ..Default::default()
        })
    }

    /// Lets time pass to the next deadline, which must be `seconds` away.
    fn pass(&mut self, seconds: u64) -> Vec<Effect> {
        let passed = Duration::from_secs(seconds);
        assert_eq!(self.core.deadline(), Some(self.now.mono + passed));
        self.now = self.now.plus(passed);
        self.give(Input::Tick)
    }
}

fn subscribed_event(capabilities: Vec<Capability>) -> Event {
    let framework_info = FrameworkInfo { capabilities, ..Default::default() };
    Event {
        r#type: Some(Type::Subscribed.into()),
        subscribed: Some(Subscribed { framework_info, ..Default::default() }),
        ..Default::default()
    }
}

/// The updates among the effects, as state and message.
fn updates(effects: &[Effect]) -> Vec<(TaskState, String)> {
    statuses(effects)
        .into_iter()
        .map(|status| (status.state(), status.message.unwrap_or_default()))
        .collect()
}

fn statuses(effects: &[Effect]) -> Vec<TaskStatus> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Send(call) => call.update.clone(),
        _ => None,
    });
    sent.map(|update| update.status).collect()
}

fn ended(rig: &mut Rig, exit: Exit) -> Vec<(TaskState, String)> {
    updates(&rig.give(Input::Ended(exit)))
}

fn one(state: TaskState, message: &str) -> Vec<(TaskState, String)> {
    vec![(state, message.to_owned())]
}

const TERMINATED: Exit = Exit::Signal { number: 15, core: false };

#[test]
fn a_command_starts_runs_and_finishes() {
    let mut rig = Rig::subscribed(false, vec![]);
    let effects = rig.launch(task());
    assert_eq!(updates(&effects), one(TaskState::TaskStarting, ""));
    assert!(matches!(effects.last(), Some(Effect::Start(_))));
    let status = statuses(&effects).remove(0);
    assert_eq!(status.source(), Source::Executor);
    assert_eq!(status.executor_id.unwrap().value, "t");
    assert_eq!(status.timestamp, Some(1.5));
    assert_eq!(status.uuid.unwrap().len(), 16);

    assert_eq!(updates(&rig.give(Input::Started(Ok(())))), one(TaskState::TaskRunning, ""));
    assert_eq!(
        ended(&mut rig, Exit::Status(0)),
        one(TaskState::TaskFinished, "Command exited with status 0")
    );
    assert_eq!(rig.acknowledge(1), []);
    assert_eq!(rig.acknowledge(2), []);
    assert_eq!(rig.acknowledge(9), [], "an unknown update");
    assert_eq!(rig.acknowledge(3), [Effect::Exit(0)]);
}

#[test]
fn failures_say_how_the_command_ended() {
    let mut rig = Rig::running(task());
    assert_eq!(
        ended(&mut rig, Exit::Status(3)),
        one(TaskState::TaskFailed, "Command exited with status 3")
    );
    let mut rig = Rig::running(task());
    assert_eq!(
        ended(&mut rig, TERMINATED),
        one(TaskState::TaskFailed, "Command terminated with signal Terminated")
    );
}

#[test]
fn a_command_that_cannot_start_runs_and_fails() {
    let mut rig = Rig::subscribed(false, vec![]);
    rig.launch(task());
    let effects = rig.give(Input::Started(Err("no such file".into())));
    let expected = [
        (TaskState::TaskRunning, String::new()),
        (TaskState::TaskFailed, "Command exited with status 1".to_owned()),
    ];
    assert_eq!(updates(&effects), expected);
    assert!(effects.contains(&Effect::Log("no such file".into())));
}

#[test]
fn a_kill_is_a_signal_and_later_a_harder_one() {
    let mut rig = Rig::running(task());
    assert_eq!(rig.kill(None), [Effect::Signal { kill: false }]);
    assert_eq!(rig.pass(3), [Effect::Signal { kill: true }]);
    let killed = Exit::Signal { number: 9, core: false };
    assert_eq!(
        ended(&mut rig, killed),
        one(TaskState::TaskKilled, "Command terminated with signal Killed")
    );
}

#[test]
fn a_killed_command_that_ends_well_is_killed_all_the_same() {
    let mut rig = Rig::running(task());
    rig.kill(None);
    assert_eq!(
        ended(&mut rig, Exit::Status(0)),
        one(TaskState::TaskKilled, "Command exited with status 0")
    );
}

#[test]
fn the_grace_of_the_kill_wins_over_the_tasks() {
    let policy = |seconds: i64| KillPolicy {
        grace_period: Some(DurationInfo { nanoseconds: seconds * 1_000_000_000 }),
    };
    let patient = TaskInfo { kill_policy: Some(policy(30)), ..task() };
    let mut rig = Rig::running(patient.clone());
    rig.kill(None);
    assert_eq!(rig.pass(30), [Effect::Signal { kill: true }]);
    let mut rig = Rig::running(patient);
    rig.kill(Some(10));
    assert_eq!(rig.pass(10), [Effect::Signal { kill: true }]);
}

#[test]
fn another_kill_shortens_the_grace_and_never_lengthens_it() {
    let mut rig = Rig::running(task());
    rig.kill(Some(20));
    assert_eq!(rig.kill(Some(30)), []);
    rig.now = rig.now.plus(Duration::from_secs(4));
    assert_eq!(rig.kill(Some(5)), []);
    assert_eq!(rig.pass(1), [Effect::Signal { kill: true }]);
}

#[test]
fn killing_is_told_to_frameworks_that_know_it() {
    let capability = Capability { r#type: Some(capability::Type::TaskKillingState.into()) };
    let mut rig = Rig::subscribed(false, vec![capability]);
    rig.launch(task());
    rig.give(Input::Started(Ok(())));
    assert_eq!(updates(&rig.kill(None)), one(TaskState::TaskKilling, ""));
}

#[test]
fn a_kill_before_the_task_ends_the_executor() {
    let mut rig = Rig::subscribed(false, vec![]);
    assert_eq!(rig.kill(None), [Effect::Exit(1)]);
}

#[test]
fn a_second_task_is_refused_and_harms_nothing() {
    let mut rig = Rig::running(task());
    let other = TaskInfo { task_id: TaskId { value: "other".into() }, ..task() };
    let text = "Attempted to run multiple tasks using a \"command\" executor";
    assert_eq!(updates(&rig.launch(other)), one(TaskState::TaskFailed, text));
    assert_eq!(rig.acknowledge(3), []);
    assert_eq!(ended(&mut rig, Exit::Status(0)).len(), 1);
}

#[test]
fn a_task_that_takes_too_long_is_killed_at_once() {
    let limit = DurationInfo { nanoseconds: 7_000_000_000 };
    let capability = Capability { r#type: Some(capability::Type::TaskKillingState.into()) };
    let mut rig = Rig::subscribed(false, vec![capability]);
    rig.launch(TaskInfo { max_completion_time: Some(limit), ..task() });
    rig.give(Input::Started(Ok(())));
    assert_eq!(rig.pass(7), [Effect::Signal { kill: false }]);
    assert_eq!(rig.pass(0), [Effect::Signal { kill: true }]);
    let status = statuses(&rig.give(Input::Ended(TERMINATED))).remove(0);
    assert_eq!(status.state(), TaskState::TaskFailed);
    assert_eq!(status.reason(), Reason::MaxCompletionTimeReached);
}

#[test]
fn a_shutdown_leaves_time_for_the_last_update() {
    let mut rig = Rig::running(task());
    assert_eq!(rig.shutdown(), [Effect::Signal { kill: false }]);
    assert_eq!(rig.pass(3), [Effect::Signal { kill: true }]);
    let mut idle = Rig::subscribed(false, vec![]);
    assert_eq!(idle.shutdown(), [Effect::Exit(0)]);
}

#[test]
fn after_a_shutdown_nobody_waits_long_for_an_acknowledgement() {
    let mut rig = Rig::running(task());
    rig.shutdown();
    assert_eq!(ended(&mut rig, TERMINATED).len(), 1, "the end is told");
    rig.now = rig.now.plus(Duration::from_millis(250));
    assert_eq!(rig.core.deadline(), Some(rig.now.mono));
    assert_eq!(rig.give(Input::Tick), [Effect::Exit(0)]);
}

#[test]
fn without_an_acknowledgement_the_executor_gives_up() {
    let mut rig = Rig::running(task());
    rig.give(Input::Ended(Exit::Status(0)));
    assert!(rig.pass(60).contains(&Effect::Exit(1)));
}

fn sick_task() -> TaskInfo {
    let check = HealthCheck {
        command: Some(CommandInfo { value: Some("false".into()), ..Default::default() }),
        delay_seconds: Some(0.0),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(2),
        ..Default::default()
    };
    TaskInfo { health_check: Some(Box::new(check)), ..task() }
}

#[test]
fn failing_health_checks_kill_the_task() {
    let mut rig = Rig::running(sick_task());
    assert!(matches!(rig.pass(0)[..], [Effect::Probe(Kind::Health, Probe::Command(_))]));
    let failed = |rig: &mut Rig| rig.give(Input::Checked(Kind::Health, Finding::ExitCode(1)));
    let first = statuses(&failed(&mut rig)).remove(0);
    assert_eq!(first.state(), TaskState::TaskRunning);
    assert_eq!(first.healthy, Some(false));
    assert_eq!(first.reason(), Reason::TaskHealthCheckStatusUpdated);
    assert_eq!(rig.pass(10).len(), 1);
    let effects = failed(&mut rig);
    assert_eq!(statuses(&effects).len(), 1);
    assert_eq!(effects.last(), Some(&Effect::Signal { kill: false }));
    let last = statuses(&rig.give(Input::Ended(TERMINATED))).remove(0);
    assert_eq!((last.state(), last.healthy), (TaskState::TaskKilled, Some(false)));
}

#[test]
fn a_kill_ends_the_checks() {
    let mut rig = Rig::running(sick_task());
    rig.pass(0);
    assert_eq!(rig.kill(None), [Effect::Abort(Kind::Health), Effect::Signal { kill: false }]);
    assert_eq!(rig.give(Input::Checked(Kind::Health, Finding::ExitCode(1))), []);
}

#[test]
fn every_update_of_a_checked_task_has_a_check_status() {
    let check = CheckInfo {
        r#type: Some(check_info::Type::Http.into()),
        http: Some(check_info::Http { port: 80, path: None }),
        delay_seconds: Some(0.0),
        ..Default::default()
    };
    let mut rig = Rig::subscribed(false, vec![]);
    let effects = rig.launch(TaskInfo { check: Some(Box::new(check)), ..task() });
    let status = statuses(&effects).remove(0);
    assert_eq!(status.check_status.unwrap().http.unwrap().status_code, None);
    rig.give(Input::Started(Ok(())));
    rig.pass(0);
    let effects = rig.give(Input::Checked(Kind::Check, Finding::StatusCode(503)));
    let status = statuses(&effects).remove(0);
    assert_eq!(status.reason(), Reason::TaskCheckStatusUpdated);
    assert_eq!(status.check_status.unwrap().http.unwrap().status_code, Some(503));
}

#[test]
fn without_checkpoints_the_agents_end_is_the_tasks() {
    let mut rig = Rig::subscribed(false, vec![]);
    rig.launch(task());
    rig.give(Input::Started(Ok(())));
    let effects = rig.give(Input::Disconnected);
    assert_eq!(effects.last(), Some(&Effect::Signal { kill: false }));
    assert_eq!(rig.give(Input::Ended(TERMINATED)), [Effect::Exit(0)]);
}

#[test]
fn a_restarted_agent_hears_what_it_may_have_missed() {
    let mut rig = Rig::running(task());
    assert_eq!(rig.acknowledge(1), []);
    assert_eq!(rig.give(Input::Disconnected), []);
    // Its end comes while nobody listens.
    assert_eq!(rig.give(Input::Ended(Exit::Status(0))), []);
    rig.now = rig.now.plus(Duration::from_secs(2));
    assert_eq!(rig.give(Input::Tick), [Effect::Connect]);
    let effects = rig.give(Input::Connected);
    let [Effect::Subscribe(call)] = effects.as_slice() else { panic!("{effects:?}") };
    let subscribe = call.subscribe.clone().unwrap();
    assert_eq!(subscribe.unacknowledged_tasks, [], "it was acknowledged");
    let states: Vec<_> =
        subscribe.unacknowledged_updates.iter().map(|update| update.status.state()).collect();
    assert_eq!(states, [TaskState::TaskRunning, TaskState::TaskFinished]);
    rig.event(subscribed_event(vec![]));
    assert_eq!(rig.acknowledge(3), [Effect::Exit(0)]);
}

#[test]
fn an_unacknowledged_task_is_named_again() {
    let mut rig = Rig::running(task());
    rig.give(Input::Disconnected);
    rig.now = rig.now.plus(Duration::from_secs(2));
    rig.give(Input::Tick);
    let effects = rig.give(Input::Connected);
    let [Effect::Subscribe(call)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(call.subscribe.clone().unwrap().unacknowledged_tasks.len(), 1);
}

#[test]
fn an_agent_that_stays_away_too_long_ends_the_task() {
    let mut rig = Rig::running(task());
    rig.give(Input::Disconnected);
    let mut attempts = 0;
    let end = rig.now.mono + Duration::from_secs(900);
    while rig.core.deadline().unwrap() < end {
        rig.now.mono = rig.core.deadline().unwrap();
        assert_eq!(rig.give(Input::Tick), [Effect::Connect]);
        rig.give(Input::Disconnected);
        attempts += 1;
        assert!(attempts < 5000, "attempts without a pause");
    }
    assert!(attempts > 450, "only {attempts} attempts");
    rig.now.mono = end;
    let effects = rig.give(Input::Tick);
    assert_eq!(effects.last(), Some(&Effect::Signal { kill: false }));
    assert_eq!(rig.give(Input::Ended(TERMINATED)), [Effect::Exit(0)]);
}
