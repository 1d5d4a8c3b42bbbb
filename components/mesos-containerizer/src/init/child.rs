//! The processes a supervisor makes: the container's main process and, with a pid namespace, the
//! small process that is number one in it.
//!
//! All are forked from a process with one thread, so that ordinary code may run between the fork
//! and the execution of the program. Whatever fails there is told through a pipe that closes when
//! the program is executed.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::CloneFlags,
    sys::{
        prctl,
        signal::{SigHandler, SigSet, SigmaskHow, Signal, sigprocmask},
        wait::waitpid,
    },
    unistd::{ForkResult, Gid, Pid, Uid, dup2_stderr, dup2_stdout, execve, fork, pipe2},
};

use super::{
    Applet, Failure, OrFail,
    applet::{become_applet, named_by},
    namespaces,
};
use crate::plan::{Identity, Plan, RLimit};

/// All that was found out before the fork.
pub(super) struct Prepared<'a> {
    plan: &'a Plan,
    /// Where the program may be, in the order to try.
    candidates: Vec<CString>,
    argv: Vec<CString>,
    envp: Vec<CString>,
    /// The program, where this binary holds it.
    applet: Option<Applet>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// A container's first process.
pub(super) struct Spawned {
    pub(super) pid: Pid,
    /// With a pid namespace: number one writes the main process's status into it.
    pub(super) status: Option<File>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        stdout: OwnedFd,
        stderr: OwnedFd,
        applets: &'static [Applet],
    ) -> Result<Self, Failure> {
        let argument = |text: &str| {
            CString::new(text).or_fail(|| format!("use the argument '{}'", text.escape_default()))
        };
        // The value may be a secret.
        let variable = |(name, value): &(String, String)| {
            CString::new(format!("{name}={value}"))
                .or_fail(|| format!("set the variable '{}'", name.escape_default()))
        };
        let program = plan.argv.first().ok_or(io::ErrorKind::InvalidInput);
        let program = program.or_fail(|| "find a program: the command is empty".to_owned())?;
        let path = plan.env.iter().rev().find(|(name, _)| name == "PATH");
        Ok(Self {
            plan,
            candidates: candidates(program, path.map(|(_, value)| value.as_str()))
                .iter()
                .map(|candidate| argument(candidate))
                .collect::<Result<_, _>>()?,
            argv: plan.argv.iter().map(|text| argument(text)).collect::<Result<_, _>>()?,
            envp: plan.env.iter().map(variable).collect::<Result<_, _>>()?,
            applet: named_by(plan, applets),
            stdout,
            stderr,
        })
    }

    /// Returns when the program has been executed.
    pub(super) fn spawn(self) -> Result<Spawned, Failure> {
        let (errors, error_end) = pipe2(OFlag::O_CLOEXEC).or_fail(|| "make a pipe".to_owned())?;
        let spawned = match &self.plan.namespaces {
            Some(namespaces) if namespaces.pid => self.spawn_in_pid_namespace(error_end)?,
            namespaces => {
                let isolated = namespaces.is_some();
                // SAFETY: this process has one thread, so the child may do anything.
                match unsafe { fork() }.or_fail(|| "fork".to_owned())? {
                    ForkResult::Parent { child } => {
                        drop(error_end);
                        Spawned { pid: child, status: None }
                    }
                    ForkResult::Child => {
                        let parent = nix::unistd::getppid();
                        self.become_main(error_end, isolated, Some(parent))
                    }
                }
            }
        };
        let mut text = String::new();
        let _ = File::from(errors).read_to_string(&mut text);
        if text.is_empty() {
            return Ok(spawned);
        }
        let _ = nix::sys::signal::kill(spawned.pid, Signal::SIGKILL);
        let _ = waitpid(spawned.pid, None);
        Err(Failure { what: "start the container".to_owned(), source: io::Error::other(text) })
    }

    fn spawn_in_pid_namespace(&self, error_end: OwnedFd) -> Result<Spawned, Failure> {
        let (status, status_end) = pipe2(OFlag::O_CLOEXEC).or_fail(|| "make a pipe".to_owned())?;
        // Concerns only processes made from now on: number one is the only one.
        nix::sched::unshare(CloneFlags::CLONE_NEWPID)
            .or_fail(|| "make a pid namespace".to_owned())?;
        // SAFETY: this process has one thread, so the child may do anything.
        match unsafe { fork() }.or_fail(|| "fork".to_owned())? {
            ForkResult::Parent { child } => {
                drop((error_end, status_end));
                Ok(Spawned { pid: child, status: Some(status.into()) })
            }
            ForkResult::Child => {
                drop(status);
                self.become_number_one(error_end, status_end)
            }
        }
    }

    /// Number one of a pid namespace: reaps, and when the main process has ended, ends, whereupon
    /// the kernel kills all others. It stays out of the container's cgroups, so that no limit of
    /// the container's kills it.
    fn become_number_one(&self, error_end: OwnedFd, status_end: OwnedFd) -> ! {
        let _ = prctl::set_pdeathsig(Signal::SIGKILL);
        if supervisor_is_gone(&status_end) {
            exit(1);
        }
        let main = match self.isolate().and_then(|()| self.fork_main()) {
            Ok(ForkResult::Child) => self.become_main(error_end, false, None),
            Ok(ForkResult::Parent { child }) => child,
            Err(failure) => fail(&error_end, &failure),
        };
        drop(error_end);
        let _ = prctl::set_name(c"dais-init");
        if let Ok(null) = File::options().write(true).open("/dev/null") {
            let _ = dup2_stdout(null.as_fd());
            let _ = dup2_stderr(null.as_fd());
        }
        let mut status_end = File::from(status_end);
        let _ = close_all_but(&status_end);
        let status = wait_for(main);
        let _ = status_end.write_all(&status.to_le_bytes());
        exit(0)
    }

    fn isolate(&self) -> Result<(), Failure> {
        match &self.plan.namespaces {
            Some(wanted) => namespaces::enter(wanted, self.plan),
            None => Ok(()),
        }
    }

    /// Straight into the cgroup where version 2 allows it: moving a process later makes the kernel
    /// wait for all processors.
    fn fork_main(&self) -> Result<ForkResult, Failure> {
        if let Some(group) = &self.plan.cgroups.v2 {
            match fork_into_cgroup(group) {
                Ok(result) => return Ok(result),
                Err(error)
                    if matches!(
                        error.raw_os_error(),
                        Some(libc::ENOSYS | libc::EINVAL | libc::EPERM | libc::E2BIG)
                    ) => {}
                Err(source) => {
                    let what = format!("fork into the cgroup '{}'", group.display());
                    return Err(Failure { what, source });
                }
            }
        }
        // SAFETY: this process has one thread, so the child may do anything.
        unsafe { fork() }.or_fail(|| "fork".to_owned())
    }

    fn become_main(&self, error_end: OwnedFd, isolate: bool, parent: Option<Pid>) -> ! {
        let result = if isolate { self.isolate() } else { Ok(()) };
        let result = result.and_then(|()| self.set_up(parent)).and_then(|()| self.execute());
        match result {
            Ok(never) => match never {},
            Err(failure) => fail(&error_end, &failure),
        }
    }

    fn set_up(&self, parent: Option<Pid>) -> Result<(), Failure> {
        let plan = self.plan;
        nix::unistd::setsid().or_fail(|| "start a session".to_owned())?;
        join_cgroups(plan)?;
        dup2_stdout(&self.stdout).or_fail(|| "set the standard output".to_owned())?;
        dup2_stderr(&self.stderr).or_fail(|| "set the standard error".to_owned())?;
        // By path: a descriptor would lead into the mount namespace it was opened in. Before the
        // user changes, who need not be able to reach the sandbox from the root.
        change_dir(&plan.sandbox)?;
        for limit in &plan.rlimits {
            set_rlimit(limit).or_fail(|| format!("set the rlimit {}", limit.resource))?;
        }
        if let Some(identity) = &plan.identity {
            become_user(identity)?;
        }
        if let Some(dir) = &plan.working_dir {
            change_dir(dir)?;
        }
        if let Some(parent) = parent {
            // After the change of user, which would clear it. The container must not outlive its
            // supervisor: its output would have no reader.
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            if nix::unistd::getppid() != parent {
                exit(1);
            }
        }
        reset_signals();
        Ok(())
    }

    fn execute(&self) -> Result<std::convert::Infallible, Failure> {
        if let Some(applet) = self.applet {
            become_applet(applet, &self.plan.env);
        }
        let mut last = Errno::ENOENT;
        for candidate in &self.candidates {
            match execve(candidate, &self.argv, &self.envp) {
                Ok(never) => match never {},
                Err(Errno::ENOEXEC) => self.execute_script(candidate),
                Err(error) => {
                    // The one that exists says more than those that do not.
                    if error != Errno::ENOENT || self.candidates.len() == 1 {
                        last = error;
                    }
                }
            }
        }
        let program = self.plan.argv.first().map_or("", String::as_str);
        Err(Failure { what: format!("execute '{program}'"), source: last.into() })
    }

    /// A file without a first line that says by what is the shell's, as with execvp.
    fn execute_script(&self, script: &CString) {
        let mut argv = vec![c"sh".to_owned(), script.clone()];
        argv.extend(self.argv.iter().skip(1).cloned());
        let _ = execve(c"/bin/sh", &argv, &self.envp);
    }
}

