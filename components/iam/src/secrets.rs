//! Files with secrets: readable by their owner alone from their creation on, whole or absent.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rand::RngCore;

/// Larger files are not read.
const MAX_BYTES: u64 = 64 * 1024;

/// Why a file with a secret was not read or written. Never names the content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFileError {
    #[error("cannot read or write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} has mode {mode:o}; it holds a secret and must be readable by its owner alone (chmod 600)",
        path.display()
    )]
    Mode { path: PathBuf, mode: u32 },
    #[error("{} is not a regular file of a sensible size", path.display())]
    NotAFile { path: PathBuf },
}

/// Makes a folder (and those above it) that its owner alone may enter.
pub(crate) fn create_folder(path: &Path) -> Result<(), SecretFileError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| failed(path, source))
}

/// Reads a file, if it is there; one that others may read is an error.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, SecretFileError> {
    let file = match OpenOptions::new().read(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(path, source)),
    };
    let facts = file.metadata().map_err(|source| failed(path, source))?;
    if !facts.is_file() || facts.len() > MAX_BYTES {
        return Err(SecretFileError::NotAFile { path: path.to_owned() });
    }
    let mode = facts.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::Mode { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|source| failed(path, source))?;
    Ok(Some(bytes))
}

/// Creates a file unless there is one; says whether it did.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<bool, SecretFileError> {
    let draft = write_draft(path, bytes)?;
    let linked = std::fs::hard_link(&draft, path);
    let removed = std::fs::remove_file(&draft);
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(source) => return Err(failed(path, source)),
    }
    removed.map_err(|source| failed(path, source))?;
    sync_folder(path)?;
    Ok(true)
}

/// Writes a file, in place of one that may be there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), SecretFileError> {
    write_named(path, bytes, 0o600)
}

/// Writes a file that everybody may read, whole or not at all.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<(), SecretFileError> {
    write_named(path, bytes, 0o644)
}

fn write_named(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SecretFileError> {
    let draft = write_draft_with(path, bytes, mode)?;
    std::fs::rename(&draft, path).map_err(|source| failed(path, source))?;
    sync_folder(path)
}

fn write_draft(path: &Path, bytes: &[u8]) -> Result<PathBuf, SecretFileError> {
    write_draft_with(path, bytes, 0o600)
}

/// A file beside the wanted one, on disk when this returns.
fn write_draft_with(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, SecretFileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.draft", rand::rng().next_u64()));
    let draft = path.with_file_name(name);
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft);
    let mut file = opened.map_err(|source| failed(&draft, source))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(source) = written {
        // What is left of it would be a riddle; that it cannot be removed changes nothing.
        let _ = std::fs::remove_file(&draft);
        return Err(failed(&draft, source));
    }
    Ok(draft)
}

fn sync_folder(path: &Path) -> Result<(), SecretFileError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|source| failed(folder, source))
}

fn failed(path: &Path, source: io::Error) -> SecretFileError {
    SecretFileError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_created_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert_eq!(read(&path).unwrap(), None);
        assert!(create(&path, b"first").unwrap());
        assert!(!create(&path, b"second").unwrap());
        assert_eq!(read(&path).unwrap().unwrap(), b"first");
        assert_eq!(mode(&path), 0o600);
        replace(&path, b"third").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"third");
        assert_eq!(mode(&path), 0o600);
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no draft is left: {left:?}");
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create(&path, b"x").unwrap();
        for wrong in [0o640, 0o604, 0o644, 0o660, 0o602] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(wrong)).unwrap();
            assert!(
                matches!(read(&path), Err(SecretFileError::Mode { mode, .. }) if mode == wrong)
            );
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read(&path).is_ok());
    }

    #[test]
    fn folders_and_huge_files_are_no_secrets() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path()), Err(SecretFileError::NotAFile { .. })));
        let path = folder.path().join("huge");
        replace(&path, &vec![0; 70_000]).unwrap();
        assert!(matches!(read(&path), Err(SecretFileError::NotAFile { .. })));
    }
}
