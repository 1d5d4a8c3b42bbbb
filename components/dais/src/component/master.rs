//! `dais run master`.

use super::{
    Logging,
    access::{self, Access, HasAccess},
    flags::{MESOS, Table, boolean, duration, json, list, parsed, switch, value},
    until_signal,
};
use anyhow::{Context, bail};
use mesos_master::config::{AllocatorKind, MasterConfig};
use mesos_messages::{json::JsonMessage, v1};
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

#[derive(Debug, Default)]
struct Config {
    master: MasterConfig,
    logging: Logging,
    access: Access,
}

/// Sets one field through a reader of its text.
macro_rules! set {
    ($($field:ident).+ , $read:expr) => {
        |config: &mut Config, text: &str| {
            config.$($field).+ = $read(text)?;
            Ok(())
        }
    };
}

/// Sets one optional field.
macro_rules! some {
    ($($field:ident).+ , $read:expr) => {
        |config: &mut Config, text: &str| {
            config.$($field).+ = Some($read(text)?);
            Ok(())
        }
    };
}

fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

fn words(text: &str) -> Result<Vec<String>, String> {
    Ok(list(text))
}

fn weights(text: &str) -> Result<BTreeMap<String, f64>, String> {
    let pair = |word: &String| {
        let (role, weight) = word.split_once('=').ok_or("expected role=weight,...")?;
        Ok((role.to_owned(), parsed(weight)?))
    };
    list(text).iter().map(pair).collect()
}

/// The only order there is; the original's `random` is refused rather than ignored.
fn sorter(text: &str) -> Result<(), String> {
    match text {
        "drf" => Ok(()),
        _ => Err("expected drf; random is to come".to_owned()),
    }
}

fn allocator(text: &str) -> Result<AllocatorKind, String> {
    match text {
        "hierarchical" | "HierarchicalDRF" => Ok(AllocatorKind::HierarchicalDrf),
        "priority" => Ok(AllocatorKind::StrictPriority),
        _ => Err("expected hierarchical or priority".to_owned()),
    }
}

fn domain(text: &str) -> Result<v1::DomainInfo, String> {
    v1::DomainInfo::from_json(&json(text)?).map_err(|error| error.to_string())
}

fn registry(text: &str) -> Result<(), String> {
    match text {
        "replicated_log" => Ok(()),
        _ => Err("the registry is always durable, below the work_dir".to_owned()),
    }
}

