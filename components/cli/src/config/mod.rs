//! The configuration: one folder a cluster, as the dcos CLI lays it out.
//!
//! `<folder>/clusters/<id>/dcos.toml` describes a cluster; an empty file `attached`
//! beside it marks the one that commands speak to. A cluster that is alone needs no
//! mark. The folder is DAIS_DIR, else DCOS_DIR, else ~/.dais; pointing DAIS_DIR at
//! ~/.dcos uses the clusters the dcos CLI knows.

mod file;
pub(crate) mod keys;

pub(crate) use file::Config;

use crate::terminal::Environment;
use anyhow::{Context, bail};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The mark of the attached cluster.
const ATTACHED: &str = "attached";
const FILE: &str = "dcos.toml";

/// The folder with all clusters.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
}

// === impl Folder ===

impl Folder {
    pub(crate) fn find(env: &Environment) -> anyhow::Result<Folder> {
        if let Some(path) = env.first(&["DAIS_DIR", "DCOS_DIR"]) {
            return Ok(Folder { path: PathBuf::from(path) });
        }
        let home = env.get("HOME").context("where is your home? name a folder in DAIS_DIR")?;
        Ok(Folder { path: Path::new(&home).join(".dais") })
    }

    /// All clusters, by name.
    pub(crate) fn all(&self) -> anyhow::Result<Vec<Config>> {
        let clusters = self.path.join("clusters");
        let entries = match fs::read_dir(&clusters) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", clusters.display()));
            }
        };
        let mut all = Vec::new();
        for entry in entries {
            let path = entry?.path().join(FILE);
            if path.is_file() {
                all.push(Config::read(&path)?);
            }
        }
        all.sort_by_key(|config| (config.name(), config.id()));
        Ok(all)
    }

    /// The cluster that commands speak to, if there is one.
    pub(crate) fn current(&self, env: &Environment) -> anyhow::Result<Option<Config>> {
        if let Some(name) = env.first(&["DAIS_CLUSTER", "DCOS_CLUSTER"]) {
            return self.named(&name, true).map(Some);
        }
        let mut all = self.all()?;
        if all.len() > 1 {
            all.retain(|config| mark(config).is_file());
        }
        match all.len() {
            0 | 1 => Ok(all.pop()),
            _ => bail!("multiple clusters are attached; `dais cluster attach <name>` chooses one"),
        }
    }

    /// The cluster at a URL, if somebody is logged in to it. Of several, which a machine has had
    /// at one address, the attached one.
    pub(crate) fn logged_in(&self, url: &str) -> anyhow::Result<Option<Config>> {
        let mut all = self.at(url)?;
        all.retain(|config| config.get(keys::TOKEN).is_some());
        all.sort_by_key(|config| !mark(config).is_file());
        Ok(all.into_iter().next())
    }

    /// The cluster that is meant by a URL: the one somebody is logged in to, else the first.
    pub(crate) fn for_url(&self, url: &str) -> anyhow::Result<Option<Config>> {
        match self.logged_in(url)? {
            Some(config) => Ok(Some(config)),
            None => Ok(self.at(url)?.into_iter().next()),
        }
    }

    /// The clusters at a URL.
    pub(crate) fn at(&self, url: &str) -> anyhow::Result<Vec<Config>> {
        let mut all = self.all()?;
        all.retain(|config| {
            config.get(keys::URL).is_some_and(|own| own.trim_end_matches('/') == url)
        });
        Ok(all)
    }

    /// A cluster by its name or id, or by the beginning of its id.
    pub(crate) fn named(&self, name: &str, exactly: bool) -> anyhow::Result<Config> {
        let all = self.all()?;
        if let Some(config) = all.iter().find(|config| config.id() == name) {
            return Ok(config.clone());
        }
        let fits =
            |config: &&Config| config.name() == name || (!exactly && config.id().starts_with(name));
        let mut found = all.iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(config), None) => Ok(config.clone()),
            (None, _) => bail!("no cluster {name:?} is configured; `dais cluster list` shows all"),
            (Some(_), Some(_)) => bail!("multiple clusters match {name:?}; use the whole id"),
        }
    }

    /// A cluster's configuration, which need not be there yet.
    pub(crate) fn config(&self, id: &str) -> anyhow::Result<Config> {
        let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if id.is_empty() || id.starts_with('.') || !id.chars().all(valid) {
            bail!("{id:?} is no id of a cluster");
        }
        let path = self.path.join("clusters").join(id).join(FILE);
        if path.is_file() { Config::read(&path) } else { Ok(Config::new(&path)) }
    }

    /// Makes a cluster the one that commands speak to.
    pub(crate) fn attach(&self, chosen: &Config) -> anyhow::Result<()> {
        for other in self.all()? {
            if other.id() != chosen.id() {
                remove_if_there(&mark(&other))?;
            }
        }
        let path = mark(chosen);
        fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn is_attached(&self, config: &Config, env: &Environment) -> bool {
        let current = self.current(env).ok().flatten();
        current.is_some_and(|current| current.id() == config.id())
    }

    pub(crate) fn remove(&self, config: &Config) -> anyhow::Result<()> {
        let folder = config.folder();
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

fn mark(config: &Config) -> PathBuf {
    config.folder().join(ATTACHED)
}

fn remove_if_there(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Folder, Environment) {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().to_str().unwrap().to_owned();
        let env = Environment::of([("DCOS_DIR", path.as_str())]);
        let folder = Folder::find(&env).unwrap();
        (temporary, folder, env)
    }

    fn add(folder: &Folder, id: &str, name: &str) -> Config {
        let mut config = folder.config(id).unwrap();
        config.set(keys::NAME, name).unwrap();
        config.write().unwrap();
        config
    }

    #[test]
    fn one_cluster_needs_no_mark_and_two_need_one() {
        let (_temporary, folder, env) = folder();
        assert!(folder.current(&env).unwrap().is_none());
        let first = add(&folder, "id-1", "one");
        assert_eq!(folder.current(&env).unwrap().unwrap().id(), "id-1");
        let second = add(&folder, "id-2", "two");
        assert!(folder.current(&env).unwrap().is_none());
        folder.attach(&first).unwrap();
        folder.attach(&second).unwrap();
        assert_eq!(folder.current(&env).unwrap().unwrap().name(), "two");
        folder.remove(&second).unwrap();
        assert!(folder.is_attached(&first, &env));
    }

    #[test]
    fn clusters_are_found_by_name_and_by_the_beginning_of_their_id() {
        let (_temporary, folder, _) = folder();
        add(&folder, "aaa-1", "one");
        add(&folder, "aab-2", "two");
        assert_eq!(folder.named("two", false).unwrap().id(), "aab-2");
        assert_eq!(folder.named("aaa", false).unwrap().id(), "aaa-1");
        assert!(folder.named("aaa", true).is_err());
        let error = folder.named("aa", false).unwrap_err().to_string();
        assert!(error.contains("multiple"), "{error}");
        assert!(folder.named("zzz", false).unwrap_err().to_string().contains("zzz"));
    }

    #[test]
    fn an_id_is_no_path() {
        let (_temporary, folder, _) = folder();
        for id in ["", "..", "a/b", "../x", ".hidden"] {
            assert!(folder.config(id).is_err(), "{id}");
        }
    }
}
