//! Keeps the order of writes and of what relies on them, many writes to one wait for the disk.

use super::actuator::Actuator;
use crate::{
    checkpoint::{Write, Writer},
    core::{Effect, Effects},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Batches that may wait for the disk before the core waits too.
const WAITING: usize = 64;
/// How long a failed write is left before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where effects go to be done.
pub(super) struct Committer {
    batches: mpsc::Sender<Effects>,
    /// Batches handed over and not done yet.
    waiting: Arc<AtomicUsize>,
    gone: CancellationToken,
}

impl Committer {
    pub(super) fn start(writer: Writer, actuator: Arc<Actuator>) -> Self {
        let (batches, queue) = mpsc::channel(WAITING);
        let waiting = Arc::new(AtomicUsize::new(0));
        let gone = CancellationToken::new();
        let guard = gone.clone().drop_guard();
        let count = Arc::clone(&waiting);
        tokio::spawn(async move {
            let _guard = guard;
            work(writer, actuator, queue, count).await;
        });
        Self { batches, waiting, gone }
    }

    /// Does effects, now if nothing must be written before them.
    pub(super) async fn submit(&self, actuator: &Arc<Actuator>, effects: Effects) {
        let writes = effects.iter().any(|effect| matches!(effect, Effect::Write(_)));
        if !writes && self.waiting.load(Ordering::Acquire) == 0 {
            effects.into_iter().for_each(|effect| actuator.perform(effect));
            return;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        // An error means that the other side is gone, which `failed` tells.
        let _ = self.batches.send(effects).await;
    }

    /// Waits until nothing can be written any more.
    pub(super) async fn failed(&self) {
        self.gone.cancelled().await;
    }
}

async fn work(
    writer: Writer,
    actuator: Arc<Actuator>,
    mut queue: mpsc::Receiver<Effects>,
    waiting: Arc<AtomicUsize>,
) {
    let mut writer = Some(writer);
    while let Some(first) = queue.recv().await {
        let mut batches = vec![first];
        while let Ok(more) = queue.try_recv() {
            batches.push(more);
        }
        let count = batches.len();
        let (writes, rest): (Vec<Effect>, Vec<Effect>) =
            batches.into_iter().flatten().partition(|effect| matches!(effect, Effect::Write(_)));
        let writes: Vec<Write> = writes
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Write(write) => Some(*write),
                _ => None,
            })
            .collect();
        if !writes.is_empty() {
            match commit(writer.take(), writes).await {
                Some(back) => writer = Some(back),
                None => return,
            }
        }
        rest.into_iter().for_each(|effect| actuator.perform(effect));
        waiting.fetch_sub(count, Ordering::AcqRel);
    }
}

/// Writes until it works: nothing that relies on it may happen before, and a full disk may
/// become less full.
async fn commit(writer: Option<Writer>, writes: Vec<Write>) -> Option<Writer> {
    let mut writer = writer?;
    let writes = Arc::new(writes);
    loop {
        let batch = Arc::clone(&writes);
        let done = tokio::task::spawn_blocking(move || {
            let result = writer.apply(&batch);
            (writer, result)
        });
        let (back, result) = done.await.ok()?;
        writer = back;
        match result {
            Ok(()) => return Some(writer),
            Err((path, error)) => {
                tracing::error!(path = %path.display(), %error, "cannot write a checkpoint");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
