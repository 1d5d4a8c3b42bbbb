//! `dais package repo`.

use super::{Cosmos, request};
use crate::context::Context;
use crate::json::{list, some_text, text};
use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::{Value, json};
use std::fs;

#[derive(Debug, Subcommand)]
pub enum Repo {
    /// Add a package repository.
    Add {
        repo_name: String,
        repo_url: String,
        /// Its place in the list; repositories are searched in order.
        #[arg(long)]
        index: Option<u32>,
    },
    /// Import a file with a list of package repositories, as `list --json` prints it.
    Import { repo_file: String },
    /// Print the package repository sources.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove package repositories.
    Remove {
        #[arg(required = true)]
        repo_names: Vec<String>,
    },
}

// === impl Repo ===

impl Repo {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let cosmos = Cosmos::of(context)?;
        match self {
            Repo::Add { repo_name, repo_url, index } => {
                add(&cosmos, &repo_name, &repo_url, index.map(u64::from)).await
            }
            Repo::Import { repo_file } => import(context, &cosmos, &repo_file).await,
            Repo::List { json } => {
                let answer = cosmos.call("package", "repository/list", "v1", &json!({})).await?;
                if json {
                    return Ok(context.io.json(&answer)?);
                }
                for repo in list(&answer, "/repositories") {
                    let (name, uri) = (text(repo, "/name"), text(repo, "/uri"));
                    context.io.line(format!("{name}: {uri}"))?;
                }
                Ok(())
            }
            Repo::Remove { repo_names } => {
                for name in &repo_names {
                    let body = request([("name", Some(name))]);
                    cosmos.call("package", "repository/delete", "v1", &body).await?;
                }
                Ok(())
            }
        }
    }
}

async fn add(cosmos: &Cosmos, name: &str, url: &str, index: Option<u64>) -> anyhow::Result<()> {
    let mut body = json!({"name": name, "uri": url});
    if let (Some(index), Some(body)) = (index, body.as_object_mut()) {
        body.insert("index".to_owned(), json!(index));
    }
    cosmos.call("package", "repository/add", "v1", &body).await.map(drop)
}

async fn import(context: &mut Context, cosmos: &Cosmos, file: &str) -> anyhow::Result<()> {
    let bytes = fs::read(file).with_context(|| format!("path '{file}' cannot be read"))?;
    let value: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("error loading JSON of {file}"))?;
    let repos = list(&value, "/repositories");
    if repos.is_empty() {
        bail!("no repositories found to import: {file} needs \"repositories\": [{{name, uri}}]");
    }
    for (index, repo) in (0u64..).zip(repos) {
        let (Some(name), Some(uri)) = (some_text(repo, "/name"), some_text(repo, "/uri")) else {
            context.io.note("Repo missing name or uri. Skipping.")?;
            continue;
        };
        let line = match add(cosmos, name, uri, Some(index)).await {
            Ok(()) => format!("Added repo '{name}' ({uri}) at index {index}"),
            Err(error) => {
                format!("Error ({error:#}) while adding repo '{name}' ({uri}). Skipping.")
            }
        };
        context.io.note(line)?;
    }
    Ok(())
}
