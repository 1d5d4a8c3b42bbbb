//! `dais marathon task`.

use crate::context::Context;
use crate::json::{flag, list, marathon_id, some_text, text};
use crate::server::{Server, path, query, set};
use crate::table::Table;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub enum Tasks {
    /// Kill one or more tasks.
    Kill(Kill),
    /// List all tasks.
    List(List),
    /// Print a task.
    Show { task_id: String },
    /// Stop a task.
    Stop {
        task_id: String,
        /// Wipe persistent data.
        #[arg(long)]
        wipe: bool,
    },
}

#[derive(Debug, Args)]
pub struct Kill {
    #[arg(required = true)]
    task_ids: Vec<String>,
    /// Scale the app down after performing the operation.
    #[arg(long)]
    scale: bool,
    /// Wipe persistent data.
    #[arg(long)]
    wipe: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct List {
    /// Only tasks of this app.
    app_id: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Display ids only.
    #[arg(short, long)]
    quiet: bool,
}

// === impl Tasks ===

impl Tasks {
    pub(super) async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        match self {
            Tasks::Kill(kill) => kill.run(context, marathon).await,
            Tasks::List(list) => list.run(context, marathon).await,
            Tasks::Show { task_id } => {
                let answer = marathon.get("/v2/tasks").await?;
                let task = find(&answer, &task_id)?;
                Ok(context.io.json(task)?)
            }
            Tasks::Stop { task_id, wipe } => {
                let query = query(&[("wipe", set(wipe))]);
                let body = json!({"ids": [task_id]});
                let answer = marathon.post(&format!("/v2/tasks/delete{query}"), &body).await?;
                let task = find(&answer, &task_id)?;
                Ok(context.io.json(task)?)
            }
        }
    }
}

fn find<'a>(answer: &'a Value, id: &str) -> anyhow::Result<&'a Value> {
    let found = list(answer, "/tasks").iter().find(|task| text(task, "/id") == id);
    found.with_context(|| format!("Task '{id}' does not exist"))
}

// === impl Kill ===

impl Kill {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let query = query(&[("scale", set(self.scale)), ("wipe", set(self.wipe))]);
        let body = json!({"ids": self.task_ids});
        let answer = marathon.post(&format!("/v2/tasks/delete{query}"), &body).await?;
        if self.json {
            context.io.json(&answer)?;
        }
        if self.scale {
            if !self.json {
                let id = text(&answer, "/deploymentId");
                context.io.line(format!("Created deployment: {id}"))?;
            }
            return Ok(());
        }
        let ids: Vec<&str> = list(&answer, "/tasks").iter().map(|task| text(task, "/id")).collect();
        if !self.json {
            context.io.line(format!("Killed tasks: {}", json!(ids)))?;
        }
        if ids.is_empty() {
            bail!("Failed to kill tasks. task-ids seems to be unknown");
        }
        Ok(())
    }
}

// === impl List ===

impl List {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let answer = match &self.app_id {
            Some(id) => {
                let path = format!("/v2/apps{}/tasks", path(&marathon_id(id)));
                marathon.get(&path).await?
            }
            None => marathon.get("/v2/tasks").await?,
        };
        let tasks = list(&answer, "/tasks");
        if self.quiet {
            return Ok(tasks.iter().try_for_each(|task| context.io.line(text(task, "/id")))?);
        }
        if self.json {
            return Ok(context.io.json(answer.pointer("/tasks").unwrap_or(&json!([])))?);
        }
        Ok(context.io.table(&task_table(tasks))?)
    }
}

pub(super) fn task_table(tasks: &[Value]) -> Table {
    let mut table = Table::new(["APP", "HEALTHY", "STARTED", "HOST", "ID", "ROLE"]);
    for task in tasks {
        let healthy = list(task, "/healthCheckResults").iter().all(|check| flag(check, "/alive"));
        table.row([
            text(task, "/appId").to_owned(),
            if healthy { "True" } else { "False" }.to_owned(),
            some_text(task, "/startedAt").unwrap_or("N/A").to_owned(),
            text(task, "/host").to_owned(),
            text(task, "/id").to_owned(),
            text(task, "/role").to_owned(),
        ]);
    }
    table.sort();
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    #[test]
    fn the_table_has_the_columns_of_dcos() {
        let tasks = [
            json!({"appId": "/b", "id": "b.1", "host": "h", "role": "*",
                "startedAt": "2020-01-01T00:00:00.000Z", "healthCheckResults": [{"alive": true}]}),
            json!({"appId": "/a", "id": "a.1", "host": "h", "role": "*",
                "healthCheckResults": [{"alive": true}, {"alive": false}]}),
        ];
        let expected = "  \
  APP  HEALTHY  STARTED                   HOST  ID   ROLE
  /a   False    N/A                       h     a.1  *
  /b   True     2020-01-01T00:00:00.000Z  h     b.1  *
";
        assert_eq!(task_table(&tasks).render(Style::of(false)), expected);
    }
}
