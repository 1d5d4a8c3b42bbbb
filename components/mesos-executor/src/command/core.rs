//! The executor's decisions: one task's life, its updates until acknowledged, its agent's absence.

use super::{
    checks::{Action, Checker, Finding, Kind, Probe, empty_status},
    text::Exit,
};
use bytes::Bytes;
use mesos_messages::{
    time::Now,
    v1::{
        CheckStatusInfo, ExecutorId, FrameworkId, FrameworkInfo, KillPolicy, TaskId, TaskInfo,
        TaskState, TaskStatus,
        executor::{
            Call, Event,
            call::{self, Subscribe, Update},
            event,
        },
        framework_info::capability,
        task_status::{Reason, Source},
    },
};
use std::time::Duration;

/// The wait between SIGTERM and SIGKILL unless the task or the kill says otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(3);
/// How long the agent may take to acknowledge the last update.
const LAST_ACKNOWLEDGEMENT: Duration = Duration::from_secs(60);
/// The same after a shutdown: where it is the framework that ends, nobody acknowledges.
const SHUTDOWN_ACKNOWLEDGEMENT: Duration = Duration::from_millis(250);
/// What a shutdown leaves of its grace for the last update to get through.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(2);
/// How often the agent hears of us, so that nothing between forgets the connection.
const HEARTBEAT: Duration = Duration::from_secs(30 * 60);
/// The first pause before another attempt to reach the agent; it doubles up to the maximum.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// What an executor is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// The framework of the task.
    pub framework_id: String,
    /// The id of this executor.
    pub executor_id: String,
    /// Whether to wait for a restarted agent.
    pub checkpoint: bool,
    /// How long to wait for it.
    pub recovery_timeout: Duration,
    /// The longest pause between attempts to reach it.
    pub backoff_max: Duration,
    /// How long the agent gives this executor to end.
    pub shutdown_grace: Duration,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Both connections stand.
    Connected,
    /// A connection could not be made, ended or was refused.
    Disconnected,
    /// The agent says something.
    Event(Box<Event>),
    /// The command runs, or could not be started.
    Started(Result<(), String>),
    /// The command ended.
    Ended(Exit),
    /// A check has its result.
    Checked(Kind, Finding),
    /// A deadline may have passed.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make both connections; answered by [`Input::Connected`] or [`Input::Disconnected`].
    Connect,
    /// Send this on the connection for events.
    Subscribe(Box<Call>),
    /// Send this on the connection for calls.
    Send(Box<Call>),
    /// Start the command; answered by [`Input::Started`].
    Start(Box<TaskInfo>),
    /// Signal the command and all its descendants.
    Signal {
        /// SIGKILL rather than SIGTERM.
        kill: bool,
    },
    /// Run a check; answered by [`Input::Checked`].
    Probe(Kind, Probe),
    /// End a run of a check.
    Abort(Kind),
    /// A line for the sandbox's log.
    Log(String),
    /// Exit with this status.
    Exit(u8),
}

/// Where the connection to the agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Agent {
    Connecting,
    Subscribing,
    Subscribed,
    Away { retry: Duration },
}

/// The one task.
#[derive(Debug)]
struct Task {
    info: TaskInfo,
    /// The agent acknowledged any of its updates: it need not be named when subscribing again.
    acknowledged: bool,
    started: bool,
    ended: bool,
    checks: Vec<(Kind, Checker)>,
    complete_by: Option<Duration>,
    killing: Option<Killing>,
    cause: Cause,
}

/// A kill under way.
#[derive(Clone, Copy, Debug)]
struct Killing {
    since: Duration,
    escalate: Option<Duration>,
}

/// Why the task is being killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Asked,
    Unhealthy,
    TookTooLong,
}

/// The executor without its surroundings.
pub struct Core {
    config: Config,
    /// Makes the ids of updates.
    ids: Box<dyn FnMut() -> [u8; 16]>,
    jitter: u64,
    agent: Agent,
    backoff: Duration,
    away_since: Option<Duration>,
    heartbeat: Duration,
    framework: Option<FrameworkInfo>,
    task: Option<Task>,
    unacknowledged: Vec<Update>,
    last: Option<TaskStatus>,
    give_up: Option<Duration>,
    shutting_down: bool,
    done: bool,
}

// === impl Core ===

