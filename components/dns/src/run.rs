//! Starting and stopping.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cluster_events::asking::{Ask, AskConfig, Authorization, Server};
use http::HeaderValue;
use http_kit::ServeConfig;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::feed::{Feed, Sources, Status};
use crate::forward::{ForwardError, Forwarder, Forwarding};
use crate::http::Api;
use crate::names::Names;
use crate::serve::{self, ServeError, Serving};
use crate::zone::Zones;

/// As servers that are asked see it.
const AGENT: HeaderValue = HeaderValue::from_static("dais-dns");

/// A server that runs until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where it answers over UDP, and over TCP; the first address is that of the first listener.
    pub udp: Vec<SocketAddr>,
    pub tcp: Vec<SocketAddr>,
    /// Where its API is.
    pub http: SocketAddr,
    /// Ends when it has stopped.
    pub join: JoinHandle<()>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the configuration is not usable: {0}")]
    Config(#[from] ConfigError),
    #[error("cannot listen on {address} for the API")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("names cannot be asked of others: {0}")]
    Forward(#[from] ForwardError),
}

/// Starts the server and returns when it answers questions: those about names of the cluster
/// with "not now" until a master has told what there is.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, StartError> {
    let config = config.checked()?;
    let masters = servers("masters", &config.masters)?;
    let net = config.net.as_ref().map(|net| server("net", net)).transpose()?;
    let wanted = SocketAddr::new(config.http_listener, config.http_port);
    let listen = |source| StartError::Listen { address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(listen)?;
    let http = listener.local_addr().map_err(listen)?;

    let addresses = masters.iter().filter_map(|master| {
        let ip: IpAddr = master.host().parse().ok()?;
        Some(SocketAddr::new(ip, master.port()))
    });
    let settings = config.settings(addresses.collect(), own_addresses(&config.listeners));
    let zones = Arc::new(Zones::new(
        settings.zones(&config.authority()),
        settings.aliases(config.cluster_id.as_deref()),
    ));

    // However it ends, all of it ends.
    let shutdown = shutdown.child_token();
    let guard = shutdown.clone().drop_guard();
    let forwarder = forwarder(&config)?.map(Arc::new);
    let served =
        serve::start(serving(&config), Arc::clone(&zones), forwarder, shutdown.clone()).await?;
    let status = Status::new();
    let sources = Sources {
        ask: Arc::new(Ask::new(asking(&config))),
        masters,
        net,
        data_dir: config.data_dir.clone(),
    };
    let names = Names::new(settings);
    let (feed, desk) = Feed::new(names, Arc::clone(&zones), Arc::clone(&status), sources).await;
    let api = Api::new(config, zones, status, desk, Arc::clone(&served.counters));
    guard.disarm();
    let join = tokio::spawn(async move {
        let (stop, serving) = (shutdown.clone(), shutdown.clone());
        let fed = tokio::spawn(async move {
            let _stop = stop.clone().drop_guard();
            feed.run(stop).await;
        });
        http_kit::serve(listener, Arc::new(api), ServeConfig::default(), serving).await;
        shutdown.cancel();
        // That one of them panicked has been told; the others have stopped by then.
        let _ = tokio::join!(fed, served.join);
    });
    Ok(Running { udp: served.udp, tcp: served.tcp, http, join })
}

fn servers(key: &'static str, urls: &[String]) -> Result<Vec<Server>, ConfigError> {
    urls.iter().map(|url| server(key, url)).collect()
}

fn server(key: &'static str, url: &str) -> Result<Server, ConfigError> {
    url.parse().map_err(|_| ConfigError::Url { key, value: url.to_owned() })
}

fn asking(config: &Config) -> AskConfig {
    let authorization = config.tokens.clone().map(|tokens| -> Authorization {
        Arc::new(move || {
            let tokens = tokens.clone();
            Box::pin(async move {
                tokens.ready().await;
                tokens.authorization()
            })
        })
    });
    let authorities = config.authorities.clone();
    AskConfig { authorization, authorities, ..AskConfig::new(AGENT) }
}

fn serving(config: &Config) -> Serving {
    Serving {
        addresses: config.listeners.iter().map(|ip| SocketAddr::new(*ip, config.port)).collect(),
        workers: config.workers,
        trusted: config.trusted.clone(),
        rate: config.rate,
        tcp: config.tcp,
        udp_size: config.udp_size,
        truncates: config.set_truncate_bit,
    }
}

fn forwarder(config: &Config) -> Result<Option<Forwarder>, ForwardError> {
    if !config.external_on || !config.recurse_on {
        return Ok(None);
    }
    let zone =
        |(name, servers): &(String, Vec<SocketAddr>)| (name.as_str().into(), servers.clone());
    let forwarding = Forwarding {
        resolvers: config.resolvers.clone(),
        zones: config.zone_resolvers.iter().map(zone).collect(),
        timeout: config.timeout,
        cache: config.cache,
        udp_size: config.udp_size,
        ..Forwarding::default()
    };
    let own = own_addresses(&config.listeners);
    let own: Vec<SocketAddr> = own.into_iter().map(|ip| SocketAddr::new(ip, config.port)).collect();
    Forwarder::new(&forwarding, &own)
}

/// Where we are reached: all addresses of this machine but its loopback, if we listen on all.
fn own_addresses(listeners: &[IpAddr]) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> =
        listeners.iter().copied().filter(|ip| !ip.is_unspecified()).collect();
    if listeners.iter().any(IpAddr::is_unspecified) {
        let is_v6 = listeners.iter().any(|ip| ip.is_unspecified() && ip.is_ipv6());
        let local = nix::ifaddrs::getifaddrs().into_iter().flatten();
        let local = local.filter_map(|one| {
            let address = one.address?;
            let v4 = address.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip())))
        });
        own.extend(local.filter(|ip| !ip.is_loopback() && (ip.is_ipv4() || is_v6)));
        own.sort_unstable();
        own.dedup();
    }
    own
}
