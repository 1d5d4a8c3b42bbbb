//! The files a daemon shows: virtual paths mapped to real ones.
//!
//! Nothing outside an attached root can be reached: a path is resolved through
//! every symbolic link first, must then still lie below its root, and what was
//! opened is compared with what was resolved.

mod endpoints;
mod names;

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::permissions::Caller;

pub use endpoints::endpoints;

/// Most bytes one read answers.
pub const MAX_READ: usize = 16 * 4096;
/// Most entries one browse answers.
const MAX_ENTRIES: usize = 65_536;

/// Whether somebody may see what is attached.
pub type Guard = Arc<dyn Fn(&Caller) -> bool + Send + Sync>;

/// Why a file cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The request makes no sense for this path.
    #[error("{0}")]
    Invalid(String),
    /// Whoever asks may not see it.
    #[error("forbidden")]
    Forbidden,
    /// Nothing is there, or it lies outside what is shown.
    #[error("not found")]
    NotFound,
    /// The system failed.
    #[error("{0}")]
    Io(String),
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// Its virtual path.
    pub path: String,
    /// Hard links.
    pub nlink: u64,
    /// Bytes.
    pub size: u64,
    /// Seconds since the Unix epoch.
    pub mtime: i64,
    /// Type and permission bits.
    pub mode: u32,
    /// Name of the owner.
    pub uid: String,
    /// Name of the group.
    pub gid: String,
}

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePiece {
    /// Bytes in the whole file.
    pub size: u64,
    /// The bytes asked for, at most [`MAX_READ`].
    pub data: Vec<u8>,
}

#[derive(Clone)]
struct Attached {
    real: PathBuf,
    guard: Option<Guard>,
}

/// The registry; clones share it.
#[derive(Clone, Default)]
pub struct VirtualFiles(Arc<RwLock<BTreeMap<String, Attached>>>);

impl VirtualFiles {
    /// Shows `real` (a file or a directory) at `path` to everybody.
    pub fn attach(&self, path: &str, real: impl Into<PathBuf>) {
        self.put(path, real.into(), None);
    }

    /// Shows `real` at `path` to those `guard` lets pass.
    pub fn attach_guarded(&self, path: &str, real: impl Into<PathBuf>, guard: Guard) {
        self.put(path, real.into(), Some(guard));
    }

    fn put(&self, path: &str, real: PathBuf, guard: Option<Guard>) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(normal(path).to_owned(), Attached { real, guard });
    }

    /// Shows nothing at `path` any more.
    pub fn detach(&self, path: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(normal(path));
    }

    /// Every virtual path with its real one.
    pub fn attached(&self) -> Vec<(String, PathBuf)> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(path, attached)| (path.clone(), attached.real.clone()))
            .collect()
    }

    /// The entries of a directory, by path; none for a file.
    pub async fn browse(&self, path: &str, caller: &Caller) -> Result<Vec<FileInfo>, FilesError> {
        let target = self.target(path, caller)?;
        blocking(move || target.browse()).await
    }

    /// At most `length` bytes from `offset`; none past the end. Without an
    /// offset only the size is told.
    pub async fn read(
        &self,
        path: &str,
        offset: Option<u64>,
        length: Option<u64>,
        caller: &Caller,
    ) -> Result<FilePiece, FilesError> {
        let target = self.target(path, caller)?;
        blocking(move || target.read(offset, length)).await
    }

    /// A file opened for download, with its size.
    pub async fn open(&self, path: &str, caller: &Caller) -> Result<(File, u64), FilesError> {
        let target = self.target(path, caller)?;
        blocking(move || {
            let (file, metadata) = target.open("Cannot download a directory.")?;
            Ok((file, metadata.len()))
        })
        .await
    }

    /// The longest attached path that `path` lies under.
    fn target(&self, path: &str, caller: &Caller) -> Result<Target, FilesError> {
        let path = normal(path);
        let attached = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut prefix = path;
        loop {
            if let Some(found) = attached.get(prefix) {
                if found.guard.as_ref().is_some_and(|guard| !guard(caller)) {
                    return Err(FilesError::Forbidden);
                }
                let rest = path.get(prefix.len()..).unwrap_or("");
                return Ok(Target {
                    virtual_path: path.to_owned(),
                    root: found.real.clone(),
                    rest: rest.trim_start_matches('/').to_owned(),
                });
            }
            match prefix.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => prefix = parent,
                _ => return Err(FilesError::NotFound),
            }
        }
    }
}

