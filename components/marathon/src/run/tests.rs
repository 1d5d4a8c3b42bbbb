//! The service on a store that fails, is slow, or says it failed though it did not.

use super::*;
use bytes::Bytes;
use cluster_state::{
    BoxFuture, Entry, Leader, Leadership, Op, StateError, Version, Watch, embedded,
};
use marathon_core::{Command, Done, Reply};
use marathon_model::{PathId, change::Change, update::AppUpdate};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

/// How writes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Working,
    /// Nothing is written.
    Full,
    /// It is written, and said not to be.
    Lying,
}

/// A store between the service and a real one.
#[derive(Debug)]
struct Fickle {
    inner: Arc<dyn ClusterState>,
    mode: Mutex<Mode>,
    /// One permit for each write that may end.
    permits: Semaphore,
    writes: AtomicUsize,
}

impl Fickle {
    fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }
}

impl ClusterState for Fickle {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StateError>> {
        self.inner.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StateError>> {
        self.inner.list(prefix)
    }

    fn transact(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Vec<Option<Version>>, StateError>> {
        Box::pin(async move {
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.permits.acquire().await.unwrap().forget();
            let mode = *self.mode.lock().unwrap();
            let full = || {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                StateError::Storage(Arc::new(full))
            };
            match mode {
                Mode::Working => self.inner.transact(ops).await,
                Mode::Full => Err(full()),
                Mode::Lying => self.inner.transact(ops).await.and(Err(full())),
            }
        })
    }

    fn watch<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Watch, StateError>> {
        self.inner.watch(prefix)
    }

    fn campaign<'a>(
        &'a self,
        election: &'a str,
        identity: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, StateError>> {
        self.inner.campaign(election, identity)
    }

    fn leader<'a>(
        &'a self,
        election: &'a str,
    ) -> BoxFuture<'a, Result<watch::Receiver<Option<Leader>>, StateError>> {
        self.inner.leader(election)
    }
}

struct World {
    _folder: TempDir,
    state: Arc<Fickle>,
    handle: Handle,
    running: Running,
    stop: CancellationToken,
}

const ENOUGH: usize = 1 << 20;

impl World {
    /// A service whose master is nowhere.
    async fn start(permits: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner: Arc<dyn ClusterState> =
            embedded::open(folder.path().join("state.redb")).unwrap();
        let state = Arc::new(Fickle {
            inner,
            mode: Mutex::new(Mode::Working),
            permits: Semaphore::new(permits),
            writes: AtomicUsize::new(0),
        });
        let config =
            Config { http_port: 0, masters: vec!["127.0.0.1:1".to_owned()], ..Config::default() };
        let stop = CancellationToken::new();
        let running = start(config, state.clone(), stop.clone()).await.unwrap();
        let handle = running.handle.clone();
        Self { _folder: folder, state, handle, running, stop }
    }

    async fn create(&self, id: &str) -> Reply {
        create(&self.handle, id).await
    }

    /// Tries again while the service recovers.
    async fn created_at_last(&self, id: &str) -> Reply {
        loop {
            match self.create(id).await {
                Err(Refusal::Unavailable(_)) => sleep(Duration::from_millis(5)).await,
                reply => return reply,
            }
        }
    }

    fn has(&self, id: &str) -> bool {
        self.handle.view().root.app(&PathId::parse(id).unwrap()).is_some()
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.join.await.unwrap().unwrap();
    }
}

async fn create(handle: &Handle, id: &str) -> Reply {
    let body = format!(r#"{{"id": "{id}", "cmd": "true", "instances": 0}}"#);
    let update = AppUpdate::parse_bytes(body.as_bytes()).unwrap();
    let change = Change::CreateApp(update);
    handle.command(Command::Change { change, force: false }).await
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_and_forgotten() {
    let world = World::start(ENOUGH).await;
    assert!(matches!(world.create("/kept").await, Ok(Done::Deployment { .. })));
    world.state.set(Mode::Full);
    for id in ["/lost", "/lost-too"] {
        let Err(Refusal::Unavailable(reason)) = world.create(id).await else {
            panic!("{id} was taken")
        };
        assert!(!reason.is_empty());
    }
    world.state.set(Mode::Working);
    // Taken although the core had it already when the write failed.
    assert!(matches!(world.created_at_last("/lost").await, Ok(Done::Deployment { .. })));
    assert!(world.has("/kept") && world.has("/lost") && !world.has("/lost-too"));
    world.end().await;
}

#[tokio::test]
async fn what_was_written_after_all_is_there() {
    let world = World::start(ENOUGH).await;
    world.state.set(Mode::Lying);
    assert!(matches!(world.create("/there").await, Err(Refusal::Unavailable(_))));
    world.state.set(Mode::Working);
    let again = world.created_at_last("/there").await;
    assert!(matches!(again, Err(Refusal::Model(_))), "{again:?}");
    assert!(world.has("/there"));
    world.end().await;
}

#[tokio::test]
async fn commands_share_a_write_and_nothing_shows_before_it_is_on_disk() {
    const COMMANDS: usize = 100;
    let world = World::start(0).await;
    let wait_for_writes = async |count| {
        while world.state.writes.load(Ordering::Relaxed) < count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let first = tokio::spawn({
        let handle = world.handle.clone();
        async move { create(&handle, "/first").await }
    });
    wait_for_writes(1).await;
    let others: Vec<_> = (0..COMMANDS)
        .map(|number| {
            let handle = world.handle.clone();
            tokio::spawn(async move { create(&handle, &format!("/a{number}")).await })
        })
        .collect();
    while world.handle.commands() <= COMMANDS as u64 {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(!world.has("/first") && !first.is_finished());
    world.state.permits.add_permits(1);
    first.await.unwrap().unwrap();
    assert!(world.has("/first"));
    world.state.permits.add_permits(ENOUGH);
    for other in others {
        other.await.unwrap().unwrap();
    }
    let writes = world.state.writes.load(Ordering::Relaxed);
    assert!(writes < COMMANDS / 2, "{writes} writes for {COMMANDS} commands");
    world.end().await;
}

#[tokio::test]
async fn a_stop_answers_everybody() {
    let world = World::start(ENOUGH).await;
    let handle = world.handle.clone();
    world.end().await;
    assert!(matches!(create(&handle, "/late").await, Err(Refusal::Unavailable(_))));
}

#[tokio::test]
async fn a_slow_write_ends_before_the_next_life_begins() {
    let world = World::start(0).await;
    let first = tokio::spawn({
        let handle = world.handle.clone();
        async move { create(&handle, "/first").await }
    });
    while world.state.writes.load(Ordering::Relaxed) < 1 {
        sleep(Duration::from_millis(1)).await;
    }
    world.handle.abdicate();
    sleep(Duration::from_millis(100)).await;
    world.state.permits.add_permits(ENOUGH);
    // What is written is answered, and the next life knows of it.
    first.await.unwrap().unwrap();
    let again = world.created_at_last("/first").await;
    assert!(matches!(again, Err(Refusal::Model(_))), "{again:?}");
    world.end().await;
}
