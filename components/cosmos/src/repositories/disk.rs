//! Copies of repositories on disk: a line that says what it is, then the document.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Validators;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    uri: String,
    size: usize,
    #[serde(flatten)]
    validators: Validators,
}

/// Where the copy of the repository at `uri` is.
fn path(folder: &Path, uri: &str) -> PathBuf {
    // FNV-1a: names must stay the same from one version of this program to the next.
    let hash = uri.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    folder.join(format!("{hash:016x}.repository"))
}

/// Writes a copy such that a crash leaves the old one or the new one.
pub(super) fn save(
    folder: &Path,
    uri: &str,
    validators: &Validators,
    document: &[u8],
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = path(folder, uri);
    let temporary = path.with_extension("new");
    let line = Line { uri: uri.to_owned(), size: document.len(), validators: validators.clone() };
    let mut file = File::create(&temporary)?;
    serde_json::to_writer(&mut file, &line)?;
    file.write_all(b"\n")?;
    file.write_all(document)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(folder)?.sync_all()
}

/// Reads a copy; none where there is none that is whole.
pub(super) fn load(folder: &Path, uri: &str) -> Option<(Validators, Arc<[u8]>)> {
    let path = path(folder, uri);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read the copy of a repository");
            return None;
        }
    };
    let whole = split(&bytes, uri);
    if whole.is_none() {
        tracing::warn!(path = %path.display(), uri, "the copy of a repository is damaged");
    }
    whole
}

fn split(bytes: &[u8], uri: &str) -> Option<(Validators, Arc<[u8]>)> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line: Line = serde_json::from_slice(bytes.get(..end)?).ok()?;
    let document = bytes.get(end + 1..)?;
    let whole = line.uri == uri && line.size == document.len();
    whole.then(|| (line.validators, Arc::from(document)))
}

/// Removes a copy, if there is one.
pub(super) fn remove(folder: &Path, uri: &str) {
    let path = path(folder, uri);
    if let Err(error) = fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove the copy of a repository");
    }
}

/// Removes the copies of all but these, and what a crash left half written.
pub(super) fn tidy(folder: &Path, uris: &[String]) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let kept: Vec<PathBuf> = uris.iter().map(|uri| path(folder, uri)).collect();
    for found in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let extension = found.extension().and_then(|extension| extension.to_str());
        let stem = found.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let ours = matches!(extension, Some("repository" | "new"))
            && stem.len() == 16
            && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
        if ours && !kept.contains(&found) {
            tracing::info!(path = %found.display(), "removing a copy that nobody needs");
            if let Err(error) = fs::remove_file(&found) {
                tracing::warn!(path = %found.display(), %error, "cannot remove it");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_comes_back_and_a_damaged_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("below");
        let validators = Validators { etag: Some("\"1\"".to_owned()), last_modified: None };
        assert!(load(&folder, "http://a").is_none());
        save(&folder, "http://a", &validators, b"{}\n").unwrap();
        let (found, document) = load(&folder, "http://a").unwrap();
        assert_eq!((found, &*document), (validators.clone(), &b"{}\n"[..]));
        assert!(load(&folder, "http://b").is_none());
        let path = path(&folder, "http://a");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(load(&folder, "http://a").is_none());
        remove(&folder, "http://a");
        remove(&folder, "http://a");
        assert!(!path.exists());
    }

    #[test]
    fn copies_that_nobody_needs_go() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for uri in ["http://a", "http://b"] {
            save(folder, uri, &Validators::default(), b"{}").unwrap();
        }
        fs::write(path(folder, "http://a").with_extension("new"), "half").unwrap();
        fs::write(folder.join("notes.repository"), "not ours").unwrap();
        tidy(folder, &["http://a".to_owned()]);
        assert!(load(folder, "http://a").is_some() && load(folder, "http://b").is_none());
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
        tidy(&folder.join("none"), &[]);
    }
}
