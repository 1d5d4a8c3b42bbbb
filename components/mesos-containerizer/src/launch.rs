//! From a container's configuration to a supervisor that runs.

use std::{
    fs,
    io::{self, Read},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    cgroups::{self, Hierarchies, Settings},
    config::{ContainerConfig, ContainerizerConfig, LauncherChoice},
    error::{ContainerizerError, LaunchError},
    init, pidfd,
    plan::{Cgroups, LogPlan, Plan, Requested},
    record::{Process, Record},
    rlimits, users, volumes,
};

/// Descendants that do not die are waited for so long by the supervisor.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);
/// A report is one line.
const MAX_REPORT_BYTES: u64 = 64 << 10;

/// How containers are isolated.
#[derive(Clone, Debug)]
pub(crate) enum Launcher {
    Posix,
    Linux(Hierarchies),
}

/// A supervisor, ours to wait for or one from before a restart.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) process: Process,
    /// None on kernels before 5.3.
    pub(crate) handle: Option<OwnedFd>,
}

/// A supervisor that has just come up.
pub(crate) struct Spawned {
    pub(crate) supervisor: Supervisor,
    /// It says there when the container runs, or why it does not.
    pub(crate) report: Box<dyn Read + Send>,
    /// None: it is the nursery's to reap.
    pub(crate) child: Option<Child>,
}

// === impl Launcher ===

impl Launcher {
    /// Says in the log what is not isolated, and why.
    pub(crate) fn choose(config: &ContainerizerConfig) -> Result<Self, ContainerizerError> {
        let obstacle = match config.launcher {
            LauncherChoice::Posix => Some("it was asked for".to_owned()),
            _ => obstacle(config),
        };
        match (obstacle, config.launcher) {
            (Some(obstacle), LauncherChoice::Linux) => {
                Err(ContainerizerError::NoLinuxLauncher(obstacle))
            }
            (Some(obstacle), _) => {
                tracing::info!(
                    "Launcher 'posix' ({obstacle}): containers share processes, mounts, network \
                     and host name with this machine, and nothing limits their cpu and memory; \
                     when one ends, all its processes end"
                );
                Ok(Self::Posix)
            }
            (None, _) => {
                let hierarchies = Hierarchies::detect(&config.cgroups_root);
                let (limited, missing) = hierarchies.describe();
                let none = |list: String| if list.is_empty() { "none".to_owned() } else { list };
                tracing::info!(
                    "Launcher 'linux': containers have their own pid, ipc, uts and mount \
                     namespaces; cgroups: {}; not available: {}; not isolated: network, root \
                     file system, disk space",
                    none(limited.join(", ")),
                    none(missing.join(", ")),
                );
                Ok(Self::Linux(hierarchies))
            }
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Posix => "posix",
            Self::Linux(_) => "linux",
        }
    }

    fn isolates(&self) -> bool {
        matches!(self, Self::Linux(_))
    }
}

/// Why namespaces cannot be made; none: they can.
fn obstacle(config: &ContainerizerConfig) -> Option<String> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("this agent is not root".to_owned());
    }
    let output = helper(config).arg(init::PROBE).stdout(Stdio::piped()).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout);
            let text = text.trim().trim_start_matches("error ");
            Some(if text.is_empty() { "the probe ended silently".to_owned() } else { text.into() })
        }
        Err(error) => Some(format!("'{}' cannot be executed: {error}", config.helper.display())),
    }
}

