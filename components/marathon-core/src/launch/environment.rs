//! The environment given to tasks.

use super::{LaunchRequest, seed::Seeded};
use marathon_model::{App, TaskId, app::EnvValue};
use std::collections::BTreeMap;

/// The longest a variable may be.
const MAX_LENGTH: usize = 512;
const LABEL_PREFIX: &str = "MARATHON_APP_LABEL_";

/// All variables. What the app itself says wins over everything made here.
pub(super) fn variables(
    request: &LaunchRequest<'_>,
    id: &TaskId,
    host: &str,
    ports: &[Option<u16>],
) -> BTreeMap<String, String> {
    let app = request.app;
    let mut all = context(app, id, request.enforce_role);
    labels(app, &mut all);
    let prefix = request.settings.env_vars_prefix.as_deref().unwrap_or_default();
    let mut network = port_variables(app, ports, request.seed);
    network.insert("HOST".to_owned(), host.to_owned());
    all.extend(network.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)));
    for (name, value) in &app.env {
        // Secrets are refused before there is a launch.
        if let EnvValue::Text(text) = value {
            all.insert(name.clone(), text.clone());
        }
    }
    all
}

fn context(app: &App, id: &TaskId, enforce_role: bool) -> BTreeMap<String, String> {
    let enforce = if enforce_role { "TRUE" } else { "FALSE" };
    let mut all: BTreeMap<String, String> = [
        ("MESOS_TASK_ID", id.to_string()),
        ("MARATHON_APP_ID", app.id.to_string()),
        ("MARATHON_APP_VERSION", app.version.to_string()),
        ("MARATHON_APP_RESOURCE_CPUS", number(app.cpus)),
        ("MARATHON_APP_RESOURCE_MEM", number(app.mem)),
        ("MARATHON_APP_RESOURCE_DISK", number(app.disk)),
        ("MARATHON_APP_RESOURCE_GPUS", app.gpus.to_string()),
        ("MARATHON_APP_ENFORCE_GROUP_ROLE", enforce.to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let docker = app.container.as_ref().and_then(|container| container.docker.as_ref());
    if let Some(docker) = docker {
        all.insert("MARATHON_APP_DOCKER_IMAGE".to_owned(), docker.image.clone());
    }
    all
}

fn labels(app: &App, all: &mut BTreeMap<String, String>) {
    let fits = |(key, value): &(&String, &String)| {
        key.len() < MAX_LENGTH - LABEL_PREFIX.len() && value.len() < MAX_LENGTH
    };
    let mut names = Vec::new();
    for (key, value) in app.labels.iter().filter(fits) {
        let name = escaped(key);
        all.insert(format!("{LABEL_PREFIX}{name}"), value.clone());
        if !names.contains(&name) {
            names.push(name);
        }
    }
    all.insert("MARATHON_APP_LABELS".to_owned(), names.join(" "));
}

/// Upper case, each run of what a name cannot have as one `_`.
fn escaped(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    let mut gap = false;
    for letter in key.chars() {
        if letter.is_ascii_alphanumeric() || letter == '_' {
            name.push(letter.to_ascii_uppercase());
            gap = false;
        } else if !gap {
            name.push('_');
            gap = true;
        }
    }
    name
}

/// What the app declares about a port: its name, and the container's port or its own.
struct Declared<'a> {
    name: Option<&'a str>,
    port: u16,
}

fn declared(app: &App) -> Vec<Declared<'_>> {
    let mappings = app.container.as_ref().map(|container| &container.port_mappings);
    if let Some(mappings) = mappings.filter(|mappings| !mappings.is_empty()) {
        let one = mappings.iter();
        return one
            .map(|one| Declared { name: one.name.as_deref(), port: one.container_port })
            .collect();
    }
    let definitions = app.port_definitions.iter();
    definitions.map(|one| Declared { name: one.name.as_deref(), port: one.port }).collect()
}

/// `PORT`, `PORT0`, `PORTS`, `PORT_<declared>`, `PORT_<NAME>`.
fn port_variables(app: &App, ports: &[Option<u16>], seed: u64) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if ports.is_empty() {
        return all;
    }
    let declared = declared(app);
    // As it is outside, or inside where it is not published.
    let (mut effective, mut generated) = (Vec::new(), Vec::new());
    for (at, port) in ports.iter().enumerate() {
        let declared = declared.get(at).map_or(0, |one| one.port);
        effective.push(match (*port, declared) {
            (Some(port), _) => port,
            (None, 0) => {
                let port = invent(&declared_ports(app), &effective, seed.wrapping_add(at as u64));
                generated.push(port);
                port
            }
            (None, port) => port,
        });
    }
    for (at, port) in effective.iter().enumerate() {
        all.insert(format!("PORT{at}"), port.to_string());
        let Some(one) = declared.get(at) else { continue };
        let number = if one.port == 0 { *port } else { one.port };
        all.insert(format!("PORT_{number}"), port.to_string());
    }
    for (one, port) in declared.iter().zip(&effective) {
        if let Some(name) = one.name {
            all.insert(format!("PORT_{}", name.to_uppercase()), port.to_string());
        }
    }
    let assigned: Vec<u16> = ports.iter().copied().flatten().chain(generated).collect();
    if let Some(first) = assigned.first() {
        all.insert("PORT".to_owned(), first.to_string());
    }
    let texts: Vec<String> = assigned.iter().map(u16::to_string).collect();
    all.insert("PORTS".to_owned(), texts.join(","));
    all
}

fn declared_ports(app: &App) -> Vec<u16> {
    declared(app).iter().map(|one| one.port).collect()
}

/// A port for a container that has one of its own and does not say which.
fn invent(declared: &[u16], used: &[u16], seed: u64) -> u16 {
    let mut random = Seeded::new(seed);
    for _ in 0..1000 {
        let port = u16::try_from(1025 + random.below(65_535 - 1024)).unwrap_or(u16::MAX);
        if !declared.contains(&port) && !used.contains(&port) {
            return port;
        }
    }
    u16::MAX
}

/// A number as the original writes its doubles: `1.0`, `0.1`, `1.0E7`.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}
