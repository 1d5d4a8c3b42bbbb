//! Room on the disk for the lines that must be written when there is no other left.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngCore;

const NAME: &str = "audit.reserve";

/// A file of nothing that is removed when the disk is full.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// 0 keeps no reserve.
    bytes: u64,
    /// Set while it is not there.
    low: Arc<AtomicBool>,
    looked: Option<Instant>,
    pause: Duration,
}

// === impl Reserve ===

impl Reserve {
    pub(super) fn new(folder: &Path, bytes: u64, pause: Duration, low: Arc<AtomicBool>) -> Reserve {
        Reserve { path: folder.join(NAME), bytes, low, looked: None, pause }
    }

    /// Gives the room back; says whether there was any.
    pub(super) fn release(&mut self) -> bool {
        if self.bytes == 0 || fs::remove_file(&self.path).is_err() {
            return false;
        }
        self.looked = Some(Instant::now());
        self.low.store(true, Ordering::Release);
        tracing::error!("the disk is full; refusals are only counted until there is room again");
        true
    }

    /// Takes the room, unless it was tried a moment ago.
    pub(super) fn hold(&mut self) {
        let held = self.bytes == 0
            || fs::metadata(&self.path).is_ok_and(|facts| facts.len() == self.bytes);
        let recently = self.looked.is_some_and(|at| at.elapsed() < self.pause);
        if held || recently {
            return;
        }
        self.looked = Some(Instant::now());
        let taken = self.take();
        if let Err(error) = &taken {
            tracing::warn!(%error, "there is no room for the audit log's reserve");
            // Half a reserve would only make the room smaller.
            let _ = fs::remove_file(&self.path);
        }
        self.low.store(taken.is_err(), Ordering::Release);
    }

    /// Only where there is room for twice as much, so that something is left for the log itself.
    fn take(&self) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let mut file = options.open(&self.path)?;
        // Random, because some file systems take no room for zeros.
        let mut block = [0_u8; 16 * 1024];
        rand::rng().fill_bytes(&mut block);
        let mut left = self.bytes.saturating_mul(2);
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(block.len()).min(block.len());
            file.write_all(block.get(..part).unwrap_or_default())?;
            left -= part as u64;
        }
        file.set_len(self.bytes)
    }
}

/// Whether a write failed for want of room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
