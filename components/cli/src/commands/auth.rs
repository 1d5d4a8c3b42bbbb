//! `dais auth`: logging in to a cluster, and out.

use super::cluster::setup::Setup;
use crate::config::{Config, keys};
use crate::context::{Context, client};
use crate::endpoints::{Cluster, LocalGateway, TIMEOUT, Trust, whole};
use crate::login::{self, Flags, Outcome};
use crate::server::Server;
use crate::table::Table;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub enum Auth {
    /// List the ways to log in to a cluster.
    ListProviders(ListProviders),
    /// Log in to the current cluster.
    ///
    /// Without flags it asks. Where nothing is attached and a cluster of `dais up` runs on this
    /// machine, it logs in to that, as its administrator.
    Login(Box<Login>),
    /// Forget the token of the current cluster.
    Logout,
}

#[derive(Debug, Args)]
pub struct ListProviders {
    /// The cluster's URL.
    url: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct Login {
    #[command(flatten)]
    flags: Flags,
}

// === impl Auth ===

impl Auth {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        match self {
            Auth::Login(login) => login.run(context).await,
            Auth::ListProviders(list) => list.run(context).await,
            Auth::Logout => {
                let Some(mut config) = target(context)? else { bail!(super::config::NONE) };
                config.unset(keys::TOKEN);
                config.write()
            }
        }
    }
}

/// The configuration of the cluster that commands would speak to; nothing where it is one of
/// this machine that nobody has set up.
fn target(context: &Context) -> anyhow::Result<Option<Config>> {
    let env = context.io.environment();
    let folder = context.folder()?;
    let url = context.globals.url.clone().or_else(|| env.first(&["DAIS_URL", "DCOS_URL"]));
    if let Some(url) = url.map(|url| whole(&url)) {
        let found = folder.for_url(&url)?;
        return found.map(Some).with_context(|| {
            format!(
                "no cluster is set up at {url}: `dais cluster setup {url}` does it, and logs in"
            )
        });
    }
    if env.get("DAIS_DATA_DIR").is_some() {
        let Some(local) = LocalGateway::find(env) else { return Ok(None) };
        return folder.logged_in(&local.url);
    }
    folder.current(env)
}

// === impl Login ===

impl Login {
    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let local = LocalGateway::find(context.io.environment());
        let config = target(context)?;
        let url = config.as_ref().and_then(|config| config.get(keys::URL)).map(|url| whole(&url));
        let Some(mut config) =
            config.filter(|_| url != local.as_ref().map(|local| local.url.clone()))
        else {
            let Some(local) = local else { bail!(super::config::NONE) };
            // It may have been started anew at the same address, with another authority.
            let folder = context.folder()?;
            return Setup::of_local(&local, self.flags).run(context, &folder).await;
        };
        let Some(url) = url else {
            bail!("the attached cluster has no gateway to log in to; core.dcos_url is its URL")
        };
        let server = server_of(context, &config, &url)?;
        match login::log_in(&mut context.io, &server, &self.flags).await? {
            Outcome::Token(token) => {
                config.set(keys::TOKEN, &token)?;
                config.write()?;
                let who = login::uid_of(&token).map(|uid| format!(" as {uid}"));
                context.io.note(format!("Logged in to {url}{}.", who.unwrap_or_default()))?;
            }
            Outcome::NotNeeded => {
                context.io.note("This cluster does not require authenticated requests.")?;
            }
        }
        Ok(())
    }
}

// === impl ListProviders ===

impl ListProviders {
    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let server = match &self.url {
            None => match target(context)? {
                Some(config) => {
                    let url = config.get(keys::URL).context("the cluster has no gateway")?;
                    server_of(context, &config, &url)?
                }
                None => local_server(context)?.context(super::config::NONE)?,
            },
            Some(url) => {
                let url = whole(url);
                match context.folder()?.at(&url)?.into_iter().next() {
                    Some(config) => server_of(context, &config, &url)?,
                    None => plain_server(context, &url, &Trust::Public)?,
                }
            }
        };
        if self.json {
            let path = "/acs/api/v1/auth/providers";
            let answer = server.anonymous().call(Method::GET, path, None, None, None).await?;
            let value: Value = server.parse(answer.body())?;
            return Ok(context.io.json(&value)?);
        }
        let challenge = login::challenge(&server).await?;
        let mut table = Table::new(["PROVIDER ID", "LOGIN METHOD"]);
        for provider in login::providers(&server, &challenge).await? {
            table.row([provider.id.clone(), provider.description()]);
        }
        Ok(context.io.table(&table)?)
    }
}

/// The gateway of a configured cluster, with its settings and without a token.
fn server_of(context: &Context, config: &Config, url: &str) -> anyhow::Result<Server> {
    let cluster = Cluster::configured(config)?;
    let client = client(cluster.timeout, &cluster.trust)?;
    Ok(Server::new("the cluster", &whole(url), client, None, context.verbosity()))
}

fn local_server(context: &Context) -> anyhow::Result<Option<Server>> {
    let Some(local) = LocalGateway::find(context.io.environment()) else { return Ok(None) };
    plain_server(context, &local.url, &Trust::Bundle(local.ca_file)).map(Some)
}

fn plain_server(context: &Context, url: &str, trust: &Trust) -> anyhow::Result<Server> {
    let client = client(TIMEOUT, trust)?;
    Ok(Server::new("the cluster", url, client, None, context.verbosity()))
}
