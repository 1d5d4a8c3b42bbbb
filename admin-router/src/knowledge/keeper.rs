//! The task that owns the table: takes what followers tell, publishes what follows of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cluster_events::asking::{Ask, Backoff, Server};
use cluster_events::{marathon, master};
use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};
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
    ask: Arc<Ask>,
    masters: Vec<Server>,
    marathons: Vec<Server>,
    mesos: mpsc::Receiver<master::Event<MesosInput>>,
    marathon: mpsc::Receiver<(Turn, MarathonInput)>,
    /// Of the last that Marathon's follower told.
    number: u64,
    now: Arc<ArcSwap<Snapshot>>,
    began: Instant,
    /// Aborted with the set: they only read.
    followers: JoinSet<()>,
    master_follower: Option<task::Id>,
    backoff: Backoff,
}

// === impl Keeper ===

impl Keeper {
    /// Begins to follow.
    pub(super) fn start(
        settings: &Settings,
        upstreams: Upstreams,
        knowledge: &Knowledge,
    ) -> Keeper {
        let servers = |origins: &[Origin]| origins.iter().filter_map(Origin::server).collect();
        let mut keeper = Keeper {
            table: Table::new(upstreams, settings.max_age),
            ask: Arc::new(settings.ask()),
            masters: servers(&settings.mesos),
            marathons: servers(&settings.marathon),
            mesos: mpsc::channel(1).1,
            marathon: mpsc::channel(1).1,
            number: 0,
            now: Arc::clone(&knowledge.now),
            began: knowledge.began,
            followers: JoinSet::new(),
            master_follower: None,
            backoff: Backoff::default(),
        };
        keeper.follow_master(Duration::ZERO);
        keeper.follow_marathon(Duration::ZERO);
        keeper
    }

    fn follow_master(&mut self, pause: Duration) {
        let (to, mesos) = mpsc::channel(WAITING);
        self.mesos = mesos;
        let (ask, masters) = (Arc::clone(&self.ask), self.masters.clone());
        let follower = master::Follower { ask, masters, decoder: Arc::new(Places), to };
        let handle = self.followers.spawn(async move {
            sleep(pause).await;
            follower.run().await;
        });
        self.master_follower = Some(handle.id());
    }

    fn follow_marathon(&mut self, pause: Duration) {
        let (to, marathon) = mpsc::channel(WAITING);
        self.marathon = marathon;
        let (ask, marathons) = (Arc::clone(&self.ask), self.marathons.clone());
        let (decoder, after) = (Arc::new(Services), self.number);
        let follower = marathon::Follower { ask, marathons, decoder, after, to };
        self.followers.spawn(async move {
            sleep(pause).await;
            follower.run().await;
        });
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
                    for (turn, input) in marathon_told.drain(..) {
                        self.number = turn.number;
                        self.apply(Input::Marathon(turn, input));
                    }
                }
                Some(Err(error)) = self.followers.join_next() => self.lost(&error),
            }
            if let Some(snapshot) = self.table.take_change() {
                self.publish(snapshot);
            }
            self.table.take_retired().iter().for_each(|upstream| upstream.retire());
        }
    }

    /// A follower ended by a defect of its own. Another one takes its place; until that has heard
    /// something, what is known must not be taken for what is.
    fn lost(&mut self, error: &task::JoinError) {
        let (now, pause) = (self.began.elapsed(), self.backoff.pause());
        if self.master_follower == Some(error.id()) {
            tracing::error!(%error, "the follower of the leading master stopped");
            self.table.disbelieve_mesos(now);
            self.follow_master(pause);
        } else {
            tracing::error!(%error, "the follower of Marathon stopped");
            self.table.disbelieve_marathon(now);
            self.follow_marathon(pause);
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_follower_that_ends_by_a_defect_is_replaced() {
        let master = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let marathon = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = |listener: &TcpListener| Origin::http(listener.local_addr().unwrap());
        let settings = Settings::new(vec![origin(&master)], vec![origin(&marathon)]);
        let knowledge = Knowledge::nothing();
        let mut keeper = Keeper::start(&settings, settings.upstreams(), &knowledge);
        // They wait for answers.
        let connected = (master.accept().await.unwrap(), marathon.accept().await.unwrap());
        keeper.apply(Input::Mesos(MesosInput::State(Box::default())));
        keeper.number = 7;
        keeper.followers.abort_all();
        let again = async { (master.accept().await.unwrap(), marathon.accept().await.unwrap()) };
        let again = timeout(Duration::from_secs(20), async {
            tokio::select! {
                () = keeper.keep() => None,
                again = again => Some(again),
            }
        });
        assert!(again.await.unwrap().is_some());
        let now = knowledge.snapshot();
        assert!(matches!(now.mesos, Source::Expired { .. }), "{:?}", now.mesos);
        assert_eq!(now.marathon, Source::Never);
        drop(connected);
    }
}
