//! Tasks in the classic JSON.
use std::ops::Range;

use http_kit::json;
use mesos_messages::{json::JsonMessage, v1};

use super::{member, member_bool, member_double, member_string, write_labels};
use crate::{
    http::render::text::{Memo, double, quoted},
    model::{ContainerStatus, Id, Status, Task, TaskSpec, TaskSpecMore},
};

/// Writes the tasks of one framework one after the other.
pub(crate) struct TaskWriter {
    framework: Vec<u8>,
    specs: Memo<SpecText>,
    networks: Memo<Vec<u8>>,
}

/// The text that tasks of one service share.
struct SpecText {
    /// From the name to before the executor's id.
    head: Vec<u8>,
    /// From the resources to before the statuses.
    middle: Vec<u8>,
    /// What follows the statuses.
    tail: Vec<u8>,
}

impl SpecText {
    fn new(spec: &TaskSpec, framework: &[u8]) -> SpecText {
        let mut head = Vec::new();
        member_string(&mut head, "name", &spec.name);
        member(&mut head, "framework_id");
        head.extend_from_slice(framework);
        member(&mut head, "executor_id");
        let mut middle = Vec::new();
        member(&mut middle, "resources");
        spec.resources.write_summary(&mut middle);
        if let Some(more) = spec.more.as_deref() {
            write_limits(&mut middle, more);
        }
        member_string(&mut middle, "role", &spec.role);
        member(&mut middle, "statuses");
        let mut tail = Vec::new();
        if let Some(user) = &spec.user {
            member_string(&mut tail, "user", user);
        }
        if let Some(more) = spec.more.as_deref() {
            write_more(&mut tail, more);
        }
        SpecText { head, middle, tail }
    }
}

fn write_limits(out: &mut Vec<u8>, more: &TaskSpecMore) {
    if more.limits.is_empty() {
        return;
    }
    member(out, "limits");
    let mut object = json::Object::new(out);
    for (name, limit) in &more.limits {
        object.double(name, limit.value);
    }
    object.end();
}

fn write_more(out: &mut Vec<u8>, more: &TaskSpecMore) {
    if let Some(labels) = &more.labels {
        member(out, "labels");
        write_labels(out, labels);
    }
    if let Some(discovery) = &more.discovery {
        member(out, "discovery");
        discovery.write_json(out);
    }
    if let Some(container) = &more.container {
        member(out, "container");
        container.write_json(out);
    }
    if let Some(check) = &more.health_check {
        member(out, "health_check");
        check.write_json(out);
    }
}

// === impl TaskWriter ===

impl TaskWriter {
    pub(crate) fn new(framework: &Id) -> TaskWriter {
        let mut text = Vec::new();
        quoted(&mut text, framework);
        TaskWriter { framework: text, specs: Memo::default(), networks: Memo::default() }
    }

    /// Appends one task.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, task: &Task) {
        let framework = &self.framework;
        let Some(spec) = self.specs.get(&task.spec, |spec| SpecText::new(spec, framework)) else {
            return;
        };
        out.extend_from_slice(b"{\"id\":");
        quoted(out, &task.id);
        out.extend_from_slice(&spec.head);
        quoted(out, task.executor_id.as_deref().unwrap_or(""));
        out.extend_from_slice(b",\"slave_id\":");
        quoted(out, &task.agent_id);
        out.extend_from_slice(b",\"state\":\"");
        out.extend_from_slice(task.state.as_str_name().as_bytes());
        out.push(b'"');
        out.extend_from_slice(&spec.middle);
        let networks = &mut self.networks;
        let mut last = None;
        json::list(out, &task.statuses, |out, status| {
            write_status(out, status, networks, &mut last)
        });
        out.extend_from_slice(&spec.tail);
        out.push(b'}');
    }
}

/// The container written last, with the place of its text: statuses of one task share it.
type LastContainer = Option<(*const ContainerStatus, Range<usize>)>;

fn write_status(
    out: &mut Vec<u8>,
    status: &Status,
    networks: &mut Memo<Vec<u8>>,
    last: &mut LastContainer,
) {
    out.extend_from_slice(b"{\"state\":\"");
    out.extend_from_slice(status.state.as_str_name().as_bytes());
    out.extend_from_slice(b"\",\"timestamp\":");
    double(out, status.timestamp);
    if let Some(labels) = status.more.as_deref().and_then(|more| more.labels.as_ref()) {
        member(out, "labels");
        write_labels(out, labels);
    }
    if let Some(container) = &status.container {
        out.extend_from_slice(b",\"container_status\":");
        let address: *const ContainerStatus = &raw const **container;
        match last {
            Some((known, place)) if *known == address => out.extend_from_within(place.clone()),
            _ => {
                let begin = out.len();
                write_container(out, container, networks);
                *last = Some((address, begin..out.len()));
            }
        }
    }
    if let Some(healthy) = status.healthy {
        member_bool(out, "healthy", healthy);
    }
    out.push(b'}');
}

