//! Frameworks that subscribe or change.
use std::collections::BTreeSet;

use mesos_messages::{time::general, v1};
use v1::framework_info::capability::Type as Capability;

use super::{Check, Invalid, common, invalid};
use crate::config::MasterConfig;

/// Checks a framework that subscribes or updates itself.
pub(in crate::core) fn framework(
    info: &v1::FrameworkInfo,
    config: &MasterConfig,
    is_completed: impl Fn(&str) -> bool,
) -> Check {
    alone(info)?;
    let refused: BTreeSet<&str> =
        roles(info).into_iter().filter(|role| !config.allows_role(role)).collect();
    if !refused.is_empty() {
        return invalid(format!("Roles {} are not present in the master's --roles", set(&refused)));
    }
    if info.user == "root" && !config.root_submissions {
        return invalid(
            "User 'root' is not allowed to run frameworks without --root_submissions set",
        );
    }
    if info.id.as_ref().is_some_and(|id| is_completed(&id.value)) {
        return invalid("Framework has been removed");
    }
    Ok(())
}

/// The roles of one framework: each is compared with the others in many places.
const MAX_ROLES: usize = 1024;

fn at_most_roles(what: &str, count: usize) -> Check {
    if count > MAX_ROLES {
        return invalid(format!("'{what}' has {count} roles; the limit is {MAX_ROLES}"));
    }
    Ok(())
}

/// What holds for a framework whoever reports it.
pub(super) fn alone(info: &v1::FrameworkInfo) -> Check {
    check_roles(info)?;
    if let Some(id) = info.id.as_ref().filter(|id| !id.value.is_empty()) {
        common::id(&id.value)?;
    }
    info.offer_filters.values().try_for_each(common::offer_filters)?;
    failover_timeout(info)
}

fn check_roles(info: &v1::FrameworkInfo) -> Check {
    at_most_roles("FrameworkInfo.roles", info.roles.len())?;
    if !is_multi_role(info) {
        if !info.roles.is_empty() {
            return invalid(
                "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE \
                 capable",
            );
        }
        return common::role(info.role()).map_err(|reason| {
            Invalid(format!("'FrameworkInfo.role' is not a valid role: {reason}"))
        });
    }
    if info.role.is_some() {
        return invalid(
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
        );
    }
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> =
        info.roles.iter().map(String::as_str).filter(|role| !seen.insert(*role)).collect();
    if !twice.is_empty() {
        return invalid(format!("'FrameworkInfo.roles' contains duplicate items: {}", set(&twice)));
    }
    info.roles.iter().try_for_each(|role| {
        common::role(role).map_err(|reason| {
            Invalid(format!("'FrameworkInfo.roles' contains invalid role: {reason}"))
        })
    })
}

fn failover_timeout(info: &v1::FrameworkInfo) -> Check {
    // What 64-bit nanoseconds can hold, negatives included.
    let seconds = info.failover_timeout();
    if (seconds * 1e9).abs() < 9_223_372_036_854_775_807.0 {
        return Ok(());
    }
    invalid(format!("The framework failover_timeout ({}) is invalid", general(seconds, 6)))
}

/// Checks what a framework may not change.
pub(in crate::core) fn update(old: &v1::FrameworkInfo, new: &v1::FrameworkInfo) -> Check {
    // One that had none may get one: that is how a cluster gets from no tokens to tokens.
    if old.principal.is_some() && old.principal != new.principal {
        return invalid("Changing framework's principal is not allowed.");
    }
    if old.user != new.user {
        return invalid(format!(
            "Updating 'FrameworkInfo.user' is unsupported; attempted to update from '{}' to '{}'",
            old.user, new.user
        ));
    }
    if old.checkpoint() != new.checkpoint() {
        return invalid(format!(
            "Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '{}' \
             to '{}'",
            old.checkpoint(),
            new.checkpoint()
        ));
    }
    Ok(())
}

/// Suppressed roles must be among the roles.
pub(in crate::core) fn suppressed_roles(roles: &[&str], suppressed: &[String]) -> Check {
    at_most_roles("suppressed_roles", suppressed.len())?;
    let others: BTreeSet<&str> =
        suppressed.iter().map(String::as_str).filter(|role| !roles.contains(role)).collect();
    if others.is_empty() {
        return Ok(());
    }
    invalid(format!("Suppressed roles {} are not contained in the set of roles", set(&others)))
}

/// Roles with offer constraints must be among the roles.
pub(in crate::core) fn offer_constraint_roles(
    roles: &[&str],
    constraints: &v1::scheduler::OfferConstraints,
) -> Check {
    match constraints.role_constraints.keys().find(|role| !roles.contains(&role.as_str())) {
        Some(role) => invalid(format!(
            "Offer constraints specify `role_constraints` for a role '{role}'not contained in \
             the set of roles"
        )),
        None => Ok(()),
    }
}

pub(in crate::core) fn is_multi_role(info: &v1::FrameworkInfo) -> bool {
    info.capabilities.iter().any(|known| known.r#type == Some(Capability::MultiRole as i32))
}

/// The roles it subscribes to.
pub(crate) fn roles(info: &v1::FrameworkInfo) -> Vec<&str> {
    if is_multi_role(info) {
        info.roles.iter().map(String::as_str).collect()
    } else {
        vec![info.role()]
    }
}

/// `{ a, b }`
fn set(items: &BTreeSet<&str>) -> String {
    let items: Vec<&str> = items.iter().copied().collect();
    format!("{{ {} }}", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framework_has_so_many_roles_and_no_more() {
        let multi_role = v1::framework_info::Capability {
            r#type: Some(v1::framework_info::capability::Type::MultiRole as i32),
        };
        let with = |count: usize| v1::FrameworkInfo {
            roles: (0..count).map(|number| format!("role{number}")).collect(),
            capabilities: vec![multi_role],
            ..v1::FrameworkInfo::default()
        };
        assert!(alone(&with(MAX_ROLES)).is_ok());
        assert!(alone(&with(MAX_ROLES + 1)).is_err());
    }
}
