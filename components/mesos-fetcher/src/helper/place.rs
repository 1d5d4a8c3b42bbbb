//! Files below the sandbox: no link is followed on the way, so nothing lands elsewhere.

use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{FileStat, Mode, SFlag, fchmod, fstatat, mkdirat},
    unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat},
};

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Opens the directory `path` below `root`, making what is missing.
pub(crate) fn make_dir(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    let mut current = open_dir(root, OsStr::new("."))?;
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                match mkdirat(&current, name, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                current = open_dir(&current, name)?;
            }
            Component::CurDir => {}
            _ => return Err(invalid("the path leads out of the sandbox")),
        }
    }
    Ok(current)
}

/// Opens the directory that holds `path`, and the name in it.
fn parent<'a>(root: &OwnedFd, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
    let name = path.file_name().ok_or_else(|| invalid("the path has no name"))?;
    Ok((make_dir(root, path.parent().unwrap_or(Path::new("")))?, name))
}

fn open_dir(at: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    openat(at, name, DIRECTORY, Mode::empty()).map_err(|error| match error {
        Errno::ENOTDIR | Errno::ELOOP => {
            let text = format!("'{}' is a link or no directory", name.to_string_lossy());
            io::Error::new(io::ErrorKind::NotADirectory, text)
        }
        error => error.into(),
    })
}

/// A new file in the place of whatever is there, unless that is a directory.
pub(crate) fn create(root: &OwnedFd, path: &Path, mode: u32) -> io::Result<File> {
    let (dir, name) = parent(root, path)?;
    clear(&dir, name)?;
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(&dir, name, flags, Mode::from_bits_truncate(mode & 0o777))?.into())
}

/// An existing regular file, for reading.
pub(crate) fn open_file(root: &OwnedFd, path: &Path) -> io::Result<File> {
    let (dir, name) = parent(root, path)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(&dir, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(invalid("not a regular file")) }
}

pub(crate) fn symlink(root: &OwnedFd, path: &Path, target: &Path) -> io::Result<()> {
    let (dir, name) = parent(root, path)?;
    clear(&dir, name)?;
    Ok(symlinkat(target, &dir, name)?)
}

/// `target` is below `root` too, and a regular file.
pub(crate) fn hard_link(root: &OwnedFd, path: &Path, target: &Path) -> io::Result<()> {
    let (target_dir, target_name) = parent(root, target)?;
    if kind(&stat(&target_dir, target_name)?) != SFlag::S_IFREG {
        return Err(invalid("the link's target is not a regular file"));
    }
    let (dir, name) = parent(root, path)?;
    if path == target {
        return Ok(());
    }
    clear(&dir, name)?;
    Ok(linkat(&target_dir, target_name, &dir, name, AtFlags::empty())?)
}

/// The sandbox's `stderr`; none: planted, or not writable.
pub(crate) fn open_log(root: &OwnedFd) -> Option<File> {
    let flags = OFlag::O_WRONLY
        | OFlag::O_CREAT
        | OFlag::O_APPEND
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_CLOEXEC;
    // Both, as a container's start makes them.
    for name in ["stdout", "stderr"] {
        let file = openat(root, name, flags, Mode::from_bits_truncate(0o644)).map(File::from);
        if name == "stderr" {
            return file.ok().filter(|file| file.metadata().is_ok_and(|meta| meta.is_file()));
        }
    }
    None
}

pub(crate) fn set_mode(file: impl AsFd, mode: u32) -> io::Result<()> {
    Ok(fchmod(file, Mode::from_bits_truncate(mode & 0o777))?)
}

/// Makes way for something new.
fn clear(dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) if stat(dir, name).is_ok_and(|stat| is_dir(&stat)) => {
            Err(io::Error::new(io::ErrorKind::IsADirectory, "a directory is in its place"))
        }
        Err(error) => Err(error.into()),
    }
}

fn stat(dir: &OwnedFd, name: &OsStr) -> io::Result<FileStat> {
    Ok(fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn is_dir(stat: &FileStat) -> bool {
    kind(stat) == SFlag::S_IFDIR
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