fn candidates(program: &str, path: Option<&str>) -> Vec<String> {
    const DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    path.unwrap_or(DEFAULT)
        .split(':')
        .map(|dir| if dir.is_empty() { format!("./{program}") } else { format!("{dir}/{program}") })
        .collect()
}

/// The library's constant is too narrow to hold it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// With `clone3`, as `fork` does it but for the group.
fn fork_into_cgroup(group: &Path) -> io::Result<ForkResult> {
    let dir = File::open(group)?;
    // SAFETY: all fields are integers, for which zero is valid and means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = dir.as_raw_fd() as u64;
    // SAFETY: `args` is valid and its size is given; without CLONE_VM the child has its own memory,
    // and with one thread nothing in it is torn.
    let pid =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match i32::try_from(pid) {
        Ok(0) => Ok(ForkResult::Child),
        Ok(pid) if pid > 0 => Ok(ForkResult::Parent { child: Pid::from_raw(pid) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A thread that moves itself by `tasks` moves at once; `cgroup.procs`, which moves a whole
/// process, makes the kernel wait for all processors.
fn join_cgroups(plan: &Plan) -> Result<(), Failure> {
    for group in &plan.cgroups.v1 {
        fs::write(group.join("tasks"), "0")
            .or_fail(|| format!("join the cgroup '{}'", group.display()))?;
    }
    let Some(group) = &plan.cgroups.v2 else {
        return Ok(());
    };
    if in_cgroup(group) {
        return Ok(());
    }
    fs::write(group.join("cgroup.procs"), "0")
        .or_fail(|| format!("join the cgroup '{}'", group.display()))
}

/// Whether the fork has put this process there already.
fn in_cgroup(group: &Path) -> bool {
    fs::read_to_string("/proc/self/cgroup").is_ok_and(|text| {
        text.lines()
            .filter_map(|line| line.strip_prefix("0::"))
            .any(|path| path.len() > 1 && group.ends_with(path.trim_start_matches('/')))
    })
}

fn change_dir(dir: &Path) -> Result<(), Failure> {
    nix::unistd::chdir(dir).or_fail(|| format!("change into '{}'", dir.display()))
}

fn set_rlimit(limit: &RLimit) -> io::Result<()> {
    let values = libc::rlimit {
        rlim_cur: limit.soft.unwrap_or(libc::RLIM_INFINITY),
        rlim_max: limit.hard.unwrap_or(libc::RLIM_INFINITY),
    };
    // SAFETY: `values` is valid for the call, which only reads it.
    let result = unsafe { libc::setrlimit(limit.resource, &raw const values) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn become_user(identity: &Identity) -> Result<(), Failure> {
    let groups: Vec<Gid> = identity.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    nix::unistd::setgroups(&groups).or_fail(|| "set the groups".to_owned())?;
    let gid = Gid::from_raw(identity.gid);
    nix::unistd::setresgid(gid, gid, gid).or_fail(|| format!("become group {gid}"))?;
    let uid = Uid::from_raw(identity.uid);
    nix::unistd::setresuid(uid, uid, uid).or_fail(|| format!("become user {uid}"))
}

/// What an agent's parent ignored or blocked must not be the container's business.
fn reset_signals() {
    // All zeros: the default action, no flags, an empty mask, whatever the architecture.
    let default = [0_u64; 8];
    for signal in 1..=libc::SIGRTMAX() {
        // By the bare call: the library keeps two signals to itself, and leaves just those ignored
        // when it starts a process.
        // SAFETY: `default` is larger than what the call reads; the default action runs no code of
        // ours. The few signals that cannot be set are refused.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null::<u64>(),
                size_of::<u64>(),
            );
        }
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// The pipe's reading end is held by the supervisor alone.
fn supervisor_is_gone(status_end: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(status_end.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// The main process's status, all others being reaped meanwhile.
fn wait_for(main: Pid) -> i32 {
    loop {
        match wait_any(0) {
            Ok(Some((pid, status))) if pid == main.as_raw() => return status,
            Err(Errno::ECHILD) => return 0,
            _ => {}
        }
    }
}

/// Reaps one child, any; the status as the kernel gives it. None: none has ended.
pub(super) fn wait_any(options: i32) -> Result<Option<(i32, i32)>, Errno> {
    let mut status = 0;
    // SAFETY: `status` is valid for the call, which writes it.
    let pid = Errno::result(unsafe { libc::waitpid(-1, &raw mut status, options) })?;
    Ok((pid > 0).then_some((pid, status)))
}

/// Closes all descriptors from `first` on.
pub(super) fn close_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX).or_else(|error| {
        if error.raw_os_error() != Some(libc::ENOSYS) {
            return Err(error);
        }
        let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        for fd in open {
            if u32::try_from(fd).is_ok_and(|fd| fd >= first) {
                // SAFETY: called before this process has opened anything it still uses.
                unsafe { libc::close(fd) };
            }
        }
        Ok(())
    })
}

/// Closes all descriptors but `kept` and the first three.
fn close_all_but(kept: &File) -> io::Result<()> {
    let kept = kept.as_raw_fd().cast_unsigned();
    if kept > 3 {
        close_range(3, kept - 1)?;
    }
    close_range(kept + 1, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: takes three integers. Callers name only descriptors nobody uses any more.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn fail(error_end: &OwnedFd, failure: &Failure) -> ! {
    let text = format!("{failure}");
    let _ = nix::unistd::write(error_end, text.as_bytes());
    exit(1)
}

/// Without running what the parent has registered for its own end.
fn exit(code: i32) -> ! {
    // SAFETY: ends this process at once.
    unsafe { libc::_exit(code) }
}

/// The same for all: blocks what the supervisor reads from a descriptor instead.
pub(super) fn supervisor_signals() -> SigSet {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    // A pipe's reader that is gone must not end the supervisor.
    // SAFETY: ignoring runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_slash_is_searched() {
        assert_eq!(candidates("/bin/x", Some("/a")), ["/bin/x"]);
        assert_eq!(candidates("./x", Some("/a")), ["./x"]);
        assert_eq!(candidates("x", Some("/a::/b")), ["/a/x", "./x", "/b/x"]);
        assert!(candidates("x", None).contains(&"/usr/bin/x".to_owned()));
    }
}
