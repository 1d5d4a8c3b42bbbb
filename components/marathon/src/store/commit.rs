//! Writing what the orchestrator decided, and forgetting what is too old.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use bytes::{BufMut, Bytes, BytesMut};
use cluster_state::ClusterState;
use marathon_core::Write;
use marathon_model::{App, PathId, Timestamp, group::Group, plan::Plan};

use super::{
    StoreError,
    batch::{Batch, PIECE},
    codec,
    keys::{self, Kind},
};

/// Apps and groups that are gone are forgotten, at most so many with each change.
const FORGOTTEN_AT_ONCE: usize = 16;

/// The one that writes. It knows what is stored as far as the next write depends on it.
#[derive(Debug)]
pub struct Committer {
    pub(super) state: Arc<dyn ClusterState>,
    /// Versions kept of each app and of the root.
    pub(super) max_versions: usize,
    /// Of the root.
    pub(super) version: Timestamp,
    pub(super) roots: VecDeque<Timestamp>,
    pub(super) apps: Objects<Arc<App>>,
    pub(super) groups: Objects<GroupVersion>,
    /// What the running deployments are about, and how many keys each has.
    pub(super) deployments: HashMap<String, (usize, BTreeSet<PathId>)>,
    /// Keys nobody needs: deleted with the next write.
    pub(super) useless: Vec<String>,
}

/// A group as of a version of the root.
#[derive(Clone, Debug)]
pub(super) struct GroupVersion(pub(super) Timestamp, pub(super) Arc<Group>);

/// Something with versions.
pub(super) trait Versioned {
    const KIND: Kind;
    fn id(&self) -> &PathId;
    fn version(&self) -> Timestamp;
    fn encode(&self) -> Bytes;
}

/// All apps, or all groups.
#[derive(Debug)]
pub(super) struct Objects<T> {
    current: HashMap<PathId, T>,
    /// Old versions of those that were asked for, the oldest first.
    old: HashMap<PathId, VecDeque<Timestamp>>,
    gone: BTreeSet<(Timestamp, PathId)>,
    gone_at: HashMap<PathId, Timestamp>,
}

impl Versioned for Arc<App> {
    const KIND: Kind = Kind::App;

    fn id(&self) -> &PathId {
        &self.id
    }

    fn version(&self) -> Timestamp {
        self.version
    }

    fn encode(&self) -> Bytes {
        codec::app(self)
    }
}

impl Versioned for GroupVersion {
    const KIND: Kind = Kind::Group;

    fn id(&self) -> &PathId {
        &self.1.id
    }

    fn version(&self) -> Timestamp {
        self.0
    }

    fn encode(&self) -> Bytes {
        codec::group(&self.1, self.0)
    }
}

impl<T: Versioned> Objects<T> {
    /// What was read at the start.
    pub(super) fn new(current: HashMap<PathId, T>, gone: Vec<(Timestamp, PathId)>) -> Self {
        let gone_at = gone.iter().map(|(at, id)| (id.clone(), *at)).collect();
        Self { current, old: HashMap::new(), gone_at, gone: gone.into_iter().collect() }
    }

    /// Learns which old versions there are of one; of a new one there are none.
    async fn learn(
        &mut self,
        state: &Arc<dyn ClusterState>,
        id: &PathId,
    ) -> Result<(), StoreError> {
        if self.old.contains_key(id) {
            return Ok(());
        }
        let mut versions = VecDeque::new();
        if self.current.contains_key(id) || self.gone_at.contains_key(id) {
            let entries = state.list(&T::KIND.old(id)).await?;
            versions.extend(entries.iter().filter_map(|entry| keys::version_of(&entry.key)));
        }
        self.old.insert(id.clone(), versions);
        Ok(())
    }

    /// The current form becomes an old version.
    fn archive(&mut self, batch: &mut Batch, id: &PathId) {
        if let Some(item) = self.current.get(id) {
            batch.put(T::KIND.old_version(id, item.version()), item.encode());
            self.old.entry(id.clone()).or_default().push_back(item.version());
        }
    }

