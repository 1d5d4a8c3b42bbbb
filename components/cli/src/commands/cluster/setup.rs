//! `dais cluster setup`: finds out what answers at a URL, and remembers it.

use crate::config::{Config, Folder, keys};
use crate::context::{Context, client};
use crate::endpoints::{self, Trust, whole};
use crate::json::{list, some_text, text};
use crate::server::{Server, is_below};
use anyhow::{Context as _, bail};
use clap::Args;
use http_kit::client::Client;
use serde_json::Value;
use std::time::Duration;

/// Where the package service listens unless told otherwise.
const COSMOS_PORT: u16 = 7070;

#[derive(Debug, Args)]
pub struct Setup {
    /// The cluster's URL.
    cluster: Option<String>,
    /// What to call it.
    #[arg(long)]
    name: Option<String>,
    /// Take any certificate.
    #[arg(long)]
    insecure: bool,
    /// Accepted for the dcos CLI's sake: nothing is asked about certificates.
    #[arg(long)]
    no_check: bool,
    /// A PEM file with certificates of authorities to trust, beside the public ones.
    #[arg(long, value_name = "FILE")]
    ca_certs: Option<String>,
    /// Wait for answers as long as it takes.
    #[arg(long)]
    no_timeout: bool,
    /// For clusters with a login, which come later.
    #[arg(long, hide = true)]
    provider: Option<String>,
    #[arg(long, hide = true)]
    username: Option<String>,
    #[arg(long, hide = true)]
    password: Option<String>,
    #[arg(long, hide = true)]
    password_file: Option<String>,
    #[arg(long, hide = true)]
    private_key: Option<String>,
}

/// What was found out about a cluster.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    id: String,
    name: String,
    gateway: Option<String>,
    mesos: Option<String>,
    marathon: Option<String>,
    cosmos: Option<String>,
}

/// Asks servers that may or may not be there.
struct Probe {
    client: Client,
    token: Option<String>,
    /// The URL that the user gave: the token is for it, and for no server that it names.
    typed: Option<String>,
    verbosity: u8,
}

// === impl Setup ===

impl Setup {
    pub(super) async fn run(self, context: &mut Context, folder: &Folder) -> anyhow::Result<()> {
        self.say_what_is_not_used(context)?;
        let env = context.io.environment();
        let timeout =
            if self.no_timeout { Duration::from_secs(86_400) } else { Duration::from_secs(20) };
        let token = ["DAIS_CLUSTER_SETUP_ACS_TOKEN", "DCOS_CLUSTER_SETUP_ACS_TOKEN"];
        let probe = Probe {
            client: client(timeout, &self.trust())?,
            token: env.first(&token),
            typed: self.cluster.as_deref().map(whole),
            verbosity: context.verbosity(),
        };
        // The folder of a `dais up` tells what its servers cannot: where the others are.
        let own = match env.get("DAIS_DATA_DIR") {
            Some(folder) => Some(folder.into()),
            None => endpoints::data_dir(env),
        };
        let local = own.and_then(|folder| endpoints::Cluster::in_folder(&folder).ok());
        let url = match (&self.cluster, &local) {
            (Some(url), _) => whole(url),
            (None, Some(endpoints::Cluster { mesos: Some(mesos), .. })) => mesos.clone(),
            (None, _) => bail!(
                "missing cluster URL, and no cluster of `dais up` runs here: \
                 dais cluster setup <url>"
            ),
        };
        let found = probe.find(&url, local.as_ref()).await?;
        let mut config = folder.config(&found.id)?;
        self.fill(&mut config, &found, probe.token.as_deref())?;
        config.write()?;
        folder.attach(&config)?;
        let name = config.name();
        context.io.note(format!("The cluster {name:?} at {url} is set up and attached."))?;
        Ok(())
    }

    /// Flags of a login are taken for scripts' sake: whoever gave them should know.
    fn say_what_is_not_used(&self, context: &mut Context) -> anyhow::Result<()> {
        let flags = [
            ("--provider", self.provider.is_some()),
            ("--username", self.username.is_some()),
            ("--password", self.password.is_some()),
            ("--password-file", self.password_file.is_some()),
            ("--private-key", self.private_key.is_some()),
        ];
        let given: Vec<&str> =
            flags.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        if !given.is_empty() {
            context.io.note(format!(
                "There is no login yet: {} is not used. core.dcos_acs_token holds the token of \
                 a cluster that wants one.",
                given.join(", ")
            ))?;
        }
        Ok(())
    }

    fn trust(&self) -> Trust {
        match &self.ca_certs {
            _ if self.insecure => Trust::Any,
            Some(path) => Trust::Bundle(path.into()),
            None => Trust::Public,
        }
    }

