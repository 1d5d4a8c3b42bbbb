//! The one thread that writes: group commit, conditions, watches.

use std::sync::Arc;

use redb::{ReadableTable, Table, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::elections::Elections;
use super::storage::{ENTRIES, META, REVISION, Storage};
use crate::watch::{Change, Hub};
use crate::{FencingToken, Op, StateError, Version, Watch, When};

/// The most requests that share one flush: bounds the memory of a batch.
const MAX_BATCH: usize = 256;

type Reply<T> = oneshot::Sender<Result<T, StateError>>;
/// For each step of a transaction, the version it gave its key.
type Versions = Vec<Option<Version>>;
type Entries<'txn> = Table<'txn, &'static str, (u64, &'static [u8])>;

pub(super) enum Request {
    Transact { ops: Vec<Op>, reply: Reply<Versions> },
    Watch { prefix: String, reply: Reply<Watch> },
    NextToken { election: String, reply: Reply<FencingToken> },
}

pub(super) struct Writer {
    storage: Arc<Storage>,
    elections: Arc<Elections>,
    requests: mpsc::Receiver<Request>,
    hub: Hub,
    /// Grows with each transaction that writes, and is the version of what it wrote.
    revision: u64,
    /// The last flush failed: the handle must be replaced before the next one.
    broken: bool,
}

/// What a batch wants to tell, held back until the flush succeeded.
#[derive(Default)]
struct Outcome {
    revision: u64,
    changes: Vec<Change>,
    transactions: Vec<(Reply<Versions>, Result<Versions, StateError>)>,
    tokens: Vec<(Reply<FencingToken>, FencingToken)>,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(
        storage: Arc<Storage>,
        elections: Arc<Elections>,
        requests: mpsc::Receiver<Request>,
    ) -> Result<Self, StateError> {
        let revision = storage.revision()?;
        Ok(Writer { storage, elections, requests, hub: Hub::default(), revision, broken: false })
    }

    /// Serves until every sender is gone.
    pub(super) fn run(mut self) {
        while let Some(first) = self.requests.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = self.requests.try_recv()
            {
                batch.push(next);
            }
            self.serve(batch);
        }
    }

    fn serve(&mut self, batch: Vec<Request>) {
        if self.broken {
            match self.reopen() {
                Ok(()) => self.broken = false,
                Err(error) => return refuse(batch, &error),
            }
        }
        // Subscriptions first: they start from what is flushed, and see this batch as changes.
        let writes = batch.into_iter().filter_map(|request| self.subscribe(request)).collect();
        self.write(writes);
    }

    fn reopen(&mut self) -> Result<(), StateError> {
        self.storage.reopen()?;
        let revision = self.storage.revision()?;
        tracing::warn!(revision, "cluster state reopened after a failed write");
        self.revision = self.revision.max(revision);
        Ok(())
    }

    /// Serves `request` if it is a subscription, or hands it back.
    fn subscribe(&mut self, request: Request) -> Option<Request> {
        let Request::Watch { prefix, reply } = request else { return Some(request) };
        let watch = self.storage.list(&prefix).map(|initial| self.hub.subscribe(prefix, initial));
        // A caller that stopped waiting drops its watch with the answer.
        let _ = reply.send(watch);
        None
    }

    fn write(&mut self, batch: Vec<Request>) {
        if batch.is_empty() {
            return;
        }
        let mut outcome = Outcome { revision: self.revision, ..Outcome::default() };
        match self.flush(batch, &mut outcome) {
            Ok(()) => {
                self.revision = outcome.revision;
                self.hub.publish(&outcome.changes);
                outcome.tell();
            }
            Err(error) => {
                tracing::error!(%error, "cluster state could not be written");
                self.broken = true;
                // What was attempted may still reach the disk: its versions are spent.
                self.revision = outcome.revision;
                outcome.fail(&error);
            }
        }
    }

    fn flush(&self, batch: Vec<Request>, outcome: &mut Outcome) -> Result<(), StateError> {
        let mut batch = batch.into_iter();
        let result = self.apply_all(&mut batch, outcome);
        if let Err(error) = &result {
            refuse(batch.collect(), error);
        }
        result
    }

    fn apply_all(
        &self,
        batch: &mut impl Iterator<Item = Request>,
        outcome: &mut Outcome,
    ) -> Result<(), StateError> {
        let transaction = self.storage.database()?.begin_write().map_err(StateError::storage)?;
        {
            let mut entries = transaction.open_table(ENTRIES).map_err(StateError::storage)?;
            for request in batch {
                match request {
                    Request::Transact { ops, reply } => {
                        let result = self.apply(&mut entries, &ops, outcome);
                        let broken = match &result {
                            Err(error @ StateError::Storage(_)) => Some(error.clone()),
                            _ => None,
                        };
                        outcome.transactions.push((reply, result));
                        if let Some(error) = broken {
                            return Err(error);
                        }
                    }
                    Request::NextToken { election, reply } => {
                        let token = next_token(&transaction, &election)?;
                        outcome.tokens.push((reply, token));
                    }
                    Request::Watch { .. } => {}
                }
            }
        }
        if outcome.revision == self.revision && outcome.tokens.is_empty() {
            // Nothing but refusals and checks: no reason to touch the disk.
            return transaction.abort().map_err(StateError::storage);
        }
        {
            let mut meta = transaction.open_table(META).map_err(StateError::storage)?;
            meta.insert(REVISION, outcome.revision).map_err(StateError::storage)?;
        }
        transaction.commit().map_err(StateError::storage)
    }

    fn apply(
        &self,
        entries: &mut Entries<'_>,
        ops: &[Op],
        outcome: &mut Outcome,
    ) -> Result<Versions, StateError> {
        for op in ops {
            self.check(entries, op)?;
        }
        let writes = ops.iter().any(|op| matches!(op, Op::Put { .. } | Op::Delete { .. }));
        if writes {
            outcome.revision += 1;
        }
        let version = Version(outcome.revision);
        ops.iter().map(|op| execute(entries, op, version, &mut outcome.changes)).collect()
    }

    fn check(&self, entries: &Entries<'_>, op: &Op) -> Result<(), StateError> {
        let (key, wanted) = match op {
            Op::Put { key, when, .. } | Op::Delete { key, when } | Op::Check { key, when } => {
                (key, *when)
            }
            Op::Fence { election, token } if self.elections.is_current(election, *token) => {
                return Ok(());
            }
            Op::Fence { election, .. } => {
                return Err(StateError::Fenced { election: election.clone() });
            }
        };
        if wanted == When::Any {
            return Ok(());
        }
        let found = entries.get(key.as_str()).map_err(StateError::storage)?;
        let found = found.map(|guard| Version(guard.value().0));
        if wanted.holds(found) {
            return Ok(());
        }
        Err(StateError::Conflict { key: key.clone(), wanted, found })
    }
}

