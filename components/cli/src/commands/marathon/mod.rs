//! `dais marathon`: apps, groups, deployments and tasks.

mod app;
mod debug;
mod deployment;
mod group;
mod tasks;

use crate::context::Context;
use crate::follow::{Deployment, Wait};
use crate::json::{list, marathon_id, some_text, text};
use crate::server::{Server, path};
use crate::table::Table;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

/// Words of the actions of a deployment, as the dcos CLI has them.
const ACTIONS: [(&str, &str); 10] = [
    ("ResolveArtifacts", "artifacts"),
    ("ScaleApplication", "scale"),
    ("StartApplication", "start"),
    ("StopApplication", "stop"),
    ("RestartApplication", "restart"),
    ("ScalePod", "scale"),
    ("StartPod", "start"),
    ("StopPod", "stop"),
    ("RestartPod", "restart"),
    ("KillAllOldTasksOf", "kill-tasks"),
];

#[derive(Debug, Subcommand)]
pub enum Marathon {
    /// Print what Marathon is and how it is set up.
    About,
    /// Manage apps.
    #[command(subcommand)]
    App(app::App),
    /// Look into launches that wait.
    #[command(subcommand)]
    Debug(debug::Debug),
    /// Control the delay before failing apps start again.
    #[command(subcommand)]
    Delay(Delay),
    /// Manage deployments.
    #[command(subcommand)]
    Deployment(deployment::Deployments),
    /// Manage groups.
    #[command(subcommand)]
    Group(group::Group),
    /// Show or end the leadership.
    #[command(subcommand)]
    Leader(Leader),
    /// Ensure Marathon is up and responding.
    Ping {
        /// Ask once, whatever the number of masters.
        #[arg(long)]
        once: bool,
    },
    /// Manage Marathon plugins.
    #[command(subcommand)]
    Plugin(Plugin),
    /// Manage pods, which come later.
    #[command(disable_help_flag = true)]
    Pod {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<String>,
    },
    /// Manage tasks of apps.
    #[command(subcommand)]
    Task(tasks::Tasks),
}

#[derive(Debug, Subcommand)]
pub enum Delay {
    /// Reset the current delay (if any) of the application.
    Reset { app_id: String },
}

#[derive(Debug, Subcommand)]
pub enum Leader {
    /// End the current leadership; another Marathon, or the same one anew, takes over.
    Delete,
    /// Print the leader.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// List plugins.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `--force`, wherever something is changed.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Force {
    /// Override deployments that are in the way.
    #[arg(long)]
    force: bool,
}

// === impl Marathon ===

impl Marathon {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        if let Marathon::Pod { .. } = self {
            bail!("pods come later; this version of Dais deploys apps");
        }
        let marathon = context.marathon()?;
        match self {
            Marathon::About => {
                let info = marathon.get("/v2/info").await?;
                Ok(context.io.json(&info)?)
            }
            Marathon::App(command) => command.run(context, &marathon).await,
            Marathon::Debug(command) => command.run(context, &marathon).await,
            Marathon::Delay(Delay::Reset { app_id }) => {
                let id = marathon_id(&app_id);
                marathon.delete(&format!("/v2/queue{}/delay", path(&id))).await?;
                Ok(context.io.line(format!("Delay on [{id}] has been reset"))?)
            }
            Marathon::Deployment(command) => command.run(context, &marathon).await,
            Marathon::Group(command) => command.run(context, &marathon).await,
            Marathon::Leader(Leader::Delete) => {
                let answer = marathon.delete("/v2/leader").await?;
                Ok(context.io.line(text(&answer, "/message"))?)
            }
            Marathon::Leader(Leader::Show { json }) => leader(context, &marathon, json).await,
            Marathon::Ping { .. } => {
                // Which of several masters answers is the gateway's choice: one is asked.
                let accept = http::HeaderValue::from_static("*/*");
                marathon.call(http::Method::GET, "/ping", None, None, Some(accept)).await?;
                Ok(context.io.line("Marathon ping response[1x]: \"pong\"")?)
            }
            Marathon::Plugin(Plugin::List { json }) => plugins(context, &marathon, json).await,
            Marathon::Task(command) => command.run(context, &marathon).await,
            Marathon::Pod { .. } => Ok(()),
        }
    }
}

async fn leader(context: &mut Context, marathon: &Server, json: bool) -> anyhow::Result<()> {
    let answer = marathon.get("/v2/leader").await?;
    let leader = some_text(&answer, "/leader").context("Marathon names no leader")?;
    let (host, port) = leader.rsplit_once(':').unwrap_or((leader, ""));
    if json {
        let value = serde_json::json!({"host": "marathon.mesos.", "ip": host, "port": port});
        return Ok(context.io.json(&value)?);
    }
    let mut table = Table::new(["HOST", "IP", "PORT"]);
    table.row(["marathon.mesos.", host, port].map(str::to_owned));
    Ok(context.io.table(&table)?)
}

async fn plugins(context: &mut Context, marathon: &Server, json: bool) -> anyhow::Result<()> {
    let answer = marathon.get("/v2/plugins").await?;
    if json {
        return Ok(context.io.json(&answer)?);
    }
    let mut table = Table::new(["ID", "IMPLEMENTATION", "PLUGIN"]);
    for plugin in list(&answer, "/plugins") {
        let cell = |pointer| text(plugin, pointer).to_owned();
        table.row(["/id", "/implementation", "/plugin"].map(cell));
    }
    table.sort();
    Ok(context.io.table(&table)?)
}

/// Tables out of any value, for the fuzzer.
pub(super) fn show(value: &Value) -> Vec<Table> {
    let one = std::slice::from_ref(value);
    vec![
        app::app_table(list(value, "/apps"), value, value),
        app::app_table(one, value, value),
        deployment::deployment_table(one),
        group::group_table(one),
        tasks::task_table(list(value, "/tasks")),
        debug::queue_table(list(value, "/queue")),
        debug::summary_table(value),
        debug::details_table(value),
    ]
}

/// Says that a deployment was made of a change, and follows it where that is wanted.
async fn deployed(
    context: &mut Context,
    marathon: &Server,
    answer: &Value,
    apps: &[String],
    wait: Wait,
) -> anyhow::Result<()> {
    let deployment = Deployment::of(answer, apps).context("Marathon names no deployment")?;
    context.io.line(format!("Created deployment {}", deployment.id))?;
    context.follow(marathon, deployment, wait).await
}

/// The word for an action.
fn action(action: &str) -> &str {
    ACTIONS.iter().find(|(name, _)| *name == action).map_or(action, |(_, word)| word)
}
