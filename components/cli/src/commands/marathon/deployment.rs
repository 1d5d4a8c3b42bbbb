//! `dais marathon deployment`.

use super::action;
use crate::context::Context;
use crate::follow::{Deployment, Wait};
use crate::json::{count, list, marathon_id, text};
use crate::server::{Server, path};
use crate::table::Table;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

#[derive(Debug, Subcommand)]
pub enum Deployments {
    /// Print a list of deployments that are under way.
    List(List),
    /// Take a deployment back: deploy what was there before it.
    Rollback {
        deployment_id: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Cancel a deployment where it is.
    Stop { deployment_id: String },
    /// Follow a deployment until it is over.
    Watch(Watch),
}

#[derive(Debug, Args)]
pub struct List {
    /// Only deployments that affect this app.
    app_id: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Display ids only.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Args)]
pub struct Watch {
    deployment_id: String,
    /// The most looks at it.
    #[arg(long)]
    max_count: Option<u32>,
    /// Seconds between two looks.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    interval: Option<u64>,
}

// === impl Deployments ===

impl Deployments {
    pub(super) async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        match self {
            Deployments::List(list) => list.run(context, marathon).await,
            Deployments::Rollback { deployment_id, wait } => {
                let answer =
                    marathon.delete(&format!("/v2/deployments/{}", path(&deployment_id))).await?;
                context.io.json(&answer)?;
                match Deployment::of(&answer, &[]) {
                    Some(deployment) => context.follow(marathon, deployment, wait).await,
                    None => Ok(()),
                }
            }
            Deployments::Stop { deployment_id } => {
                let path = format!("/v2/deployments/{}?force=true", path(&deployment_id));
                marathon.delete(&path).await.map(drop)
            }
            Deployments::Watch(watch) => watch.run(context, marathon).await,
        }
    }
}

// === impl List ===

impl List {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let mut deployments = match marathon.get("/v2/deployments").await? {
            Value::Array(deployments) => deployments,
            _ => Vec::new(),
        };
        if let Some(id) = &self.app_id {
            let id = marathon_id(id);
            let names = |one: &Value, pointer| {
                list(one, pointer).iter().any(|affected| affected.as_str() == Some(id.as_str()))
            };
            deployments.retain(|one| names(one, "/affectedApps") || names(one, "/affectedPods"));
        }
        if self.json {
            return Ok(context.io.json(&Value::Array(deployments))?);
        }
        if deployments.is_empty() {
            match &self.app_id {
                Some(id) => bail!("There are no deployments for '{id}'"),
                None => bail!("There are no deployments"),
            }
        }
        if self.quiet {
            return Ok(deployments.iter().try_for_each(|one| context.io.line(text(one, "/id")))?);
        }
        Ok(context.io.table(&deployment_table(&deployments))?)
    }
}

pub(super) fn deployment_table(deployments: &[Value]) -> Table {
    let mut table = Table::new(["APP", "POD", "ACTION", "PROGRESS", "ID"]);
    for one in deployments {
        let affected = |pointer| {
            let ids: Vec<&str> = list(one, pointer).iter().filter_map(Value::as_str).collect();
            if ids.is_empty() { "-".to_owned() } else { ids.join("\n") }
        };
        let done = count(one, "/currentStep").saturating_sub(1);
        table.row([
            affected("/affectedApps"),
            affected("/affectedPods"),
            actions(list(one, "/currentActions")),
            format!("{done}/{}", count(one, "/totalSteps")),
            text(one, "/id").to_owned(),
        ]);
    }
    table.sort();
    table
}

fn actions(actions: &[Value]) -> String {
    let id = |one| crate::json::some_text(one, "/app").unwrap_or_else(|| text(one, "/pod"));
    let several = actions.iter().map(id).collect::<BTreeSet<_>>().len() > 1;
    let lines: Vec<String> = actions
        .iter()
        .map(|one| {
            let word = action(text(one, "/action"));
            if several { format!("{word} {}", id(one)) } else { word.to_owned() }
        })
        .collect();
    lines.join("\n")
}

// === impl Watch ===

impl Watch {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let interval = self.interval.map(Duration::from_secs);
        if context.io.is_watched() && self.max_count.is_none() {
            let deployments = marathon.get("/v2/deployments").await?;
            if !list(&deployments, "").iter().any(|one| text(one, "/id") == self.deployment_id) {
                let id = &self.deployment_id;
                return Ok(context
                    .io
                    .note(format!("Deployment {id} is not under way (any more)"))?);
            }
            let deployment = Deployment { id: self.deployment_id, version: None, apps: Vec::new() };
            return context.watch(marathon, deployment, interval).await;
        }
        // A script reads what the dcos CLI prints: the deployment, each time.
        let mut looks = 0;
        while self.max_count.is_none_or(|most| looks < most) {
            let deployments = marathon.get("/v2/deployments").await?;
            let ours =
                list(&deployments, "").iter().find(|one| text(one, "/id") == self.deployment_id);
            let Some(ours) = ours else { return Ok(()) };
            context.io.json(ours)?;
            context.io.flush()?;
            looks += 1;
            sleep(interval.unwrap_or(Duration::from_secs(1))).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;
    use serde_json::json;

    #[test]
    fn the_table_has_the_columns_of_dcos() {
        let deployments = [json!({"id": "d-1", "affectedApps": ["/a", "/b"], "affectedPods": [],
            "currentStep": 2, "totalSteps": 3, "currentActions": [
                {"action": "ScaleApplication", "app": "/a"},
                {"action": "RestartApplication", "app": "/b"}]})];
        let expected = "  \
  APP  POD  ACTION      PROGRESS  ID
  /a   -    scale /a    1/3       d-1
  /b        restart /b
";
        assert_eq!(deployment_table(&deployments).render(Style::of(false)), expected);
    }
}
