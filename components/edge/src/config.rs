//! What a balancer is told at its start.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster_events::asking::Server;
use http_kit::client::Authorities;

use crate::certificates::Origins;
use crate::live::Usual;
use crate::routes::Scope;

/// Everything, with the original's defaults.
#[derive(Clone, Debug)]
pub struct Config {
    pub marathons: Vec<Server>,
    pub credentials: Credentials,
    /// Trusted for Marathon beside the public ones.
    pub authorities: Authorities,
    pub scope: Scope,
    /// Where all listeners are whose service says nothing else.
    pub bind: IpAddr,
    /// None has no such frontend; 0 is any free port.
    pub http_port: Option<u16>,
    pub https_port: Option<u16>,
    pub app_id_port: Option<u16>,
    /// Statistics and control.
    pub stats_port: u16,
    pub stats_bind: IpAddr,
    /// Ports that services may have for themselves.
    pub service_ports: Vec<RangeInclusive<u16>>,
    pub certificates: Origins,
    pub timeouts: Usual,
    /// Without a byte in either direction, of raw and of upgraded connections.
    pub tunnel: Duration,
    /// How long requests under way may take once the end was asked for.
    pub grace: Duration,
    /// Threads; 0 is one for each core.
    pub workers: usize,
    pub access_log: Option<AccessLog>,
}

/// Where the access log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    Stdout,
    File(PathBuf),
}

/// As whom Marathon is asked.
#[derive(Clone, Default)]
pub enum Credentials {
    #[default]
    None,
    /// The value of `Authorization`.
    Fixed(Arc<str>),
    /// A service account of IAM's, in a file; and where IAM is, if the file does not say it.
    Account { file: PathBuf, iam: Option<String> },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Credentials::None => f.write_str("None"),
            Credentials::Fixed(_) => f.write_str("Fixed"),
            Credentials::Account { file, .. } => write!(f, "Account({})", file.display()),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        let everywhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Config {
            marathons: vec![Server::new(false, "master.mesos", 8080)],
            credentials: Credentials::None,
            authorities: Authorities::default(),
            scope: Scope {
                groups: Vec::new(),
                strict: false,
                health_check: false,
                pseudo_ports: 10_050..=10_100,
                own: None,
            },
            bind: everywhere,
            http_port: Some(80),
            https_port: Some(443),
            app_id_port: Some(9091),
            stats_port: 9090,
            stats_bind: everywhere,
            service_ports: vec![1..=u16::MAX],
            certificates: Origins::default(),
            timeouts: Usual {
                connect: Duration::from_secs(3),
                server: Duration::from_secs(30),
                client: Duration::from_secs(30),
                retries: 3,
            },
            tunnel: Duration::from_secs(3600),
            grace: Duration::from_secs(20),
            workers: 0,
            access_log: None,
        }
    }
}
