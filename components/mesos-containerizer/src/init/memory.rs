//! Learns that a container exceeded its memory limit: from an event while it runs, and from the
//! group's counters when it has ended.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use mesos_messages::time::format_size;
use nix::poll::PollFlags;

use crate::plan::{MemoryExceeded, MemoryGroup};

/// The event that tells of it.
pub(super) enum MemoryWatch {
    /// An eventfd the kernel counts up at each exhaustion.
    V1 { group: PathBuf, event: File },
    /// `memory.events`, which polls as exceptional when it changes.
    V2 { group: PathBuf, events: File },
    /// No event to be had: only the counters, at the end.
    CountersOnly(MemoryGroup),
}

impl MemoryWatch {
    pub(super) fn new(group: MemoryGroup) -> Self {
        let watch = match &group {
            MemoryGroup::V1(path) => {
                listen(path).map(|event| Self::V1 { group: path.clone(), event })
            }
            MemoryGroup::V2(path) => File::open(path.join("memory.events"))
                .and_then(|mut events| {
                    // Only changes after a first reading are told.
                    events.read_to_string(&mut String::new())?;
                    Ok(events)
                })
                .map(|events| Self::V2 { group: path.clone(), events }),
        };
        watch.unwrap_or(Self::CountersOnly(group))
    }

    pub(super) fn poll(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match self {
            Self::V1 { event, .. } => Some((event.as_fd(), PollFlags::POLLIN)),
            Self::V2 { events, .. } => Some((events.as_fd(), PollFlags::POLLPRI)),
            Self::CountersOnly(_) => None,
        }
    }

    /// After `poll` told of something: whether it is what is looked for.
    pub(super) fn on_event(&mut self) -> Option<MemoryExceeded> {
        match self {
            Self::V1 { event, group } => {
                let _ = event.read(&mut [0; 8]);
                Some(describe_v1(group))
            }
            Self::V2 { events, group } => {
                let mut text = String::new();
                let _ = events.rewind();
                let _ = events.read_to_string(&mut text);
                (counter(&text, "oom_kill")? > 0).then(|| describe_v2(group))
            }
            Self::CountersOnly(_) => None,
        }
    }

    /// At the end: by the counters, since the process's death may have been seen before the event.
    pub(super) fn at_end(&self) -> Option<MemoryExceeded> {
        match self {
            Self::V1 { group, .. } | Self::CountersOnly(MemoryGroup::V1(group)) => {
                let control = fs::read_to_string(group.join("memory.oom_control")).ok()?;
                (counter(&control, "oom_kill")? > 0).then(|| describe_v1(group))
            }
            Self::V2 { group, .. } | Self::CountersOnly(MemoryGroup::V2(group)) => {
                let events = fs::read_to_string(group.join("memory.events")).ok()?;
                (counter(&events, "oom_kill")? > 0).then(|| describe_v2(group))
            }
        }
    }
}

fn listen(group: &Path) -> io::Result<File> {
    // SAFETY: takes two integers and touches no memory of ours.
    let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if event < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new descriptor nobody else owns.
    let event = File::from(unsafe { OwnedFd::from_raw_fd(event) });
    let control = File::open(group.join("memory.oom_control"))?;
    File::options()
        .write(true)
        .open(group.join("cgroup.event_control"))?
        .write_all(format!("{} {}", event.as_raw_fd(), control.as_raw_fd()).as_bytes())?;
    Ok(event)
}

fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

fn describe_v1(group: &Path) -> MemoryExceeded {
    describe(group, "memory.limit_in_bytes", "memory.max_usage_in_bytes")
}

fn describe_v2(group: &Path) -> MemoryExceeded {
    describe(group, "memory.max", "memory.peak")
}

/// The original's words.
fn describe(group: &Path, limit: &str, max_usage: &str) -> MemoryExceeded {
    let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let mut message = "Memory limit exceeded: ".to_owned();
    let limit = number(limit);
    if let Some(limit) = limit {
        message += &format!("Requested: {} ", format_size(limit));
    }
    // Kernels before 5.19 have no `memory.peak`; then the limit is what was used.
    let used = number(max_usage).or(limit);
    if let Some(used) = used {
        message += &format!("Maximum Used: {}\n", format_size(used));
    }
    if let Ok(statistics) = fs::read_to_string(group.join("memory.stat")) {
        message += &format!("\nMEMORY STATISTICS: \n{statistics}\n");
    }
    MemoryExceeded { max_usage_bytes: used.unwrap_or(0), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        assert_eq!(counter(text, "oom_kill"), Some(2));
        assert_eq!(counter(text, "oom"), None);
        assert_eq!(counter("", "oom_kill"), None);
    }

    #[test]
    fn what_was_exceeded_is_told_in_the_originals_words() {
        let group = tempfile::tempdir().unwrap();
        fs::write(group.path().join("memory.limit_in_bytes"), "33554432\n").unwrap();
        fs::write(group.path().join("memory.max_usage_in_bytes"), "33554432\n").unwrap();
        fs::write(group.path().join("memory.stat"), "cache 0\n").unwrap();
        fs::write(group.path().join("memory.oom_control"), "oom_kill 1\n").unwrap();
        let watch = MemoryWatch::CountersOnly(MemoryGroup::V1(group.path().to_owned()));
        let exceeded = watch.at_end().unwrap();
        assert_eq!(exceeded.max_usage_bytes, 32 << 20);
        assert_eq!(
            exceeded.message,
            "Memory limit exceeded: Requested: 32MB Maximum Used: 32MB\n\nMEMORY STATISTICS: \ncache 0\n\n"
        );
    }
}
