//! Entry points for fuzzing: what Marathon tells, with the labels that anybody may write.

use serde_json::Value;

use crate::config::Config;
use crate::haproxy::{Frame, Secrets, render};
use crate::labels;
use crate::live::{Table, Usual};
use crate::routes::facts::{self, AppFact};
use crate::routes::{Routes, Scope, Service};

/// Lists of apps as Marathon answers: served, and written for HAProxy, whatever they hold.
pub fn apps(data: &[u8]) {
    let Ok(list) = serde_json::from_slice::<Value>(data) else { return };
    let apps = list.get("apps").and_then(Value::as_array).into_iter().flatten();
    let apps: Vec<AppFact> = apps.filter_map(AppFact::read).collect();
    for event in &apps {
        let text = serde_json::json!({"runSpecId": &*event.id, "instanceId": "x", "killing": true});
        assert!(facts::instance_event("instance_changed_event", &text).is_some());
    }
    let config = Config::default();
    let scope = Scope { groups: vec!["*".into()], ..config.scope.clone() };
    let mut routes = Routes::new(scope);
    routes.all(0, apps.clone());
    // Once more makes no difference.
    assert!(routes.all(1, apps).is_empty());
    let services = routes.services();
    let ports = crate::live::Ports { allowed: vec![1..=u16::MAX], own: vec![80] };
    let usual: Usual = config.timeouts;
    let table = Table::build(&services, &Table::default(), &usual, &ports);
    assert!(table.backends.len() <= services.len());
    let services: Vec<&Service> = services.iter().map(|service| &**service).collect();
    let text = render(&Frame { config: &config, secrets: Secrets::Shown }, &services);
    // Nothing that a label brings begins a section.
    let sections = text.lines().filter(|line| line.starts_with("backend ")).count();
    assert_eq!(sections, services.len());
    let known = ["  ", "global", "defaults", "listen ", "frontend ", "backend ", "userlist "];
    for line in text.lines().filter(|line| !line.is_empty()) {
        assert!(known.iter().any(|start| line.starts_with(start)), "{line}");
    }
}

/// The labels of one port: the first line of each pair is the name, the second the value.
pub fn port_labels(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut all = labels::Labels::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        // `\n` stands for an end of a line within a template.
        all.insert(format!("HAPROXY_0_{name}").into(), value.replace("\\n", "\n").into());
    }
    let (settings, problems) = labels::read(&all, 0);
    assert!(!settings.refused || !problems.is_empty());
    for label in all.keys() {
        let name = label.strip_prefix("HAPROXY_0_").unwrap_or_default();
        let told = problems.iter().any(|problem| *problem.label == **label);
        assert!(labels::names::known(name).is_some() || told, "{label} is ignored in silence");
    }
    let same = labels::read(&all, 0);
    assert_eq!(same, (settings, problems));
}
