//! The supervisor at work: starts the container, carries its output, and sees to its end.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigmaskHow, Signal, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::{Pid, pipe2},
};

use super::{
    Applet, Failure, OrFail,
    child::{Prepared, supervisor_signals, wait_any},
    logs::{Log, Pumped, Stream},
    memory::MemoryWatch,
    volumes,
};
use crate::{
    cgroups, kill,
    plan::{Ending, LogPlan, MemoryExceeded, Plan},
    procfs,
    record::{Journal, Process},
};

/// As much of a container's output as is carried at once.
const BUFFER_BYTES: usize = 64 << 10;

/// A container that runs.
pub(super) struct Supervisor {
    plan: Plan,
    journal: Journal,
    main: Pid,
    signals: SignalFd,
    streams: [Option<Stream>; 2],
    memory: Option<MemoryWatch>,
    /// Where number one of the pid namespace puts the main process's status.
    status: Option<File>,
    /// The wait status of `main`, once it has ended.
    ended: Option<i32>,
    exceeded: Option<MemoryExceeded>,
    /// The agent wants the container to end.
    told_to_end: bool,
}

impl Supervisor {
    pub(super) fn start(
        plan: Plan,
        journal: Journal,
        applets: &'static [Applet],
    ) -> Result<Self, Failure> {
        let set = supervisor_signals();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)
            .or_fail(|| "block signals".to_owned())?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .or_fail(|| "make a descriptor for signals".to_owned())?;
        let sandbox = File::open(&plan.sandbox)
            .or_fail(|| format!("open the sandbox '{}'", plan.sandbox.display()))?;
        let (stdout, stdout_end) = stream(&plan, &sandbox, "stdout", &plan.stdout)?;
        let (stderr, stderr_end) = stream(&plan, &sandbox, "stderr", &plan.stderr)?;
        if plan.namespaces.is_none() {
            volumes::link(&plan, sandbox.as_fd())?;
        }
        let memory = plan.cgroups.memory.clone().map(MemoryWatch::new);
        let spawned = Prepared::new(&plan, stdout_end, stderr_end, applets)?.spawn()?;
        let supervisor = Self {
            main: spawned.pid,
            signals,
            streams: [Some(stdout), Some(stderr)],
            memory,
            status: spawned.status,
            ended: None,
            exceeded: None,
            told_to_end: false,
            journal,
            plan,
        };
        let written =
            Process::of(supervisor.main_pid()).and_then(|main| supervisor.journal.main(main));
        if let Err(source) = written {
            // The record is gone: an agent that started anew has taken the container for dead.
            let _ = supervisor.finish(&mut vec![0; BUFFER_BYTES]);
            return Err(Failure { what: "write down the container's process".to_owned(), source });
        }
        Ok(supervisor)
    }

    pub(super) fn main_pid(&self) -> i32 {
        self.main.as_raw()
    }

    /// Returns when nothing of the container is left, and that is written down.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_BYTES];
        while self.ended.is_none() && self.exceeded.is_none() && !self.told_to_end {
            self.turn(&mut buffer);
        }
        self.finish(&mut buffer)
    }

    fn turn(&mut self, buffer: &mut [u8]) {
        let [signals, memory, stdout, stderr] = self.wait();
        for (stream, ready) in self.streams.iter_mut().zip([stdout, stderr]) {
            if ready
                && let Some(open) = stream
                && open.pump(buffer) == Pumped::Closed
            {
                *stream = None;
            }
        }
        if memory && let Some(watch) = &mut self.memory {
            self.exceeded = watch.on_event();
        }
        if signals {
            self.take_signals();
        }
    }

    /// Which of signals, memory events, output and error output there are.
    fn wait(&self) -> [bool; 4] {
        let memory = self.memory.as_ref().and_then(MemoryWatch::poll);
        let mut indices = vec![0];
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some((fd, flags)) = memory {
            indices.push(1);
            fds.push(PollFd::new(fd, flags));
        }
        for (index, stream) in self.streams.iter().enumerate() {
            if let Some(stream) = stream {
                indices.push(index + 2);
                fds.push(PollFd::new(stream.as_fd(), PollFlags::POLLIN));
            }
        }
        let mut ready = [false; 4];
        if poll(&mut fds, PollTimeout::NONE).is_ok() {
            for (index, fd) in indices.iter().zip(&fds) {
                if let Some(ready) = ready.get_mut(*index) {
                    *ready = fd.any().unwrap_or(true);
                }
            }
        }
        ready
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                self.told_to_end = true;
            }
        }
        self.reap();
    }

    /// True: there are no children any more.
    fn reap(&mut self) -> bool {
        loop {
            match wait_any(libc::WNOHANG) {
                Ok(Some((pid, status))) if pid == self.main.as_raw() => self.ended = Some(status),
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(error) => return error == Errno::ECHILD,
            }
        }
    }

    fn finish(mut self, buffer: &mut [u8]) -> io::Result<()> {
        let survivors = self.kill();
        for stream in self.streams.iter_mut().flatten() {
            stream.drain(buffer);
        }
        let exceeded =
            self.exceeded.take().or_else(|| self.memory.as_ref().and_then(MemoryWatch::at_end));
        let status = self.main_status();
        self.memory = None;
        let groups = cgroups::remove(&self.plan.cgroups);
        let message = if survivors > 0 {
            Some(format!("{survivors} of its processes could not be killed"))
        } else {
            groups.err().map(|error| format!("Its cgroups could not be removed: {error}"))
        };
        self.journal.ending(&Ending { status, message, memory: exceeded })
    }

    /// Kills all that is left and returns how many could not be.
    fn kill(&mut self) -> usize {
        let timeout = Duration::from_millis(self.plan.kill_timeout_ms);
        if self.plan.namespaces.as_ref().is_some_and(|namespaces| namespaces.pid) {
            return self.kill_number_one(timeout);
        }
        if self.reap() {
            return 0;
        }
        let own = std::process::id().cast_signed();
        let find = || Ok(procfs::descendants(&procfs::all()?, &[own]));
        kill::all(find, |_| self.reap(), timeout).survivors
    }

    /// The kernel kills all others, and number one is reaped only after them.
    fn kill_number_one(&mut self, timeout: Duration) -> usize {
        let deadline = Instant::now() + timeout;
        let mut pause = Duration::from_micros(100);
        let _ = nix::sys::signal::kill(self.main, Signal::SIGKILL);
        while !self.reap() {
            if Instant::now() >= deadline {
                return 1;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
        0
    }

    fn main_status(&mut self) -> Option<i32> {
        let mut bytes = [0; 4];
        let told = self.status.as_mut().is_some_and(|pipe| pipe.read_exact(&mut bytes).is_ok());
        if told { Some(i32::from_le_bytes(bytes)) } else { self.ended }
    }
}

/// A pipe whose reading end feeds the log `name`, and its writing end.
fn stream(
    plan: &Plan,
    sandbox: &File,
    name: &'static str,
    limits: &LogPlan,
) -> Result<(Stream, OwnedFd), Failure> {
    let identity = plan.identity.as_ref();
    let log = Log::open(sandbox.as_fd(), name, limits.clone(), identity)
        .or_fail(|| format!("open '{}'", Path::new(&plan.sandbox).join(name).display()))?;
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).or_fail(|| "make a pipe".to_owned())?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).or_fail(|| "set up a pipe".to_owned())?;
    if let Some(identity) = identity {
        // So that the container may open /dev/stdout anew.
        let (uid, gid) = (identity.uid.into(), identity.gid.into());
        nix::unistd::fchown(&writer, Some(uid), Some(gid))
            .or_fail(|| "give a pipe to the user".to_owned())?;
    }
    Ok((Stream::new(reader, log), writer))
}
