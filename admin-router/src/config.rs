//! What an operator configures.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::Origin;

/// Which of the two gateways it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Master,
    Agent,
}

/// What is told to those who come without a token, in `WWW-Authenticate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Challenge {
    #[default]
    Acs,
    /// As the open DC/OS says it.
    Oauth,
}

/// Configuration of one gateway.
#[derive(Clone)]
pub struct Config {
    pub role: Role,
    /// Without TLS. Redirects to `tls` where there is one.
    pub plain: Option<SocketAddr>,
    pub tls: Option<SocketAddr>,
    /// The names and addresses that clients use for this gateway: its certificate carries them,
    /// and redirects to TLS go to no other. The first is the one for clients without a `Host`.
    pub names: Vec<String>,
    /// The port of `tls` as clients see it, where it is mapped.
    pub public_tls_port: Option<u16>,
    /// 0 takes one for each processor.
    pub workers: usize,
    /// Its key and certificate live there.
    pub data_dir: PathBuf,
    /// False serves everybody everything (`ADMINROUTER_ACTIVATE_AUTH_MODULE=false`).
    pub authentication: bool,
    pub challenge: Challenge,
    /// The account as which the gateway follows the policy and the cluster.
    pub service_account: Option<PathBuf>,
    /// A token for the cluster's servers instead of one of the service account
    /// (`SERVICE_AUTH_TOKEN`).
    pub service_token: Option<Secret>,
    /// A certificate (PEM, with its chain) and its key, instead of those that IAM issues.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Authorities trusted for servers with `https`, beside the public ones. With them the
    /// gateways of other masters have to show a certificate for their address too.
    pub ca_file: Option<PathBuf>,
    /// Proxies in front of the gateway whose X-Forwarded-* is believed.
    pub trusted_proxies: Vec<proxy::Network>,
    /// IAM may be asked over plain `http` on another machine: only where nobody is on the way.
    pub plain_iam: bool,
    pub upstreams: Upstreams,
    pub site: Site,
    /// `user:password` for Exhibitor (`EXHIBITOR_ADMIN_HTTPBASICAUTH_CREDS`).
    pub exhibitor_credentials: Option<Secret>,
    /// Where `/login` redirects to, and the client's id there (`OAUTH_AUTH_REDIRECTOR`,
    /// `OAUTH_CLIENT_ID`). Without them there is a login page.
    pub redirector: Option<(String, String)>,
    /// What leads to agents and to the gateways on other hosts begins so (`DEFAULT_SCHEME`).
    /// Other masters' gateways are asked with TLS all the same where this one has it: they are
    /// alike, and send to TLS what comes without.
    pub default_scheme: proxy::Scheme,
    /// The port of the gateways on other masters; without it 443 with TLS, else 80.
    pub master_port: Option<u16>,
    /// This host's address as Mesos and Marathon know it (`HOST_IP`).
    pub host_ip: Option<IpAddr>,
    /// The port of the gateways on agents.
    pub agent_port: u16,
    /// How old knowledge of the cluster may get while its source is away
    /// (`CACHE_MAX_AGE_HARD_LIMIT`).
    pub knowledge_max_age: Duration,
    /// How long a server of the cluster that is asked may take
    /// (`CACHE_BACKEND_REQUEST_TIMEOUT`).
    pub knowledge_timeout: Duration,
    pub access_log: Option<PathBuf>,
}

/// The servers behind the gateway; those that are absent are answered with 503.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    pub iam: Option<Origin>,
    /// Masters, of which one leads.
    pub mesos: Vec<Origin>,
    /// Marathons, of which one leads.
    pub marathon: Vec<Origin>,
    pub cosmos: Option<Origin>,
    pub mesos_dns: Option<Origin>,
    pub net: Option<Origin>,
    pub diagnostics: Option<Origin>,
    pub logs: Option<Origin>,
    pub metrics: Option<Origin>,
    pub checks: Option<Origin>,
    pub pkgpanda: Option<Origin>,
    pub exhibitor: Option<Origin>,
    pub ui_update: Option<Origin>,
}

/// What the gateway serves itself.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Files of the web page, for `/`.
    pub ui: Option<PathBuf>,
    /// A folder for `/dcos-metadata/`, with `dcos-version.json`.
    pub metadata: Option<PathBuf>,
    /// A file for `/pkgpanda/active.buildinfo.full.json`.
    pub build_info: Option<PathBuf>,
    /// A file with the cluster's id in its first line.
    pub cluster_id: Option<PathBuf>,
    /// The cluster's public address for `/metadata`; without it the one that was connected to.
    pub public_ip: Option<IpAddr>,
    /// A folder with `401.html` and `403.html` (`AUTH_ERROR_PAGE_DIR_PATH`).
    pub error_pages: Option<PathBuf>,
    /// `X-Frame-Options` of pages; `DENY` unless said otherwise.
    pub frame_options: Option<String>,
}

/// A text that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

// === impl Config ===

impl Config {
    /// How the gateways on other masters are asked.
    pub(crate) fn master_gateway(&self) -> (proxy::Scheme, u16) {
        let scheme = match self.tls {
            Some(_) => proxy::Scheme::Https,
            None => self.default_scheme,
        };
        let usual = if scheme == proxy::Scheme::Https { 443 } else { 80 };
        (scheme, self.master_port.unwrap_or(usual))
    }

    /// As it runs on one machine: everything on loopback, TLS on 8443.
    pub fn new(role: Role, data_dir: PathBuf) -> Config {
        Config {
            role,
            plain: None,
            tls: None,
            names: Vec::new(),
            public_tls_port: None,
            workers: 0,
            data_dir,
            authentication: true,
            challenge: Challenge::default(),
            service_account: None,
            service_token: None,
            certificate: None,
            ca_file: None,
            plain_iam: false,
            trusted_proxies: Vec::new(),
            upstreams: Upstreams::default(),
            site: Site::default(),
            exhibitor_credentials: None,
            redirector: None,
            default_scheme: proxy::Scheme::Http,
            master_port: None,
            host_ip: None,
            agent_port: 61001,
            knowledge_max_age: Duration::from_secs(259_200),
            knowledge_timeout: Duration::from_secs(60),
            access_log: None,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Config")
            .field("role", &self.role)
            .field("plain", &self.plain)
            .field("tls", &self.tls)
            .field("names", &self.names)
            .field("authentication", &self.authentication)
            .field("upstreams", &self.upstreams)
            .finish_non_exhaustive()
    }
}

// === impl Secret ===

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Secret(…)")
    }
}
