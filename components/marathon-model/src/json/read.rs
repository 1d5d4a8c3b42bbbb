//! Reading an app or an update of one.

use super::{
    checks::{check, health_check, readiness_check},
    container::{container, network, port_definition},
    legacy,
    names::{is_executor, is_path_id},
    shape::{
        At, Fields, Findings, boolean, double, double_in, few, int_in, labels, limit, line, list,
        long, map, matching, name, natural, set, string, strings, timestamp, word,
    },
    words,
};
use crate::{
    AppUpdate, ModelError,
    app::{
        Artifact, Constraint, EnvValue, ExecutorResources, ResourceLimits, UnreachableStrategy,
        UpgradeStrategy,
    },
};
use serde_json::Value;

/// Constraints of an app: expressions among them have to be compiled.
const MOST_CONSTRAINTS: usize = 500;

// === impl AppUpdate ===

impl AppUpdate {
    /// Reads a request's JSON; every error of its shape is collected.
    pub fn parse(value: &Value) -> Result<Self, ModelError> {
        reading(|at| app(value, at))
    }

    /// Reads the bytes of a whole definition, which must say whose it is.
    pub fn parse_new_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let value = document(bytes)?;
        reading(|at| {
            Fields::of(&value, at)?.need("id", |_, _| Some(()));
            app(&value, at)
        })
    }

    /// Reads a list of updates.
    pub fn parse_list(value: &Value) -> Result<Vec<Self>, ModelError> {
        let mut updates = Vec::new();
        for (index, item) in items(value)?.iter().enumerate() {
            updates.push(reading(|at| app(item, at.index(index)))?);
        }
        Ok(updates)
    }

    /// Reads a request's bytes.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::parse(&document(bytes)?)
    }

    /// Reads the bytes of a request about several apps.
    pub fn parse_list_bytes(bytes: &[u8]) -> Result<Vec<Self>, ModelError> {
        Self::parse_list(&document(bytes)?)
    }
}

/// Bytes that must be JSON.
pub(crate) fn document(bytes: &[u8]) -> Result<Value, ModelError> {
    if bytes.trim_ascii().is_empty() {
        return Err(ModelError::InvalidJson {
            message: "Please specify data in JSON format".to_owned(),
            details: Value::String("No content to map due to end-of-input".to_owned()),
        });
    }
    serde_json::from_slice(bytes).map_err(|error| ModelError::broken_json(error.to_string()))
}

fn items(value: &Value) -> Result<&Vec<Value>, ModelError> {
    let wrong = || ModelError::wrong_shape(&[crate::Violation::new("", "error.expected.jsarray")]);
    value.as_array().ok_or_else(wrong)
}

