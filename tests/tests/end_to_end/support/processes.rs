//! Looking at the processes of the machine, through /proc.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command: String,
    /// Changes when a pid is used again.
    pub(crate) started: u64,
}

/// Every process that is not a zombie.
pub(crate) fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let pids = entries.filter_map(|item| item.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(read).collect()
}

/// The process, unless it ended.
pub(crate) fn read(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    if matches!(fields.first(), Some(&"Z" | &"X")) {
        return None;
    }
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ").trim().to_owned();
    let started = fields.get(19)?.parse().ok()?;
    Some(Process { pid, command, started })
}

/// Processes that work in `folder` or name it.
pub(crate) fn of_folder(folder: &Path) -> Vec<Process> {
    let text = folder.to_string_lossy().into_owned();
    let own = std::process::id() as i32;
    let concerned = |process: &Process| {
        let place = std::fs::read_link(format!("/proc/{}/cwd", process.pid));
        process.command.contains(&text) || place.is_ok_and(|place| place.starts_with(folder))
    };
    all().into_iter().filter(|process| process.pid != own && concerned(process)).collect()
}

/// Whether the very same process still runs.
pub(crate) fn still_runs(process: &Process) -> bool {
    read(process.pid).is_some_and(|now| now.started == process.started)
}

pub(crate) fn signal(pid: i32, signal: Signal) {
    // It may have ended in between.
    let _ = kill(Pid::from_raw(pid), signal);
}
