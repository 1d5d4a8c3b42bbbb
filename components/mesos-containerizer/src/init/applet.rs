//! Programs that the supervisor's own binary holds: run by the forked process itself.
//!
//! Executing a binary of this size costs more than the rest of a small container's start: the
//! linker's relocations and the page faults after them. A fork of the supervisor has all of that
//! behind it, and has read nothing but this container's own record.

use std::{
    env,
    ffi::{OsStr, OsString},
    panic::{AssertUnwindSafe, catch_unwind},
};

use nix::sys::{
    prctl,
    signal::{SigHandler, Signal, signal},
};

use super::child;
use crate::plan::Plan;

/// A program within this binary, by its first argument.
#[derive(Clone, Copy, Debug)]
pub struct Applet {
    /// The first and only argument that means it.
    pub word: &'static str,
    /// Runs it; the environment is the process's. The result is the exit code.
    pub run: fn() -> u8,
}

/// The applet that a container's command names, if it names this binary and nothing more.
pub(super) fn named_by(plan: &Plan, applets: &'static [Applet]) -> Option<Applet> {
    let [program, word] = plan.argv.as_slice() else {
        return None;
    };
    let applet = applets.iter().find(|applet| applet.word == word)?;
    // A binary that was replaced meanwhile has another name here, and is executed.
    let own = env::current_exe().ok()?;
    (own.as_os_str() == OsStr::new(program)).then_some(*applet)
}

/// Becomes the program, as if it had been executed; what was open is closed. Returns only if that
/// cannot be done: executing the program closes it too.
pub(super) fn become_applet(applet: Applet, variables: &[(String, String)]) {
    // The other side of the pipe for failures takes its end for success.
    if child::close_from(3).is_err() {
        return;
    }
    let _ = prctl::set_name(c"dais-executor");
    // As an execution does after a change of user: without it `/proc/self` is not ours to read.
    let _ = prctl::set_dumpable(true);
    // What every Rust program starts with.
    // SAFETY: ignoring runs no code of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    replace_environment(variables);
    // No value of the frames above may be dropped: their descriptors are closed.
    let code = catch_unwind(AssertUnwindSafe(applet.run)).unwrap_or(101);
    std::process::exit(code.into())
}

#[allow(clippy::disallowed_methods)] // there is no other thread that could race
fn replace_environment(variables: &[(String, String)]) {
    let old: Vec<OsString> = env::vars_os().map(|(name, _)| name).collect();
    for name in old {
        // SAFETY: this process has one thread.
        unsafe { env::remove_var(name) };
    }
    for (name, value) in variables {
        if !name.is_empty() && !name.contains('=') {
            // SAFETY: this process has one thread; a NUL was refused when the container was prepared.
            unsafe { env::set_var(name, value) };
        }
    }
}
