//! Unpacks archives. Their content is foreign: what would leave the sandbox, or is more than the
//! limits allow, ends the extraction with an error that names the entry.
//!
//! A name with `..` or from the root on is refused, not shortened. So is a link that leads out, a
//! device, and an entry whose path goes through a link. Owners are not restored, nor are the bits
//! that would let others run as the owner.

mod tarballs;
mod zips;

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

use super::place;
use crate::{job::Limits, uri::Format};

/// As long as the kernel takes paths.
const MAX_PATH_BYTES: usize = 4096;
/// What decompressing may need: more than xz does at its best level.
const MAX_XZ_MEMORY: u64 = 256 << 20;

/// Why an archive was not, or not fully, unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtractError {
    #[error("entry '{entry}' {reason}")]
    Refused { entry: String, reason: &'static str },
    #[error("entry '{entry}': {source}")]
    Entry { entry: String, source: io::Error },
    #[error("it holds more than {0} entries")]
    TooMany(u64),
    #[error("it holds more than {0} bytes")]
    TooLarge(u64),
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// Unpacks into one sandbox.
pub(crate) struct Extractor<'a> {
    sandbox: &'a OwnedFd,
    limits: Limits,
    entries: u64,
    bytes: u64,
    /// Directories get their modes at the end, or nothing could be put into some.
    modes: Vec<(PathBuf, u32)>,
}

impl<'a> Extractor<'a> {
    pub(crate) fn new(sandbox: &'a OwnedFd, limits: Limits) -> Self {
        Self { sandbox, limits, entries: 0, bytes: 0, modes: Vec::new() }
    }

    /// `name`'s suffix says what the archive is. Returns the number of entries.
    pub(crate) fn extract(&mut self, name: &Path, archive: &File) -> Result<u64, ExtractError> {
        match Format::of(name) {
            Some(Format::Tar) => tarballs::extract(self, archive)?,
            Some(Format::TarGz) => {
                tarballs::extract(self, flate2::read::MultiGzDecoder::new(archive))?
            }
            Some(Format::TarBz2) => {
                tarballs::extract(self, bzip2::read::MultiBzDecoder::new(archive))?
            }
            Some(Format::TarXz) => tarballs::extract(self, xz(archive)?)?,
            Some(Format::Zip) => zips::extract(self, archive)?,
            Some(Format::Gz) => self.gunzip(name, archive)?,
            None => return Err(ExtractError::Damaged("its suffix is unknown".to_owned())),
        }
        for (path, mode) in std::mem::take(&mut self.modes).into_iter().rev() {
            // What an entry after it replaced needs no mode.
            if let Ok(dir) = place::make_dir(self.sandbox, &path) {
                let _ = place::set_mode(dir, mode);
            }
        }
        Ok(self.entries)
    }

    /// One file beside the archive, without its suffix.
    fn gunzip(&mut self, name: &Path, archive: &File) -> Result<(), ExtractError> {
        let stem = name.file_stem().map(PathBuf::from).unwrap_or_default();
        self.count(&stem)?;
        self.file(&stem, 0o644, flate2::read::MultiGzDecoder::new(archive))
    }

    fn count(&mut self, path: &Path) -> Result<(), ExtractError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(ExtractError::TooMany(self.limits.entries));
        }
        if path.as_os_str().len() > MAX_PATH_BYTES {
            return Err(refused(path, "has too long a name"));
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, mode: u32, content: impl Read) -> Result<(), ExtractError> {
        let failed = |source| ExtractError::Entry { entry: path.display().to_string(), source };
        let mut file = place::create(self.sandbox, path, 0o600).map_err(failed)?;
        self.copy(content, &mut file).map_err(|error| error.unwrap_or_else(failed))?;
        place::set_mode(&file, mode).map_err(failed)
    }

    fn copy(&mut self, mut from: impl Read, to: &mut File) -> Result<(), CopyError> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CopyError::Io(error)),
            };
            self.bytes += length as u64;
            if self.bytes > self.limits.bytes {
                return Err(CopyError::TooLarge(self.limits.bytes));
            }
            to.write_all(buffer.get(..length).unwrap_or_default()).map_err(CopyError::Io)?;
        }
    }

    fn directory(&mut self, path: &Path, mode: u32) -> Result<(), ExtractError> {
        place::make_dir(self.sandbox, path)
            .map_err(|source| ExtractError::Entry { entry: path.display().to_string(), source })?;
        self.modes.push((path.to_owned(), mode));
        Ok(())
    }

    fn symlink(&mut self, path: &Path, target: &Path) -> Result<(), ExtractError> {
        check_link(path, target)?;
        place::symlink(self.sandbox, path, target)
            .map_err(|source| ExtractError::Entry { entry: path.display().to_string(), source })
    }

    fn hard_link(&mut self, path: &Path, target: &[u8]) -> Result<(), ExtractError> {
        let target =
            check_name(target)?.ok_or_else(|| refused(path, "is a hard link to a directory"))?;
        place::hard_link(self.sandbox, path, &target)
            .map_err(|source| ExtractError::Entry { entry: path.display().to_string(), source })
    }
}

/// What stops copying an entry.
enum CopyError {
    Io(io::Error),
    TooLarge(u64),
}

impl CopyError {
    fn unwrap_or_else(self, entry: impl FnOnce(io::Error) -> ExtractError) -> ExtractError {
        match self {
            Self::Io(error) => entry(error),
            Self::TooLarge(limit) => ExtractError::TooLarge(limit),
        }
    }
}

fn xz(archive: &File) -> Result<impl Read, ExtractError> {
    let stream =
        liblzma::stream::Stream::new_stream_decoder(MAX_XZ_MEMORY, liblzma::stream::CONCATENATED)
            .map_err(|error| ExtractError::Damaged(error.to_string()))?;
    Ok(liblzma::read::XzDecoder::new_stream(archive, stream))
}

fn refused(entry: &Path, reason: &'static str) -> ExtractError {
    ExtractError::Refused { entry: entry.display().to_string(), reason }
}

/// The path below the sandbox that an entry's name means; none: the sandbox itself.
fn check_name(name: &[u8]) -> Result<Option<PathBuf>, ExtractError> {
    let path = Path::new(OsStr::from_bytes(name));
    if name.contains(&0) {
        return Err(refused(path, "has a zero byte in its name"));
    }
    let mut below = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => below.push(name),
            Component::CurDir => {}
            Component::ParentDir => return Err(refused(path, "leads out of the sandbox by '..'")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(refused(path, "has an absolute path"));
            }
        }
    }
    Ok(Some(below).filter(|path| !path.as_os_str().is_empty()))
}

/// A link's target may start with as many `..` as its path has directories. No `..` may follow a
/// name: the name may be that of another link, and then `..` is not what it seems.
fn check_link(path: &Path, target: &Path) -> Result<(), ExtractError> {
    let depth = path.components().count().saturating_sub(1);
    let (mut up, mut down) = (0, false);
    for component in target.components() {
        match component {
            Component::Normal(_) => down = true,
            Component::CurDir => {}
            Component::ParentDir if down => {
                return Err(refused(path, "is a link with '..' inside its target"));
            }
            Component::ParentDir => up += 1,
            Component::RootDir | Component::Prefix(_) => {
                return Err(refused(path, "is a link to an absolute path"));
            }
        }
    }
    if target.as_os_str().is_empty() || target.as_os_str().as_bytes().contains(&0) {
        return Err(refused(path, "is a link without a valid target"));
    }
    if up > depth {
        return Err(refused(path, "is a link that leads out of the sandbox"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
