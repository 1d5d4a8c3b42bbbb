//! The words of the original for how a command ended.

use std::fmt;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By a signal.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether a core file was written.
        core: bool,
    },
}

impl Exit {
    /// Whether it counts as success.
    pub fn success(self) -> bool {
        self == Self::Status(0)
    }

    /// Reads back what [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(status) = text.strip_prefix("exited with status ") {
            return status.parse().ok().map(Self::Status);
        }
        let name = text.strip_prefix("terminated with signal ")?;
        let (name, core) = match name.strip_suffix(" (core dumped)") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let known = |number: &i32| signal_name(*number) == Some(name);
        let unknown = || name.strip_prefix("Unknown signal ")?.parse().ok();
        let number = (1..=31).find(known).or_else(unknown)?;
        Some(Self::Signal { number, core })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Status(status) => write!(out, "exited with status {status}"),
            Self::Signal { number, core } => {
                match signal_name(number) {
                    Some(name) => write!(out, "terminated with signal {name}")?,
                    None => write!(out, "terminated with signal Unknown signal {number}")?,
                }
                out.write_str(if core { " (core dumped)" } else { "" })
            }
        }
    }
}

/// The C library's description of a signal, which is what users see in task messages.
fn signal_name(number: i32) -> Option<&'static str> {
    const NAMES: [&str; 31] = [
        "Hangup",
        "Interrupt",
        "Quit",
        "Illegal instruction",
        "Trace/breakpoint trap",
        "Aborted",
        "Bus error",
        "Floating point exception",
        "Killed",
        "User defined signal 1",
        "Segmentation fault",
        "User defined signal 2",
        "Broken pipe",
        "Alarm clock",
        "Terminated",
        "Stack fault",
        "Child exited",
        "Continued",
        "Stopped (signal)",
        "Stopped",
        "Stopped (tty input)",
        "Stopped (tty output)",
        "Urgent I/O condition",
        "CPU time limit exceeded",
        "File size limit exceeded",
        "Virtual timer expired",
        "Profiling timer expired",
        "Window changed",
        "I/O possible",
        "Power failure",
        "Bad system call",
    ];
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    NAMES.get(index).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exit: Exit, text: &str) {
        assert_eq!(exit.to_string(), text);
        assert_eq!(Exit::parse(text), Some(exit));
    }

    #[test]
    fn other_texts_are_no_ends() {
        for text in ["", "exited with status", "exited with status x", "terminated with signal X"] {
            assert_eq!(Exit::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ends_read_as_the_original_prints_them() {
        check(Exit::Status(3), "exited with status 3");
        check(Exit::Signal { number: 15, core: false }, "terminated with signal Terminated");
        check(Exit::Signal { number: 9, core: false }, "terminated with signal Killed");
        check(
            Exit::Signal { number: 11, core: true },
            "terminated with signal Segmentation fault (core dumped)",
        );
        check(Exit::Signal { number: 99, core: false }, "terminated with signal Unknown signal 99");
    }
}
