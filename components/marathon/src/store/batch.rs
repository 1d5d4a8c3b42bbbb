//! Writing many keys so that a crash at any moment leaves all of what belongs together, or
//! nothing of it.
//!
//! What fits goes into one transaction. A larger set is first written down as a journal, whose
//! head makes it count; what a crash interrupts is done again by the next start.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cluster_state::{ClusterState, Op, When, limits};
use tokio::task::{JoinError, JoinSet};

use super::{StoreError, keys};

/// Bytes of keys and values in one transaction; the limit has room for a key beyond it.
const BYTES: usize = limits::MAX_VALUE_BYTES;
/// The bytes of a large value in one key.
pub(crate) const PIECE: usize = 900_000;
/// Keys and values that may be in one transaction.
const STEPS: usize = limits::MAX_TRANSACTION_OPS - 8;
/// Transactions that wait for the store at once.
const AT_ONCE: usize = 32;

/// What is to be written: a value, or nothing any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// All of it or nothing.
    together: BTreeMap<String, Option<Bytes>>,
    /// Each on its own, after that.
    apart: BTreeMap<String, Option<Bytes>>,
    /// Goes last, or with `together` where there is any.
    last: Vec<String>,
}

// === impl Batch ===

impl Batch {
    pub(crate) fn put(&mut self, key: String, value: Bytes) {
        self.together.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: String) {
        self.together.insert(key, None);
    }

    /// A key that depends on none but those of [`Batch::put`].
    pub(crate) fn put_apart(&mut self, key: String, value: Bytes) {
        self.apart.insert(key, Some(value));
    }

    pub(crate) fn delete_apart(&mut self, key: String) {
        self.apart.insert(key, None);
    }

    /// A key that says something is unfinished.
    pub(crate) fn delete_last(&mut self, key: String) {
        self.together.remove(&key);
        self.last.push(key);
    }

    /// Takes a key out that [`Batch::delete_last`] named.
    pub(crate) fn keep(&mut self, key: &str) {
        self.last.retain(|last| last != key);
    }

    /// Writes everything. After an error some of it may be written.
    pub(crate) async fn write(mut self, state: &Arc<dyn ClusterState>) -> Result<(), StoreError> {
        let last = std::mem::take(&mut self.last);
        if !self.together.is_empty() {
            self.together.extend(last.iter().map(|key| (key.clone(), None)));
        }
        let together = split(ops(self.together));
        let mut apart = split(ops(self.apart));
        let last = split(ops(last.into_iter().map(|key| (key, None))));
        // Before anything counts: a journal that cannot be done would be in the way for ever.
        for chunk in together.iter().chain(&apart) {
            limits::check_transaction(chunk)?;
        }
        let mut first = match together.len() {
            0 => Vec::new(),
            1 => together.into_iter().flatten().collect(),
            _ => {
                journal(state, together).await?;
                Vec::new()
            }
        };
        // One flush where one is enough.
        if apart.len() == 1 && fits(&first, apart.iter().flatten()) {
            first.extend(apart.pop().into_iter().flatten());
        }
        if apart.is_empty() && last.len() == 1 && fits(&first, last.iter().flatten()) {
            first.retain(|op| !last.iter().flatten().any(|late| key(late) == key(op)));
            first.extend(last.into_iter().flatten());
            return transact(state, first).await;
        }
        transact(state, first).await?;
        all(state, apart).await?;
        all(state, last).await
    }
}

async fn transact(state: &Arc<dyn ClusterState>, ops: Vec<Op>) -> Result<(), StoreError> {
    if !ops.is_empty() {
        state.transact(ops).await?;
    }
    Ok(())
}

