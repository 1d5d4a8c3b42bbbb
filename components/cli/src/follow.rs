//! Following a deployment: how far it is, why it waits, how it ended.
//!
//! What there is to show is worked out from Marathon's answers by [`AppProgress`], without
//! a terminal or a network; [`Context::follow`] asks for the answers and draws.

mod draw;
mod progress;

pub(crate) use progress::reasons;

use crate::context::Context;
use crate::failure::{Ended, INTERRUPTED, is_final};
use crate::json::{list, some_text, text};
use crate::server::{Server, query};
use crate::terminal::Io;
use anyhow::bail;
use clap::Args;
use draw::Screen;
use progress::AppProgress;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks, at first and after a while.
const SOON: Duration = Duration::from_millis(250);
const LATER: Duration = Duration::from_secs(1);
/// So many looks are soon ones.
const EAGER: u32 = 40;
/// So many questions in a row may go unanswered: Marathon may be starting again.
const PATIENCE: u32 = 60;
/// Of so many apps at most the details are asked for and shown.
const SHOWN_APPS: usize = 10;

/// What is asked for with an app.
const EMBEDS: &str = "apps.taskStats,apps.lastTaskFailure";

/// Whether to wait for a deployment.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Wait {
    /// Wait until the deployment is over, though nobody watches.
    #[arg(long, conflicts_with = "no_wait")]
    wait: bool,
    /// Do not wait, though somebody watches.
    #[arg(long)]
    no_wait: bool,
}

/// A deployment as its start was answered.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    /// The version its apps have when it is done.
    pub(crate) version: Option<String>,
    /// The apps it is about, when they are known already.
    pub(crate) apps: Vec<String>,
}

/// How much longer an answer is waited for.
#[derive(Debug, Default)]
struct Patience {
    unanswered: u32,
}

/// One look at a deployment.
enum Look {
    Running(Vec<AppProgress>),
    Over,
}

// === impl Wait ===

impl Wait {
    /// Whether `--wait` was given: then the end is what counts.
    pub(crate) fn is_asked_for(self) -> bool {
        self.wait
    }

    /// Whether to wait: as asked, else if somebody watches.
    pub(crate) fn is_wanted(self, io: &Io) -> bool {
        self.wait || (io.is_watched() && !self.no_wait)
    }
}

// === impl Deployment ===

impl Deployment {
    /// Out of Marathon's `{deploymentId, version}`.
    pub(crate) fn of(answer: &Value, apps: &[String]) -> Option<Deployment> {
        Some(Deployment {
            id: some_text(answer, "/deploymentId")?.to_owned(),
            version: some_text(answer, "/version").map(str::to_owned),
            apps: apps.to_vec(),
        })
    }
}

impl Context {
    /// Follows a deployment to its end if somebody watches, or if asked to.
    pub(crate) async fn follow(
        &mut self,
        marathon: &Server,
        deployment: Deployment,
        wait: Wait,
    ) -> anyhow::Result<()> {
        if wait.is_wanted(&self.io) {
            self.watch(marathon, deployment, None).await?;
        }
        Ok(())
    }

    /// Follows a deployment until it is over, or Ctrl-C.
    pub(crate) async fn watch(
        &mut self,
        marathon: &Server,
        mut deployment: Deployment,
        interval: Option<Duration>,
    ) -> anyhow::Result<()> {
        self.io.flush()?;
        let mut screen = Screen::new(self.io.can_redraw());
        let end = tokio::select! {
            end = look_until_over(marathon, &mut deployment, interval, &mut screen, self) => end,
            _ = tokio::signal::ctrl_c() => {
                screen.clear();
                self.io.note(format!(
                    "The deployment goes on; `dais marathon deployment watch {}` follows it, \
                     `dais marathon deployment rollback {0}` takes it back.",
                    deployment.id
                ))?;
                return Err(anyhow::Error::new(Ended(INTERRUPTED)));
            }
        };
        screen.clear();
        end?;
        self.outcome(marathon, &deployment).await
    }

    /// The deployment that an app is in, if there is one; asked for with patience.
    pub(crate) async fn deployment_of(
        &mut self,
        marathon: &Server,
        id: &str,
    ) -> anyhow::Result<Option<Deployment>> {
        let mut patience = Patience::default();
        let running = loop {
            match marathon.get("/v2/deployments").await {
                Ok(running) => break running,
                Err(error) => patience.bear(error, self)?,
            }
            sleep(SOON).await;
        };
        let affects =
            |one: &&Value| list(one, "/affectedApps").iter().any(|app| app.as_str() == Some(id));
        Ok(list(&running, "").iter().find(affects).map(|ours| Deployment {
            id: text(ours, "/id").to_owned(),
            version: some_text(ours, "/version").map(str::to_owned),
            apps: vec![id.to_owned()],
        }))
    }

    /// How an app is whose deployment was over before anybody looked: without its version, only
    /// its instances tell.
    pub(crate) async fn settled(&mut self, marathon: &Server, id: &str) -> anyhow::Result<()> {
        let Some(app) = app(marathon, id).await? else {
            bail!("{id} is not there: its deployment was taken back, or somebody removed it");
        };
        let progress = AppProgress::of(&app, None, None);
        if !progress.is_done() {
            bail!(
                "the deployment of {id} is over, but it is not done: {}{}",
                progress.line(),
                failure(&app)
            );
        }
        Ok(self.io.note(progress.line())?)
    }

