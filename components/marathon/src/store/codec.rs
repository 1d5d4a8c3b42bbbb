//! How things are written: apps as the API prints them, the rest as compact JSON.

use std::sync::Arc;

use bytes::Bytes;
use marathon_core::{Instance, InstanceRecord};
use marathon_model::{
    App, PathId, Timestamp,
    group::Group,
    plan::{Plan, StoredPlan},
};
use serde::{Deserialize, Serialize};

use super::StoreError;

/// The value of an old version in which there was no app, or no group.
pub(crate) const NOTHING: &[u8] = b"gone";

/// A group and the version of the root in which it became so.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    pub(crate) version: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<PathId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enforce_role: Option<bool>,
}

fn json(value: &impl Serialize) -> Bytes {
    // Only maps with keys that are no text cannot be written, and there are none.
    serde_json::to_vec(value).unwrap_or_default().into()
}

// === Apps and groups ===

pub(crate) fn app(app: &App) -> Bytes {
    json(app)
}

pub(crate) fn read_app(key: &str, value: &[u8]) -> Result<Arc<App>, StoreError> {
    App::from_stored(value).map(Arc::new).map_err(|error| StoreError::corrupt(key, error))
}

pub(crate) fn group(group: &Group, version: Timestamp) -> Bytes {
    json(&GroupRecord {
        version,
        dependencies: group.dependencies.iter().cloned().collect(),
        enforce_role: group.enforce_role,
    })
}

pub(crate) fn read_group(
    key: &str,
    id: PathId,
    value: &[u8],
) -> Result<(Timestamp, Arc<Group>), StoreError> {
    let record: GroupRecord =
        serde_json::from_slice(value).map_err(|error| StoreError::corrupt(key, error))?;
    let group = Group {
        id,
        dependencies: record.dependencies.into_iter().collect(),
        enforce_role: record.enforce_role,
    };
    Ok((record.version, Arc::new(group)))
}

pub(crate) fn timestamp(at: Timestamp) -> Bytes {
    at.0.to_string().into()
}

pub(crate) fn read_timestamp(key: &str, value: &[u8]) -> Result<Timestamp, StoreError> {
    let text = std::str::from_utf8(value).map_err(|error| StoreError::corrupt(key, error))?;
    text.parse().map(Timestamp).map_err(|error| StoreError::corrupt(key, error))
}

// === Instances and failures ===

pub(crate) fn instance(instance: &Instance) -> Bytes {
    json(&instance.record())
}

pub(crate) fn read_instance(key: &str, value: &[u8]) -> Result<InstanceRecord, StoreError> {
    serde_json::from_slice(value).map_err(|error| StoreError::corrupt(key, error))
}

pub(crate) fn failure(failure: &marathon_core::TaskFailure) -> Bytes {
    json(failure)
}

pub(crate) fn read_failure(
    key: &str,
    value: &[u8],
) -> Result<marathon_core::TaskFailure, StoreError> {
    serde_json::from_slice(value).map_err(|error| StoreError::corrupt(key, error))
}

// === Plans ===

pub(crate) fn plan(plan: &Plan) -> Bytes {
    StoredPlan::from(plan).to_bytes().into()
}

pub(crate) fn read_plan(key: &str, value: &[u8]) -> Result<StoredPlan, StoreError> {
    StoredPlan::from_bytes(value).map_err(|error| StoreError::corrupt(key, error))
}
