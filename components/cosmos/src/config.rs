//! What an operator configures.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use http_kit::guard::{Guard, TokenSource};
use universe::Limits;

/// Configuration of the service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub ip: IpAddr,
    /// 0 picks one.
    pub port: u16,
    /// Marathon, as a URL: `http://host:port`.
    pub marathon: String,
    /// The Mesos master, as a URL.
    pub master: String,
    /// The gateway under whose `/service/<id>/` running services are reached. Without one they
    /// are asked at the address that Marathon knows.
    pub gateway: Option<String>,
    /// Where copies of repositories are kept, for when one is away.
    pub data_dir: PathBuf,
    /// The repositories of a cluster that never had any, by priority: name and URI.
    pub repositories: Vec<(String, String)>,
    /// The version of DC/OS that repositories are asked for packages for.
    pub dcos_version: String,
    /// How often repositories are looked at again.
    pub refresh: Duration,
    /// How often a repository that does not answer is tried, the first time included.
    pub tries: u32,
    /// How long to wait between two tries.
    pub retry_interval: Duration,
    /// The most that one try may take.
    pub fetch_timeout: Duration,
    /// How often a service that is being uninstalled is looked at.
    pub uninstall_interval: Duration,
    /// The most bytes of a repository, and of what is in it.
    pub limits: Limits,
    /// Judges requests by tokens; by default none are.
    pub guard: Guard,
    /// Gives the token for what nobody waits for; a request is handed on with its own.
    pub tokens: Option<TokenSource>,
}

impl Config {
    /// As the original runs, on this machine, with the packages of Dais itself.
    pub fn new(marathon: String, master: String, data_dir: PathBuf) -> Config {
        Config {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 7070,
            marathon,
            master,
            gateway: None,
            data_dir,
            repositories: vec![(catalog::NAME.to_owned(), catalog::URI.to_owned())],
            dcos_version: "2.1.1".to_owned(),
            refresh: Duration::from_secs(60),
            tries: 3,
            retry_interval: Duration::from_secs(1),
            fetch_timeout: Duration::from_secs(60),
            uninstall_interval: Duration::from_secs(10),
            limits: Limits::default(),
            guard: Guard::disabled(),
            tokens: None,
        }
    }
}
