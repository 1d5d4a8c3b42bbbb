//! A container's record below the runtime directory: what an agent that restarted needs.
//!
//! It is one file of lines, each written at once and none ever changed: the agent writes the
//! plan, then the supervisor who it is, the container's first process, and how it ended. What does
//! not end its line was not written. One file, because thousands of containers come and go, and
//! making and removing files is most of what that costs on some file systems. Nothing is synced:
//! it need not survive the machine, only the agent.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::{
    plan::{Ending, Plan},
    procfs,
};

/// A process that cannot be mistaken for another of the same number within one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since the boot.
    pub(crate) start_time: u64,
}

/// Where one container's record is.
#[derive(Clone, Debug)]
pub(crate) struct Record(PathBuf);

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contents {
    pub(crate) plan: Option<Plan>,
    pub(crate) supervisor: Option<Process>,
    /// The container's first process.
    pub(crate) main: Option<Process>,
    /// None: it has not ended, or nobody could write it down.
    pub(crate) ending: Option<Ending>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Plan(Box<Plan>),
    Supervisor(Process),
    Main(Process),
    Ending(Ending),
}

/// A record that is being written by the container's supervisor.
#[derive(Debug)]
pub(crate) struct Journal(File);

// === impl Process ===

impl Process {
    pub(crate) fn of(pid: i32) -> io::Result<Self> {
        Ok(Self { pid, start_time: procfs::stat(pid)?.start_time })
    }

    pub(crate) fn is_alive(self) -> bool {
        procfs::stat(self.pid)
            .is_ok_and(|stat| stat.start_time == self.start_time && !stat.is_dead())
    }
}

// === impl Record ===

impl Record {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn of(runtime_dir: &Path, id: &str) -> Self {
        Self(runtime_dir.join("containers").join(id))
    }

    /// The ids of all containers that have a record.
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

    /// Fails when it exists. It holds the environment, so only its owner may read it.
    pub(crate) fn create(&self, plan: &Plan) -> io::Result<()> {
        let open = || File::options().append(true).create_new(true).mode(0o600).open(&self.0);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = self.0.parent() {
                    fs::DirBuilder::new().mode(0o700).recursive(true).create(parent)?;
                }
                open()
            }
            other => other,
        }?;
        append(&file, &Line::Plan(Box::new(plan.clone())))
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    pub(crate) fn read(&self) -> io::Result<Contents> {
        Ok(parse(&fs::read(&self.0)?))
    }

    /// Reads it, and removes it if no supervisor has claimed it: that can then not claim it any
    /// more.
    pub(crate) fn read_or_withdraw(&self) -> io::Result<Contents> {
        let mut file = locked(File::open(&self.0)?)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let contents = parse(&bytes);
        if contents.supervisor.is_none() || contents.plan.is_none() {
            self.remove()?;
        }
        Ok(contents)
    }

    /// By the supervisor: what to do, if an agent has not withdrawn it.
    pub(crate) fn claim(&self, own: Process) -> io::Result<(Plan, Journal)> {
        let mut file = locked(File::options().read(true).append(true).open(&self.0)?)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let Contents { plan, supervisor, .. } = parse(&bytes);
        let plan = plan.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no plan"))?;
        if supervisor.is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it has a supervisor"));
        }
        let journal = Journal(file.unlock().map_err(|(_, error)| error)?);
        journal.write(&Line::Supervisor(own))?;
        Ok((plan, journal))
    }
}

// === impl Journal ===

impl Journal {
    pub(crate) fn main(&self, process: Process) -> io::Result<()> {
        self.write(&Line::Main(process))
    }

    pub(crate) fn ending(&self, ending: &Ending) -> io::Result<()> {
        self.write(&Line::Ending(ending.clone()))
    }

    fn write(&self, line: &Line) -> io::Result<()> {
        append(&self.0, line)?;
        if self.0.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it was withdrawn"));
        }
        Ok(())
    }
}

fn append(mut file: &File, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

fn locked(file: File) -> io::Result<Flock<File>> {
    Ok(Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error)?)
}

/// Lines that cannot be read say nothing: they were torn.
fn parse(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.ends_with(b"\n").then(|| serde_json::from_slice(line)) {
            Some(Ok(Line::Plan(plan))) => contents.plan = Some(*plan),
            Some(Ok(Line::Supervisor(process))) => contents.supervisor = Some(process),
            Some(Ok(Line::Main(process))) => contents.main = Some(process),
            Some(Ok(Line::Ending(ending))) => contents.ending = Some(ending),
            Some(Err(_)) | None => {}
        }
    }
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUPERVISOR: Process = Process { pid: 7, start_time: 9 };

    #[test]
    fn a_process_is_itself_only_with_its_start_time() {
        let own = Process::of(std::process::id().cast_signed()).unwrap();
        assert!(own.is_alive());
        assert!(!Process { start_time: own.start_time + 1, ..own }.is_alive());
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::of(dir.path(), "a");
        let plan = Plan { id: "a\nb".to_owned(), ..Plan::default() };
        assert_eq!(Record::list(dir.path()).unwrap(), Vec::<String>::new());
        record.create(&plan).unwrap();
        let again = record.create(&plan).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(Record::list(dir.path()).unwrap(), ["a"]);
        assert_eq!(fs::metadata(record.path()).unwrap().mode() & 0o777, 0o600);
        let (claimed, journal) = record.claim(SUPERVISOR).unwrap();
        assert_eq!(claimed, plan);
        let main = Process { pid: 8, start_time: 10 };
        journal.main(main).unwrap();
        let ending = Ending { status: Some(256), ..Ending::default() };
        journal.ending(&ending).unwrap();
        let expected = Contents {
            plan: Some(plan),
            supervisor: Some(SUPERVISOR),
            main: Some(main),
            ending: Some(ending),
        };
        assert_eq!(record.read().unwrap(), expected);
        assert_eq!(record.read_or_withdraw().unwrap(), expected);
        record.remove().unwrap();
        record.remove().unwrap();
        assert!(journal.main(main).is_err(), "nobody would read it");
    }

    #[test]
    fn a_record_is_claimed_or_withdrawn_and_not_both() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::of(dir.path(), "a");
        record.create(&Plan::default()).unwrap();
        assert_eq!(record.read_or_withdraw().unwrap().supervisor, None);
        assert!(record.claim(SUPERVISOR).is_err());
        record.create(&Plan::default()).unwrap();
        record.claim(SUPERVISOR).unwrap();
        assert!(record.claim(SUPERVISOR).is_err());
        assert_eq!(record.read_or_withdraw().unwrap().supervisor, Some(SUPERVISOR));
        assert!(record.read().is_ok());
    }

    #[test]
    fn torn_lines_say_nothing() {
        let whole = b"{\"supervisor\":{\"pid\":7,\"start_time\":9}}\n";
        assert_eq!(parse(whole).supervisor, Some(SUPERVISOR));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), Contents::default());
        }
        assert_eq!(parse(b"\xff\n{}\n[\n\n"), Contents::default());
    }
}
