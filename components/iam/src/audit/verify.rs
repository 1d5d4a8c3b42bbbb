//! Whether a chain is whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::chain::{Found, Head};
use super::file::{MAX_LINE, rotated};

/// A chain without a break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Lines looked at.
    pub lines: u64,
    /// The number of the last line.
    pub last: u64,
    /// Its hash: whoever kept it elsewhere can compare.
    pub hash: String,
    /// Whether the very first line was there; files may have been archived.
    pub complete: bool,
}

/// Where a chain breaks.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}, line {line}: {reason}", path.display())]
    Line { path: PathBuf, line: u64, reason: &'static str },
}

/// Reads the file at `path` and the full ones beside it, oldest first, and names the first line
/// that is not what was written there.
pub fn verify(path: &Path) -> Result<Verified, Broken> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Broken::Read { path, source }
    };
    let full = rotated(folder).map_err(failed(folder))?;
    let files = full.into_iter().map(|(_, path)| path).chain([path.to_owned()]);
    let mut state = Verified { lines: 0, last: 0, hash: String::new(), complete: true };
    let mut head = None;
    for path in files {
        let file = File::open(&path).map_err(failed(&path))?;
        let mut reader = BufReader::new(file);
        for number in 1.. {
            let mut line = Vec::new();
            let mut limited = Read::take(&mut reader, MAX_LINE);
            limited.read_until(b'\n', &mut line).map_err(failed(&path))?;
            if line.is_empty() {
                break;
            }
            let broken = |reason| Broken::Line { path: path.clone(), line: number, reason };
            let next = check(&line, number, head.as_ref(), &mut state).map_err(broken)?;
            head = Some(next);
        }
    }
    if let Some(head) = head {
        (state.last, state.hash) = (head.number, head.hash);
    }
    Ok(state)
}

fn check(
    line: &[u8],
    number: u64,
    before: Option<&Head>,
    state: &mut Verified,
) -> Result<Head, &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("it has no end")?;
    let line = std::str::from_utf8(line).map_err(|_| "it is not text")?;
    let found = Found::parse(line).ok_or("it is not a line of an audit log")?;
    state.lines += 1;
    let before = match (before, &found.previous) {
        (Some(before), _) => before.clone(),
        (None, None) => Head::beginning(),
        // The files before are elsewhere; the line says what it goes on from.
        (None, Some(previous)) => {
            state.complete = false;
            Head { number: found.number.saturating_sub(1), hash: previous.clone() }
        }
    };
    if found.previous.as_ref().is_some_and(|previous| number != 1 || *previous != before.hash) {
        return Err("it goes on from another line than the one before it");
    }
    if !found.follows(&before) {
        return Err("it was changed, or a line before it was changed, removed or added");
    }
    Ok(found.head())
}
