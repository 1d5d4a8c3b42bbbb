//! The task that owns the table: takes what followers tell, publishes what follows of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::asking::{Ask, Server};
use super::facts::{Input, MesosInput};
use super::settings::Settings;
use super::snapshot::{Snapshot, Source};
use super::table::{Table, Upstreams};
use super::{Knowledge, marathon, mesos};
use crate::Origin;

/// Inputs that may wait; a follower that is faster waits itself.
const WAITING: usize = 1024;
/// Inputs that are published together when they come faster than that.
const TOGETHER: usize = 256;
const CONNECT: Duration = Duration::from_secs(5);

pub(super) struct Keeper {
    table: Table,
    inputs: mpsc::Receiver<Input>,
    now: Arc<ArcSwap<Snapshot>>,
    began: Instant,
    followers: Vec<Follower>,
}

enum Follower {
    Mesos(mesos::Follower),
    Marathon(marathon::Follower),
}

// === impl Keeper ===

impl Keeper {
    pub(super) fn new(settings: &Settings, upstreams: Upstreams, knowledge: &Knowledge) -> Keeper {
        let (to, inputs) = mpsc::channel(WAITING);
        let Settings { authorities, authorization, timeout, .. } = settings;
        let ask = Ask::new(authorities.clone(), authorization.clone(), CONNECT, *timeout);
        let ask = Arc::new(ask);
        let servers = |origins: &[Origin]| origins.iter().filter_map(Server::of).collect();
        let masters = servers(&settings.mesos);
        let mesos = mesos::Follower { ask: Arc::clone(&ask), masters, to: to.clone() };
        let marathons = servers(&settings.marathon);
        let marathon = marathon::Follower { ask, marathons, to };
        let followers = vec![Follower::Mesos(mesos), Follower::Marathon(marathon)];
        let table = Table::new(upstreams, settings.max_age);
        let (now, began) = (Arc::clone(&knowledge.now), knowledge.began);
        Keeper { table, inputs, now, began, followers }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut followers = JoinSet::new();
        for follower in self.followers.drain(..) {
            match follower {
                Follower::Mesos(follower) => followers.spawn(follower.run()),
                Follower::Marathon(follower) => followers.spawn(follower.run()),
            };
        }
        // Followers are aborted with their set: they only read.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.keep(followers) => {}
        }
    }

    async fn keep(&mut self, mut followers: JoinSet<()>) {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(TOGETHER);
        let mut is_silent = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => batch.push(Input::Tick),
                told = self.inputs.recv_many(&mut batch, TOGETHER), if !is_silent => {
                    is_silent = told == 0;
                }
                Some(Err(error)) = followers.join_next() => {
                    // A defect: what is known must not be taken for what is.
                    tracing::error!(%error, "a follower stopped");
                    batch.push(Input::Mesos(MesosInput::Cut));
                    self.table.marathon_is_lost(self.began.elapsed());
                }
            }
            for input in batch.drain(..) {
                self.table.apply(input, self.began.elapsed());
            }
            if let Some(snapshot) = self.table.take_change() {
                self.publish(snapshot);
            }
        }
    }

    fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        let before = self.now.swap(Arc::clone(&snapshot));
        let sources = [
            ("the leading master", before.mesos, snapshot.mesos),
            ("Marathon", before.marathon, snapshot.marathon),
        ];
        for (source, before, now) in sources {
            if before != now && matches!(now, Source::Expired { .. }) {
                tracing::error!(source, "what it told is too old to be used");
            }
        }
    }
}
