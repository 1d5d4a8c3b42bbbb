//! What an operator configures.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use http_kit::guard::{Guard, TokenSource};

/// Configuration of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the API listens.
    pub ip: IpAddr,
    /// 0 picks one.
    pub port: u16,
    /// What this process does.
    pub role: Role,
    /// DNS's HTTP, as `http://host:port`: answers `/v1/records`, `/v1/hosts` and `/v1/services`.
    pub dns: Option<String>,
    /// The first and the last address that names get.
    pub range: (Ipv4Addr, Ipv4Addr),
    /// How long the address of a name that no task has is kept for it.
    pub address_retention: Duration,
    /// How addresses are made to work on this node; of no meaning to a mere controller.
    pub node: NodeConfig,
    /// Judges requests by tokens; by default none are.
    pub guard: Guard,
    /// Gives the token for what is asked of others.
    pub tokens: Option<TokenSource>,
}

/// What a process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a master and says which virtual addresses there are and where they lead.
    /// `masters` are URLs, of which one leads.
    Controller { masters: Vec<String> },
    /// Makes them work on this node. `controllers` are URLs, of which one is followed.
    Node { controllers: Vec<String> },
    /// Both at once.
    Both { masters: Vec<String> },
}

/// How addresses are made to work on a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Which way.
    pub way: Way,
    /// The namespace whose traffic is balanced, by its name in `/run/netns`; none is the
    /// process's own.
    pub namespace: Option<String>,
    /// This node's address, as tasks' agents have it: what it sends is from there, and ports
    /// that its own containers publish are reached without a detour.
    pub address: Option<Ipv4Addr>,
    /// The program `nft`.
    pub nft: PathBuf,
    /// The program `ip`.
    pub ip: PathBuf,
    /// Leave the rules in the kernel when stopping: whoever starts next takes them over.
    pub leave_rules: bool,
    /// How often the kernel is asked whether the rules are still there.
    pub verify: Duration,
    /// Of the user-space way.
    pub limits: UserSpaceLimits,
}

/// How connections get to backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the kernel where that is possible, else in user space; which one, and why, is logged.
    Auto,
    /// By the kernel or not at all.
    Kernel,
    /// By listeners of this process on loopback addresses.
    UserSpace,
}

/// What the user-space way may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserSpaceLimits {
    /// Listeners at most: ports of virtual addresses.
    pub listeners: usize,
    /// TCP connections at once.
    pub connections: usize,
    /// UDP clients remembered at once.
    pub udp_clients: usize,
    /// A UDP client is forgotten after that time without a packet.
    pub udp_idle: Duration,
    /// Until a backend has taken a connection.
    pub connect_timeout: Duration,
}

impl Default for UserSpaceLimits {
    fn default() -> UserSpaceLimits {
        UserSpaceLimits {
            listeners: 1024,
            connections: 4096,
            udp_clients: 4096,
            udp_idle: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl Default for NodeConfig {
    fn default() -> NodeConfig {
        NodeConfig {
            way: Way::Auto,
            namespace: None,
            address: None,
            nft: PathBuf::from("nft"),
            ip: PathBuf::from("ip"),
            leave_rules: false,
            verify: Duration::from_secs(10),
            limits: UserSpaceLimits::default(),
        }
    }
}

// === impl Config ===

impl Config {
    /// As the original runs, on loopback.
    pub fn new(role: Role) -> Config {
        Config {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 62080,
            role,
            dns: None,
            range: (Ipv4Addr::new(11, 0, 0, 0), Ipv4Addr::new(11, 255, 255, 254)),
            address_retention: Duration::from_secs(24 * 3600),
            node: NodeConfig::default(),
            guard: Guard::disabled(),
            tokens: None,
        }
    }
}
