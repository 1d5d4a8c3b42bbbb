//! Rules that concern one app, with the original's paths and texts.
//!
//! All of them are looked at, so that a request learns everything at once. What concerns an app
//! among others or over time (names, roles, cycles, what may not change) is where that is known.

mod checks;
mod container;
mod roles;
mod scheduling;

use crate::{App, Settings, Violation, app::EnvValue, json::names::is_uri};
use std::collections::{BTreeSet, HashMap};

/// Names of features that are off unless the operator switches them on.
pub mod features {
    pub const SECRETS: &str = "secrets";
    pub const EXTERNAL_VOLUMES: &str = "external_volumes";
    pub const GPU_RESOURCES: &str = "gpu_resources";
}

pub(crate) const IPV6_ONLY: &str =
    "IPv6 can only be used for container type DOCKER and Mesos http/https/tcp health checks";

/// Why secrets are refused even where the feature is on.
const NO_SECRET_STORE: &str = "secrets cannot be used until there is a secret store";

/// Everything that is wrong with an app, one error each.
pub fn app(app: &App, settings: &Settings) -> Vec<Violation> {
    let mut report = Report(Vec::new());
    container::check(app, settings, &mut report);
    command(app, &mut report);
    checks::check(app, &mut report);
    fetch(app, &mut report);
    secrets(app, settings, &mut report);
    scheduling::check(app, settings, &mut report);
    labels(app, &mut report);
    roles::check(app, &mut report);
    identity(app, &mut report);
    report.0
}

/// Errors by path, in the order in which the paths came up.
pub fn grouped(violations: Vec<Violation>) -> Vec<Violation> {
    let mut grouped: Vec<Violation> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for violation in violations {
        let place = *places.entry(violation.path.clone()).or_insert(grouped.len());
        match grouped.get_mut(place) {
            None => grouped.push(violation),
            Some(known) => {
                let new = violation.errors.into_iter().filter(|text| !known.errors.contains(text));
                let new: Vec<String> = new.collect();
                known.errors.extend(new);
            }
        }
    }
    grouped
}

/// What was found.
struct Report(Vec<Violation>);

// === impl Report ===

impl Report {
    fn add(&mut self, path: impl Into<String>, error: impl Into<String>) {
        self.0.push(Violation::new(path, error));
    }

    /// Notes `error` about the whole app unless `fine`.
    fn expect(&mut self, fine: bool, error: &str) {
        if !fine {
            self.add("/", error);
        }
    }

    /// Notes that a feature is off.
    fn feature(&mut self, settings: &Settings, name: &str, path: &str) {
        if !settings.feature(name) {
            // The bracket is the original's.
            let text =
                format!("Feature {name} is not enabled. Enable with --enable_features {name})");
            self.add(path, text);
        }
    }
}

fn command(app: &App, report: &mut Report) {
    let (cmd, args) = (app.cmd.is_some(), !app.args.is_empty());
    let container = app.container.as_ref().is_some_and(container::is_runnable);
    report.expect(
        cmd != args || (!cmd && container),
        "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'.",
    );
    // One character is too short for the original as well.
    let long_enough = app.cmd.as_ref().is_none_or(|cmd| cmd.encode_utf16().nth(1).is_some());
    report.expect(long_enough, "must not be an empty string");
}

fn fetch(app: &App, report: &mut Report) {
    for (index, _) in app.fetch.iter().enumerate().filter(|(_, fetch)| !is_uri(&fetch.uri)) {
        report.add(format!("/fetch({index})/uri"), "URI has invalid syntax.");
    }
}

fn secrets(app: &App, settings: &Settings, report: &mut Report) {
    if !app.secrets.is_empty() {
        report.feature(settings, features::SECRETS, "/secrets");
        report.add("/secrets", NO_SECRET_STORE);
    }
    for (index, _) in app.env.keys().enumerate().filter(|(_, name)| name.is_empty()) {
        report.add(format!("/env/keys({index})"), "must not be empty");
    }
    let mut references = app.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Secret(secret) => Some((name, secret)),
        EnvValue::Text(_) => None,
    });
    if !settings.feature(features::SECRETS) && references.clone().next().is_some() {
        let text = "use of secret-references in the environment requires the secrets feature to \
                    be enabled";
        report.add("/env", text);
    }
    if let Some((name, _)) = references.find(|(_, secret)| !app.secrets.contains_key(*secret)) {
        report.add(format!("/env/{name}/secret"), "references an undefined secret");
    }
}

fn labels(app: &App, report: &mut Report) {
    let label = |name: &str| app.labels.get(name).map(String::as_str).unwrap_or_default();
    let version = label("DCOS_MIGRATION_API_VERSION");
    let complete = version == "v1"
        && !label("DCOS_PACKAGE_FRAMEWORK_NAME").is_empty()
        && !label("DCOS_MIGRATION_API_PATH").is_empty();
    report.expect(
        version.is_empty() || complete,
        "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when using \
         DCOS_MIGRATION_API_VERSION",
    );
}

fn identity(app: &App, report: &mut Report) {
    const RESERVED: [&str; 3] = ["restart", "tasks", "versions"];
    let reserved = |name: &str| RESERVED.contains(&name);
    let text = "must not end with any of the following reserved keywords: restart, tasks, \
                versions, ., ..";
    if reserved(app.id.name()) {
        report.add("/id", text);
    }
    if app.id.is_root() {
        report.add("/id", "Path must contain at least one path element");
        report.add("/", "must not be root");
    }
    for (index, _) in app.dependencies.iter().enumerate().filter(|(_, id)| reserved(id.name())) {
        report.add(format!("/dependencies({index})"), text);
    }
}

/// A number as the original's language prints it.
fn scala(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e7 {
        format!("{number:.1}")
    } else {
        number.to_string()
    }
}

/// Whether two names in a list are the same.
fn has_duplicates<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = BTreeSet::new();
    !names.into_iter().all(|name| seen.insert(name))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
