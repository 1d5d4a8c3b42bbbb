//! `dais package list` and `uninstall`: what is installed.

use super::{Cosmos, request};
use crate::context::Context;
use crate::failure::usage;
use crate::json::{flag, list, shorten, some_text, text};
use crate::table::{NOTHING, Table};
use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value, json};

/// The widest description a list shows.
const DESCRIPTION_WIDTH: usize = 70;
/// So often may a confirmation be mistyped.
const ATTEMPTS: usize = 3;

#[derive(Debug, Args)]
pub struct List {
    /// A part of a package's name or of an app's id.
    package_name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The application ID.
    #[arg(long, conflicts_with = "package_name")]
    app_id: Option<String>,
    /// Command line only.
    #[arg(long)]
    cli: bool,
    /// Display names only.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Debug, Args)]
pub struct Uninstall {
    package_name: String,
    /// All applications of the package.
    #[arg(long)]
    all: bool,
    /// Application only.
    #[arg(long)]
    app: bool,
    /// The application ID.
    #[arg(long)]
    app_id: Option<String>,
    /// Command line only.
    #[arg(long)]
    cli: bool,
    /// Assume "yes" is the answer to all prompts.
    #[arg(long)]
    yes: bool,
}

// === impl List ===

impl List {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let answer = match self.cli {
            // Commands of packages are never installed here.
            true => json!({}),
            false => Cosmos::of(context)?.installed().await?,
        };
        let mut packages = by_version(list(&answer, "/packages"));
        packages.retain(|package| self.fits(package));
        if self.json {
            return Ok(context.io.json(&Value::Array(packages))?);
        }
        if self.quiet {
            let names = packages.iter().map(|package| text(package, "/name"));
            return Ok(names.into_iter().try_for_each(|name| context.io.line(name))?);
        }
        if packages.is_empty() {
            bail!("cannot find packages matching the provided filter");
        }
        Ok(context.io.table(&package_table(&packages))?)
    }

    fn fits(&self, package: &Value) -> bool {
        let apps = || list(package, "/apps").iter().filter_map(Value::as_str);
        if let Some(id) = &self.app_id {
            return apps().any(|app| app == id || app == crate::json::marathon_id(id));
        }
        let Some(query) = &self.package_name else { return true };
        text(package, "/name").contains(query) || apps().any(|app| app.contains(query.as_str()))
    }
}

/// One object for each package and version, with its apps, as the dcos CLI prints it.
fn by_version(installed: &[Value]) -> Vec<Value> {
    let mut packages: Vec<Map<String, Value>> = Vec::new();
    for one in installed {
        let definition = one.pointer("/packageInformation/packageDefinition");
        let Some(Value::Object(definition)) = definition else { continue };
        let id = text(one, "/appId").to_owned();
        let same = |known: &&mut Map<String, Value>| {
            ["name", "version"].iter().all(|key| known.get(*key) == definition.get(*key))
        };
        match packages.iter_mut().find(same) {
            Some(known) => {
                if let Some(Value::Array(apps)) = known.get_mut("apps") {
                    apps.push(Value::String(id));
                }
            }
            None => {
                let mut package = Map::new();
                package.insert("apps".to_owned(), json!([id]));
                package.extend(definition.clone());
                packages.push(package);
            }
        }
    }
    let mut packages: Vec<Value> = packages.into_iter().map(Value::Object).collect();
    packages.sort_by_key(|package| {
        (text(package, "/name").to_owned(), text(package, "/version").to_owned())
    });
    packages
}

fn package_table(packages: &[Value]) -> Table {
    let header = ["NAME", "VERSION", "CERTIFIED", "APP", "COMMAND", "DESCRIPTION"];
    let mut table = Table::new(header);
    for package in packages {
        let apps: Vec<&str> = list(package, "/apps").iter().filter_map(Value::as_str).collect();
        table.row([
            text(package, "/name").to_owned(),
            text(package, "/version").to_owned(),
            flag(package, "/selected").to_string(),
            if apps.is_empty() { NOTHING.to_owned() } else { apps.join("\n") },
            NOTHING.to_owned(),
            shorten(text(package, "/description"), DESCRIPTION_WIDTH),
        ]);
    }
    table
}

// === impl Uninstall ===

impl Uninstall {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        if self.cli && (self.app || self.app_id.is_some() || self.all) {
            return Err(usage("--cli cannot be used with --app, --app-id, or --all"));
        }
        let name = &self.package_name;
        let cosmos = Cosmos::of(context)?;
        let installed = by_version(list(&cosmos.installed().await?, "/packages"));
        if self.cli || !installed.iter().any(|package| text(package, "/name") == name) {
            bail!("Package [{name}] is not installed");
        }
        self.confirm(context)?;
        let mut body = request([("packageName", Some(name)), ("appId", self.app_id.as_deref())]);
        if let (true, Some(body)) = (self.all, body.as_object_mut()) {
            body.insert("all".to_owned(), Value::Bool(true));
        }
        let answer = cosmos.call("package", "uninstall", "v1", &body).await?;
        for result in list(&answer, "/results") {
            let (name, version) = (text(result, "/packageName"), text(result, "/packageVersion"));
            context.io.note(format!("Uninstalled package [{name}] version [{version}]"))?;
            if let Some(notes) = some_text(result, "/postUninstallNotes") {
                context.io.note(notes)?;
            }
        }
        Ok(())
    }

    /// What is lost cannot be had back, so that the name has to be typed.
    fn confirm(&self, context: &mut Context) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        let name = self.app_id.as_deref().unwrap_or(&self.package_name);
        let (warning, question, expected) = if self.all {
            (
                format!(
                    "WARNING: This action cannot be undone. This will uninstall all instances of \
                     the [{name}] package, and delete all data for all {name} instances."
                ),
                format!("Please type 'uninstall all {name}': "),
                format!("uninstall all {name}"),
            )
        } else {
            let question = match self.app_id {
                Some(_) => "Please type the full name of the app ID to confirm: ",
                None => "Please type the name of the service to confirm: ",
            };
            (
                format!(
                    "WARNING: This action cannot be undone. This will uninstall [{name}] and \
                     delete all of its persistent data (logs, configurations, database \
                     artifacts, everything)."
                ),
                question.to_owned(),
                name.to_owned(),
            )
        };
        context.io.note(warning)?;
        for _ in 0..ATTEMPTS {
            let Some(answer) = context.io.ask(&question)? else { break };
            if answer == expected {
                return Ok(());
            }
            context.io.note(format!("Expected '{expected}'. You supplied '{answer}'."))?;
        }
        bail!("cancelling uninstall")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    #[test]
    fn apps_of_one_version_share_a_row() {
        let one = |app: &str, name: &str, version: &str| {
            json!({"appId": app, "packageInformation": {"packageDefinition":
                {"name": name, "version": version, "selected": true, "description": "It says hi\nx"}}})
        };
        let installed = [one("/b", "web", "2"), one("/a", "hello", "1"), one("/c", "web", "2")];
        let packages = by_version(&installed);
        assert_eq!(packages[1]["apps"], json!(["/b", "/c"]));
        let expected = "  \
  NAME   VERSION  CERTIFIED  APP  COMMAND  DESCRIPTION
  hello        1  true       /a   ---      It says hi...
  web          2  true       /b   ---      It says hi...
                             /c
";
        assert_eq!(package_table(&packages).render(Style::of(false)), expected);
    }
}
