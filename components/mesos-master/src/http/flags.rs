//! `/flags`: the configuration under the original's names, each value as text.
use std::{collections::BTreeMap, time::Duration};

use http_kit::json::Object;
use mesos_messages::time::format_duration;

use crate::config::{AllocatorKind, MasterConfig};

/// Every flag that has a value, by name.
pub(crate) fn flags(config: &MasterConfig, port: u16) -> BTreeMap<&'static str, String> {
    let mut flags = BTreeMap::new();
    fixed(&mut flags);
    addresses(&mut flags, config, port);
    allocation(&mut flags, config);
    limits(&mut flags, config);
    authentication(&mut flags, config);
    flags
}

/// What this master has no choice in.
fn fixed(flags: &mut BTreeMap<&'static str, String>) {
    for (name, value) in [
        ("allocator_agent_recovery_factor", "0.8"),
        ("allocator_recovery_timeout", "10mins"),
        ("authentication_v0_timeout", "15secs"),
        ("authenticators", "crammd5"),
        ("authorizers", "local"),
        ("help", "false"),
        ("hostname_lookup", "true"),
        ("http_authenticators", "basic"),
        ("initialize_driver_logging", "true"),
        ("log_auto_initialize", "true"),
        ("logbufsecs", "0"),
        ("logging_level", "INFO"),
        ("memory_profiling", "false"),
        ("offer_constraints_re2_max_mem", "4KB"),
        ("offer_constraints_re2_max_program_size", "100"),
        ("quiet", "false"),
        ("recovery_agent_removal_limit", "100%"),
        ("registry", "cluster_state"),
        ("registry_fetch_timeout", "1mins"),
        ("registry_store_timeout", "20secs"),
        ("registry_strict", "false"),
        ("version", "false"),
        ("zk_session_timeout", "10secs"),
    ] {
        flags.insert(name, value.to_owned());
    }
}

fn addresses(flags: &mut BTreeMap<&'static str, String>, config: &MasterConfig, port: u16) {
    let hostname = config.hostname.clone().unwrap_or_else(|| config.ip.to_string());
    let path = |path: &std::path::PathBuf| path.display().to_string();
    flags.insert("hostname", hostname);
    flags.insert("ip", config.ip.to_string());
    flags.insert("port", port.to_string());
    for (name, value) in [
        ("advertise_ip", config.advertise_ip.map(|ip| ip.to_string())),
        ("advertise_port", config.advertise_port.map(|port| port.to_string())),
        ("cluster", config.cluster.clone()),
        ("work_dir", config.work_dir.as_ref().map(path)),
        ("log_dir", config.log_dir.as_ref().map(path)),
        ("credentials", config.credentials.as_ref().map(path)),
        ("offer_timeout", config.offer_timeout.map(format_duration)),
        ("roles", config.roles.as_ref().map(|roles| roles.join(","))),
        ("weights", weights(config)),
    ] {
        if let Some(value) = value {
            flags.insert(name, value);
        }
    }
}

fn weights(config: &MasterConfig) -> Option<String> {
    let pairs: Vec<String> =
        config.weights.iter().map(|(role, weight)| format!("{role}={weight}")).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

fn allocation(flags: &mut BTreeMap<&'static str, String>, config: &MasterConfig) {
    let allocator = match config.allocator {
        AllocatorKind::HierarchicalDrf => "hierarchical",
        AllocatorKind::StrictPriority => "strict_priority",
    };
    flags.insert("allocator", allocator.to_owned());
    flags.insert("allocation_interval", format_duration(config.allocation_interval));
    flags.insert("filter_gpu_resources", config.filter_gpu_resources.to_string());
    flags.insert("framework_sorter", "drf".to_owned());
    flags.insert("role_sorter", "drf".to_owned());
    flags.insert("min_allocatable_resources", config.min_allocatable_resources.clone());
    if !config.fair_sharing_excluded_resource_names.is_empty() {
        let names = config.fair_sharing_excluded_resource_names.join(",");
        flags.insert("fair_sharing_excluded_resource_names", names);
    }
}

fn limits(flags: &mut BTreeMap<&'static str, String>, config: &MasterConfig) {
    let duration = |duration: Duration| format_duration(duration);
    for (name, value) in [
        ("agent_ping_timeout", duration(config.agent_ping_timeout)),
        ("agent_reregister_timeout", duration(config.agent_reregister_timeout)),
        ("max_agent_ping_timeouts", config.max_agent_ping_timeouts.to_string()),
        ("max_completed_frameworks", config.max_completed_frameworks.to_string()),
        ("max_completed_tasks_per_framework", config.max_completed_tasks_per_framework.to_string()),
        (
            "max_operator_event_stream_subscribers",
            config.max_operator_event_stream_subscribers.to_string(),
        ),
        (
            "max_unreachable_tasks_per_framework",
            config.max_unreachable_tasks_per_framework.to_string(),
        ),
        ("publish_per_framework_metrics", config.publish_per_framework_metrics.to_string()),
        ("registry_gc_interval", duration(config.registry_gc_interval)),
        ("registry_max_agent_age", duration(config.registry_max_agent_age)),
        ("registry_max_agent_count", config.registry_max_agent_count.to_string()),
        ("require_agent_domain", config.require_agent_domain.to_string()),
        ("root_submissions", config.root_submissions.to_string()),
    ] {
        flags.insert(name, value);
    }
}

fn authentication(flags: &mut BTreeMap<&'static str, String>, config: &MasterConfig) {
    for (name, value) in [
        ("authenticate_agents", config.authenticate_agents),
        ("authenticate_frameworks", config.authenticate_frameworks),
        ("authenticate_http_frameworks", config.authenticate_http_frameworks),
        ("authenticate_http_readonly", config.authenticate_http_readonly),
        ("authenticate_http_readwrite", config.authenticate_http_readwrite),
    ] {
        flags.insert(name, value.to_string());
    }
    if config.authenticate_http_frameworks {
        flags.insert("http_framework_authenticators", "basic".to_owned());
    }
}

/// Appends the flags as one object.
pub(crate) fn write(out: &mut Vec<u8>, flags: &BTreeMap<&'static str, String>) {
    let mut object = Object::new(out);
    for (name, value) in flags {
        object.string(name, value);
    }
    object.end();
}
