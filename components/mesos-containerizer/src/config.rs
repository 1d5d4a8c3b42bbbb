//! What a caller says about the containerizer and about one container.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use mesos_messages::v1;

/// Which launcher isolates the containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LauncherChoice {
    /// `linux` where this process may make namespaces, else `posix`.
    #[default]
    Auto,
    Posix,
    Linux,
}

/// How the containerizer works; the same for all containers.
#[derive(Clone, Debug)]
pub struct ContainerizerConfig {
    /// Holds a record of each container. Best on a file system in memory: it need not survive a
    /// reboot, and records come and go with each container.
    pub runtime_dir: PathBuf,
    pub launcher: LauncherChoice,
    /// The program that can become a supervisor: the product's own binary.
    pub helper: PathBuf,
    /// What makes it one: these arguments come before those of the supervisor.
    pub helper_args: Vec<OsString>,
    /// The name of the group below each cgroup hierarchy that holds the containers' groups.
    pub cgroups_root: String,
    /// Limit cpu time by quota, not only by shares.
    pub cgroups_enable_cfs: bool,
    /// Count swap into the memory limit.
    pub cgroups_limit_swap: bool,
    /// The most processes and threads a container may have.
    pub pids_limit: Option<u64>,
    /// Count processes and threads in the statistics.
    pub count_processes: bool,
    /// Run containers as the user they ask for; otherwise all run as the agent's.
    pub switch_user: bool,
    /// How long a container may take to be destroyed before its supervisor is killed too.
    pub destroy_timeout: Duration,
}

impl ContainerizerConfig {
    pub fn new(runtime_dir: impl Into<PathBuf>, helper: impl Into<PathBuf>) -> Self {
        Self {
            runtime_dir: runtime_dir.into(),
            launcher: LauncherChoice::Auto,
            helper: helper.into(),
            helper_args: vec!["containerizer-init".into()],
            cgroups_root: "mesos".to_owned(),
            cgroups_enable_cfs: false,
            cgroups_limit_swap: false,
            pids_limit: None,
            count_processes: false,
            switch_user: true,
            destroy_timeout: Duration::from_secs(60),
        }
    }
}

/// What to run and how, for one container.
#[derive(Clone, Debug, Default)]
pub struct ContainerConfig {
    pub container_id: v1::ContainerId,
    /// The directory the container starts in; it exists and belongs to the user.
    pub sandbox: PathBuf,
    /// The program and its arguments; a name without a slash is looked up in `env`'s PATH.
    pub argv: Vec<String>,
    /// The whole environment: nothing is inherited, nothing is added.
    pub env: Vec<(String, String)>,
    /// The user to run as; none: the agent's.
    pub user: Option<String>,
    pub resources: ResourceLimits,
    /// Volumes, rlimits, hostname, shared namespaces.
    pub container_info: Option<v1::ContainerInfo>,
    pub logs: LogLimits,
    /// Relative to the sandbox, or absolute; none: the sandbox.
    pub working_dir: Option<PathBuf>,
}

/// What a container asked for and what it must not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResourceLimits {
    pub cpus: f64,
    /// Use only what others leave, where the agent is configured so.
    pub cpus_revocable: bool,
    pub mem_bytes: u64,
    /// Overrides the quota; infinity: none.
    pub cpus_limit: Option<f64>,
    /// Overrides the hard limit; `u64::MAX`: none.
    pub mem_limit_bytes: Option<u64>,
}

impl ResourceLimits {
    /// The sum of the `cpus` and `mem` in `resources`; other names do not matter here.
    pub fn from_resources<'a>(resources: impl IntoIterator<Item = &'a v1::Resource>) -> Self {
        let mut sum = Self::default();
        let mut mem_megabytes = 0.0;
        for resource in resources {
            let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
            match resource.name.as_str() {
                "cpus" => {
                    sum.cpus += value;
                    sum.cpus_revocable |= resource.revocable.is_some();
                }
                "mem" => mem_megabytes += value,
                _ => {}
            }
        }
        sum.mem_bytes = megabytes(mem_megabytes);
        sum
    }

    /// Adds the limits of a task or executor: `cpus` and `mem` (in megabytes), each may be infinite.
    #[must_use]
    pub fn with_limits<'a>(
        mut self,
        limits: impl IntoIterator<Item = (&'a String, &'a v1::value::Scalar)>,
    ) -> Self {
        for (name, scalar) in limits {
            match name.as_str() {
                "cpus" => self.cpus_limit = Some(scalar.value),
                "mem" if scalar.value.is_infinite() => self.mem_limit_bytes = Some(u64::MAX),
                "mem" => self.mem_limit_bytes = Some(megabytes(scalar.value)),
                _ => {}
            }
        }
        self
    }
}

/// Saturates: a float's cast does.
fn megabytes(value: f64) -> u64 {
    (value * 1024.0 * 1024.0).round() as u64
}

/// When the sandbox's `stdout` and `stderr` are rotated, and how many old ones stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    pub stdout_max_bytes: u64,
    pub stderr_max_bytes: u64,
    pub keep: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { stdout_max_bytes: 10 << 20, stderr_max_bytes: 10 << 20, keep: 9 }
    }
}