impl Core {
    /// `ids` makes the ids of updates, `seed` spreads attempts to reach the agent.
    pub fn new(config: Config, ids: Box<dyn FnMut() -> [u8; 16]>, seed: u64) -> Self {
        Self {
            config,
            ids,
            jitter: seed | 1,
            agent: Agent::Away { retry: Duration::ZERO },
            backoff: FIRST_BACKOFF,
            away_since: None,
            heartbeat: Duration::MAX,
            framework: None,
            task: None,
            unacknowledged: Vec::new(),
            last: None,
            give_up: None,
            shutting_down: false,
            done: false,
        }
    }

    /// When to come back with [`Input::Tick`] at the latest.
    pub fn deadline(&self) -> Option<Duration> {
        let mut deadlines = vec![self.give_up];
        match self.agent {
            Agent::Away { retry } => deadlines.push(Some(retry)),
            Agent::Subscribed => deadlines.push(Some(self.heartbeat)),
            Agent::Connecting | Agent::Subscribing => {}
        }
        if let Some(since) = self.away_since {
            deadlines.push(Some(since.saturating_add(self.config.recovery_timeout)));
        }
        if let Some(task) = &self.task {
            deadlines.push(task.complete_by);
            deadlines.push(task.killing.and_then(|killing| killing.escalate));
            deadlines.extend(task.checks.iter().map(|(_, checker)| checker.deadline()));
        }
        deadlines.into_iter().flatten().min()
    }

    /// Takes one input; what to do about it is appended to `effects`.
    pub fn handle(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        if self.done {
            return;
        }
        match input {
            Input::Connected => self.subscribe(effects),
            Input::Disconnected => self.disconnected(now, effects),
            Input::Event(event) => self.event(now, *event, effects),
            Input::Started(result) => self.started(now, result, effects),
            Input::Ended(exit) => self.ended(now, exit, effects),
            Input::Checked(kind, finding) => self.checked(now, kind, finding, effects),
            Input::Tick => self.tick(now, effects),
        }
    }

    // --- the agent ---

    fn subscribe(&mut self, effects: &mut Vec<Effect>) {
        self.agent = Agent::Subscribing;
        let unacknowledged = self.task.iter().filter(|task| !task.acknowledged);
        let subscribe = Subscribe {
            unacknowledged_tasks: unacknowledged.map(|task| task.info.clone()).collect(),
            unacknowledged_updates: self.unacknowledged.clone(),
        };
        let mut call = self.call(call::Type::Subscribe);
        call.subscribe = Some(subscribe);
        effects.push(Effect::Subscribe(call));
    }

    fn disconnected(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let was = self.agent;
        if matches!(was, Agent::Away { .. }) {
            return;
        }
        // Whoever never reached the agent is only being started; the agent is there.
        let known = self.framework.is_some();
        if known && !self.config.checkpoint {
            self.agent = Agent::Away { retry: Duration::MAX };
            effects.push(Effect::Log("the agent is gone and will not come back for us".into()));
            return self.shutdown(now, effects);
        }
        self.away_since.get_or_insert(now.mono);
        let pause = self.pause();
        self.agent = Agent::Away { retry: now.mono.saturating_add(pause) };
    }

