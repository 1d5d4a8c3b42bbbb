//! A container's directory below the runtime directory: what an agent that restarted needs.
//!
//! `config` is written by the agent before the supervisor starts; `supervisor`, `pid` and
//! `status` by the supervisor. Each appears whole or not at all. Nothing is synced: it need not
//! survive the machine, only the agent.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    plan::{Ending, Plan},
    procfs,
};

/// A process that cannot be mistaken for another of the same number within one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since the boot.
    pub(crate) start_time: u64,
}

/// One container's directory.
#[derive(Clone, Debug)]
pub(crate) struct ContainerDir(PathBuf);

// === impl Process ===

impl Process {
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, start_time: procfs::stat(pid)?.start_time })
    }

    pub(crate) fn is_alive(self) -> bool {
        procfs::stat(self.pid)
            .is_ok_and(|stat| stat.start_time == self.start_time && !stat.is_dead())
    }

    fn parse(text: &str) -> Option<Self> {
        let (pid, start_time) = text.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? })
    }
}

// === impl ContainerDir ===

impl ContainerDir {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn of(runtime_dir: &Path, id: &str) -> Self {
        Self(runtime_dir.join("containers").join(id))
    }

    /// The ids of all containers that have a directory.
    pub(crate) fn list(runtime_dir: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(runtime_dir.join("containers")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        entries
            .filter_map(|entry| match entry {
                Ok(entry) => entry.file_name().into_string().ok().map(Ok),
                Err(error) => Some(Err(error)),
            })
            .collect()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Fails when it exists.
    pub(crate) fn create(&self) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = self.0.parent() {
                    fs::DirBuilder::new().mode(0o700).recursive(true).create(parent)?;
                }
                fs::DirBuilder::new().mode(0o700).create(&self.0)
            }
            other => other,
        }
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    pub(crate) fn write_plan(&self, plan: &Plan) -> io::Result<()> {
        self.write_json("config", plan)
    }

    pub(crate) fn read_plan(&self) -> io::Result<Plan> {
        self.read_json("config")
    }

    pub(crate) fn write_ending(&self, ending: &Ending) -> io::Result<()> {
        self.write_json("status", ending)
    }

    /// None: it has not ended, or nobody could write it down.
    pub(crate) fn read_ending(&self) -> io::Result<Option<Ending>> {
        match self.read_json("status") {
            Ok(ending) => Ok(Some(ending)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn write_supervisor(&self, process: Process) -> io::Result<()> {
        self.write_process("supervisor", process)
    }

    pub(crate) fn read_supervisor(&self) -> Option<Process> {
        self.read_process("supervisor")
    }

    /// The container's first process.
    pub(crate) fn write_pid(&self, process: Process) -> io::Result<()> {
        self.write_process("pid", process)
    }

    pub(crate) fn read_pid(&self) -> Option<Process> {
        self.read_process("pid")
    }

    fn write_process(&self, name: &str, process: Process) -> io::Result<()> {
        self.write(name, format!("{} {}\n", process.pid, process.start_time).as_bytes())
    }

    fn read_process(&self, name: &str) -> Option<Process> {
        Process::parse(&fs::read_to_string(self.0.join(name)).ok()?)
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.write(name, &serde_json::to_vec(value)?)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> io::Result<T> {
        Ok(serde_json::from_slice(&fs::read(self.0.join(name))?)?)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.0.join(format!(".{name}"));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        fs::rename(temporary, self.0.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_only_with_its_start_time() {
        let own = Process::of(std::process::id() as i32).unwrap();
        assert!(own.is_alive());
        assert!(!Process { start_time: own.start_time + 1, ..own }.is_alive());
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let container = ContainerDir::of(dir.path(), "a");
        assert_eq!(ContainerDir::list(dir.path()).unwrap(), Vec::<String>::new());
        container.create().unwrap();
        assert!(container.create().is_err());
        assert_eq!(ContainerDir::list(dir.path()).unwrap(), ["a"]);
        assert_eq!(container.read_ending().unwrap(), None);
        let ending = Ending { status: Some(256), ..Ending::default() };
        container.write_ending(&ending).unwrap();
        assert_eq!(container.read_ending().unwrap(), Some(ending));
        let process = Process { pid: 7, start_time: 9 };
        container.write_pid(process).unwrap();
        assert_eq!(container.read_pid(), Some(process));
        assert_eq!(container.read_supervisor(), None);
        container.remove().unwrap();
        container.remove().unwrap();
    }

    #[test]
    fn a_torn_process_file_is_none() {
        for text in ["", "7", "7 ", "x y", "7 9 11"] {
            assert_eq!(Process::parse(text), None, "{text:?}");
        }
    }
}
