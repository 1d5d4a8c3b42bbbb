//! What an operator configures of the rules for apps, groups and ports.

use std::collections::BTreeSet;

/// The flags of Marathon that decide what an app or a group may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `--mesos_role`: of apps outside of groups that enforce their own.
    pub mesos_role: String,
    /// `--default_accepted_resource_roles`: which of `*` and the app's role are meant when an
    /// app says nothing.
    pub default_accepted_resource_roles: AcceptedRoles,
    /// `--new_group_enforce_role`: of new top-level groups.
    pub new_group_enforce_role: NewGroupEnforceRole,
    /// `--local_port_min`: the lowest service port that is assigned.
    pub local_port_min: u16,
    /// `--local_port_max`: the highest one.
    pub local_port_max: u16,
    /// `--default_network_name`.
    pub default_network_name: Option<String>,
    /// `--mesos_bridge_name`.
    pub mesos_bridge_name: String,
    /// `--enable_features`.
    pub features: BTreeSet<String>,
    /// `--executor`: for apps that name none.
    pub executor: String,
    /// `--env_vars_prefix`.
    pub env_vars_prefix: Option<String>,
}

/// `--default_accepted_resource_roles_...`: the roles whose resources are taken by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AcceptedRoles {
    /// Unreserved resources and those reserved for the app's role.
    #[default]
    Any,
    /// Only those reserved for the app's role.
    Reserved,
    /// Only unreserved ones.
    Unreserved,
}

/// Whether new top-level groups make their name the role of their apps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewGroupEnforceRole {
    #[default]
    Off,
    Top,
}

// === impl Settings ===

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesos_role: "*".to_owned(),
            default_accepted_resource_roles: AcceptedRoles::Any,
            new_group_enforce_role: NewGroupEnforceRole::Off,
            local_port_min: 10_000,
            local_port_max: 20_000,
            default_network_name: None,
            mesos_bridge_name: "mesos-bridge".to_owned(),
            features: BTreeSet::new(),
            executor: "//cmd".to_owned(),
            env_vars_prefix: None,
        }
    }
}

impl Settings {
    /// Whether a feature is switched on.
    pub fn feature(&self, name: &str) -> bool {
        self.features.contains(name)
    }
}