    /// The next pause: at random between nothing and a bound that doubles.
    fn pause(&mut self) -> Duration {
        let bound = self.backoff.min(self.config.backoff_max);
        self.backoff = self.backoff.saturating_mul(2);
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let share = f64::from(u32::try_from(self.jitter >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        bound.mul_f64(share)
    }

    fn event(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        match event.r#type() {
            event::Type::Subscribed => {
                let Some(subscribed) = event.subscribed else { return };
                self.agent = Agent::Subscribed;
                self.backoff = FIRST_BACKOFF;
                self.away_since = None;
                self.heartbeat = now.mono.saturating_add(HEARTBEAT);
                self.framework = Some(subscribed.framework_info);
            }
            event::Type::Launch => {
                if let Some(launch) = event.launch {
                    self.launch(now, launch.task, effects);
                }
            }
            event::Type::LaunchGroup => {
                effects.push(Effect::Log("this executor runs no task groups".into()));
                self.shutdown(now, effects);
            }
            event::Type::Kill => {
                if let Some(kill) = event.kill {
                    self.kill_asked(now, kill.kill_policy, effects);
                }
            }
            event::Type::Acknowledged => {
                if let Some(acknowledged) = event.acknowledged {
                    self.acknowledged(&acknowledged.uuid, effects);
                }
            }
            event::Type::Shutdown => self.shutdown(now, effects),
            event::Type::Error => {
                let text = event.error.map(|error| error.message).unwrap_or_default();
                effects.push(Effect::Log(format!("the agent reports an error: {text}")));
            }
            event::Type::Message | event::Type::Heartbeat | event::Type::Unknown => {}
        }
    }

    fn acknowledged(&mut self, uuid: &Bytes, effects: &mut Vec<Effect>) {
        let found = self.unacknowledged.iter().position(|update| update.status.uuid() == uuid);
        let Some(position) = found else { return };
        let update = self.unacknowledged.remove(position);
        let Some(task) = &mut self.task else { return };
        task.acknowledged = true;
        let own = update.status.task_id == task.info.task_id;
        if own && task.ended && is_terminal(update.status.state()) {
            self.exit(0, effects);
        }
    }

    // --- the task ---

    fn launch(&mut self, now: Now, task: TaskInfo, effects: &mut Vec<Effect>) {
        if self.task.is_some() {
            let mut status = self.status(now, task.task_id, TaskState::TaskFailed);
            let text = "Attempted to run multiple tasks using a \"command\" executor";
            status.message = Some(text.into());
            return self.forward(status, effects);
        }
        let limit = task.max_completion_time.map(|time| time.to_duration());
        self.task = Some(Task {
            info: task.clone(),
            acknowledged: false,
            started: false,
            ended: false,
            checks: Vec::new(),
            complete_by: limit.filter(|limit| !limit.is_zero()).map(|limit| now.mono + limit),
            killing: None,
            cause: Cause::Asked,
        });
        let status = self.status(now, task.task_id.clone(), TaskState::TaskStarting);
        self.forward(status, effects);
        effects.push(Effect::Start(Box::new(task)));
    }

    fn started(&mut self, now: Now, result: Result<(), String>, effects: &mut Vec<Effect>) {
        let Some(task) = &mut self.task else { return };
        task.started = true;
        // A kill that came along with the launch: the next word on the task is its end.
        if task.killing.is_some() {
            if let Err(reason) = result {
                effects.push(Effect::Log(reason));
                self.ended(now, Exit::Status(1), effects);
            }
            return;
        }
        let info = &task.info;
        let check = info.check.as_ref().and_then(|check| Checker::check(check, now.mono));
        let health = info.health_check.as_ref();
        let health = health.and_then(|check| Checker::health(check, now.mono));
        task.checks.extend(check.map(|checker| (Kind::Check, checker)));
        task.checks.extend(health.map(|checker| (Kind::Health, checker)));
        let id = task.info.task_id.clone();
        let status = self.status(now, id, TaskState::TaskRunning);
        self.forward(status, effects);
        if let Err(reason) = result {
            // A launcher that cannot run the command is itself a process that fails.
            effects.push(Effect::Log(reason));
            self.ended(now, Exit::Status(1), effects);
        }
    }

    fn ended(&mut self, now: Now, exit: Exit, effects: &mut Vec<Effect>) {
        let Some(task) = &mut self.task else { return };
        task.ended = true;
        task.complete_by = None;
        task.stop_checks(effects);
        let killed = task.killing.take().is_some();
        let (state, reason) = match task.cause {
            Cause::TookTooLong => (TaskState::TaskFailed, Some(Reason::MaxCompletionTimeReached)),
            _ if killed => (TaskState::TaskKilled, None),
            _ if exit.success() => (TaskState::TaskFinished, None),
            _ => (TaskState::TaskFailed, None),
        };
        let unhealthy = killed && task.cause == Cause::Unhealthy;
        let id = task.info.task_id.clone();
        let mut status = self.status(now, id, state);
        status.message = Some(format!("Command {exit}"));
        status.reason = reason.map(Into::into);
        status.healthy = unhealthy.then_some(false);
        self.forward(status, effects);
        let patience =
            if self.shutting_down { SHUTDOWN_ACKNOWLEDGEMENT } else { LAST_ACKNOWLEDGEMENT };
        self.give_up = Some(now.mono + patience);
        if self.agent == (Agent::Away { retry: Duration::MAX }) {
            // Nobody is left to tell.
            self.exit(0, effects);
        }
    }

    fn checked(&mut self, now: Now, kind: Kind, finding: Finding, effects: &mut Vec<Effect>) {
        self.with_checker(now, kind, effects, |checker, actions| {
            checker.finish(now.mono, finding, actions);
        });
    }

    fn with_checker(
        &mut self,
        now: Now,
        kind: Kind,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut Checker, &mut Vec<Action>),
    ) {
        let mut checks = self.task.iter_mut().flat_map(|task| task.checks.iter_mut());
        let mut actions = Vec::new();
        if let Some((_, checker)) = checks.find(|(of, _)| *of == kind) {
            change(checker, &mut actions);
        }
        for action in actions {
            match action {
                Action::Run(probe) => effects.push(Effect::Probe(kind, probe)),
                Action::Abort => effects.push(Effect::Abort(kind)),
                Action::Report(status) => self.check_changed(now, status, effects),
                Action::Health { healthy, kill } => {
                    self.health_changed(now, healthy, kill, effects);
                }
            }
        }
    }

