//! What an agent writes down to survive its own death, and what it finds again.
//!
//! The layout and the formats are those of a Mesos agent's `meta` directory, so that either can
//! read what the other left.

mod file;
mod layout;
mod load;
mod writer;

pub use file::FileError;
pub use layout::Layout;
pub use load::load;
pub(crate) use load::sandboxes;
pub use writer::Writer;

use bytes::Bytes;
use mesos_messages::{internal, v1};
use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

/// One run of an executor: the container it lives in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Run {
    /// The framework.
    pub framework_id: String,
    /// The executor.
    pub executor_id: String,
    /// The container.
    pub container_id: String,
}

/// One thing to make durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// The agent with its id.
    Agent(v1::AgentInfo),
    /// A drain that is under way, or none any more.
    Drain(Option<v1::DrainConfig>),
    /// A framework and the libprocess address of its scheduler.
    Framework {
        /// What it registered with.
        info: Arc<v1::FrameworkInfo>,
        /// None for one on the v1 API.
        pid: Option<String>,
    },
    /// An executor about to be launched.
    Executor {
        /// Which run.
        run: Arc<Run>,
        /// What it is.
        info: Arc<v1::ExecutorInfo>,
        /// Whether the agent made it up for a command task.
        generated: bool,
    },
    /// The pid of the executor's first process.
    ForkedPid(Arc<Run>, u32),
    /// Where a v0 executor listens.
    LibprocessPid(Arc<Run>, String),
    /// The executor uses the v1 API.
    HttpMarker(Arc<Run>),
    /// The run is over and everything about it was acknowledged.
    Sentinel(Arc<Run>),
    /// A task given to an executor.
    Task(Arc<Run>, Arc<v1::Task>),
    /// A status update of a task.
    Update(Arc<Run>, Arc<internal::StatusUpdate>),
    /// The acknowledgement of one.
    Ack {
        /// Which run.
        run: Arc<Run>,
        /// Which task.
        task_id: String,
        /// Which update.
        uuid: Bytes,
    },
}

/// What a start found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The agent as it last ran.
    pub agent: Option<v1::AgentInfo>,
    /// A drain that was under way.
    pub drain: Option<v1::DrainConfig>,
    /// The machine was started anew since: no executor can be alive.
    pub rebooted: bool,
    /// Frameworks with executors that had not ended.
    pub frameworks: Vec<RecoveredFramework>,
    /// The containers that still exist, or ended while nobody watched.
    pub containers: BTreeSet<String>,
    /// Directories of runs that ended, with their ages.
    pub old: Vec<(PathBuf, Duration)>,
    /// What could not be read, by path: skipped.
    pub errors: Vec<FileError>,
}

/// A framework found again.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveredFramework {
    /// What it registered with.
    pub info: v1::FrameworkInfo,
    /// Its scheduler's address, if it speaks v0.
    pub pid: Option<String>,
    /// Its executors.
    pub executors: Vec<RecoveredExecutor>,
}

/// An executor found again.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveredExecutor {
    /// The latest run.
    pub run: Run,
    /// What it is.
    pub info: v1::ExecutorInfo,
    /// Whether the agent made it up for a command task.
    pub generated: bool,
    /// The pid of its first process.
    pub forked_pid: Option<u32>,
    /// Where it listens, if it speaks v0.
    pub libprocess_pid: Option<String>,
    /// Whether it uses the v1 API.
    pub http: bool,
    /// Its tasks.
    pub tasks: Vec<RecoveredTask>,
}

/// A task found again.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveredTask {
    /// As it was given to the executor.
    pub task: v1::Task,
    /// Its updates and acknowledgements, in order.
    pub records: Vec<internal::StatusUpdateRecord>,
}
