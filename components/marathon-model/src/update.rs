//! A request body that describes an app or a change of one: every field is there or not.

use crate::{App, ModelError, PathId, Settings, Timestamp, Violation, app::*, normalise, validate};
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
    /// The same with the id and the dependencies absolute: relative ones are so to `base`, the
    /// group that they were written in.
    pub fn rebase(mut self, base: &PathId) -> Result<Self, ModelError> {
        if let Some(id) = &mut self.id {
            *id = resolve(id, base, "/id")?.to_string();
        }
        for (index, dependency) in self.dependencies.iter_mut().flatten().enumerate() {
            let path = format!("/dependencies({index})");
            *dependency = resolve(dependency, base, &path)?.to_string();
        }
        Ok(self)
    }

    /// The version to roll back to, if that is what the update is. Nothing but the id may come
    /// with it.
    pub fn rollback(&self) -> Result<Option<Timestamp>, ModelError> {
        if self.version.is_none() {
            return Ok(None);
        }
        let alone = Self { version: self.version, id: self.id.clone(), ..Self::default() };
        if *self == alone {
            return Ok(self.version);
        }
        let text = "The 'version' field may only be combined with the 'id' field.";
        Err(ModelError::invalid("/", text))
    }

    /// A new app. `id` is used instead of the update's own.
    pub fn create(&self, id: Option<&PathId>, settings: &Settings) -> Result<App, ModelError> {
        self.clone().build(id, None, settings)
    }

    /// The app with the present fields changed.
    pub fn merge(&self, app: &App, settings: &Settings) -> Result<App, ModelError> {
        // Rolling back has been looked for before.
        self.rollback()?;
        self.clone().over(app).build(Some(&app.id), Some(app), settings)
    }

    /// A new app in the place of another.
    pub fn replace(&self, app: &App, settings: &Settings) -> Result<App, ModelError> {
        self.clone().build(Some(&app.id), Some(app), settings)
    }

    fn build(
        mut self,
        id: Option<&PathId>,
        before: Option<&App>,
        settings: &Settings,
    ) -> Result<App, ModelError> {
        let id = match (id, &self.id) {
            (Some(id), _) => id.clone(),
            (None, Some(text)) => resolve(text, &PathId::root(), "/id")?,
            (None, None) => {
                let text = "'id' is undefined on object";
                return Err(ModelError::wrong_shape(&[Violation::new("/id", text)]));
            }
        };
        let mut violations = std::mem::take(&mut self.problems);
        let mut app = normalise::assemble(self, id, settings);
        if let Some(before) = before {
            app.version = before.version;
            app.version_info = before.version_info;
        }
        violations.extend(validate::app(&app, settings));
        if violations.is_empty() {
            return Ok(app);
        }
        Err(ModelError::Invalid(validate::grouped(violations)))
    }

    /// The update completed by an app: what is absent becomes what it is there.
    fn over(self, app: &App) -> Self {
        fn or<T: Clone>(given: Option<T>, old: &T) -> Option<T> {
            given.or_else(|| Some(old.clone()))
        }
        // What was there only with host networking goes when the networking changes; what is
        // unset there stays unset.
        let host = app.is_host_networked();
        Self {
            id: self.id,
            cmd: self.cmd.or_else(|| app.cmd.clone()),
            args: or(self.args, &app.args),
            instances: or(self.instances, &app.instances),
            cpus: or(self.cpus, &app.cpus),
            mem: or(self.mem, &app.mem),
            disk: or(self.disk, &app.disk),
            gpus: or(self.gpus, &app.gpus),
            // The original forgets these two in a partial update, so that scaling an app would
            // replace its instances.
            resource_limits: self.resource_limits.or_else(|| app.resource_limits.clone()),
            executor_resources: self.executor_resources.or_else(|| app.executor_resources.clone()),
            executor: or(self.executor, &app.executor),
            user: self.user.or_else(|| app.user.clone()),
            tty: self.tty.or(app.tty),
            env: or(self.env, &app.env),
            secrets: or(self.secrets, &app.secrets),
            labels: or(self.labels, &app.labels),
            dependencies: self
                .dependencies
                .or_else(|| Some(app.dependencies.iter().map(PathId::to_string).collect())),
            constraints: or(self.constraints, &app.constraints),
            container: self.container.or_else(|| {
                app.container.as_ref().map(|container| ContainerUpdate::of(container, host))
            }),
            networks: or(self.networks, &app.networks),
            port_definitions: self
                .port_definitions
                .or_else(|| host.then(|| app.port_definitions.clone())),
            require_ports: or(self.require_ports, &app.require_ports),
            fetch: or(self.fetch, &app.fetch),
            health_checks: or(self.health_checks, &app.health_checks),
            check: self.check.or_else(|| app.check.clone()),
            readiness_checks: or(self.readiness_checks, &app.readiness_checks),
            backoff_seconds: or(self.backoff_seconds, &app.backoff_seconds),
            backoff_factor: or(self.backoff_factor, &app.backoff_factor),
            max_launch_delay_seconds: or(
                self.max_launch_delay_seconds,
                &app.max_launch_delay_seconds,
            ),
            upgrade_strategy: or(self.upgrade_strategy, &app.upgrade_strategy),
            task_kill_grace_period_seconds: self
                .task_kill_grace_period_seconds
                .or(app.task_kill_grace_period_seconds),
            kill_selection: or(self.kill_selection, &app.kill_selection),
            unreachable_strategy: or(self.unreachable_strategy, &app.unreachable_strategy),
            role: or(self.role, &app.role),
            accepted_resource_roles: self
                .accepted_resource_roles
                .or_else(|| app.accepted_resource_roles.clone()),
            version: None,
            problems: self.problems,
        }
    }
}

fn resolve(text: &str, base: &PathId, path: &str) -> Result<PathId, ModelError> {
    PathId::resolve(text, base).map_err(|error| ModelError::invalid(path, error.to_string()))
}

// === impl ContainerUpdate ===

impl ContainerUpdate {
    /// A container as an update that says the same. With host networking nothing is known of
    /// port mappings.
    fn of(container: &Container, host: bool) -> Self {
        Self {
            kind: container.kind,
            docker: container.docker.clone(),
            volumes: container.volumes.clone(),
            port_mappings: (!host).then(|| container.port_mappings.clone()),
            linux_info: container.linux_info.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
