//! Reading an app that was stored as it was printed.

use super::shape::{At, Fields, Findings, timestamp};
use crate::{App, AppUpdate, ModelError, PathId, Settings, Timestamp, app::VersionInfo, normalise};
use serde_json::Value;
use thiserror::Error;

/// A stored app that cannot be read.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum StoredError {
    #[error("not JSON: {0}")]
    Json(String),
    #[error("not an app: {0}")]
    Shape(String),
}

// === impl App ===

impl App {
    /// Reads what [`App::write_json`] wrote. Nothing is checked: it once was, by rules that may
    /// have been others.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, StoredError> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| StoredError::Json(error.to_string()))?;
        Self::from_stored_value(&value)
    }

    /// The same from parsed JSON.
    pub fn from_stored_value(value: &Value) -> Result<Self, StoredError> {
        let update = AppUpdate::parse(value).map_err(|error| {
            let details = match &error {
                ModelError::InvalidJson { details, .. } => details.to_string(),
                other => other.to_string(),
            };
            StoredError::Shape(details)
        })?;
        let no_id = || StoredError::Shape("it has no id".to_owned());
        let id = update.id.as_deref().and_then(|id| PathId::parse(id).ok()).ok_or_else(no_id)?;
        let version = update.version.unwrap_or_default();
        let mut app = normalise::assemble(update, id, &Settings::default());
        app.version = version;
        app.version_info = version_info(value, version);
        Ok(app)
    }
}

fn version_info(value: &Value, version: Timestamp) -> VersionInfo {
    let findings = Findings::default();
    let at = At::root(&findings);
    let read = Fields::of(value, at).and_then(|fields| {
        fields.get("versionInfo", |v, at| {
            let fields = Fields::of(v, at)?;
            Some(VersionInfo {
                last_scaling_at: fields.get("lastScalingAt", timestamp)?,
                last_config_change_at: fields.get("lastConfigChangeAt", timestamp)?,
            })
        })
    });
    read.unwrap_or(VersionInfo { last_scaling_at: version, last_config_change_at: version })
}
