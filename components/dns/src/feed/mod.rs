//! What happens in the cluster, told to the names, and the names told to those who answer.
//!
//! One task owns the picture of the cluster and the names made of it. The master's stream, the
//! stream of virtual addresses, and where schedulers listen come in through bounded channels; what
//! changes is published at once. A whole state is taken in where it holds up nobody else.

mod kept;
mod schedulers;
mod status;
mod vips;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster_events::asking::{Ask, Server};
use cluster_events::master::{Event, Follower};
use cluster_events::picture::{Changed, Decoder, Framework, Input, Picture};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::names::{Names, Placed, VIPS};
use crate::zone::Zones;
pub(crate) use status::{Report, Status};
pub(crate) use vips::fuzz as fuzz_vips;

/// Events that wait; beyond, the master's stream does.
const EVENTS: usize = 4096;
/// So many are taken in before anything is published.
const BATCH: usize = 256;
/// Names that are published together, at most.
const PIECE: usize = 32_768;
/// How often what is known is written to disk, if it has changed.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Agents that are back with a new master say what they run at once; after that long without a
/// word, they have.
const QUIET: Duration = Duration::from_secs(1);
/// The first time soon: whoever is killed early has something to begin with, too.
const FIRST_SAVE: Duration = Duration::from_secs(5);
/// Questions of the API for everything that is named.
const ASKED: usize = 16;

/// Whom to follow, and where to remember.
pub(crate) struct Sources {
    pub(crate) ask: Arc<Ask>,
    pub(crate) masters: Vec<Server>,
    /// Of whom virtual addresses are asked; None: there are none.
    pub(crate) net: Option<Server>,
    pub(crate) data_dir: Option<PathBuf>,
}

/// Every framework, and every task that has names.
pub(crate) type Everything = (Vec<Arc<Framework>>, Vec<Placed>);

/// Asks the feed for what it knows.
#[derive(Clone, Debug)]
pub(crate) struct Desk(mpsc::Sender<oneshot::Sender<Everything>>);

/// What is known and what is made of it: always together.
struct Core {
    picture: Picture,
    names: Names,
    zones: Arc<Zones>,
}

pub(crate) struct Feed {
    core: Core,
    status: Arc<Status>,
    sources: Sources,
    asked: mpsc::Receiver<oneshot::Sender<Everything>>,
    has_changed: bool,
    /// What is being written to disk.
    saving: Option<JoinHandle<()>>,
}

// === impl Desk ===

impl Desk {
    /// None once the feed has ended.
    pub(crate) async fn everything(&self) -> Option<Everything> {
        let (to, answer) = oneshot::channel();
        self.0.send(to).await.ok()?;
        answer.await.ok()
    }
}

// === impl Core ===

impl Core {
    fn take(&mut self, event: Event<Input>) -> Vec<Changed> {
        let changed = self.picture.take(event);
        self.names.update(&self.picture, &changed);
        changed
    }

    /// In pieces: those of a whole state would be on the heap all at once.
    fn publish(&mut self) -> usize {
        let mut count = 0;
        loop {
            let changes = self.names.some_changes(PIECE);
            if changes.is_empty() {
                return count;
            }
            count += changes.len();
            self.zones.publish(changes);
        }
    }

    /// That a name does not exist is only said while every task that runs is known.
    fn set_ready(&self) {
        let is_complete = self.picture.is_complete();
        for zone in self.names.settings().task_zones() {
            if self.zones.is_ready(zone) != is_complete {
                self.zones.set_ready(zone, is_complete);
                tracing::info!(zone, is_complete, "whether all names are known has changed");
            }
        }
    }
}

// === impl Feed ===

impl Feed {
    /// With what is always known; and with what was known last, if that was kept. The zones of
    /// tasks are not ready before a master has told its state: of a name that is not there nobody
    /// can say then that it does not exist.
    pub(crate) async fn new(
        names: Names,
        zones: Arc<Zones>,
        status: Arc<Status>,
        sources: Sources,
    ) -> (Feed, Desk) {
        let mut core = Core { picture: Picture::default(), names, zones };
        if let Some(dir) = sources.data_dir.clone()
            && let Some(last) = kept::load(dir).await
        {
            let count = last.state.tasks.len();
            let changed = core.picture.restore(last.leader, last.state);
            core.names.update(&core.picture, &changed);
            // Who led then leads no more, as far as we know; the names that it had stay.
            let changed = core.picture.cut();
            core.names.update(&core.picture, &changed);
            status.restored(last.as_of);
            tracing::info!(tasks = count, "begins with the names of the last time");
        }
        core.publish();
        for zone in core.names.settings().fixed_zones() {
            core.zones.set_ready(zone, true);
        }
        if sources.net.is_none() {
            core.zones.set_ready(VIPS, true);
        }
        let (to, asked) = mpsc::channel(ASKED);
        (Feed { core, status, sources, asked, has_changed: false, saving: None }, Desk(to))
    }