    fn put(&mut self, batch: &mut Batch, item: T, keep: usize) {
        let id = item.id().clone();
        if self.current.get(&id).is_some_and(|current| current.version() != item.version()) {
            self.archive(batch, &id);
        }
        if let Some(at) = self.gone_at.remove(&id) {
            self.gone.remove(&(at, id.clone()));
            batch.delete(T::KIND.gone_key(&id));
        }
        batch.put(T::KIND.key(&id), item.encode());
        self.current.insert(id.clone(), item);
        self.prune(batch, &id, keep);
    }

    fn delete(&mut self, batch: &mut Batch, id: &PathId, at: Timestamp, keep: usize) {
        if !self.current.contains_key(id) {
            return;
        }
        self.archive(batch, id);
        self.current.remove(id);
        batch.put(T::KIND.old_version(id, at), Bytes::from_static(codec::NOTHING));
        self.old.entry(id.clone()).or_default().push_back(at);
        batch.delete(T::KIND.key(id));
        batch.put(T::KIND.gone_key(id), codec::timestamp(at));
        self.gone.insert((at, id.clone()));
        self.gone_at.insert(id.clone(), at);
        self.prune(batch, id, keep);
    }

    /// Forgets versions beyond those to `keep`, of which the current form is one.
    fn prune(&mut self, batch: &mut Batch, id: &PathId, keep: usize) {
        let Some(old) = self.old.get_mut(id) else { return };
        while old.len() >= keep.max(2)
            && let Some(version) = old.pop_front()
        {
            batch.delete(T::KIND.old_version(id, version));
        }
    }

    /// One that went before `oldest`, the oldest root version that can be gone back to.
    fn forgettable(&self, oldest: Timestamp, needed: impl Fn(&PathId) -> bool) -> Vec<PathId> {
        let old = self.gone.iter().take_while(|(at, _)| *at <= oldest);
        let free = old.filter(|(_, id)| !needed(id)).map(|(_, id)| id.clone());
        free.take(FORGOTTEN_AT_ONCE).collect()
    }

    /// Deletes every trace of one that is gone.
    fn forget(&mut self, batch: &mut Batch, id: &PathId) {
        if let Some(at) = self.gone_at.remove(id) {
            self.gone.remove(&(at, id.clone()));
        }
        for version in self.old.remove(id).unwrap_or_default() {
            batch.delete(T::KIND.old_version(id, version));
        }
        batch.delete(T::KIND.gone_key(id));
    }
}

// === impl Committer ===

impl Committer {
    /// Writes all of `writes` durably, in one transaction where the limits of the state allow
    /// it. A crash in between leaves either all changes of apps, groups, versions and
    /// deployments or none of them; instances follow, each on its own.
    ///
    /// After an error, or when dropped before the end, what happened is unknown: load anew.
    pub async fn commit(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for key in std::mem::take(&mut self.useless) {
            batch.delete_apart(key);
        }
        for write in writes {
            self.stage(&mut batch, write).await?;
        }
        batch.write(&self.state).await
    }

    async fn stage(&mut self, batch: &mut Batch, write: Write) -> Result<(), StoreError> {
        match write {
            Write::FrameworkId(id) => batch.put(keys::FRAMEWORK_ID.to_owned(), id.into()),
            Write::RootVersion(version) => self.root_version(batch, version).await?,
            Write::PutApp(app) => {
                self.apps.learn(&self.state, &app.id).await?;
                self.apps.put(batch, app, self.max_versions);
            }
            Write::DeleteApp { id, at } => {
                self.apps.learn(&self.state, &id).await?;
                self.apps.delete(batch, &id, at, self.max_versions);
            }
            Write::PutGroup(group) => {
                self.groups.learn(&self.state, &group.id).await?;
                let group = GroupVersion(self.version, group);
                self.groups.put(batch, group, self.max_versions);
            }
            Write::DeleteGroup { id, at } => {
                self.groups.learn(&self.state, &id).await?;
                self.groups.delete(batch, &id, at, self.max_versions);
            }
            Write::PutInstance(instance) => {
                batch.put_apart(keys::instance(&instance.id), codec::instance(&instance));
            }
            Write::DeleteInstance(id) => batch.delete_apart(keys::instance(&id)),
            Write::PutDeployment(plan) => self.put_deployment(batch, &plan),
            Write::DeleteDeployment(id) => {
                let (count, _) = self.deployments.remove(&id).unwrap_or_default();
                (0..count).for_each(|part| batch.delete_last(keys::deployment(&id, part)));
            }
            Write::PutFailure(failure) => {
                batch.put_apart(keys::failure(&failure.app_id), codec::failure(&failure));
            }
            Write::DeleteFailure(app) => batch.delete_apart(keys::failure(&app)),
        }
        Ok(())
    }

