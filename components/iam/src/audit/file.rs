//! The file that lines are appended to, and those that are full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::{Map, Value, json};

use super::chain::{Found, Head};
use super::reserve::{Reserve, is_full};
use super::{FILE, Settings, moment, since_epoch};

/// No line is longer: texts are cut.
pub(super) const MAX_LINE: u64 = 64 * 1024;

/// The end of the chain.
#[derive(Debug)]
pub(super) struct LogFile {
    folder: PathBuf,
    file: File,
    bytes: u64,
    limit: u64,
    /// Full files that are kept; 0 keeps all.
    files: usize,
    reserve: Reserve,
    head: Head,
    /// The last write failed: what is in the file has to be looked at before the next.
    broken: bool,
    /// Held while the file is open, so that two processes never write one chain.
    _lock: File,
}

// === impl LogFile ===

impl LogFile {
    /// `low` says from then on that there is no reserve of room.
    pub(super) fn open(
        folder: &Path,
        settings: &Settings,
        low: Arc<AtomicBool>,
    ) -> io::Result<LogFile> {
        let reserve = Reserve::new(folder, settings.reserve_bytes, settings.pause, low);
        let lock = options().create(true).write(true).open(folder.join("audit.lock"))?;
        lock.try_lock().map_err(io::Error::from)?;
        let file = append(&folder.join(FILE))?;
        let mut log = LogFile {
            folder: folder.to_owned(),
            file,
            bytes: 0,
            limit: settings.file_bytes,
            files: settings.files,
            reserve,
            head: Head::beginning(),
            broken: false,
            _lock: lock,
        };
        match log.resume() {
            Err(error) if is_full(&error) && log.reserve.release() => log.resume()?,
            resumed => resumed?,
        }
        log.reserve.hold();
        Ok(log)
    }

    /// Appends a line for each content and flushes; into the reserve, if it has to be.
    pub(super) fn append(&mut self, contents: &[Map<String, Value>]) -> io::Result<()> {
        self.reserve.hold();
        match self.try_append(contents) {
            Err(error) if is_full(&error) && self.reserve.release() => self.try_append(contents),
            appended => appended,
        }
    }

    fn try_append(&mut self, contents: &[Map<String, Value>]) -> io::Result<()> {
        if self.broken {
            self.resume()?;
            self.broken = false;
        }
        let written = self.write(contents);
        self.broken = written.is_err();
        written
    }

    fn write(&mut self, contents: &[Map<String, Value>]) -> io::Result<()> {
        if self.bytes >= self.limit {
            self.rotate()?;
        }
        let mut head = self.head.clone();
        let mut text = String::new();
        for content in contents {
            let (next, line) = head.line(content.clone());
            head = next;
            text.push_str(&line);
        }
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.bytes += text.len() as u64;
        self.head = head;
        Ok(())
    }

    /// Finds the end of the chain. A last line without an end was never acknowledged, and goes.
    fn resume(&mut self) -> io::Result<()> {
        self.file = append(&self.folder.join(FILE))?;
        let end = cut_torn(&mut self.file)?;
        self.bytes = end;
        if end > 0 {
            match last_line(&mut self.file, end)? {
                Some(head) => self.head = head,
                None => self.begin_after_damage()?,
            }
            return Ok(());
        }
        let full = rotated(&self.folder)?;
        let Some((_, path)) = full.last() else {
            self.head = Head::beginning();
            return Ok(());
        };
        let mut before = File::open(path)?;
        let end = before.seek(SeekFrom::End(0))?;
        match last_line(&mut before, end)? {
            Some(head) => {
                self.head = head;
                self.go_on()
            }
            None => self.begin_anew(),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.set_aside()?;
        self.go_on()?;
        self.forget_oldest();
        Ok(())
    }

    /// Removes what is too much; what cannot be removed now is tried again with the next file.
    fn forget_oldest(&self) {
        let Ok(full) = rotated(&self.folder) else { return };
        let too_many = if self.files == 0 { 0 } else { full.len().saturating_sub(self.files) };
        for (number, path) in full.into_iter().take(too_many) {
            match fs::remove_file(&path) {
                Ok(()) => tracing::info!(number, "the oldest audit file is removed"),
                Err(error) => tracing::warn!(%error, number, "an old audit file stays"),
            }
        }
    }

    fn set_aside(&mut self) -> io::Result<()> {
        let number = rotated(&self.folder)?.last().map_or(1, |(number, _)| number + 1);
        let path = self.folder.join(FILE);
        fs::rename(&path, self.folder.join(format!("{FILE}.{number}")))?;
        self.file = append(&path)?;
        self.bytes = 0;
        File::open(&self.folder)?.sync_all()
    }

    /// Lines that are not ours are kept for whoever looks into it, and a new chain begins.
    fn begin_after_damage(&mut self) -> io::Result<()> {
        tracing::error!("the audit log was damaged; it is set aside and a new one begins");
        self.set_aside()?;
        self.begin_anew()
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        self.head = Head::beginning();
        let note = json!({ "time": moment(since_epoch()), "event": "audit-damaged" });
        self.write_note(note)
    }

    /// The first line of a file that follows another.
    fn go_on(&mut self) -> io::Result<()> {
        let note = json!({
            "time": moment(since_epoch()),
            "event": "audit-continued",
            "previous": self.head.hash,
        });
        self.write_note(note)
    }

    fn write_note(&mut self, note: Value) -> io::Result<()> {
        let Value::Object(note) = note else { return Ok(()) };
        let (head, line) = self.head.line(note);
        self.file.write_all(line.as_bytes())?;
        self.file.sync_data()?;
        self.bytes += line.len() as u64;
        self.head = head;
        Ok(())
    }
}

/// The files that are full, by number.
pub(super) fn rotated(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(FILE)?.strip_prefix('.'));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn append(path: &Path) -> io::Result<File> {
    options().create(true).read(true).append(true).open(path)
}

/// Cuts off what follows the last newline; the length then.
fn cut_torn(file: &mut File) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    let tail = tail(file, end)?;
    let torn = tail.iter().rev().position(|b| *b == b'\n').unwrap_or(tail.len());
    if torn == 0 {
        return Ok(end);
    }
    // A tail without any newline is longer than every line: not a torn line, but damage.
    if torn == tail.len() && torn as u64 != end {
        return Ok(end);
    }
    let whole = end - torn as u64;
    tracing::warn!(bytes = torn, "the last line of the audit log is incomplete and is removed");
    file.set_len(whole)?;
    file.sync_data()?;
    Ok(whole)
}

/// The chain as of the last line before `end`.
fn last_line(file: &mut File, end: u64) -> io::Result<Option<Head>> {
    let tail = tail(file, end)?;
    let Some(tail) = tail.strip_suffix(b"\n") else { return Ok(None) };
    let start = tail.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let line = tail.get(start..).and_then(|line| std::str::from_utf8(line).ok());
    Ok(line.and_then(Found::parse).map(|found| found.head()))
}

fn tail(file: &mut File, end: u64) -> io::Result<Vec<u8>> {
    let start = end.saturating_sub(MAX_LINE);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end - start).read_to_end(&mut bytes)?;
    Ok(bytes)
}
