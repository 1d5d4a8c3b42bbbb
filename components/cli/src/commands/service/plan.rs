//! `dais service plan`: what deploying a file would change and do, and nothing done.

mod report;

use crate::context::Context;
use crate::json::{list, marathon_id, some_text, text};
use crate::server::{Server, path};
use crate::terminal::Style;
use anyhow::{Context as _, bail};
use clap::Args;
use report::lines;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// A file or URL with the JSON of an app, a list of apps, or a group; absent, or -,
    /// standard input.
    file: Option<String>,
    /// Print the plan as JSON.
    #[arg(long)]
    json: bool,
}

/// What a file describes.
#[derive(Debug)]
enum Target {
    App(String),
    Apps,
    Group(String),
}

// === impl Plan ===

impl Plan {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let value = context.read_json(self.file.as_deref(), "dais service plan < app.json").await?;
        let target = Target::of(&value)?;
        let marathon = context.marathon()?;
        target.check(&marathon).await?;
        let plan = marathon.put(&target.path(), &value).await?;
        if self.json {
            return Ok(context.io.json(&plan)?);
        }
        let named = named(&value);
        for line in lines(&plan, &named, context.io.style()) {
            context.io.painted_line(&line)?;
        }
        Ok(())
    }
}

// === impl Target ===

impl Target {
    fn of(value: &Value) -> anyhow::Result<Target> {
        let id = |value: &Value| some_text(value, "/id").map(marathon_id);
        match value {
            Value::Array(apps) => match apps.iter().position(|app| id(app).is_none()) {
                Some(index) => bail!("\"id\" is missing in number {} of the list", index + 1),
                None => Ok(Target::Apps),
            },
            Value::Object(fields) => {
                let id = id(value).context("\"id\" is missing")?;
                let is_group = fields.contains_key("apps") || fields.contains_key("groups");
                Ok(if is_group { Target::Group(id) } else { Target::App(id) })
            }
            _ => bail!("expected the JSON of an app, a list of apps, or a group"),
        }
    }

    fn path(&self) -> String {
        match self {
            Target::App(id) => format!("/v2/apps{}?dryRun=true", path(id)),
            Target::Apps => "/v2/apps?dryRun=true".to_owned(),
            Target::Group(id) => {
                format!("/v2/groups{}?dryRun=true", path(id).trim_end_matches('/'))
            }
        }
    }

    /// The original plans groups only: of an app it would make the change.
    async fn check(&self, marathon: &Server) -> anyhow::Result<()> {
        if matches!(self, Target::Group(_)) {
            return Ok(());
        }
        let info = marathon.get("/v2/info").await?;
        if !text(&info, "/buildref").starts_with("dais-") {
            bail!(
                "this is another Marathon than Dais's: it plans groups only, \
                 and would deploy an app at once"
            );
        }
        Ok(())
    }
}

/// A plan as it is shown, for the fuzzer.
pub(in crate::commands) fn show(plan: &Value, style: Style) -> Vec<String> {
    lines(plan, &named(plan), style)
}

/// The fields that a file names of each app, by the app's absolute id.
fn named(value: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    match value {
        Value::Array(apps) => apps.iter().for_each(|app| collect("", app, &mut found)),
        one => collect("", one, &mut found),
    }
    found
}

/// Those of an app, or of all apps below a group; ids may be relative to the group.
fn collect(group: &str, value: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let id = match text(value, "/id") {
        id if id.starts_with('/') => marathon_id(id),
        id => marathon_id(&format!("{group}/{id}")),
    };
    let below = || ["/apps", "/groups"].into_iter().flat_map(|pointer| list(value, pointer));
    below().for_each(|one| collect(id.trim_end_matches('/'), one, found));
    let fields = value.as_object().map(|fields| fields.keys().cloned().collect());
    found.insert(id, fields.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_describe_apps_lists_or_groups() {
        let path = |value: Value| Target::of(&value).map(|target| target.path());
        assert_eq!(path(json!({"id": "a/b"})).unwrap(), "/v2/apps/a/b?dryRun=true");
        assert_eq!(path(json!([{"id": "a"}])).unwrap(), "/v2/apps?dryRun=true");
        let group = json!({"id": "/prod", "apps": []});
        assert_eq!(path(group).unwrap(), "/v2/groups/prod?dryRun=true");
        assert_eq!(path(json!({"id": "/", "groups": []})).unwrap(), "/v2/groups?dryRun=true");
        let error = |value| path(value).unwrap_err().to_string();
        assert!(error(json!({"cmd": "x"})).contains("\"id\""));
        assert!(error(json!([{"id": "a"}, {}])).contains("number 2"));
        assert!(error(json!(3)).contains("expected"));
    }

    #[test]
    fn fields_are_named_by_the_absolute_ids_of_apps() {
        let group = json!({"id": "/prod", "apps": [{"id": "web", "cmd": "x"}],
            "groups": [{"id": "db", "apps": [{"id": "/prod/db/one", "cpus": 1}]}]});
        let named = named(&group);
        assert!(named["/prod/web"].contains("cmd"));
        assert!(named["/prod/db/one"].contains("cpus"));
        let apps = super::named(&json!([{"id": "a"}, {"id": "/b/c"}]));
        assert_eq!(apps.keys().collect::<Vec<_>>(), ["/a", "/b/c"]);
    }
}
