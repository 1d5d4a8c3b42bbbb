//! Paths below a directory that its owner cannot be trusted with: no link is followed on the way.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, openat},
    sys::stat::{Mode, mkdirat},
};

const DIRECTORY: OFlag =
    OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Opens the directory `path` below `root`, making what is missing.
pub(super) fn make_dir(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let mut current = open_dir(root, OsStr::new("."))?;
    for component in path.components() {
        let Component::Normal(name) = component else {
            if component == Component::CurDir {
                continue;
            }
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a path below the sandbox",
            ));
        };
        match mkdirat(&current, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        current = open_dir(current.as_fd(), name)?;
    }
    Ok(current)
}

/// Makes the directories above `path` and returns the last one with the name in it.
pub(super) fn make_parent<'a>(
    root: BorrowedFd<'_>,
    path: &'a Path,
) -> io::Result<(OwnedFd, &'a OsStr)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a name"))?;
    Ok((make_dir(root, path.parent().unwrap_or(Path::new("")))?, name))
}

fn open_dir(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    openat(at, name, DIRECTORY, Mode::empty()).map_err(|error| match error {
        // What O_NOFOLLOW with O_DIRECTORY says of a link is misleading.
        Errno::ENOTDIR | Errno::ELOOP => io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("'{}' is not a directory", name.to_string_lossy()),
        ),
        error => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn makes_what_is_missing_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let root = fs::File::open(dir.path()).unwrap();
        make_dir(root.as_fd(), Path::new("a/./b")).unwrap();
        assert!(dir.path().join("a/b").is_dir());
        symlink(outside.path(), dir.path().join("link")).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for path in ["link/x", "link", "file/x", "../x", "/tmp", "a/../../x"] {
            assert!(make_dir(root.as_fd(), Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_parent_is_made_without_its_last_part() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::File::open(dir.path()).unwrap();
        let (_, name) = make_parent(root.as_fd(), Path::new("a/b/c")).unwrap();
        assert_eq!(name, "c");
        assert!(dir.path().join("a/b").is_dir() && !dir.path().join("a/b/c").exists());
        assert_eq!(make_parent(root.as_fd(), Path::new("c")).unwrap().1, "c");
    }
}
