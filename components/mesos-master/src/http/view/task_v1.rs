//! Tasks in the JSON and the protobuf of v1.
use std::ops::Range;

use http_kit::json;
use mesos_messages::json::JsonMessage;
use prost::Message;

use super::{
    member, member_bool, member_string,
    task::{open, write_container_id, write_networks},
};
use crate::{
    http::render::{
        proto,
        text::{Memo, double, quoted, uuid},
    },
    model::{ContainerStatus, Id, Status, StatusMore, Task, TaskSpec},
};

/// Writes v1 tasks in JSON.
pub(crate) struct JsonTasks {
    framework: Vec<u8>,
    specs: Memo<SpecJson>,
    shared: Shared,
}

/// What the statuses of a task have in common, and what was written last.
#[derive(Default)]
struct Shared {
    /// `{"task_id":{"value":"..."},"state":"`.
    head: Vec<u8>,
    /// `,"agent_id":{"value":"..."}`.
    agent: Vec<u8>,
    networks: Memo<Vec<u8>>,
    last: LastContainer,
}

impl Shared {
    fn begin(&mut self, task: &Task) {
        self.last = None;
        self.head.clear();
        self.head.extend_from_slice(b"{\"task_id\":{\"value\":");
        quoted(&mut self.head, &task.id);
        self.head.extend_from_slice(b"},\"state\":\"");
        self.agent.clear();
        self.agent.extend_from_slice(b",\"agent_id\":{\"value\":");
        quoted(&mut self.agent, &task.agent_id);
        self.agent.push(b'}');
    }
}

struct SpecJson {
    /// `{"name":..`.
    head: Vec<u8>,
    /// `,"resources":[..]`.
    middle: Vec<u8>,
    /// What follows the statuses.
    tail: Vec<u8>,
}

impl SpecJson {
    fn new(spec: &TaskSpec) -> SpecJson {
        let mut head = b"{\"name\":".to_vec();
        quoted(&mut head, &spec.name);
        let mut middle = Vec::new();
        let resources = spec.resources.to_proto();
        if !resources.is_empty() {
            member(&mut middle, "resources");
            JsonMessage::write_json_list(&resources, &mut middle);
        }
        let mut tail = Vec::new();
        if let Some(more) = spec.more.as_deref() {
            if let Some(labels) = &more.labels {
                member(&mut tail, "labels");
                labels.write_json(&mut tail);
            }
            if let Some(discovery) = &more.discovery {
                member(&mut tail, "discovery");
                discovery.write_json(&mut tail);
            }
            if let Some(container) = &more.container {
                member(&mut tail, "container");
                container.write_json(&mut tail);
            }
            if let Some(check) = &more.health_check {
                member(&mut tail, "health_check");
                check.write_json(&mut tail);
            }
            if let Some(policy) = &more.kill_policy {
                member(&mut tail, "kill_policy");
                policy.write_json(&mut tail);
            }
        }
        if let Some(user) = &spec.user {
            member_string(&mut tail, "user", user);
        }
        if let Some(more) = spec.more.as_deref().filter(|more| !more.limits.is_empty()) {
            member(&mut tail, "limits");
            let mut object = json::Object::new(&mut tail);
            for (name, limit) in &more.limits {
                limit.write_json(object.key(name));
            }
            object.end();
        }
        SpecJson { head, middle, tail }
    }
}

/// `,"name":{"value":"id"}`.
fn member_id(out: &mut Vec<u8>, name: &str, id: &str) {
    member(out, name);
    out.extend_from_slice(b"{\"value\":");
    quoted(out, id);
    out.push(b'}');
}

// === impl JsonTasks ===

impl JsonTasks {
    pub(crate) fn new(framework: &Id) -> JsonTasks {
        let mut text = Vec::new();
        member_id(&mut text, "framework_id", framework);
        JsonTasks { framework: text, specs: Memo::default(), shared: Shared::default() }
    }

    /// Appends one task.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, task: &Task) {
        let Some(spec) = self.specs.get(&task.spec, SpecJson::new) else { return };
        let shared = &mut self.shared;
        shared.begin(task);
        out.extend_from_slice(&spec.head);
        out.extend_from_slice(b",\"task_id\":{\"value\":");
        quoted(out, &task.id);
        out.push(b'}');
        out.extend_from_slice(&self.framework);
        if let Some(executor) = &task.executor_id {
            member_id(out, "executor_id", executor);
        }
        out.extend_from_slice(&shared.agent);
        out.extend_from_slice(b",\"state\":\"");
        out.extend_from_slice(task.state.as_str_name().as_bytes());
        out.push(b'"');
        out.extend_from_slice(&spec.middle);
        if !task.statuses.is_empty() {
            out.extend_from_slice(b",\"statuses\":");
            json::list(out, &task.statuses, |out, status| write_status(out, status, shared));
        }
        if let Some(state) = task.status_update_state {
            out.extend_from_slice(b",\"status_update_state\":\"");
            out.extend_from_slice(state.as_str_name().as_bytes());
            out.push(b'"');
        }
        if let Some(bytes) = &task.status_update_uuid {
            out.extend_from_slice(b",\"status_update_uuid\":");
            uuid(out, bytes);
        }
        out.extend_from_slice(&spec.tail);
        out.push(b'}');
    }
}

