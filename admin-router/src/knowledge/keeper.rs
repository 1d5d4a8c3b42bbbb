//! The task that owns the table: takes what followers tell, publishes what follows of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cluster_events::{marathon, master};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Knowledge;
use super::facts::{Input, MarathonInput, MesosInput, Turn};
use super::marathon::Services;
use super::mesos::Places;
use super::settings::Settings;
use super::snapshot::{Snapshot, Source};
use super::table::{Table, Upstreams};
use crate::Origin;

/// Inputs that may wait; a follower that is faster waits itself.
const WAITING: usize = 1024;
/// Inputs that are published together when they come faster than that.
const TOGETHER: usize = 256;

pub(super) struct Keeper {
    table: Table,
    mesos: mpsc::Receiver<master::Event<MesosInput>>,
    marathon: mpsc::Receiver<(Turn, MarathonInput)>,
    now: Arc<ArcSwap<Snapshot>>,
    began: Instant,
    /// Aborted with the set: they only read.
    followers: JoinSet<()>,
}

// === impl Keeper ===

impl Keeper {
    /// Begins to follow.
    pub(super) fn start(
        settings: &Settings,
        upstreams: Upstreams,
        knowledge: &Knowledge,
    ) -> Keeper {
        let ask = Arc::new(settings.ask());
        let servers = |origins: &[Origin]| origins.iter().filter_map(Origin::server).collect();
        let mut followers = JoinSet::new();
        let (to, mesos) = mpsc::channel(WAITING);
        let masters = servers(&settings.mesos);
        let decoder = Arc::new(Places);
        followers.spawn(master::Follower { ask: Arc::clone(&ask), masters, decoder, to }.run());
        let (to, marathon) = mpsc::channel(WAITING);
        let marathons = servers(&settings.marathon);
        let decoder = Arc::new(Services);
        followers.spawn(marathon::Follower { ask, marathons, decoder, to }.run());
        let table = Table::new(upstreams, settings.max_age);
        let (now, began) = (Arc::clone(&knowledge.now), knowledge.began);
        Keeper { table, mesos, marathon, now, began, followers }
    }

    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&mut self) {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut master_told = Vec::with_capacity(TOGETHER);
        let mut marathon_told = Vec::with_capacity(TOGETHER);
        loop {
            // A follower with nobody to ask has ended, and its channel with it.
            tokio::select! {
                _ = ticks.tick() => self.apply(Input::Tick),
                1.. = self.mesos.recv_many(&mut master_told, TOGETHER) => {
                    master_told.drain(..).for_each(|event| self.apply(mesos_input(event)));
                }
                1.. = self.marathon.recv_many(&mut marathon_told, TOGETHER) => {
                    let told = marathon_told.drain(..);
                    told.for_each(|(turn, input)| self.apply(Input::Marathon(turn, input)));
                }
                Some(Err(error)) = self.followers.join_next() => {
                    // A defect: what is known must not be taken for what is.
                    tracing::error!(%error, "a follower stopped");
                    self.apply(Input::Mesos(MesosInput::Cut));
                    self.table.marathon_is_lost(self.began.elapsed());
                }
            }
            if let Some(snapshot) = self.table.take_change() {
                self.publish(snapshot);
            }
        }
    }

    fn apply(&mut self, input: Input) {
        self.table.apply(input, self.began.elapsed());
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

fn mesos_input(event: master::Event<MesosInput>) -> Input {
    Input::Mesos(match event {
        master::Event::Connected { leader, input: MesosInput::State(mut state) } => {
            state.leader = Some(leader);
            MesosInput::State(state)
        }
        master::Event::Connected { input, .. } | master::Event::Change(input) => input,
        master::Event::Cut => MesosInput::Cut,
    })
}