/// What can become a supervisor. Inherits nothing. Without a hook before the execution, the standard library need not copy this
/// process to start it.
pub(crate) fn helper(config: &ContainerizerConfig) -> Command {
    let mut command = Command::new(&config.helper);
    command
        .args(&config.helper_args)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Checks and resolves all that was asked for. Touches nothing yet.
pub(crate) fn plan(
    config: &ContainerizerConfig,
    launcher: &Launcher,
    boot_id: &str,
    container: &ContainerConfig,
) -> Result<Plan, LaunchError> {
    let isolated = launcher.isolates();
    let info = container.container_info.as_ref();
    if let Some(info) = info {
        volumes::check(info, isolated)?;
    }
    let rlimits = info.and_then(|info| info.rlimit_info.as_ref());
    let log = |max_bytes| LogPlan { max_bytes, keep: container.logs.keep };
    Ok(Plan {
        id: container.container_id.value.clone(),
        boot_id: boot_id.to_owned(),
        sandbox: container.sandbox.clone(),
        working_dir: container.working_dir.clone(),
        argv: container.argv.clone(),
        env: container.env.clone(),
        identity: users::identity(container.user.as_deref(), config.switch_user)?,
        rlimits: rlimits.map_or(Ok(Vec::new()), rlimits::resolve)?,
        volumes: info.map_or(Ok(Vec::new()), |info| volumes::resolve(info, isolated))?,
        stdout: log(container.logs.stdout_max_bytes),
        stderr: log(container.logs.stderr_max_bytes),
        namespaces: isolated.then(|| volumes::namespaces(info)),
        cgroups: Cgroups::default(),
        kill_timeout_ms: KILL_TIMEOUT.as_millis() as u64,
        resources: Requested {
            cpus: container.resources.cpus,
            mem_bytes: container.resources.mem_bytes,
        },
    })
}

/// The container's groups and record. On failure neither is left.
pub(crate) fn prepare(
    config: &ContainerizerConfig,
    launcher: &Launcher,
    container: &ContainerConfig,
    record: &Record,
    plan: &mut Plan,
) -> Result<(), LaunchError> {
    if record.path().exists() {
        return Err(LaunchError::Exists(plan.id.clone()));
    }
    if let Launcher::Linux(hierarchies) = launcher {
        let settings = Settings::new(config, &container.resources);
        plan.cgroups = cgroups::create(hierarchies, &plan.id, &settings)
            .map_err(|error| LaunchError::Supervisor(error.to_string()))?;
    }
    record.create(plan).map_err(|source| {
        let _ = cgroups::remove(&plan.cgroups);
        match source.kind() {
            io::ErrorKind::AlreadyExists => LaunchError::Exists(plan.id.clone()),
            _ => {
                let path = record.path().to_owned();
                LaunchError::Io { action: "write the container's record", path, source }
            }
        }
    })
}

/// Undoes `prepare`.
pub(crate) fn discard(record: &Record, plan: &Plan) {
    let _ = cgroups::remove(&plan.cgroups);
    let _ = record.remove();
}

/// A supervisor without a nursery.
pub(crate) fn spawn(config: &ContainerizerConfig, record: &Record) -> Result<Spawned, LaunchError> {
    let failed = |source| {
        let path = config.helper.clone();
        LaunchError::Io { action: "execute", path, source }
    };
    let (report, writer) = io::pipe().map_err(failed)?;
    let child = helper(config).arg(record.path()).stdout(writer).spawn().map_err(failed)?;
    // A child of ours: it cannot have been reaped yet.
    let supervisor = Supervisor::of_child(&child).map_err(failed)?;
    Ok(Spawned::new(supervisor, report, Some(child)))
}

/// Waits for the supervisor's one line: the container's first process, or what went wrong.
pub(crate) fn read_report(report: impl Read) -> Result<u32, LaunchError> {
    let mut text = String::new();
    let _ = report.take(MAX_REPORT_BYTES).read_to_string(&mut text);
    let text = text.trim_end();
    if let Some(pid) = text.strip_prefix("ok ").and_then(|pid| pid.parse().ok()) {
        return Ok(pid);
    }
    Err(LaunchError::Supervisor(match text.strip_prefix("error ") {
        Some(error) => error.to_owned(),
        None => "The supervisor ended without a word".to_owned(),
    }))
}

// === impl Spawned ===

impl Spawned {
    pub(crate) fn new(
        supervisor: Supervisor,
        report: impl Read + Send + 'static,
        child: Option<Child>,
    ) -> Self {
        Self { supervisor, report: Box::new(report), child }
    }
}

// === impl Supervisor ===

impl Supervisor {
    /// Of a process that cannot have been reaped meanwhile.
    pub(crate) fn of_child(child: &Child) -> io::Result<Self> {
        let pid = child.id().cast_signed();
        Ok(Self { process: Process::of(pid)?, handle: pidfd::open(pid).ok() })
    }

    /// Of a supervisor from before a restart; none when it is gone.
    pub(crate) fn find(process: Process) -> Option<Self> {
        let handle = pidfd::open(process.pid).ok();
        // The handle may be that of another process by now, so look after opening it.
        process.is_alive().then_some(Self { process, handle })
    }

    pub(crate) fn signal(&self, signal: i32) {
        match &self.handle {
            Some(handle) => {
                let _ = pidfd::send_signal(handle, signal);
            }
            None if self.process.is_alive() => {
                if let Ok(signal) = nix::sys::signal::Signal::try_from(signal) {
                    let pid = nix::unistd::Pid::from_raw(self.process.pid);
                    let _ = nix::sys::signal::kill(pid, signal);
                }
            }
            None => {}
        }
    }
}

/// Names the boot that process ids belong to.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"))?.trim().to_owned())
}