impl HasAccess for Config {
    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

const TABLE: Table<Config> = Table {
    manner: &MESOS,
    flags: &[
        value("ip", "", "Address to listen on. (127.0.0.1)", set!(master.ip, parsed)),
        value("port", "", "Port to listen on; 0 picks one. (5050)", set!(master.port, parsed)),
        value(
            "advertise_ip",
            "",
            "Address others reach this master at.",
            some!(master.advertise_ip, parsed),
        ),
        value(
            "advertise_port",
            "",
            "Port others reach this master at.",
            some!(master.advertise_port, parsed),
        ),
        value(
            "hostname",
            "",
            "Name shown to others and used in redirects.",
            some!(master.hostname, text),
        ),
        value("cluster", "", "Name of the cluster.", some!(master.cluster, text)),
        value("work_dir", "", "Where the registry lives. Required.", some!(master.work_dir, path)),
        value("domain", "", "Fault domain as JSON.", some!(master.domain, domain)),
        value("registry", "", "Only replicated_log.", |_, text| registry(text)),
        value(
            "allocation_interval",
            "",
            "How often all agents are offered. (1secs)",
            set!(master.allocation_interval, duration),
        ),
        value(
            "offer_timeout",
            "",
            "After how long an unanswered offer is rescinded.",
            some!(master.offer_timeout, duration),
        ),
        value(
            "min_allocatable_resources",
            "",
            "The least an offer holds. (cpus:0.01|mem:32)",
            set!(master.min_allocatable_resources, text),
        ),
        value(
            "allocator",
            "",
            "hierarchical or priority. (hierarchical)",
            set!(master.allocator, allocator),
        ),
        value(
            "priorities",
            "",
            "Roles for --allocator=priority, highest first.",
            set!(master.priorities, words),
        ),
        value("role_sorter", "user_sorter", "drf or random. (drf)", |_, text| sorter(text)),
        value("framework_sorter", "", "drf or random. (drf)", |_, text| sorter(text)),
        value(
            "fair_sharing_excluded_resource_names",
            "",
            "Resources that do not count as a share.",
            set!(master.fair_sharing_excluded_resource_names, words),
        ),
        switch(
            "filter_gpu_resources",
            "",
            "Offer agents with GPUs only to frameworks that know them. (true)",
            set!(master.filter_gpu_resources, boolean),
        ),
        value("roles", "", "The only roles frameworks may use.", some!(master.roles, words)),
        value("weights", "", "Weights of roles: role=weight,...", set!(master.weights, weights)),
        value(
            "agent_ping_timeout",
            "slave_ping_timeout",
            "How long an agent may take to answer a ping. (15secs)",
            set!(master.agent_ping_timeout, duration),
        ),
        value(
            "max_agent_ping_timeouts",
            "max_slave_ping_timeouts",
            "Missed pings that make it unreachable. (5)",
            set!(master.max_agent_ping_timeouts, parsed),
        ),
        value(
            "agent_reregister_timeout",
            "slave_reregister_timeout",
            "How long known agents may take to come back. (10mins)",
            set!(master.agent_reregister_timeout, duration),
        ),
        switch(
            "require_agent_domain",
            "",
            "Refuse agents without a domain. (false)",
            set!(master.require_agent_domain, boolean),
        ),
        value(
            "max_completed_frameworks",
            "",
            "Completed frameworks remembered. (50)",
            set!(master.max_completed_frameworks, parsed),
        ),
        value(
            "max_completed_tasks_per_framework",
            "",
            "Completed tasks remembered of each. (1000)",
            set!(master.max_completed_tasks_per_framework, parsed),
        ),
        value(
            "max_unreachable_tasks_per_framework",
            "",
            "Unreachable tasks remembered of each. (1000)",
            set!(master.max_unreachable_tasks_per_framework, parsed),
        ),
        value(
            "max_operator_event_stream_subscribers",
            "",
            "Operator event streams at once. (1000)",
            set!(master.max_operator_event_stream_subscribers, parsed),
        ),
        value(
            "registry_gc_interval",
            "",
            "How often lost agents are forgotten. (15mins)",
            set!(master.registry_gc_interval, duration),
        ),
        value(
            "registry_max_agent_age",
            "",
            "After how long. (2weeks)",
            set!(master.registry_max_agent_age, duration),
        ),
        value(
            "registry_max_agent_count",
            "",
            "And beyond how many. (102400)",
            set!(master.registry_max_agent_count, parsed),
        ),
        switch(
            "root_submissions",
            "",
            "Whether frameworks may run tasks as root. (true)",
            set!(master.root_submissions, boolean),
        ),
        switch(
            "authenticate_frameworks",
            "authenticate",
            "Only authenticated v0 frameworks. (false)",
            set!(master.authenticate_frameworks, boolean),
        ),
        switch(
            "authenticate_agents",
            "authenticate_slaves",
            "Only authenticated agents. (false)",
            set!(master.authenticate_agents, boolean),
        ),
        switch(
            "authenticate_http_readonly",
            "",
            "Passwords for reads. (false)",
            set!(master.authenticate_http_readonly, boolean),
        ),
        switch(
            "authenticate_http_readwrite",
            "authenticate_http",
            "Passwords for writes. (false)",
            set!(master.authenticate_http_readwrite, boolean),
        ),
        switch(
            "authenticate_http_frameworks",
            "",
            "Passwords for v1 frameworks. (false)",
            set!(master.authenticate_http_frameworks, boolean),
        ),
        value("credentials", "", "File with principals and secrets.", |config, text| {
            config.master.credentials = Some(PathBuf::from(text));
            Ok(())
        }),
        switch(
            "publish_per_framework_metrics",
            "",
            "Metrics of each framework. (true)",
            set!(master.publish_per_framework_metrics, boolean),
        ),
        value(
            "log_dir",
            "",
            "Folder of log files; logs go to standard error in any case.",
            some!(master.log_dir, path),
        ),
        value("external_log_file", "", "File shown as /master/log.", some!(master.log_file, path)),
        access::mode(),
        access::iam(),
        access::account(),
        access::ca_file(),
        access::plain(),
        value("logging_level", "", "DEBUG, INFO, WARNING or ERROR. (INFO)", |config, text| {
            config.logging.set(text)
        }),
        switch("quiet", "", "Only errors in the log. (false)", |config, text| {
            if boolean(text)? { config.logging.set("ERROR") } else { Ok(()) }
        }),
    ],
    absent: &[
        "hostname_lookup",
        "quorum",
        "zk_session_timeout",
        "registry_strict",
        "registry_fetch_timeout",
        "registry_store_timeout",
        "log_auto_initialize",
        "recovery_agent_removal_limit",
        "agent_removal_rate_limit",
        "webui_dir",
        "whitelist",
        "authentication_v0_timeout",
        "acls",
        "firewall_rules",
        "rate_limits",
        "max_executors_per_agent",
        "modules",
        "modules_dir",
        "authenticators",
        "allocator_agent_recovery_factor",
        "allocator_recovery_timeout",
        "hooks",
        "authorizers",
        "http_authenticators",
        "http_framework_authenticators",
        "master_contender",
        "master_detector",
        "memory_profiling",
        "zk",
        "ip_discovery_command",
        "offer_constraints_re2_max_mem",
        "offer_constraints_re2_max_program_size",
        "logbufsecs",
        "initialize_driver_logging",
    ],
};

/// What `--help` prints.
pub(super) fn help() -> String {
    TABLE.help("usage: dais run master --work_dir=DIR [--flag=value]...")
}

/// Runs a master until a signal.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let mut config = Config::default();
    TABLE.apply(&mut config, arguments, |name| std::env::var(name).ok())?;
    let Some(work_dir) = config.master.work_dir.clone() else {
        bail!("a master needs --work_dir=DIR: its registry lives there");
    };
    config.access.check()?;
    config.master.logging = crate::logging::start(&config.logging.level)?;
    let shutdown = until_signal()?;
    let path = work_dir.join("state.redb");
    let state = cluster_state::embedded::open(&path)
        .with_context(|| format!("cannot open the registry {}", path.display()))?;
    let granted = config.access.start(&shutdown)?;
    config.master.guard = granted.guard.clone();
    let running = mesos_master::start(config.master, state, shutdown.clone()).await?;
    tracing::info!(address = %running.address, "the master is up");
    let ended = running.join.await;
    granted.end(&shutdown).await;
    ended??;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(arguments: &[&str]) -> Result<MasterConfig, String> {
        let mut config = Config::default();
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        TABLE.apply(&mut config, arguments, |_| None).map_err(|error| error.to_string())?;
        Ok(config.master)
    }

    #[test]
    fn flags_reach_the_configuration() {
        let config = apply(&[
            "--ip=0.0.0.0",
            "--port=0",
            "--roles=a, b",
            "--weights=a=2,b=0.5",
            "--slave_ping_timeout=3secs",
            "--no-root_submissions",
        ])
        .unwrap();
        assert_eq!(config.ip.to_string(), "0.0.0.0");
        assert_eq!(config.roles.unwrap(), ["a", "b"]);
        assert_eq!(config.weights.get("b"), Some(&0.5));
        assert_eq!(config.agent_ping_timeout.as_secs(), 3);
        assert!(!config.root_submissions);
    }

    #[test]
    fn flags_of_mesos_without_meaning_here_are_told_apart() {
        assert!(apply(&["--zk=zk://h/mesos"]).unwrap_err().contains("does not have yet"));
        assert!(apply(&["--weights=a"]).unwrap_err().contains("role=weight"));
    }
}
