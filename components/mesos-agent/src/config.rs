//! What an operator can set: the flags of a Mesos agent that mean something here.

use http_kit::{guard::Guard, logging::LevelControl};
use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Which launcher starts executors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Launcher {
    /// `linux` as root on Linux, else `posix`.
    #[default]
    Auto,
    /// Process groups only; needs no privileges.
    Posix,
    /// Namespaces and cgroups.
    Linux,
}

/// What may change of an agent's facts while it keeps its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReconfigurationPolicy {
    /// Nothing.
    #[default]
    Equal,
    /// Resources and attributes may be added to.
    Additive,
}

/// What to do with executors found running at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recover {
    /// Take them back.
    #[default]
    Reconnect,
    /// Kill them.
    Cleanup,
}

/// The sandbox files `stdout` and `stderr` are kept below these sizes by rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRotation {
    /// Bytes of `stdout` and of each of its rotated files.
    pub max_stdout_size: u64,
    /// Bytes of `stderr` and of each of its rotated files.
    pub max_stderr_size: u64,
    /// How many rotated files of each are kept.
    pub max_files: u32,
}

impl Default for LogRotation {
    fn default() -> Self {
        Self { max_stdout_size: 10 << 20, max_stderr_size: 10 << 20, max_files: 10 }
    }
}

/// A principal and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Who.
    pub principal: String,
    /// The password.
    pub secret: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Everything about one agent. Make one with [`AgentConfig::new`] and change what differs.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// `host:port` of the master.
    pub master: String,
    /// Where sandboxes and checkpoints live.
    pub work_dir: PathBuf,
    /// Where the containerizer keeps what a reboot may lose.
    pub runtime_dir: PathBuf,
    /// The `dais` binary, started for supervisors, executors and fetches.
    pub helper: PathBuf,
    /// Arguments before the sub-command of the helper (tests use their own binary).
    pub helper_args: Vec<String>,

    /// The address to listen on.
    pub ip: IpAddr,
    /// The port to listen on; 0 picks one.
    pub port: u16,
    /// The address told to others, where it differs from the one listened on.
    pub advertise_ip: Option<IpAddr>,
    /// The port told to others, where it differs.
    pub advertise_port: Option<u16>,
    /// The name told to frameworks; without it the address.
    pub hostname: Option<String>,

    /// `cpus:4;mem:1024;ports:[31000-32000]` or JSON; what it does not name is detected.
    pub resources: Option<String>,
    /// `rack:r1;public_ip:true`.
    pub attributes: Option<String>,
    /// The role of resources that name none.
    pub default_role: String,
    /// The fault domain as (region, zone).
    pub domain: Option<(String, String)>,

    /// Which launcher starts executors.
    pub launcher: Launcher,
    /// The parent of all cgroups of containers.
    pub cgroups_root: String,
    /// Whether the cpu limit is also enforced as a quota.
    pub cgroups_enable_cfs: bool,
    /// Whether swap counts against the memory limit.
    pub cgroups_limit_swap: bool,
    /// Whether containers run as the user the framework names (needs root).
    pub switch_user: bool,
    /// Environment of every executor; without it the helper's default `PATH`.
    pub executor_environment_variables: Option<BTreeMap<String, String>>,
    /// Rotation of the sandbox files.
    pub log_rotation: LogRotation,

    /// The fetcher's cache.
    pub fetcher_cache_dir: PathBuf,
    /// Its size in bytes.
    pub fetcher_cache_size: u64,
    /// A download slower than a byte a second for this long fails.
    pub fetcher_stall_timeout: Duration,
    /// Relative URIs are below this directory.
    pub frameworks_home: Option<PathBuf>,

    /// From the start of fetching until the executor registers.
    pub executor_registration_timeout: Duration,
    /// How long a restarted agent waits for its executors.
    pub executor_reregistration_timeout: Duration,
    /// From asking an executor to stop until it is killed.
    pub executor_shutdown_grace_period: Duration,
    /// How long an executor waits for its agent to come back.
    pub recovery_timeout: Duration,
    /// The unit of random waits before registering.
    pub registration_backoff_factor: Duration,
    /// Without a ping for this long the agent registers again (the master may say otherwise).
    pub ping_timeout: Duration,
    /// What to do with executors found running at start.
    pub recover: Recover,
    /// Whether a damaged checkpoint below the agent's own fails the start.
    pub strict: bool,
    /// What may change while the agent keeps its id.
    pub reconfiguration_policy: ReconfigurationPolicy,

    /// How long sandboxes stay after their executor ended.
    pub gc_delay: Duration,
    /// The share of the disk that sandboxes must leave free.
    pub gc_disk_headroom: f64,
    /// How often the disk is looked at.
    pub disk_watch_interval: Duration,
    /// How many completed frameworks are remembered.
    pub max_completed_frameworks: usize,
    /// How many completed executors of each framework are remembered.
    pub max_completed_executors_per_framework: usize,
    /// How many completed tasks of each executor are remembered.
    pub max_completed_tasks_per_executor: usize,

    /// Whether reads need a password.
    pub authenticate_http_readonly: bool,
    /// Whether writes need a password.
    pub authenticate_http_readwrite: bool,
    /// The passwords for both.
    pub http_credentials: Vec<Credential>,
    /// How often idle HTTP streams carry a sign of life.
    pub http_heartbeat_interval: Duration,
    /// A file shown as `/slave/log`.
    pub log_file: Option<PathBuf>,
    /// Reads and changes the process's verbosity; by default changes nothing.
    pub logging: LevelControl,
    /// Judges requests by tokens; by default none are.
    pub guard: Guard,
    /// The Mesos version this agent passes for.
    pub version: String,
}

