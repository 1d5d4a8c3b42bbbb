//! `dais service`: frameworks, and what a change of a service would do.

mod endpoints;
pub(super) mod plan;

use super::task::log::Log;
use crate::context::Context;
use crate::json::{flag, list, marathon_id, number, text};
use crate::server::Server;
use crate::table::Table;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub struct Service {
    #[command(subcommand)]
    command: Option<ServiceCommand>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, Subcommand)]
enum ServiceCommand {
    /// Show every way to reach an app, and try each.
    ///
    /// Prints its tasks' ports, its names, its virtual addresses, its place below the gateway, and
    /// its URLs at the public agents.
    Endpoints(endpoints::Endpoints),
    /// Show the services: the frameworks of the cluster.
    List(List),
    /// Print the log of a service that Marathon runs.
    Log(ServiceLog),
    /// Show what a change would do, without doing it.
    ///
    /// Prints how an app or a group differs from the definition in a file, and what deploying
    /// the file would start, replace and stop.
    Plan(plan::Plan),
    /// Shut a service down: end its framework and all its tasks.
    Shutdown(Shutdown),
}

#[derive(Debug, Default, PartialEq, Args)]
struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print completed and active services.
    #[arg(long)]
    completed: bool,
    /// Print inactive and active services.
    #[arg(long)]
    inactive: bool,
    /// Print only names of listed services.
    #[arg(short, long)]
    quiet: bool,
    /// Print only ids of listed services.
    #[arg(long, hide = true)]
    id_only: bool,
}

#[derive(Debug, Args)]
struct ServiceLog {
    /// The framework's name, or the app's id.
    service_name: String,
    /// The file in the sandbox.
    #[arg(default_value = "stdout")]
    file: String,
    /// Go on printing what is added.
    #[arg(short, long)]
    follow: bool,
    /// Print the last N lines.
    #[arg(long, default_value_t = 10, allow_negative_numbers = true)]
    lines: i64,
    /// Accepted for the dcos CLI's sake; there is one format.
    #[arg(short, long, hide = true)]
    output: Option<String>,
    /// Accepted for the dcos CLI's sake.
    #[arg(long, hide = true)]
    ssh_config_file: Option<String>,
}

#[derive(Debug, Args)]
struct Shutdown {
    /// The framework's id, or its name if no other has it.
    service_name: String,
    /// Assume "yes" is the answer to all prompts.
    #[arg(long)]
    yes: bool,
}

// === impl Service ===

impl Service {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        if !matches!(self.command, None | Some(ServiceCommand::List(_))) {
            super::no_list(&self.list, "service")?;
        }
        match self.command {
            Some(ServiceCommand::Endpoints(endpoints)) => endpoints.run(context).await,
            Some(ServiceCommand::List(list)) => list.and(&self.list).run(context).await,
            Some(ServiceCommand::Log(log)) => log.run(context).await,
            Some(ServiceCommand::Plan(plan)) => plan.run(context).await,
            Some(ServiceCommand::Shutdown(shutdown)) => shutdown.run(context).await,
            None => {
                super::deprecated(context, "services", "service")?;
                self.list.run(context).await
            }
        }
    }
}

// === impl List ===

impl List {
    /// With the options that stood before the word.
    fn and(mut self, before: &List) -> List {
        self.json |= before.json;
        self.completed |= before.completed;
        self.inactive |= before.inactive;
        self.quiet |= before.quiet;
        self.id_only |= before.id_only;
        self
    }

    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let state = context.mesos()?.get("/master/state").await?;
        let mut frameworks: Vec<&Value> = list(&state, "/frameworks").iter().collect();
        if !self.inactive {
            frameworks.retain(|framework| flag(framework, "/active"));
        }
        if self.completed {
            frameworks.extend(list(&state, "/completed_frameworks"));
        }
        if self.json {
            let frameworks = frameworks.into_iter().cloned().collect();
            return Ok(context.io.json(&Value::Array(frameworks))?);
        }
        if self.quiet || self.id_only {
            let pointer = if self.quiet { "/name" } else { "/id" };
            return Ok(frameworks
                .iter()
                .try_for_each(|one| context.io.line(text(one, pointer)))?);
        }
        Ok(context.io.table(&framework_table(&frameworks))?)
    }
}

