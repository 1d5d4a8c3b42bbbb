//! The agent's decisions: a state machine of inputs and effects without sockets, files or clocks.
//!
//! Invariants:
//! - A task that was accepted is in exactly one of: queued, launched, terminated (its terminal
//!   update is not acknowledged) or completed; or its drop is on a status update stream.
//! - An executor stays until all its tasks are completed, a framework until its last executor
//!   and its last status update stream are gone.
//! - Effects come in the order they must happen; whatever promises something to the outside
//!   follows the write that makes it true.

mod command;
mod drain;
mod executor;
mod executors;
mod gc;
mod input;
mod kill;
mod launch;
mod recovery;
mod registration;
mod snapshot;
mod status;
mod termination;
mod timers;
mod updates;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use drain::Drain;
pub use executor::ExecutorState;
pub use input::{
    Answer, ContainerEnd, Effect, Effects, Inbound, Input, Launch, Outbound, RequestId, Stop, Uuid,
};
pub(crate) use registration::capabilities;
pub use snapshot::{
    CompletedExecutor, Counters, ExecutorView, FrameworkView, GcView, Snapshot, StatusCounters,
};

use crate::checkpoint::{Layout, Run, Write};
use executor::{Channel, Executor};
use gc::Collector;
use mesos_messages::{
    internal,
    time::Now,
    v1::{self, TaskState, executor::Event},
};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use registration::MasterLink;
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::Arc,
    time::Duration,
};
use timers::{Timer, Timers};
use updates::Streams;

/// What the core needs to know of its configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `slave(1)@ip:port`.
    pub pid: String,
    /// `master@ip:port`.
    pub master: String,
    /// The agent without its id.
    pub info: v1::AgentInfo,
    /// The version told to the master.
    pub version: String,
    /// Where the directories are.
    pub layout: Layout,
    /// The program that runs command tasks, with its arguments.
    pub command_executor: (String, Vec<String>),
    /// Whether executors run as the framework's user.
    pub switch_user: bool,
    /// Whether executors found at start are killed.
    pub cleanup: bool,
    pub executor_registration_timeout: Duration,
    pub executor_reregistration_timeout: Duration,
    pub executor_shutdown_grace_period: Duration,
    pub registration_backoff_factor: Duration,
    pub ping_timeout: Duration,
    pub gc_delay: Duration,
    pub gc_disk_headroom: f64,
    pub disk_watch_interval: Duration,
    pub max_completed_frameworks: usize,
    pub max_completed_executors_per_framework: usize,
    pub max_completed_tasks_per_executor: usize,
}

/// Where the agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Reading checkpoints, waiting for executors to come back.
    Recovering,
    /// No master has taken it (or the connection to it broke).
    Disconnected,
    /// Registered.
    Running,
    /// Told to stop; executors are ending.
    Terminating,
}

/// A framework with something on this agent.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) info: Arc<v1::FrameworkInfo>,
    pub(crate) pid: Option<Arc<str>>,
    pub(crate) terminating: bool,
    pub(crate) executors: BTreeMap<String, Executor>,
    pub(crate) completed: VecDeque<Arc<CompletedExecutor>>,
}

/// The agent.
pub struct Core {
    settings: Settings,
    state: State,
    info: Arc<v1::AgentInfo>,
    resource_version: Uuid,
    rng: StdRng,
    timers: Timers,
    master: MasterLink,
    frameworks: BTreeMap<String, Framework>,
    completed_frameworks: VecDeque<FrameworkView>,
    streams: Streams,
    retry_timer: Option<Duration>,
    /// Which executor lives in a container.
    containers: FxHashMap<String, Arc<Run>>,
    /// Which container a stream of the executor API belongs to.
    connections: FxHashMap<RequestId, String>,
    gc: Collector,
    gc_timer: Option<Duration>,
    counters: Counters,
    /// Executors of a restarted agent that did not come back yet: by container.
    awaited: std::collections::BTreeSet<String>,
    stop: Option<Stop>,
    drain: Option<Drain>,
    /// Whether the checkpoints were taken in: before, nothing is known of any executor.
    loaded: bool,
}

