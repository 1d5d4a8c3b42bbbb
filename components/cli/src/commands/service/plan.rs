//! `dais service plan`: what deploying a file would change and do, and nothing done.

mod diff;

use crate::context::Context;
use crate::json::{count, list, marathon_id, shown, some_text, text};
use crate::server::{Server, path};
use crate::terminal::{Colour, Style, printable};
use anyhow::{Context as _, bail};
use clap::Args;
use diff::Line;
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct Plan {
    /// A file or URL with the JSON of an app, a list of apps, or a group; absent, or -,
    /// standard input.
    file: Option<String>,
    /// Print Marathon's plan as JSON.
    #[arg(long)]
    json: bool,
}

/// What a file describes.
#[derive(Debug)]
enum Target {
    App { id: String, definition: Value },
    Apps(Vec<(String, Value)>),
    Group { id: String, definition: Value },
}

// === impl Plan ===

impl Plan {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let value = context.read_json(self.file.as_deref(), "dais service plan < app.json").await?;
        let target = Target::of(value)?;
        let marathon = context.marathon()?;
        let plan = target.ask(&marathon).await?;
        if self.json {
            return Ok(context.io.json(&plan)?);
        }
        let style = context.io.style();
        for (id, definition) in target.apps() {
            let found = marathon.find(&format!("/v2/apps{}", path(&id))).await?;
            let before = found.and_then(|answer| answer.get("app").cloned());
            for line in app_lines(&id, before.as_ref(), &definition, style) {
                context.io.line(line)?;
            }
        }
        for line in plan_lines(&plan, style) {
            context.io.line(line)?;
        }
        Ok(())
    }
}

// === impl Target ===

impl Target {
    fn of(value: Value) -> anyhow::Result<Target> {
        match value {
            Value::Array(apps) => {
                let apps = apps.into_iter().map(|app| Ok((id_of(&app)?, app)));
                Ok(Target::Apps(apps.collect::<anyhow::Result<_>>()?))
            }
            Value::Object(_) => {
                let id = id_of(&value)?;
                let is_group = value.get("apps").is_some() || value.get("groups").is_some();
                Ok(match is_group {
                    true => Target::Group { id, definition: value },
                    false => Target::App { id, definition: value },
                })
            }
            _ => bail!("expected the JSON of an app, a list of apps, or a group"),
        }
    }

    /// Marathon's plan for it.
    async fn ask(&self, marathon: &Server) -> anyhow::Result<Value> {
        match self {
            Target::App { id, definition } => {
                marathon.put(&format!("/v2/apps{}?dryRun=true", path(id)), definition).await
            }
            Target::Apps(apps) => {
                let definitions = apps.iter().map(|(_, app)| app.clone()).collect();
                marathon.put("/v2/apps?dryRun=true", &Value::Array(definitions)).await
            }
            Target::Group { id, definition } => {
                let id = path(id);
                let id = id.trim_end_matches('/');
                marathon.put(&format!("/v2/groups{id}?dryRun=true"), definition).await
            }
        }
    }

    /// Every app of it, by its absolute id.
    fn apps(&self) -> Vec<(String, Value)> {
        match self {
            Target::App { id, definition } => vec![(id.clone(), definition.clone())],
            Target::Apps(apps) => apps.clone(),
            Target::Group { id, definition } => {
                let mut found = Vec::new();
                collect(id, definition, &mut found);
                found
            }
        }
    }
}

fn id_of(value: &Value) -> anyhow::Result<String> {
    some_text(value, "/id").map(marathon_id).context("\"id\" is missing")
}

/// The apps of a group and of the groups in it; their ids may be relative to it.
fn collect(group: &str, definition: &Value, found: &mut Vec<(String, Value)>) {
    let within = |id: &str| match id.starts_with('/') {
        true => id.to_owned(),
        false => format!("{}/{id}", group.trim_end_matches('/')),
    };
    for app in list(definition, "/apps") {
        found.push((within(text(app, "/id")), app.clone()));
    }
    for below in list(definition, "/groups") {
        collect(&within(text(below, "/id")), below, found);
    }
}

