//! Where everything lies below the work directory.

use super::Run;
use std::path::{Path, PathBuf};

/// The paths of one work directory.
#[derive(Debug, Clone)]
pub struct Layout {
    work_dir: PathBuf,
}

impl Layout {
    /// Paths below this directory.
    #[must_use]
    pub fn new(work_dir: impl Into<PathBuf>) -> Self {
        Self { work_dir: work_dir.into() }
    }

    /// The work directory itself.
    #[must_use]
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    // Sandboxes.

    pub(crate) fn slaves(&self) -> PathBuf {
        self.work_dir.join("slaves")
    }

    pub(crate) fn framework(&self, agent: &str, framework: &str) -> PathBuf {
        framework_in(&self.slaves(), agent, framework)
    }

    pub(crate) fn executor(&self, agent: &str, framework: &str, executor: &str) -> PathBuf {
        self.framework(agent, framework).join("executors").join(executor)
    }

    /// A sandbox.
    #[must_use]
    pub fn run(&self, agent: &str, run: &Run) -> PathBuf {
        self.executor(agent, &run.framework_id, &run.executor_id)
            .join("runs")
            .join(&run.container_id)
    }

    // Checkpoints.

    pub(crate) fn meta(&self) -> PathBuf {
        self.work_dir.join("meta")
    }

    pub(crate) fn boot_id(&self) -> PathBuf {
        self.meta().join("boot_id")
    }

    pub(crate) fn meta_slaves(&self) -> PathBuf {
        self.meta().join("slaves")
    }

    /// The link to the present agent: removing it makes a fresh one.
    #[must_use]
    pub fn latest(&self) -> PathBuf {
        self.meta_slaves().join("latest")
    }

    pub(crate) fn meta_agent(&self, agent: &str) -> PathBuf {
        self.meta_slaves().join(agent)
    }

    pub(crate) fn agent_info(&self, agent: &str) -> PathBuf {
        self.meta_agent(agent).join("slave.info")
    }

    pub(crate) fn drain_config(&self, agent: &str) -> PathBuf {
        self.meta_agent(agent).join("drain.config")
    }

    pub(crate) fn meta_framework(&self, agent: &str, framework: &str) -> PathBuf {
        framework_in(&self.meta_slaves(), agent, framework)
    }

    pub(crate) fn meta_executor(&self, agent: &str, framework: &str, executor: &str) -> PathBuf {
        self.meta_framework(agent, framework).join("executors").join(executor)
    }

    pub(crate) fn meta_run(&self, agent: &str, run: &Run) -> PathBuf {
        self.meta_executor(agent, &run.framework_id, &run.executor_id)
            .join("runs")
            .join(&run.container_id)
    }
}

fn framework_in(slaves: &Path, agent: &str, framework: &str) -> PathBuf {
    slaves.join(agent).join("frameworks").join(framework)
}

// Names of files, within the directory of what they are about.
pub(super) const FRAMEWORK_INFO: &str = "framework.info";
pub(super) const FRAMEWORK_PID: &str = "framework.pid";
pub(super) const EXECUTOR_INFO: &str = "executor.info";
pub(super) const EXECUTOR_GENERATED: &str = "executor_generated_for_command_task";
pub(super) const FORKED_PID: &str = "pids/forked.pid";
pub(super) const LIBPROCESS_PID: &str = "pids/libprocess.pid";
pub(super) const HTTP_MARKER: &str = "http.marker";
pub(super) const SENTINEL: &str = "executor.sentinel";
pub(super) const TASK_INFO: &str = "task.info";
pub(super) const TASK_UPDATES: &str = "task.updates";
