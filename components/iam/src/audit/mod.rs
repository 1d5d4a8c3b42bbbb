//! Who did what: one line of JSON an event, each with a hash over itself and the line before.
//!
//! 1. [`Audit::record`] returns when the line is on disk; lines that come together share one
//!    flush.
//! 2. The hash of a line covers the hash of the line before it, so that no line can be changed,
//!    removed or put in between unnoticed; the first line of a file names the last hash of the
//!    file before. What the chain cannot show is that its end was cut off: keep copies.
//! 3. A file that has grown large is closed and numbered (`audit.jsonl.1`, `.2`, …); the oldest
//!    ones are removed.
//! 4. Refusals, which everybody may cause, have a [`Budget`]; and there is a [`reserve`] of room
//!    for the rest.
//!
//! It is not: a place for secrets. Events name users, resources and addresses, nothing else.

mod budget;
mod chain;
mod file;
mod reserve;
mod verify;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

pub use self::budget::RefusalLimits;
pub(crate) use self::budget::{Budget, Folded, Whose};
use self::file::LogFile;
pub use self::verify::{Broken, Verified, verify};

/// The name of the current file in the data folder.
pub const FILE: &str = "audit.jsonl";

/// The result of a change that is about to be made. Without a line with another result after it,
/// it may have been made or not.
pub(crate) const BEGUN: &str = "begun";

/// Events that wait for the disk; more, and those who cause them wait.
const INBOX: usize = 1024;
/// Lines that share a flush.
const BATCH: usize = 256;
/// What a text of an event may have at most; the rest is cut off.
const MAX_TEXT: usize = 1024;

/// How the files are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A file that grows beyond this is closed and the next one begun.
    pub file_bytes: u64,
    /// Full files that are kept, the oldest goes first; 0 keeps all.
    pub files: usize,
    /// Room on the disk that is kept for when there is no other left; 0 keeps none.
    pub reserve_bytes: u64,
    /// Between two tries to take that room again.
    pub pause: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            file_bytes: 64 * 1024 * 1024,
            files: 64,
            reserve_bytes: 4 * 1024 * 1024,
            pause: Duration::from_secs(10),
        }
    }
}

/// The event could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct AuditError;

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// `login`, `refused`, `user-create`, ….
    pub event: &'static str,
    /// Who; empty when nobody knows.
    pub uid: String,
    /// From where: the client's address.
    pub from: String,
    /// Who connected: the client itself, or a gateway; with the port.
    pub peer: String,
    /// With what: a user, a group, a resource, a path.
    pub object: String,
    /// `allow` or `deny`; [`BEGUN`] before a change, and `unknown` when it may have been made.
    pub result: &'static str,
    /// Why, when it was denied.
    pub reason: String,
    /// The id that the gateway gave the request.
    pub request_id: String,
    /// What has to be there whole; who writes it sees to its length.
    pub details: Vec<(&'static str, Value)>,
}

/// Writes events, on a thread of its own.
#[derive(Debug)]
pub struct Audit {
    /// `None` only while being dropped: closing the inbox ends the thread.
    inbox: Option<mpsc::Sender<Line>>,
    writer: Option<JoinHandle<()>>,
    failing: Arc<AtomicBool>,
    low: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Line {
    content: Map<String, Value>,
    written: oneshot::Sender<bool>,
}

// === impl Audit ===

impl Audit {
    /// Goes on where the file in `folder` ends. What a crash left of a last line is cut off:
    /// nobody was told that it happened.
    pub fn open(folder: &Path, settings: &Settings) -> std::io::Result<Audit> {
        let low = Arc::new(AtomicBool::new(false));
        let file = LogFile::open(folder, settings, Arc::clone(&low))?;
        let (inbox, lines) = mpsc::channel(INBOX);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let failing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&failing);
        let writer = thread.spawn(move || run(file, lines, &flag))?;
        Ok(Audit { inbox: Some(inbox), writer: Some(writer), failing, low })
    }

    /// Whether the last event could not be written.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Whether the reserve of room is in use: what need not be written is not.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Acquire)
    }

    /// Writes an event that happened at `since_epoch`; when this returns, it is on disk.
    pub async fn record(&self, event: Event, since_epoch: Duration) -> Result<(), AuditError> {
        let (written, answer) = oneshot::channel();
        let content = event.content(since_epoch);
        let inbox = self.inbox.as_ref().ok_or(AuditError)?;
        inbox.send(Line { content, written }).await.map_err(|_| AuditError)?;
        match answer.await {
            Ok(true) => Ok(()),
            _ => Err(AuditError),
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the audit log ended by a panic");
        }
    }
}

/// Writes whatever waits, flushes once, and tells everybody.
fn run(mut file: LogFile, mut lines: mpsc::Receiver<Line>, failing: &AtomicBool) {
    while let Some(first) = lines.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = lines.try_recv()
        {
            batch.push(next);
        }
        let (contents, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|line| (line.content, line.written)).unzip();
        let written = file.append(&contents);
        failing.store(written.is_err(), Ordering::Release);
        if let Err(error) = &written {
            tracing::error!(%error, "the audit log cannot be written");
        }
        for answer in answers {
            // Who went away does not need to know.
            let _ = answer.send(written.is_ok());
        }
    }
}

// === impl Event ===

impl Event {
    fn content(self, since_epoch: Duration) -> Map<String, Value> {
        let mut content = Map::new();
        content.insert("time".to_owned(), moment(since_epoch).into());
        content.insert("event".to_owned(), self.event.into());
        let texts = [
            ("uid", self.uid),
            ("from", self.from),
            ("peer", self.peer),
            ("object", self.object),
            ("result", self.result.to_owned()),
            ("reason", self.reason),
            ("request_id", self.request_id),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            content.insert(name.to_owned(), cut(text).into());
        }
        content.extend(self.details.into_iter().map(|(name, value)| (name.to_owned(), value)));
        content
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// RFC 3339, in UTC, with milliseconds.
fn moment(since_epoch: Duration) -> String {
    let (days, rest) = (since_epoch.as_secs() / 86_400, since_epoch.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let millis = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date of a day since 1970, after Howard Hinnant's `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// A line that is taken has the form that is written.
pub(crate) fn fuzz_line(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(found) = chain::Found::parse(text) {
        assert!(text.ends_with(&format!("\"hash\":\"{}\"}}", found.hash)));
    }
}

/// Now, for events.
pub(crate) fn since_epoch() -> Duration {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests;
