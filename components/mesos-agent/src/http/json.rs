//! The objects of the classic endpoints: frameworks, executors, tasks as `/state` has them.

use crate::core::{ExecutorView, FrameworkView};
use http_kit::json::{self, Object};
use mesos_messages::{
    json::JsonMessage,
    resources::Resources,
    v1::{self, framework_info::capability},
};

/// The sum of resources as an object of numbers and texts.
pub(super) fn resources<'a>(
    out: &mut Vec<u8>,
    resources: impl IntoIterator<Item = &'a v1::Resource>,
) {
    sum(resources).write_summary(out);
}

/// The sum of resources; what is not valid counts nothing.
pub(super) fn sum<'a>(resources: impl IntoIterator<Item = &'a v1::Resource>) -> Resources {
    let all: Vec<v1::Resource> = resources.into_iter().cloned().collect();
    Resources::from_proto(&all).unwrap_or_default()
}

fn labels(object: &mut Object<'_>, labels: Option<&v1::Labels>) {
    if let Some(labels) = labels {
        v1::Label::write_json_list(&labels.labels, object.key("labels"));
    }
}

/// The role that resources are allocated to.
fn role(resources: &[v1::Resource]) -> Option<&str> {
    resources.iter().find_map(|resource| resource.allocation_info.as_ref()?.role.as_deref())
}

pub(super) fn framework(out: &mut Vec<u8>, view: &FrameworkView) {
    let info = &view.info;
    let mut object = Object::new(out);
    object.string("id", view.id());
    object.string("name", &info.name);
    object.string("user", &info.user);
    object.double("failover_timeout", info.failover_timeout());
    object.boolean("checkpoint", info.checkpoint());
    object.string("hostname", info.hostname());
    if let Some(principal) = &info.principal {
        object.string("principal", principal);
    }
    let multi_role = info
        .capabilities
        .iter()
        .any(|capability| capability.r#type() == capability::Type::MultiRole);
    if multi_role {
        json::list(object.key("roles"), &info.roles, |out, role| json::string(out, role));
    } else {
        #[allow(deprecated)]
        object.string("role", info.role());
    }
    json::list(object.key("executors"), &view.executors, executor);
    json::list(object.key("completed_executors"), &view.completed_executors, |out, view| {
        executor(out, view);
    });
    object.end();
}

fn executor(out: &mut Vec<u8>, view: &ExecutorView) {
    let info = &view.info;
    let mut object = Object::new(out);
    object.string("id", &info.executor_id.value);
    object.string("name", info.name());
    #[allow(deprecated)]
    object.string("source", info.source());
    object.string("container", &view.run.container_id);
    object.string("directory", &view.directory.to_string_lossy());
    resources(object.key("resources"), view.resources());
    if let Some(role) = role(&info.resources) {
        object.string("role", role);
    }
    labels(&mut object, info.labels.as_ref());
    if info.r#type.is_some() {
        object.string("type", info.r#type().as_str_name());
    }
    json::list(object.key("tasks"), &view.launched, |out, item| task(out, item));
    json::list(object.key("queued_tasks"), &view.queued, |out, (info, _)| queued(out, info));
    let done = view.completed.iter().chain(&view.terminated);
    json::list(object.key("completed_tasks"), done, |out, item| task(out, item));
    object.end();
}

fn task(out: &mut Vec<u8>, task: &v1::Task) {
    let mut object = Object::new(out);
    object.string("id", &task.task_id.value);
    object.string("name", &task.name);
    object.string("framework_id", &task.framework_id.value);
    object.string("executor_id", task.executor_id.as_ref().map_or("", |id| &id.value));
    object.string("slave_id", &task.agent_id.value);
    object.string("state", task.state().as_str_name());
    resources(object.key("resources"), &task.resources);
    if !task.limits.is_empty() {
        let mut limits = Object::new(object.key("limits"));
        for (name, scalar) in &task.limits {
            if scalar.value.is_infinite() {
                limits.string(name, "Infinity");
            } else {
                limits.double(name, scalar.value);
            }
        }
        limits.end();
    }
    if let Some(role) = role(&task.resources) {
        object.string("role", role);
    }
    json::list(object.key("statuses"), &task.statuses, status);
    if let Some(user) = &task.user {
        object.string("user", user);
    }
    labels(&mut object, task.labels.as_ref());
    if let Some(discovery) = &task.discovery {
        discovery.write_json(object.key("discovery"));
    }
    if let Some(container) = &task.container {
        container.write_json(object.key("container"));
    }
    if let Some(check) = &task.health_check {
        check.write_json(object.key("health_check"));
    }
    object.end();
}

fn queued(out: &mut Vec<u8>, info: &v1::TaskInfo) {
    let mut object = Object::new(out);
    object.string("id", &info.task_id.value);
    object.string("name", &info.name);
    object.string("slave_id", &info.agent_id.value);
    resources(object.key("resources"), &info.resources);
    if let Some(role) = role(&info.resources) {
        object.string("role", role);
    }
    if let Some(command) = &info.command {
        command.write_json(object.key("command"));
    }
    if let Some(executor) = &info.executor {
        object.string("executor_id", &executor.executor_id.value);
    }
    if let Some(discovery) = &info.discovery {
        discovery.write_json(object.key("discovery"));
    }
    object.end();
}

fn status(out: &mut Vec<u8>, status: &v1::TaskStatus) {
    let mut object = Object::new(out);
    object.string("state", status.state().as_str_name());
    object.double("timestamp", status.timestamp());
    labels(&mut object, status.labels.as_ref());
    if let Some(container) = &status.container_status {
        let mut inner = Object::new(object.key("container_status"));
        if let Some(id) = &container.container_id {
            id.write_json(inner.key("container_id"));
        }
        if !container.network_infos.is_empty() {
            v1::NetworkInfo::write_json_list(&container.network_infos, inner.key("network_infos"));
        }
        if let Some(cgroup) = &container.cgroup_info {
            cgroup.write_json(inner.key("cgroup_info"));
        }
        inner.end();
    }
    if let Some(healthy) = status.healthy {
        object.boolean("healthy", healthy);
    }
    object.end();
}
