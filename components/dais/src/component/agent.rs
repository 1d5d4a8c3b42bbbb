//! `dais run agent`.

use super::{
    Logging,
    access::{self, Access, HasAccess},
    flags::{MESOS, Table, boolean, duration, json, parsed, size, switch, value},
    until_signal,
};
use anyhow::bail;
use mesos_agent::config::{AgentConfig, Credential, Launcher, ReconfigurationPolicy, Recover};
use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

#[derive(Debug)]
struct Config {
    agent: AgentConfig,
    logging: Logging,
    access: Access,
    runtime_dir: Option<PathBuf>,
    fetcher_cache_dir: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agent: AgentConfig::new("", ""),
            logging: Logging::default(),
            access: Access::default(),
            runtime_dir: None,
            fetcher_cache_dir: None,
        }
    }
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

fn master(text: &str) -> Result<String, String> {
    if text.starts_with("zk://") {
        return Err("expected host:port; finding the master in ZooKeeper is to come".to_owned());
    }
    Ok(text.strip_prefix("master@").unwrap_or(text).to_owned())
}

fn launcher(text: &str) -> Result<Launcher, String> {
    match text {
        "auto" => Ok(Launcher::Auto),
        "posix" => Ok(Launcher::Posix),
        "linux" => Ok(Launcher::Linux),
        _ => Err("expected auto, posix or linux".to_owned()),
    }
}

fn recover(text: &str) -> Result<Recover, String> {
    match text {
        "reconnect" => Ok(Recover::Reconnect),
        "cleanup" => Ok(Recover::Cleanup),
        _ => Err("expected reconnect or cleanup".to_owned()),
    }
}

fn policy(text: &str) -> Result<ReconfigurationPolicy, String> {
    match text {
        "equal" => Ok(ReconfigurationPolicy::Equal),
        "additive" => Ok(ReconfigurationPolicy::Additive),
        _ => Err("expected equal or additive".to_owned()),
    }
}

/// Accepting a credential and not showing it to the master would only look safe.
fn credential(_: &str) -> Result<(), String> {
    Err("authentication with the master over libprocess is to come".to_owned())
}

fn read_credential(value: &serde_json::Value) -> Result<Credential, String> {
    let field = |name: &str| {
        let text = value.get(name).and_then(serde_json::Value::as_str);
        text.map(str::to_owned).ok_or_else(|| format!("expected a '{name}'"))
    };
    Ok(Credential { principal: field("principal")?, secret: field("secret")? })
}

fn credentials(text: &str) -> Result<Vec<Credential>, String> {
    let value: serde_json::Value = json(text)?;
    let list = value.get("credentials").and_then(serde_json::Value::as_array);
    list.ok_or("expected {\"credentials\": [...]}")?.iter().map(read_credential).collect()
}

/// `{"fault_domain": {"region": {"name": ...}, "zone": {"name": ...}}}`.
fn domain(text: &str) -> Result<(String, String), String> {
    let value: serde_json::Value = json(text)?;
    let name = |part: &str| {
        let name = value.pointer(&format!("/fault_domain/{part}/name"));
        let name = name.and_then(serde_json::Value::as_str).map(str::to_owned);
        name.ok_or_else(|| format!("expected fault_domain.{part}.name"))
    };
    Ok((name("region")?, name("zone")?))
}

/// A path to JSON, as the original takes for credentials; or the JSON itself.
fn contents(text: &str) -> Result<String, String> {
    if text.trim_start().starts_with('{') {
        return Ok(text.to_owned());
    }
    std::fs::read_to_string(text).map_err(|error| error.to_string())
}

