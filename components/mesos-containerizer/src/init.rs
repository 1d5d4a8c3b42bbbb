//! The supervisor's side: a process of its own for each container.
//!
//! One thread, one `poll`, few pages: it must start in about a millisecond and cost little while
//! its container runs. It knows no runtime, no logging and no arguments but the container's
//! record; what it has to say goes to the agent through its standard output (once, when the
//! container runs or cannot) and into that record.

mod applet;
mod beneath;
mod child;
mod logs;
mod memory;
mod namespaces;
mod nursery;
mod supervisor;
mod volumes;

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    os::fd::AsFd,
    process::ExitCode,
};

pub use applet::Applet;

use crate::record::{Process, Record};

/// What makes the supervisor only say whether namespaces can be made here.
pub(crate) const PROBE: &str = "--probe";
/// What makes it one that forks a supervisor whenever it is asked for one.
pub(crate) const NURSERY: &str = "--nursery";

/// What went wrong, in words for the agent's log and the task's status.
#[derive(Debug, thiserror::Error)]
#[error("Failed to {what}: {source}")]
pub(crate) struct Failure {
    what: String,
    source: io::Error,
}

/// What the product's binary runs as `containerizer-init`; `args` are those after that word: the
/// container's record. A container whose command is this binary with one of the `applets` is run
/// without executing the binary again.
pub fn main(mut args: impl Iterator<Item = OsString>, applets: &'static [Applet]) -> ExitCode {
    let Some(argument) = args.next() else {
        return ExitCode::from(64);
    };
    match argument.to_str() {
        Some(PROBE) => match namespaces::probe() {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => report_failure(&failure),
        },
        Some(NURSERY) => match nursery::serve() {
            nursery::Turn::Supervisor(record) => supervise(&record, applets),
            nursery::Turn::Done(code) => code,
        },
        _ => supervise(&Record::at(argument), applets),
    }
}

fn supervise(record: &Record, applets: &'static [Applet]) -> ExitCode {
    match start(record, applets) {
        Ok(supervisor) => run(supervisor),
        Err(failure) => report_failure(&failure),
    }
}

fn report_failure(failure: &Failure) -> ExitCode {
    report(&format!("error {failure}\n"));
    ExitCode::FAILURE
}

fn start(record: &Record, applets: &'static [Applet]) -> Result<supervisor::Supervisor, Failure> {
    detach().or_fail(|| "detach from the agent".to_owned())?;
    let own = Process::of(std::process::id().cast_signed())
        .or_fail(|| "read the supervisor's own start time".to_owned())?;
    let (plan, journal) =
        record.claim(own).or_fail(|| "claim the container's record".to_owned())?;
    supervisor::Supervisor::start(plan, journal, applets)
}

fn run(supervisor: supervisor::Supervisor) -> ExitCode {
    report(&format!("ok {}\n", supervisor.main_pid()));
    // Nobody reads any more: the agent must see the end of the pipe.
    if let Ok(null) = fs::File::options().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(null.as_fd());
    }
    match supervisor.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// To whom it may concern: an agent that died meanwhile reads nothing, and finds the files.
fn report(text: &str) {
    let mut stdout = io::stdout();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Nothing of the agent's is to be held, and nothing sent to the agent's group or terminal is to
/// arrive here.
fn detach() -> io::Result<()> {
    child::close_from(3)?;
    // Fails only for the leader of a group, which is detached already.
    let _ = nix::unistd::setsid();
    nix::sys::prctl::set_child_subreaper(true)?;
    let _ = nix::sys::prctl::set_name(c"dais-container");
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    nix::unistd::chdir("/")?;
    Ok(())
}

/// Adds to an error what was being done.
trait OrFail<T> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|source| Failure { what: what(), source: source.into() })
    }
}
