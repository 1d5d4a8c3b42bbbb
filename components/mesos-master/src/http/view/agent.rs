//! Agents in the classic JSON and as v1 messages.
use http_kit::json;
use mesos_messages::{attributes, json::JsonMessage, resources::Resources, v1};

use super::{member, member_bool, member_double, member_string, task::member_time, time_info};
use crate::{http::render::text::quoted, model::Agent};

/// Appends the members of an agent, the object still open.
pub(crate) fn write_open(out: &mut Vec<u8>, agent: &Agent) {
    out.extend_from_slice(b"{\"id\":");
    quoted(out, &agent.id);
    write_info(out, &agent.info);
    member_string(out, "pid", &agent.pid);
    member_double(out, "registered_time", agent.registered_time);
    member_time(out, "reregistered_time", agent.reregistered_time);
    member(out, "resources");
    let total = out.len();
    agent.total.write_summary(out);
    let total = total..out.len();
    for (name, resources) in
        [("used_resources", &agent.used), ("offered_resources", &agent.offered)]
    {
        member(out, name);
        resources.write_summary(out);
    }
    if agent.total.iter().any(|item| item.is_reserved()) {
        member(out, "reserved_resources");
        let mut object = json::Object::new(out);
        for (role, resources) in agent.total.reservations() {
            resources.write_summary(object.key(&role));
        }
        object.end();
        member(out, "unreserved_resources");
        agent.total.unreserved().write_summary(out);
    } else {
        out.extend_from_slice(b",\"reserved_resources\":{},\"unreserved_resources\":");
        out.extend_from_within(total);
    }
    member_bool(out, "active", agent.active);
    member_bool(out, "deactivated", agent.deactivated);
    member_string(out, "version", &agent.version);
    member(out, "capabilities");
    json::list(out, capability_names(&agent.capabilities), quoted);
}

/// Host, port, attributes, domain.
fn write_info(out: &mut Vec<u8>, info: &v1::AgentInfo) {
    member_string(out, "hostname", &info.hostname);
    member(out, "port");
    json::integer(out, i64::from(info.port.unwrap_or(5051)));
    member(out, "attributes");
    attributes::write_summary(&info.attributes, out);
    if let Some(domain) = &info.domain {
        member(out, "domain");
        domain.write_json(out);
    }
}

fn capability_names(numbers: &[i32]) -> impl Iterator<Item = &'static str> {
    numbers
        .iter()
        .filter_map(|n| v1::agent_info::capability::Type::try_from(*n).ok())
        .map(|capability| capability.as_str_name())
}

/// Appends what `/slaves` shows beyond the members of [`write_open`].
pub(crate) fn write_full_resources(out: &mut Vec<u8>, agent: &Agent) {
    member(out, "reserved_resources_full");
    let mut object = json::Object::new(out);
    for (role, resources) in agent.total.reservations() {
        write_resources(object.key(&role), &resources);
    }
    object.end();
    for (name, resources) in [
        ("unreserved_resources_full", &agent.total.unreserved()),
        ("used_resources_full", &agent.used),
        ("offered_resources_full", &agent.offered),
    ] {
        member(out, name);
        write_resources(out, resources);
    }
}

fn write_resources(out: &mut Vec<u8>, resources: &Resources) {
    JsonMessage::write_json_list(&resources.to_proto_endpoint(), out);
}

/// An agent of the registry that has not come back.
pub(crate) fn write_recovered(out: &mut Vec<u8>, info: &v1::AgentInfo) {
    out.extend_from_slice(b"{\"id\":");
    quoted(out, info.id.as_ref().map_or("", |id| id.value.as_str()));
    write_info(out, info);
    out.push(b'}');
}

/// The v1 message.
pub(crate) fn to_v1(agent: &Agent) -> v1::master::response::get_agents::Agent {
    v1::master::response::get_agents::Agent {
        agent_info: agent.info_proto(),
        active: agent.active,
        deactivated: Some(agent.deactivated),
        version: agent.version.to_string(),
        pid: Some(agent.pid.to_string()),
        registered_time: Some(time_info(agent.registered_time)),
        reregistered_time: agent.reregistered_time.map(time_info),
        total_resources: agent.total.to_proto_endpoint(),
        allocated_resources: agent.used.to_proto_endpoint(),
        offered_resources: agent.offered.to_proto_endpoint(),
        capabilities: agent
            .capabilities
            .iter()
            .map(|n| v1::agent_info::Capability { r#type: Some(*n) })
            .collect(),
        ..Default::default()
    }
}