    /// Follows until the token is cancelled.
    pub(crate) async fn run(mut self, token: CancellationToken) {
        let (to, mut events) = mpsc::channel(EVENTS);
        let (ask_schedulers, schedulers) = schedulers::channel();
        let (vips_to, mut vips) = mpsc::channel(EVENTS);
        let (found_to, mut found) = mpsc::channel(EVENTS);
        let mut tasks = JoinSet::new();
        let ask = &self.sources.ask;
        let follower = Follower {
            ask: Arc::clone(ask),
            masters: self.sources.masters.clone(),
            decoder: Arc::new(Decoder),
            to,
        };
        tasks.spawn(follower.run());
        tasks.spawn(schedulers::run(Arc::clone(ask), schedulers, found_to));
        if let Some(net) = self.sources.net.clone() {
            tasks.spawn(vips::run(Arc::clone(ask), net, vips_to.clone()));
        }
        // Kept open: that nobody sends is no reason to stop.
        let _open = vips_to;
        let first = tokio::time::Instant::now() + FIRST_SAVE;
        let mut saving = tokio::time::interval_at(first, SAVE_EVERY);
        saving.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                () = token.cancelled() => break,
                // None of them ends as long as we listen.
                Some(ended) = tasks.join_next() => {
                    tracing::error!(?ended, "a part of the name server stopped unexpectedly");
                    break;
                }
                count = events.recv_many(&mut batch, BATCH), if !events.is_closed() => {
                    if count > 0 && self.take(&mut batch, &ask_schedulers).await.is_none() {
                        break;
                    }
                }
                Some(input) = found.recv() => {
                    self.core.take(Event::Change(input));
                    self.status.published(self.core.publish());
                }
                Some(told) = vips.recv() => {
                    vips::enter(&mut self.core.names, &self.core.zones, told);
                    self.status.published(self.core.publish());
                }
                Some(to) = self.asked.recv() => {
                    // Whoever asked may have left.
                    let _ = to.send(self.core.names.placed());
                }
                () = tokio::time::sleep(QUIET), if self.awaits() => {
                    self.core.picture.settle();
                    self.core.set_ready();
                }
                _ = saving.tick() => self.save(),
            }
        }
        tasks.shutdown().await;
        self.saved().await;
        self.save();
        self.saved().await;
    }

    /// Whether agents are still to say what they run.
    fn awaits(&self) -> bool {
        self.core.picture.known() && !self.core.picture.is_complete()
    }

    /// None if taking it in failed for good.
    async fn take(
        &mut self,
        batch: &mut Vec<Event<Input>>,
        schedulers: &schedulers::Asker,
    ) -> Option<()> {
        let is_whole = batch.iter().any(|event| matches!(event, Event::Connected { .. }));
        for event in &*batch {
            self.status.told(event);
            schedulers.look_at(event);
        }
        let events = std::mem::take(batch);
        let work = move |core: &mut Core| {
            let mut has_changed = false;
            for event in events {
                let is_state = matches!(event, Event::Connected { .. });
                has_changed |= !core.take(event).is_empty();
                if is_state {
                    // What is published first is there before others are denied.
                    core.publish();
                    core.set_ready();
                }
            }
            let count = core.publish();
            core.set_ready();
            (has_changed, count)
        };
        let (has_changed, count) =
            if is_whole { self.elsewhere(work).await? } else { work(&mut self.core) };
        self.has_changed |= has_changed;
        self.status.published(count);
        self.status.counted(
            self.core.picture.len(),
            self.core.picture.kept(),
            self.core.names.len(),
        );
        Some(())
    }

    /// Does something long on a thread that may be held up.
    async fn elsewhere<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Option<T> {
        let empty = Core {
            picture: Picture::default(),
            names: Names::new(self.core.names.settings().clone()),
            zones: Arc::clone(&self.core.zones),
        };
        let mut core = std::mem::replace(&mut self.core, empty);
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut core);
            (core, result)
        });
        match done.await {
            Ok((core, result)) => {
                self.core = core;
                Some(result)
            }
            Err(error) => {
                tracing::error!(%error, "taking in what a master told failed");
                None
            }
        }
    }

    /// Begins to write what is known to disk, unless that is still being done.
    fn save(&mut self) {
        let is_writing = self.saving.as_ref().is_some_and(|saving| !saving.is_finished());
        if is_writing || !self.has_changed || !self.core.picture.known() {
            return;
        }
        let Some(dir) = self.sources.data_dir.clone() else { return };
        self.has_changed = false;
        let state = kept::Shared::of(&self.core.picture);
        let last = kept::Last { as_of: self.status.as_of(), leader: self.status.leader(), state };
        self.saving = Some(tokio::spawn(kept::save(dir, last)));
    }

    /// Waits until what is being written is.
    async fn saved(&mut self) {
        if let Some(saving) = self.saving.take() {
            // That it panicked has been told.
            let _ = saving.await;
        }
    }
}
