//! Where lines end up: a file that survives being rotated, or the standard output.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Addresses and users stand in it: not everybody's to read.
const MODE: u32 = 0o640;

pub(super) struct Sink {
    target: Target,
    /// Said once until it works again.
    failing: bool,
}

enum Target {
    File { path: PathBuf, file: File },
    Stdout,
}

// === impl Sink ===

impl Sink {
    pub(super) fn file(path: &Path) -> std::io::Result<Sink> {
        let target = Target::File { path: path.to_path_buf(), file: open(path)? };
        Ok(Sink { target, failing: false })
    }

    pub(super) fn stdout() -> Sink {
        Sink { target: Target::Stdout, failing: false }
    }

    pub(super) fn write(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let written = match &mut self.target {
            Target::File { file, .. } => file.write_all(text),
            Target::Stdout => std::io::stdout().lock().write_all(text),
        };
        match written {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!("access log: {error}");
            }
            Err(_) => {}
        }
    }

    /// Opens the path again when another file, or none, is there.
    pub(super) fn reopen_when_moved(&mut self) {
        let Target::File { path, file } = &mut self.target else { return };
        let same = match (file.metadata(), std::fs::metadata(&*path)) {
            (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
            _ => false,
        };
        if same {
            return;
        }
        match open(path) {
            Ok(new) => *file = new,
            // The old file takes the lines until the path can be opened.
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!("access log: {} cannot be opened: {error}", path.display());
            }
            Err(_) => {}
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(MODE).open(path)
}
