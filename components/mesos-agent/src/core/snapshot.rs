//! What readers see: records shared with the core, copied only when the core changes them.

use super::{
    Core, Drain, Framework, State,
    executor::{Executor, ExecutorState},
};
use crate::checkpoint::Run;
use mesos_messages::{
    internal,
    v1::{self, TaskState},
};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Counters since the start.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Whether a master ever took the agent.
    pub registered: bool,
    pub recovery_errors: u64,
    /// From the start until executors were taken back.
    pub recovery_time: Duration,
    pub valid_status_updates: u64,
    pub invalid_status_updates: u64,
    pub valid_framework_messages: u64,
    pub invalid_framework_messages: u64,
    pub container_launch_errors: u64,
    pub executors_terminated: u64,
    /// Tasks by how they ended.
    pub tasks: StatusCounters,
}

/// Tasks by terminal state.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatusCounters {
    pub finished: u64,
    pub failed: u64,
    pub killed: u64,
    pub lost: u64,
    pub gone: u64,
}

/// The garbage collector's state.
#[derive(Debug, Clone, Copy, Default)]
pub struct GcView {
    pub pending: u64,
    pub succeeded: u64,
    pub failed: u64,
    /// How old a sandbox may become at the present disk usage.
    pub max_allowed_age: Duration,
}

/// The agent at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub state: State,
    pub info: Arc<v1::AgentInfo>,
    /// The master's address.
    pub master: Arc<str>,
    pub frameworks: Vec<FrameworkView>,
    pub completed_frameworks: Vec<FrameworkView>,
    pub counters: Counters,
    pub drain: Option<Drain>,
    pub gc: GcView,
}

/// A framework at one moment.
#[derive(Debug, Clone)]
pub struct FrameworkView {
    pub info: Arc<v1::FrameworkInfo>,
    pub pid: Option<Arc<str>>,
    pub executors: Vec<ExecutorView>,
    pub completed_executors: Vec<Arc<CompletedExecutor>>,
}

/// An executor whose life is over.
pub type CompletedExecutor = ExecutorView;

/// An executor at one moment.
#[derive(Debug, Clone)]
pub struct ExecutorView {
    pub info: Arc<v1::ExecutorInfo>,
    pub run: Arc<Run>,
    pub directory: PathBuf,
    pub state: ExecutorState,
    /// Made by the agent for a command task.
    pub generated: bool,
    pub pid: Option<u32>,
    pub queued: Vec<(Arc<v1::TaskInfo>, Arc<v1::Task>)>,
    pub launched: Vec<Arc<v1::Task>>,
    pub terminated: Vec<Arc<v1::Task>>,
    pub completed: Vec<Arc<v1::Task>>,
}

impl Counters {
    pub(super) fn count_terminal(&mut self, state: TaskState) {
        let counter = match state {
            TaskState::TaskFinished => &mut self.tasks.finished,
            TaskState::TaskFailed => &mut self.tasks.failed,
            TaskState::TaskKilled => &mut self.tasks.killed,
            TaskState::TaskLost => &mut self.tasks.lost,
            TaskState::TaskGone => &mut self.tasks.gone,
            _ => return,
        };
        *counter += 1;
    }
}

impl ExecutorView {
    pub(super) fn new(executor: Executor) -> Self {
        Self { state: ExecutorState::Terminated, ..Self::of(&executor) }
    }

    fn of(executor: &Executor) -> Self {
        Self {
            info: Arc::clone(&executor.info),
            run: Arc::clone(&executor.run),
            directory: executor.directory.clone(),
            state: executor.state,
            generated: executor.generated,
            pid: executor.forked_pid,
            queued: executor
                .queued
                .iter()
                .map(|queued| (Arc::clone(&queued.info), Arc::clone(&queued.task)))
                .collect(),
            launched: executor.launched.values().cloned().collect(),
            terminated: executor.terminated.values().cloned().collect(),
            completed: executor.completed.iter().cloned().collect(),
        }
    }

    /// The resources of the executor and of its tasks that still use them.
    pub fn resources(&self) -> impl Iterator<Item = &v1::Resource> {
        let tasks = self.launched.iter().chain(self.queued.iter().map(|(_, task)| task));
        self.info.resources.iter().chain(tasks.flat_map(|task| &task.resources))
    }
}

impl FrameworkView {
    /// The framework's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.info.id.as_ref().map_or("", |id| &id.value)
    }

    fn of(framework: &Framework) -> Self {
        Self {
            info: Arc::clone(&framework.info),
            pid: framework.pid.clone(),
            executors: framework.executors.values().map(ExecutorView::of).collect(),
            completed_executors: framework.completed.iter().cloned().collect(),
        }
    }
}

pub(super) fn completed_framework(framework: Framework) -> FrameworkView {
    FrameworkView {
        info: framework.info,
        pid: framework.pid,
        executors: Vec::new(),
        completed_executors: framework.completed.into(),
    }
}

/// What the master is told of a framework that is no more.
pub(super) fn archive(framework: &FrameworkView) -> internal::archive::Framework {
    internal::archive::Framework {
        framework_info: (*framework.info).clone(),
        pid: framework.pid.as_deref().map(str::to_owned),
        tasks: framework
            .completed_executors
            .iter()
            .flat_map(|executor| executor.terminated.iter().chain(&executor.completed))
            .map(|task| (**task).clone())
            .collect(),
    }
}

impl Core {
    /// Everything readers may want, without copying the records.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            state: self.state,
            info: Arc::clone(&self.info),
            master: Arc::clone(&self.master.pid),
            frameworks: self.frameworks.values().map(FrameworkView::of).collect(),
            completed_frameworks: self.completed_frameworks.iter().cloned().collect(),
            counters: self.counters.clone(),
            drain: self.drain.clone(),
            gc: GcView {
                pending: self.gc.pending() as u64,
                succeeded: self.gc.succeeded,
                failed: self.gc.failed,
                max_allowed_age: self.gc.max_allowed_age,
            },
        }
    }
}
