//! A container's output, carried from its pipes into files of its sandbox that are rotated.
//!
//! The sandbox belongs to the task's user, who may put anything in the place of these files: they
//! are opened with that user's rights, never through a link, and only when regular.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    fcntl::{OFlag, openat, renameat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};

use crate::plan::{Identity, LogPlan};

/// One of the sandbox's two logs.
pub(super) struct Log {
    sandbox: OwnedFd,
    name: &'static str,
    plan: LogPlan,
    owner: Option<(u32, u32)>,
    /// None after a rotation that failed: what comes is dropped, the container goes on.
    file: Option<File>,
    size: u64,
}

/// A pipe's reading end and the log it feeds.
pub(super) struct Stream {
    pipe: File,
    log: Log,
}

/// What reading a pipe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    Some,
    Nothing,
    Closed,
}

// === impl Log ===

impl Log {
    pub(super) fn open(
        sandbox: BorrowedFd<'_>,
        name: &'static str,
        plan: LogPlan,
        identity: Option<&Identity>,
    ) -> io::Result<Self> {
        let mut log = Self {
            sandbox: sandbox.try_clone_to_owned()?,
            name,
            plan,
            owner: identity.map(|identity| (identity.uid, identity.gid)),
            file: None,
            size: 0,
        };
        log.reopen()?;
        Ok(log)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        let limit = self.plan.max_bytes;
        if limit > 0 && self.size > 0 && self.size + bytes.len() as u64 > limit {
            self.rotate();
        }
        let Some(file) = &mut self.file else {
            return;
        };
        // A full disk loses output; blocking the container on it would be worse.
        if file.write_all(bytes).is_ok() {
            self.size += bytes.len() as u64;
        }
    }

    fn rotate(&mut self) {
        self.file = None;
        let names: Vec<String> = std::iter::once(self.name.to_owned())
            .chain((1..=self.plan.keep).map(|number| format!("{}.{number}", self.name)))
            .collect();
        as_user(self.owner, || {
            for pair in names.windows(2).rev() {
                if let [from, to] = pair {
                    let _ = renameat(&self.sandbox, from.as_str(), &self.sandbox, to.as_str());
                }
            }
            if self.plan.keep == 0 {
                let _ = unlinkat(&self.sandbox, self.name, UnlinkatFlags::NoRemoveDir);
            }
        });
        let _ = self.reopen();
    }

    fn reopen(&mut self) -> io::Result<()> {
        let flags = OFlag::O_WRONLY
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o644);
        let file =
            File::from(as_user(self.owner, || openat(&self.sandbox, self.name, flags, mode))?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        self.size = metadata.len();
        self.file = Some(file);
        Ok(())
    }
}

// === impl Stream ===

impl Stream {
    /// `pipe` must not block.
    pub(super) fn new(pipe: OwnedFd, log: Log) -> Self {
        Self { pipe: pipe.into(), log }
    }

    /// Moves at most one buffer's worth.
    pub(super) fn pump(&mut self, buffer: &mut [u8]) -> Pumped {
        match self.pipe.read(buffer) {
            Ok(0) => Pumped::Closed,
            Ok(length) => {
                self.log.write(buffer.get(..length).unwrap_or_default());
                Pumped::Some
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Pumped::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Pumped::Nothing,
            Err(_) => Pumped::Closed,
        }
    }

    /// Moves what is there now. Bounded: a pipe holds no more, and whoever could fill it again
    /// without end is dead when this is called.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) {
        const MAX_ROUNDS: usize = 1024;
        for _ in 0..MAX_ROUNDS {
            if self.pump(buffer) != Pumped::Some {
                return;
            }
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// Does `action` on files with the rights of `owner`.
pub(super) fn as_user<T>(owner: Option<(u32, u32)>, action: impl FnOnce() -> T) -> T {
    let Some((uid, gid)) = owner else {
        return action();
    };
    // SAFETY: both only change what this thread may do with files; they touch no memory, and this
    // process has one thread.
    let own = unsafe { (libc::setfsgid(gid), libc::setfsuid(uid)) };
    let result = action();
    // SAFETY: as above; the ids are those that were returned.
    unsafe {
        libc::setfsuid(own.1.cast_unsigned());
        libc::setfsgid(own.0.cast_unsigned());
    }
    result
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::*;

    fn log(dir: &Path, max_bytes: u64, keep: u32) -> io::Result<Log> {
        let sandbox = File::open(dir).unwrap();
        Log::open(sandbox.as_fd(), "stdout", LogPlan { max_bytes, keep }, None)
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn rotates_and_keeps_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 4, 2).unwrap();
        for chunk in ["aaaa", "bbbb", "cccc", "dd", "d", "eeeeeeee"] {
            log.write(chunk.as_bytes());
        }
        assert_eq!(names(dir.path()), ["stdout", "stdout.1", "stdout.2"]);
        let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("stdout"), "eeeeeeee");
        assert_eq!(read("stdout.1"), "ddd");
        assert_eq!(read("stdout.2"), "cccc");
    }

    #[test]
    fn keeps_none_or_rotates_never() {
        let dir = tempfile::tempdir().unwrap();
        let mut none = log(dir.path(), 4, 0).unwrap();
        none.write(b"aaaa");
        none.write(b"b");
        assert_eq!(names(dir.path()), ["stdout"]);
        assert_eq!(fs::read_to_string(dir.path().join("stdout")).unwrap(), "b");
        let mut never = log(dir.path(), 0, 2).unwrap();
        never.write(&[b'x'; 100]);
        never.write(b"y");
        assert_eq!(names(dir.path()), ["stdout"]);
    }

    #[test]
    fn appends_to_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("stdout"), "fetched\n").unwrap();
        log(dir.path(), 100, 1).unwrap().write(b"ran\n");
        assert_eq!(fs::read_to_string(dir.path().join("stdout")).unwrap(), "fetched\nran\n");
    }

    #[test]
    fn a_planted_file_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "").unwrap();
        symlink(&victim, dir.path().join("stdout")).unwrap();
        assert!(log(dir.path(), 4, 1).is_err());
        fs::remove_file(dir.path().join("stdout")).unwrap();
        nix::unistd::mkfifo(&dir.path().join("stdout"), Mode::from_bits_truncate(0o600)).unwrap();
        assert!(log(dir.path(), 4, 1).is_err());
    }

    #[test]
    fn a_link_planted_meanwhile_stops_the_log_at_the_next_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "").unwrap();
        let mut log = log(dir.path(), 4, 0).unwrap();
        log.write(b"aaaa");
        fs::remove_file(dir.path().join("stdout")).unwrap();
        fs::create_dir(dir.path().join("stdout")).unwrap();
        log.write(b"bbbb");
        log.write(b"cccc");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "");
    }
}
