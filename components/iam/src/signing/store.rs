//! Signing keys in the cluster's state: one sealed record a key, and a revision that everybody
//! who changes any of them has seen.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cluster_state::{ClusterState, Op, StateError, Version, Watch, When};
use identity::SigningKey;
use serde::{Deserialize, Serialize};

use super::SigningError;
use super::schedule::KeyFacts;
use crate::sealing::NodeKey;

const FOLDER: &str = "/iam/keys/";
/// Not a key's id: those are 64 hexadecimal digits.
const REVISION: &str = "/iam/keys/revision";

#[derive(Debug)]
pub(super) struct Store {
    state: Arc<dyn ClusterState>,
    node_key: Arc<NodeKey>,
}

/// What was found, to be shown again when something is changed.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) facts: Vec<KeyFacts>,
    revision: Option<Version>,
}

/// What is sealed. All of it: nobody who can write the state, but has no node key, can add
/// a key or make one sign longer.
#[derive(Serialize, Deserialize)]
struct Record {
    created: i64,
    signs_from: i64,
    /// 0 in records of before it was kept.
    #[serde(default)]
    lifetime: i64,
    pkcs8: String,
}

impl Store {
    pub(super) fn new(state: Arc<dyn ClusterState>, node_key: Arc<NodeKey>) -> Store {
        Store { state, node_key }
    }

    pub(super) async fn watch(&self) -> Result<Watch, StateError> {
        self.state.watch(FOLDER).await
    }

    /// All keys, oldest first.
    pub(super) async fn load(&self) -> Result<(Loaded, Vec<(KeyFacts, SigningKey)>), SigningError> {
        let mut revision = None;
        let mut keys = Vec::new();
        for entry in self.state.list(FOLDER).await? {
            if entry.key == REVISION {
                revision = Some(entry.version);
            } else {
                keys.push(self.read(&entry.key, &entry.value)?);
            }
        }
        keys.sort_by_key(|(facts, _)| facts.signs_from);
        let facts = keys.iter().map(|(facts, _)| facts.clone()).collect();
        Ok((Loaded { facts, revision }, keys))
    }

    /// Adds a key and removes others; `None` when somebody else changed the keys meanwhile.
    pub(super) async fn add(
        &self,
        loaded: &Loaded,
        pkcs8: &[u8],
        (created, signs_from, lifetime): (i64, i64, i64),
        remove: &[&str],
    ) -> Result<Option<String>, SigningError> {
        let kid = SigningKey::rs256(pkcs8)?.kid().to_owned();
        let path = format!("{FOLDER}{kid}");
        let record = Record { created, signs_from, lifetime, pkcs8: STANDARD.encode(pkcs8) };
        let plain = serde_json::to_vec(&record).map_err(|error| stored(&path, error))?;
        let value = Bytes::from(self.node_key.seal(&path, &plain)?);
        let put = Op::Put { key: path, value, when: When::Absent };
        Ok(self.change(loaded, Some(put), remove).await?.then_some(kid))
    }

    /// Lets a key promise more; says no when somebody else changed the keys meanwhile.
    pub(super) async fn raise(
        &self,
        loaded: &Loaded,
        kid: &str,
        lifetime: i64,
    ) -> Result<bool, SigningError> {
        let path = format!("{FOLDER}{kid}");
        let entries = self.state.list(FOLDER).await?;
        let Some(entry) = entries.into_iter().find(|entry| entry.key == path) else {
            return Ok(false);
        };
        let mut record = self.record(&path, &entry.value)?;
        record.lifetime = lifetime.max(record.lifetime);
        let plain = serde_json::to_vec(&record).map_err(|error| stored(&path, error))?;
        let value = Bytes::from(self.node_key.seal(&path, &plain)?);
        let put = Op::Put { key: path, value, when: When::Version(entry.version) };
        self.change(loaded, Some(put), &[]).await
    }

    /// Removes keys; says no when somebody else changed the keys meanwhile.
    pub(super) async fn remove(
        &self,
        loaded: &Loaded,
        kids: &[&str],
    ) -> Result<bool, SigningError> {
        self.change(loaded, None, kids).await
    }

    async fn change(
        &self,
        loaded: &Loaded,
        put: Option<Op>,
        remove: &[&str],
    ) -> Result<bool, SigningError> {
        let when = loaded.revision.map_or(When::Absent, When::Version);
        let seen = Op::Put { key: REVISION.to_owned(), value: Bytes::new(), when };
        let delete = |kid: &&str| Op::Delete { key: format!("{FOLDER}{kid}"), when: When::Any };
        let ops = [seen].into_iter().chain(put).chain(remove.iter().map(delete)).collect();
        match self.state.transact(ops).await {
            Ok(_) => Ok(true),
            Err(StateError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, path: &str, value: &[u8]) -> Result<(KeyFacts, SigningKey), SigningError> {
        let record = self.record(path, value)?;
        let pkcs8 = STANDARD.decode(&record.pkcs8).map_err(|error| stored(path, error))?;
        let key = SigningKey::rs256(&pkcs8)?;
        let facts = KeyFacts {
            kid: key.kid().to_owned(),
            created: record.created,
            signs_from: record.signs_from,
            lifetime: record.lifetime,
        };
        Ok((facts, key))
    }

    fn record(&self, path: &str, value: &[u8]) -> Result<Record, SigningError> {
        let plain = self.node_key.open(path, value)?;
        serde_json::from_slice(&plain).map_err(|error| stored(path, error))
    }
}

/// Errors of readers say where, not what.
fn stored(path: &str, error: impl std::fmt::Display) -> SigningError {
    SigningError::Stored { path: path.to_owned(), reason: error.to_string() }
}
