//! Reads what an earlier process of the same agent wrote down.

use super::{
    FileError, Layout, Recovered, RecoveredExecutor, RecoveredFramework, RecoveredTask, Run, file,
    layout,
};
use mesos_messages::internal::StatusUpdateRecord;
use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Reads all checkpoints. Damaged ones below the agent's own are skipped and listed.
///
/// # Errors
///
/// Where the agent's own checkpoint cannot be read: going on would make it another agent and
/// lose its executors.
pub fn load(layout: &Layout, boot_id: &str) -> Result<Recovered, FileError> {
    let mut recovered = Recovered::default();
    let link = layout.latest();
    let agent = match fs::read_link(&link) {
        Ok(target) => target.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(recovered),
        Err(error) => return Err(FileError::new(&link, error)),
    };
    let path = layout.agent_info(&agent);
    if !path.exists() {
        // The process died between making the directory and writing the file.
        return Ok(recovered);
    }
    recovered.agent = Some(file::read_message(&path)?);
    let drain = layout.drain_config(&agent);
    if drain.exists() {
        recovered.drain = Some(file::read_message(&drain)?);
    }
    let before = file::read_text(&layout.boot_id())?;
    recovered.rebooted = before.is_some_and(|before| before != boot_id);
    for framework in names(&layout.meta_agent(&agent).join("frameworks")) {
        load_framework(layout, &agent, &framework, &mut recovered);
    }
    Ok(recovered)
}

fn load_framework(layout: &Layout, agent: &str, id: &str, recovered: &mut Recovered) {
    let dir = layout.meta_framework(agent, id);
    let read = || -> Result<_, FileError> {
        let info = file::read_message(&dir.join(layout::FRAMEWORK_INFO))?;
        Ok((info, file::read_text(&dir.join(layout::FRAMEWORK_PID))?))
    };
    let (info, pid) = match read() {
        Ok(both) => both,
        Err(error) => return recovered.errors.push(error),
    };
    let mut framework = RecoveredFramework { info, pid, executors: Vec::new() };
    for executor in names(&dir.join("executors")) {
        match load_executor(layout, agent, id, &executor, recovered) {
            Ok(Some(executor)) => framework.executors.push(executor),
            Ok(None) => {}
            Err(error) => recovered.errors.push(error),
        }
    }
    if framework.executors.is_empty() {
        recovered.old.push(aged(dir));
        recovered.old.push(aged(layout.framework(agent, id)));
    } else {
        recovered.frameworks.push(framework);
    }
}

/// None for an executor whose last run is settled.
fn load_executor(
    layout: &Layout,
    agent: &str,
    framework_id: &str,
    executor_id: &str,
    recovered: &mut Recovered,
) -> Result<Option<RecoveredExecutor>, FileError> {
    let dir = layout.meta_executor(agent, framework_id, executor_id);
    let latest = dir.join("runs/latest");
    let container_id = match fs::read_link(&latest) {
        Ok(target) => target.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        // Nothing was launched yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::new(&latest, error)),
    };
    let run = Run {
        framework_id: framework_id.to_owned(),
        executor_id: executor_id.to_owned(),
        container_id,
    };
    let run_dir = layout.meta_run(agent, &run);
    if run_dir.join(layout::SENTINEL).exists() {
        recovered.old.push(aged(layout.run(agent, &run)));
        recovered.old.push(aged(layout.executor(agent, framework_id, executor_id)));
        recovered.old.push(aged(run_dir));
        recovered.old.push(aged(dir));
        return Ok(None);
    }
    let forked = run_dir.join(layout::FORKED_PID);
    let forked_pid = match file::read_text(&forked)? {
        Some(text) => Some(text.parse().map_err(|error| FileError::new(&forked, error))?),
        None => None,
    };
    let mut tasks = Vec::new();
    for task in names(&run_dir.join("tasks")) {
        match load_task(&run_dir.join("tasks").join(task)) {
            Ok(task) => tasks.extend(task),
            Err(error) => recovered.errors.push(error),
        }
    }
    Ok(Some(RecoveredExecutor {
        info: file::read_message(&dir.join(layout::EXECUTOR_INFO))?,
        generated: file::read_text(&dir.join(layout::EXECUTOR_GENERATED))?.as_deref() == Some("1"),
        forked_pid,
        libprocess_pid: file::read_text(&run_dir.join(layout::LIBPROCESS_PID))?,
        http: run_dir.join(layout::HTTP_MARKER).exists(),
        tasks,
        run,
    }))
}

fn load_task(dir: &Path) -> Result<Option<RecoveredTask>, FileError> {
    let info = dir.join(layout::TASK_INFO);
    if !info.exists() {
        return Ok(None);
    }
    let task = file::read_message(&info)?;
    let path = dir.join(layout::TASK_UPDATES);
    let (records, whole) = file::read_records::<StatusUpdateRecord>(&path)?;
    // Half a record at the end is cut off, or what is appended next could not be read.
    if fs::metadata(&path).is_ok_and(|meta| meta.len() > whole) {
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_len(whole))
            .map_err(|error| FileError::new(&path, error))?;
    }
    Ok(Some(RecoveredTask { task, records }))
}

/// The names of the directories in a directory; links and what is not readable left out.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// A path with the time since it last changed.
pub(crate) fn aged(path: PathBuf) -> (PathBuf, Duration) {
    let age = fs::metadata(&path)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|time| SystemTime::now().duration_since(time).ok())
        .unwrap_or_default();
    (path, age)
}

/// Every sandbox of this agent with its age, for the garbage collector: also those of frameworks
/// that were never checkpointed. Of agents that lived here before, everything.
pub(crate) fn sandboxes(layout: &Layout, present: Option<&str>) -> Vec<(PathBuf, Duration)> {
    let slaves = layout.slaves();
    let mut found = Vec::new();
    for agent in names(&layout.meta_slaves()) {
        if present != Some(&agent) {
            found.push(aged(layout.meta_agent(&agent)));
        }
    }
    for agent in names(&slaves) {
        if present != Some(&agent) {
            found.push(aged(slaves.join(&agent)));
            continue;
        }
        for framework in names(&slaves.join(&agent).join("frameworks")) {
            let dir = layout.framework(&agent, &framework).join("executors");
            for executor in names(&dir) {
                let runs = dir.join(executor).join("runs");
                found.extend(names(&runs).into_iter().map(|run| aged(runs.join(run))));
            }
        }
    }
    found
}