fn reading(read: impl Fn(At<'_>) -> Option<AppUpdate>) -> Result<AppUpdate, ModelError> {
    let findings = Findings::default();
    let update = read(At::root(&findings));
    let (shape, problems) = findings.into_parts();
    match update {
        Some(update) if shape.is_empty() => Ok(AppUpdate { problems, ..update }),
        _ => Err(ModelError::wrong_shape(&shape)),
    }
}

/// Reads an app. Some even where fields are wrong, which is noted.
fn app(value: &Value, at: At<'_>) -> Option<AppUpdate> {
    let fields = Fields::of(value, at)?;
    let mut update = AppUpdate::default();
    identity(&fields, &mut update);
    resources(&fields, &mut update);
    scheduling(&fields, &mut update);
    network_of(&fields, &mut update);
    update.fetch = legacy::fetch(
        &fields,
        fields.get("uris", |v, at| list(v, at, line)),
        fields.get("fetch", |v, at| list(v, at, artifact)),
    );
    Some(update)
}

fn identity(fields: &Fields<'_>, update: &mut AppUpdate) {
    update.id = fields.get("id", path_id);
    update.cmd = fields.get("cmd", name);
    update.args = fields.get("args", strings);
    update.user = fields.get("user", string);
    update.tty = fields.get("tty", boolean);
    update.env = fields.get("env", |v, at| map(v, at, env_value));
    update.secrets = fields.get("secrets", |v, at| map(v, at, secret));
    update.labels = fields.get("labels", labels);
    update.dependencies = fields.get("dependencies", |v, at| set(v, at, path_id));
    update.version = fields.get("version", timestamp);
}

fn resources(fields: &Fields<'_>, update: &mut AppUpdate) {
    update.instances = fields.get("instances", natural);
    update.cpus = fields.get("cpus", double(0.001));
    update.mem = fields.get("mem", double(0.0));
    update.disk = fields.get("disk", double(0.0));
    update.gpus = fields.get("gpus", natural);
    update.resource_limits = fields.get("resourceLimits", |v, at| {
        let fields = Fields::of(v, at)?;
        Some(ResourceLimits { cpus: fields.get("cpus", limit), mem: fields.get("mem", limit) })
    });
    update.executor = fields.get("executor", |v, at| matching(v, at, is_executor));
    update.executor_resources = fields.get("executorResources", |v, at| {
        let fields = Fields::of(v, at)?;
        Some(ExecutorResources {
            cpus: fields.get("cpus", double(0.1)).unwrap_or(0.1),
            mem: fields.get("mem", double(32.0)).unwrap_or(32.0),
            disk: fields.get("disk", double(10.0)).unwrap_or(10.0),
        })
    });
}

fn scheduling(fields: &Fields<'_>, update: &mut AppUpdate) {
    update.constraints =
        fields.get("constraints", |v, at| few(v, at, MOST_CONSTRAINTS, constraint));
    update.backoff_seconds = fields.get("backoffSeconds", natural).map(f64::from);
    update.backoff_factor = fields.get("backoffFactor", double(1.0));
    update.max_launch_delay_seconds = fields.get("maxLaunchDelaySeconds", natural).map(f64::from);
    update.upgrade_strategy = fields.get("upgradeStrategy", upgrade_strategy);
    update.task_kill_grace_period_seconds = fields.get("taskKillGracePeriodSeconds", natural);
    update.kill_selection =
        fields.get("killSelection", |v, at| word(v, at, words::KILL_SELECTIONS));
    update.unreachable_strategy = fields.get("unreachableStrategy", unreachable_strategy);
    update.role = fields.get("role", name);
    update.accepted_resource_roles =
        fields.get("acceptedResourceRoles", |v, at| Some(strings(v, at)?.into_iter().collect()));
    update.health_checks = fields.get("healthChecks", |v, at| set(v, at, health_check));
    update.check = fields.get("check", check);
    update.readiness_checks = fields.get("readinessChecks", |v, at| list(v, at, readiness_check));
    // It means nothing any more but has to be well formed.
    fields.get("residency", |v, at| {
        const LOST: &[(&str, ())] = &[("WAIT_FOREVER", ()), ("RELAUNCH_AFTER_TIMEOUT", ())];
        let fields = Fields::of(v, at)?;
        fields.get("relaunchEscalationTimeoutSeconds", long);
        fields.get("taskLostBehavior", |v, at| word(v, at, LOST))
    });
}

fn network_of(fields: &Fields<'_>, update: &mut AppUpdate) {
    let old = legacy::read(fields);
    let networks = fields.get("networks", |v, at| list(v, at, network));
    let (container, docker) = match fields.get("container", container) {
        Some((container, docker)) => (Some(container), docker),
        None => (None, legacy::OldDocker::default()),
    };
    update.container = legacy::container(fields, container, &docker, old.ip_address.as_ref());
    let definitions = fields.get("portDefinitions", |v, at| list(v, at, port_definition));
    legacy::check_ports(fields, &old, definitions.as_deref());
    update.port_definitions = definitions.or_else(|| old.port_definitions());
    update.networks = legacy::networks(fields, networks, old.ip_address.as_ref(), &docker);
    update.require_ports = fields.get("requirePorts", boolean);
}

// === parts ===

fn path_id(value: &Value, at: At<'_>) -> Option<String> {
    matching(value, at, is_path_id)
}

fn env_value(value: &Value, at: At<'_>) -> Option<EnvValue> {
    match value {
        Value::String(text) => Some(EnvValue::Text(text.clone())),
        Value::Object(_) => Fields::of(value, at)?.need("secret", string).map(EnvValue::Secret),
        _ => at.wrong("error.expected.jsstring"),
    }
}

fn secret(value: &Value, at: At<'_>) -> Option<String> {
    Fields::of(value, at)?.need("source", name)
}

fn artifact(value: &Value, at: At<'_>) -> Option<Artifact> {
    let fields = Fields::of(value, at)?;
    Some(Artifact {
        uri: fields.need("uri", line)?,
        extract: fields.get("extract", boolean).unwrap_or(true),
        executable: fields.get("executable", boolean).unwrap_or(false),
        cache: fields.get("cache", boolean).unwrap_or(false),
        dest_path: fields.get("destPath", line),
    })
}

fn constraint(value: &Value, at: At<'_>) -> Option<Constraint> {
    let parts = strings(value, at)?;
    Constraint::parse(&parts).map_err(|error| at.problem(error)).ok()
}

fn upgrade_strategy(value: &Value, at: At<'_>) -> Option<UpgradeStrategy> {
    let share = |value: &Value, at: At<'_>| double_in(value, at, 0.0, 1.0);
    let fields = Fields::of(value, at)?;
    // Until it generated its readers the original filled in what is absent, and definitions of
    // that time rely on it.
    let over = fields.get("maximumOverCapacity", share).unwrap_or(1.0);
    let minimum = fields.get("minimumHealthCapacity", share).unwrap_or(1.0);
    Some(UpgradeStrategy { minimum_health_capacity: minimum, maximum_over_capacity: over })
}

fn unreachable_strategy(value: &Value, at: At<'_>) -> Option<UnreachableStrategy> {
    if let Value::String(_) = value {
        return word(value, at, &[("disabled", UnreachableStrategy::Disabled)]);
    }
    let fields = Fields::of(value, at)?;
    Some(UnreachableStrategy::After {
        inactive_seconds: fields.get("inactiveAfterSeconds", long).unwrap_or(0),
        expunge_seconds: fields.get("expungeAfterSeconds", long).unwrap_or(0),
    })
}

/// A status an HTTP server may answer.
pub(super) fn status_code(value: &Value, at: At<'_>) -> Option<u16> {
    int_in(value, at, 100, 999).and_then(|code| u16::try_from(code).ok())
}