fn framework_table(frameworks: &[&Value]) -> Table {
    let mut table = Table::new(["NAME", "HOST", "ACTIVE", "TASKS", "CPU", "MEM", "DISK", "ID"]);
    for framework in frameworks {
        let amount = |pointer| format!("{:.1}", number(framework, pointer).unwrap_or(0.0));
        table.row([
            text(framework, "/name").to_owned(),
            text(framework, "/hostname").to_owned(),
            if flag(framework, "/active") { "True" } else { "False" }.to_owned(),
            list(framework, "/tasks").len().to_string(),
            amount("/resources/cpus"),
            amount("/resources/mem"),
            amount("/resources/disk"),
            text(framework, "/id").to_owned(),
        ]);
    }
    table.sort();
    table
}

// === impl ServiceLog ===

impl ServiceLog {
    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        if self.service_name.trim_start_matches('/') == "marathon" {
            bail!("Marathon is part of the cluster: its log is that of the process which runs it");
        }
        let marathon = context.marathon()?;
        let app = self.app(&marathon).await?;
        let answer = marathon.get(&format!("/v2/apps{}/tasks", crate::server::path(&app))).await?;
        let ids: Vec<String> =
            list(&answer, "/tasks").iter().map(|task| text(task, "/id").to_owned()).collect();
        if ids.is_empty() {
            bail!("marathon app [{app}] runs no task");
        }
        Log::of(ids, self.file, self.lines, self.follow).run(context).await
    }

    /// The app that runs the framework of that name, or is called so.
    async fn app(&self, marathon: &Server) -> anyhow::Result<String> {
        let name = &self.service_name;
        let answer = marathon.get("/v2/apps").await?;
        let apps = list(&answer, "/apps");
        let of_framework: Vec<&str> = apps
            .iter()
            .filter(|app| text(app, "/labels/DCOS_PACKAGE_FRAMEWORK_NAME") == name)
            .map(|app| text(app, "/id"))
            .collect();
        match of_framework.as_slice() {
            [one] => return Ok((*one).to_owned()),
            [] => {}
            several => bail!(
                "multiple marathon apps found for service name [{name}]: [{}]",
                several.join(", ")
            ),
        }
        let id = marathon_id(name);
        if apps.iter().any(|app| text(app, "/id") == id) {
            return Ok(id);
        }
        bail!("no marathon apps found for service name [{name}]")
    }
}

// === impl Shutdown ===

impl Shutdown {
    async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let name = &self.service_name;
        if !self.yes {
            let question =
                format!("Do you really want to teardown {name} with all its tasks? [yes/no] ");
            context.io.confirm(&question, "no")?;
        }
        let mesos = context.mesos()?;
        let state = mesos.get("/master/state").await?;
        let id = framework(list(&state, "/frameworks"), name)?;
        let call = json!({"type": "TEARDOWN", "teardown": {"framework_id": {"value": id}}});
        mesos.post("/api/v1", &call).await.map(drop)
    }
}

/// The id of a framework, by its id or its name.
fn framework<'a>(frameworks: &'a [Value], name: &str) -> anyhow::Result<&'a str> {
    if let Some(one) = frameworks.iter().find(|one| text(one, "/id") == name) {
        return Ok(text(one, "/id"));
    }
    let mut named = frameworks.iter().filter(|one| text(one, "/name") == name);
    let found = named.next().with_context(|| format!("no service has the id or name {name:?}"))?;
    if named.next().is_some() {
        bail!("several services are called {name:?}; `dais service list` shows their ids");
    }
    Ok(text(found, "/id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    #[test]
    fn the_table_has_the_columns_of_dcos() {
        let one = json!({"name": "marathon", "hostname": "h", "active": true, "id": "f-1",
            "tasks": [{}], "resources": {"cpus": 0.1, "mem": 32, "disk": 0}});
        let expected = "  \
  NAME      HOST  ACTIVE  TASKS  CPU   MEM  DISK  ID
  marathon  h     True        1  0.1  32.0   0.0  f-1
";
        assert_eq!(framework_table(&[&one]).render(Style::of(false)), expected);
    }

    #[test]
    fn a_framework_is_found_by_id_or_by_a_name_of_its_own() {
        let all = [
            json!({"id": "f-1", "name": "a"}),
            json!({"id": "f-2", "name": "b"}),
            json!({"id": "f-3", "name": "b"}),
        ];
        assert_eq!(framework(&all, "f-3").unwrap(), "f-3");
        assert_eq!(framework(&all, "a").unwrap(), "f-1");
        assert!(framework(&all, "b").unwrap_err().to_string().contains("several"));
        assert!(framework(&all, "c").unwrap_err().to_string().contains("\"c\""));
    }
}
