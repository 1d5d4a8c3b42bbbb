//! The policy as it is now, and everybody who follows it.
//!
//! A change is told to all followers at once. Who does not keep up is cut off, and begins anew
//! with everything: no follower holds back another, and none misses a change unnoticed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_kit::Body;
use identity::wire::{Change, Line};
use identity::{KeySet, Policy, Snapshot};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::{State, changes, everything};

/// Lines that may wait for one follower.
const BACKLOG: usize = 256;
/// Followers at once; each costs its backlog at most.
const MAX_FOLLOWERS: usize = 4096;
/// How long a follower may leave a line unread.
const PATIENCE: Duration = Duration::from_secs(30);

/// What every judge follows.
#[derive(Debug)]
pub(crate) struct Feed {
    current: ArcSwap<Snapshot>,
    inner: Mutex<Inner>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Whether somebody may still read along.
pub(crate) type MayRead = Box<dyn Fn(&Snapshot) -> bool + Send + Sync>;

struct Follower {
    lines: Sender<Bytes>,
    may_read: MayRead,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Follower")
    }
}

#[derive(Debug)]
struct Inner {
    version: u64,
    keys: Value,
    state: State,
    followers: Vec<Follower>,
    /// The state may be an old one: nobody is told that it is as it was.
    held: bool,
}

// === impl Feed ===

impl Feed {
    /// A policy under which nobody may do anything, and no key counts.
    pub(crate) fn new(shutdown: CancellationToken) -> Arc<Feed> {
        let keys = json!({ "keys": [] });
        let empty = Snapshot { version: 0, keys: KeySet::default(), policy: Policy::default() };
        let inner =
            Inner { version: 0, keys, state: State::default(), followers: Vec::new(), held: false };
        Arc::new(Feed {
            current: ArcSwap::from_pointee(empty),
            inner: Mutex::new(inner),
            tasks: TaskTracker::new(),
            shutdown,
        })
    }

    /// The policy as of now, as every follower has it.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.lock().followers.len()
    }

    /// Tells what changed between two states.
    pub(crate) fn publish(&self, before: &State, after: &State) {
        let changes = changes(before, after);
        let mut inner = self.lock();
        inner.state = after.clone();
        self.tell(&mut inner, changes);
    }

    /// Tells the keys that count from now on: a JSON Web Key Set.
    pub(crate) fn set_keys(&self, keys: Value) {
        let mut inner = self.lock();
        if inner.keys == keys {
            return;
        }
        inner.keys = keys.clone();
        self.tell(&mut inner, vec![Change::KeysSet { keys }]);
    }

    /// No signs of life and no new followers until it is `false` again.
    pub(crate) fn hold(&self, held: bool) {
        self.lock().held = held;
    }

    fn tell(&self, inner: &mut Inner, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        inner.version += 1;
        let line = Line::changes(inner.version, changes);
        let lines = line.encoded();
        let mut snapshot = Snapshot::clone(&self.current.load());
        if let Err(error) = snapshot.apply_line(line) {
            // Cannot happen with lines of this process; with everything anew it is true again.
            tracing::error!(%error, "the policy is built anew");
            let all = everything(&inner.state, inner.keys.clone());
            match Snapshot::from_everything(inner.version, all) {
                Ok(anew) => snapshot = anew,
                Err(error) => tracing::error!(%error, "the policy cannot be built"),
            }
            inner.followers.clear();
        }
        let snapshot = Arc::new(snapshot);
        self.current.store(Arc::clone(&snapshot));
        inner.dismiss(&snapshot);
        lines.into_iter().for_each(|line| inner.send(&line.into()));
    }

    /// Everything, and then every change, as long as `may_read`: the body of an answer without
    /// end. `None` when too many follow, or when it is not known whether the state is an old one.
    pub(crate) fn follow(&self, may_read: MayRead) -> Option<Body> {
        let (sender, lines) = mpsc::channel(BACKLOG);
        let (version, state, keys) = {
            let mut inner = self.lock();
            inner.followers.retain(|follower| !follower.lines.is_closed());
            if inner.held || inner.followers.len() >= MAX_FOLLOWERS || self.shutdown.is_cancelled()
            {
                return None;
            }
            // It may have changed since the request was judged.
            if !may_read(&self.snapshot()) {
                return None;
            }
            inner.followers.push(Follower { lines: sender, may_read });
            (inner.version, inner.state.clone(), inner.keys.clone())
        };
        let (out, body) = Body::channel(1);
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let first = Line::snapshot(version, everything(&state, keys));
            drop(state);
            tokio::select! {
                () = forward(first.encoded(), lines, out) => {}
                () = shutdown.cancelled() => {}
            }
        });
        Some(body)
    }

    /// A sign of life for every follower, until the end.
    pub(crate) async fn beat(&self, every: Duration) {
        let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.shutdown.cancelled() => break,
            }
            let mut inner = self.lock();
            // Tokens expire without a change.
            inner.dismiss(&self.snapshot());
            if inner.held {
                continue;
            }
            let bytes = Bytes::from(Line::heartbeat(inner.version).to_bytes());
            inner.send(&bytes);
        }
        self.lock().followers.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    /// Who has no room for a line, or is gone, is cut off.
    fn send(&mut self, line: &Bytes) {
        self.followers.retain(|follower| follower.lines.try_send(line.clone()).is_ok());
    }

    /// Who may not read along any more is told nothing more.
    fn dismiss(&mut self, snapshot: &Snapshot) {
        self.followers.retain(|follower| (follower.may_read)(snapshot));
    }
}