/// How an app differs from what a file says of it.
fn app_lines(id: &str, before: Option<&Value>, after: &Value, style: Style) -> Vec<String> {
    let lines = diff::diff(before.unwrap_or(&Value::Null), after);
    let id = printable(id);
    let title = match (before, lines.is_empty()) {
        (None, _) => style.paint(Colour::Added, &format!("+ app {id}")),
        (Some(_), true) => format!("  app {id} (as it is)"),
        (Some(_), false) => style.paint(Colour::Changed, &format!("~ app {id}")),
    };
    let mut shown = vec![title];
    shown.extend(lines.iter().map(|line| {
        let (sign, colour, text) = match line {
            Line::Added(text) => ("+", Colour::Added, text),
            Line::Removed(text) => ("-", Colour::Removed, text),
        };
        style.paint(colour, &printable(&format!("    {sign} {text}")))
    }));
    shown
}

/// What Marathon would do.
fn plan_lines(plan: &Value, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    let steps = list(plan, "/steps");
    if steps.is_empty() {
        lines.push("Nothing would be done.".to_owned());
    }
    for (number, step) in (1..).zip(steps) {
        lines.push(style.paint(Colour::Strong, &format!("Step {number} of {}", steps.len())));
        for action in list(step, "/actions") {
            let name = text(action, "/action");
            let id = some_text(action, "/app").unwrap_or_else(|| text(action, "/pod"));
            let line = format!("    {} {id}{}", word(name), impact(plan, id));
            let colour = match name {
                "StartApplication" => Colour::Added,
                "StopApplication" => Colour::Removed,
                _ => Colour::Changed,
            };
            lines.push(style.paint(colour, &printable(&line)));
        }
    }
    for warning in list(plan, "/warnings") {
        let text = some_text(warning, "/message").map_or_else(|| shown(warning), str::to_owned);
        lines.push(style.paint(Colour::Removed, &printable(&format!("! {text}"))));
    }
    lines
}

fn word(action: &str) -> &str {
    match action {
        "StartApplication" => "start",
        "StopApplication" => "stop",
        "ScaleApplication" => "scale",
        "RestartApplication" => "replace the instances of",
        other => other,
    }
}

/// How many instances an app's part of the plan is about.
fn impact(plan: &Value, id: &str) -> String {
    let of = |key: &str| {
        let found = plan.get(key).and_then(|apps| apps.get(id)).cloned();
        found.or_else(|| {
            list(plan, &format!("/{key}")).iter().find(|one| text(one, "/id") == id).cloned()
        })
    };
    let Some(one) = of("apps").or_else(|| of("impact")) else { return String::new() };
    let parts: Vec<String> = ["started", "replaced", "killed"]
        .iter()
        .filter_map(|key| {
            let number = count(&one, &format!("/{key}"));
            (number > 0).then(|| format!("{number} {key}"))
        })
        .collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn groups_name_apps_relative_to_them() {
        let group = json!({"id": "/prod", "apps": [{"id": "web"}],
            "groups": [{"id": "db", "apps": [{"id": "/prod/db/one"}]}]});
        let target = Target::of(group).unwrap();
        let ids: Vec<String> = target.apps().into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["/prod/web", "/prod/db/one"]);
        assert!(matches!(target, Target::Group { .. }));
        assert!(Target::of(json!({"cmd": "x"})).unwrap_err().to_string().contains("\"id\""));
        assert!(Target::of(json!(3)).is_err());
    }

    #[test]
    fn differences_are_shown_with_signs() {
        let style = Style::of(false);
        let before = json!({"id": "/a", "cmd": "old", "instances": 1});
        let lines = app_lines("/a", Some(&before), &json!({"id": "/a", "cmd": "new"}), style);
        assert_eq!(lines, ["~ app /a", "    - cmd: \"old\"", "    + cmd: \"new\""]);
        let lines = app_lines("/a", Some(&before), &json!({"id": "a", "instances": 1}), style);
        assert_eq!(lines, ["  app /a (as it is)"]);
        let lines = app_lines("/a", None, &json!({"id": "/a", "cmd": "x"}), style);
        assert_eq!(lines, ["+ app /a", "    + cmd: \"x\""]);
    }

    #[test]
    fn steps_are_listed() {
        let plan = json!({"steps": [
            {"actions": [{"action": "StartApplication", "app": "/a"}]},
            {"actions": [{"action": "RestartApplication", "app": "/b"}]}]});
        let lines = plan_lines(&plan, Style::of(false));
        assert_eq!(
            lines,
            ["Step 1 of 2", "    start /a", "Step 2 of 2", "    replace the instances of /b"]
        );
        assert_eq!(plan_lines(&json!({"steps": []}), Style::of(false)), ["Nothing would be done."]);
    }
}
