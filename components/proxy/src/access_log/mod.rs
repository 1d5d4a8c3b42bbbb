//! The access log: one JSON line a request, and no request waits for a disk.
//!
//! 1. Each worker renders its lines into a buffer of its own; one thread of the log's takes the
//!    buffers and writes them. The lock between them is held for an exchange of two pointers.
//! 2. A buffer is bounded: when the disk does not follow, lines are dropped, counted, and the
//!    log says how many.
//! 3. A file that was renamed (logrotate) or removed is made anew at its path.
//! 4. No secrets: values of parameters whose names look like tokens are not written, headers
//!    are not written at all.

mod line;
mod sink;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, SystemTime};

pub use line::Entry;
use sink::Sink;

/// How often lines are written when there are few.
const PAUSE: Duration = Duration::from_millis(200);
/// A worker's buffer that is longer is written at once.
const EAGER: usize = 256 * 1024;
/// A worker's buffer is never longer: what comes then is dropped.
const LARGEST: usize = 4 * 1024 * 1024;

/// A log that any number of workers write to.
pub struct AccessLog {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// One worker's way into the log.
pub struct Writer {
    shared: Arc<Shared>,
    buffer: Arc<Mutex<Vec<u8>>>,
    thread: Option<Thread>,
}

#[derive(Default)]
struct Shared {
    buffers: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    dropped: AtomicU64,
    stopped: AtomicBool,
}

// === impl AccessLog ===

impl AccessLog {
    /// A log in a file, which is made when it is not there; what it holds is kept.
    pub fn file(path: impl AsRef<Path>) -> std::io::Result<Arc<AccessLog>> {
        AccessLog::start(Sink::file(path.as_ref())?)
    }

    /// A log on the standard output.
    pub fn stdout() -> std::io::Result<Arc<AccessLog>> {
        AccessLog::start(Sink::stdout())
    }

    fn start(sink: Sink) -> std::io::Result<Arc<AccessLog>> {
        let shared = Arc::new(Shared::default());
        let run = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("access-log".into());
        let thread = builder.spawn(move || run.write_all(sink))?;
        Ok(Arc::new(AccessLog { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// A buffer for one worker. It stays with the log for as long as the log lives: take one a
    /// thread, not one a request.
    pub fn writer(&self) -> Writer {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        lock(&self.shared.buffers).push(Arc::clone(&buffer));
        let thread = lock(&self.thread).as_ref().map(|thread| thread.thread().clone());
        Writer { shared: Arc::clone(&self.shared), buffer, thread }
    }

    /// How many lines were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Writes what there is and ends the log. Blocks until that is done.
    pub fn close(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            thread.thread().unpark();
            // A thread that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessLog")
    }
}

// === impl Writer ===

impl Writer {
    /// Adds the line of a request that is over.
    pub fn write(&self, entry: &Entry<'_>) {
        let now = SystemTime::now();
        let mut buffer = lock(&self.buffer);
        let before = buffer.len();
        if before >= LARGEST {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        line::render(&mut buffer, now, entry);
        let after = buffer.len();
        drop(buffer);
        if before < EAGER && after >= EAGER {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.unpark();
        }
    }
}

// === impl Shared ===

impl Shared {
    fn write_all(&self, mut sink: Sink) {
        let mut spare = Vec::new();
        let mut said = 0;
        loop {
            let last = self.stopped.load(Ordering::Acquire);
            sink.reopen_when_moved();
            // Copied: writing takes time, and a worker may be joining.
            let buffers: Vec<_> = lock(&self.buffers).clone();
            for buffer in &buffers {
                std::mem::swap(&mut *lock(buffer), &mut spare);
                sink.write(&spare);
                spare.clear();
                spare.shrink_to(2 * EAGER);
            }
            let dropped = self.dropped.load(Ordering::Relaxed);
            if dropped != said {
                let text = line::dropped(SystemTime::now(), dropped - said);
                tracing::warn!("access log: {} lines were dropped", dropped - said);
                sink.write(&text);
                said = dropped;
            }
            if last {
                return;
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
