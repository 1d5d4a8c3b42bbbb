//! `dais marathon app`.

use super::{Force, deployed};
use crate::context::Context;
use crate::failure::usage;
use crate::follow::{Deployment, Wait};
use crate::json::{count, flag, list, marathon_id, number, plain, shorten, some_text, text};
use crate::server::{Server, path, query, set};
use crate::table::{NOTHING, Table};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The widest command a list shows.
const CMD_WIDTH: usize = 30;
/// Names in DNS have limits.
const LONGEST_ID: usize = 54;

#[derive(Debug, Subcommand)]
pub enum App {
    /// Add an application.
    Add(Add),
    /// Kill running instances of an application.
    Kill(Kill),
    /// List the installed applications.
    List(List),
    /// Remove an application.
    Remove(Change),
    /// Restart an application: replace every instance by the rules of its upgradeStrategy.
    Restart(Change),
    /// Scale an application.
    Scale {
        #[command(flatten)]
        change: Change,
        /// The number of instances.
        instances: u32,
    },
    /// Show the definition of an application.
    Show(Show),
    /// Start an application that has no instances.
    Start {
        #[command(flatten)]
        change: Change,
        /// The number of instances.
        #[arg(default_value_t = 1)]
        instances: u32,
    },
    /// Stop an application: scale it to no instances.
    Stop(Change),
    /// Update an application.
    Update(Update),
    /// Manage the versions of an application.
    #[command(subcommand)]
    Version(Version),
}

#[derive(Debug, Args)]
pub struct Add {
    /// A file or URL with the app's JSON; absent, or -, standard input.
    app_resource: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, Args)]
pub struct Kill {
    app_id: String,
    /// Scale the app down by what was killed.
    #[arg(long)]
    scale: bool,
    /// Only instances on this host.
    #[arg(long)]
    host: Option<String>,
}

#[derive(Debug, Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Display ids only.
    #[arg(short, long)]
    quiet: bool,
}

/// An app to change.
#[derive(Debug, Args)]
pub struct Change {
    app_id: String,
    #[command(flatten)]
    force: Force,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, Args)]
pub struct Show {
    app_id: String,
    /// A version: a timestamp, or a negative number of versions before the current one.
    #[arg(long, allow_negative_numbers = true)]
    app_version: Option<String>,
}

#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    change: Change,
    /// What to change, as cpus=2.0 mem=308; absent, a JSON object on standard input.
    properties: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Version {
    /// List the version history of an application.
    List {
        app_id: String,
        /// The most versions to list.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        max_count: Option<u32>,
    },
}

// === impl App ===

impl App {
    pub(super) async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        match self {
            App::Add(add) => add.run(context, marathon).await,
            App::Kill(kill) => kill.run(context, marathon).await,
            App::List(list) => list.run(context, marathon).await,
            App::Remove(change) => change.remove(context, marathon).await,
            App::Restart(change) => change.restart(context, marathon).await,
            App::Scale { change, instances } => change.scale(context, marathon, instances).await,
            App::Show(show) => show.run(context, marathon).await,
            App::Start { change, instances } => change.start(context, marathon, instances).await,
            App::Stop(change) => change.stop(context, marathon).await,
            App::Update(update) => update.run(context, marathon).await,
            App::Version(Version::List { app_id, max_count }) => {
                let most = max_count.map_or(usize::MAX, |most| most as usize);
                let versions = versions(marathon, &app_id).await?;
                let versions = versions.into_iter().take(most).map(Value::String).collect();
                Ok(context.io.narrow_json(&Value::Array(versions))?)
            }
        }
    }
}

// === impl Add ===

impl Add {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let example = "dais marathon app add < app.json";
        let app = context.read_json(self.app_resource.as_deref(), example).await?;
        let id = some_text(&app, "/id").context("application ID must be set: \"id\" is missing")?;
        let id = marathon_id(id);
        if id.trim_start_matches('/').len() > LONGEST_ID {
            let text = "Service IDs must be less than 55 characters in order to have SRV records \
                        generated correctly.";
            context.io.note(text)?;
        }
        let created = match marathon.post("/v2/apps", &app).await {
            Err(error) if exists(&error) => bail!("Application '{id}' already exists"),
            created => created?,
        };
        let deployment =
            list(&created, "/deployments").first().and_then(|one| some_text(one, "/id"));
        let deployment = deployment.context("Marathon names no deployment")?.to_owned();
        let version = some_text(&created, "/version").map(str::to_owned);
        context.io.line(format!("Created deployment {deployment}"))?;
        let deployment = Deployment { id: deployment, version, apps: vec![id] };
        context.follow(marathon, deployment, self.wait).await
    }
}

/// Whether an app was refused because there is one already, and not because of a deployment.
fn exists(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<crate::failure::Refused>();
    refused.is_some_and(|refused| refused.status == 409 && refused.message.contains("exist"))
}

