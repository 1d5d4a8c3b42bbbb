//! `dais task download`.

use super::files::{Entry, Sandbox};
use super::find::{Filter, glob};
use crate::context::Context;
use anyhow::{Context as _, bail};
use clap::Args;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Folders in folders beyond this are a loop of links, not a sandbox.
const DEEPEST: usize = 64;

#[derive(Debug, Args)]
pub struct Download {
    /// The task's id, or a part of it that no other has.
    task: String,
    /// The files: a path in the sandbox whose last part may be a pattern; absent, everything.
    path: Option<String>,
    /// Where to put them.
    #[arg(long, value_name = "DIR", default_value = ".")]
    target_dir: PathBuf,
}

// === impl Download ===

impl Download {
    pub(super) async fn run(self, context: &mut Context) -> anyhow::Result<()> {
        let filter = Filter {
            active: true,
            completed: true,
            id: Some(self.task.clone()),
            ..Filter::default()
        };
        let mut tasks = filter.find_some(context).await?;
        if tasks.len() > 1 && tasks.iter().any(|task| task.id == self.task) {
            tasks.retain(|task| task.id == self.task);
        }
        let task = match tasks.as_slice() {
            [task] => task,
            several => {
                let ids: Vec<&str> = several.iter().map(|task| task.id.as_str()).collect();
                bail!("found more than one task with the same name: {}", ids.join(", "));
            }
        };
        let sandbox = Sandbox::of(context, task).await?;
        let wanted = self.path.as_deref().unwrap_or_default().trim_matches('/');
        let (folder, pattern) = wanted.rsplit_once('/').unwrap_or(("", wanted));
        let entries = sandbox.browse(&sandbox.file(folder)).await?;
        let Some(mut entries) = entries else {
            bail!("cannot access '{folder}': no such file or directory");
        };
        if !pattern.is_empty() && pattern != "." {
            entries.retain(|entry| glob(pattern, entry.name()));
            if entries.is_empty() {
                bail!("no file or directory matched '{wanted}'");
            }
        }
        fetch(&sandbox, entries, &self.target_dir).await
    }
}

/// Entries of a sandbox into a folder, with all that is in them.
async fn fetch(sandbox: &Sandbox, entries: Vec<Entry>, target: &Path) -> anyhow::Result<()> {
    make(target)?;
    // What is still to fetch, with the folder it goes to.
    let mut waiting: Vec<(Entry, PathBuf, usize)> =
        entries.into_iter().map(|entry| (entry, target.to_owned(), 0)).collect();
    while let Some((entry, folder, depth)) = waiting.pop() {
        let path = folder.join(safe(entry.name())?);
        if !entry.is_folder() {
            let file = File::create(&path);
            let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
            sandbox.download(&entry.path, |data| file.write_all(data)).await?;
            continue;
        }
        if depth == DEEPEST {
            bail!("{} is too deep", entry.path);
        }
        make(&path)?;
        let inside = sandbox.browse(&entry.path).await?.unwrap_or_default();
        waiting.extend(inside.into_iter().map(|entry| (entry, path.clone(), depth + 1)));
    }
    Ok(())
}

fn make(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// A name that stays in its folder, whatever the agent says.
fn safe(name: &str) -> anyhow::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        bail!("the agent names a file {name:?}, which is no name");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        assert!(safe("stdout").is_ok());
        for name in ["", ".", "..", "a/b", "a\0"] {
            assert!(safe(name).is_err(), "{name:?}");
        }
    }
}
