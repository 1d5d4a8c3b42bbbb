//! A containerizer of a test's own, and eyes on the machine's processes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use mesos_containerizer::{
    ContainerConfig, Containerizer, ContainerizerConfig, LauncherChoice, ResourceLimits,
    Termination,
};
use mesos_messages::v1;

pub(super) const HELPER: &str = env!("CARGO_BIN_EXE_containerizer-test-helper");
/// Debian's and most others' `nobody`.
pub(super) const NOBODY: u32 = 65534;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A containerizer with directories of its own, all gone when it is dropped.
pub(super) struct Bench {
    pub(super) containerizer: Containerizer,
    pub(super) config: ContainerizerConfig,
    pub(super) dir: tempfile::TempDir,
}

impl Bench {
    /// None, and said: this machine cannot do it.
    pub(super) fn new(launcher: LauncherChoice) -> Option<Self> {
        Self::with(launcher, |_| {})
    }

    pub(super) fn with(
        launcher: LauncherChoice,
        adjust: impl FnOnce(&mut ContainerizerConfig),
    ) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        // Users a container runs as must be able to get through.
        make_accessible(dir.path());
        let mut config = ContainerizerConfig::new(dir.path().join("run"), HELPER);
        config.launcher = launcher;
        config.cgroups_root = unique("dais-test");
        config.destroy_timeout = Duration::from_secs(30);
        adjust(&mut config);
        match Containerizer::new(config.clone()) {
            Ok(containerizer) => Some(Self { containerizer, config, dir }),
            Err(error) => {
                println!("skipped: {error}");
                None
            }
        }
    }

    /// With a sandbox of its own, and marked: see `marked`.
    pub(super) fn container(&self, argv: &[&str]) -> ContainerConfig {
        let id = unique("container");
        let sandbox = self.sandbox(&id);
        fs::create_dir_all(&sandbox).unwrap();
        ContainerConfig {
            container_id: v1::ContainerId { value: id.clone(), ..Default::default() },
            sandbox,
            argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
            env: vec![
                ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
                ("CONTAINER_MARK".to_owned(), id),
            ],
            resources: ResourceLimits {
                cpus: 0.1,
                mem_bytes: 128 << 20,
                ..ResourceLimits::default()
            },
            ..ContainerConfig::default()
        }
    }

    pub(super) fn shell(&self, script: &str) -> ContainerConfig {
        self.container(&["/bin/sh", "-c", script])
    }

    pub(super) fn sandbox(&self, id: &str) -> PathBuf {
        self.dir.path().join("sandboxes").join(id)
    }

    /// Launches it and waits for its end.
    pub(super) async fn run(&self, container: ContainerConfig) -> Termination {
        let id = container.container_id.clone();
        self.containerizer.launch(container).await.unwrap();
        let ended = self.containerizer.wait(&id).await.unwrap();
        assert_eq!(marked(&id.value), Vec::<i32>::new(), "processes are left");
        ended
    }
}

/// Both launchers, as far as this machine has them.
pub(super) fn benches() -> Vec<Bench> {
    [LauncherChoice::Posix, LauncherChoice::Linux].into_iter().filter_map(Bench::new).collect()
}

pub(super) fn unique(prefix: &str) -> String {
    format!("{prefix}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn make_accessible(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub(super) fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

pub(super) fn output(container: &ContainerConfig, name: &str) -> String {
    fs::read_to_string(container.sandbox.join(name)).unwrap_or_default()
}

/// The living processes of the container `id`, by the mark in their environment.
pub(super) fn marked(id: &str) -> Vec<i32> {
    let mark = format!("CONTAINER_MARK={id}");
    let is_marked = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|v| v == mark.as_bytes()))
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(is_marked)
        .collect()
}

/// Waits for `condition`; a test that hangs says what for.
pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An agent in a process of its own, as `uid`.
pub(super) fn agent(uid: u32, base: &Path, launcher: &str, id: &str, argv: &[&str]) -> Command {
    fs::create_dir_all(base.join("sandbox")).unwrap();
    make_accessible(base);
    if uid != 0 {
        for path in [base.to_owned(), base.join("sandbox")] {
            std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
        }
    }
    let mut command = Command::new(HELPER);
    command
        .args(["agent", &uid.to_string()])
        .arg(base)
        .args([launcher, id])
        .args(argv)
        .stdout(std::process::Stdio::piped());
    command
}
