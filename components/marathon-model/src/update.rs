//! A parsed request body about an app: every field present or absent.

use crate::{App, ModelError, PathId, settings::Settings};

/// What a request says about an app.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppUpdate {
    /// As written: absolute, or relative to the group it stands in.
    pub id: Option<String>,
    pub role: Option<String>,
    pub instances: Option<u32>,
}

// === impl AppUpdate ===

impl AppUpdate {
    /// Reads a request's JSON; every error of its shape is collected.
    pub fn parse(_value: &serde_json::Value) -> Result<Self, ModelError> {
        Ok(Self::default())
    }

    /// A new app. `id` is used instead of the update's own.
    pub fn create(&self, _id: Option<&PathId>, _settings: &Settings) -> Result<App, ModelError> {
        Err(ModelError::BadRequest("unknown".to_owned()))
    }

    /// The app with the present fields changed.
    pub fn merge(&self, app: &App, _settings: &Settings) -> Result<App, ModelError> {
        Ok(app.clone())
    }

    /// A new app in the place of another.
    pub fn replace(&self, app: &App, settings: &Settings) -> Result<App, ModelError> {
        self.create(Some(&app.id), settings)
    }
}
