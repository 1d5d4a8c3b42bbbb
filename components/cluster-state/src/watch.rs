//! Following keys: what the reader holds, and the side that feeds it.
//!
//! Changes wait in a map by key, so that a slow reader costs one entry for each
//! changed key at most, and still learns the latest value of all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{Entry, StateError, Version};

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    /// The new value, or `None` when the key was deleted.
    pub value: Option<Bytes>,
    /// The version of the write or deletion.
    pub version: Version,
}

/// A running subscription to a prefix. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    initial: Vec<Entry>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    prefix: String,
    pending: Mutex<Pending>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    changes: BTreeMap<String, Change>,
    closed: bool,
}

/// The feeding side: every subscription of one store.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    watches: Vec<Weak<Shared>>,
}

// === impl Watch ===

impl Watch {
    /// The entries at the moment the subscription began. The second call
    /// answers nothing: the list is handed over, not copied.
    pub fn take_initial(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.initial)
    }

    /// Waits for changes; answers at least one, in the order they were written.
    ///
    /// A key that changed several times since the last call appears once, with
    /// its latest value. Safe to cancel: nothing is lost.
    pub async fn next(&mut self) -> Result<Vec<Change>, StateError> {
        loop {
            if let Some(changes) = self.shared.take()? {
                return Ok(changes);
            }
            self.shared.ready.notified().await;
        }
    }
}

// === impl Shared ===

impl Shared {
    fn take(&self) -> Result<Option<Vec<Change>>, StateError> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.changes.is_empty() {
            return if pending.closed { Err(StateError::Closed) } else { Ok(None) };
        }
        let mut changes: Vec<Change> = std::mem::take(&mut pending.changes).into_values().collect();
        drop(pending);
        changes.sort_by_key(|change| change.version);
        Ok(Some(changes))
    }

    fn push<'a>(&self, changes: impl Iterator<Item = &'a Change>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut any = false;
        for change in changes.filter(|change| change.key.starts_with(&self.prefix)) {
            pending.changes.insert(change.key.clone(), change.clone());
            any = true;
        }
        drop(pending);
        if any {
            self.ready.notify_one();
        }
    }

    fn close(&self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.ready.notify_one();
    }
}

// === impl Hub ===

impl Hub {
    /// Adds a subscription whose reader starts from `initial`.
    pub(crate) fn subscribe(&mut self, prefix: String, initial: Vec<Entry>) -> Watch {
        let shared = Arc::new(Shared { prefix, pending: Mutex::default(), ready: Notify::new() });
        self.watches.retain(|watch| watch.strong_count() > 0);
        self.watches.push(Arc::downgrade(&shared));
        Watch { initial, shared }
    }

    /// Hands changes to every subscription they concern, in the order written.
    pub(crate) fn publish(&self, changes: &[Change]) {
        for watch in self.watches.iter().filter_map(Weak::upgrade) {
            watch.push(changes.iter());
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        for watch in self.watches.iter().filter_map(Weak::upgrade) {
            watch.close();
        }
    }
}
