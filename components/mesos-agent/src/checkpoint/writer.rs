//! Makes writes durable, many with few waits for the disk.

use super::{Layout, Run, Write, file, layout};
use mesos_messages::internal::{StatusUpdateRecord, status_update_record::Type};
use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// From this many touched files on, one sync of the file system is cheaper than one for each.
const SYNC_ALL: usize = 16;

/// Writes below one work directory, for one agent.
#[derive(Debug)]
pub struct Writer {
    layout: Layout,
    agent: String,
    sequence: u64,
    /// Whether to wait for the disk: without it only the death of the process is survived.
    sync: bool,
}

/// One change on disk.
enum Op {
    Put(PathBuf, Vec<u8>),
    Append(PathBuf, Vec<u8>),
    Link(PathBuf, String),
    Delete(PathBuf),
}

impl Writer {
    /// Writes for the agent with this id, if it has one already.
    #[must_use]
    pub fn new(layout: Layout, agent: Option<String>) -> Self {
        Self { layout, agent: agent.unwrap_or_default(), sequence: 0, sync: true }
    }

    /// A writer that does not wait for the disk.
    #[must_use]
    pub fn without_sync(mut self) -> Self {
        self.sync = false;
        self
    }

    /// Makes all writes durable, in order.
    ///
    /// # Errors
    ///
    /// The first failure with its path. Everything may be repeated: writes replace files, and
    /// a repeated update is recognised by its id.
    pub fn apply(&mut self, writes: &[Write]) -> Result<(), (PathBuf, io::Error)> {
        let mut touched = BTreeSet::new();
        for write in writes {
            for op in self.ops(write) {
                let path = op.path().to_owned();
                self.perform(op, &mut touched).map_err(|error| (path, error))?;
            }
        }
        if self.sync {
            let meta = self.layout.meta();
            sync(&meta, &touched).map_err(|error| (meta, error))?;
        }
        Ok(())
    }

    fn ops(&mut self, write: &Write) -> Vec<Op> {
        let run_dir = |run: &Arc<Run>| self.layout.meta_run(&self.agent, run);
        match write {
            Write::Agent(info) => {
                let id = info.id.as_ref().map(|id| id.value.clone()).unwrap_or_default();
                let ops = vec![
                    Op::Put(self.layout.agent_info(&id), file::encode(info)),
                    Op::Link(self.layout.latest(), id.clone()),
                ];
                self.agent = id;
                ops
            }
            Write::Drain(config) => {
                let path = self.layout.drain_config(&self.agent);
                vec![match config {
                    Some(config) => Op::Put(path, file::encode(config)),
                    None => Op::Delete(path),
                }]
            }
            Write::Framework { info, pid } => {
                let id = info.id.as_ref().map_or("", |id| &id.value);
                let dir = self.layout.meta_framework(&self.agent, id);
                let pid = pid.clone().unwrap_or_else(|| "@0.0.0.0:0".to_owned());
                vec![
                    Op::Put(dir.join(layout::FRAMEWORK_PID), pid.into_bytes()),
                    Op::Put(dir.join(layout::FRAMEWORK_INFO), file::encode(&**info)),
                ]
            }
            Write::Executor { run, info, generated } => {
                let dir =
                    self.layout.meta_executor(&self.agent, &run.framework_id, &run.executor_id);
                let generated = if *generated { "1" } else { "0" };
                vec![
                    Op::Put(dir.join(layout::EXECUTOR_INFO), file::encode(&**info)),
                    Op::Put(dir.join(layout::EXECUTOR_GENERATED), generated.into()),
                    Op::Link(dir.join("runs/latest"), run.container_id.clone()),
                ]
            }
            Write::ForkedPid(run, pid) => {
                vec![Op::Put(run_dir(run).join(layout::FORKED_PID), pid.to_string().into_bytes())]
            }
            Write::LibprocessPid(run, pid) => {
                vec![Op::Put(run_dir(run).join(layout::LIBPROCESS_PID), pid.clone().into_bytes())]
            }
            Write::HttpMarker(run) => {
                vec![Op::Put(run_dir(run).join(layout::HTTP_MARKER), Vec::new())]
            }
            Write::Sentinel(run) => vec![Op::Put(run_dir(run).join(layout::SENTINEL), Vec::new())],
            Write::Task(run, task) => {
                let dir = run_dir(run).join("tasks").join(&task.task_id.value);
                vec![Op::Put(dir.join(layout::TASK_INFO), file::encode(&**task))]
            }
            Write::Update(run, update) => {
                let dir = run_dir(run).join("tasks").join(&update.status.task_id.value);
                let record = StatusUpdateRecord {
                    r#type: Type::Update as i32,
                    update: Some((**update).clone()),
                    uuid: None,
                };
                vec![Op::Append(dir.join(layout::TASK_UPDATES), file::encode(&record))]
            }
            Write::Ack { run, task_id, uuid } => {
                let dir = run_dir(run).join("tasks").join(task_id);
                let record = StatusUpdateRecord {
                    r#type: Type::Ack as i32,
                    update: None,
                    uuid: Some(uuid.clone()),
                };
                vec![Op::Append(dir.join(layout::TASK_UPDATES), file::encode(&record))]
            }
        }
    }

