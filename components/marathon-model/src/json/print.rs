//! Printing an app: the original's fields in the original's order.
//!
//! What is absent is left out; so are empty lists, but for those that the original shows empty.

use super::{
    print_parts::{
        CheckView, ContainerView, EnvView, FetchView, HealthCheckView, LimitsView, NetworkView,
        PortDefinitionView, ReadinessCheckView, SecretView, Views,
    },
    words,
};
use crate::{
    App,
    app::{HealthCheck, UnreachableStrategy, UpgradeStrategy, VersionInfo},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

impl Serialize for App {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize_fields(&mut map)?;
        map.end()
    }
}

impl App {
    /// Appends the app as JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        // Writing to memory cannot fail, and every key is a text.
        let written = serde_json::to_writer(out, self);
        debug_assert!(written.is_ok());
    }

    /// Writes the fields into an object that gets others besides.
    pub fn serialize_fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("id", &self.id)?;
        optional(map, "acceptedResourceRoles", self.accepted_resource_roles.as_ref())?;
        unless_empty(map, "args", &self.args, self.args.is_empty())?;
        map.serialize_entry("backoffFactor", &Number(self.backoff_factor))?;
        map.serialize_entry("backoffSeconds", &Number(self.backoff_seconds))?;
        optional(map, "cmd", self.cmd.as_ref())?;
        unless_empty(map, "constraints", &Views(&self.constraints), self.constraints.is_empty())?;
        if let Some(container) = &self.container {
            let ports = !self.is_host_networked();
            map.serialize_entry("container", &ContainerView { container, ports })?;
        }
        map.serialize_entry("cpus", &Number(self.cpus))?;
        unless_empty(map, "dependencies", &self.dependencies, self.dependencies.is_empty())?;
        map.serialize_entry("disk", &Number(self.disk))?;
        unless_empty(map, "env", &EnvView(&self.env), self.env.is_empty())?;
        self.serialize_execution(map)?;
        self.serialize_network(map)?;
        self.serialize_rest(map)
    }

    fn serialize_execution<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("executor", &self.executor)?;
        if let Some(resources) = &self.executor_resources {
            let entries = [
                ("cpus", Number(resources.cpus)),
                ("mem", Number(resources.mem)),
                ("disk", Number(resources.disk)),
            ];
            map.serialize_entry("executorResources", &Entries(&entries))?;
        }
        unless_empty(map, "fetch", &FetchView(&self.fetch), self.fetch.is_empty())?;
        let checks = &self.health_checks;
        if !checks.is_empty() {
            map.serialize_key("healthChecks")?;
            map.serialize_value(&List(|| checks.iter().map(HealthCheckView)))?;
        }
        optional(map, "check", self.check.as_ref().map(CheckView).as_ref())?;
        map.serialize_entry("instances", &self.instances)?;
        map.serialize_entry("labels", &self.labels)?;
        map.serialize_entry("maxLaunchDelaySeconds", &Number(self.max_launch_delay_seconds))?;
        map.serialize_entry("mem", &Number(self.mem))?;
        map.serialize_entry("gpus", &self.gpus)
    }

    fn serialize_network<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("networks", &List(|| self.networks.iter().map(NetworkView)))?;
        if self.is_host_networked() {
            let definitions = List(|| self.port_definitions.iter().map(PortDefinitionView));
            map.serialize_entry("portDefinitions", &definitions)?;
        }
        if !self.readiness_checks.is_empty() {
            let checks = List(|| self.readiness_checks.iter().map(ReadinessCheckView));
            map.serialize_entry("readinessChecks", &checks)?;
        }
        if self.is_resident() {
            let timeout = match self.unreachable_strategy {
                UnreachableStrategy::Disabled => 3600,
                UnreachableStrategy::After { inactive_seconds, .. } => inactive_seconds,
            };
            map.serialize_entry("residency", &Residency(timeout))?;
        }
        optional(map, "resourceLimits", self.resource_limits.as_ref().map(LimitsView).as_ref())?;
        map.serialize_entry("requirePorts", &self.require_ports)
    }

    fn serialize_rest<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        unless_empty(map, "secrets", &SecretView(&self.secrets), self.secrets.is_empty())?;
        let grace = self.task_kill_grace_period_seconds;
        optional(map, "taskKillGracePeriodSeconds", grace.as_ref())?;
        map.serialize_entry("upgradeStrategy", &self.upgrade_strategy)?;
        optional(map, "user", self.user.as_ref())?;
        map.serialize_entry("version", &self.version)?;
        map.serialize_entry("versionInfo", &self.version_info)?;
        let kill = words::of(words::KILL_SELECTIONS, &self.kill_selection);
        map.serialize_entry("killSelection", kill)?;
        map.serialize_entry("unreachableStrategy", &self.unreachable_strategy)?;
        optional(map, "tty", self.tty.as_ref())?;
        map.serialize_entry("role", &self.role)
    }
}

impl Serialize for HealthCheck {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        HealthCheckView(self).serialize(serializer)
    }
}

impl Serialize for UpgradeStrategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = [
            ("maximumOverCapacity", Number(self.maximum_over_capacity)),
            ("minimumHealthCapacity", Number(self.minimum_health_capacity)),
        ];
        Entries(&entries).serialize(serializer)
    }
}

impl Serialize for UnreachableStrategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Disabled => serializer.serialize_str("disabled"),
            Self::After { inactive_seconds, expunge_seconds } => Entries(&[
                ("inactiveAfterSeconds", inactive_seconds),
                ("expungeAfterSeconds", expunge_seconds),
            ])
            .serialize(serializer),
        }
    }
}

impl Serialize for VersionInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Entries(&[
            ("lastScalingAt", self.last_scaling_at),
            ("lastConfigChangeAt", self.last_config_change_at),
        ])
        .serialize(serializer)
    }
}

struct Residency(u64);

impl Serialize for Residency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("relaunchEscalationTimeoutSeconds", &self.0)?;
        map.serialize_entry("taskLostBehavior", "WAIT_FOREVER")?;
        map.end()
    }
}

// === helpers ===

/// A number; a whole one is printed without a point.
pub(super) struct Number(pub(super) f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Up to here every whole number is exact.
        if self.0.fract() == 0.0 && self.0.abs() < 9_007_199_254_740_992.0 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// An object of values of one type.
pub(super) struct Entries<'a, T>(pub(super) &'a [(&'static str, T)]);

impl<T: Serialize> Serialize for Entries<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

/// A list whose items are made as they are printed.
pub(super) struct List<F>(pub(super) F);

impl<I, F> Serialize for List<F>
where
    I: Iterator,
    I::Item: Serialize,
    F: Fn() -> I,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

pub(super) fn optional<M: SerializeMap>(
    map: &mut M,
    key: &'static str,
    value: Option<&(impl Serialize + ?Sized)>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, value))
}

pub(super) fn unless_empty<M: SerializeMap>(
    map: &mut M,
    key: &'static str,
    value: &impl Serialize,
    empty: bool,
) -> Result<(), M::Error> {
    if empty { Ok(()) } else { map.serialize_entry(key, value) }
}
