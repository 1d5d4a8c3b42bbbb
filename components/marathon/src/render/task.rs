//! Tasks, as the API lists them.

use http_kit::json::{self, Object};
use marathon_core::{Condition, HealthState, Instance, TaskFailure};
use marathon_model::App;
use mesos_messages::v1;

use super::{moment, optional, optional_moment, value};

/// Whether an instance is listed: it was launched somewhere.
pub(crate) fn is_listed(instance: &Instance) -> bool {
    instance.placement.is_some()
}

/// Appends an instance's task; `service_ports` only where the original lists them.
pub(crate) fn write(out: &mut Vec<u8>, instance: &Instance, service_ports: bool) {
    let place = instance.placement.as_deref();
    let active = instance.condition.active();
    let mut task = Object::new(out);
    task.string("appId", instance.spec.id.as_str());
    json::list(
        task.key("healthCheckResults"),
        instance.health.iter().filter(|health| was_checked(health)),
        |out, health| write_health(out, instance, health),
    );
    if let Some(check) = &instance.check {
        write_check(&mut task, check);
    }
    task.string("host", place.map_or("", |place| &place.host));
    id(task.key("id"), instance);
    json::list(task.key("ipAddresses"), &instance.ips, |out, ip| {
        let mut address = Object::new(out);
        address.string("ipAddress", &ip.address);
        address.string("protocol", if ip.v6 { "IPv6" } else { "IPv4" });
        address.end();
    });
    let ports: &[u16] = if active { &instance.host_ports } else { &[] };
    json::list(task.key("ports"), ports, |out, port| json::integer(out, i64::from(*port)));
    let listed = if service_ports { self::service_ports(&instance.spec) } else { Vec::new() };
    json::list(task.key("servicePorts"), listed, |out, port| json::integer(out, i64::from(port)));
    optional(&mut task, "slaveId", place.map(|place| place.agent_id.as_str()));
    task.string("state", state(instance));
    if active {
        optional_moment(&mut task, "stagedAt", instance.staged_at);
        optional_moment(&mut task, "startedAt", instance.started_at);
        moment(task.key("version"), instance.spec.version);
    }
    task.key("localVolumes").extend_from_slice(b"[]");
    optional(&mut task, "region", place.and_then(|place| place.region.as_deref()));
    optional(&mut task, "zone", place.and_then(|place| place.zone.as_deref()));
    task.string("role", place.map_or(instance.spec.role.as_str(), |place| &place.role));
    task.end();
}

/// Appends the last failure of an app.
pub(crate) fn write_failure(out: &mut Vec<u8>, failure: &TaskFailure) {
    value(out, failure);
}

/// The ports under which an app is known to load balancers.
pub(crate) fn service_ports(app: &App) -> Vec<u16> {
    let mappings = app.container.iter().flat_map(|container| &container.port_mappings);
    let mapped = mappings.map(|mapping| mapping.service_port);
    app.port_definitions.iter().map(|port| port.port).chain(mapped).collect()
}

fn id(out: &mut Vec<u8>, instance: &Instance) {
    use std::io::Write;
    // Ids have no characters that JSON would escape: they were made here.
    let _ = write!(out, "\"{}\"", instance.task_id());
}

/// The state as Mesos names it, or what comes closest to the condition.
fn state(instance: &Instance) -> &'static str {
    match instance.condition {
        Condition::Scheduled | Condition::Provisioned | Condition::Staging => "TASK_STAGING",
        Condition::Starting => "TASK_STARTING",
        Condition::Running => "TASK_RUNNING",
        Condition::Killing => "TASK_KILLING",
        Condition::Unreachable | Condition::UnreachableInactive => "TASK_UNREACHABLE",
        Condition::Error => "TASK_ERROR",
        Condition::Failed => "TASK_FAILED",
        Condition::Finished => "TASK_FINISHED",
        Condition::Killed => "TASK_KILLED",
        Condition::Gone => "TASK_GONE",
        Condition::Dropped => "TASK_DROPPED",
        Condition::Unknown => "TASK_UNKNOWN",
    }
}

/// Before the first result a check says nothing.
fn was_checked(health: &HealthState) -> bool {
    health.alive || health.last_success.is_some() || health.last_failure.is_some()
}

fn write_health(out: &mut Vec<u8>, instance: &Instance, health: &HealthState) {
    let mut result = Object::new(out);
    result.boolean("alive", health.alive);
    result.integer("consecutiveFailures", i64::from(health.consecutive_failures));
    optional_moment(&mut result, "firstSuccess", health.first_success);
    result.string("instanceId", instance.id.as_str());
    optional_moment(&mut result, "lastSuccess", health.last_success);
    optional_moment(&mut result, "lastFailure", health.last_failure);
    optional(&mut result, "lastFailureCause", health.last_failure_cause.as_deref());
    result.end();
}

fn write_check(task: &mut Object<'_>, check: &v1::CheckStatusInfo) {
    let http = check.http.as_ref().and_then(|http| http.status_code);
    let tcp = check.tcp.as_ref().and_then(|tcp| tcp.succeeded);
    let command = check.command.as_ref().and_then(|command| command.exit_code);
    if http.is_none() && tcp.is_none() && command.is_none() {
        return;
    }
    let mut result = Object::new(task.key("checkResult"));
    if let Some(status) = http {
        let mut http = Object::new(result.key("http"));
        http.integer("statusCode", i64::from(status));
        http.end();
    }
    if let Some(succeeded) = tcp {
        let mut tcp = Object::new(result.key("tcp"));
        tcp.boolean("succeeded", succeeded);
        tcp.end();
    }
    if let Some(code) = command {
        let mut command = Object::new(result.key("command"));
        command.integer("exitCode", i64::from(code));
        command.end();
    }
    result.end();
}
