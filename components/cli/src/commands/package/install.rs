//! `dais package install`.

use super::{Cosmos, options, request};
use crate::context::Context;
use crate::failure::usage;
use crate::follow::Wait;
use crate::json::{flag, some_text, text};
use clap::Args;
use serde_json::Value;

#[derive(Debug, Args)]
pub struct Install {
    package_name: String,
    /// Application only.
    #[arg(long)]
    app: bool,
    /// The application ID.
    #[arg(long)]
    app_id: Option<String>,
    /// Command line only.
    #[arg(long)]
    cli: bool,
    /// A JSON file with options; `dais package describe --config` shows which there are.
    #[arg(long, value_name = "FILE")]
    options: Option<String>,
    /// The package version.
    #[arg(long)]
    package_version: Option<String>,
    /// Assume "yes" is the answer to all prompts.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

// === impl Install ===

impl Install {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        if self.cli && self.app {
            return Err(usage("--app and --cli are mutually exclusive"));
        }
        let options = self.options.as_deref().map(options).transpose()?;
        let cosmos = Cosmos::of(context)?;
        let described =
            cosmos.describe(&self.package_name, self.package_version.as_deref()).await?;
        let package = described.pointer("/package").cloned().unwrap_or_default();
        if self.cli {
            return no_commands(context, &package);
        }
        self.prepare(context, &package)?;
        if some_text(&package, "/marathon/v2AppMustacheTemplate").is_some() {
            self.install(context, &cosmos, &package, options).await?;
        }
        if !self.app {
            no_commands(context, &package)?;
        }
        if let Some(notes) = some_text(&package, "/postInstallNotes") {
            context.io.note(notes)?;
        }
        Ok(())
    }

    /// What a person should know before, and may still decline.
    fn prepare(&self, context: &mut Context, package: &Value) -> anyhow::Result<()> {
        if !flag(package, "/selected") {
            context.io.note(
                "This is a Community service. Community services are not tested for production \
                 environments. There may be bugs, incomplete features, incorrect documentation, \
                 or other discrepancies.",
            )?;
        }
        if let Some(notes) = some_text(package, "/preInstallNotes") {
            context.io.note(notes)?;
        }
        if self.yes {
            return Ok(());
        }
        context.io.confirm("Continue installing? [yes/no] ", "Yes")
    }

    async fn install(
        &self,
        context: &mut Context,
        cosmos: &Cosmos,
        package: &Value,
        options: Option<Value>,
    ) -> anyhow::Result<()> {
        let version = text(package, "/version");
        let name = &self.package_name;
        context
            .io
            .note(format!("Installing Marathon app for package [{name}] version [{version}]"))?;
        let mut body = request([
            ("packageName", Some(name)),
            ("packageVersion", some_text(package, "/version")),
            ("appId", self.app_id.as_deref()),
        ]);
        if let (Some(body), Some(options)) = (body.as_object_mut(), options) {
            body.insert("options".to_owned(), options);
        }
        let answer = cosmos.call("package", "install", "v2", &body).await?;
        let Some(id) = some_text(&answer, "/appId") else { return Ok(()) };
        follow_app(context, id, self.wait).await
    }
}

/// Follows the deployment of an app that somebody else made.
pub(super) async fn follow_app(context: &mut Context, id: &str, wait: Wait) -> anyhow::Result<()> {
    if !wait.is_wanted(&context.io) {
        return Ok(());
    }
    let found = match context.marathon() {
        Ok(marathon) => context.deployment_of(&marathon, id).await.map(|found| (marathon, found)),
        Err(error) => Err(error),
    };
    match found {
        Ok((marathon, Some(deployment))) => context.follow(&marathon, deployment, wait).await,
        // It was over before we looked.
        Ok((marathon, None)) => context.settled(&marathon, id).await,
        Err(error) if wait.is_asked_for() => Err(error
            .context(format!("{id} is accepted, but how far its deployment is cannot be told"))),
        // What was asked for is done; only the sight of it is missing.
        Err(error) => Ok(context.io.note(format!(
            "{id} is accepted, but how far its deployment is cannot be told: {error:#}"
        ))?),
    }
}

/// Commands of packages need the dcos CLI's plugins. Scripts install them in passing: to say so
/// is enough.
fn no_commands(context: &mut Context, package: &Value) -> anyhow::Result<()> {
    if package.pointer("/resource/cli").is_some() || package.pointer("/command").is_some() {
        let name = text(package, "/name");
        context.io.note(format!(
            "Package [{name}] brings commands for the dcos CLI, which dais does not load"
        ))?;
    }
    Ok(())
}
