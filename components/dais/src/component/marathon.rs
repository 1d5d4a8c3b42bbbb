//! `dais run marathon`.

use super::{
    Logging,
    access::{self, Access, HasAccess},
    flags::{MARATHON, Table, boolean, list, parsed, switch, value},
    until_signal,
};
use crate::user::current_user;
use anyhow::{Context, bail};
use marathon::{Config as ServiceConfig, config::Hidden};
use marathon_core::launch::GpuBehaviour;
use marathon_model::settings::{AcceptedRoles, NewGroupEnforceRole};
use std::{collections::BTreeSet, fs, path::PathBuf, process::ExitCode, time::Duration};

#[derive(Debug, Default)]
struct Config {
    service: ServiceConfig,
    logging: Logging,
    access: Access,
    work_dir: Option<PathBuf>,
}

/// Sets one field through a reader of its text.
macro_rules! set {
    ($($field:ident).+ , $read:expr) => {
        |config: &mut Config, text: &str| {
            config.service.$($field).+ = $read(text)?;
            Ok(())
        }
    };
}

/// Sets one optional field.
macro_rules! some {
    ($($field:ident).+ , $read:expr) => {
        |config: &mut Config, text: &str| {
            config.service.$($field).+ = Some($read(text)?);
            Ok(())
        }
    };
}

fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn words(text: &str) -> Result<Vec<String>, String> {
    Ok(list(text))
}

fn set_of_words(text: &str) -> Result<BTreeSet<String>, String> {
    Ok(list(text).into_iter().collect())
}

fn millis(text: &str) -> Result<Duration, String> {
    parsed(text).map(Duration::from_millis)
}

fn seconds(text: &str) -> Result<Duration, String> {
    parsed(text).map(Duration::from_secs)
}

/// `host:port`, several of them, with or without a scheme.
fn masters(text: &str) -> Result<Vec<String>, String> {
    if text.starts_with("zk://") {
        return Err("expected host:port; finding the master in ZooKeeper is to come".to_owned());
    }
    let address = |word: String| {
        let word = word.trim_start_matches("http://").trim_end_matches('/');
        if word.contains(':') { word.to_owned() } else { format!("{word}:5050") }
    };
    Ok(list(text).into_iter().map(address).collect())
}

fn enforce(text: &str) -> Result<NewGroupEnforceRole, String> {
    match text {
        "off" => Ok(NewGroupEnforceRole::Off),
        "top" => Ok(NewGroupEnforceRole::Top),
        _ => Err("expected off or top".to_owned()),
    }
}

fn accepted_roles(text: &str) -> Result<AcceptedRoles, String> {
    match text {
        "any" => Ok(AcceptedRoles::Any),
        "reserved" => Ok(AcceptedRoles::Reserved),
        "unreserved" => Ok(AcceptedRoles::Unreserved),
        _ => Err("expected any, reserved or unreserved".to_owned()),
    }
}

fn gpu(text: &str) -> Result<GpuBehaviour, String> {
    match text {
        "restricted" => Ok(GpuBehaviour::Restricted),
        "unrestricted" => Ok(GpuBehaviour::Unrestricted),
        _ => Err("expected restricted or unrestricted".to_owned()),
    }
}

fn credentials(text: &str) -> Result<Hidden<(String, String)>, String> {
    let (user, password) = text.split_once(':').ok_or("expected user:password")?;
    Ok(Hidden((user.to_owned(), password.to_owned())))
}

fn hidden(text: &str) -> Result<Hidden<String>, String> {
    Ok(Hidden(text.to_owned()))
}

fn secret_file(path: &str) -> Result<Hidden<String>, String> {
    let secret = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    Ok(Hidden(secret.trim_end().to_owned()))
}

/// Apps' own choice comes first; this is for those that make none.
fn features(text: &str) -> Result<BTreeSet<String>, String> {
    const KNOWN: [&str; 6] = [
        "vips",
        "task_killing",
        "external_volumes",
        "secrets",
        "gpu_resources",
        "maintenance_mode",
    ];
    let features = set_of_words(text)?;
    match features.iter().find(|feature| !KNOWN.contains(&feature.as_str())) {
        Some(feature) => Err(format!("there is no feature '{feature}'")),
        None => Ok(features),
    }
}

