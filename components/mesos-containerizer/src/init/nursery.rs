//! The nursery: becomes a supervisor for each request, by forking.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    process::ExitCode,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{SigSet, SigmaskHow, Signal, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::{ForkResult, dup2_stdin, dup2_stdout, fork},
};

use super::child;
use crate::{
    nursery::{MAX_REQUEST_BYTES, encode, receive, send},
    pidfd,
    record::{Process, Record},
};

/// What a request leaves this process as.
pub(super) enum Turn {
    /// The supervisor for this record, its report going to the standard output.
    Supervisor(Record),
    /// The nursery that nobody needs any more.
    Done(ExitCode),
}

/// Requests come in by the standard input. Returns once in the nursery, and once in each supervisor.
pub(super) fn serve() -> Turn {
    match prepare() {
        Ok(signals) => loop {
            match turn(&signals) {
                Ok(None) => {}
                Ok(Some(turn)) => return turn,
                Err(_) => return Turn::Done(ExitCode::FAILURE),
            }
        },
        Err(_) => Turn::Done(ExitCode::FAILURE),
    }
}

fn prepare() -> io::Result<SignalFd> {
    child::close_from(3)?;
    // What is typed at the agent's terminal is not for this process.
    let _ = nix::unistd::setsid();
    let _ = prctl::set_name(c"dais-nursery");
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}

fn turn(signals: &SignalFd) -> io::Result<Option<Turn>> {
    let stdin = io::stdin();
    let mut fds = [
        PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [requests, ended] = fds.map(|fd| fd.any().unwrap_or(true));
    if ended {
        while let Ok(Some(_)) = signals.read_signal() {}
        while let Ok(Some(_)) = child::wait_any(libc::WNOHANG) {}
    }
    if requests { answer() } else { Ok(None) }
}

fn answer() -> io::Result<Option<Turn>> {
    let stdin = io::stdin();
    let mut request = [0; MAX_REQUEST_BYTES];
    let (length, report) = receive(stdin.as_raw_fd(), &mut request)?;
    let (Some(path), Some(report)) =
        (request.get(..length).filter(|path| !path.is_empty()), report)
    else {
        return Ok(Some(Turn::Done(ExitCode::SUCCESS)));
    };
    // SAFETY: this process has one thread, so the child may do anything.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            become_supervisor(report)?;
            Ok(Some(Turn::Supervisor(Record::at(OsStr::from_bytes(path)))))
        }
        Ok(ForkResult::Parent { child }) => {
            drop(report);
            // It cannot have been reaped yet, so the number is its own.
            let process = Process::of(child.as_raw())?;
            let handle = pidfd::open(process.pid).ok();
            let reply = encode(process.pid, process.start_time);
            send(stdin.as_raw_fd(), &reply, handle.as_ref().map(AsRawFd::as_raw_fd))?;
            Ok(None)
        }
        Err(error) => {
            send(stdin.as_raw_fd(), &encode(-(error as i32), 0), None)?;
            Ok(None)
        }
    }
}

fn become_supervisor(report: OwnedFd) -> io::Result<()> {
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(report)?;
    Ok(())
}
