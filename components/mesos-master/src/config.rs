//! The configuration of a master: the flags of the original that mean something here, with its defaults.
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use http_kit::{guard::Guard, logging::LevelControl};
use mesos_messages::v1;

/// Everything a master can be told. `Default` gives the original's defaults.
#[derive(Clone, Debug)]
pub struct MasterConfig {
    /// Where to listen.
    pub ip: IpAddr,
    /// 0 lets the system choose.
    pub port: u16,
    /// What others should use to reach this master, when it differs.
    pub advertise_ip: Option<IpAddr>,
    pub advertise_port: Option<u16>,
    /// Shown to others and used in redirects; the advertised ip if absent.
    pub hostname: Option<String>,
    pub cluster: Option<String>,
    pub work_dir: Option<PathBuf>,
    pub log_dir: Option<PathBuf>,
    pub domain: Option<v1::DomainInfo>,

    /// How often all agents are offered.
    pub allocation_interval: Duration,
    /// After how long an unanswered offer is rescinded.
    pub offer_timeout: Option<Duration>,
    /// Text of quantities an offer needs: `cpus:0.01|mem:32`.
    pub min_allocatable_resources: String,
    pub allocator: AllocatorKind,
    pub fair_sharing_excluded_resource_names: Vec<String>,
    pub filter_gpu_resources: bool,
    /// The only roles frameworks may use; all if absent. `*` is always among them.
    pub roles: Option<Vec<String>>,
    pub weights: BTreeMap<String, f64>,
    /// Order of roles for the strict priority policy, highest first.
    pub priorities: Vec<String>,

    pub agent_ping_timeout: Duration,
    pub max_agent_ping_timeouts: u32,
    /// How long agents of the registry, or disconnected ones, may take to come back.
    pub agent_reregister_timeout: Duration,
    pub require_agent_domain: bool,

    pub max_completed_frameworks: usize,
    pub max_completed_tasks_per_framework: usize,
    pub max_unreachable_tasks_per_framework: usize,
    pub max_operator_event_stream_subscribers: usize,

    pub registry_gc_interval: Duration,
    pub registry_max_agent_age: Duration,
    pub registry_max_agent_count: usize,

    /// Whether frameworks may run tasks as root.
    pub root_submissions: bool,
    pub authenticate_frameworks: bool,
    pub authenticate_agents: bool,
    pub authenticate_http_readonly: bool,
    pub authenticate_http_readwrite: bool,
    pub authenticate_http_frameworks: bool,
    /// JSON `{"credentials":[{"principal","secret"}]}`.
    pub credentials: Option<PathBuf>,
    pub publish_per_framework_metrics: bool,

    /// Largest body of a call.
    pub max_body_bytes: usize,
    /// How many events may wait for a scheduler that reads slowly before it is disconnected.
    pub max_queued_events: usize,
    /// Where the seed of the allocator's shuffles starts; random if absent.
    pub seed: Option<u64>,
    /// Printed as the version of this master.
    pub version: String,
    /// Reads and changes the process's verbosity; by default changes nothing.
    pub logging: LevelControl,
    /// The file shown as `/master/log`.
    pub log_file: Option<PathBuf>,
    /// Judges requests by tokens; by default none are.
    pub guard: Guard,
}

/// How resources are shared between roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllocatorKind {
    /// Dominant resource fairness over the tree of roles.
    #[default]
    HierarchicalDrf,
    /// Roles in a fixed order.
    StrictPriority,
}

/// The Mesos version whose behaviour this is.
pub const MESOS_VERSION: &str = "1.11.0";

impl Default for MasterConfig {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const WEEK: u64 = 7 * 24 * 60 * MINUTE;
        Self {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 5050,
            advertise_ip: None,
            advertise_port: None,
            hostname: None,
            cluster: None,
            work_dir: None,
            log_dir: None,
            domain: None,
            allocation_interval: Duration::from_secs(1),
            offer_timeout: None,
            min_allocatable_resources: "cpus:0.01|mem:32".to_owned(),
            allocator: AllocatorKind::default(),
            fair_sharing_excluded_resource_names: Vec::new(),
            filter_gpu_resources: true,
            roles: None,
            weights: BTreeMap::new(),
            priorities: Vec::new(),
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(10 * MINUTE),
            require_agent_domain: false,
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            max_operator_event_stream_subscribers: 1000,
            registry_gc_interval: Duration::from_secs(15 * MINUTE),
            registry_max_agent_age: Duration::from_secs(2 * WEEK),
            registry_max_agent_count: 102_400,
            root_submissions: true,
            authenticate_frameworks: false,
            authenticate_agents: false,
            authenticate_http_readonly: false,
            authenticate_http_readwrite: false,
            authenticate_http_frameworks: false,
            credentials: None,
            publish_per_framework_metrics: true,
            max_body_bytes: 16 << 20,
            max_queued_events: 1 << 18,
            seed: None,
            version: MESOS_VERSION.to_owned(),
            logging: LevelControl::default(),
            log_file: None,
            guard: Guard::disabled(),
        }
    }
}

impl MasterConfig {
    /// The time without pongs after which an agent is unreachable.
    pub fn total_ping_timeout(&self) -> Duration {
        self.agent_ping_timeout.saturating_mul(self.max_agent_ping_timeouts)
    }

    /// Whether frameworks may subscribe to `role`.
    pub fn allows_role(&self, role: &str) -> bool {
        role == "*" || self.roles.as_ref().is_none_or(|roles| roles.iter().any(|r| r == role))
    }
}
