//! `dais package`: what can be installed, and what is.

mod describe;
mod install;
mod installed;
mod repo;
mod update;

use crate::context::Context;
use crate::json::{flag, list, shorten, text};
use crate::server::Server;
use crate::table::Table;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use std::fs;

/// The widest description a list shows.
const DESCRIPTION_WIDTH: usize = 79;

#[derive(Debug, Subcommand)]
pub enum Package {
    /// Get specific details for packages.
    Describe(describe::Describe),
    /// Install a package.
    Install(install::Install),
    /// Print a list of the installed packages.
    List(installed::List),
    /// Manage packages' repositories.
    #[command(subcommand)]
    Repo(repo::Repo),
    /// Search the package repository.
    Search(Search),
    /// Uninstall a package.
    Uninstall(installed::Uninstall),
    /// Change the options or the version of an installed package; its service goes on.
    Update(update::Update),
}

#[derive(Debug, Args)]
pub struct Search {
    /// A part of a name, a description or a tag; with *, a pattern.
    query: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The package service.
pub(super) struct Cosmos {
    server: Server,
    /// Before `/service`.
    prefix: &'static str,
}

// === impl Package ===

impl Package {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        match self {
            Package::Describe(describe) => describe.run(context).await,
            Package::Install(install) => install.run(context).await,
            Package::List(list) => list.run(context).await,
            Package::Repo(repo) => repo.run(context).await,
            Package::Search(search) => search.run(context).await,
            Package::Uninstall(uninstall) => uninstall.run(context).await,
            Package::Update(update) => update.run(context).await,
        }
    }
}

// === impl Search ===

impl Search {
    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let cosmos = Cosmos::of(context)?;
        let query = self.query.as_deref().unwrap_or_default();
        let found = cosmos.call("package", "search", "v1", &json!({"query": query})).await?;
        if self.json {
            return Ok(context.io.json(&found)?);
        }
        let packages = list(&found, "/packages");
        if !query.is_empty() && packages.is_empty() {
            bail!("no packages found");
        }
        let mut table = Table::new(["NAME", "VERSION", "CERTIFIED", "FRAMEWORK", "DESCRIPTION"]);
        for package in packages {
            table.row([
                text(package, "/name").to_owned(),
                text(package, "/currentVersion").to_owned(),
                flag(package, "/selected").to_string(),
                flag(package, "/framework").to_string(),
                shorten(text(package, "/description"), DESCRIPTION_WIDTH),
            ]);
        }
        Ok(context.io.table(&table)?)
    }
}

// === impl Cosmos ===

impl Cosmos {
    pub(super) fn of(context: &mut Context) -> anyhow::Result<Cosmos> {
        let (server, prefix) = context.cosmos()?;
        Ok(Cosmos { server, prefix })
    }

    /// One call; `operation` is the path, and with dots the name in the media types.
    async fn call(
        &self,
        area: &str,
        operation: &str,
        version: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let prefix = if area == "service" { self.prefix } else { "" };
        let path = format!("{prefix}/{area}/{operation}");
        let name = format!("{area}.{}", operation.replace('/', "."));
        let content = media_type(&format!("{name}-request"), "v1")?;
        let accept = media_type(&format!("{name}-response"), version)?;
        let call = self.server.call(Method::POST, &path, Some(body), Some(content), Some(accept));
        self.server.parse(call.await?.body())
    }

    async fn describe(&self, name: &str, version: Option<&str>) -> anyhow::Result<Value> {
        let body = request([("packageName", Some(name)), ("packageVersion", version)]);
        self.call("package", "describe", "v3", &body).await
    }

    async fn installed(&self) -> anyhow::Result<Value> {
        self.call("package", "list", "v1", &json!({})).await
    }
}

/// A media type of Cosmos's.
pub(super) fn media_type(name: &str, version: &str) -> anyhow::Result<HeaderValue> {
    let text = format!("application/vnd.dcos.{name}+json;charset=utf-8;version={version}");
    Ok(HeaderValue::from_str(&text)?)
}

/// A request of those fields that have a value.
fn request<const N: usize>(fields: [(&str, Option<&str>); N]) -> Value {
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Value::Object(given.map(|(name, value)| (name.to_owned(), json!(value))).collect())
}

/// The options in a file: a JSON object.
fn options(file: &str) -> anyhow::Result<Value> {
    let bytes = fs::read(file).with_context(|| format!("couldn't find options file '{file}'"))?;
    let value: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("error loading JSON of {file}"))?;
    if !value.is_object() {
        bail!("{file} holds no JSON object; options are {{\"section\": {{\"name\": value}}}}");
    }
    Ok(value)
}
