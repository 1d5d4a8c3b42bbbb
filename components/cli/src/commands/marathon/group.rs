//! `dais marathon group`.

use super::{Force, deployed};
use crate::context::Context;
use crate::failure::usage;
use crate::follow::{Deployment, Wait};
use crate::json::{list, marathon_id, shown, some_text, text};
use crate::server::{Server, path, query, set};
use crate::table::Table;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub enum Group {
    /// Add a group.
    Add(Add),
    /// Print the list of groups.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a group and all that is in it.
    Remove(Change),
    /// Scale a group: multiply the instances of every app in it.
    Scale {
        #[command(flatten)]
        change: Change,
        /// The factor.
        scale_factor: f64,
    },
    /// Print a group with all that is in it.
    Show(Show),
    /// Update a group.
    Update {
        #[command(flatten)]
        change: Change,
        /// What to change, as key=value; absent, a JSON object on standard input.
        properties: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    /// A file or URL with the group's JSON; absent, or -, standard input.
    #[arg(conflicts_with = "id")]
    group_resource: Option<String>,
    /// The group ID to add.
    #[arg(long)]
    id: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

/// A group to change.
#[derive(Debug, Args)]
pub struct Change {
    group_id: String,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, Args)]
pub struct Show {
    group_id: String,
    /// A version: a timestamp, or a negative number of versions before the current one.
    #[arg(long, allow_negative_numbers = true)]
    group_version: Option<String>,
}

// === impl Group ===

impl Group {
    pub(super) async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        match self {
            Group::Add(add) => add.run(context, marathon).await,
            Group::List { json } => groups(context, marathon, json).await,
            Group::Remove(change) => {
                change.exists(marathon).await?;
                let answer = marathon.delete(&change.path()).await?;
                match Deployment::of(&answer, &[]) {
                    Some(deployment) => context.follow(marathon, deployment, change.wait).await,
                    None => Ok(()),
                }
            }
            Group::Scale { change, scale_factor } => {
                if !scale_factor.is_finite() || scale_factor <= 0.0 {
                    return Err(usage(format!(
                        "the scale factor must be a positive number: {scale_factor}"
                    )));
                }
                change.exists(marathon).await?;
                change.put(context, marathon, &json!({"scaleBy": scale_factor})).await
            }
            Group::Show(show) => show.run(context, marathon).await,
            Group::Update { change, properties } => {
                let example = "dais marathon group update your-group-id < group_update.json";
                let body = context.read_properties(&properties, example).await?;
                change.exists(marathon).await?;
                change.put(context, marathon, &body).await
            }
        }
    }
}

// === impl Add ===

impl Add {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let group = match self.id {
            Some(id) => json!({"id": id}),
            None => {
                let example = "dais marathon group add < group.json";
                context.read_json(self.group_resource.as_deref(), example).await?
            }
        };
        let id = some_text(&group, "/id").context("group ID must be set: \"id\" is missing")?;
        let id = marathon_id(id);
        if marathon.find(&format!("/v2/groups{}?embed=none", path(&id))).await?.is_some() {
            bail!("Group '{id}' already exists");
        }
        let answer = marathon.post("/v2/groups", &group).await?;
        deployed(context, marathon, &answer, &[], self.wait).await
    }
}

// === impl Change ===

impl Change {
    fn path(&self) -> String {
        let query = query(&[("force", set(self.force.force))]);
        format!("/v2/groups{}{query}", path(&marathon_id(&self.group_id)))
    }

    /// An error if there is no such group; a PUT would make one of a mistyped id.
    async fn exists(&self, marathon: &Server) -> anyhow::Result<()> {
        let id = marathon_id(&self.group_id);
        marathon.get(&format!("/v2/groups{}?embed=none", path(&id))).await.map(drop)
    }

    async fn put(
        &self,
        context: &mut Context,
        marathon: &Server,
        body: &Value,
    ) -> anyhow::Result<()> {
        let answer = marathon.put(&self.path(), body).await?;
        deployed(context, marathon, &answer, &[], self.wait).await
    }
}

// === impl Show ===

impl Show {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let id = marathon_id(&self.group_id);
        let base = format!("/v2/groups{}", path(&id)).trim_end_matches('/').to_owned();
        let group = match &self.group_version {
            None => marathon.get(&base).await?,
            Some(version) => {
                let version = absolute(marathon, &base, &id, version).await?;
                marathon.get(&format!("{base}/versions/{}", path(&version))).await?
            }
        };
        Ok(context.io.json(&group)?)
    }
}

async fn absolute(
    marathon: &Server,
    base: &str,
    id: &str,
    version: &str,
) -> anyhow::Result<String> {
    let Ok(behind) = version.parse::<i64>() else { return Ok(version.to_owned()) };
    if behind >= 0 {
        return Err(usage(format!("relative versions must be negative: {behind}")));
    }
    let answer = marathon.get(&format!("{base}/versions")).await?;
    let versions = list(&answer, "");
    let index = usize::try_from(behind.unsigned_abs()).unwrap_or(usize::MAX);
    versions
        .get(index)
        .map(shown)
        .with_context(|| format!("group '{id}' only has {} version(s)", versions.len()))
}

async fn groups(context: &mut Context, marathon: &Server, json: bool) -> anyhow::Result<()> {
    let root = marathon.get("/v2/groups").await?;
    if json {
        return Ok(context.io.json(root.pointer("/groups").unwrap_or(&json!([])))?);
    }
    Ok(context.io.table(&group_table(list(&root, "/groups")))?)
}

pub(super) fn group_table(groups: &[Value]) -> Table {
    let mut table = Table::new(["ID", "APPS", "ENFORCE_ROLE"]);
    for group in groups {
        add_rows(group, &mut table);
    }
    table.sort();
    table
}

/// A row for a group and for each below it; gives the number of apps in all of them.
fn add_rows(group: &Value, table: &mut Table) -> usize {
    let below: usize = list(group, "/groups").iter().map(|group| add_rows(group, table)).sum();
    let apps = list(group, "/apps").len() + below;
    let enforce = group.get("enforceRole").map_or_else(|| "N/A".to_owned(), shown);
    table.row([text(group, "/id").to_owned(), apps.to_string(), enforce]);
    apps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    #[test]
    fn groups_count_the_apps_below_them() {
        let group = json!({"id": "/a", "enforceRole": false, "apps": [{}], "groups": [
            {"id": "/a/b", "apps": [{}, {}], "groups": []}]});
        let table = group_table(&[group]);
        let expected = "  ID    APPS  ENFORCE_ROLE\n  /a       3  false\n  /a/b     2  N/A\n";
        assert_eq!(table.render(Style::of(false)), expected);
    }
}
