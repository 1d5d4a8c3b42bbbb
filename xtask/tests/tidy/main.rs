//! The tidy test: what the compiler does not see, but every file must keep to.
//!
//! Each rule answers the list of its violations, so that one run shows all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod crates;
mod fuzzing;
mod text;

use std::path::{Path, PathBuf};

/// A text file of the repository.
struct Source {
    /// Relative to the root, with slashes.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_manifest(&self) -> bool {
        self.path.ends_with("/Cargo.toml")
    }

    fn violation(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file that is kept in the repository, by path.
fn sources() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_symlink() {
                continue;
            } else if path.is_dir() {
                // Fuzzing seeds are bytes, not text.
                if !matches!(name.as_str(), ".git" | "target" | "node_modules" | "seeds" | "book") {
                    folders.push(path);
                }
            } else if name != "Cargo.lock"
                && name != ".git"
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let path = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn source<'a>(sources: &'a [Source], path: &str) -> &'a Source {
    sources.iter().find(|s| s.path == path).unwrap_or_else(|| panic!("{path} is missing"))
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}
