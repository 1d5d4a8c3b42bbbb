//! The state as it stands in the cluster's state: durable before it is acknowledged, and the
//! same for every instance.
//!
//! All changes of all instances form one line: each writes the revision, on the condition that
//! it is the one the decision was made on. An instance that lost the race reads again and
//! decides again.

pub(crate) mod records;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use cluster_state::limits::{MAX_TRANSACTION_BYTES, MAX_TRANSACTION_OPS};
use cluster_state::{ClusterState, Op, StateError, Version, Watch, When};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::records::{REVISION, ROOT, RecordError};
use crate::ApiError;
use crate::feed::Feed;
use crate::model::{Command, State, Write, needs_superuser};

/// How often a change is decided again when others are faster; each time one of them got on.
const TRIES: usize = 64;
/// Between two tries to read a state that cannot be read.
const PAUSE: Duration = Duration::from_secs(1);
/// Room in a transaction for the revision.
const RESERVED: usize = 1024;

/// Why a change was not made, or what is stored could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(transparent)]
    Refused(#[from] ApiError),
    #[error("cannot read or write the cluster's state")]
    State(#[from] StateError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("others changed the state too often in between")]
    Contended,
}

/// Reads without waiting, writes in turn.
#[derive(Debug)]
pub(crate) struct Store {
    cluster: Arc<dyn ClusterState>,
    feed: Arc<Feed>,
    current: ArcSwap<State>,
    /// Held while a change is under way; the version the counter was seen at.
    writer: Mutex<Option<Version>>,
}

// === impl Store ===

impl Store {
    /// Reads everything and follows it until `shutdown`.
    pub(crate) async fn open(
        cluster: Arc<dyn ClusterState>,
        feed: Arc<Feed>,
    ) -> Result<(Arc<Store>, Watch), StoreError> {
        // First the watch, then the state: nothing falls in between.
        let watch = cluster.watch(ROOT).await?;
        let (state, version) = load(&*cluster).await?;
        feed.publish(&State::default(), &state);
        let current = ArcSwap::from_pointee(state);
        let store = Store { cluster, feed, current, writer: Mutex::new(version) };
        Ok((Arc::new(store), watch))
    }

    /// The state as it is known now.
    pub(crate) fn state(&self) -> Arc<State> {
        self.current.load_full()
    }

    /// Whether a command would change something, as far as is known now; or why it is refused.
    pub(crate) fn would_change(
        &self,
        command: &Command,
        superuser: bool,
    ) -> Result<bool, ApiError> {
        Ok(!decide(&self.state(), command, superuser)?.is_empty())
    }

    /// Makes a change. When this returns the change is durable and followers hear of it.
    pub(crate) async fn run(&self, command: &Command) -> Result<Arc<State>, StoreError> {
        self.run_as(command, true).await
    }

    /// As [`Store::run`] for somebody who is no superuser, unless `superuser`; judged on the
    /// state that the change is made on.
    pub(crate) async fn run_as(
        &self,
        command: &Command,
        superuser: bool,
    ) -> Result<Arc<State>, StoreError> {
        let mut seen = self.writer.lock().await;
        for _ in 0..TRIES {
            let before = self.state();
            let writes = decide(&before, command, superuser)?;
            if writes.is_empty() {
                return Ok(before);
            }
            match self.commit(&before, &writes, None, &mut seen).await {
                Ok(()) => return Ok(self.state()),
                Err(StoreError::State(StateError::Conflict { .. })) => {
                    self.reload(&mut seen).await?;
                }
                Err(error) => {
                    // Whether it was written is unknown: what is true is asked for.
                    if let Err(error) = self.reload(&mut seen).await {
                        tracing::error!(%error, "cannot read the state after a failed write");
                    }
                    return Err(error);
                }
            }
        }
        Err(StoreError::Contended)
    }

    /// Makes a change together with a `mark` that says it was made, in one transaction. Says no
    /// when the mark's condition does not hold: somebody else was first.
    pub(crate) async fn run_once(
        &self,
        mark: &Op,
        decide: impl Fn(&State) -> Result<Vec<Write>, ApiError>,
    ) -> Result<bool, StoreError> {
        let mut seen = self.writer.lock().await;
        for _ in 0..TRIES {
            let before = self.state();
            let writes = decide(&before)?;
            let done = if writes.is_empty() {
                self.cluster.transact(vec![mark.clone()]).await.map(drop).map_err(Into::into)
            } else {
                self.commit(&before, &writes, Some(mark), &mut seen).await
            };
            match done {
                Ok(()) => return Ok(true),
                Err(StoreError::State(StateError::Conflict { key, .. })) if key != REVISION => {
                    self.reload(&mut seen).await?;
                    return Ok(false);
                }
                Err(StoreError::State(StateError::Conflict { .. })) => {
                    self.reload(&mut seen).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Contended)
    }

    /// Reads what other instances wrote, for whoever cannot wait to be told.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        self.reload(&mut *self.writer.lock().await).await
    }

    /// Follows what other instances write. While that cannot be read nobody hears that all is as
    /// it was: whoever judges by this state has to know that it may be an old one.
    pub(crate) async fn follow(&self, watch: Watch, shutdown: CancellationToken) {
        let mut watch = Some(watch);
        loop {
            let Some(following) = &mut watch else {
                watch = self.begin_anew(&shutdown).await;
                if watch.is_none() {
                    return;
                }
                continue;
            };
            let changes = tokio::select! {
                changes = following.next() => changes,
                () = shutdown.cancelled() => return,
            };
            let followed = match changes {
                Ok(changes) => self.hear(&changes).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = followed {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "what other instances write cannot be read"
                );
                watch = None;
            }
        }
    }

    /// Reads the state again if another instance wrote it.
    async fn hear(&self, changes: &[cluster_state::Change]) -> Result<(), StoreError> {
        let counter = changes.iter().rev().find(|change| change.key == REVISION);
        let Some(counter) = counter.and_then(|change| change.value.as_deref()) else {
            return Ok(());
        };
        // One's own changes are known already.
        let mut seen = self.writer.lock().await;
        let known = self.state().revision;
        if records::read_revision(counter).is_ok_and(|revision| revision <= known) {
            return Ok(());
        }
        self.reload(&mut seen).await
    }

    /// Another watch, and the state as of then; none when the service stops.
    async fn begin_anew(&self, shutdown: &CancellationToken) -> Option<Watch> {
        self.feed.hold(true);
        loop {
            let begun = async {
                // First the watch, then the state: nothing falls in between.
                let watch = self.cluster.watch(ROOT).await?;
                self.refresh().await?;
                Ok::<Watch, StoreError>(watch)
            };
            let begun = tokio::select! {
                begun = begun => begun,
                () = shutdown.cancelled() => return None,
            };
            match begun {
                Ok(watch) => {
                    self.feed.hold(false);
                    tracing::info!("the state is followed again");
                    return Some(watch);
                }
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the state cannot be read"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = shutdown.cancelled() => return None,
            }
        }
    }

    /// Writes in as many transactions as it takes; what names a record goes before the record.
    async fn commit(
        &self,
        before: &State,
        writes: &[Write],
        mark: Option<&Op>,
        seen: &mut Option<Version>,
    ) -> Result<(), StoreError> {
        let mut rest = writes;
        let mut state = before.clone();
        while !rest.is_empty() {
            let revision = state.revision + 1;
            let when = seen.map_or(When::Absent, When::Version);
            let counter = Bytes::from(revision.to_string());
            let mut ops = vec![Op::Put { key: REVISION.to_owned(), value: counter, when }];
            if std::ptr::eq(rest, writes) {
                ops.extend(mark.cloned());
            }
            let mut bytes = RESERVED;
            let mut taken = 0;
            for write in rest {
                let (key, value) = records::write(write)?;
                bytes += key.len() + value.as_ref().map_or(0, Vec::len);
                let full = ops.len() >= MAX_TRANSACTION_OPS || bytes > MAX_TRANSACTION_BYTES;
                if full && taken > 0 {
                    break;
                }
                let when = When::Any;
                ops.push(match value {
                    Some(value) => Op::Put { key, value: value.into(), when },
                    None => Op::Delete { key, when },
                });
                taken += 1;
            }
            let (now, later) = rest.split_at(taken);
            let versions = self.cluster.transact(ops).await?;
            *seen = versions.first().copied().flatten();
            state.apply(now);
            state.revision = revision;
            self.publish(state.clone());
            rest = later;
        }
        Ok(())
    }

    async fn reload(&self, seen: &mut Option<Version>) -> Result<(), StoreError> {
        let (state, version) = load(&*self.cluster).await?;
        *seen = version;
        self.publish(state);
        Ok(())
    }

    fn publish(&self, state: State) {
        let before = self.current.load_full();
        self.feed.publish(&before, &state);
        self.current.store(Arc::new(state));
    }
}

/// What a command writes, for a superuser or somebody else.
fn decide(state: &State, command: &Command, superuser: bool) -> Result<Vec<Write>, ApiError> {
    if !superuser && needs_superuser(state, command) {
        let text = "Only superusers may change what superusers are made of.";
        return Err(ApiError::forbidden(text));
    }
    command.run(state)
}

async fn load(cluster: &dyn ClusterState) -> Result<(State, Option<Version>), StoreError> {
    let mut state = State::default();
    let mut version = None;
    for entry in cluster.list(ROOT).await? {
        if entry.key == REVISION {
            state.revision = records::read_revision(&entry.value)?;
            version = Some(entry.version);
        } else if let Some(write) = records::read(&entry.key, Some(&entry.value))? {
            state.apply(&[write]);
        }
    }
    Ok((state, version))
}

#[cfg(test)]
mod tests;
