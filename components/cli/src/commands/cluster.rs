//! `dais cluster`: which clusters there are, and which one commands speak to.

mod authority;
pub(super) mod setup;

use crate::config::{Config, Folder, keys};
use crate::context::{Context, client};
use crate::endpoints;
use crate::failure::usage;
use crate::json::some_text;
use crate::server::Server;
use crate::table::Table;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::time::Duration;

/// A list should not wait long for a cluster that is away.
const LIST_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, Subcommand)]
pub enum Cluster {
    /// Attach the CLI to a cluster.
    Attach {
        /// Its name, its id, or the beginning of its id.
        cluster: String,
    },
    /// List the clusters configured.
    List(List),
    /// Remove a configured cluster from the CLI.
    Remove(Remove),
    /// Rename a configured cluster.
    Rename { cluster: String, name: String },
    /// Set up the CLI to communicate with a cluster.
    ///
    /// The URL is that of a gateway (as DC/OS has), of a Mesos master, or of Marathon; the
    /// servers behind the latter two are found by asking them. Without a URL it is the cluster
    /// that `dais up` runs on this machine.
    Setup(Box<setup::Setup>),
}

#[derive(Debug, Args)]
pub struct List {
    /// Return the attached cluster only.
    #[arg(long)]
    attached: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the names and ids of clusters, asking none.
    #[arg(long, hide = true)]
    names: bool,
}

#[derive(Debug, Args)]
pub struct Remove {
    cluster: Option<String>,
    /// Remove all clusters.
    #[arg(long)]
    all: bool,
    /// Remove unavailable clusters.
    #[arg(long)]
    unavailable: bool,
}

/// A cluster as a list shows it.
struct Item {
    config: Config,
    attached: bool,
    /// Nothing when the cluster did not answer.
    version: Option<String>,
}

// === impl Cluster ===

impl Cluster {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let folder = context.folder()?;
        match self {
            Cluster::Attach { cluster } => folder.attach(&folder.named(&cluster, false)?),
            Cluster::List(list) => list.run(context, &folder).await,
            Cluster::Remove(remove) => remove.run(context, &folder).await,
            Cluster::Rename { cluster, name } => {
                let mut config = folder.named(&cluster, false)?;
                config.set(keys::NAME, &name)?;
                config.write()
            }
            Cluster::Setup(setup) => setup.run(context, &folder).await,
        }
    }
}

// === impl List ===

impl List {
    async fn run(self, context: &mut Context, folder: &Folder) -> anyhow::Result<()> {
        if self.names {
            for config in folder.all()? {
                context.io.line(config.name())?;
                context.io.line(config.id())?;
            }
            return Ok(());
        }
        let items = items(context, folder, self.attached).await?;
        if self.attached && items.is_empty() {
            bail!("no cluster is attached. Please run `dais cluster attach <cluster-name>`");
        }
        if self.json {
            let items: Vec<Value> = items.iter().map(Item::json).collect();
            return Ok(context.io.json(&Value::Array(items))?);
        }
        let mut table = Table::new(["", "NAME", "ID", "STATUS", "VERSION", "URL"]);
        for item in &items {
            let mark = if item.attached { "*" } else { "" };
            table.row([
                mark.to_owned(),
                item.config.name(),
                item.config.id(),
                item.status().to_owned(),
                item.version().to_owned(),
                item.url(),
            ]);
        }
        Ok(context.io.table(&table)?)
    }
}

// === impl Remove ===

impl Remove {
    async fn run(self, context: &mut Context, folder: &Folder) -> anyhow::Result<()> {
        let several = self.all || self.unavailable;
        match &self.cluster {
            Some(_) if several => {
                Err(usage("give either a cluster's name or --all / --unavailable, not both"))
            }
            None if !several => Err(usage("give a cluster's name, --all or --unavailable")),
            Some(name) => folder.remove(&folder.named(name, false)?),
            None if self.all => folder.all()?.iter().try_for_each(|config| folder.remove(config)),
            None => {
                let items = items(context, folder, false).await?;
                let gone = items.iter().filter(|item| item.version.is_none());
                gone.map(|item| &item.config).try_for_each(|config| folder.remove(config))
            }
        }
    }
}

// === impl Item ===

impl Item {
    fn status(&self) -> &'static str {
        if self.version.is_some() { "AVAILABLE" } else { "UNAVAILABLE" }
    }

    fn version(&self) -> &str {
        self.version.as_deref().unwrap_or("UNKNOWN")
    }

    fn url(&self) -> String {
        [keys::URL, keys::MESOS].iter().find_map(|key| self.config.get(key)).unwrap_or_default()
    }

    fn json(&self) -> Value {
        json!({
            "attached": self.attached,
            "cluster_id": self.config.id(),
            "name": self.config.name(),
            "status": self.status(),
            "url": self.url(),
            "version": self.version(),
        })
    }
}

/// The clusters, each asked for its version.
async fn items(
    context: &Context,
    folder: &Folder,
    attached_only: bool,
) -> anyhow::Result<Vec<Item>> {
    let mut asked = Vec::new();
    for config in folder.all()? {
        let attached = folder.is_attached(&config, context.io.environment());
        if attached_only && !attached {
            continue;
        }
        // All at once: those that are away take their time.
        let version = tokio::spawn(version(config.clone(), context.verbosity()));
        asked.push((config, attached, version));
    }
    let mut items = Vec::new();
    for (config, attached, version) in asked {
        items.push(Item { config, attached, version: version.await.ok().flatten() });
    }
    Ok(items)
}

/// What a cluster says it is, if it says anything.
async fn version(config: Config, verbosity: u8) -> Option<String> {
    let cluster = endpoints::Cluster::configured(&config).ok()?;
    let client = client(LIST_TIMEOUT, &cluster.trust).ok()?;
    let ask = async |url: &str, path: &str| {
        let token = cluster.token_for(url);
        let server = Server::new("the cluster", url, client.clone(), token, verbosity);
        let answer = server.get(path).await.ok()?;
        some_text(&answer, "/version").map(str::to_owned)
    };
    if let Some(mesos) = &cluster.mesos {
        return ask(mesos, "/version").await;
    }
    ask(cluster.gateway.as_ref()?, "/dcos-metadata/dcos-version.json").await
}
