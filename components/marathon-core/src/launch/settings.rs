//! The flags that matching and launching depend on.

use std::{collections::BTreeSet, time::Duration};

/// What the operator decided; the defaults are the original's.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchSettings {
    /// `--default_accepted_resource_roles`: for apps that name none; `None` is `*` and their own.
    pub default_accepted_resource_roles: Option<BTreeSet<String>>,
    /// `--env_vars_prefix`: before HOST and the PORT variables.
    pub env_vars_prefix: Option<String>,
    /// `--mesos_bridge_name`: what container/bridge is called for the Mesos containerizer.
    pub mesos_bridge_name: String,
    /// `--executor`, for apps that name none; `//cmd` or nothing is the command executor.
    pub executor: String,
    /// `--gpu_scheduling_behavior`.
    pub gpu_behaviour: GpuBehaviour,
    /// `--maintenance_mode`: agents about to be taken out of service are left alone.
    pub maintenance_mode: bool,
    /// `--draining_seconds`: how long before.
    pub draining: Duration,
}

/// What becomes of agents with GPUs that an app does not need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GpuBehaviour {
    /// They are left to those that do.
    Restricted,
    /// They are agents like any other.
    Unrestricted,
}

impl Default for LaunchSettings {
    fn default() -> Self {
        Self {
            default_accepted_resource_roles: None,
            env_vars_prefix: None,
            mesos_bridge_name: "mesos-bridge".to_owned(),
            executor: String::new(),
            gpu_behaviour: GpuBehaviour::Restricted,
            maintenance_mode: true,
            draining: Duration::ZERO,
        }
    }
}