// === impl Kill ===

impl Kill {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        if self.scale && self.host.is_some() {
            return Err(usage("--scale and --host cannot be used at the same time"));
        }
        let id = marathon_id(&self.app_id);
        let query = query(&[("scale", set(self.scale)), ("host", self.host.as_deref())]);
        let answer = marathon.delete(&format!("/v2/apps{}/tasks{query}", path(&id))).await?;
        if self.scale {
            return Ok(context.io.line(format!("Started deployment: {answer}"))?);
        }
        let killed = answer.pointer("/tasks").cloned().unwrap_or_else(|| json!([]));
        context.io.line(format!("Killed tasks: {killed}"))?;
        if list(&answer, "/tasks").is_empty() { Err(crate::commands::said()) } else { Ok(()) }
    }
}

// === impl List ===

impl List {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let answer = marathon.get("/v2/apps").await?;
        let apps = list(&answer, "/apps");
        if self.quiet {
            return Ok(apps.iter().try_for_each(|app| context.io.line(text(app, "/id")))?);
        }
        if self.json {
            return Ok(context.io.json(answer.pointer("/apps").unwrap_or(&json!([])))?);
        }
        let (deployments, queue) =
            tokio::try_join!(marathon.get("/v2/deployments"), marathon.get("/v2/queue"))?;
        Ok(context.io.table(&app_table(apps, &deployments, &queue))?)
    }
}

pub(super) fn app_table(apps: &[Value], deployments: &Value, queue: &Value) -> Table {
    let header = [
        "ID",
        "MEM",
        "CPUS",
        "TASKS",
        "HEALTH",
        "DEPLOYMENT",
        "WAITING",
        "CONTAINER",
        "CMD",
        "ROLE",
    ];
    let waiting: BTreeMap<&str, bool> = list(queue, "/queue")
        .iter()
        .map(|item| (text(item, "/app/id"), flag(item, "/delay/overdue")))
        .collect();
    let mut actions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for action in list(deployments, "").iter().flat_map(|one| list(one, "/currentActions")) {
        let word = super::action(text(action, "/action"));
        actions.entry(text(action, "/app")).or_default().push(word);
    }
    let mut table = Table::new(header);
    for app in apps {
        let id = text(app, "/id");
        let running = count(app, "/tasksRunning");
        let health = if list(app, "/healthChecks").is_empty() {
            NOTHING.to_owned()
        } else {
            format!("{}/{running}", count(app, "/tasksHealthy"))
        };
        let deployment = match actions.get(id).map_or(&[][..], Vec::as_slice) {
            [] => NOTHING.to_owned(),
            [one] => (*one).to_owned(),
            several => format!("({})", several.join(",")),
        };
        table.row([
            id.to_owned(),
            number(app, "/mem").map(plain).unwrap_or_default(),
            number(app, "/cpus").map(plain).unwrap_or_default(),
            format!("{running}/{}", count(app, "/instances")),
            health,
            deployment,
            waiting.get(id).is_some_and(|waiting| *waiting).to_string(),
            some_text(app, "/container/type").unwrap_or("MESOS").to_owned(),
            command(app),
            text(app, "/role").to_owned(),
        ]);
    }
    table.sort();
    table
}

fn command(app: &Value) -> String {
    if let Some(cmd) = some_text(app, "/cmd") {
        return shorten(cmd, CMD_WIDTH);
    }
    let args: Vec<&str> = list(app, "/args").iter().filter_map(Value::as_str).collect();
    if args.is_empty() {
        return NOTHING.to_owned();
    }
    shorten(&format!("[{}]", args.join(", ")), CMD_WIDTH)
}

// === impl Change ===

impl Change {
    fn path(&self, below: &str) -> String {
        let query = query(&[("force", set(self.force.force))]);
        format!("/v2/apps{}{below}{query}", path(&self.id()))
    }

    fn id(&self) -> String {
        marathon_id(&self.app_id)
    }

    async fn put(
        &self,
        context: &mut Context,
        marathon: &Server,
        body: &Value,
    ) -> anyhow::Result<()> {
        let answer = marathon.put(&self.path(""), body).await?;
        deployed(context, marathon, &answer, &[self.id()], self.wait).await
    }

    /// How many instances the app should have; an error if there is no such app.
    async fn instances(&self, marathon: &Server) -> anyhow::Result<u64> {
        Ok(count(&find(marathon, &self.id()).await?, "/instances"))
    }

    async fn remove(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        // Marathon's own default for force is true here; the flag decides, as in the dcos CLI.
        let force = if self.force.force { "true" } else { "false" };
        let path = format!("/v2/apps{}{}", path(&self.id()), query(&[("force", Some(force))]));
        let answer = marathon.delete(&path).await?;
        match Deployment::of(&answer, &[self.id()]) {
            Some(deployment) => context.follow(marathon, deployment, self.wait).await,
            None => Ok(()),
        }
    }

