//! `dais package describe`.

use super::{Cosmos, options, request};
use crate::context::Context;
use crate::json::text;
use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

#[derive(Debug, Args)]
pub struct Describe {
    package_name: String,
    /// Application only: the template of its definition.
    #[arg(long)]
    app: bool,
    /// The application ID.
    #[arg(long)]
    app_id: Option<String>,
    /// Command line only.
    #[arg(long)]
    cli: bool,
    /// Print the configurable properties.
    #[arg(long)]
    config: bool,
    /// A JSON file with options, to render the definition with.
    #[arg(long, value_name = "FILE")]
    options: Option<String>,
    /// The package version.
    #[arg(long)]
    package_version: Option<String>,
    /// Display all versions of this package.
    #[arg(long)]
    package_versions: bool,
    /// With --app: the definition as it would be installed.
    #[arg(long)]
    render: bool,
}

// === impl Describe ===

impl Describe {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let options = self.options.as_deref().map(options).transpose()?;
        if !self.app && (self.render || options.is_some() || self.app_id.is_some()) {
            let text = "--render, --options and --app-id only count together with --app";
            context.io.note(text)?;
        }
        let cosmos = Cosmos::of(context)?;
        if self.package_versions {
            let versions = self.versions(&cosmos).await?;
            return Ok(context.io.narrow_json(&versions)?);
        }
        if self.app && (self.render || options.is_some() || self.app_id.is_some()) {
            let rendered = self.rendered(&cosmos, options).await?;
            return Ok(context.io.narrow_json(&rendered)?);
        }
        let version = self.package_version.as_deref();
        let described = cosmos.describe(&self.package_name, version).await?;
        if self.app {
            let template = text(&described, "/package/marathon/v2AppMustacheTemplate");
            if template.is_empty() {
                let name = &self.package_name;
                return Ok(context.io.note(format!("Package [{name}] has no application"))?);
            }
            let template = STANDARD.decode(template).context("the template is no base64")?;
            return Ok(context.io.bytes(&template)?);
        }
        let part = match (self.cli, self.config) {
            (true, _) => ["/package/resource/cli", "/package/command"]
                .iter()
                .find_map(|pointer| described.pointer(pointer)),
            (false, true) => Some(described.pointer("/package/config").unwrap_or(&Value::Null)),
            (false, false) => Some(&described),
        };
        match part {
            Some(part) => Ok(context.io.narrow_json(part)?),
            None => {
                let name = &self.package_name;
                Ok(context.io.note(format!("Package [{name}] has no commands"))?)
            }
        }
    }

    async fn versions(&self, cosmos: &Cosmos) -> anyhow::Result<Value> {
        let body = json!({"packageName": self.package_name, "includePackageVersions": true});
        let answer = cosmos.call("package", "list-versions", "v1", &body).await?;
        let results = answer.pointer("/results").and_then(Value::as_object);
        let mut versions: Vec<String> =
            results.map(|results| results.keys().cloned().collect()).unwrap_or_default();
        versions.sort();
        Ok(json!(versions))
    }

    async fn rendered(&self, cosmos: &Cosmos, options: Option<Value>) -> anyhow::Result<Value> {
        let mut body = request([
            ("packageName", Some(&self.package_name)),
            ("packageVersion", self.package_version.as_deref()),
            ("appId", self.app_id.as_deref()),
        ]);
        if let (Some(body), Some(options)) = (body.as_object_mut(), options) {
            body.insert("options".to_owned(), options);
        }
        let answer = cosmos.call("package", "render", "v1", &body).await?;
        Ok(answer.pointer("/marathonJson").cloned().unwrap_or_default())
    }
}