fn execute(
    entries: &mut Entries<'_>,
    op: &Op,
    version: Version,
    changes: &mut Vec<Change>,
) -> Result<Option<Version>, StateError> {
    match op {
        Op::Put { key, value, .. } => {
            entries
                .insert(key.as_str(), (version.0, value.as_ref()))
                .map_err(StateError::storage)?;
            changes.push(Change { key: key.clone(), value: Some(value.clone()), version });
            Ok(Some(version))
        }
        Op::Delete { key, .. } => {
            let removed = entries.remove(key.as_str()).map_err(StateError::storage)?;
            if removed.is_some() {
                changes.push(Change { key: key.clone(), value: None, version });
            }
            Ok(None)
        }
        Op::Check { .. } | Op::Fence { .. } => Ok(None),
    }
}

fn next_token(transaction: &WriteTransaction, election: &str) -> Result<FencingToken, StateError> {
    let mut meta = transaction.open_table(META).map_err(StateError::storage)?;
    let name = format!("token {election}");
    let last = meta.get(name.as_str()).map_err(StateError::storage)?.map_or(0, |t| t.value());
    meta.insert(name.as_str(), last + 1).map_err(StateError::storage)?;
    Ok(FencingToken(last + 1))
}

/// Answers every request of a batch that could not even be tried.
fn refuse(batch: Vec<Request>, error: &StateError) {
    for request in batch {
        match request {
            Request::Transact { reply, .. } => drop(reply.send(Err(error.clone()))),
            Request::Watch { reply, .. } => drop(reply.send(Err(error.clone()))),
            Request::NextToken { reply, .. } => drop(reply.send(Err(error.clone()))),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// The flush succeeded. Callers that stopped waiting are passed over.
    fn tell(self) {
        for (reply, result) in self.transactions {
            let _ = reply.send(result);
        }
        for (reply, token) in self.tokens {
            let _ = reply.send(Ok(token));
        }
    }

    fn fail(self, error: &StateError) {
        for (reply, result) in self.transactions {
            let _ = reply.send(result.and(Err(error.clone())));
        }
        for (reply, _) in self.tokens {
            let _ = reply.send(Err(error.clone()));
        }
    }
}