fn write_container(out: &mut Vec<u8>, container: &ContainerStatus, networks: &mut Memo<Vec<u8>>) {
    let begin = out.len();
    if let Some(id) = &container.container_id {
        out.extend_from_slice(b",\"container_id\":");
        write_container_id(out, id);
    }
    if !container.network_infos.is_empty() {
        out.extend_from_slice(b",\"network_infos\":");
        write_networks(out, container, networks);
    }
    if let Some(cgroup) = &container.cgroup_info {
        member(out, "cgroup_info");
        cgroup.write_json(out);
    }
    open(out, begin);
    out.push(b'}');
}

pub(super) fn write_networks(
    out: &mut Vec<u8>,
    container: &ContainerStatus,
    networks: &mut Memo<Vec<u8>>,
) {
    let make = |infos: &[v1::NetworkInfo]| {
        let mut text = Vec::new();
        JsonMessage::write_json_list(infos, &mut text);
        text
    };
    if let Some(text) = networks.get(&container.network_infos, make) {
        out.extend_from_slice(text);
    }
}

pub(super) fn write_container_id(out: &mut Vec<u8>, id: &v1::ContainerId) {
    if id.parent.is_some() {
        id.write_json(out);
        return;
    }
    out.extend_from_slice(b"{\"value\":");
    quoted(out, &id.value);
    out.push(b'}');
}

/// Turns the comma before the first member into the opening brace.
pub(super) fn open(out: &mut Vec<u8>, begin: usize) {
    match out.get_mut(begin) {
        Some(comma) => *comma = b'{',
        None => out.push(b'{'),
    }
}

/// When the first status came; none as long as there is none.
pub(crate) fn first_time(task: &Task) -> Option<f64> {
    task.statuses.first().map(|status| status.timestamp)
}

/// An offer in the classic JSON.
pub(crate) fn write_offer(out: &mut Vec<u8>, offer: &crate::model::Offer) {
    out.extend_from_slice(b"{\"id\":");
    quoted(out, &offer.id);
    member_string(out, "framework_id", &offer.framework_id);
    out.extend_from_slice(b",\"allocation_info\":{\"role\":");
    quoted(out, &offer.role);
    out.push(b'}');
    member_string(out, "slave_id", &offer.agent_id);
    member(out, "resources");
    offer.resources.write_summary(out);
    out.push(b'}');
}

/// An executor in the classic JSON.
pub(crate) fn write_executor(out: &mut Vec<u8>, executor: &crate::model::Executor) {
    let info = &executor.info;
    out.extend_from_slice(b"{\"executor_id\":");
    quoted(out, executor.id());
    member_string(out, "name", info.name.as_deref().unwrap_or(""));
    member_string(out, "framework_id", &executor.framework_id);
    member(out, "command");
    write_command(out, info.command.as_deref());
    member(out, "resources");
    executor.resources.write_summary(out);
    if let Some(role) = executor.resources.allocation_role() {
        member_string(out, "role", role);
    }
    if let Some(labels) = &info.labels {
        member(out, "labels");
        write_labels(out, labels);
    }
    if let Some(kind) = info.r#type.and_then(|n| v1::executor_info::Type::try_from(n).ok()) {
        member_string(out, "type", kind.as_str_name());
    }
    member_string(out, "slave_id", &executor.agent_id);
    out.push(b'}');
}

fn write_command(out: &mut Vec<u8>, command: Option<&v1::CommandInfo>) {
    let default = v1::CommandInfo::default();
    let command = command.unwrap_or(&default);
    let begin = out.len();
    if let Some(shell) = command.shell {
        member_bool(out, "shell", shell);
    }
    if let Some(value) = &command.value {
        member_string(out, "value", value);
    }
    member(out, "argv");
    json::list(out, &command.arguments, |out, argument| quoted(out, argument));
    if let Some(environment) = &command.environment {
        member(out, "environment");
        environment.write_json(out);
    }
    member(out, "uris");
    json::list(out, &command.uris, |out, uri| {
        out.extend_from_slice(b"{\"value\":");
        quoted(out, &uri.value);
        member_bool(out, "executable", uri.executable.unwrap_or(false));
        out.push(b'}');
    });
    open(out, begin);
    out.push(b'}');
}

/// A time in seconds, for members that are absent when it is not known.
pub(crate) fn member_time(out: &mut Vec<u8>, name: &str, time: Option<f64>) {
    if let Some(time) = time {
        member_double(out, name, time);
    }
}
