//! Rules about crates: what they say they are, what they import, what they inherit.

use crate::{Source, assert_none, source, sources};

/// Each crate with its floor. A crate imports from lower floors only, so that
/// the folder tells what a change can reach. Nothing imports the binary.
const FLOORS: [(&str, u8); 35] = [
    ("mesos-messages", 0),
    ("marathon-model", 0),
    ("universe", 0),
    ("identity", 0),
    ("network-lab", 0),
    ("catalog", 1),
    ("cluster-state", 1),
    ("http-kit", 1),
    ("libprocess", 1),
    ("marathon-core", 1),
    ("mesos-allocator", 1),
    ("mesos-containerizer", 1),
    ("mesos-executor", 1),
    ("mesos-fetcher", 1),
    ("mesos-scheduler", 1),
    ("proxy", 1),
    ("cluster-events", 2),
    ("admin-router", 3),
    ("cli", 3),
    ("cosmos", 3),
    ("dns", 3),
    ("edge", 3),
    ("hello-world", 3),
    ("iam", 3),
    ("load-balancer", 3),
    ("marathon", 3),
    ("mesos-agent", 3),
    ("mesos-master", 3),
    ("dais", 4),
    ("gateway-bench", 4),
    ("kernel-bench", 4),
    ("network-bench", 4),
    ("services-bench", 4),
    ("end-to-end", 4),
    ("xtask", 0),
];

/// The only crates that make system calls themselves.
const MAY_BE_UNSAFE: [&str; 2] = ["mesos-containerizer", "mesos-executor"];

struct Crate<'a> {
    name: String,
    manifest: &'a Source,
    root: &'a Source,
}

fn crates(sources: &[Source]) -> Vec<Crate<'_>> {
    let manifests = sources.iter().filter(|s| s.is_manifest() && !s.path.starts_with("fuzz/"));
    manifests
        .map(|manifest| {
            let folder = manifest.path.trim_end_matches("Cargo.toml");
            let root = ["src/lib.rs", "src/main.rs"]
                .iter()
                .find_map(|file| sources.iter().find(|s| s.path == format!("{folder}{file}")));
            let root = root.unwrap_or_else(|| panic!("{folder} has no root file"));
            Crate { name: package_name(manifest), manifest, root }
        })
        .collect()
}

fn package_name(manifest: &Source) -> String {
    let line = manifest.text.lines().find_map(|line| line.strip_prefix("name = "));
    line.unwrap().trim_matches('"').to_owned()
}

/// Names in the dependency tables, those for tests and build scripts included.
fn dependencies(manifest: &Source) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.text.lines() {
        if let Some(table) = line.strip_prefix('[') {
            inside = table.trim_end_matches(']').ends_with("dependencies");
        } else if inside && let Some(end) = line.find(['.', ' ', '=']) {
            names.push(line[..end].to_owned());
        }
    }
    names
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

#[test]
fn every_crate_says_what_it_is_and_is_not() {
    let sources = sources();
    let mut violations = Vec::new();
    for one in crates(&sources) {
        let mut head = one.root.text.lines().take_while(|line| line.starts_with("//!"));
        if !head.clone().any(|line| line.trim_start_matches("//!").trim().len() > 20) {
            violations.push(one.root.violation(1, "opens without a `//!` that says what it is"));
        }
        if !head.any(|line| line.starts_with("//! It is not")) {
            violations.push(one.root.violation(1, "lacks the `//! It is not` line"));
        }
    }
    assert_none(&violations);
}

#[test]
fn imports_point_down() {
    let sources = sources();
    let mut violations = Vec::new();
    for one in crates(&sources) {
        let Some(own) = floor(&one.name) else {
            violations.push(one.manifest.violation(1, "has no floor in the tidy test"));
            continue;
        };
        for name in dependencies(one.manifest) {
            if floor(&name).is_some_and(|other| other >= own) {
                violations.push(one.manifest.violation(1, &format!("imports upwards: {name}")));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn unsafe_code_is_forbidden_but_where_system_calls_are_made() {
    let sources = sources();
    let crates = crates(&sources);
    let lacking = crates.iter().filter(|one| {
        !MAY_BE_UNSAFE.contains(&one.name.as_str())
            && !one.root.text.contains("\n#![forbid(unsafe_code)]")
    });
    let what = "lacks #![forbid(unsafe_code)]";
    assert_none(&lacking.map(|one| one.root.violation(1, what)).collect::<Vec<_>>());
}

#[test]
fn manifests_inherit_from_the_workspace() {
    let sources = sources();
    let mut violations = Vec::new();
    for one in crates(&sources) {
        let text = &one.manifest.text;
        if !text.contains("[lints]\nworkspace = true") {
            violations.push(one.manifest.violation(1, "does not inherit the lints"));
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !text.contains(&format!("\n{key}.workspace = true")) {
                violations.push(one.manifest.violation(1, &format!("does not inherit {key}")));
            }
        }
        for (number, line) in text.lines().enumerate() {
            if line.contains("version = \"") || line.contains("path = \"..") {
                let what = "names a version or a path that belongs in the workspace's manifest";
                violations.push(one.manifest.violation(number + 1, what));
            }
        }
    }
    assert_none(&violations);
}

#[test]
fn every_dependency_is_accounted_for() {
    let sources = sources();
    let page = source(&sources, "docs/dependencies.md");
    let manifest = source(&sources, "Cargo.toml");
    let table = manifest.text.split("[workspace.dependencies]").nth(1).unwrap();
    let table = table.split("\n[").next().unwrap();
    let foreign = table.lines().filter(|line| line.contains(" = ") && !line.contains("path = "));
    let names = foreign.filter_map(|line| line.split(" = ").next());
    let missing = names.filter(|name| !page.text.contains(&format!("| `{name}` |")));
    let missing = missing.map(|name| page.violation(1, &format!("has no line about `{name}`")));
    assert_none(&missing.collect::<Vec<_>>());
}

#[test]
fn every_crate_is_on_the_map() {
    let sources = sources();
    let page = source(&sources, "docs/architecture.md");
    let crates = crates(&sources);
    let missing = crates.iter().filter(|one| !page.text.contains(&format!("`{}`", one.name)));
    let missing = missing.map(|one| page.violation(1, &format!("does not place `{}`", one.name)));
    assert_none(&missing.collect::<Vec<_>>());
}