/// Ends when the follower is cut off, went away, or does not read.
async fn forward(first: Vec<Vec<u8>>, mut lines: Receiver<Bytes>, out: Sender<Bytes>) {
    let mut first = first.into_iter().map(Bytes::from);
    let mut next = first.next();
    while let Some(line) = next {
        let sent = tokio::time::timeout(PATIENCE, out.send(line)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
        next = match first.next() {
            Some(line) => Some(line),
            None => tokio::select! {
                line = lines.recv() => line,
                () = out.closed() => None,
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::model::{Command, Credential, NewUser, PasswordHash};

    fn anybody() -> MayRead {
        Box::new(|_| true)
    }

    /// A change that makes a user.
    fn grow(feed: &Feed, state: &mut State, n: usize) {
        let before = state.clone();
        let command = Command::CreateUser(NewUser {
            uid: format!("u{n}"),
            description: String::new(),
            credential: Credential::Password(PasswordHash(String::new())),
        });
        state.apply(&command.run(&before).unwrap());
        state.revision += 1;
        feed.publish(&before, state);
    }

    async fn lines(mut body: Body, at_most: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        while lines.len() < at_most
            && let Some(frame) = body.frame().await
        {
            let bytes = frame.unwrap().into_data().unwrap();
            lines.push(serde_json::from_slice(&bytes).unwrap());
        }
        lines
    }

    #[tokio::test]
    async fn who_does_not_read_is_cut_off_and_begins_anew() {
        let feed = Feed::new(CancellationToken::new());
        let mut state = State::default();
        grow(&feed, &mut state, 0);
        let slow = feed.follow(anybody()).unwrap();
        for n in 1..=BACKLOG * 2 {
            grow(&feed, &mut state, n);
            tokio::task::yield_now().await;
        }
        assert_eq!(feed.followers(), 0);
        // What waited for it is a part without a gap, and then an end.
        let mut heard = lines(slow, usize::MAX).await.into_iter();
        let mut snapshot = Snapshot::from_line(heard.next().unwrap()).unwrap();
        for line in heard {
            snapshot.apply_line(line).unwrap();
        }
        assert!(snapshot.version < feed.snapshot().version);
        let anew = lines(feed.follow(anybody()).unwrap(), 1).await.remove(0);
        assert_eq!(Snapshot::from_line(anew).unwrap(), *feed.snapshot());
    }

    #[tokio::test]
    async fn who_keeps_up_stays_and_has_what_everybody_has() {
        let feed = Feed::new(CancellationToken::new());
        let mut state = State::default();
        let body = feed.follow(anybody()).unwrap();
        let reader = tokio::spawn(lines(body, 1 + BACKLOG * 4));
        for n in 0..BACKLOG * 4 {
            grow(&feed, &mut state, n);
            // A moment for the reader.
            while feed.pending() > 0 {
                tokio::task::yield_now().await;
            }
        }
        let mut heard = reader.await.unwrap().into_iter();
        let mut snapshot = Snapshot::from_line(heard.next().unwrap()).unwrap();
        heard.for_each(|line| snapshot.apply_line(line).unwrap());
        assert_eq!(snapshot, *feed.snapshot());
    }

    #[tokio::test]
    async fn there_are_no_signs_of_life_while_the_state_may_be_an_old_one() {
        let stop = CancellationToken::new();
        let feed = Feed::new(stop.clone());
        let body = feed.follow(anybody()).unwrap();
        feed.hold(true);
        let beating = Arc::clone(&feed);
        let beat = tokio::spawn(async move { beating.beat(Duration::from_millis(1)).await });
        let mut two = Box::pin(lines(body, 2));
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut two).await.is_err());
        assert!(feed.follow(anybody()).is_none());
        feed.hold(false);
        assert_eq!(two.await.len(), 2);
        stop.cancel();
        beat.await.unwrap();
    }

    #[tokio::test]
    async fn who_may_no_longer_read_hears_nothing_more() {
        let feed = Feed::new(CancellationToken::new());
        let mut state = State::default();
        let body = feed.follow(Box::new(|all| all.policy.user("u1").is_none())).unwrap();
        grow(&feed, &mut state, 0);
        assert_eq!(feed.followers(), 1);
        grow(&feed, &mut state, 1);
        assert_eq!(feed.followers(), 0);
        let heard = lines(body, usize::MAX).await;
        assert_eq!(heard.len(), 2, "everything and the change before: {heard:?}");
        assert!(feed.follow(Box::new(|_| false)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_late_is_found_without_a_change() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let shutdown = CancellationToken::new();
        let feed = Feed::new(shutdown.clone());
        let in_time = Arc::new(AtomicBool::new(true));
        let still = Arc::clone(&in_time);
        let body = feed.follow(Box::new(move |_| still.load(Ordering::SeqCst))).unwrap();
        let beating = Arc::clone(&feed);
        let beat = tokio::spawn(async move { beating.beat(Duration::from_secs(5)).await });
        let reader = tokio::spawn(lines(body, usize::MAX));
        tokio::time::sleep(Duration::from_secs(12)).await;
        assert_eq!(feed.followers(), 1);
        in_time.store(false, Ordering::SeqCst);
        assert_eq!(reader.await.unwrap().len(), 4, "everything and three signs of life");
        shutdown.cancel();
        beat.await.unwrap();
    }

    #[tokio::test]
    async fn a_key_set_that_is_the_same_is_not_told() {
        let feed = Feed::new(CancellationToken::new());
        let key = identity::SigningKey::generate_es256().unwrap();
        let key = identity::SigningKey::es256(&key).unwrap();
        let keys = json!({ "keys": [key.public_jwk()] });
        feed.set_keys(keys.clone());
        let version = feed.snapshot().version;
        assert!(feed.snapshot().keys.get(key.kid()).is_some());
        feed.set_keys(keys);
        assert_eq!(feed.snapshot().version, version);
    }

    impl Feed {
        fn pending(&self) -> usize {
            let waits =
                |follower: &Follower| follower.lines.max_capacity() - follower.lines.capacity();
            self.lock().followers.iter().map(waits).sum()
        }
    }
}
