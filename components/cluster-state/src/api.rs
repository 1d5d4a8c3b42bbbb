//! The trait every implementation offers, and the values it speaks in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::watch::Receiver;

use crate::{FencingToken, Leader, Leadership, StateError, Watch};

/// A boxed future, so that the trait can stand behind `Arc<dyn ClusterState>`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a key looked like at one moment; equal only when nothing changed in between.
///
/// Versions of one key grow with each write and are never used twice, not even
/// after the key was deleted. They say nothing about other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}", self.0)
    }
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: Bytes,
    pub version: Version,
}

/// The condition a write or a check puts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Whatever is there, or nothing.
    Any,
    /// The key must not exist.
    Absent,
    /// The key must exist at exactly this version.
    Version(Version),
}

impl When {
    /// Whether a key found at `found` satisfies the condition.
    pub fn holds(self, found: Option<Version>) -> bool {
        match self {
            When::Any => true,
            When::Absent => found.is_none(),
            When::Version(wanted) => found == Some(wanted),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Any => f.write_str("anything"),
            When::Absent => f.write_str("no such key"),
            When::Version(version) => version.fmt(f),
        }
    }
}

/// One step of a transaction. Conditions look at the state before the
/// transaction; a key may appear in one step only.
#[derive(Clone, Debug)]
pub enum Op {
    Put {
        key: String,
        value: Bytes,
        when: When,
    },
    /// Deleting an absent key with [`When::Any`] does nothing and succeeds.
    Delete {
        key: String,
        when: When,
    },
    /// Writes nothing; the transaction fails if the condition does not hold.
    Check {
        key: String,
        when: When,
    },
    /// The transaction fails unless `token` still is the leader's.
    Fence {
        election: String,
        token: FencingToken,
    },
}

/// Shared, durable state of the cluster.
///
/// Every implementation passes the same conformance suite.
pub trait ClusterState: Send + Sync + fmt::Debug {
    /// The entry at `key`, if there is one.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, StateError>>;

    /// Everything below `prefix` (which ends in a slash), by key, as of one moment.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Entry>, StateError>>;

    /// Applies all of `ops` or none, durably. Answers one item for each step:
    /// the new version for a put, `None` otherwise.
    fn transact(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<Vec<Option<Version>>, StateError>>;

    /// Follows everything below `prefix` (which ends in a slash) from now on.
    fn watch<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Watch, StateError>>;

    /// Stands for `election`; resolves once elected. Dropping the future withdraws.
    /// Others see `identity` while the leadership lasts.
    fn campaign<'a>(
        &'a self,
        election: &'a str,
        identity: Bytes,
    ) -> BoxFuture<'a, Result<Leadership, StateError>>;

    /// Who leads `election`, now and from now on.
    fn leader<'a>(
        &'a self,
        election: &'a str,
    ) -> BoxFuture<'a, Result<Receiver<Option<Leader>>, StateError>>;

    /// Writes one key if `when` holds.
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        when: When,
    ) -> BoxFuture<'a, Result<Version, StateError>> {
        Box::pin(async move {
            let done = self.transact(vec![Op::Put { key: key.to_owned(), value, when }]).await?;
            done.first().copied().flatten().ok_or(StateError::Closed)
        })
    }

    /// Deletes one key if `when` holds.
    fn delete<'a>(&'a self, key: &'a str, when: When) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move {
            self.transact(vec![Op::Delete { key: key.to_owned(), when }]).await?;
            Ok(())
        })
    }
}
