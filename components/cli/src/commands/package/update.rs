//! `dais package update`: other options, or another version, for a running service.

use super::install::follow_app;
use super::{Cosmos, options, request};
use crate::context::Context;
use crate::follow::Wait;
use crate::json::{list, marathon_id, some_text, text};
use anyhow::bail;
use clap::Args;
use serde_json::Value;

#[derive(Debug, Args)]
pub struct Update {
    package_name: String,
    /// The application ID; needed where the package is installed more than once.
    #[arg(long)]
    app_id: Option<String>,
    /// A JSON file with options; those that are not in it stay as they are.
    #[arg(long, value_name = "FILE")]
    options: Option<String>,
    /// Forget the options given before: only those of the file count.
    #[arg(long)]
    replace: bool,
    /// The version to go to.
    #[arg(long)]
    package_version: Option<String>,
    /// Assume "yes" is the answer to all prompts.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    wait: Wait,
}

// === impl Update ===

impl Update {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let options = self.options.as_deref().map(options).transpose()?;
        let cosmos = Cosmos::of(context)?;
        let id = self.app(&cosmos).await?;
        let name = &self.package_name;
        if !self.yes {
            let question = format!("Update [{name}] at {id}? [yes/no] ");
            context.io.confirm(&question, "Yes")?;
        }
        let mut body = request([
            ("appId", Some(&id)),
            ("packageName", Some(name)),
            ("packageVersion", self.package_version.as_deref()),
        ]);
        if let Some(body) = body.as_object_mut() {
            body.insert("replace".to_owned(), Value::Bool(self.replace));
            if let Some(options) = options {
                body.insert("options".to_owned(), options);
            }
        }
        let answer = cosmos.call("service", "update", "v1", &body).await?;
        let Some(deployment) = some_text(&answer, "/marathonDeploymentId") else {
            return follow_app(context, &id, self.wait).await;
        };
        context.io.line(format!("Created deployment {deployment}"))?;
        follow_app(context, &id, self.wait).await
    }

    /// The one app that is meant.
    async fn app(&self, cosmos: &Cosmos) -> anyhow::Result<String> {
        if let Some(id) = &self.app_id {
            return Ok(marathon_id(id));
        }
        let name = &self.package_name;
        let installed = cosmos.installed().await?;
        let apps: Vec<&str> = list(&installed, "/packages")
            .iter()
            .filter(|one| text(one, "/packageInformation/packageDefinition/name") == name)
            .map(|one| text(one, "/appId"))
            .collect();
        match apps.as_slice() {
            [] => bail!("Package [{name}] is not installed"),
            [one] => Ok((*one).to_owned()),
            several => bail!(
                "Package [{name}] is installed as {}; name one with --app-id",
                several.join(", ")
            ),
        }
    }
}
