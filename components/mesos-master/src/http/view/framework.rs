//! Frameworks in the classic JSON and as v1 messages.
use std::{cell::OnceCell, collections::HashMap};

use http_kit::json;
use mesos_messages::{json::JsonMessage, v1};
use rustc_hash::FxBuildHasher;

use super::{member, member_bool, member_double, member_string, time_info, write_labels};
use crate::{
    http::render::text::quoted,
    model::{Agent, Framework, FrameworkView, Snapshot},
};

/// Appends the members that `/state-summary` shows too, the object still open.
pub(crate) fn write_summary_open(out: &mut Vec<u8>, framework: &Framework) {
    let info = &framework.info;
    out.extend_from_slice(b"{\"id\":");
    quoted(out, &framework.id);
    member_string(out, "name", &info.name);
    if let Some(pid) = &framework.pid {
        member_string(out, "pid", pid);
    }
    member(out, "used_resources");
    framework.used.write_summary(out);
    member(out, "offered_resources");
    framework.offered.write_summary(out);
    member(out, "capabilities");
    json::list(out, capability_names(info), quoted);
    member_string(out, "hostname", info.hostname.as_deref().unwrap_or(""));
    member_string(out, "webui_url", info.webui_url.as_deref().unwrap_or(""));
    member_bool(out, "active", framework.active);
    member_bool(out, "connected", framework.connected);
    member_bool(out, "recovered", framework.recovered);
}

fn capability_names(info: &v1::FrameworkInfo) -> impl Iterator<Item = &'static str> {
    info.capabilities
        .iter()
        .filter_map(|c| v1::framework_info::capability::Type::try_from(c.r#type?).ok())
        .map(|capability| capability.as_str_name())
}

/// Appends what stands between the summary and the tasks.
pub(crate) fn write_before_tasks(out: &mut Vec<u8>, framework: &Framework) {
    let info = &framework.info;
    member_string(out, "user", &info.user);
    member_double(out, "failover_timeout", info.failover_timeout.unwrap_or(0.0));
    member_bool(out, "checkpoint", info.checkpoint.unwrap_or(false));
    member_double(out, "registered_time", framework.registered_time);
    member_double(out, "unregistered_time", framework.unregistered_time);
    if let Some(principal) = &info.principal {
        member_string(out, "principal", principal);
    }
    member(out, "resources");
    framework.allocated().write_summary(out);
    if framework.reregistered_time != framework.registered_time {
        member_double(out, "reregistered_time", framework.reregistered_time);
    }
    write_roles(out, framework);
}

#[allow(deprecated)]
fn write_roles(out: &mut Vec<u8>, framework: &Framework) {
    if framework.capable(v1::framework_info::capability::Type::MultiRole) {
        member(out, "roles");
        json::list(out, &framework.info.roles, |out, role| quoted(out, role));
    } else {
        member_string(out, "role", framework.info.role.as_deref().unwrap_or("*"));
    }
}

/// Appends what follows the tasks, but for offers and executors, and closes the object.
pub(crate) fn write_after_tasks(out: &mut Vec<u8>, framework: &Framework) {
    if let Some(labels) = &framework.info.labels {
        member(out, "labels");
        write_labels(out, labels);
    }
    member(out, "offer_constraints");
    match &framework.offer_constraints {
        Some(constraints) => constraints.write_json(out),
        None => out.extend_from_slice(b"{}"),
    }
    out.push(b'}');
}

/// The v1 message of a framework on its own.
pub(crate) fn to_v1(framework: &Framework) -> v1::master::response::get_frameworks::Framework {
    let unregistered = framework.unregistered_time;
    v1::master::response::get_frameworks::Framework {
        framework_info: v1::FrameworkInfo::clone(&framework.info),
        active: framework.active,
        connected: framework.connected,
        recovered: framework.recovered,
        registered_time: Some(time_info(framework.registered_time)),
        reregistered_time: Some(time_info(framework.reregistered_time)),
        unregistered_time: (unregistered > 0.0).then(|| time_info(unregistered)),
        allocated_resources: framework.used.to_proto_endpoint(),
        offered_resources: framework.offered.to_proto_endpoint(),
        offer_constraints: Some(
            framework.offer_constraints.as_deref().cloned().unwrap_or_default(),
        ),
        ..Default::default()
    }
}

/// The v1 message of a framework with its offers.
pub(crate) fn view_to_v1(
    view: &FrameworkView,
    agents: &AgentIndex<'_>,
) -> v1::master::response::get_frameworks::Framework {
    let offers = view
        .offers
        .iter()
        .filter_map(|offer| Some(offer.to_proto(agents.get(&offer.agent_id)?)))
        .collect();
    v1::master::response::get_frameworks::Framework { offers, ..to_v1(&view.framework) }
}

/// Agents by id; made when the first one is looked for.
pub(crate) struct AgentIndex<'a> {
    snapshot: &'a Snapshot,
    by_id: OnceCell<HashMap<&'a str, &'a Agent, FxBuildHasher>>,
}

impl<'a> AgentIndex<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> AgentIndex<'a> {
        AgentIndex { snapshot, by_id: OnceCell::new() }
    }

    fn get(&self, id: &str) -> Option<&'a Agent> {
        let make = || self.snapshot.agents.iter().map(|agent| (&*agent.id, &**agent)).collect();
        self.by_id.get_or_init(make).get(id).copied()
    }
}
