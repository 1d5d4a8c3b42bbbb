//! Programs under measurement: started on chosen cores, read from /proc, ended by pid.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Where the server runs; everything else runs on the others.
const SERVER_CORE: &str = "1";
const OTHER_CORES: &str = "0";

/// A child that is ended when it is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

#[derive(Clone, Copy)]
pub(crate) enum Place {
    Server,
    Other,
}

/// A command on the core of its kind.
pub(crate) fn on(place: Place, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", if matches!(place, Place::Server) { SERVER_CORE } else { OTHER_CORES }]);
    command.arg(program);
    command
}

// === impl Process ===

impl Process {
    /// `command` must begin with `taskset`, which becomes the program: the pid is the program's.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Process> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        Ok(Process { child, log: log.to_owned() })
    }

    /// Waits until something listens on all of these ports.
    pub(crate) fn wait_for(&mut self, ports: &[u16]) -> Result<()> {
        let begun = Instant::now();
        for port in ports {
            while std::net::TcpStream::connect(("127.0.0.1", *port)).is_err() {
                if self.child.try_wait()?.is_some() || begun.elapsed() > Duration::from_secs(30) {
                    let log = fs::read_to_string(&self.log).unwrap_or_default();
                    bail!("nothing listens on port {port}:\n{log}");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// The process and all below it: some work in a child's child.
    fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut at = 0;
        while let Some(pid) = pids.get(at).copied() {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let children = children.unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
            at += 1;
        }
        pids
    }

    /// Time on a processor so far, in user and kernel mode.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let mut ticks = 0.0;
        for pid in self.pids() {
            let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            // The name may contain spaces; what follows it does not.
            let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
            let mut fields = fields.split(' ').skip(11);
            // Of its own, and of children that have ended.
            for _ in 0..4 {
                ticks += fields.next().and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
            }
        }
        // USER_HZ is 100 on every Linux that this runs on.
        Ok(ticks / 100.0)
    }

    /// Memory of its own, in bytes.
    pub(crate) fn memory(&self) -> Result<f64> {
        let mut bytes = 0.0;
        for pid in self.pids() {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let lines = text.lines().filter(|line| line.starts_with("Private_"));
            let kilobytes =
                lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
            bytes += kilobytes.sum::<f64>() * 1024.0;
        }
        Ok(bytes)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Children first: a server's worker, were its master killed, would stay.
        if let Ok(pid) = i32::try_from(self.child.id()) {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        for _ in 0..200 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many open files as the system allows: this program holds thousands of connections.
pub(crate) fn raise_open_files() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// A port nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