    async fn root_version(
        &mut self,
        batch: &mut Batch,
        version: Timestamp,
    ) -> Result<(), StoreError> {
        self.version = version;
        batch.put(keys::root(version), Bytes::from_static(b"{}"));
        if self.roots.back() != Some(&version) {
            self.roots.push_back(version);
        }
        while self.roots.len() > self.max_versions
            && let Some(old) = self.roots.pop_front()
        {
            batch.delete(keys::root(old));
        }
        self.forget_gone(batch).await
    }

    /// Forgets what is gone in every version of the root that is still known.
    async fn forget_gone(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let Some(oldest) = self.roots.front().copied() else { return Ok(()) };
        // A deployment that is not over may have to go back.
        let deployments = &self.deployments;
        let needed = |id: &PathId| deployments.values().any(|(_, apps)| apps.contains(id));
        for id in self.apps.forgettable(oldest, needed) {
            self.apps.learn(&self.state, &id).await?;
            self.apps.forget(batch, &id);
        }
        for id in self.groups.forgettable(oldest, |_| false) {
            self.groups.learn(&self.state, &id).await?;
            self.groups.forget(batch, &id);
        }
        Ok(())
    }

    fn put_deployment(&mut self, batch: &mut Batch, plan: &Plan) {
        let pieces = pieces(&codec::plan(plan));
        let count = pieces.len();
        for (number, piece) in pieces.into_iter().enumerate() {
            let key = keys::deployment(&plan.id, number);
            batch.keep(&key);
            batch.put(key, piece);
        }
        let known = (count, plan.affected().clone());
        let before = self.deployments.insert(plan.id.clone(), known).unwrap_or_default().0;
        (count..before).for_each(|part| batch.delete(keys::deployment(&plan.id, part)));
    }
}

/// A value in pieces that fit into a key each; the first says how many there are.
fn pieces(value: &Bytes) -> Vec<Bytes> {
    let count = value.len().div_ceil(PIECE).max(1);
    let piece = |number: usize| {
        let start = number * PIECE;
        let piece = value.slice(start..value.len().min(start + PIECE));
        if number > 0 {
            return piece;
        }
        let mut first = BytesMut::with_capacity(piece.len() + 8);
        first.put_slice(format!("{count}\n").as_bytes());
        first.put_slice(&piece);
        first.freeze()
    };
    (0..count).map(piece).collect()
}

/// The value again; nothing where a piece is missing.
pub(super) fn join(pieces: &[Bytes]) -> Option<Bytes> {
    let (first, rest) = pieces.split_first()?;
    let at = first.iter().position(|byte| *byte == b'\n')?;
    let (count, start) = first.split_at(at);
    let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
    let mut whole = BytesMut::from(start.get(1..)?);
    for piece in rest.get(..count.checked_sub(1)?)? {
        whole.extend_from_slice(piece);
    }
    Some(whole.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_value_is_kept_in_pieces() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let value: Bytes = (0..length).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into();
            let mut all = pieces(&value);
            assert_eq!(all.len(), length.div_ceil(PIECE).max(1));
            assert!(all.iter().all(|piece| piece.len() < PIECE + 16));
            assert_eq!(join(&all), Some(value.clone()));
            // More than there should be do not matter; fewer do.
            all.push(Bytes::from_static(b"old"));
            assert_eq!(join(&all), Some(value));
            assert!(all.len() < 3 || join(&all[..all.len() - 2]).is_none());
        }
        assert_eq!(join(&[]), None);
        assert_eq!(join(&[Bytes::from_static(b"0\n")]), None);
    }
}
