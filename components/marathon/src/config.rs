//! What an operator configures, under the original's names.
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use http_kit::{
    guard::{Guard, TokenSource},
    logging::LevelControl,
};
use marathon_core::Config as CoreConfig;
use marathon_model::settings::{AcceptedRoles, NewGroupEnforceRole};
use serde_json::{Value, json};

/// What no log may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden<T>(pub T);

/// Flags of the service. Those that decide what an app may be, and how instances are launched,
/// are in `core`.
#[derive(Clone, Debug)]
pub struct Config {
    /// `--http_address`: where to listen.
    pub http_address: IpAddr,
    /// `--http_port`.
    pub http_port: u16,
    /// `--https_port`: shown, not served.
    pub https_port: u16,
    /// `--hostname`: where others reach it; by default the address it listens on.
    pub hostname: Option<String>,
    /// `--http_credentials`: user and password of every request.
    pub http_credentials: Option<Hidden<(String, String)>>,
    /// `--http_realm`.
    pub http_realm: String,
    /// `--http_compression`.
    pub http_compression: bool,
    /// `--http_max_concurrent_requests`.
    pub http_max_concurrent_requests: Option<usize>,
    /// `--access_control_allow_origin`.
    pub access_control_allow_origin: Vec<String>,
    /// How much is logged, see `/logging`.
    pub logging: LevelControl,
    /// `--metrics_prometheus`.
    pub metrics_prometheus: bool,
    /// `--event_stream_max_outstanding_messages`.
    pub event_stream_max_outstanding_messages: usize,
    /// `--master`: `host:port` of masters.
    pub masters: Vec<String>,
    /// `--mesos_leader_ui_url`.
    pub mesos_leader_ui_url: Option<String>,
    /// `--framework_name`.
    pub framework_name: String,
    /// `--failover_timeout`.
    pub failover_timeout: Duration,
    /// `--checkpoint`.
    pub checkpoint: bool,
    /// `--mesos_user`: of tasks whose app names none.
    pub mesos_user: String,
    /// `--webui_url`; by default the API's own address.
    pub webui_url: Option<String>,
    /// `--mesos_authentication_principal`, shown to the master also without a secret.
    pub principal: Option<String>,
    /// `--mesos_authentication_secret` or the contents of `--mesos_authentication_secret_file`.
    pub secret: Option<Hidden<String>>,
    /// Judges requests by tokens; by default none are.
    pub guard: Guard,
    /// Gives the token that is shown to the master.
    pub tokens: Option<TokenSource>,
    /// `--max_concurrent_marathon_health_checks`.
    pub max_concurrent_health_checks: usize,
    /// `--zk_max_versions`: of each app.
    pub max_versions: usize,
    /// How instances are launched and deployments run.
    pub core: CoreConfig,
    /// Flags that mean nothing here and are shown as they were given.
    pub shown: Shown,
}

/// Limits of the original's inner workings: accepted, shown in `/v2/info`, without effect.
#[derive(Clone, Debug)]
pub struct Shown {
    pub ha: bool,
    pub launch_tokens: u64,
    pub launch_token_refresh_interval: u64,
    pub leader_proxy_connection_timeout: u64,
    pub leader_proxy_read_timeout: u64,
    pub maintenance_mode: bool,
    pub mesos_heartbeat_failure_threshold: u64,
    pub mesos_heartbeat_interval: u64,
    pub offer_matching_timeout: u64,
    pub on_elected_prepare_timeout: u64,
    pub store_cache: bool,
    pub task_reservation_timeout: u64,
    pub zk: String,
    pub zk_compression: bool,
    pub zk_compression_threshold: u64,
    pub zk_connection_timeout: u64,
    pub zk_max_node_size: u64,
    pub zk_session_timeout: u64,
    pub zk_timeout: u64,
}

// === impl Hidden ===

impl<T> std::fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl<T> From<T> for Hidden<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            http_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 8080,
            https_port: 8443,
            hostname: None,
            http_credentials: None,
            http_realm: "Mesosphere".to_owned(),
            http_compression: true,
            http_max_concurrent_requests: None,
            access_control_allow_origin: Vec::new(),
            logging: LevelControl::default(),
            metrics_prometheus: true,
            event_stream_max_outstanding_messages: 1024,
            masters: Vec::new(),
            mesos_leader_ui_url: None,
            framework_name: "marathon".to_owned(),
            failover_timeout: Duration::from_secs(604_800),
            checkpoint: true,
            mesos_user: "root".to_owned(),
            webui_url: None,
            principal: None,
            secret: None,
            guard: Guard::disabled(),
            tokens: None,
            max_concurrent_health_checks: 256,
            max_versions: 50,
            core: CoreConfig::default(),
            shown: Shown::default(),
        }
    }
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            ha: true,
            launch_tokens: 100,
            launch_token_refresh_interval: 30_000,
            leader_proxy_connection_timeout: 5000,
            leader_proxy_read_timeout: 10_000,
            maintenance_mode: true,
            mesos_heartbeat_failure_threshold: 5,
            mesos_heartbeat_interval: 15_000,
            offer_matching_timeout: 3000,
            on_elected_prepare_timeout: 180_000,
            store_cache: true,
            task_reservation_timeout: 20_000,
            zk: "zk://localhost:2181/marathon".to_owned(),
            zk_compression: true,
            zk_compression_threshold: 65_536,
            zk_connection_timeout: 10_000,
            zk_max_node_size: 1_024_000,
            zk_session_timeout: 10_000,
            zk_timeout: 10_000,
        }
    }
}