/// Transactions in no order, so that they share flushes. Even after an error none of them is
/// under way any more when this ends.
async fn all(state: &Arc<dyn ClusterState>, chunks: Vec<Vec<Op>>) -> Result<(), StoreError> {
    let mut running = JoinSet::new();
    let mut result = Ok(());
    for ops in chunks {
        if running.len() >= AT_ONCE
            && let Some(done) = running.join_next().await
        {
            result = flat(done);
        }
        if result.is_err() {
            break;
        }
        let state = state.clone();
        running.spawn(async move { transact(&state, ops).await });
    }
    while let Some(done) = running.join_next().await {
        result = result.and(flat(done));
    }
    result
}

fn flat(done: Result<Result<(), StoreError>, JoinError>) -> Result<(), StoreError> {
    done?
}

fn ops(changes: impl IntoIterator<Item = (String, Option<Bytes>)>) -> Vec<Op> {
    let op = |(key, value)| match value {
        Some(value) => Op::Put { key, value, when: When::Any },
        None => Op::Delete { key, when: When::Any },
    };
    changes.into_iter().map(op).collect()
}

fn key(op: &Op) -> &str {
    match op {
        Op::Put { key, .. } | Op::Delete { key, .. } | Op::Check { key, .. } => key,
        Op::Fence { election, .. } => election,
    }
}

fn size(op: &Op) -> usize {
    let value = match op {
        Op::Put { value, .. } => value.len(),
        _ => 0,
    };
    key(op).len() + value
}

fn fits<'a>(ops: &'a [Op], more: impl Iterator<Item = &'a Op> + Clone) -> bool {
    let bytes: usize = ops.iter().chain(more.clone()).map(size).sum();
    bytes <= BYTES && ops.len() + more.count() <= STEPS
}

/// Into as many transactions as are needed.
fn split(ops: Vec<Op>) -> Vec<Vec<Op>> {
    let mut chunks: Vec<Vec<Op>> = Vec::new();
    let mut bytes = 0;
    for op in ops {
        let size = size(&op);
        match chunks.last_mut() {
            Some(chunk) if bytes + size <= BYTES && chunk.len() < STEPS => {
                bytes += size;
                chunk.push(op);
            }
            _ => {
                bytes = size;
                chunks.push(vec![op]);
            }
        }
    }
    chunks
}

// === The journal ===

/// Writes down what is to be done, makes it count, does it, and forgets it.
async fn journal(state: &Arc<dyn ClusterState>, chunks: Vec<Vec<Op>>) -> Result<(), StoreError> {
    let mut written = BytesMut::new();
    for op in chunks.iter().flatten() {
        encode(&mut written, op);
    }
    let pieces: Vec<Vec<Op>> = written
        .chunks(PIECE)
        .enumerate()
        .map(|(number, piece)| ops([(keys::journal(number), Some(Bytes::copy_from_slice(piece)))]))
        .collect();
    let count = pieces.len();
    all(state, pieces).await?;
    let head = format!("{count} {}", written.len());
    transact(state, ops([(keys::JOURNAL_HEAD.to_owned(), Some(head.into()))])).await?;
    all(state, chunks).await?;
    forget(state, count).await
}

/// The head goes first: without it the pieces mean nothing.
async fn forget(state: &Arc<dyn ClusterState>, count: usize) -> Result<(), StoreError> {
    let keys = std::iter::once(keys::JOURNAL_HEAD.to_owned()).chain((0..count).map(keys::journal));
    for chunk in split(ops(keys.map(|key| (key, None)))) {
        transact(state, chunk).await?;
    }
    Ok(())
}

/// Does what a journal says that counts; forgets one that does not.
pub(crate) async fn recover(state: &Arc<dyn ClusterState>) -> Result<(), StoreError> {
    let entries = state.list(keys::JOURNAL).await?;
    let Some(head) = entries.iter().find(|entry| entry.key == keys::JOURNAL_HEAD) else {
        return all(state, split(ops(entries.into_iter().map(|entry| (entry.key, None))))).await;
    };
    let text = String::from_utf8_lossy(&head.value);
    let numbers = text.split_once(' ').and_then(|(count, length)| {
        Some((count.parse::<usize>().ok()?, length.parse::<usize>().ok()?))
    });
    let corrupt = || StoreError::corrupt(keys::JOURNAL_HEAD, "the journal is incomplete");
    let (count, length) = numbers.ok_or_else(corrupt)?;
    let mut written = BytesMut::new();
    for entry in entries.iter().filter(|entry| entry.key != keys::JOURNAL_HEAD).take(count) {
        written.extend_from_slice(&entry.value);
    }
    if written.len() != length {
        return Err(corrupt());
    }
    let steps = decode_all(&mut written.freeze()).ok_or_else(corrupt)?;
    tracing::info!(steps = steps.len(), "finishing what a crash interrupted");
    all(state, split(steps)).await?;
    forget(state, entries.len()).await
}

