//! Roles in the classic JSON and as v1 messages.
use http_kit::json::{self, Object};
use mesos_messages::{
    resources::{Quantities, Resources},
    v1,
};

use super::{member, member_double};
use crate::{http::render::text::quoted, model::RoleView};

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
    roles: &[crate::model::Id],
    suppressed: &[crate::model::Id],
) {
    out.extend_from_slice(b"{\"suppressed_roles\":");
    json::list(out, suppressed, |out, role| quoted(out, role));
    member(out, "excluded_by_attribute_constraints");
    let mut object = Object::new(out);
    for role in roles {
        object.key(role).extend_from_slice(b"[]");
    }
    object.end();
    out.push(b'}');
}