    fn fill(&self, config: &mut Config, found: &Found, token: Option<&str>) -> anyhow::Result<()> {
        config.set(keys::NAME, self.name.as_deref().unwrap_or(&found.name))?;
        let pairs = [
            (keys::URL, &found.gateway),
            (keys::MESOS, &found.mesos),
            (keys::MARATHON, &found.marathon),
            (keys::COSMOS, &found.cosmos),
        ];
        for (key, value) in pairs {
            match value {
                Some(value) => config.set(key, value)?,
                None => config.unset(key),
            }
        }
        if let Some(token) = token {
            config.set(keys::TOKEN, token)?;
        }
        if self.insecure {
            config.set(keys::SSL_VERIFY, "false")?;
        } else if let Some(path) = &self.ca_certs {
            // Later commands run in other folders.
            let path = std::fs::canonicalize(path)
                .map_or_else(|_| path.clone(), |path| path.to_string_lossy().into_owned());
            config.set(keys::SSL_VERIFY, &path)?;
        }
        Ok(())
    }
}

// === impl Probe ===

impl Probe {
    async fn find(&self, url: &str, local: Option<&endpoints::Cluster>) -> anyhow::Result<Found> {
        let server = self.server(url);
        let state = match server.get("/state-summary").await {
            Ok(state) if is_master(&state) => state,
            Ok(_) => bail!("{url} answers, but not as a cluster does"),
            // Something answers; it is no master.
            Err(error) if error.is::<crate::failure::Refused>() => {
                return self.no_master(url, local).await;
            }
            Err(error) => return Err(error),
        };
        self.plain(url, &state, local).await
    }

    /// A Mesos master without a gateway before it.
    async fn plain(
        &self,
        url: &str,
        summary: &Value,
        local: Option<&endpoints::Cluster>,
    ) -> anyhow::Result<Found> {
        let state = self.server(url).get("/state").await?;
        let local = local.filter(|local| local.mesos.as_deref() == Some(url));
        let marathon = list(&state, "/frameworks")
            .iter()
            .filter(|framework| text(framework, "/name") == "marathon")
            .find_map(|framework| some_text(framework, "/webui_url"))
            .map(whole);
        let marathon = local.and_then(|local| local.marathon.clone()).or(marathon);
        let cosmos = match local.and_then(|local| local.cosmos.clone()) {
            Some(cosmos) => Some(cosmos),
            None => self.cosmos_beside(url).await,
        };
        let id = some_text(&state, "/id").context("the master tells no id")?.to_owned();
        let name = [summary, &state].into_iter().find_map(|value| some_text(value, "/cluster"));
        let name = name.unwrap_or(&id).to_owned();
        Ok(Found { id, name, gateway: None, mesos: Some(url.to_owned()), marathon, cosmos })
    }

    /// A gateway, or Marathon, which knows its master.
    async fn no_master(
        &self,
        url: &str,
        local: Option<&endpoints::Cluster>,
    ) -> anyhow::Result<Found> {
        let server = self.server(url);
        if let Some(info) = server.find("/v2/info").await? {
            let master = text(&info, "/marathon_config/master");
            anyhow::ensure!(
                !master.is_empty() && !master.starts_with("zk://"),
                "{url} is Marathon, which does not tell where its master is; \
                 give the master's URL"
            );
            let master = whole(master);
            let summary = self.server(&master).get("/state-summary").await?;
            let found = self.plain(&master, &summary, local).await?;
            return Ok(Found { marathon: Some(url.to_owned()), ..found });
        }
        let metadata = server.get("/metadata").await.with_context(|| {
            format!("{url} is neither a cluster's gateway nor a Mesos master nor Marathon")
        })?;
        let id = some_text(&metadata, "/CLUSTER_ID").context("the cluster tells no id")?;
        let summary = server.get("/mesos/state-summary").await.unwrap_or_default();
        let name = some_text(&summary, "/cluster").unwrap_or(id);
        Ok(Found {
            id: id.to_owned(),
            name: name.to_owned(),
            gateway: Some(url.to_owned()),
            ..Found::default()
        })
    }

    /// The package service on the master's machine, if it is there.
    async fn cosmos_beside(&self, master: &str) -> Option<String> {
        let (scheme, rest) = master.split_once("://")?;
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
        let url = format!("{scheme}://{host}:{COSMOS_PORT}");
        let accept = super::super::package::media_type("capabilities", "v1").ok()?;
        let server = self.server(&url);
        let answer =
            server.call(http::Method::GET, "/capabilities", None, None, Some(accept)).await;
        answer.ok().map(|_| url)
    }

    fn server(&self, url: &str) -> Server {
        let own = self.typed.as_ref().is_some_and(|typed| is_below(url, typed));
        let token = self.token.clone().filter(|_| own);
        Server::new("the cluster", url, self.client.clone(), token, self.verbosity)
    }
}

fn is_master(summary: &Value) -> bool {
    summary.pointer("/slaves").is_some_and(Value::is_array)
}