impl Framework {
    pub(crate) fn new(info: v1::FrameworkInfo, pid: Option<Arc<str>>) -> Self {
        Self {
            info: Arc::new(info),
            pid,
            terminating: false,
            executors: BTreeMap::new(),
            completed: VecDeque::new(),
        }
    }

    pub(crate) fn is_partition_aware(&self) -> bool {
        is_partition_aware(&self.info)
    }

    pub(crate) fn checkpoint(&self) -> bool {
        self.info.checkpoint()
    }

    /// The executor that has a task in any state but completed.
    pub(crate) fn executor_of(&self, task_id: &str) -> Option<&Executor> {
        // A command task's executor has the task's id.
        match self.executors.get(task_id).filter(|executor| executor.has_task(task_id)) {
            Some(executor) => Some(executor),
            None => self.executors.values().find(|executor| executor.has_task(task_id)),
        }
    }

    fn executor_of_mut(&mut self, task_id: &str) -> Option<&mut Executor> {
        let id = self.executor_of(task_id)?.run.executor_id.clone();
        self.executors.get_mut(&id)
    }
}

pub(crate) fn is_partition_aware(info: &v1::FrameworkInfo) -> bool {
    use v1::framework_info::capability::Type;
    info.capabilities.iter().any(|capability| capability.r#type() == Type::PartitionAware)
}

/// The libprocess address of a scheduler, unless it is the one that means "none".
pub(crate) fn scheduler_pid(text: Option<&str>) -> Option<Arc<str>> {
    text.filter(|pid| !pid.is_empty() && !pid.starts_with('@')).map(Arc::from)
}

impl Core {
    /// An agent that waits for its first input, [`Input::Recover`].
    #[must_use]
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let resource_version = random_uuid(&mut rng);
        Self {
            state: State::Recovering,
            info: Arc::new(settings.info.clone()),
            resource_version,
            rng,
            timers: Timers::default(),
            master: MasterLink::new(&settings),
            frameworks: BTreeMap::new(),
            completed_frameworks: VecDeque::new(),
            streams: Streams::default(),
            retry_timer: None,
            containers: FxHashMap::default(),
            connections: FxHashMap::default(),
            gc: Collector::new(settings.gc_delay, settings.gc_disk_headroom),
            gc_timer: None,
            counters: Counters::default(),
            awaited: std::collections::BTreeSet::new(),
            stop: None,
            drain: None,
            loaded: false,
            settings,
        }
    }

    /// When [`Input::Timer`] must be given at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Where the agent is in its life.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The agent's id, once it has one.
    #[must_use]
    pub fn agent_id_text(&self) -> Option<String> {
        self.info.id.as_ref().map(|id| id.value.clone())
    }

    /// Takes one input; what must be done about it is appended to `fx`.
    pub fn handle(&mut self, now: Now, input: Input, fx: &mut Effects) {
        match input {
            Input::Recover(recovered) => self.recover(now, *recovered, fx),
            Input::Message { from, message } => self.message(now, &from, message, fx),
            Input::Exited(address) => self.exited(now, address, fx),
            Input::Call { request, call } => self.call(now, request, *call, fx),
            Input::StreamClosed(stream) => self.stream_closed(stream),
            Input::Launched { container_id, result } => {
                self.launched(now, &container_id, result, fx);
            }
            Input::Updated { container_id, result } => {
                self.limits_updated(now, &container_id, result, fx);
            }
            Input::Terminated { container_id, end } => {
                self.terminated(now, &container_id, &end, fx);
            }
            Input::DiskUsage(usage) => {
                let paths = self.gc.disk_usage(now.mono, usage);
                remove(paths, fx);
            }
            Input::OldPaths(paths) => self.old_paths(now, paths),
            Input::Removed { succeeded, failed } => {
                self.gc.succeeded += succeeded;
                self.gc.failed += failed;
            }
            Input::Timer => {}
            Input::Leave => self.leave(now, fx),
        }
        self.run_timers(now, fx);
        self.finish_drain(fx);
        self.finish_stop(fx);
    }

    fn run_timers(&mut self, now: Now, fx: &mut Effects) {
        while let Some(timer) = self.timers.pop(now.mono) {
            match timer {
                Timer::Register(attempt) => self.register(now, attempt, fx),
                Timer::Ping => self.ping_timer(now, fx),
                Timer::RetryUpdates => self.retry_updates(now, fx),
                Timer::ExecutorRegistration(container) => {
                    self.registration_timeout(&container, fx);
                }
                Timer::ExecutorShutdown(container) => self.shutdown_timeout(&container, fx),
                Timer::Reregistration => self.reregistration_timeout(now, fx),
                Timer::Collect => {
                    self.gc_timer = None;
                    remove(self.gc.due(now.mono), fx);
                    self.arm_gc();
                }
                Timer::Disk => {
                    fx.push(Effect::MeasureDisk);
                    self.timers.add(now.mono + self.settings.disk_watch_interval, Timer::Disk);
                }
            }
        }
    }

    fn message(&mut self, now: Now, from: &str, message: Inbound, fx: &mut Effects) {
        match message {
            Inbound::Registered(message) => self.registered(now, from, message, fx),
            Inbound::Reregistered(message) => self.reregistered(now, from, *message, fx),
            Inbound::Ping(ping) => self.ping(now, from, &ping, fx),
            Inbound::FrameworkToExecutor(message) => self.framework_message(from, message, fx),
            Inbound::RegisterExecutor(message) => self.register_executor(now, from, message, fx),
            Inbound::ReregisterExecutor(message) => {
                self.reregister_executor(now, from, *message, fx);
            }
            Inbound::StatusUpdate(message) => self.v0_status_update(now, from, *message, fx),
            Inbound::ExecutorToFramework(message) => self.executor_message(message, fx),
            _ if !self.is_master(from) => self.ignore_stranger(from),
            Inbound::RunTask(message) => self.run_task(now, *message, fx),
            Inbound::RunTaskGroup(message) => self.run_task_group(now, *message, fx),
            Inbound::KillTask(message) => self.kill_task(now, message, fx),
            Inbound::ShutdownExecutor(message) => self.shutdown_executor_message(now, &message, fx),
            Inbound::ShutdownFramework(message) => {
                self.shutdown_framework(now, &message.framework_id.value, fx);
            }
            Inbound::UpdateFramework(message) => self.update_framework(now, *message, fx),
            Inbound::Acknowledgement(message) => self.acknowledgement(now, &message, fx),
            Inbound::Shutdown(message) => {
                let text = message.message.unwrap_or_default();
                self.shut_down(now, Stop::ByMaster(text), fx);
            }
            Inbound::Drain(message) => self.drain(now, message, fx),
            Inbound::ApplyOperation(message) => self.refuse_operation(*message, fx),
            Inbound::Unsupported(name) => {
                tracing::warn!(name, "the master asked for what this agent cannot do yet");
            }
        }
    }

    /// Reservations and volumes are not kept here yet; a master that sends an operation is told
    /// so, once and without asking for an acknowledgement, instead of waiting for ever.
    fn refuse_operation(&self, message: internal::ApplyOperationMessage, fx: &mut Effects) {
        let agent_id = Some(self.agent_id());
        let status = v1::OperationStatus {
            operation_id: message.operation_info.id,
            state: v1::OperationState::OperationError as i32,
            message: Some("This agent does not support offer operations yet".to_owned()),
            agent_id: agent_id.clone(),
            ..v1::OperationStatus::default()
        };
        let update = internal::UpdateOperationStatusMessage {
            framework_id: message.framework_id,
            slave_id: agent_id,
            latest_status: Some(status.clone()),
            status,
            operation_uuid: Some(message.operation_uuid),
        };
        self.send_to_master(Outbound::OperationStatus(Box::new(update)), fx);
    }

    // === What several parts need ===

    fn send(to: &Arc<str>, message: Outbound, fx: &mut Effects) {
        fx.push(Effect::Send { to: Arc::clone(to), message });
    }

    fn send_to_master(&self, message: Outbound, fx: &mut Effects) {
        Self::send(&self.master.pid, message, fx);
    }

    fn uuid(&mut self) -> Uuid {
        random_uuid(&mut self.rng)
    }

    fn uuid_text(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    fn random(&mut self, from: Duration, to: Duration) -> Duration {
        let share: f64 = self.rng.random();
        from + to.saturating_sub(from).mul_f64(share)
    }

    fn agent_id(&self) -> v1::AgentId {
        self.info.id.clone().unwrap_or_default()
    }

    fn executor(&self, run: &Run) -> Option<&Executor> {
        self.frameworks.get(&run.framework_id)?.executors.get(&run.executor_id)
    }

    fn executor_mut(&mut self, run: &Run) -> Option<&mut Executor> {
        self.frameworks.get_mut(&run.framework_id)?.executors.get_mut(&run.executor_id)
    }

    /// The executor that lives in a container, if it still does.
    fn in_container(&mut self, container_id: &str) -> Option<(Arc<Run>, &mut Executor)> {
        let run = Arc::clone(self.containers.get(container_id)?);
        let executor = self
            .frameworks
            .get_mut(&run.framework_id)?
            .executors
            .get_mut(&run.executor_id)
            .filter(|executor| executor.run.container_id == container_id)?;
        Some((run, executor))
    }

    fn event(channel: RequestId, event: Event, fx: &mut Effects) {
        fx.push(Effect::Event(channel, Box::new(event)));
    }

    /// Tells an executor that the agent has taken over an update.
    fn acknowledge_to_executor(
        &self,
        channel: &Channel,
        update: &internal::StatusUpdate,
        fx: &mut Effects,
    ) {
        let uuid = update.uuid.clone().unwrap_or_default();
        let task_id = update.status.task_id.clone();
        match channel {
            Channel::V0(pid) => {
                let message = internal::StatusUpdateAcknowledgementMessage {
                    slave_id: self.agent_id(),
                    framework_id: update.framework_id.clone(),
                    task_id,
                    uuid,
                };
                Self::send(pid, Outbound::Acknowledgement(message), fx);
            }
            Channel::V1(stream) => {
                use v1::executor::event::{Acknowledged, Type};
                let acknowledged = Some(Acknowledged { task_id, uuid });
                let event = Event {
                    r#type: Some(Type::Acknowledged as i32),
                    acknowledged,
                    ..Event::default()
                };
                Self::event(*stream, event, fx);
            }
        }
    }

    fn schedule_removal(&mut self, now: Now, path: impl AsRef<Path>) {
        self.gc.schedule(now.mono, Arc::from(path.as_ref()), Duration::ZERO);
        self.arm_gc();
    }

    fn arm_gc(&mut self) {
        let Some(next) = self.gc.next() else { return };
        if self.gc_timer.is_none_or(|at| next < at) {
            self.gc_timer = Some(next);
            self.timers.add(next, Timer::Collect);
        }
    }

    fn old_paths(&mut self, now: Now, paths: Vec<(std::path::PathBuf, Duration)>) {
        for (path, age) in paths {
            let used = path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| self.containers.contains_key(name));
            if !used {
                self.gc.schedule(now.mono, Arc::from(path), age);
            }
        }
        self.arm_gc();
    }

    fn finish_stop(&mut self, fx: &mut Effects) {
        if self.state != State::Terminating || !self.frameworks.is_empty() {
            return;
        }
        if let Some(stop) = self.stop.take() {
            fx.push(Effect::Stop(stop));
        }
    }

    fn write(write: Write, fx: &mut Effects) {
        fx.push(Effect::Write(Box::new(write)));
    }
}

fn remove(paths: Vec<Arc<Path>>, fx: &mut Effects) {
    if !paths.is_empty() {
        fx.push(Effect::Remove(paths));
    }
}

fn random_uuid(rng: &mut StdRng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
    Uuid::copy_from_slice(uuid.as_bytes())
}

/// The state a task goes to when it never ran: older frameworks know only `TASK_LOST`.
fn dropped(partition_aware: bool) -> TaskState {
    if partition_aware { TaskState::TaskDropped } else { TaskState::TaskLost }
}
