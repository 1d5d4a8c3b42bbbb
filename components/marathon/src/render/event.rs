//! Events, as the stream carries them.

use http_kit::json::{self, Object};
use marathon_core::{CurrentStep, Event, EventKind};
use marathon_model::{InstanceId, PathId, Timestamp, plan::Plan};

use super::{app, moment, optional, value};

/// Appends an event's JSON.
pub(crate) fn write(out: &mut Vec<u8>, event: &Event) {
    let mut object = Object::new(out);
    fields(&mut object, &event.kind);
    object.string("eventType", event.kind.name());
    moment(object.key("timestamp"), event.at);
    object.end();
}

fn fields(object: &mut Object<'_>, kind: &EventKind) {
    match kind {
        EventKind::ApiPost { client_ip, uri, app } => {
            object.string("clientIp", client_ip);
            object.string("uri", uri);
            app::spec(object.key("appDefinition"), app);
        }
        EventKind::StreamAttached { remote } | EventKind::StreamDetached { remote } => {
            object.string("remoteAddress", remote);
        }
        EventKind::SchedulerRegistered { framework_id, master } => {
            object.string("frameworkId", framework_id);
            object.string("master", master);
        }
        EventKind::SchedulerReregistered { master } => object.string("master", master),
        EventKind::SchedulerDisconnected => {}
        EventKind::AddHealthCheck { app, version, check } => {
            path(object, "appId", app);
            moment(object.key("version"), *version);
            value(object.key("healthCheck"), check);
        }
        EventKind::RemoveHealthCheck { app } | EventKind::AppTerminated { app } => {
            path(object, "appId", app);
        }
        EventKind::FailedHealthCheck { app, instance, check } => {
            path(object, "appId", app);
            object.string("taskId", instance.as_str());
            value(object.key("healthCheck"), check);
        }
        EventKind::HealthStatusChanged { app, instance, version, alive } => {
            path(object, "appId", app);
            object.string("instanceId", instance.as_str());
            moment(object.key("version"), *version);
            object.boolean("alive", *alive);
        }
        EventKind::UnhealthyInstanceKill { app, task, instance, version, reason, host, agent } => {
            path(object, "appId", app);
            object.string("taskId", task);
            object.string("instanceId", instance.as_str());
            moment(object.key("version"), *version);
            object.string("reason", reason);
            object.string("host", host);
            optional(object, "slaveId", agent.as_deref());
        }
        EventKind::GroupChangeSuccess { group, version } => {
            path(object, "groupId", group);
            moment(object.key("version"), *version);
        }
        EventKind::GroupChangeFailed { group, version, reason } => {
            path(object, "groupId", group);
            moment(object.key("version"), *version);
            object.string("reason", reason);
        }
        _ => more_fields(object, kind),
    }
}

fn more_fields(object: &mut Object<'_>, kind: &EventKind) {
    match kind {
        EventKind::DeploymentSuccess { plan } => {
            object.string("id", &plan.id);
            light(object, plan);
        }
        EventKind::DeploymentFailed { plan, reason } => {
            object.string("id", &plan.id);
            light(object, plan);
            optional(object, "reason", reason.as_deref());
        }
        EventKind::DeploymentInfo { plan, step }
        | EventKind::DeploymentStepSuccess { plan, step }
        | EventKind::DeploymentStepFailure { plan, step } => {
            light(object, plan);
            current(object, step);
        }
        EventKind::StatusUpdate { agent, task, state, message, app, host, ips, ports, version } => {
            object.string("slaveId", agent);
            object.string("taskId", task);
            object.string("taskStatus", state);
            object.string("message", message);
            path(object, "appId", app);
            object.string("host", host);
            json::list(object.key("ipAddresses"), ips, |out, ip| {
                let mut address = Object::new(out);
                address.string("ipAddress", &ip.address);
                address.string("protocol", if ip.v6 { "IPv6" } else { "IPv4" });
                address.end();
            });
            let ports = ports.iter().copied().map(i64::from);
            json::list(object.key("ports"), ports, json::integer);
            moment(object.key("version"), *version);
        }
        EventKind::InstanceChanged {
            instance,
            condition,
            app,
            agent,
            host,
            version,
            goal,
            killing,
        } => {
            instance_of(object, instance, condition.name(), app);
            nullable(object, "agentId", agent.as_deref());
            nullable(object, "host", host.as_deref());
            moment(object.key("runSpecVersion"), *version);
            // Ours: the original tells of a kill only when the agent has begun with it.
            object.string("goal", goal.name());
            object.boolean("killing", *killing);
        }
        EventKind::UnknownInstanceTerminated { instance, app, condition } => {
            instance_of(object, instance, condition.name(), app);
        }
        EventKind::InstanceHealthChanged { instance, app, version, healthy } => {
            object.string("instanceId", instance.as_str());
            path(object, "runSpecId", app);
            match healthy {
                Some(healthy) => object.boolean("healthy", *healthy),
                None => object.key("healthy").extend_from_slice(b"null"),
            }
            moment(object.key("runSpecVersion"), *version);
        }
        EventKind::FrameworkMessage { executor, agent, message } => {
            object.string("executorId", executor);
            object.string("slaveId", agent);
            object.string("message", message);
        }
        EventKind::DeploymentStalled { plan, reason } => {
            light(object, plan);
            object.string("reason", reason);
        }
        EventKind::InstancePending { app, version, instances, reasons } => {
            pending(object, app, *version, *instances, reasons);
        }
        _ => {}
    }
}

fn pending(
    object: &mut Object<'_>,
    app: &PathId,
    version: Timestamp,
    instances: u32,
    reasons: &[String],
) {
    path(object, "appId", app);
    moment(object.key("version"), version);
    object.integer("instances", i64::from(instances));
    json::list(object.key("reasons"), reasons, |out, reason| json::string(out, reason));
}

fn path(object: &mut Object<'_>, name: &str, id: &PathId) {
    object.string(name, id.as_str());
}

fn nullable(object: &mut Object<'_>, name: &str, text: Option<&str>) {
    match text {
        Some(text) => object.string(name, text),
        None => object.key(name).extend_from_slice(b"null"),
    }
}

fn instance_of(object: &mut Object<'_>, id: &InstanceId, condition: &str, app: &PathId) {
    object.string("instanceId", id.as_str());
    object.string("condition", condition);
    path(object, "runSpecId", app);
}

fn light(object: &mut Object<'_>, plan: &Plan) {
    value(object.key("plan"), &plan.light_json());
}

fn current(object: &mut Object<'_>, step: &CurrentStep) {
    let mut current = Object::new(object.key("currentStep"));
    json::list(current.key("actions"), &step.actions, |out, (kind, app)| {
        let mut action = Object::new(out);
        action.string("action", kind.as_str());
        action.string("app", app.as_str());
        action.end();
    });
    current.end();
}
