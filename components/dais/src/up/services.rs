//! The services of `dais up`: Marathon, and Cosmos on top of it.

use super::{
    cluster::{Plan, ended, reachable},
    data_dir::make_private,
    gateway::Identity,
};
use crate::user::current_user;
use anyhow::{Context, anyhow};
use cluster_state::ClusterState;
use http_kit::{guard::Guard, logging::LevelControl};
use marathon_model::settings::AcceptedRoles;
use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The role of apps: with it they reach public agents when they ask for `slave_public`.
const ROLE: &str = "slave_public";
/// How long a stop waits for the last write.
const STOP: Duration = Duration::from_secs(10);

/// What runs.
pub(super) struct Services {
    marathon: marathon::Running,
    cosmos: cosmos::Running,
    stop_marathon: CancellationToken,
    stop_cosmos: CancellationToken,
}

// === impl Services ===

impl Services {
    /// Starts both; returns when they answer.
    pub(super) async fn start(
        plan: &Plan,
        (marathon_port, cosmos_port): (u16, u16),
        master: SocketAddr,
        folder: &Path,
        mut identity: Option<&mut Identity>,
    ) -> anyhow::Result<Self> {
        let guard = identity.as_ref().map_or_else(Guard::disabled, |identity| identity.guard());
        let mut tokens = |uid| identity.as_mut().map(|identity| identity.tokens(uid));
        let (stop_marathon, stop_cosmos) = (CancellationToken::new(), CancellationToken::new());
        let mut config = marathon_config(plan.listen, marathon_port, master, &plan.logging)?;
        config.guard = guard.clone();
        config.tokens = tokens("dcos_marathon");
        let state = open(&folder.join("marathon"))?;
        let marathon = marathon::start(config, state, stop_marathon.clone()).await?;
        let folder = folder.join("cosmos");
        let state = open(&folder)?;
        let mut config =
            cosmos::Config::new(url(marathon.address), url(master), folder.join("repositories"));
        (config.ip, config.port) = (plan.listen, cosmos_port);
        config.guard = guard;
        config.tokens = tokens("dcos_cosmos");
        let cosmos = cosmos::start(config, state, stop_cosmos.clone()).await?;
        Ok(Self { marathon, cosmos, stop_marathon, stop_cosmos })
    }

    pub(super) fn marathon_address(&self) -> SocketAddr {
        self.marathon.address
    }

    pub(super) fn cosmos_address(&self) -> SocketAddr {
        self.cosmos.address
    }

    pub(super) fn marathon_url(&self) -> String {
        url(self.marathon.address)
    }

    pub(super) fn cosmos_url(&self) -> String {
        url(self.cosmos.address)
    }

    /// Says whether all are ready.
    pub(super) fn watch(&self) -> impl Fn() -> bool + use<> {
        let marathon = self.marathon.handle.clone();
        move || marathon.registered()
    }

    /// Resolves when one ends by itself, with why.
    pub(super) async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            result = &mut self.marathon.join => match result {
                Ok(Err(error)) => anyhow::Error::new(error).context("marathon failed"),
                _ => anyhow!("marathon stopped unexpectedly"),
            },
            result = &mut self.cosmos.join => match result {
                Ok(Err(error)) => anyhow::Error::new(error).context("cosmos failed"),
                _ => anyhow!("cosmos stopped unexpectedly"),
            },
        }
    }

    /// Ends them; the tasks run on.
    pub(super) async fn stop(mut self) {
        self.stop_cosmos.cancel();
        self.stop_marathon.cancel();
        let both =
            async { tokio::join!(ended(&mut self.marathon.join), ended(&mut self.cosmos.join)) };
        if timeout(STOP, both).await.is_err() {
            eprintln!("dais: marathon or cosmos did not end within {STOP:?}");
        }
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{}", reachable(address))
}

pub(super) fn open(folder: &Path) -> anyhow::Result<Arc<dyn ClusterState>> {
    make_private(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("state.redb");
    let state = cluster_state::embedded::open(&path);
    Ok(state.with_context(|| format!("cannot open the state {}", path.display()))?)
}

fn marathon_config(
    listen: IpAddr,
    port: u16,
    master: SocketAddr,
    logging: &LevelControl,
) -> anyhow::Result<marathon::Config> {
    let mut config = marathon::Config {
        http_address: listen,
        http_port: port,
        masters: vec![reachable(master).to_string()],
        mesos_user: current_user()?,
        logging: logging.clone(),
        ..marathon::Config::default()
    };
    config.core.model.mesos_role = ROLE.to_owned();
    config.core.model.default_accepted_resource_roles = AcceptedRoles::Unreserved;
    // As DC/OS has it: whoever spreads requests sees that an instance is about to end.
    config.core.model.features.insert("task_killing".to_owned());
    Ok(config)
}
