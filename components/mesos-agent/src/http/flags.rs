//! The configuration as the original's flags.

use crate::{
    AgentConfig,
    config::{Launcher, ReconfigurationPolicy, Recover},
};
use libprocess::Upid;
use mesos_messages::time::{format_duration, format_size};
use std::collections::BTreeMap;

/// Every flag that has a value, by name.
pub(super) fn of(
    config: &AgentConfig,
    upid: &Upid,
    launcher: &'static str,
) -> BTreeMap<&'static str, String> {
    let flag = |value: bool| value.to_string();
    let mut flags = BTreeMap::from([
        ("authenticate_http_readonly", flag(config.authenticate_http_readonly)),
        ("authenticate_http_readwrite", flag(config.authenticate_http_readwrite)),
        ("cgroups_enable_cfs", flag(config.cgroups_enable_cfs)),
        ("cgroups_limit_swap", flag(config.cgroups_limit_swap)),
        ("cgroups_root", config.cgroups_root.clone()),
        ("containerizers", "mesos".to_owned()),
        ("default_role", config.default_role.clone()),
        ("disk_watch_interval", format_duration(config.disk_watch_interval)),
        ("executor_registration_timeout", format_duration(config.executor_registration_timeout)),
        (
            "executor_reregistration_timeout",
            format_duration(config.executor_reregistration_timeout),
        ),
        ("executor_shutdown_grace_period", format_duration(config.executor_shutdown_grace_period)),
        ("fetcher_cache_dir", config.fetcher_cache_dir.to_string_lossy().into_owned()),
        ("fetcher_cache_size", format_size(config.fetcher_cache_size)),
        ("fetcher_stall_timeout", format_duration(config.fetcher_stall_timeout)),
        ("gc_delay", format_duration(config.gc_delay)),
        ("gc_disk_headroom", config.gc_disk_headroom.to_string()),
        ("http_command_executor", flag(true)),
        ("http_heartbeat_interval", format_duration(config.http_heartbeat_interval)),
        ("ip", config.ip.to_string()),
        ("isolation", isolation(launcher).to_owned()),
        (
            "launcher",
            match config.launcher {
                Launcher::Auto => launcher.to_owned(),
                Launcher::Posix => "posix".to_owned(),
                Launcher::Linux => "linux".to_owned(),
            },
        ),
        ("launcher_dir", config.launcher_dir().to_string_lossy().into_owned()),
        ("logging_level", "INFO".to_owned()),
        ("master", config.master.clone()),
        (
            "max_completed_executors_per_framework",
            config.max_completed_executors_per_framework.to_string(),
        ),
        ("port", upid.address.port().to_string()),
        (
            "reconfiguration_policy",
            match config.reconfiguration_policy {
                ReconfigurationPolicy::Equal => "equal".to_owned(),
                ReconfigurationPolicy::Additive => "additive".to_owned(),
            },
        ),
        (
            "recover",
            match config.recover {
                Recover::Reconnect => "reconnect".to_owned(),
                Recover::Cleanup => "cleanup".to_owned(),
            },
        ),
        ("recovery_timeout", format_duration(config.recovery_timeout)),
        ("registration_backoff_factor", format_duration(config.registration_backoff_factor)),
        ("runtime_dir", config.runtime_dir.to_string_lossy().into_owned()),
        ("strict", flag(config.strict)),
        ("switch_user", flag(config.switch_user)),
        ("work_dir", config.work_dir.to_string_lossy().into_owned()),
    ]);
    let mut optional = |name, value: Option<String>| {
        if let Some(value) = value {
            flags.insert(name, value);
        }
    };
    optional("advertise_ip", config.advertise_ip.map(|ip| ip.to_string()));
    optional("advertise_port", config.advertise_port.map(|port| port.to_string()));
    optional("attributes", config.attributes.clone());
    optional("frameworks_home", config.frameworks_home.as_ref().map(|p| p.display().to_string()));
    optional("hostname", config.hostname.clone());
    optional("log_dir", config.log_file.as_deref().map(parent));
    optional("resources", config.resources.clone());
    optional(
        "executor_environment_variables",
        config
            .executor_environment_variables
            .as_ref()
            .and_then(|variables| serde_json::to_string(variables).ok()),
    );
    flags
}

fn parent(path: &std::path::Path) -> String {
    path.parent().unwrap_or(path).to_string_lossy().into_owned()
}

fn isolation(launcher: &str) -> &'static str {
    if launcher == "linux" {
        "cgroups/cpu,cgroups/mem,cgroups/pids,namespaces/pid,namespaces/ipc,filesystem/linux"
    } else {
        "posix/cpu,posix/mem,posix/rlimits"
    }
}
