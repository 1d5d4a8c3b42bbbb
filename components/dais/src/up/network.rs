//! Names and virtual addresses of `dais up`.

use super::{
    cluster::{Plan, ended, reachable},
    data_dir::make_private,
    gateway::Identity,
    services::open,
};
use anyhow::{Context, anyhow};
use clap::ValueEnum;
use http_kit::guard::Guard;
use load_balancer::{Config, Role, Way};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a stop waits.
const STOP: Duration = Duration::from_secs(5);

/// Where they listen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// UDP and TCP.
    pub(super) dns: u16,
    pub(super) dns_http: u16,
    pub(super) net: u16,
}

/// How virtual addresses work on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VirtualAddresses {
    /// By rules in the kernel of this machine: needs root, and only one cluster can have them.
    Kernel,
    /// By listeners on loopback addresses.
    UserSpace,
}

/// What runs.
pub(super) struct Network {
    dns: dns::Running,
    balancer: load_balancer::Running,
    stop: CancellationToken,
}

// === impl Network ===

impl Network {
    /// Starts them; returns when they answer.
    pub(super) async fn start(
        plan: &Plan,
        ports: Ports,
        master: SocketAddr,
        folder: &Path,
        mut identity: Option<&mut Identity>,
    ) -> anyhow::Result<Self> {
        let guard = identity.as_ref().map_or_else(Guard::disabled, |identity| identity.guard());
        let mut tokens = |uid| identity.as_mut().map(|identity| identity.tokens(uid));
        let master = format!("http://{}", reachable(master));
        let stop = CancellationToken::new();
        let mut config = Config::new(Role::Both { masters: vec![master.clone()] });
        (config.ip, config.port) = (plan.listen, ports.net);
        config.dns = Some(format!("http://{}", reachable((plan.listen, ports.dns_http).into())));
        config.node.way = match plan.virtual_addresses {
            VirtualAddresses::Kernel => Way::Kernel,
            VirtualAddresses::UserSpace => Way::UserSpace,
        };
        config.guard = guard.clone();
        config.tokens = tokens("dcos_net");
        let state = open(&folder.join("net"))?;
        let balancer = load_balancer::start(config, state, stop.clone()).await?;

        let data_dir = folder.join("dns");
        make_private(&data_dir).with_context(|| format!("cannot make {}", data_dir.display()))?;
        let mut config = dns::Config::new(vec![master]);
        config.net = Some(format!("http://{}", reachable(balancer.address)));
        config.data_dir = Some(data_dir);
        (config.listeners, config.port) = (vec![plan.listen], ports.dns);
        (config.http_listener, config.http_port) = (plan.listen, ports.dns_http);
        config.node_ips = vec![reachable((plan.listen, 0).into()).ip()];
        config.guard = guard;
        config.tokens = tokens("dcos_mesos_dns");
        let dns = dns::start(config, stop.clone()).await?;
        Ok(Self { dns, balancer, stop })
    }

    /// Where names are answered, over UDP and TCP.
    pub(super) fn dns_address(&self) -> Option<SocketAddr> {
        self.dns.udp.first().copied()
    }

    /// The interface of names for HTTP.
    pub(super) fn dns_http_address(&self) -> SocketAddr {
        self.dns.http
    }

    /// Where virtual addresses and their backends are told.
    pub(super) fn net_address(&self) -> SocketAddr {
        self.balancer.address
    }

    /// Resolves when one ends by itself, with why.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        let (what, ended) = tokio::select! {
            ended = &mut self.balancer.join => ("virtual addresses", ended),
            ended = &mut self.dns.join => ("the name server", ended),
        };
        match ended {
            Ok(()) => anyhow!("{what} stopped unexpectedly"),
            Err(error) => anyhow::Error::new(error).context(format!("{what} failed")),
        }
    }

    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        let both =
            async { tokio::join!(ended(&mut self.balancer.join), ended(&mut self.dns.join)) };
        if timeout(STOP, both).await.is_err() {
            eprintln!("dais: names or virtual addresses did not end within {STOP:?}");
        }
    }
}
