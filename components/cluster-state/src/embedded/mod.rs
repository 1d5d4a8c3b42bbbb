//! The store of one process on one machine: a file in redb's format.
//!
//! One thread writes. It takes whatever waits in its inbox, applies it in one
//! redb transaction, flushes once and answers everybody. Readers go to the
//! database directly and see the last flushed state.

mod elections;
mod storage;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch::Receiver};

use self::elections::Elections;
use self::storage::Storage;
use self::writer::{Request, Writer};
use crate::{
    BoxFuture, ClusterState, Entry, Leader, Leadership, Op, StateError, Version, Watch, limits,
};

/// Requests that wait for the writer; more than that and the callers wait.
const INBOX: usize = 1024;

/// A store in one file, which it locks against other processes.
///
/// The file is closed when the last reference is dropped.
#[derive(Debug)]
pub struct EmbeddedState {
    storage: Arc<Storage>,
    elections: Arc<Elections>,
    /// `None` only while being dropped: closing the inbox ends the writer.
    inbox: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

/// Opens or creates the store at `path`; missing parent folders are created.
///
/// A file left behind by a process that was killed is repaired here.
pub fn open(path: impl AsRef<Path>) -> Result<Arc<EmbeddedState>, StateError> {
    let storage = Arc::new(Storage::open(path.as_ref())?);
    let elections = Arc::new(Elections::default());
    let (inbox, requests) = mpsc::channel(INBOX);
    let writer = Writer::new(Arc::clone(&storage), Arc::clone(&elections), requests)?;
    let thread = std::thread::Builder::new()
        .name("cluster-state".to_owned())
        .spawn(move || writer.run())
        .map_err(StateError::storage)?;
    Ok(Arc::new(EmbeddedState { storage, elections, inbox: Some(inbox), writer: Some(thread) }))
}

impl EmbeddedState {
    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StateError>>) -> Request,
    ) -> Result<T, StateError> {
        let (reply, answer) = oneshot::channel();
        let inbox = self.inbox.as_ref().ok_or(StateError::Closed)?;
        inbox.send(request(reply)).await.map_err(|_| StateError::Closed)?;
        answer.await.map_err(|_| StateError::Closed)?
    }

    /// Runs a read on the pool for blocking work: a page may have to come from disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Storage) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let storage = Arc::clone(&self.storage);
        tokio::task::spawn_blocking(move || read(&storage)).await.map_err(StateError::storage)?
    }
}

impl ClusterState for EmbeddedState {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StateError>> {
        let key = key.to_owned();
        Box::pin(async move {
            limits::check_key(&key)?;
            self.read(move |storage| storage.get(key)).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StateError>> {
        let prefix = prefix.to_owned();
        Box::pin(async move {
            limits::check_prefix(&prefix)?;
            self.read(move |storage| storage.list(&prefix)).await
        })
    }

    fn transact(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Vec<Option<Version>>, StateError>> {
        Box::pin(async move {
            limits::check_transaction(&ops)?;
            self.ask(|reply| Request::Transact { ops, reply }).await
        })
    }

    fn watch<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Watch, StateError>> {
        Box::pin(async move {
            limits::check_prefix(prefix)?;
            self.ask(|reply| Request::Watch { prefix: prefix.to_owned(), reply }).await
        })
    }

    fn campaign<'a>(
        &'a self,
        election: &'a str,
        identity: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, StateError>> {
        Box::pin(async move {
            limits::check_key(election)?;
            let turn = self.elections.turn(election).await;
            let token = self
                .ask(|reply| Request::NextToken { election: election.to_owned(), reply })
                .await?;
            Ok(turn.lead(Leader { identity, token }))
        })
    }

    fn leader<'a>(
        &'a self,
        election: &'a str,
    ) -> BoxFuture<'a, Result<Receiver<Option<Leader>>, StateError>> {
        Box::pin(async move {
            limits::check_key(election)?;
            Ok(self.elections.observe(election))
        })
    }
}

impl Drop for EmbeddedState {
    /// Waits for the writer, at most one flush long, so that the file is
    /// unlocked when the drop returns.
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the cluster state ended by a panic");
        }
    }
}
