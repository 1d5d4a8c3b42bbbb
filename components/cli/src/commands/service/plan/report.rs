//! A plan in words: a difference for each app, then the steps.

use crate::json::{count, list, shown, some_text, text};
use crate::terminal::{Colour, Style, printable};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The plan, line by line; `named` are the fields that the file names of each app.
pub(super) fn lines(
    plan: &Value,
    named: &BTreeMap<String, BTreeSet<String>>,
    style: Style,
) -> Vec<String> {
    let mut report = Report { style, lines: Vec::new() };
    for group in list(plan, "/groups") {
        report.title(text(group, "/action"), "group", text(group, "/id"), "");
    }
    for app in list(plan, "/apps") {
        report.app(app, named.get(text(app, "/id")));
    }
    report.steps(list(plan, "/steps"));
    for conflict in list(plan, "/conflicts") {
        let line =
            format!("! deployment {} is under way: deploying this needs --force", shown(conflict));
        report.line(Some(Colour::Removed), &line);
    }
    report.lines
}

struct Report {
    style: Style,
    lines: Vec<String>,
}

// === impl Report ===

impl Report {
    fn line(&mut self, colour: Option<Colour>, text: &str) {
        let text = printable(text);
        self.lines.push(match colour {
            Some(colour) => self.style.paint(colour, &text),
            None => text.into_owned(),
        });
    }

    fn title(&mut self, action: &str, what: &str, id: &str, remark: &str) {
        let (sign, colour) = match action {
            "create" => ("+", Colour::Added),
            "delete" => ("-", Colour::Removed),
            _ => ("~", Colour::Changed),
        };
        self.line(Some(colour), &format!("{sign} {action} {what} {id}{remark}"));
    }

    fn app(&mut self, app: &Value, named: Option<&BTreeSet<String>>) {
        let remark = remark(app);
        self.title(text(app, "/action"), "app", text(app, "/id"), &remark);
        // Of a new app only what the file says is news; the rest is what any app has.
        let named = named.filter(|_| text(app, "/action") == "create");
        let mut defaults = 0;
        for change in list(app, "/changes") {
            let path = text(change, "/path");
            let field = path.trim_start_matches('/').split(['/', '(']).next().unwrap_or_default();
            if field == "id" {
                continue;
            }
            if named.is_some_and(|named| !named.contains(field)) {
                defaults += 1;
                continue;
            }
            for (key, sign, colour) in [("old", "-", Colour::Removed), ("new", "+", Colour::Added)]
            {
                if let Some(value) = change.get(key).filter(|value| !value.is_null()) {
                    self.line(Some(colour), &format!("    {sign} {path}: {value}"));
                }
            }
        }
        if defaults > 0 {
            self.line(None, &format!("    and {defaults} fields as by default"));
        }
        if let Some(capacity) = app.get("capacity") {
            let (least, most) = (count(capacity, "/atLeast"), count(capacity, "/atMost"));
            self.line(
                None,
                &format!("    at least {least} healthy and at most {most} there meanwhile"),
            );
        }
        for obstacle in list(app, "/unmet") {
            let what = some_text(obstacle, "/detail").unwrap_or_else(|| text(obstacle, "/reason"));
            let agents = count(obstacle, "/agents");
            let s = if agents == 1 { "" } else { "s" };
            self.line(
                Some(Colour::Changed),
                &format!("    ! cannot run on {agents} agent{s} now: {what}"),
            );
        }
        for warning in list(app, "/warnings") {
            self.line(Some(Colour::Changed), &format!("    ! {}", shown(warning)));
        }
    }

    fn steps(&mut self, steps: &[Value]) {
        if steps.is_empty() {
            self.line(None, "Nothing would be deployed.");
        }
        for (number, step) in (1..).zip(steps) {
            let title = format!("Step {number} of {}", steps.len());
            self.line(Some(Colour::Strong), &title);
            for action in list(step, "/actions") {
                let id = some_text(action, "/app").unwrap_or_else(|| text(action, "/pod"));
                let word = word(text(action, "/action"));
                self.line(None, &format!("    {word} {id}"));
            }
        }
    }
}

/// How many instances an app's part of the plan is about.
fn remark(app: &Value) -> String {
    let words = [("started", "started"), ("replaced", "replaced"), ("killed", "stopped")];
    let parts: Vec<String> = words
        .iter()
        .filter_map(|(key, word)| {
            let number = count(app, &format!("/{key}"));
            (number > 0).then(|| format!("{number} {word}"))
        })
        .collect();
    match parts.as_slice() {
        [] => String::new(),
        parts => format!(" (instances: {})", parts.join(", ")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan() -> Value {
        json!({
            "steps": [
                {"actions": [{"action": "StartApplication", "app": "/db"}]},
                {"actions": [{"action": "RestartApplication", "app": "/web"}]}],
            "groups": [{"id": "/prod", "action": "create"}],
            "apps": [
                {"id": "/db", "action": "create", "started": 1, "replaced": 0, "killed": 0,
                    "changes": [{"path": "/id", "new": "/db"}, {"path": "/cmd", "new": "run"},
                        {"path": "/mem", "new": 128}, {"path": "/ports(0)", "new": 1}],
                    "unmet": [{"reason": "InsufficientCpus", "agents": 2, "detail": "cpus: 1 of 9"}],
                    "warnings": ["no agent can take an instance now"]},
                {"id": "/web", "action": "update", "started": 1, "replaced": 2, "killed": 0,
                    "capacity": {"atLeast": 2, "atMost": 4},
                    "changes": [{"path": "/cpus", "old": 0.1, "new": 0.2},
                        {"path": "/env/A", "old": "1", "new": null}]}],
            "conflicts": ["d-1"],
        })
    }

    #[test]
    fn a_plan_reads_as_a_difference_and_steps() {
        let expected = [
            "+ create group /prod",
            "+ create app /db (instances: 1 started)",
            "    + /cmd: \"run\"",
            "    and 2 fields as by default",
            "    ! cannot run on 2 agents now: cpus: 1 of 9",
            "    ! no agent can take an instance now",
            "~ update app /web (instances: 1 started, 2 replaced)",
            "    - /cpus: 0.1",
            "    + /cpus: 0.2",
            "    - /env/A: \"1\"",
            "    at least 2 healthy and at most 4 there meanwhile",
            "Step 1 of 2",
            "    start /db",
            "Step 2 of 2",
            "    replace the instances of /web",
            "! deployment d-1 is under way: deploying this needs --force",
        ];
        let named = BTreeMap::from([("/db".to_owned(), BTreeSet::from(["cmd".to_owned()]))]);
        assert_eq!(lines(&plan(), &named, Style::of(false)), expected);
        let coloured = lines(&plan(), &named, Style::of(true));
        assert_eq!(coloured[2], "\x1b[32m    + /cmd: \"run\"\x1b[0m");
        assert_eq!(coloured[7], "\x1b[31m    - /cpus: 0.1\x1b[0m");
    }

    #[test]
    fn no_steps_are_said_to_be_none() {
        let plan = json!({"steps": []});
        assert_eq!(
            lines(&plan, &BTreeMap::new(), Style::of(false)),
            ["Nothing would be deployed."]
        );
    }
}