fn normal(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { path } else { trimmed }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(FilesError::Io(error.to_string())))
}

/// A path below an attached root.
struct Target {
    virtual_path: String,
    root: PathBuf,
    rest: String,
}

impl Target {
    fn resolve(&self) -> Result<(PathBuf, PathBuf), FilesError> {
        let root = canonical(&self.root)?;
        if self.rest.is_empty() {
            return Ok((root.clone(), root));
        }
        let real = canonical(&root.join(&self.rest))?;
        if real.starts_with(&root) { Ok((root, real)) } else { Err(FilesError::NotFound) }
    }

    fn browse(&self) -> Result<Vec<FileInfo>, FilesError> {
        let (root, real) = self.resolve()?;
        if !metadata(&real)?.is_dir() {
            return Ok(Vec::new());
        }
        let mut names = names::Names::default();
        let mut entries = Vec::new();
        for entry in fs::read_dir(&real).map_err(io_error)?.take(MAX_ENTRIES) {
            let entry = entry.map_err(io_error)?;
            // An entry may vanish while we look; then it is not there.
            let Some(found) = describe(&entry.path(), &root) else {
                continue;
            };
            let name = entry.file_name();
            entries.push(FileInfo {
                path: format!(
                    "{}/{}",
                    self.virtual_path.trim_end_matches('/'),
                    name.to_string_lossy()
                ),
                nlink: found.nlink(),
                size: found.size(),
                mtime: found.mtime(),
                mode: found.mode(),
                uid: names.user(found.uid()),
                gid: names.group(found.gid()),
            });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn read(&self, offset: Option<u64>, length: Option<u64>) -> Result<FilePiece, FilesError> {
        let (mut file, metadata) = self.open("Cannot read a directory.")?;
        let size = metadata.len();
        let mut data = Vec::new();
        if let Some(offset) = offset.filter(|offset| *offset < size) {
            let wanted = length.unwrap_or(u64::MAX).min(MAX_READ as u64).min(size - offset);
            file.seek(SeekFrom::Start(offset)).map_err(io_error)?;
            file.take(wanted).read_to_end(&mut data).map_err(io_error)?;
        }
        Ok(FilePiece { size, data })
    }

    /// Opens a regular file; anything that could block or lead elsewhere is refused.
    fn open(&self, directory: &str) -> Result<(File, Metadata), FilesError> {
        let (_, real) = self.resolve()?;
        let before = metadata(&real)?;
        if before.is_dir() {
            return Err(FilesError::Invalid(directory.to_owned()));
        }
        if !before.is_file() {
            return Err(FilesError::Invalid("Not a regular file.".to_owned()));
        }
        let flags = nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOFOLLOW;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(&real)
            .map_err(io_error)?;
        // A directory on the way may have become a link since it was resolved.
        let opened = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if opened.is_ok_and(|opened| opened != real) {
            return Err(FilesError::NotFound);
        }
        let metadata = file.metadata().map_err(io_error)?;
        if !metadata.is_file() {
            return Err(FilesError::NotFound);
        }
        Ok((file, metadata))
    }
}

/// What an entry is; a link is followed only where it stays inside.
fn describe(path: &Path, root: &Path) -> Option<Metadata> {
    let own = fs::symlink_metadata(path).ok()?;
    if !own.is_symlink() {
        return Some(own);
    }
    match fs::canonicalize(path) {
        Ok(real) if real.starts_with(root) => fs::metadata(real).ok(),
        _ => Some(own),
    }
}

fn canonical(path: &Path) -> Result<PathBuf, FilesError> {
    fs::canonicalize(path).map_err(io_error)
}

fn metadata(path: &Path) -> Result<Metadata, FilesError> {
    fs::metadata(path).map_err(io_error)
}

fn io_error(error: std::io::Error) -> FilesError {
    if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) {
        return FilesError::NotFound;
    }
    match error.kind() {
        std::io::ErrorKind::NotFound
        | std::io::ErrorKind::NotADirectory
        | std::io::ErrorKind::InvalidInput
        | std::io::ErrorKind::InvalidFilename => FilesError::NotFound,
        _ => FilesError::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