impl HasAccess for Config {
    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

const TABLE: Table<Config> = Table {
    manner: &MESOS,
    flags: &[
        value(
            "master",
            "",
            "Where the master is, as host:port. Required.",
            set!(agent.master, master),
        ),
        value(
            "work_dir",
            "",
            "Where sandboxes and checkpoints live. Required.",
            set!(agent.work_dir, path),
        ),
        value(
            "runtime_dir",
            "",
            "What a reboot may lose. (<work_dir>/runtime)",
            some!(runtime_dir, path),
        ),
        value("ip", "", "Address to listen on. (127.0.0.1)", set!(agent.ip, parsed)),
        value("port", "", "Port to listen on; 0 picks one. (5051)", set!(agent.port, parsed)),
        value(
            "advertise_ip",
            "",
            "Address others reach this agent at.",
            some!(agent.advertise_ip, parsed),
        ),
        value(
            "advertise_port",
            "",
            "Port others reach this agent at.",
            some!(agent.advertise_port, parsed),
        ),
        value("hostname", "", "Name told to frameworks.", some!(agent.hostname, text)),
        value(
            "resources",
            "",
            "cpus:4;mem:1024;ports:[31000-32000], or JSON; the rest is detected.",
            some!(agent.resources, text),
        ),
        value("attributes", "", "rack:r1;public_ip:true", some!(agent.attributes, text)),
        value(
            "default_role",
            "",
            "Role of resources that name none. (*)",
            set!(agent.default_role, text),
        ),
        value("domain", "", "Fault domain as JSON.", some!(agent.domain, domain)),
        value(
            "launcher",
            "",
            "auto, posix or linux. (auto: linux as root)",
            set!(agent.launcher, launcher),
        ),
        value(
            "cgroups_root",
            "",
            "Parent of all cgroups of containers. (mesos)",
            set!(agent.cgroups_root, text),
        ),
        switch(
            "cgroups_enable_cfs",
            "",
            "Enforce the cpus as a limit too. (false)",
            set!(agent.cgroups_enable_cfs, boolean),
        ),
        switch(
            "cgroups_limit_swap",
            "",
            "Count swap as memory. (false)",
            set!(agent.cgroups_limit_swap, boolean),
        ),
        switch(
            "switch_user",
            "",
            "Run tasks as the user they name. (true)",
            set!(agent.switch_user, boolean),
        ),
        value(
            "executor_environment_variables",
            "",
            "Environment of executors as JSON.",
            |config, text| {
                config.agent.executor_environment_variables =
                    Some(json::<BTreeMap<String, String>>(text)?);
                Ok(())
            },
        ),
        value(
            "fetcher_cache_dir",
            "",
            "Where downloads are kept. (<work_dir>/fetch)",
            some!(fetcher_cache_dir, path),
        ),
        value(
            "fetcher_cache_size",
            "",
            "How much of them. (2GB)",
            set!(agent.fetcher_cache_size, size),
        ),
        value(
            "fetcher_stall_timeout",
            "",
            "A download without progress fails. (1mins)",
            set!(agent.fetcher_stall_timeout, duration),
        ),
        value(
            "frameworks_home",
            "",
            "Relative URIs are below this folder.",
            some!(agent.frameworks_home, path),
        ),
        value(
            "executor_registration_timeout",
            "",
            "From fetching to registering. (1mins)",
            set!(agent.executor_registration_timeout, duration),
        ),
        value(
            "executor_reregistration_timeout",
            "",
            "How long a restarted agent waits for executors. (2secs)",
            set!(agent.executor_reregistration_timeout, duration),
        ),
        value(
            "executor_shutdown_grace_period",
            "",
            "From asking an executor to stop to killing it. (5secs)",
            set!(agent.executor_shutdown_grace_period, duration),
        ),
        value(
            "recovery_timeout",
            "",
            "How long executors wait for their agent. (15mins)",
            set!(agent.recovery_timeout, duration),
        ),
        value(
            "registration_backoff_factor",
            "",
            "Unit of random waits before registering. (1secs)",
            set!(agent.registration_backoff_factor, duration),
        ),
        value("recover", "", "reconnect or cleanup. (reconnect)", set!(agent.recover, recover)),
        switch(
            "strict",
            "",
            "A damaged checkpoint fails the start. (false)",
            set!(agent.strict, boolean),
        ),
        value(
            "reconfiguration_policy",
            "",
            "equal or additive. (equal)",
            set!(agent.reconfiguration_policy, policy),
        ),
        value("gc_delay", "", "How long sandboxes stay. (1weeks)", set!(agent.gc_delay, duration)),
        value(
            "gc_disk_headroom",
            "",
            "Share of the disk they must leave free. (0.1)",
            set!(agent.gc_disk_headroom, parsed),
        ),
        value(
            "disk_watch_interval",
            "",
            "How often the disk is looked at. (1mins)",
            set!(agent.disk_watch_interval, duration),
        ),
        value(
            "max_completed_executors_per_framework",
            "",
            "Completed executors remembered. (150)",
            set!(agent.max_completed_executors_per_framework, parsed),
        ),
        value("credential", "", "To come: naming it is an error.", |_, text| credential(text)),
        value(
            "http_credentials",
            "",
            "Principals and secrets for HTTP, or a file with them.",
            |config, text| {
                config.agent.http_credentials = credentials(&contents(text)?)?;
                Ok(())
            },
        ),
        switch(
            "authenticate_http_readonly",
            "",
            "Passwords for reads. (false)",
            set!(agent.authenticate_http_readonly, boolean),
        ),
        switch(
            "authenticate_http_readwrite",
            "",
            "Passwords for writes. (false)",
            set!(agent.authenticate_http_readwrite, boolean),
        ),
        value(
            "http_heartbeat_interval",
            "",
            "Signs of life on idle streams. (30secs)",
            set!(agent.http_heartbeat_interval, duration),
        ),
        value("external_log_file", "", "File shown as /slave/log.", some!(agent.log_file, path)),
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
        "resource_provider_config_dir",
        "csi_plugin_config_dir",
        "disk_profile_adaptor",
        "isolation",
        "image_providers",
        "image_provisioner_backend",
        "image_gc_config",
        "appc_simple_discovery_uri_prefix",
        "appc_store_dir",
        "docker_registry",
        "docker_store_dir",
        "docker_volume_checkpoint_dir",
        "docker_volume_chown",
        "docker_ignore_runtime",
        "launcher_dir",
        "hadoop_home",
        "volume_gid_range",
        "authentication_backoff_factor",
        "authentication_timeout_min",
        "authentication_timeout_max",
        "executor_reregistration_retry_interval",
        "jwt_secret_key",
        "gc_non_executor_container_sandboxes",
        "container_logger",
        "cgroups_destroy_timeout",
        "cgroups_hierarchy",
        "cgroups_cpu_enable_pids_and_tids_count",
        "cgroups_net_cls_primary_handle",
        "cgroups_net_cls_secondary_handles",
        "allowed_devices",
        "agent_subsystems",
        "host_path_volume_force_creation",
        "nvidia_gpu_devices",
        "perf_events",
        "perf_interval",
        "perf_duration",
        "revocable_cpu_low_priority",
        "systemd_enable_support",
        "systemd_runtime_directory",
        "effective_capabilities",
        "bounding_capabilities",
        "default_container_shm_size",
        "disallow_sharing_agent_ipc_namespace",
        "disallow_sharing_agent_pid_namespace",
        "agent_features",
        "firewall_rules",
        "acls",
        "containerizers",
        "docker",
        "docker_remove_delay",
        "docker_kill_orphans",
        "docker_mesos_image",
        "docker_socket",
        "docker_config",
        "sandbox_directory",
        "domain_socket_location",
        "default_container_dns",
        "default_container_info",
        "docker_stop_timeout",
        "ephemeral_ports_per_container",
        "eth0_name",
        "lo_name",
        "egress_rate_limit_per_container",
        "egress_rate_per_cpu",
        "minimum_egress_rate_limit",
        "maximum_egress_rate_limit",
        "egress_ceil_limit",
        "egress_burst",
        "egress_unique_flow_per_container",
        "egress_flow_classifier_parent",
        "ingress_rate_limit_per_container",
        "ingress_rate_per_cpu",
        "minimum_ingress_rate_limit",
        "maximum_ingress_rate_limit",
        "ingress_ceil_limit",
        "ingress_burst",
        "ingress_isolate_existing_containers",
        "network_link_speed",
        "network_enable_socket_statistics_summary",
        "network_enable_socket_statistics_details",
        "network_enable_snmp_statistics",
        "network_enable_rate_statistics",
        "network_rate_statistics_window",
        "network_rate_statistics_interval",
        "container_ports_watch_interval",
        "check_agent_port_range_only",
        "enforce_container_ports",
        "container_ports_isolated_range",
        "network_cni_plugins_dir",
        "network_cni_config_dir",
        "network_cni_root_dir_persist",
        "network_cni_metrics",
        "container_disk_watch_interval",
        "enforce_container_disk_quota",
        "modules",
        "modules_dir",
        "authenticatee",
        "authorizer",
        "http_authenticators",
        "authenticate_http_executors",
        "http_executor_domain_sockets",
        "hooks",
        "secret_resolver",
        "resource_estimator",
        "qos_controller",
        "qos_correction_interval_min",
        "oversubscribed_resources_interval",
        "master_detector",
        "xfs_project_range",
        "xfs_kill_containers",
        "xfs_quota_headroom",
        "seccomp_config_dir",
        "seccomp_profile_name",
        "http_command_executor",
        "ip6",
        "zk_session_timeout",
        "ip_discovery_command",
        "ip6_discovery_command",
        "memory_profiling",
        "log_dir",
        "logbufsecs",
        "initialize_driver_logging",
    ],
};

/// What `--help` prints.
pub(super) fn help() -> String {
    TABLE.help("usage: dais run agent --master=HOST:PORT --work_dir=DIR [--flag=value]...")
}

fn configure(
    arguments: Vec<String>,
    environment: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Config> {
    let mut config = Config::default();
    TABLE.apply(&mut config, arguments, environment)?;
    config.access.check()?;
    let agent = &mut config.agent;
    if agent.master.is_empty() {
        bail!("an agent needs --master=HOST:PORT");
    }
    if agent.work_dir.as_os_str().is_empty() {
        bail!("an agent needs --work_dir=DIR: sandboxes and checkpoints live there");
    }
    let below = |name| agent.work_dir.join(name);
    agent.runtime_dir = config.runtime_dir.clone().unwrap_or_else(|| below("runtime"));
    agent.fetcher_cache_dir = config.fetcher_cache_dir.clone().unwrap_or_else(|| below("fetch"));
    Ok(config)
}

/// Runs an agent until a signal; its tasks run on.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let mut config = configure(arguments, |name| std::env::var(name).ok())?;
    crate::logging::start(&config.logging.level)?;
    let shutdown = until_signal()?;
    let granted = config.access.start(&shutdown)?;
    config.agent.guard = granted.guard.clone();
    let running = mesos_agent::start(config.agent, shutdown.clone()).await?;
    tracing::info!(address = %running.address, "the agent is up");
    let ended = running.join.await;
    granted.end(&shutdown).await;
    ended??;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(arguments: &[&str]) -> Result<AgentConfig, String> {
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        configure(arguments, |_| None).map(|config| config.agent).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_reach_the_configuration() {
        let config = apply(&[
            "--master=h:5050",
            "--work_dir=/w",
            "--attributes=rack:r1",
            "--launcher=posix",
            "--no-switch_user",
            "--executor_environment_variables={\"PATH\": \"/bin\"}",
            "--domain={\"fault_domain\":{\"region\":{\"name\":\"r\"},\"zone\":{\"name\":\"z\"}}}",
        ])
        .unwrap();
        assert_eq!(config.runtime_dir, PathBuf::from("/w/runtime"));
        assert_eq!(config.launcher, Launcher::Posix);
        assert!(!config.switch_user);
        assert_eq!(config.domain, Some(("r".to_owned(), "z".to_owned())));
        let environment = config.executor_environment_variables.unwrap();
        assert_eq!(environment.get("PATH").map(String::as_str), Some("/bin"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(apply(&[]).unwrap_err().contains("--master"));
        assert!(apply(&["--master=h:1"]).unwrap_err().contains("--work_dir"));
        assert!(apply(&["--master=zk://h/m"]).unwrap_err().contains("ZooKeeper"));
        assert!(apply(&["--isolation=cgroups/cpu"]).unwrap_err().contains("does not have yet"));
        assert!(apply(&["--atributes=x"]).unwrap_err().contains("'--attributes'"));
    }
}