    fn check_changed(&mut self, now: Now, check: CheckStatusInfo, effects: &mut Vec<Effect>) {
        let Some(mut status) = self.repeat(now, Reason::TaskCheckStatusUpdated) else { return };
        status.check_status = Some(Box::new(check));
        self.forward(status, effects);
    }

    fn health_changed(&mut self, now: Now, healthy: bool, kill: bool, effects: &mut Vec<Effect>) {
        let reason = Reason::TaskHealthCheckStatusUpdated;
        let Some(mut status) = self.repeat(now, reason) else { return };
        status.healthy = Some(healthy);
        self.forward(status, effects);
        if kill {
            if let Some(task) = &mut self.task {
                task.cause = Cause::Unhealthy;
            }
            self.kill_asked(now, None, effects);
        }
    }

    // --- its end ---

    fn kill_asked(&mut self, now: Now, policy: Option<KillPolicy>, effects: &mut Vec<Effect>) {
        let Some(task) = &mut self.task else {
            // The kill overtook the task, which will never come.
            return self.exit(1, effects);
        };
        task.complete_by = None;
        let own = task.info.kill_policy.as_ref().and_then(|policy| policy.grace_period);
        let asked = policy.and_then(|policy| policy.grace_period);
        let grace = asked.or(own).map_or(DEFAULT_GRACE, |grace| grace.to_duration());
        self.kill(now, grace, effects);
    }

    fn shutdown(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.shutting_down = true;
        match &self.task {
            None => self.exit(0, effects),
            Some(task) if task.ended => {
                let until = now.mono + SHUTDOWN_ACKNOWLEDGEMENT;
                self.give_up = Some(self.give_up.map_or(until, |known| known.min(until)));
                if self.agent == (Agent::Away { retry: Duration::MAX }) {
                    self.exit(0, effects);
                }
            }
            Some(_) => {
                let grace = self.config.shutdown_grace.saturating_sub(SHUTDOWN_MARGIN);
                self.kill(now, grace, effects);
            }
        }
    }

    fn kill(&mut self, now: Now, grace: Duration, effects: &mut Vec<Effect>) {
        let can_tell = self.tells_killing();
        let Some(task) = &mut self.task else { return };
        if task.ended {
            return;
        }
        if let Some(killing) = &mut task.killing {
            // A second kill may shorten the wait, never lengthen it.
            let escalate = killing.since.saturating_add(grace);
            if killing.escalate.is_some_and(|until| escalate < until) {
                killing.escalate = Some(escalate.max(now.mono));
            }
            return;
        }
        let escalate = Some(now.mono.saturating_add(grace));
        task.killing = Some(Killing { since: now.mono, escalate });
        task.stop_checks(effects);
        if can_tell && task.cause != Cause::TookTooLong {
            let id = task.info.task_id.clone();
            let status = self.status(now, id, TaskState::TaskKilling);
            self.forward(status, effects);
        }
        effects.push(Effect::Signal { kill: false });
    }

