//! Child processes: the command in a session of its own, checks in groups of their own.

use super::text::Exit;
use mesos_messages::v1::{CommandInfo, Environment, TaskInfo, environment::variable};
use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::{Pid, setsid},
};
use std::{
    collections::HashSet,
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

/// Starts the task's command in its own session; its output is this process's.
pub(super) fn start_task(
    task: &TaskInfo,
    inherited: &[(OsString, OsString)],
) -> Result<Pid, String> {
    let info = task.command.as_deref().ok_or("the task has no command")?;
    let mut command = command(info).ok_or("the task's command has no value")?;
    command.env_clear().envs(inherited.iter().map(|(name, value)| (name, value)));
    add_environment(&mut command, info.environment.as_ref());
    let allocation = task.resources.first().and_then(|first| first.allocation_info.as_ref());
    let role = allocation.and_then(|allocation| allocation.role.as_deref()).unwrap_or_default();
    command.env("MESOS_ALLOCATION_ROLE", role);
    // SAFETY: between fork and exec only setsid runs, which is async-signal-safe and allocates
    // nothing.
    unsafe {
        command.pre_exec(|| setsid().map(drop).map_err(io::Error::from));
    }
    let child = command.spawn().map_err(|error| format!("cannot execute the command: {error}"))?;
    pid(&child)
}

/// Starts a check's command; what it prints goes to the log of errors.
pub(super) fn start_check(
    info: &CommandInfo,
    inherited: &[(OsString, OsString)],
) -> Result<Child, String> {
    let mut command = command(info).ok_or("the check's command has no value")?;
    command.env_clear().envs(inherited.iter().map(|(name, value)| (name, value)));
    add_environment(&mut command, info.environment.as_ref());
    let log = io::stderr();
    let log = std::os::fd::AsFd::as_fd(&log).try_clone_to_owned();
    let log = log.map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stdout(Stdio::from(log)).process_group(0);
    command.spawn().map_err(|error| format!("cannot execute the check: {error}"))
}

/// Starts this program for an HTTP or TCP check, with its output in a pipe.
pub(super) fn start_probe(helper: &[OsString], arguments: &[OsString]) -> Result<Child, String> {
    let (program, first) = helper.split_first().ok_or("no program for checks")?;
    Command::new(program)
        .args(first)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start the check: {error}"))
}

fn command(info: &CommandInfo) -> Option<Command> {
    let value = info.value.as_deref()?;
    if info.shell() {
        let mut command = Command::new("sh");
        command.arg("-c").arg(value);
        return Some(command);
    }
    let mut command = Command::new(value);
    if let Some((name, arguments)) = info.arguments.split_first() {
        command.arg0(name).args(arguments);
    }
    Some(command)
}

fn add_environment(command: &mut Command, environment: Option<&Environment>) {
    for entry in environment.iter().flat_map(|environment| &environment.variables) {
        // A secret that nobody resolved has no value to give.
        if entry.r#type() != variable::Type::Secret {
            command.env(&entry.name, entry.value());
        }
    }
}

pub(super) fn pid(child: &Child) -> Result<Pid, String> {
    i32::try_from(child.id()).map(Pid::from_raw).map_err(|error| error.to_string())
}

/// Every child that has ended since the last call.
pub(super) fn reap() -> Vec<(Pid, Exit)> {
    let mut ended = Vec::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) => ended.push((pid, Exit::Status(status))),
            Ok(WaitStatus::Signaled(pid, signal, core)) => {
                ended.push((pid, Exit::Signal { number: signal as i32, core }));
            }
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::StillAlive) | Err(_) => return ended,
            Ok(_) => {}
        }
    }
}

/// Whether the child can still be signalled: not ended, or at least not yet waited for.
fn exists(pid: Pid) -> bool {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(pid), flags).is_ok()
}

/// Ends a check and what it started.
pub(super) fn kill_group(pid: Pid) {
    if exists(pid) {
        let _ = killpg(pid, Signal::SIGKILL);
    }
}

/// Signals a process, its descendants, and everything in their groups and sessions.
pub(super) fn signal_tree(root: Pid, signal: Signal) {
    if !exists(root) {
        return;
    }
    let tree = tree(root.as_raw(), &processes());
    for pid in tree {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// What `/proc` says of a process.
#[derive(Clone, Copy, Debug)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    session: i32,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(process).collect()
}

fn process(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may itself hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    let mut next = || fields.next()?.parse().ok();
    Some(Process { pid, parent: next()?, group: next()?, session: next()? })
}

/// The root first, then whatever hangs together with it.
fn tree(root: i32, all: &[Process]) -> Vec<i32> {
    let mut tree = vec![root];
    let mut known = HashSet::from([root]);
    let mut kin = HashSet::from([root]);
    loop {
        let before = tree.len();
        for process in all {
            let belongs = known.contains(&process.parent)
                || kin.contains(&process.group)
                || kin.contains(&process.session);
            if belongs && known.insert(process.pid) {
                tree.push(process.pid);
                // Groups and sessions that it leads are its own; others it merely joined.
                kin.extend(
                    [process.group, process.session].iter().filter(|id| **id == process.pid),
                );
            }
        }
        if tree.len() == before {
            return tree;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, group: i32, session: i32) -> Process {
        Process { pid, parent, group, session }
    }

    #[test]
    fn a_tree_holds_children_groups_and_sessions_but_not_the_executor() {
        let all = [
            process(1, 0, 1, 1),
            process(10, 1, 10, 10),  // the executor
            process(20, 10, 20, 20), // the command
            process(21, 20, 20, 20), // its child
            process(22, 1, 20, 20),  // an orphan of its session
            process(23, 21, 23, 23), // a grandchild with its own session
            process(24, 1, 23, 23),  // an orphan of that
            process(30, 1, 30, 30),  // a stranger
            process(31, 10, 31, 10), // a check
        ];
        let mut found = tree(20, &all);
        found.sort_unstable();
        assert_eq!(found, [20, 21, 22, 23, 24]);
    }

    #[test]
    fn the_own_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(processes().iter().any(|process| process.pid == own && process.parent > 0));
    }
}
