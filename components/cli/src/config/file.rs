//! One cluster's file.

use super::keys::{self, Kind};
use anyhow::{Context, bail};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use toml::{Table, Value};

/// Drafts that this process has begun.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// Settings of one cluster, by dotted keys.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    path: PathBuf,
    table: Table,
}

// === impl Config ===

impl Config {
    pub(crate) fn new(path: &Path) -> Config {
        Config { path: path.to_owned(), table: Table::new() }
    }

    pub(crate) fn read(path: &Path) -> anyhow::Result<Config> {
        let text = fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let table = text.parse::<Table>();
        let table = table.with_context(|| format!("{} is not valid TOML", path.display()))?;
        Ok(Config { path: path.to_owned(), table })
    }

    /// Writes the file whole or not at all, for nobody else to read: it may hold a token.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let folder = self.folder();
        // Two that write at once must not write into one draft.
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let draft = folder.join(format!("dcos.toml.{}-{number}.draft", std::process::id()));
        let text = toml::to_string(&self.table)?;
        let write = || {
            create_folder(folder)?;
            let mut options = fs::File::options();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&draft)?.write_all(text.as_bytes())?;
            fs::rename(&draft, &self.path)
        };
        let written = write();
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Keeps a file beside the settings, for nobody else to read, and gives its path.
    pub(crate) fn keep(&self, name: &str, content: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.folder().join(name);
        let write = || {
            create_folder(self.folder())?;
            let mut options = fs::File::options();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&path)?.write_all(content)
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        // Later commands run in other folders.
        fs::canonicalize(&path).with_context(|| format!("cannot find {}", path.display()))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// The cluster's id: the name of its folder.
    pub(crate) fn id(&self) -> String {
        let name = self.folder().file_name();
        name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> String {
        self.get(keys::NAME).unwrap_or_else(|| self.id())
    }

    /// A key's value as text, if it has one.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let mut parts = key.split('.').peekable();
        let mut table = &self.table;
        while let Some(part) = parts.next() {
            match table.get(part)? {
                Value::Table(inner) if parts.peek().is_some() => table = inner,
                Value::Table(_) => return None,
                value if parts.peek().is_none() => return Some(shown(value)),
                _ => return None,
            }
        }
        None
    }

    /// Gives a key a value; another gateway's token is of no use.
    pub(crate) fn set(&mut self, key: &str, text: &str) -> anyhow::Result<()> {
        let value = value_of(key, text)?;
        if key == keys::URL {
            self.unset(keys::TOKEN);
        }
        let (sections, last) = key.rsplit_once('.').unwrap_or(("", key));
        if last.is_empty() {
            bail!("{key:?} is no key; `dais config keys` lists them");
        }
        let mut table = &mut self.table;
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = inner else {
                bail!("{section:?} in {key:?} is a value, not a section");
            };
            table = inner;
        }
        if matches!(table.get(last), Some(Value::Table(_))) {
            bail!("{key:?} is a section, not a value");
        }
        table.insert(last.to_owned(), value);
        Ok(())
    }

    pub(crate) fn unset(&mut self, key: &str) {
        if key == keys::URL {
            self.unset(keys::TOKEN);
        }
        let (sections, last) = key.rsplit_once('.').unwrap_or(("", key));
        let mut table = &mut self.table;
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            let Some(Value::Table(inner)) = table.get_mut(section) else { return };
            table = inner;
        }
        if !matches!(table.get(last), Some(Value::Table(_))) {
            table.remove(last);
        }
    }

    /// Every key that has a value, in order, with it.
    pub(crate) fn entries(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        collect(&self.table, "", &mut found);
        found.sort();
        found
    }
}

fn create_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn collect(table: &Table, prefix: &str, found: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => collect(inner, &key, found),
            value => found.push((key, shown(value))),
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A text as the value its key wants.
fn value_of(key: &str, text: &str) -> anyhow::Result<Value> {
    let flag = match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    };
    Ok(match keys::kind(key) {
        Kind::Text => Value::String(text.to_owned()),
        Kind::Flag => match flag {
            Some(flag) => Value::Boolean(flag),
            None => bail!("{key} is true or false, not {text:?}"),
        },
        Kind::Seconds => match text.parse::<i64>() {
            Ok(seconds) if seconds >= 1 => Value::Integer(seconds),
            _ => bail!("{key} is whole seconds, 1 or more, not {text:?}"),
        },
        Kind::Verify => {
            if flag.is_none() && !Path::new(text).exists() {
                bail!("{key} is true, false, or the path of certificates; {text:?} is none");
            }
            Value::String(flag.map_or_else(|| text.to_owned(), |flag| flag.to_string()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::new(&folder.path().join("clusters/some-id/dcos.toml"));
        (folder, config)
    }

    #[test]
    fn what_is_written_is_read() {
        let (_folder, mut config) = config();
        config.set("core.dcos_url", "http://a").unwrap();
        config.set("core.timeout", "12").unwrap();
        config.set("core.reporting", "False").unwrap();
        config.set("cluster.name", "mine").unwrap();
        config.write().unwrap();
        let text = fs::read_to_string(&config.path).unwrap();
        assert!(text.contains("[core]") && text.contains("timeout = 12"), "{text}");
        let again = Config::read(&config.path).unwrap();
        assert_eq!(again.entries(), config.entries());
        assert_eq!(again.get("core.timeout").as_deref(), Some("12"));
        assert_eq!((again.id().as_str(), again.name().as_str()), ("some-id", "mine"));
    }

    #[test]
    fn writers_at_once_leave_one_whole_file_and_no_draft() {
        let (_folder, config) = config();
        config.write().unwrap();
        std::thread::scope(|scope| {
            for length in 1..9 {
                let mut config = config.clone();
                scope.spawn(move || {
                    config.set("my.text", &"x".repeat(length * 2000)).unwrap();
                    (0..20).for_each(|_| config.write().unwrap());
                });
            }
        });
        let text = Config::read(&config.path).unwrap().get("my.text").unwrap();
        assert_eq!(text.len() % 2000, 0);
        assert_eq!(fs::read_dir(config.folder()).unwrap().count(), 1, "a draft is left");
    }

    #[test]
    fn values_are_checked() {
        let (_folder, mut config) = config();
        let mut error = |key, text| config.set(key, text).unwrap_err().to_string();
        assert!(error("core.timeout", "soon").contains("\"soon\""));
        assert!(error("core.timeout", "0").contains("1 or more"));
        assert!(error("core.reporting", "perhaps").contains("true or false"));
        assert!(error("core.ssl_verify", "/no/such/file").contains("/no/such/file"));
        config.set("core.dcos_url", "x").unwrap();
        assert!(config.set("core", "x").is_err());
        assert!(config.set("core.dcos_url.deeper", "x").is_err());
    }

    #[test]
    fn a_new_url_forgets_the_token() {
        let (_folder, mut config) = config();
        config.set(keys::TOKEN, "secret").unwrap();
        config.set(keys::URL, "http://b").unwrap();
        assert_eq!(config.get(keys::TOKEN), None);
        config.set(keys::TOKEN, "secret").unwrap();
        config.unset(keys::URL);
        assert!(config.entries().is_empty());
        config.unset("no.such.key");
    }
}