    fn perform(&mut self, op: Op, touched: &mut BTreeSet<PathBuf>) -> io::Result<()> {
        self.sequence += 1;
        let path = op.path().to_owned();
        let Some(dir) = path.parent() else { return Ok(()) };
        // Most writes go where others went before: the directory is made only when it lacks.
        match op.attempt(self.sequence) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_dir(dir, touched)?;
                op.attempt(self.sequence)?;
            }
            other => other?,
        }
        if self.sync {
            if !matches!(op, Op::Link(..) | Op::Delete(_)) {
                touched.insert(path.clone());
            }
            touched.insert(dir.to_owned());
        }
        Ok(())
    }
}

impl Op {
    fn path(&self) -> &Path {
        match self {
            Self::Put(path, _)
            | Self::Append(path, _)
            | Self::Link(path, _)
            | Self::Delete(path) => path,
        }
    }

    fn attempt(&self, sequence: u64) -> io::Result<()> {
        match self {
            Self::Put(path, bytes) => {
                let temporary = temporary(path, sequence);
                match fs::remove_file(&temporary) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                // It may hold a task's environment: only its owner may read it.
                let mut options = OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                options.open(&temporary)?.write_all(bytes)?;
                fs::rename(&temporary, path)
            }
            Self::Append(path, bytes) => append(path, bytes),
            Self::Delete(path) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            Self::Link(path, target) => {
                let temporary = temporary(path, sequence);
                match fs::remove_file(&temporary) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                std::os::unix::fs::symlink(target, &temporary)?;
                fs::rename(&temporary, path)
            }
        }
    }
}

fn temporary(path: &Path, sequence: u64) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{sequence}.tmp"))
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let before = file.metadata()?.len();
    file.write_all(bytes).inspect_err(|_| {
        // What is half written would hide whatever is appended later.
        let _ = file.set_len(before);
    })
}

/// Makes a directory and those above it, noting each to be synced.
fn make_dir(dir: &Path, touched: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut at = Some(dir);
    while let Some(path) = at.filter(|path| !path.exists()) {
        missing.push(path);
        at = path.parent();
    }
    for path in missing.into_iter().rev() {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        touched.extend(path.parent().map(Path::to_owned));
    }
    Ok(())
}

fn sync(meta: &Path, touched: &BTreeSet<PathBuf>) -> io::Result<()> {
    if touched.len() >= SYNC_ALL {
        let root = File::open(meta)?;
        return nix::unistd::syncfs(root).map_err(io::Error::from);
    }
    for path in touched {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}
