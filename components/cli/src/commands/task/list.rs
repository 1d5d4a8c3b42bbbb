//! `dais task list`.

use super::find::{Filter, Task};
use crate::context::Context;
use crate::failure::usage;
use crate::json::{some_text, text};
use crate::table::Table;
use clap::Args;
use serde_json::Value;

/// Which tasks to list, and how.
#[derive(Debug, Default, PartialEq, Args)]
pub struct List {
    /// A part of the tasks' ids, or a pattern with * and ?.
    filter: Option<String>,
    /// Print completed and in-progress tasks.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print completed tasks.
    #[arg(long)]
    completed: bool,
    /// Print only ids.
    #[arg(short, long)]
    quiet: bool,
    /// List tasks of a given agent.
    #[arg(long, value_name = "ID")]
    agent_id: Option<String>,
}

// === impl List ===

impl List {
    /// With the options that stood before the word.
    pub(super) fn and(mut self, before: List) -> List {
        self.filter = self.filter.or(before.filter);
        self.all |= before.all;
        self.json |= before.json;
        self.completed |= before.completed;
        self.quiet |= before.quiet;
        self.agent_id = self.agent_id.or(before.agent_id);
        self
    }

    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        if self.all && self.completed {
            return Err(usage("cannot accept both options --all and --completed"));
        }
        let filter = Filter {
            active: !self.completed,
            completed: self.all || self.completed,
            id: self.filter,
            ids: None,
            agent: self.agent_id,
        };
        let tasks = filter.find(context).await?;
        if self.json {
            let tasks = tasks.into_iter().map(|task| task.value).collect();
            return Ok(context.io.json(&Value::Array(tasks))?);
        }
        if tasks.is_empty() {
            filter.complain()?;
        }
        if self.quiet {
            return Ok(tasks.iter().try_for_each(|task| context.io.line(&task.id))?);
        }
        Ok(context.io.table(&table(&tasks))?)
    }
}

pub(super) fn table(tasks: &[Task]) -> Table {
    let header = ["NAME", "HOST", "USER", "STATE", "ID", "AGENT ID", "REGION", "ZONE"];
    let mut table = Table::new(header);
    for task in tasks {
        let domain = |part: &str| {
            let pointer = format!("/domain/fault_domain/{part}/name");
            some_text(&task.agent, &pointer).unwrap_or("N/A").to_owned()
        };
        table.row([
            text(&task.value, "/name").to_owned(),
            text(&task.agent, "/hostname").to_owned(),
            some_text(&task.value, "/user").unwrap_or(&task.user).to_owned(),
            text(&task.value, "/state").to_owned(),
            task.id.clone(),
            task.agent_id.clone(),
            domain("region"),
            domain("zone"),
        ]);
    }
    table.sort();
    table
}
