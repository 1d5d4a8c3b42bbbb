//! Tape archives: ustar, GNU and pax.
//!
//! Headers are read one by one, without the library's convenience of joining long names to their
//! entries, for it takes names of any length into memory.

use std::{
    ffi::OsStr,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use tar::{Archive, Entry, EntryType, PaxExtensions};

use super::{ExtractError, Extractor, check_name, refused};

/// What one extended header may hold: names, and attributes that are ignored.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// What the headers before an entry say about it.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

pub(super) fn extract(into: &mut Extractor<'_>, from: impl Read) -> Result<(), ExtractError> {
    let mut archive = Archive::new(from);
    let entries = archive.entries().map_err(damaged)?.raw(true);
    let mut extensions = Extensions::default();
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        if !extensions.read(&mut entry)? {
            extract_entry(into, entry, std::mem::take(&mut extensions))?;
        }
    }
    Ok(())
}

fn extract_entry(
    into: &mut Extractor<'_>,
    entry: Entry<'_, impl Read>,
    extensions: Extensions,
) -> Result<(), ExtractError> {
    let name = extensions.name.unwrap_or_else(|| entry.path_bytes().into_owned());
    into.count(Path::new(OsStr::from_bytes(&name)))?;
    let Some(path) = check_name(&name)? else {
        return Ok(());
    };
    let mode = entry.header().mode().unwrap_or(0o644);
    let link = extensions.link.or_else(|| entry.link_name_bytes().map(|link| link.into_owned()));
    let link = link.unwrap_or_default();
    match entry.header().entry_type() {
        // Before there was a type for them, a slash at the end made a directory.
        EntryType::Regular if name.ends_with(b"/") => into.directory(&path, mode),
        EntryType::Regular | EntryType::Continuous => into.file(&path, mode, entry),
        EntryType::Directory => into.directory(&path, mode),
        EntryType::Symlink => into.symlink(&path, &PathBuf::from(OsStr::from_bytes(&link))),
        EntryType::Link => into.hard_link(&path, &link),
        EntryType::Char | EntryType::Block => Err(refused(&path, "is a device")),
        EntryType::Fifo => Err(refused(&path, "is a named pipe")),
        EntryType::GNUSparse => Err(refused(&path, "is a sparse file, which is not supported")),
        _ => Err(refused(&path, "is of an unknown type")),
    }
}

impl Extensions {
    /// True: the entry was one that speaks about the next.
    fn read(&mut self, entry: &mut Entry<'_, impl Read>) -> Result<bool, ExtractError> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.name = Some(text(entry)?),
            EntryType::GNULongLink => self.link = Some(text(entry)?),
            EntryType::XHeader => self.read_pax(&content(entry)?)?,
            EntryType::XGlobalHeader => drop(content(entry)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn read_pax(&mut self, bytes: &[u8]) -> Result<(), ExtractError> {
        for extension in PaxExtensions::new(bytes) {
            let extension = extension.map_err(damaged)?;
            let value = extension.value_bytes();
            match extension.key_bytes() {
                b"path" => self.name = Some(value.to_owned()),
                b"linkpath" => self.link = Some(value.to_owned()),
                // Only beyond 8 GiB, where the header has no room for it.
                b"size" => {
                    return Err(ExtractError::Damaged(
                        "entries with extended sizes are not supported".to_owned(),
                    ));
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(ExtractError::Damaged("sparse files are not supported".to_owned()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Up to the zero byte GNU puts at the end.
fn text(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, ExtractError> {
    let mut bytes = content(entry)?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes)
}

fn content(entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>, ExtractError> {
    if entry.size() > MAX_EXTENSION_BYTES {
        return Err(ExtractError::Damaged("an extended header is too large".to_owned()));
    }
    let mut bytes = Vec::new();
    entry.take(MAX_EXTENSION_BYTES).read_to_end(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

fn damaged(error: impl std::fmt::Display) -> ExtractError {
    ExtractError::Damaged(error.to_string())
}