impl Config {
    /// What the core is told. Flags that decide both what apps are and how they are launched
    /// stand in `core.model`.
    pub(crate) fn for_core(&self, seed: u64) -> CoreConfig {
        let mut core = CoreConfig { seed, ..self.core.clone() };
        let (model, launch) = (&core.model, &mut core.launch);
        let only = |role: &str| Some(BTreeSet::from([role.to_owned()]));
        launch.default_accepted_resource_roles = match model.default_accepted_resource_roles {
            AcceptedRoles::Any => None,
            AcceptedRoles::Reserved => only(&model.mesos_role),
            AcceptedRoles::Unreserved => only("*"),
        };
        launch.env_vars_prefix.clone_from(&model.env_vars_prefix);
        launch.mesos_bridge_name.clone_from(&model.mesos_bridge_name);
        launch.executor.clone_from(&model.executor);
        core
    }

    /// `marathon_config` of `/v2/info`: exactly these keys, since strict clients refuse others.
    /// `leader_ui` is the leading master's page; `hostname` how others reach this service.
    pub fn marathon_config(&self, hostname: &str, leader_ui: Option<&str>) -> Value {
        let (core, shown) = (&self.core, &self.shown);
        let model = &core.model;
        let origins = &self.access_control_allow_origin;
        let leader_ui = self.mesos_leader_ui_url.as_deref().or(leader_ui);
        json!({
            "access_control_allow_origin": (!origins.is_empty()).then(|| origins.join(",")),
            "checkpoint": self.checkpoint,
            "decline_offer_duration": millis(core.decline_offer_duration),
            "default_network_name": model.default_network_name,
            "env_vars_prefix": model.env_vars_prefix,
            "executor": model.executor,
            "failover_timeout": self.failover_timeout.as_secs(),
            "features": sorted(&model.features),
            "framework_name": self.framework_name,
            "ha": shown.ha,
            "hostname": hostname,
            "launch_token": shown.launch_tokens,
            "launch_token_refresh_interval": shown.launch_token_refresh_interval,
            "leader_proxy_connection_timeout_ms": shown.leader_proxy_connection_timeout,
            "leader_proxy_read_timeout_ms": shown.leader_proxy_read_timeout,
            "local_port_max": model.local_port_max,
            "local_port_min": model.local_port_min,
            "master": self.masters.join(","),
            "max_instances_per_offer": core.max_instances_per_offer,
            "mesos_bridge_name": model.mesos_bridge_name,
            "mesos_heartbeat_failure_threshold": shown.mesos_heartbeat_failure_threshold,
            "mesos_heartbeat_interval": shown.mesos_heartbeat_interval,
            "mesos_leader_ui_url": leader_ui,
            "mesos_role": model.mesos_role,
            "mesos_user": self.mesos_user,
            "new_group_enforce_role": match model.new_group_enforce_role {
                NewGroupEnforceRole::Off => "off",
                NewGroupEnforceRole::Top => "top",
            },
            "min_revive_offers_interval": millis(core.min_revive_interval),
            "offer_matching_timeout": shown.offer_matching_timeout,
            "on_elected_prepare_timeout": shown.on_elected_prepare_timeout,
            "reconciliation_initial_delay": millis(core.reconcile_initial),
            "reconciliation_interval": millis(core.reconcile_interval),
            "scale_apps_initial_delay": millis(core.scale_check_initial),
            "scale_apps_interval": millis(core.scale_check_interval),
            "store_cache": shown.store_cache,
            "task_launch_confirm_timeout": millis(core.launch_confirm_timeout),
            "task_launch_timeout": millis(core.launch_timeout),
            "task_lost_expunge_initial_delay": millis(core.expunge_initial),
            "task_lost_expunge_interval": millis(core.expunge_interval),
            "task_reservation_timeout": shown.task_reservation_timeout,
            "webui_url": self.webui_url,
            "maintenance_mode": shown.maintenance_mode,
        })
    }

    /// `zookeeper_config` of `/v2/info`; clients expect it whatever keeps the state.
    pub fn zookeeper_config(&self) -> Value {
        let shown = &self.shown;
        json!({
            "zk": shown.zk,
            "zk_compression": shown.zk_compression,
            "zk_compression_threshold": shown.zk_compression_threshold,
            "zk_connection_timeout": shown.zk_connection_timeout,
            "zk_max_node_size": shown.zk_max_node_size,
            "zk_max_versions": self.max_versions,
            "zk_session_timeout": shown.zk_session_timeout,
            "zk_timeout": shown.zk_timeout,
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn sorted(features: &BTreeSet<String>) -> Vec<&String> {
    features.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_printed() {
        let config = Config {
            http_credentials: Some(("ops".to_owned(), "s3cret".to_owned()).into()),
            secret: Some("s3cret".to_owned().into()),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