fn encode(out: &mut BytesMut, op: &Op) {
    let value = match op {
        Op::Put { value, .. } => Some(value),
        _ => None,
    };
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    out.put_u32(length(key(op).len()));
    out.put_slice(key(op).as_bytes());
    out.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        out.put_u32(length(value.len()));
        out.put_slice(value);
    }
}

/// Every step of a journal.
pub(crate) fn decode_all(rest: &mut Bytes) -> Option<Vec<Op>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        steps.push(decode(rest)?);
    }
    Some(steps)
}

fn decode(rest: &mut Bytes) -> Option<Op> {
    let key = String::from_utf8(take(rest)?.to_vec()).ok()?;
    if rest.is_empty() {
        return None;
    }
    if rest.get_u8() == 0 {
        return Some(Op::Delete { key, when: When::Any });
    }
    Some(Op::Put { key, value: take(rest)?, when: When::Any })
}

fn take(rest: &mut Bytes) -> Option<Bytes> {
    if rest.len() < 4 {
        return None;
    }
    let length = usize::try_from(rest.get_u32()).ok()?;
    (rest.len() >= length).then(|| rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_they_were_written() {
        let steps = ops([
            ("/a".to_owned(), Some(Bytes::from_static(b"x"))),
            ("/b".to_owned(), None),
            ("/c".to_owned(), Some(Bytes::new())),
        ]);
        let mut written = BytesMut::new();
        steps.iter().for_each(|op| encode(&mut written, op));
        let whole = written.freeze();
        let mut rest = whole.clone();
        for step in &steps {
            assert_eq!(format!("{:?}", decode(&mut rest).unwrap()), format!("{step:?}"));
        }
        assert!(rest.is_empty());
        // A piece that is cut anywhere is no step, and nothing panics.
        for end in 0..whole.len() {
            let mut cut = whole.slice(..end);
            while !cut.is_empty() && decode(&mut cut).is_some() {}
        }
    }

    #[tokio::test]
    async fn what_can_never_be_written_leaves_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let state: Arc<dyn ClusterState> =
            cluster_state::embedded::open(folder.path().join("state.redb")).unwrap();
        let mut batch = Batch::default();
        batch.put("/large".to_owned(), vec![0; limits::MAX_VALUE_BYTES + 1].into());
        batch.put("/small".to_owned(), Bytes::new());
        assert!(batch.write(&state).await.is_err());
        recover(&state).await.unwrap();
        assert!(state.list("/").await.unwrap().is_empty());
    }

    #[test]
    fn transactions_stay_within_the_limits() {
        let value = Bytes::from(vec![b'x'; 400_000]);
        let large = (0..5).map(|n| (format!("/large/{n}"), Some(value.clone())));
        let small = (0..5000).map(|n| (format!("/small/{n}"), None));
        let chunks = split(ops(large.chain(small)));
        assert!(chunks.len() >= 7, "{}", chunks.len());
        for chunk in &chunks {
            limits::check_transaction(chunk).unwrap();
        }
        assert_eq!(chunks.iter().map(Vec::len).sum::<usize>(), 5005);
        let biggest = ops([("/x".to_owned(), Some(vec![0; limits::MAX_VALUE_BYTES].into()))]);
        limits::check_transaction(&split(biggest)[0]).unwrap();
    }
}
