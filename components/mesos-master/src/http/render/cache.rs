//! Identical reads of one state are made once: readers that come meanwhile follow, later ones
//! of an unchanged state get small answers again.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use rustc_hash::FxBuildHasher;
use tokio::sync::Semaphore;

use super::{
    Rendering,
    plan::{Plan, Run},
};
use crate::{
    handle::{MasterHandle, Stopped},
    model::Snapshot,
};

/// Answers remembered at once.
const SLOTS: usize = 64;
/// Plans with fewer records are made where they are asked for.
const INLINE: usize = 256;
/// Plans with more records take room.
const LARGE: usize = 10_000;
/// How many large answers may be in memory at once.
const ROOM: usize = 8;
/// How long a state is held that nobody reads any more.
const HELD: Duration = Duration::from_secs(1);

/// Which read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ReadKind {
    State,
    StateSummary,
    Agents,
    Frameworks,
    Tasks,
    Roles,
    GetState,
    GetAgents,
    GetFrameworks,
    GetExecutors,
    GetTasks,
}

/// Which read with which parameters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ReadKey {
    kind: ReadKind,
    parameters: Option<Box<str>>,
    protobuf: bool,
}

impl ReadKey {
    pub(crate) fn new(kind: ReadKind) -> ReadKey {
        ReadKey { kind, parameters: None, protobuf: false }
    }

    pub(crate) fn with(kind: ReadKind, parameters: String) -> ReadKey {
        ReadKey { kind, parameters: Some(parameters.into()), protobuf: false }
    }

    pub(crate) fn protobuf(mut self, protobuf: bool) -> ReadKey {
        self.protobuf = protobuf;
        self
    }
}

/// The reads in progress, and the small answers of the present state.
#[derive(Debug)]
pub(crate) struct Reads {
    slots: Mutex<HashMap<ReadKey, Slot, FxBuildHasher>>,
    latest: Mutex<Option<Latest>>,
    room: Arc<Semaphore>,
}

/// The state seen last. While somebody holds it and nothing changes, the owner
/// gives the same one again, and with it its answers stay valid.
#[derive(Debug)]
struct Latest {
    snapshot: Arc<Snapshot>,
    read_again: bool,
}

#[derive(Debug)]
struct Slot {
    snapshot: Weak<Snapshot>,
    /// Large answers live only as long as somebody reads them.
    rendering: Weak<Rendering>,
    kept: Option<Arc<Rendering>>,
}

/// Lets the state go once nobody read it for a while.
async fn let_go(reads: Weak<Reads>) {
    loop {
        tokio::time::sleep(HELD).await;
        let Some(reads) = reads.upgrade() else { return };
        let mut latest = reads.latest();
        match &mut *latest {
            Some(known) if known.read_again => known.read_again = false,
            _ => {
                *latest = None;
                return;
            }
        }
    }
}

impl Default for Reads {
    fn default() -> Reads {
        Reads {
            slots: Mutex::default(),
            latest: Mutex::default(),
            room: Arc::new(Semaphore::new(ROOM)),
        }
    }
}

// === impl Reads ===

impl Reads {
    /// The state now. An outdated one is let go at once, an unread one soon: what
    /// the owner changes meanwhile would exist twice.
    pub(crate) async fn snapshot(
        self: &Arc<Reads>,
        handle: &MasterHandle,
    ) -> Result<Arc<Snapshot>, Stopped> {
        let snapshot = handle.snapshot().await?;
        let mut latest = self.latest();
        match &mut *latest {
            Some(known) if Arc::ptr_eq(&known.snapshot, &snapshot) => known.read_again = true,
            Some(known) => known.snapshot = Arc::clone(&snapshot),
            None => {
                *latest = Some(Latest { snapshot: Arc::clone(&snapshot), read_again: false });
                tokio::spawn(let_go(Arc::downgrade(self)));
            }
        }
        Ok(snapshot)
    }

    fn latest(&self) -> MutexGuard<'_, Option<Latest>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer for `key` in the state `snapshot`, if it is known or being made.
    pub(crate) fn find(&self, key: &ReadKey, snapshot: &Arc<Snapshot>) -> Option<Arc<Rendering>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get(key)?;
        // The address of a snapshot is not used again while a weak pointer to it exists.
        if !std::ptr::eq(slot.snapshot.as_ptr(), Arc::as_ptr(snapshot)) {
            return None;
        }
        slot.rendering.upgrade()
    }

    /// The answer for `key`, made according to `plan` if nobody makes it already.
    pub(crate) async fn get(
        self: &Arc<Reads>,
        key: ReadKey,
        snapshot: Arc<Snapshot>,
        plan: impl FnOnce(&Snapshot) -> Plan,
    ) -> Arc<Rendering> {
        if let Some(found) = self.find(&key, &snapshot) {
            return found;
        }
        let plan = plan(&snapshot);
        let weight = plan.weight();
        let room =
            if weight > LARGE { Arc::clone(&self.room).acquire_owned().await.ok() } else { None };
        if let Some(found) = self.find(&key, &snapshot) {
            return found;
        }
        let rendering = Arc::new(Rendering::new(room));
        self.remember(key.clone(), &snapshot, &rendering);
        let run = Run::new(plan, snapshot, Arc::clone(&rendering));
        if weight <= INLINE {
            run.work();
            return rendering;
        }
        self.start(key, run, &rendering);
        rendering
    }

    fn start(self: &Arc<Reads>, key: ReadKey, run: Run, rendering: &Arc<Rendering>) {
        let run = Arc::new(run);
        for _ in 1..run.threads() {
            let run = Arc::clone(&run);
            tokio::task::spawn_blocking(move || run.work());
        }
        let reads = Arc::clone(self);
        let rendering = Arc::downgrade(rendering);
        tokio::task::spawn_blocking(move || {
            run.work();
            drop(run);
            if rendering.upgrade().is_some_and(|rendering| rendering.is_large()) {
                reads.release(&key, &rendering);
            }
        });
    }

    fn remember(&self, key: ReadKey, snapshot: &Arc<Snapshot>, rendering: &Arc<Rendering>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= SLOTS && !slots.contains_key(&key) {
            slots.retain(|_, slot| slot.snapshot.strong_count() > 0 && slot.kept.is_some());
            if slots.len() >= SLOTS {
                slots.clear();
            }
        }
        let slot = Slot {
            snapshot: Arc::downgrade(snapshot),
            rendering: Arc::downgrade(rendering),
            kept: Some(Arc::clone(rendering)),
        };
        slots.insert(key, slot);
    }

    fn release(&self, key: &ReadKey, rendering: &Weak<Rendering>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(key).filter(|slot| slot.rendering.ptr_eq(rendering)) {
            slot.kept = None;
        }
    }
}