    /// How a deployment ended: Marathon forgets it, but its apps tell.
    async fn outcome(&mut self, marathon: &Server, deployment: &Deployment) -> anyhow::Result<()> {
        let id = &deployment.id;
        if deployment.apps.is_empty() {
            // It was over before anybody looked, and its apps are not known.
            return Ok(self.io.note(format!("Deployment {id} is over"))?);
        }
        let found = apps(marathon, &deployment.apps).await?;
        let mut lines = Vec::new();
        for app_id in &deployment.apps {
            let Some(app) = found.get(app_id.as_str()) else {
                lines.push(format!("  {app_id}: removed"));
                continue;
            };
            // An app that is done has the version of its deployment; any other is somebody's
            // change since then.
            if let (Some(version), Some(ours)) = (some_text(app, "/version"), &deployment.version)
                && version != ours
            {
                let failure = failure(app);
                bail!(
                    "deployment {id} was taken back or replaced: {app_id} has version {version} \
                     by now, not {ours}{failure}"
                );
            }
            lines.push(format!("  {}", AppProgress::of(app, None, None).line()));
        }
        lines.truncate(SHOWN_APPS);
        if deployment.apps.len() > SHOWN_APPS {
            lines.push(format!("  and {} more", deployment.apps.len() - SHOWN_APPS));
        }
        self.io.note(format!("Deployment {id} is complete"))?;
        for line in lines {
            self.io.note(line)?;
        }
        Ok(())
    }
}

/// Reads a value as each of the answers that following reads, for the fuzzer.
pub(crate) fn read(value: &Value) {
    let _ = Deployment::of(value, &affected(value));
    let _ = AppProgress::of(value, Some("ScaleApplication"), Some(value)).line();
}

async fn look_until_over(
    marathon: &Server,
    deployment: &mut Deployment,
    interval: Option<Duration>,
    screen: &mut Screen,
    context: &mut Context,
) -> anyhow::Result<()> {
    let (mut looks, mut patience) = (0u32, Patience::default());
    loop {
        match look(marathon, deployment).await {
            Ok(Look::Over) => return Ok(()),
            Ok(Look::Running(apps)) => {
                patience = Patience::default();
                for line in screen.show(&apps) {
                    context.io.note(line)?;
                }
            }
            Err(error) => patience.bear(error, context)?,
        }
        looks = looks.saturating_add(1);
        let pause = if looks < EAGER { SOON } else { LATER };
        sleep(interval.unwrap_or(pause)).await;
    }
}

// === impl Patience ===

impl Patience {
    /// Bears with an error that may pass, or gives it back.
    fn bear(&mut self, error: anyhow::Error, context: &mut Context) -> anyhow::Result<()> {
        if self.unanswered == PATIENCE || is_final(&error) {
            return Err(error);
        }
        if self.unanswered == 0 {
            context.io.note("Marathon does not answer; asking again")?;
        }
        self.unanswered += 1;
        Ok(())
    }
}

async fn look(marathon: &Server, deployment: &mut Deployment) -> anyhow::Result<Look> {
    let running = marathon.get("/v2/deployments").await?;
    let ours = list(&running, "").iter().find(|one| text(one, "/id") == deployment.id);
    let Some(ours) = ours else { return Ok(Look::Over) };
    deployment.version = some_text(ours, "/version").map(str::to_owned);
    deployment.apps = affected(ours);
    let queue = marathon.get("/v2/queue").await?;
    let mut apps = Vec::new();
    for id in deployment.apps.iter().take(SHOWN_APPS) {
        let action = list(ours, "/currentActions").iter().find(|one| text(one, "/app") == id);
        let action = action.map(|action| text(action, "/action"));
        let waiting = list(&queue, "/queue").iter().find(|item| text(item, "/app/id") == id);
        if let Some(app) = app(marathon, id).await? {
            apps.push(AppProgress::of(&app, action, waiting));
        }
    }
    Ok(Look::Running(apps))
}

fn affected(deployment: &Value) -> Vec<String> {
    let apps = list(deployment, "/affectedApps").iter().filter_map(Value::as_str);
    let unique: BTreeSet<String> = apps.map(str::to_owned).collect();
    unique.into_iter().collect()
}

/// What an app's last failure adds to a message.
fn failure(app: &Value) -> String {
    match some_text(app, "/lastTaskFailure/message") {
        Some(message) => format!("\n  last failure: {message}"),
        None => String::new(),
    }
}

/// Those of several apps that are there; very many in one request.
async fn apps(marathon: &Server, ids: &[String]) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    if ids.len() <= SHOWN_APPS {
        for id in ids {
            found.extend(app(marathon, id).await?.map(|app| (id.clone(), app)));
        }
        return Ok(found);
    }
    let answer = marathon.get(&format!("/v2/apps{}", query(&[("embed", Some(EMBEDS))]))).await?;
    let wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let ours = list(&answer, "/apps").iter().filter(|app| wanted.contains(text(app, "/id")));
    found.extend(ours.map(|app| (text(app, "/id").to_owned(), app.clone())));
    Ok(found)
}

/// An app with its counts, but without its tasks, which may be very many.
async fn app(marathon: &Server, id: &str) -> anyhow::Result<Option<Value>> {
    let path = format!("/v2/apps{}", query(&[("id", Some(id)), ("embed", Some(EMBEDS))]));
    let found = marathon.get(&path).await?;
    Ok(list(&found, "/apps").iter().find(|app| text(app, "/id") == id).cloned())
}
