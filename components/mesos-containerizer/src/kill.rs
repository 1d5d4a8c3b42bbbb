//! Kills every descendant of a process, however they fork.
//!
//! Killing one by one loses the race against a process that forks: each round stops what it finds
//! before anything is killed, so that the next round finds fewer that can fork, until a round
//! finds none; then all are killed. A process is signalled only when it still is the one that was
//! seen.

use std::{
    collections::HashSet,
    io,
    time::{Duration, Instant},
};

use crate::{
    pidfd,
    procfs::{self, Stat},
};

/// What is left of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Processes that could be found and not killed: those of another user, or stuck in the kernel.
    pub(crate) survivors: usize,
}

/// Stopping is retried at most so often before killing starts anyway.
const STOP_ROUNDS: usize = 64;

/// Kills all processes that `find` returns, until `done` says so or `timeout` is over. `done` is
/// asked after each round, with those that lived in it: a list alone can miss one that is being
/// forked, so whoever can wait for children should trust that instead.
pub(crate) fn all(
    find: impl Fn() -> io::Result<Vec<Stat>>,
    mut done: impl FnMut(&[Stat]) -> bool,
    timeout: Duration,
) -> Outcome {
    let deadline = Instant::now() + timeout;
    let mut pause = Duration::from_micros(200);
    loop {
        stop(&find);
        let living = living(&find);
        for process in &living {
            let _ = signal(process, libc::SIGKILL);
        }
        if done(&living) {
            return Outcome::default();
        }
        if Instant::now() >= deadline {
            return Outcome { survivors: living.len() };
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Returns once a round found nothing that was not stopped before.
fn stop(find: &impl Fn() -> io::Result<Vec<Stat>>) {
    let mut seen = HashSet::new();
    for _ in 0..STOP_ROUNDS {
        let mut news = false;
        for process in living(find) {
            if seen.insert((process.pid, process.start_time)) {
                news = true;
                let _ = signal(&process, libc::SIGSTOP);
            }
        }
        if !news {
            return;
        }
    }
}

fn living(find: &impl Fn() -> io::Result<Vec<Stat>>) -> Vec<Stat> {
    find().unwrap_or_default().into_iter().filter(|process| !process.is_dead()).collect()
}

/// Signals `process` if its number still belongs to it.
pub(crate) fn signal(process: &Stat, signal: i32) -> io::Result<()> {
    match pidfd::open(process.pid) {
        Ok(handle) => {
            if procfs::stat(process.pid)?.start_time != process.start_time {
                return Ok(());
            }
            pidfd::send_signal(&handle, signal)
        }
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
            let signal = nix::sys::signal::Signal::try_from(signal)?;
            Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid), signal)?)
        }
        Err(error) => Err(error),
    }
}
