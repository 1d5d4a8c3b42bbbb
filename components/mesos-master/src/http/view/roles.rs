//! Roles in the classic JSON and as v1 messages.
use http_kit::json::{self, Object};
use mesos_allocator::{AgentCapabilities, AgentSpec, ConstraintLimits, OfferConstraints};
use mesos_messages::{
    resources::{Quantities, Resources},
    v1,
};

use super::{member, member_double};
use crate::{
    http::render::text::quoted,
    model::{Agent, Framework, Id, RoleView},
};

/// Appends one role.
pub(crate) fn write(out: &mut Vec<u8>, role: &RoleView) {
    let all = &role.allocated + &role.offered;
    let consumed = consumed(role);
    out.extend_from_slice(b"{\"name\":");
    quoted(out, &role.name);
    member_double(out, "weight", role.weight);
    out.extend_from_slice(b",\"quota\":{\"role\":");
    quoted(out, &role.name);
    out.extend_from_slice(b",\"guarantee\":{},\"limit\":{},\"consumed\":");
    write_quantities(out, &consumed);
    out.push(b'}');
    for (name, resources) in [
        ("resources", &all),
        ("allocated", &role.allocated),
        ("offered", &role.offered),
        ("reserved", &role.reserved),
    ] {
        member(out, name);
        write_quantities(out, &resources.quantities());
    }
    member(out, "frameworks");
    json::list(out, &role.frameworks, |out, id| quoted(out, id));
    out.push(b'}');
}

/// What counts against a role's quota: all it reserved, and what it uses beyond.
pub(crate) fn consumed(role: &RoleView) -> Quantities {
    let mut consumed = role.reserved.quantities();
    consumed.add_all(&role.allocated.unreserved().quantities());
    consumed
}

fn write_quantities(out: &mut Vec<u8>, quantities: &Quantities) {
    let mut all: Vec<(&str, f64)> = quantities
        .iter()
        .map(|(name, amount)| (name.as_str(), amount.to_f64()))
        .filter(|(_, amount)| *amount != 0.0)
        .collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    let mut object = Object::new(out);
    for (name, amount) in all {
        object.double(name, amount);
    }
    object.end();
}

/// The v1 message.
pub(crate) fn to_v1(role: &RoleView) -> v1::Role {
    let all: Resources = &role.allocated + &role.offered;
    v1::Role {
        name: role.name.to_string(),
        weight: role.weight,
        frameworks: role
            .frameworks
            .iter()
            .map(|id| v1::FrameworkId { value: id.to_string() })
            .collect(),
        resources: all.scalars().unallocated().to_unreserved().to_proto(),
    }
}

/// Appends a weight as `/weights` shows it.
pub(crate) fn write_weight(out: &mut Vec<u8>, role: &str, weight: f64) {
    out.extend_from_slice(b"{\"role\":");
    quoted(out, role);
    member_double(out, "weight", weight);
    out.push(b'}');
}

/// Appends the constraints view of a framework: what it suppressed, and per role the agents its
/// constraints exclude.
pub(crate) fn write_constraints(
    out: &mut Vec<u8>,
    framework: &Framework,
    agents: &[(Id, AgentSpec)],
) {
    let constraints = framework.offer_constraints.as_ref().and_then(|constraints| {
        // They were compiled when the framework subscribed, so this does not fail.
        OfferConstraints::compile(constraints, ConstraintLimits::default()).ok()
    });
    out.extend_from_slice(b"{\"suppressed_roles\":");
    json::list(out, framework.suppressed_roles.iter(), |out, role| quoted(out, role));
    member(out, "excluded_by_attribute_constraints");
    let mut object = Object::new(out);
    for role in framework.roles.iter() {
        let excludes = |spec| constraints.as_ref().is_some_and(|all| all.excludes(role, spec));
        let excluded = agents.iter().filter(|(_, spec)| excludes(spec));
        json::list(object.key(role), excluded, |out, (id, _)| quoted(out, id));
    }
    object.end();
    out.push(b'}');
}

/// An agent as the allocator's constraints see it.
pub(crate) fn allocatable(agent: &Agent) -> (Id, AgentSpec) {
    let spec = AgentSpec::new(&agent.info, AgentCapabilities::default(), agent.total.clone());
    (agent.id.clone(), spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing;
    use mesos_messages::{json::JsonMessage, resources::Resources, v1};
    use std::sync::Arc;

    #[test]
    fn agents_that_constraints_exclude_are_named() {
        let mut framework = testing::framework("f", 1.0, 0.0, Resources::new());
        let wanted = |host: &str| {
            let text = format!(
                r#"{{"role_constraints":{{"*":{{"groups":[{{"attribute_constraints":[{{
                    "selector":{{"pseudoattribute_type":"HOSTNAME"}},
                    "predicate":{{"text_equals":{{"value":"{host}"}}}}}}]}}]}}}}}}"#
            );
            let constraints = v1::scheduler::OfferConstraints::from_json_slice(text.as_bytes());
            Some(Arc::new(constraints.unwrap()))
        };
        let agents = [allocatable(&testing::agent("a", &Resources::new()))];
        for (host, excluded) in [("127.0.0.1", "[]"), ("elsewhere", r#"["a"]"#)] {
            framework.offer_constraints = wanted(host);
            let mut out = Vec::new();
            write_constraints(&mut out, &framework, &agents);
            let expected = format!(
                r#"{{"suppressed_roles":[],"excluded_by_attribute_constraints":{{"*":{excluded}}}}}"#
            );
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