type LastContainer = Option<(*const ContainerStatus, Range<usize>)>;

fn write_status(out: &mut Vec<u8>, status: &Status, shared: &mut Shared) {
    let more = status.more.as_deref();
    out.extend_from_slice(&shared.head);
    out.extend_from_slice(status.state.as_str_name().as_bytes());
    out.push(b'"');
    if let Some(message) = more.and_then(|more| more.message.as_deref()) {
        member_string(out, "message", message);
    }
    if let Some(source) = status.source {
        out.extend_from_slice(b",\"source\":\"");
        out.extend_from_slice(source.as_str_name().as_bytes());
        out.push(b'"');
    }
    if let Some(reason) = status.reason {
        out.extend_from_slice(b",\"reason\":\"");
        out.extend_from_slice(reason.as_str_name().as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(&shared.agent);
    if let Some(executor) = &status.executor_id {
        out.extend_from_slice(b",\"executor_id\":{\"value\":");
        quoted(out, executor);
        out.push(b'}');
    }
    out.extend_from_slice(b",\"timestamp\":");
    double(out, status.timestamp);
    if let Some(bytes) = &status.uuid {
        out.extend_from_slice(b",\"uuid\":");
        uuid(out, bytes);
    }
    if let Some(healthy) = status.healthy {
        member_bool(out, "healthy", healthy);
    }
    if let Some(more) = more {
        write_before_container(out, more);
    }
    if let Some(container) = &status.container {
        out.extend_from_slice(b",\"container_status\":");
        let address: *const ContainerStatus = &raw const **container;
        match &shared.last {
            Some((known, place)) if *known == address => out.extend_from_within(place.clone()),
            _ => {
                let begin = out.len();
                write_container(out, container, &mut shared.networks);
                shared.last = Some((address, begin..out.len()));
            }
        }
    }
    if let Some(more) = more {
        write_after_container(out, more);
    }
    out.push(b'}');
}

fn write_before_container(out: &mut Vec<u8>, more: &StatusMore) {
    if let Some(check) = &more.check_status {
        member(out, "check_status");
        check.write_json(out);
    }
    if let Some(labels) = &more.labels {
        member(out, "labels");
        labels.write_json(out);
    }
}

fn write_after_container(out: &mut Vec<u8>, more: &StatusMore) {
    if let Some(nanoseconds) = more.unreachable_time_ns {
        member(out, "unreachable_time");
        mesos_messages::v1::TimeInfo { nanoseconds }.write_json(out);
    }
    if let Some(limitation) = &more.limitation {
        member(out, "limitation");
        limitation.write_json(out);
    }
}

fn write_container(out: &mut Vec<u8>, container: &ContainerStatus, networks: &mut Memo<Vec<u8>>) {
    let begin = out.len();
    if let Some(id) = &container.container_id {
        member(out, "container_id");
        write_container_id(out, id);
    }
    if !container.network_infos.is_empty() {
        member(out, "network_infos");
        write_networks(out, container, networks);
    }
    if let Some(cgroup) = &container.cgroup_info {
        member(out, "cgroup_info");
        cgroup.write_json(out);
    }
    if let Some(pid) = container.executor_pid {
        member(out, "executor_pid");
        json::integer(out, i64::from(pid));
    }
    open(out, begin);
    out.push(b'}');
}

/// Writes v1 tasks in protobuf, each as one field.
pub(crate) struct ProtoTasks {
    framework: Id,
    specs: Memo<SpecProto>,
    networks: Memo<Vec<u8>>,
}

struct SpecProto {
    /// Fields before the statuses that the spec gives.
    resources: Vec<u8>,
    /// Fields after the statuses.
    tail: Vec<u8>,
}

impl SpecProto {
    fn new(spec: &TaskSpec) -> SpecProto {
        let mut resources = Vec::new();
        for resource in spec.resources.to_proto() {
            proto::embed(&mut resources, 7, &resource);
        }
        let mut tail = Vec::new();
        if let Some(user) = &spec.user {
            proto::bytes(&mut tail, 14, user.as_bytes());
        }
        if let Some(more) = spec.more.as_deref() {
            let embedded = [
                (11, more.labels.as_ref().map(Message::encode_to_vec)),
                (12, more.discovery.as_ref().map(Message::encode_to_vec)),
                (13, more.container.as_ref().map(Message::encode_to_vec)),
                (15, more.health_check.as_ref().map(Message::encode_to_vec)),
                (16, more.kill_policy.as_ref().map(Message::encode_to_vec)),
            ];
            for (tag, bytes) in embedded {
                if let Some(bytes) = bytes {
                    proto::bytes(&mut tail, tag, &bytes);
                }
            }
            for (name, limit) in &more.limits {
                proto::message(&mut tail, 17, |out| {
                    proto::bytes(out, 1, name.as_bytes());
                    proto::embed(out, 2, limit);
                });
            }
        }
        SpecProto { resources, tail }
    }
}

// === impl ProtoTasks ===

impl ProtoTasks {
    pub(crate) fn new(framework: &Id) -> ProtoTasks {
        ProtoTasks {
            framework: framework.clone(),
            specs: Memo::default(),
            networks: Memo::default(),
        }
    }

    /// Appends one task as field `tag`.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, tag: u32, task: &Task) {
        let Some(spec) = self.specs.get(&task.spec, SpecProto::new) else { return };
        let (framework, networks) = (&self.framework, &mut self.networks);
        proto::message(out, tag, |out| {
            proto::bytes(out, 1, task.spec.name.as_bytes());
            proto::id(out, 2, &task.id);
            proto::id(out, 3, framework);
            if let Some(executor) = &task.executor_id {
                proto::id(out, 4, executor);
            }
            proto::id(out, 5, &task.agent_id);
            proto::signed(out, 6, task.state as i64);
            out.extend_from_slice(&spec.resources);
            for status in &task.statuses {
                proto::message(out, 8, |out| encode_status(out, task, status, networks));
            }
            if let Some(state) = task.status_update_state {
                proto::signed(out, 9, state as i64);
            }
            if let Some(bytes) = &task.status_update_uuid {
                proto::bytes(out, 10, bytes);
            }
            out.extend_from_slice(&spec.tail);
        });
    }
}

fn encode_status(out: &mut Vec<u8>, task: &Task, status: &Status, networks: &mut Memo<Vec<u8>>) {
    proto::id(out, 1, &task.id);
    proto::signed(out, 2, status.state as i64);
    proto::id(out, 5, &task.agent_id);
    proto::double(out, 6, status.timestamp);
    if let Some(executor) = &status.executor_id {
        proto::id(out, 7, executor);
    }
    if let Some(healthy) = status.healthy {
        proto::number(out, 8, u64::from(healthy));
    }
    if let Some(source) = status.source {
        proto::signed(out, 9, source as i64);
    }
    if let Some(reason) = status.reason {
        proto::signed(out, 10, reason as i64);
    }
    if let Some(bytes) = &status.uuid {
        proto::bytes(out, 11, bytes);
    }
    if let Some(container) = &status.container {
        proto::message(out, 13, |out| encode_container(out, container, networks));
    }
    let Some(more) = status.more.as_deref() else { return };
    if let Some(message) = &more.message {
        proto::bytes(out, 4, message.as_bytes());
    }
    if let Some(labels) = &more.labels {
        proto::embed(out, 12, labels);
    }
    if let Some(nanoseconds) = more.unreachable_time_ns {
        proto::message(out, 14, |out| proto::signed(out, 1, nanoseconds));
    }
    if let Some(check) = &more.check_status {
        proto::embed(out, 15, &**check);
    }
    if let Some(limitation) = &more.limitation {
        proto::embed(out, 16, &**limitation);
    }
}

fn encode_container(out: &mut Vec<u8>, container: &ContainerStatus, networks: &mut Memo<Vec<u8>>) {
    let make = |infos: &[mesos_messages::v1::NetworkInfo]| {
        let mut bytes = Vec::new();
        infos.iter().for_each(|info| proto::embed(&mut bytes, 1, info));
        bytes
    };
    if let Some(bytes) = networks.get(&container.network_infos, make) {
        out.extend_from_slice(bytes);
    }
    if let Some(cgroup) = &container.cgroup_info {
        proto::embed(out, 2, &**cgroup);
    }
    if let Some(pid) = container.executor_pid {
        proto::number(out, 3, u64::from(pid));
    }
    if let Some(id) = &container.container_id {
        proto::embed(out, 4, &**id);
    }
}

#[cfg(test)]
mod tests {
    use mesos_messages::v1;

    use super::*;
    use crate::http::testing;

    #[test]
    fn both_forms_say_the_same_as_the_message() {
        for task in testing::tasks() {
            let expected = task.to_proto();
            let mut bytes = Vec::new();
            ProtoTasks::new(&task.framework_id).write(&mut bytes, 2, &task);
            let list = v1::master::response::GetTasks::decode(&bytes[..]).unwrap();
            assert_eq!(list.tasks, std::slice::from_ref(&expected));
            let mut text = Vec::new();
            JsonTasks::new(&task.framework_id).write(&mut text, &task);
            let written: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let reference: serde_json::Value = serde_json::from_slice(&expected.to_json()).unwrap();
            assert_eq!(written, reference);
        }
    }
}
