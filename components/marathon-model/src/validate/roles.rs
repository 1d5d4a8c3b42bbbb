//! Rules for the roles that an app accepts resources of.

use super::Report;
use crate::App;
use std::collections::BTreeSet;

pub(super) fn check(app: &App, report: &mut Report) {
    if let Some(accepted) = &app.accepted_resource_roles {
        accepted_roles(app, accepted, report);
    }
}

fn accepted_roles(app: &App, accepted: &BTreeSet<String>, report: &mut Report) {
    let path = "/acceptedResourceRoles";
    if accepted.is_empty() {
        report.add(path, "must not be empty");
    }
    for (index, role) in accepted.iter().enumerate() {
        for text in malformed(role) {
            report.add(format!("{path}({index})"), text);
        }
    }
    if app.is_resident() && !accepted.iter().eq(["*"]) {
        report.add(path, "A resident app must have `acceptedResourceRoles = [\"*\"]`.");
    }
    if accepted.iter().any(|role| role != "*" && *role != app.role) {
        let both = BTreeSet::from(["*", app.role.as_str()]);
        let both: Vec<&str> = both.into_iter().collect();
        report.add(path, format!("acceptedResourceRoles can only contain {}", both.join(" and ")));
    }
}

fn malformed(role: &str) -> Vec<String> {
    const CHARACTERS: [(char, &str); 8] = [
        ('\t', "horizontal tab (\\x09)"),
        ('\n', "line feed (\\x0a)"),
        ('\u{b}', "vertical tab (\\x0b)"),
        ('\u{c}', "form feed (\\x0c)"),
        ('\r', "carriage return (\\x0d)"),
        (' ', "space (\\x20)"),
        ('/', "slash (\\x2f)"),
        ('\u{7f}', "backspace (\\x7f)"),
    ];
    let mut errors = Vec::new();
    if matches!(role, "" | "." | "..") {
        errors.push(format!("A role name must not be \"{role}\"."));
    }
    if role.starts_with('-') {
        errors.push("A role name must not start with a '-'.".to_owned());
    }
    let bad = CHARACTERS.iter().filter(|(char, _)| role.contains(*char));
    errors.extend(bad.map(|(_, name)| format!("A role name must not include a {name} character.")));
    errors
}