impl HasAccess for Config {
    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

const TABLE: Table<Config> = Table {
    manner: &MARATHON,
    flags: &[
        value("master", "", "Where the master is, as host:port. Required.", set!(masters, masters)),
        value("work_dir", "", "Where the state lives. Required.", |config, text| {
            config.work_dir = Some(PathBuf::from(text));
            Ok(())
        }),
        value("http_address", "", "Address to listen on. (127.0.0.1)", set!(http_address, parsed)),
        value("http_port", "", "Port to listen on; 0 picks one. (8080)", set!(http_port, parsed)),
        value("https_port", "", "Shown only: TLS is to come. (8443)", set!(https_port, parsed)),
        value("hostname", "", "Name others reach it at.", some!(hostname, text)),
        value(
            "webui_url",
            "",
            "Shown by the master; the API's own address unless given.",
            some!(webui_url, text),
        ),
        value(
            "http_credentials",
            "",
            "user:password that every request must show.",
            some!(http_credentials, credentials),
        ),
        value("http_realm", "", "Realm of the password. (Mesosphere)", set!(http_realm, text)),
        switch("http_compression", "", "Compress answers. (true)", set!(http_compression, boolean)),
        value(
            "http_max_concurrent_requests",
            "",
            "Requests beyond it get 503.",
            some!(http_max_concurrent_requests, parsed),
        ),
        value(
            "access_control_allow_origin",
            "",
            "Origins for browsers, comma-separated.",
            set!(access_control_allow_origin, words),
        ),
        switch(
            "metrics_prometheus",
            "",
            "Serve /metrics/prometheus. (true)",
            set!(metrics_prometheus, boolean),
        ),
        value(
            "framework_name",
            "",
            "Name of the framework. (marathon)",
            set!(framework_name, text),
        ),
        value(
            "failover_timeout",
            "",
            "Seconds its tasks outlive it. (604800)",
            set!(failover_timeout, seconds),
        ),
        switch("checkpoint", "", "Tasks outlive their agent. (true)", set!(checkpoint, boolean)),
        value("mesos_user", "", "User of tasks. (who starts this)", set!(mesos_user, text)),
        value(
            "mesos_role",
            "",
            "Role of apps outside of enforcing groups. (*)",
            set!(core.model.mesos_role, text),
        ),
        value(
            "new_group_enforce_role",
            "",
            "off, or top: top-level groups name the role. (off)",
            set!(core.model.new_group_enforce_role, enforce),
        ),
        value(
            "accepted_resource_roles_default_behavior",
            "",
            "any, reserved or unreserved. (any)",
            set!(core.model.default_accepted_resource_roles, accepted_roles),
        ),
        value(
            "mesos_authentication_principal",
            "",
            "Principal shown to the master.",
            some!(principal, text),
        ),
        value("mesos_authentication_secret", "", "And its secret.", some!(secret, hidden)),
        value(
            "mesos_authentication_secret_file",
            "",
            "File holding the secret.",
            some!(secret, secret_file),
        ),
        switch("mesos_authentication", "", "Accepted; a secret is enough.", |_, text| {
            boolean(text).map(drop)
        }),
        value(
            "mesos_leader_ui_url",
            "",
            "The master's page, shown in /v2/info.",
            some!(mesos_leader_ui_url, text),
        ),
        value(
            "local_port_min",
            "",
            "Lowest service port that is assigned. (10000)",
            set!(core.model.local_port_min, parsed),
        ),
        value(
            "local_port_max",
            "",
            "Highest one. (20000)",
            set!(core.model.local_port_max, parsed),
        ),
        value(
            "default_network_name",
            "",
            "Network of apps that name none.",
            some!(core.model.default_network_name, text),
        ),
        value(
            "mesos_bridge_name",
            "",
            "Network behind container/bridge. (mesos-bridge)",
            set!(core.model.mesos_bridge_name, text),
        ),
        value("executor", "", "Executor of tasks. (//cmd)", set!(core.model.executor, text)),
        value(
            "env_vars_prefix",
            "",
            "Before the names of injected variables.",
            some!(core.model.env_vars_prefix, text),
        ),
        value(
            "enable_features",
            "",
            "vips, task_killing, external_volumes, secrets, gpu_resources.",
            set!(core.model.features, features),
        ),
        value(
            "gpu_scheduling_behavior",
            "",
            "restricted or unrestricted. (restricted)",
            set!(core.launch.gpu_behaviour, gpu),
        ),
        value(
            "draining_seconds",
            "",
            "Before maintenance, in seconds. (0)",
            set!(core.launch.draining, seconds),
        ),
        switch("maintenance_mode", "", "Spare agents in maintenance. (true)", |config, text| {
            config.service.core.launch.maintenance_mode = boolean(text)?;
            config.service.shown.maintenance_mode = boolean(text)?;
            Ok(())
        }),
        value(
            "max_running_deployments",
            "",
            "Deployments at once. (100)",
            set!(core.max_running_deployments, parsed),
        ),
        value(
            "max_instances_per_offer",
            "",
            "Instances launched on one offer. (100)",
            set!(core.max_instances_per_offer, parsed),
        ),
        value(
            "decline_offer_duration",
            "",
            "Milliseconds a declined offer stays away. (120000)",
            set!(core.decline_offer_duration, millis),
        ),
        value(
            "min_revive_offers_interval",
            "",
            "Milliseconds between repeated revives. (1000)",
            set!(core.min_revive_interval, millis),
        ),
        value(
            "task_launch_confirm_timeout",
            "",
            "Milliseconds until a silent task is given up. (300000)",
            set!(core.launch_confirm_timeout, millis),
        ),
        value(
            "task_launch_timeout",
            "",
            "Milliseconds a task may take to run. (300000)",
            set!(core.launch_timeout, millis),
        ),
        value(
            "reconciliation_initial_delay",
            "",
            "Milliseconds until the first reconciliation. (15000)",
            set!(core.reconcile_initial, millis),
        ),
        value(
            "reconciliation_interval",
            "",
            "Milliseconds between reconciliations. (600000)",
            set!(core.reconcile_interval, millis),
        ),
        value(
            "scale_apps_initial_delay",
            "",
            "Milliseconds until counts are checked. (15000)",
            set!(core.scale_check_initial, millis),
        ),
        value(
            "scale_apps_interval",
            "",
            "Milliseconds between checks. (300000)",
            set!(core.scale_check_interval, millis),
        ),
        value(
            "task_lost_expunge_initial_delay",
            "",
            "Milliseconds until lost tasks are looked at. (300000)",
            set!(core.expunge_initial, millis),
        ),
        value(
            "task_lost_expunge_interval",
            "",
            "Milliseconds between such looks. (30000)",
            set!(core.expunge_interval, millis),
        ),
        value("kill_chunk_size", "", "Kills sent at once. (100)", set!(core.kill_chunk, parsed)),
        value(
            "kill_retry_timeout",
            "",
            "Milliseconds until a kill is sent again. (30000)",
            set!(core.kill_retry, millis),
        ),
        value(
            "max_concurrent_marathon_health_checks",
            "",
            "Own health checks in flight. (256)",
            set!(max_concurrent_health_checks, parsed),
        ),
        value("zk_max_versions", "", "Versions kept of each app. (50)", set!(max_versions, parsed)),
        access::mode(),
        access::iam(),
        access::account(),
        access::ca_file(),
        access::plain(),
        value("logging_level", "", "trace, debug, info, warn or error. (info)", |config, text| {
            config.logging.set(text)
        }),
        // What shows in /v2/info and means nothing here.
        switch("ha", "", "Shown only. (true)", set!(shown.ha, boolean)),
        value("zk", "", "Shown only: the state is in work_dir.", set!(shown.zk, text)),
        value("zk_timeout", "", "Shown only.", set!(shown.zk_timeout, parsed)),
        value("zk_session_timeout", "", "Shown only.", set!(shown.zk_session_timeout, parsed)),
        value(
            "zk_connection_timeout",
            "",
            "Shown only.",
            set!(shown.zk_connection_timeout, parsed),
        ),
        value("zk_max_node_size", "", "Shown only.", set!(shown.zk_max_node_size, parsed)),
        switch("zk_compression", "", "Shown only.", set!(shown.zk_compression, boolean)),
        value(
            "zk_compression_threshold",
            "",
            "Shown only.",
            set!(shown.zk_compression_threshold, parsed),
        ),
        switch("store_cache", "", "Shown only.", set!(shown.store_cache, boolean)),
        value("launch_tokens", "", "Shown only: launches are not counted.", |config, text| {
            config.service.shown.launch_tokens = parsed(text)?;
            Ok(())
        }),
        value(
            "launch_token_refresh_interval",
            "",
            "Shown only.",
            set!(shown.launch_token_refresh_interval, parsed),
        ),
        value(
            "offer_matching_timeout",
            "",
            "Shown only.",
            set!(shown.offer_matching_timeout, parsed),
        ),
        value(
            "on_elected_prepare_timeout",
            "",
            "Shown only.",
            set!(shown.on_elected_prepare_timeout, parsed),
        ),
        value(
            "task_reservation_timeout",
            "",
            "Shown only.",
            set!(shown.task_reservation_timeout, parsed),
        ),
        value(
            "mesos_heartbeat_interval",
            "",
            "Shown only: the master says it.",
            set!(shown.mesos_heartbeat_interval, parsed),
        ),
        value(
            "mesos_heartbeat_failure_threshold",
            "",
            "Shown only.",
            set!(shown.mesos_heartbeat_failure_threshold, parsed),
        ),
        value(
            "leader_proxy_connection_timeout",
            "",
            "Shown only.",
            set!(shown.leader_proxy_connection_timeout, parsed),
        ),
        value(
            "leader_proxy_read_timeout",
            "",
            "Shown only.",
            set!(shown.leader_proxy_read_timeout, parsed),
        ),
        value(
            "event_stream_max_outstanding_messages",
            "",
            "Events that may wait for a reader. (1024)",
            set!(event_stream_max_outstanding_messages, parsed),
        ),
        switch(
            "suppress_offers",
            "",
            "Only true: offers nobody needs are not wanted.",
            |_, text| match boolean(text)? {
                true => Ok(()),
                false => Err("expected true".to_owned()),
            },
        ),
    ],
    absent: &[
        "default_accepted_resource_roles",
        "disable_http",
        "http_event_endpoints",
        "event_subscriber",
        "ssl_keystore_path",
        "ssl_keystore_password",
        "assets_path",
        "leader_proxy_max_open_connections",
        "leader_proxy_ssl_ignore_hostname",
        "graceful_shutdown_timeout",
        "max_apps",
        "leader_election_backend",
        "deprecated_features",
        "logstash",
        "sentry",
        "sentry_tags",
        "metrics",
        "metrics_name_prefix",
        "metrics_statsd",
        "metrics_statsd_host",
        "metrics_statsd_port",
        "metrics_statsd_transmission_interval_ms",
        "metrics_datadog",
        "metrics_datadog_protocol",
        "metrics_datadog_host",
        "metrics_datadog_port",
        "metrics_datadog_api_key",
        "metrics_datadog_transmission_interval_ms",
        "metrics_histogram_reservoir_highest_trackable_value",
        "metrics_histogram_reservoir_significant_digits",
        "metrics_histogram_reservoir_reset_periodically",
        "metrics_histogram_reservoir_resetting_interval_ms",
        "metrics_histogram_reservoir_resetting_chunks",
        "mesos_offer_constraints",
        "min_mesos_offer_constraints_update_interval",
        "plugin_conf",
        "plugin_dir",
        "backup_location",
        "storage_compaction_interval",
        "storage_compaction_scan_batch_size",
        "group_versions_cache_size",
        "internal_store_backend",
    ],
};

/// What `--help` prints.
pub(super) fn help() -> String {
    TABLE.help("usage: dais run marathon --master=HOST:PORT --work_dir=DIR [--flag=value]...")
}

/// Runs it until a signal. Its tasks run on.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let mut config = Config::default();
    config.service.mesos_user = current_user()?;
    TABLE.apply(&mut config, arguments, |name| std::env::var(name).ok())?;
    if config.service.masters.is_empty() {
        bail!("marathon needs --master=HOST:PORT");
    }
    let Some(work_dir) = config.work_dir else {
        bail!("marathon needs --work_dir=DIR: its state lives there");
    };
    config.access.check()?;
    let mut service = config.service;
    service.logging = crate::logging::start(&config.logging.level)?;
    let shutdown = until_signal()?;
    let path = work_dir.join("state.redb");
    let state = cluster_state::embedded::open(&path)
        .with_context(|| format!("cannot open the state {}", path.display()))?;
    let granted = config.access.start(&shutdown)?;
    (service.guard, service.tokens) = (granted.guard.clone(), granted.tokens.clone());
    let running = marathon::start(service, state, shutdown.clone()).await?;
    tracing::info!(address = %running.address, "marathon is up");
    let ended = running.join.await;
    granted.end(&shutdown).await;
    ended??;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use marathon_core::Config as CoreConfig;

