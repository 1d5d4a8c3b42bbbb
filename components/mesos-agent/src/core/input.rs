//! Everything that can happen to an agent.

use crate::checkpoint::Recovered;
use bytes::Bytes;
use mesos_messages::{internal, v1};
use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

/// Names one request on the executor API, and the stream it opened if it was a SUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// The first input: what the checkpoints held and which containers still run.
    Recover(Box<Recovered>),
    /// A libprocess message.
    Message {
        /// The sender's address.
        from: String,
        /// What it said.
        message: Inbound,
    },
    /// A linked connection broke, or could not be made.
    Exited(SocketAddr),
    /// A call on the executor API, already validated.
    Call {
        /// To answer it.
        request: RequestId,
        /// What was asked.
        call: Box<v1::executor::Call>,
    },
    /// The stream that a SUBSCRIBE opened is closed.
    StreamClosed(RequestId),
    /// A container's main process started, or the launch failed.
    Launched {
        /// Which.
        container_id: String,
        /// Its pid, or why not.
        result: Result<u32, String>,
    },
    /// Changed limits are in force, or could not be set.
    Updated {
        /// Which.
        container_id: String,
        /// Why not.
        result: Result<(), String>,
    },
    /// A container ended, with all its processes.
    Terminated {
        /// Which.
        container_id: String,
        /// How.
        end: ContainerEnd,
    },
    /// The used share of the work directory's file system.
    DiskUsage(f64),
    /// Directories of earlier runs found at start, with their ages.
    OldPaths(Vec<(PathBuf, Duration)>),
    /// Directories were deleted.
    Removed {
        /// How many are gone.
        succeeded: u64,
        /// How many could not be deleted.
        failed: u64,
    },
    /// A deadline of [`super::Core::next_deadline`] passed.
    Timer,
    /// The operator wants the agent to leave the cluster: kill everything and unregister.
    Leave,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerEnd {
    /// The wait status, where it could be learned.
    pub status: Option<i32>,
    /// Why, where it was not the executor's own doing.
    pub reason: Option<v1::task_status::Reason>,
    /// In words.
    pub message: Option<String>,
    /// What ran out.
    pub limitation: Option<v1::TaskResourceLimitation>,
}

/// A libprocess message that an agent understands.
#[derive(Debug)]
pub enum Inbound {
    // From the master.
    Registered(internal::SlaveRegisteredMessage),
    Reregistered(Box<internal::SlaveReregisteredMessage>),
    Ping(internal::PingSlaveMessage),
    RunTask(Box<internal::RunTaskMessage>),
    RunTaskGroup(Box<internal::RunTaskGroupMessage>),
    KillTask(internal::KillTaskMessage),
    ShutdownExecutor(internal::ShutdownExecutorMessage),
    ShutdownFramework(internal::ShutdownFrameworkMessage),
    UpdateFramework(Box<internal::UpdateFrameworkMessage>),
    Acknowledgement(internal::StatusUpdateAcknowledgementMessage),
    Shutdown(internal::ShutdownMessage),
    Drain(internal::DrainSlaveMessage),
    ApplyOperation(Box<internal::ApplyOperationMessage>),
    /// A message for which this agent has no function yet, by name.
    Unsupported(&'static str),
    // From the master or straight from a v0 scheduler.
    FrameworkToExecutor(internal::FrameworkToExecutorMessage),
    // From v0 executors.
    RegisterExecutor(internal::RegisterExecutorMessage),
    ReregisterExecutor(Box<internal::ReregisterExecutorMessage>),
    StatusUpdate(Box<internal::StatusUpdateMessage>),
    ExecutorToFramework(internal::ExecutorToFrameworkMessage),
}

/// What the agent tells others by libprocess.
#[derive(Debug, Clone, PartialEq)]
pub enum Outbound {
    // To the master.
    Register(Box<internal::RegisterSlaveMessage>),
    Reregister(Box<internal::ReregisterSlaveMessage>),
    Unregister(internal::UnregisterSlaveMessage),
    UpdateSlave(Box<internal::UpdateSlaveMessage>),
    StatusUpdate(Box<internal::StatusUpdateMessage>),
    ExitedExecutor(internal::ExitedExecutorMessage),
    OperationStatus(Box<internal::UpdateOperationStatusMessage>),
    Pong(internal::PongSlaveMessage),
    // To the master or straight to a v0 scheduler.
    ExecutorToFramework(internal::ExecutorToFrameworkMessage),
    // To v0 executors.
    ExecutorRegistered(Box<internal::ExecutorRegisteredMessage>),
    ExecutorReregistered(Box<internal::ExecutorReregisteredMessage>),
    ReconnectExecutor(internal::ReconnectExecutorMessage),
    RunTask(Box<internal::RunTaskMessage>),
    KillTask(internal::KillTaskMessage),
    FrameworkToExecutor(internal::FrameworkToExecutorMessage),
    Acknowledgement(internal::StatusUpdateAcknowledgementMessage),
    ShutdownExecutor(internal::ShutdownExecutorMessage),
}

/// What a call on the executor API is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 202.
    Accepted,
    /// 200, and events follow.
    Stream,
    /// Another status with a text.
    Refused(u16, String),
}

/// A container to start.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Which.
    pub container_id: String,
    /// For whom.
    pub framework_id: String,
    /// For which executor.
    pub executor: Arc<v1::ExecutorInfo>,
    /// The sandbox to create.
    pub directory: PathBuf,
    /// The user to run as.
    pub user: Option<String>,
    /// Whether the executor outlives the agent's process.
    pub checkpoint: bool,
    /// Whether the executor is the agent's own, made for one command task.
    pub generated: bool,
    /// What it may use.
    pub limits: mesos_containerizer::ResourceLimits,
    /// How long it has from SHUTDOWN to its end.
    pub grace: Duration,
}

/// What the agent wants done, in order: an effect may rely on all writes before it.
#[derive(Debug)]
pub enum Effect {
    /// Make durable.
    Write(Box<crate::checkpoint::Write>),
    /// Send by libprocess.
    Send {
        /// The receiver's address.
        to: Arc<str>,
        /// What.
        message: Outbound,
    },
    /// Keep a connection and report its end.
    Link(Arc<str>),
    /// Answer a call on the executor API.
    Answer(RequestId, Answer),
    /// Send an event on a stream.
    Event(RequestId, Box<v1::executor::Event>),
    /// End a stream.
    CloseStream(RequestId),
    /// Create the sandbox, fetch, start; answered by `Launched` and later `Terminated`.
    Launch(Box<Launch>),
    /// Change a container's limits; answered by `Updated`.
    Update {
        /// Which.
        container_id: String,
        /// To what.
        limits: mesos_containerizer::ResourceLimits,
    },
    /// Kill a container with all its processes; answered by `Terminated`.
    Destroy(String),
    /// Forget a container that ended.
    Release(String),
    /// Look at the disk; answered by `DiskUsage`.
    MeasureDisk,
    /// Delete directories; answered by `Removed`.
    Remove(Vec<Arc<std::path::Path>>),
    /// The agent's work is over.
    Stop(Stop),
}

/// Why the agent ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// It was asked to leave and has.
    Left,
    /// The master does not want it.
    ByMaster(String),
    /// It cannot go on.
    Broken(String),
}

/// The effects of one input, in the order they must happen.
pub type Effects = Vec<Effect>;

/// 16 raw bytes.
pub type Uuid = Bytes;