    fn tells_killing(&self) -> bool {
        let wanted = capability::Type::TaskKillingState;
        let capabilities = self.framework.iter().flat_map(|framework| &framework.capabilities);
        capabilities.into_iter().any(|capability| capability.r#type() == wanted)
    }

    fn exit(&mut self, code: u8, effects: &mut Vec<Effect>) {
        self.done = true;
        effects.push(Effect::Exit(code));
    }

    // --- time ---

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        for kind in [Kind::Check, Kind::Health] {
            self.with_checker(now, kind, effects, |checker, actions| {
                checker.tick(now.mono, actions);
            });
        }
        self.tick_task(now, effects);
        self.tick_agent(now, effects);
        if self.give_up.is_some_and(|until| until <= now.mono) && !self.done {
            if self.shutting_down {
                return self.exit(0, effects);
            }
            effects.push(Effect::Log("the agent never acknowledged the last update".into()));
            self.exit(1, effects);
        }
    }

    fn tick_task(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(task) = &mut self.task else { return };
        if let Some(killing) = &mut task.killing
            && killing.escalate.is_some_and(|until| until <= now.mono)
        {
            killing.escalate = None;
            effects.push(Effect::Signal { kill: true });
        }
        if task.started && task.complete_by.is_some_and(|until| until <= now.mono) {
            task.complete_by = None;
            if task.killing.is_none() {
                task.cause = Cause::TookTooLong;
                self.kill(now, Duration::ZERO, effects);
            }
        }
    }

    fn tick_agent(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let gone = self.away_since.map(|since| since + self.config.recovery_timeout);
        if gone.is_some_and(|until| until <= now.mono) {
            self.away_since = None;
            self.agent = Agent::Away { retry: Duration::MAX };
            effects.push(Effect::Log("the agent did not come back in time".into()));
            return self.shutdown(now, effects);
        }
        match self.agent {
            Agent::Away { retry } if retry <= now.mono => {
                self.agent = Agent::Connecting;
                effects.push(Effect::Connect);
            }
            Agent::Subscribed if self.heartbeat <= now.mono => {
                self.heartbeat = now.mono + HEARTBEAT;
                effects.push(Effect::Send(self.call(call::Type::Heartbeat)));
            }
            _ => {}
        }
    }

    // --- messages ---

    fn call(&self, kind: call::Type) -> Box<Call> {
        Box::new(Call {
            executor_id: ExecutorId { value: self.config.executor_id.clone() },
            framework_id: FrameworkId { value: self.config.framework_id.clone() },
            r#type: Some(kind.into()),
            ..Default::default()
        })
    }

    /// A new status; it carries nothing of the ones before.
    fn status(&mut self, now: Now, task_id: TaskId, state: TaskState) -> TaskStatus {
        let check = self.task.as_ref().and_then(|task| task.info.check.as_ref());
        TaskStatus {
            task_id,
            state: state.into(),
            source: Some(Source::Executor.into()),
            executor_id: Some(ExecutorId { value: self.config.executor_id.clone() }),
            timestamp: Some(now.seconds()),
            uuid: Some(Bytes::copy_from_slice(&(self.ids)())),
            check_status: check.map(|check| Box::new(empty_status(check))),
            ..Default::default()
        }
    }

    /// The last status again, with what it carried, for another reason. Not after a kill: the
    /// next word on the task is its end.
    fn repeat(&mut self, now: Now, reason: Reason) -> Option<TaskStatus> {
        let running = |task: &Task| !task.ended && task.killing.is_none();
        if !self.task.as_ref().is_some_and(running) {
            return None;
        }
        let mut status = self.last.clone()?;
        status.uuid = Some(Bytes::copy_from_slice(&(self.ids)()));
        status.timestamp = Some(now.seconds());
        status.reason = Some(reason.into());
        Some(status)
    }

    /// Keeps an update until it is acknowledged, and sends it if the agent is there.
    fn forward(&mut self, status: TaskStatus, effects: &mut Vec<Effect>) {
        self.last = Some(status.clone());
        let update = Update { status };
        self.unacknowledged.push(update.clone());
        if self.agent == Agent::Subscribed {
            let mut call = self.call(call::Type::Update);
            call.update = Some(update);
            effects.push(Effect::Send(call));
        }
    }
}

// === impl Task ===

impl Task {
    fn stop_checks(&mut self, effects: &mut Vec<Effect>) {
        for (kind, checker) in &mut self.checks {
            if checker.pause() {
                effects.push(Effect::Abort(*kind));
            }
        }
    }
}

fn is_terminal(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFinished
            | TaskState::TaskFailed
            | TaskState::TaskKilled
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
    )
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
