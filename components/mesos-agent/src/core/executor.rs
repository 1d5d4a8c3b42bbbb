//! One executor and its tasks.

use super::{input::RequestId, updates::is_terminal};
use crate::checkpoint::Run;
use mesos_containerizer::ResourceLimits;
use mesos_messages::{internal::StatusUpdate, v1};
use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

/// Where an executor is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorState {
    /// Launched (or found again after a restart), not yet heard of.
    Registering,
    /// Registered: tasks can be sent.
    Running,
    /// Asked to stop.
    Terminating,
    /// Its container is gone; updates of its tasks wait for acknowledgement.
    Terminated,
}

/// How to reach an executor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Channel {
    /// By libprocess at this address.
    V0(Arc<str>),
    /// On the stream of this SUBSCRIBE.
    V1(RequestId),
}

/// Why the agent itself ended an executor.
#[derive(Debug, Clone)]
pub(crate) struct PendingTermination {
    pub(crate) state: Option<v1::TaskState>,
    pub(crate) reason: v1::task_status::Reason,
    pub(crate) message: String,
}

/// A task that waits for its executor.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) info: Arc<v1::TaskInfo>,
    pub(crate) task: Arc<v1::Task>,
}

/// An executor that has not ended, or of which something still waits for acknowledgement.
#[derive(Debug)]
pub(crate) struct Executor {
    pub(crate) run: Arc<Run>,
    pub(crate) info: Arc<v1::ExecutorInfo>,
    pub(crate) directory: PathBuf,
    pub(crate) state: ExecutorState,
    pub(crate) generated: bool,
    pub(crate) checkpoint: bool,
    pub(crate) user: Option<String>,
    pub(crate) channel: Option<Channel>,
    /// The v0 address or v1 use known before a restart.
    pub(crate) known_pid: Option<Arc<str>>,
    pub(crate) http: bool,
    pub(crate) forked_pid: Option<u32>,
    /// Updates that overtook the news of the start; `None` once that has come.
    pub(crate) early: Option<Vec<(StatusUpdate, Channel)>>,
    pub(crate) queued: VecDeque<Queued>,
    pub(crate) launched: BTreeMap<String, Arc<v1::Task>>,
    /// Tasks that were sent and of which nothing was heard since.
    pub(crate) unheard: BTreeMap<String, Arc<v1::TaskInfo>>,
    pub(crate) terminated: BTreeMap<String, Arc<v1::Task>>,
    pub(crate) completed: VecDeque<Arc<v1::Task>>,
    pub(crate) pending_termination: Option<PendingTermination>,
    /// The limits the container has, and whether a change is on its way.
    pub(crate) limits: ResourceLimits,
    pub(crate) updating: bool,
    /// Whether it was ever given a task.
    pub(crate) served: bool,
}

/// Why a status update does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadUpdate {
    UnknownTask,
    AlreadyTerminal,
}

impl Executor {
    /// Whether a task is held in any state but completed.
    pub(crate) fn has_task(&self, id: &str) -> bool {
        self.launched.contains_key(id) || self.terminated.contains_key(id) || self.is_queued(id)
    }

    pub(crate) fn is_queued(&self, id: &str) -> bool {
        self.queued.iter().any(|queued| queued.info.task_id.value == id)
    }

    /// Nothing waits for anything.
    pub(crate) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.launched.is_empty() && self.terminated.is_empty()
    }

    pub(crate) fn task_mut(&mut self, id: &str) -> Option<&mut Arc<v1::Task>> {
        if let Some(queued) = self.queued.iter_mut().find(|q| q.info.task_id.value == id) {
            return Some(&mut queued.task);
        }
        match self.launched.get_mut(id) {
            Some(task) => Some(task),
            None => self.terminated.get_mut(id),
        }
    }

    /// Tasks that still use resources.
    pub(crate) fn active_tasks(&self) -> impl Iterator<Item = &Arc<v1::Task>> {
        self.launched.values().chain(self.queued.iter().map(|queued| &queued.task))
    }

    /// Everything not completed.
    pub(crate) fn all_tasks(&self) -> impl Iterator<Item = &Arc<v1::Task>> {
        self.active_tasks().chain(self.terminated.values())
    }

    /// What the container should be allowed: the executor's own and its active tasks' resources.
    pub(crate) fn wanted_limits(&self) -> ResourceLimits {
        let tasks: Vec<_> = self.active_tasks().collect();
        let resources =
            self.info.resources.iter().chain(tasks.iter().flat_map(|task| &task.resources));
        ResourceLimits::from_resources(resources).with_limits(sum_limits(&self.info, &tasks).iter())
    }

    /// Applies a status. Terminal ones move the task to the terminated.
    pub(crate) fn update_task(&mut self, status: &v1::TaskStatus) -> Result<(), BadUpdate> {
        let id = status.task_id.value.as_str();
        let terminal = is_terminal(status.state);
        self.unheard.remove(id);
        if self.terminated.contains_key(id) {
            return Err(BadUpdate::AlreadyTerminal);
        }
        if !terminal {
            let task = self.task_mut(id).ok_or(BadUpdate::UnknownTask)?;
            record_status(Arc::make_mut(task), status);
            return Ok(());
        }
        let queued = self.queued.iter().position(|queued| queued.info.task_id.value == id);
        let mut task = match queued.and_then(|at| self.queued.remove(at)) {
            Some(queued) => queued.task,
            None => self.launched.remove(id).ok_or(BadUpdate::UnknownTask)?,
        };
        record_status(Arc::make_mut(&mut task), status);
        self.terminated.insert(id.to_owned(), task);
        Ok(())
    }

    /// The terminal update of a task was acknowledged.
    pub(crate) fn complete_task(&mut self, id: &str, keep: usize) {
        if let Some(task) = self.terminated.remove(id) {
            if self.completed.len() >= keep {
                self.completed.pop_front();
            }
            self.completed.push_back(task);
        }
    }
}

/// Keeps the last status of each run of equal states, without its data.
pub(crate) fn record_status(task: &mut v1::Task, status: &v1::TaskStatus) {
    task.state = status.state;
    if task.statuses.last().is_some_and(|last| last.state == status.state) {
        task.statuses.pop();
    }
    task.statuses.push(v1::TaskStatus { data: None, ..status.clone() });
}

/// The container's limits as the sum over its tasks, counting a request where a task sets no
/// limit; nothing where no task sets any.
fn sum_limits(
    info: &v1::ExecutorInfo,
    tasks: &[&Arc<v1::Task>],
) -> BTreeMap<String, v1::value::Scalar> {
    let mut sums = BTreeMap::new();
    for name in ["cpus", "mem"] {
        if !tasks.iter().any(|task| task.limits.contains_key(name)) {
            continue;
        }
        let own = scalar_sum(&info.resources, name);
        let total: f64 = tasks
            .iter()
            .map(|task| match task.limits.get(name) {
                Some(limit) => limit.value,
                None => scalar_sum(&task.resources, name),
            })
            .sum();
        sums.insert(name.to_owned(), v1::value::Scalar { value: own + total });
    }
    sums
}

fn scalar_sum(resources: &[v1::Resource], name: &str) -> f64 {
    resources
        .iter()
        .filter(|resource| resource.name == name)
        .filter_map(|resource| Some(resource.scalar.as_ref()?.value))
        .sum()
}