    async fn restart(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        if self.instances(marathon).await? == 0 {
            bail!(
                "unable to perform rolling restart of application '{}' because it has no \
                 running tasks",
                self.id()
            );
        }
        let answer = marathon.post(&self.path("/restart"), &json!({})).await?;
        deployed(context, marathon, &answer, &[self.id()], self.wait).await
    }

    async fn scale(
        self,
        context: &mut Context,
        marathon: &Server,
        instances: u32,
    ) -> anyhow::Result<()> {
        // A PUT would make an app of a mistyped id.
        self.instances(marathon).await?;
        self.put(context, marathon, &json!({"instances": instances})).await
    }

    async fn start(
        self,
        context: &mut Context,
        marathon: &Server,
        instances: u32,
    ) -> anyhow::Result<()> {
        if instances == 0 {
            return Err(usage("the number of instances must be positive: 0"));
        }
        match self.instances(marathon).await? {
            0 => self.put(context, marathon, &json!({"instances": instances})).await,
            running => bail!("application '{}' already started: {running} instances", self.id()),
        }
    }

    async fn stop(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        if self.instances(marathon).await? == 0 {
            bail!("app '{}' already stopped: 0 instances", self.id());
        }
        self.put(context, marathon, &json!({"instances": 0})).await
    }
}

// === impl Update ===

impl Update {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let example = "dais marathon app update your-app-id < app_update.json";
        let body = context.read_properties(&self.properties, example).await?;
        self.change.instances(marathon).await?;
        self.change.put(context, marathon, &body).await
    }
}

// === impl Show ===

impl Show {
    async fn run(self, context: &mut Context, marathon: &Server) -> anyhow::Result<()> {
        let id = marathon_id(&self.app_id);
        let app = match &self.app_version {
            None => {
                let answer = marathon.get(&format!("/v2/apps{}", path(&id))).await?;
                answer.pointer("/app").cloned().unwrap_or_default()
            }
            Some(version) => {
                let version = absolute(marathon, &id, version).await?;
                let path = format!("/v2/apps{}/versions/{}", path(&id), path(&version));
                marathon.get(&path).await?
            }
        };
        Ok(context.io.json(&app)?)
    }
}

/// A version as Marathon names it.
async fn absolute(marathon: &Server, id: &str, version: &str) -> anyhow::Result<String> {
    let Ok(behind) = version.parse::<i64>() else { return Ok(version.to_owned()) };
    if behind >= 0 {
        return Err(usage(format!("relative versions must be negative: {behind}")));
    }
    let versions = versions(marathon, id).await?;
    let index = usize::try_from(behind.unsigned_abs()).unwrap_or(usize::MAX);
    versions
        .get(index)
        .cloned()
        .with_context(|| format!("application '{id}' only has {} version(s)", versions.len()))
}

async fn versions(marathon: &Server, id: &str) -> anyhow::Result<Vec<String>> {
    let id = marathon_id(id);
    let answer = marathon.get(&format!("/v2/apps{}/versions", path(&id))).await?;
    let versions = list(&answer, "/versions").iter().filter_map(Value::as_str);
    Ok(versions.map(str::to_owned).collect())
}

/// An app without its tasks, which may be many.
pub(super) async fn find(marathon: &Server, id: &str) -> anyhow::Result<Value> {
    let answer = marathon.get(&format!("/v2/apps{}", query(&[("id", Some(id))]))).await?;
    let found = list(&answer, "/apps").iter().find(|app| text(app, "/id") == id);
    found.cloned().with_context(|| format!("app '{id}' does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    #[test]
    fn the_list_has_the_columns_of_dcos() {
        let apps = [
            json!({"id": "/web", "mem": 128, "cpus": 0.1, "instances": 3, "tasksRunning": 2,
                "tasksHealthy": 1, "healthChecks": [{}], "role": "slave_public",
                "cmd": "a very long command that nobody wants to see", "deployments": [{"id": "d"}]}),
            json!({"id": "/a", "mem": 32, "cpus": 1, "instances": 1, "tasksRunning": 0,
                "args": ["x", "y"], "container": {"type": "DOCKER"}, "role": "*"}),
        ];
        let deployments =
            json!([{"id": "d", "currentActions": [{"action": "ScaleApplication", "app": "/web"}]}]);
        let queue = json!({"queue": [{"app": {"id": "/a"}, "delay": {"overdue": true}}]});
        let table = app_table(&apps, &deployments, &queue).render(Style::of(false));
        let expected = "  \
  ID    MEM  CPUS  TASKS  HEALTH  DEPLOYMENT  WAITING  CONTAINER  CMD                             ROLE
  /a     32     1  0/1    ---     ---         true     DOCKER     [x, y]                          *
  /web  128   0.1  2/3    1/2     scale       false    MESOS      a very long command that no...  slave_public
";
        assert_eq!(table, expected);
    }
}
