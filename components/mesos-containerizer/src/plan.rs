//! What the agent hands to a supervisor: everything resolved, so that the supervisor decides little.
//!
//! It is the first line of the container's record. It holds the environment, secrets included, so
//! nobody but its owner may read it; it never travels in arguments.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A container, ready to be started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) id: String,
    /// Of the boot it was started in: process ids mean nothing in another.
    pub(crate) boot_id: String,
    pub(crate) sandbox: PathBuf,
    pub(crate) working_dir: Option<PathBuf>,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// None: stay who the agent is.
    pub(crate) identity: Option<Identity>,
    pub(crate) rlimits: Vec<RLimit>,
    pub(crate) volumes: Vec<VolumePlan>,
    pub(crate) stdout: LogPlan,
    pub(crate) stderr: LogPlan,
    /// None: nothing is isolated.
    pub(crate) namespaces: Option<Namespaces>,
    pub(crate) cgroups: Cgroups,
    /// How long descendants that do not die are waited for.
    pub(crate) kill_timeout_ms: u64,
    pub(crate) resources: Requested,
}

/// A user as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// One limit, by the kernel's number; none: infinity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RLimit {
    pub(crate) resource: u32,
    pub(crate) soft: Option<u64>,
    pub(crate) hard: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumePlan {
    /// Relative to the sandbox, without `..`; or absolute.
    pub(crate) container_path: PathBuf,
    pub(crate) source: VolumeSource,
    pub(crate) read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum VolumeSource {
    Host(PathBuf),
    /// Relative to the sandbox, without `..`; made when missing.
    Sandbox(PathBuf),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogPlan {
    pub(crate) max_bytes: u64,
    pub(crate) keep: u32,
}

/// The namespaces a container gets of its own, besides that of mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Namespaces {
    pub(crate) pid: bool,
    pub(crate) ipc: bool,
    pub(crate) hostname: Option<String>,
    /// A `/dev/shm` of its own, of so many bytes (none: half the memory).
    pub(crate) shm: Option<Option<u64>>,
}

/// The groups a container's processes are put into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cgroups {
    /// Of version 1: one directory for each hierarchy.
    pub(crate) v1: Vec<PathBuf>,
    pub(crate) v2: Option<PathBuf>,
    /// The one of those that limits memory, and of which version it is.
    pub(crate) memory: Option<MemoryGroup>,
    pub(crate) cpu: Option<PathBuf>,
    pub(crate) cpuacct: Option<PathBuf>,
    pub(crate) pids: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MemoryGroup {
    V1(PathBuf),
    V2(PathBuf),
}

/// For statistics: what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Requested {
    pub(crate) cpus: f64,
    pub(crate) mem_bytes: u64,
}

/// How a container ended: the last line of its record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// As `wait(2)` gives it.
    pub(crate) status: Option<i32>,
    pub(crate) message: Option<String>,
    pub(crate) memory: Option<MemoryExceeded>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryExceeded {
    pub(crate) max_usage_bytes: u64,
    pub(crate) message: String,
}
