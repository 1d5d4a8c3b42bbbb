//! What every command is given: input and output, settings, and the cluster's servers.

use crate::config::Folder;
use crate::endpoints::{Cluster, Mesos, Trust};
use crate::server::Server;
use crate::terminal::Io;
use clap::{ArgAction, Args};
use http_kit::client::{Client, ClientConfig};
use std::time::Duration;

/// Flags that go with every client command.
#[derive(Args, Clone, Debug, Default)]
pub struct Globals {
    /// Say on standard error what is asked of the cluster; twice, what it answers too.
    #[arg(short, long = "verbose", action = ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    /// As -vv; the dcos CLI's older word for it.
    #[arg(long, global = true, hide = true)]
    pub(crate) debug: bool,
    /// The cluster to speak to: the URL of its gateway, instead of the attached one.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) io: Io,
    pub(crate) globals: Globals,
    client: Option<Client>,
    cluster: Option<Cluster>,
}

// === impl Globals ===

impl Globals {
    fn verbosity(&self, io: &Io) -> u8 {
        let variable = io.environment().get("DCOS_VERBOSITY").and_then(|text| text.parse().ok());
        let asked = if self.debug { 2 } else { self.verbose };
        asked.max(variable.unwrap_or(0))
    }
}

// === impl Context ===

impl Context {
    pub(crate) fn new(io: Io, globals: Globals) -> Context {
        Context { io, globals, client: None, cluster: None }
    }

    /// The folder with the configuration of clusters.
    pub(crate) fn folder(&self) -> anyhow::Result<Folder> {
        Folder::find(self.io.environment())
    }

    /// The cluster the commands speak to, looked for once.
    pub(crate) fn cluster(&mut self) -> anyhow::Result<&Cluster> {
        let cluster = match self.cluster.take() {
            Some(cluster) => cluster,
            None => Cluster::find(self.io.environment(), &self.globals)?,
        };
        Ok(self.cluster.insert(cluster))
    }

    /// A client with the cluster's settings.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        match &self.cluster {
            Some(cluster) => client(cluster.timeout, &cluster.trust),
            None => client(crate::endpoints::TIMEOUT, &Trust::Public),
        }
    }

    /// A server of the cluster at a URL.
    pub(crate) fn server(&mut self, who: &'static str, url: &str) -> anyhow::Result<Server> {
        let cluster = self.cluster()?;
        let token = cluster.token_for(url);
        let client = self.client()?;
        self.client = Some(client.clone());
        let verbosity = self.verbosity();
        Ok(Server::new(who, url, client, token, verbosity))
    }

    pub(crate) fn marathon(&mut self) -> anyhow::Result<Server> {
        let url = self.cluster()?.marathon()?;
        self.server("Marathon", &url)
    }

    pub(crate) fn mesos(&mut self) -> anyhow::Result<Server> {
        let url = self.cluster()?.mesos()?;
        self.server("the Mesos master", &url)
    }

    /// The name server's HTTP interface.
    pub(crate) fn names(&mut self) -> anyhow::Result<Server> {
        let url = self.cluster()?.names()?;
        self.server("the name server", &url)
    }

    /// The package service, and the prefix its `/service` calls have there.
    pub(crate) fn cosmos(&mut self) -> anyhow::Result<(Server, &'static str)> {
        let (url, prefix) = self.cluster()?.cosmos()?;
        Ok((self.server("the package service", &url)?, prefix))
    }

    /// An agent, by its id and by its address as the master tells it.
    pub(crate) fn agent(&mut self, id: &str, pid: &str) -> anyhow::Result<Server> {
        let url = match self.cluster()?.agents() {
            Mesos::Gateway(gateway) => format!("{gateway}/agent/{}", crate::server::path(id)),
            Mesos::Direct => {
                let address = pid.rsplit_once('@').map_or(pid, |(_, address)| address);
                anyhow::ensure!(!address.is_empty(), "the master knows no address of agent {id}");
                format!("http://{address}")
            }
        };
        self.server("the agent", &url)
    }

    pub(crate) fn verbosity(&self) -> u8 {
        self.globals.verbosity(&self.io)
    }
}

/// A client that waits this long for answers, and takes these certificates.
pub(crate) fn client(timeout: Duration, trust: &Trust) -> anyhow::Result<Client> {
    Ok(Client::new(ClientConfig {
        connect_timeout: timeout.min(Duration::from_secs(10)),
        response_timeout: timeout,
        read_timeout: timeout,
        body_limit: 1 << 30,
        any_certificate: *trust == Trust::Any,
        authorities: trust.authorities()?,
        ..ClientConfig::default()
    }))
}