/// The Mesos version whose behaviour this is.
pub const MESOS_VERSION: &str = "1.11.0";

impl AgentConfig {
    /// The defaults of a Mesos agent, listening on loopback at port 5051.
    #[must_use]
    pub fn new(master: impl Into<String>, work_dir: impl Into<PathBuf>) -> Self {
        let work_dir = work_dir.into();
        let runtime_dir = work_dir.join("runtime");
        let fetcher_cache_dir = work_dir.join("fetch");
        Self {
            master: master.into(),
            work_dir,
            runtime_dir,
            helper: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("dais")),
            helper_args: Vec::new(),
            ip: IpAddr::from([127, 0, 0, 1]),
            port: 5051,
            advertise_ip: None,
            advertise_port: None,
            hostname: None,
            resources: None,
            attributes: None,
            default_role: "*".to_owned(),
            domain: None,
            launcher: Launcher::Auto,
            cgroups_root: "mesos".to_owned(),
            cgroups_enable_cfs: false,
            cgroups_limit_swap: false,
            switch_user: true,
            executor_environment_variables: None,
            log_rotation: LogRotation::default(),
            fetcher_cache_dir,
            fetcher_cache_size: 2 << 30,
            fetcher_stall_timeout: Duration::from_secs(60),
            frameworks_home: None,
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_shutdown_grace_period: Duration::from_secs(5),
            recovery_timeout: Duration::from_secs(15 * 60),
            registration_backoff_factor: Duration::from_secs(1),
            ping_timeout: Duration::from_secs(75),
            recover: Recover::Reconnect,
            strict: false,
            reconfiguration_policy: ReconfigurationPolicy::Equal,
            gc_delay: Duration::from_secs(7 * 24 * 60 * 60),
            gc_disk_headroom: 0.1,
            disk_watch_interval: Duration::from_secs(60),
            max_completed_frameworks: 50,
            max_completed_executors_per_framework: 150,
            max_completed_tasks_per_executor: 200,
            authenticate_http_readonly: false,
            authenticate_http_readwrite: false,
            http_credentials: Vec::new(),
            http_heartbeat_interval: Duration::from_secs(30),
            log_file: None,
            logging: LevelControl::default(),
            guard: Guard::disabled(),
            version: MESOS_VERSION.to_owned(),
        }
    }

    /// The folder of the program that runs executors.
    #[must_use]
    pub fn launcher_dir(&self) -> &Path {
        self.helper.parent().unwrap_or(&self.helper)
    }
}
