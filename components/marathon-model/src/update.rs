//! A request body that describes an app or a change of one: every field is there or not.

use crate::{App, ModelError, PathId, Settings, Timestamp, Violation, app::*};
use std::collections::{BTreeMap, BTreeSet};

/// A parsed body. Legacy fields (`ports`, `uris`, `ipAddress`, ...) are already in their modern
/// form; nothing has been filled in, so that it can be laid over an app that exists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppUpdate {
    /// As it was written: relative to whatever the request is about.
    pub id: Option<String>,
    pub cmd: Option<String>,
    pub args: Option<Vec<String>>,
    pub instances: Option<u32>,
    pub cpus: Option<f64>,
    pub mem: Option<f64>,
    pub disk: Option<f64>,
    pub gpus: Option<u32>,
    pub resource_limits: Option<ResourceLimits>,
    pub executor: Option<String>,
    pub executor_resources: Option<ExecutorResources>,
    pub user: Option<String>,
    pub tty: Option<bool>,
    pub env: Option<BTreeMap<String, EnvValue>>,
    pub secrets: Option<BTreeMap<String, String>>,
    pub labels: Option<BTreeMap<String, String>>,
    /// As they were written, like `id`.
    pub dependencies: Option<Vec<String>>,
    pub constraints: Option<Vec<Constraint>>,
    pub container: Option<ContainerUpdate>,
    pub networks: Option<Vec<Network>>,
    /// Service ports may be 0: to be assigned.
    pub port_definitions: Option<Vec<PortDefinition>>,
    pub require_ports: Option<bool>,
    pub fetch: Option<Vec<Artifact>>,
    pub health_checks: Option<Vec<HealthCheck>>,
    pub check: Option<Check>,
    pub readiness_checks: Option<Vec<ReadinessCheck>>,
    pub backoff_seconds: Option<f64>,
    pub backoff_factor: Option<f64>,
    pub max_launch_delay_seconds: Option<f64>,
    pub upgrade_strategy: Option<UpgradeStrategy>,
    pub task_kill_grace_period_seconds: Option<u32>,
    pub kill_selection: Option<KillSelection>,
    pub unreachable_strategy: Option<UnreachableStrategy>,
    pub role: Option<String>,
    pub accepted_resource_roles: Option<BTreeSet<String>>,
    /// Roll back to this version; alone or with `id`.
    pub version: Option<Timestamp>,
    /// What the body says that no app may be, found while it was read; told together with
    /// everything that is found wrong later.
    #[doc(hidden)]
    pub problems: Vec<Violation>,
}

/// The `container` of an [`AppUpdate`].
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerUpdate {
    pub kind: ContainerKind,
    pub docker: Option<Docker>,
    pub volumes: Vec<Volume>,
    /// None: the default mapping where there has to be one. An empty list: none.
    pub port_mappings: Option<Vec<PortMapping>>,
    pub linux_info: Option<LinuxInfo>,
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
