//! Zip archives, with the links and permissions Unix programs put into them.

use std::{
    ffi::OsStr,
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use zip::{ZipArchive, read::ZipFile};

use super::{ExtractError, Extractor, MAX_PATH_BYTES, check_name, refused};

const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;

pub(super) fn extract(into: &mut Extractor<'_>, from: &File) -> Result<(), ExtractError> {
    let mut archive = ZipArchive::new(from).map_err(damaged)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(damaged)?;
        extract_entry(into, entry)?;
    }
    Ok(())
}

fn extract_entry(
    into: &mut Extractor<'_>,
    mut entry: ZipFile<'_, &File>,
) -> Result<(), ExtractError> {
    let name = entry.name().as_bytes().to_owned();
    into.count(Path::new(OsStr::from_bytes(&name)))?;
    let Some(path) = check_name(&name)? else {
        return Ok(());
    };
    let mode = entry.unix_mode();
    if entry.is_dir() {
        return into.directory(&path, mode.unwrap_or(0o755));
    }
    match mode.unwrap_or(REGULAR | 0o644) & KIND {
        // Some programs write permissions without a kind.
        REGULAR | 0 => {
            let mode = mode.filter(|mode| mode & 0o777 != 0).unwrap_or(0o644);
            into.file(&path, mode, entry)
        }
        SYMLINK => {
            let mut target = Vec::new();
            let limit = MAX_PATH_BYTES as u64 + 1;
            entry.by_ref().take(limit).read_to_end(&mut target).map_err(damaged)?;
            if target.len() > MAX_PATH_BYTES {
                return Err(refused(&path, "is a link with too long a target"));
            }
            into.symlink(&path, &PathBuf::from(OsStr::from_bytes(&target)))
        }
        DIRECTORY => into.directory(&path, mode.unwrap_or(0o755)),
        _ => Err(refused(&path, "is a device, a pipe or a socket")),
    }
}

fn damaged(error: impl std::fmt::Display) -> ExtractError {
    ExtractError::Damaged(error.to_string())
}
