//! What an operator configures. Where the original has a setting, it is named and preset as there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http_kit::client::Authorities;
use http_kit::guard::{Guard, TokenSource};

use crate::names::labels::Rule;
use crate::names::{Authority, IpSource, Settings};
use crate::serve::{Network, Rate, TcpLimits};

/// Configuration of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// The masters, as URLs, in the order in which they are counted (`master0.mesos`, ...).
    pub masters: Vec<String>,
    /// Who says which virtual addresses there are, as a URL: port 62080 of the load balancer.
    pub net: Option<String>,
    /// Where what was known last is kept; without, a server that starts while no master leads
    /// cannot say anything.
    pub data_dir: Option<PathBuf>,

    /// `domain`: below it are the names of tasks, frameworks, agents and masters.
    pub domain: String,
    /// `ttl`, in seconds.
    pub ttl: u32,
    /// `SRVRecordDefaultWeight`.
    pub srv_record_default_weight: u16,
    /// `SOAMname`: this server; its addresses are those of `listeners`.
    pub soa_mname: String,
    /// `SOARname`: who is responsible.
    pub soa_rname: String,
    /// `SOARefresh`, in seconds.
    pub soa_refresh: u32,
    /// `SOARetry`, in seconds.
    pub soa_retry: u32,
    /// `SOAExpire`, in seconds.
    pub soa_expire: u32,
    /// `IPSources`: where the addresses of tasks are taken from, the first that has any.
    pub ip_sources: Vec<IpSource>,
    /// `enforceRFC952`: labels of at most 24 characters that begin with a letter.
    pub enforce_rfc952: bool,

    /// `listener`; several are possible.
    pub listeners: Vec<IpAddr>,
    /// `port`, for UDP and TCP; 0 takes a free one.
    pub port: u16,
    /// `httpListener`.
    pub http_listener: IpAddr,
    /// `httpPort`; 0 takes a free one.
    pub http_port: u16,
    /// `enumerationOn`: whether the API tells all names at once.
    pub enumeration_on: bool,

    /// `externalOn`: whether foreign names are asked of others.
    pub external_on: bool,
    /// `recurseOn`: whether we say that we do; without, nothing is asked of others either.
    pub recurse_on: bool,
    /// `resolvers`, in this order; none: those of /etc/resolv.conf.
    pub resolvers: Vec<SocketAddr>,
    /// `zoneResolvers`: others, for names below these.
    pub zone_resolvers: Vec<(String, Vec<SocketAddr>)>,
    /// `timeout`, of each try.
    pub timeout: Duration,
    /// How many answers are remembered, of each resolver.
    pub cache: u64,
    /// Who may have foreign names looked up, and gets as many answers as it asks for.
    pub trusted: Vec<Network>,
    /// What everybody else gets over UDP.
    pub rate: Rate,
    pub tcp: TcpLimits,
    /// Threads that answer over UDP, of each address.
    pub workers: usize,
    /// The longest answer over UDP, whatever is asked for.
    pub udp_size: usize,
    /// `setTruncateBit`: whether an answer that is cut says so.
    pub set_truncate_bit: bool,

    /// The servers of ZooKeeper: `zk-1.zk` to `zk-5.zk`.
    pub zookeepers: Vec<IpAddr>,
    /// This node's own addresses: `thisnode.thisdcos.directory`.
    pub node_ips: Vec<IpAddr>,
    /// Those by which it is reached from outside: `public.thisnode.thisdcos.directory`.
    pub public_ips: Vec<IpAddr>,
    /// The name by which other clusters know this one: its names are also found below
    /// `<cluster_id>.dcos.directory`.
    pub cluster_id: Option<String>,

    /// Trusted for TLS to masters and the load balancer, beside the public ones.
    pub authorities: Authorities,
    /// Judges requests of the API by tokens; by default none are.
    pub guard: Guard,
    /// Gives the token for what is asked of others.
    pub tokens: Option<TokenSource>,
}

/// What of a configuration cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("{key} is '{value}', not http://host:port")]
    Url { key: &'static str, value: String },
    #[error("{key} is '{value}', which is no name")]
    Name { key: &'static str, value: String },
    #[error("{0} must not be empty")]
    Empty(&'static str),
}

impl Config {
    /// As the original runs, on this machine.
    pub fn new(masters: Vec<String>) -> Config {
        Config {
            masters,
            net: None,
            data_dir: None,
            domain: "mesos".into(),
            ttl: 60,
            srv_record_default_weight: 1,
            soa_mname: "ns1.mesos".into(),
            soa_rname: "root.ns1.mesos".into(),
            soa_refresh: 60,
            soa_retry: 600,
            soa_expire: 86_400,
            ip_sources: vec![IpSource::Netinfo, IpSource::Mesos, IpSource::Host],
            enforce_rfc952: false,
            listeners: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            port: 53,
            http_listener: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 8123,
            enumeration_on: true,
            external_on: true,
            recurse_on: true,
            resolvers: Vec::new(),
            zone_resolvers: Vec::new(),
            timeout: Duration::from_secs(5),
            cache: 8192,
            trusted: Network::private(),
            rate: Rate::default(),
            tcp: TcpLimits::default(),
            workers: 1,
            udp_size: 1232,
            set_truncate_bit: true,
            zookeepers: Vec::new(),
            node_ips: Vec::new(),
            public_ips: Vec::new(),
            cluster_id: None,
            authorities: Authorities::default(),
            guard: Guard::disabled(),
            tokens: None,
        }
    }

    /// Names in lower case and without a dot at the end; or what cannot be.
    pub(crate) fn checked(mut self) -> Result<Config, ConfigError> {
        for (key, list) in [
            ("masters", self.masters.is_empty()),
            ("listeners", self.listeners.is_empty()),
            ("IPSources", self.ip_sources.is_empty()),
        ] {
            if list {
                return Err(ConfigError::Empty(key));
            }
        }
        for (key, name) in [
            ("domain", &mut self.domain),
            ("SOAMname", &mut self.soa_mname),
            ("SOARname", &mut self.soa_rname),
        ] {
            clean(key, name)?;
        }
        self.zone_resolvers.iter_mut().try_for_each(|(zone, _)| clean("zoneResolvers", zone))?;
        self.cluster_id.iter_mut().try_for_each(|id| clean("cluster_id", id))?;
        Ok(self)
    }

    /// What names are made of. `masters` are their addresses, `own` those of this server.
    pub(crate) fn settings(&self, masters: Vec<SocketAddr>, own: Vec<IpAddr>) -> Settings {
        Settings {
            domain: self.domain.clone(),
            ip_sources: self.ip_sources.clone(),
            rule: if self.enforce_rfc952 { Rule::Rfc952 } else { Rule::Rfc1123 },
            srv_weight: self.srv_record_default_weight,
            masters,
            name_server: self.soa_mname.clone(),
            listeners: own,
            zookeepers: self.zookeepers.clone(),
            node_ips: self.node_ips.clone(),
            public_ips: self.public_ips.clone(),
        }
    }

    pub(crate) fn authority(&self) -> Authority {
        Authority {
            ttl: self.ttl,
            mailbox: self.soa_rname.clone(),
            refresh: self.soa_refresh,
            retry: self.soa_retry,
            expire: self.soa_expire,
        }
    }
}

fn clean(key: &'static str, name: &mut String) -> Result<(), ConfigError> {
    let cleaned = name.trim_end_matches('.').to_ascii_lowercase();
    if !crate::names::labels::is_name(&cleaned) {
        return Err(ConfigError::Name { key, value: name.clone() });
    }
    *name = cleaned;
    Ok(())
}