    fn apply(arguments: &[&str]) -> Result<ServiceConfig, String> {
        let mut config = Config::default();
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        TABLE.apply(&mut config, arguments, |_| None).map_err(|error| error.to_string())?;
        Ok(config.service)
    }

    #[test]
    fn the_originals_flags_are_understood() {
        let config = apply(&[
            "--master",
            "http://a:1,b",
            "--http_port=0",
            "--disable_checkpoint",
            "--failover_timeout=60",
            "--accepted_resource_roles_default_behavior=unreserved",
            "--decline_offer_duration=1000",
            "--enable_features",
            "task_killing,gpu_resources",
            "--zk=zk://h/m",
        ])
        .unwrap();
        assert_eq!(config.masters, ["a:1", "b:5050"]);
        assert!(!config.checkpoint);
        assert_eq!(config.failover_timeout.as_secs(), 60);
        let CoreConfig { model, decline_offer_duration, .. } = config.core;
        assert_eq!(decline_offer_duration.as_millis(), 1000);
        assert_eq!(model.default_accepted_resource_roles, AcceptedRoles::Unreserved);
        assert!(model.feature("task_killing"));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(apply(&["--mesos_rol=x"]).unwrap_err().contains("did you mean '--mesos_role'"));
        let absent = apply(&["--plugin_dir=x"]).unwrap_err();
        assert!(absent.contains("a flag of Marathon"), "{absent}");
        assert!(apply(&["--enable_features=magic"]).unwrap_err().contains("'magic'"));
        assert!(apply(&["--master=zk://h"]).unwrap_err().contains("host:port"));
    }
}
