//! Flags in the manner of Mesos: `--name=value`, `--switch`, `--no-switch`, or `MESOS_NAME`.
//! Those of Marathon have other words for the same: `--disable_switch`, `MARATHON_NAME`.

use admin_router::settings::distance;
use mesos_messages::time::{parse_duration, parse_size};
use std::{fmt::Write, fs, str::FromStr, time::Duration};
use thiserror::Error;

/// A flag of a component with the configuration `C`.
pub(crate) struct Flag<C> {
    pub(crate) name: &'static str,
    /// Another name, mostly from before agents were called that.
    pub(crate) alias: &'static str,
    /// Whether it stands alone, or before a value.
    pub(crate) switch: bool,
    pub(crate) help: &'static str,
    pub(crate) set: fn(&mut C, &str) -> Result<(), String>,
}

/// The flags of one component.
pub(crate) struct Table<C: 'static> {
    pub(crate) manner: &'static Manner,
    pub(crate) flags: &'static [Flag<C>],
    /// Flags of the original that have no meaning here yet.
    pub(crate) absent: &'static [&'static str],
}

/// How the original's flags are written.
pub(crate) struct Manner {
    /// What the original is called.
    name: &'static str,
    /// Before a flag's name in the environment.
    variable: &'static str,
    /// Before a switch's name to turn it off.
    off: &'static str,
}

pub(crate) const MESOS: Manner = Manner { name: "Mesos", variable: "MESOS_", off: "no_" };
pub(crate) const MARATHON: Manner =
    Manner { name: "Marathon", variable: "MARATHON_", off: "disable_" };
pub(crate) const COSMOS: Manner = Manner { name: "Cosmos", variable: "COSMOS_", off: "no_" };
pub(crate) const DNS: Manner = Manner { name: "Mesos-DNS", variable: "MESOS_DNS_", off: "no_" };
pub(crate) const NETWORK: Manner = Manner { name: "dcos-net", variable: "DCOS_NET_", off: "no_" };
pub(crate) const IAM: Manner = Manner { name: "Bouncer", variable: "IAM_", off: "no_" };

/// Why flags cannot be used.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum FlagError {
    #[error("unknown flag '--{0}'")]
    Unknown(String),
    #[error("unknown flag '--{name}'; did you mean '--{nearest}'?")]
    Misspelt { name: String, nearest: &'static str },
    #[error("'--{name}' is a flag of {original} that Dais does not have yet; leave it out")]
    Absent { name: String, original: &'static str },
    #[error("'{0}' is no flag; flags have the form --name=value")]
    NoFlag(String),
    #[error("'--{0}' needs a value: --{0}=...")]
    NoValue(String),
    #[error("cannot read the file '{path}' of '--{name}': {reason}")]
    File { name: String, path: String, reason: String },
    #[error("'--{name}' cannot be '{value}': {reason}")]
    Invalid { name: String, value: String, reason: String },
}

const fn flag<C>(
    name: &'static str,
    alias: &'static str,
    switch: bool,
    help: &'static str,
    set: fn(&mut C, &str) -> Result<(), String>,
) -> Flag<C> {
    Flag { name, alias, switch, help, set }
}

/// A flag with a value.
pub(crate) const fn value<C>(
    name: &'static str,
    alias: &'static str,
    help: &'static str,
    set: fn(&mut C, &str) -> Result<(), String>,
) -> Flag<C> {
    flag(name, alias, false, help, set)
}

/// A flag that may stand alone.
pub(crate) const fn switch<C>(
    name: &'static str,
    alias: &'static str,
    help: &'static str,
    set: fn(&mut C, &str) -> Result<(), String>,
) -> Flag<C> {
    flag(name, alias, true, help, set)
}

// === impl Table ===

impl<C> Table<C> {
    /// Applies the environment, then the arguments, so that the latter win.
    pub(crate) fn apply(
        &self,
        config: &mut C,
        arguments: Vec<String>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<(), FlagError> {
        for flag in self.flags {
            for name in [flag.alias, flag.name].into_iter().filter(|name| !name.is_empty()) {
                let variable = |prefix: &str| {
                    let name = format!("{}{prefix}{name}", self.manner.variable);
                    environment(&name.to_ascii_uppercase())
                };
                match variable("") {
                    Some(value) if value.is_empty() && flag.switch => set(config, flag, "true")?,
                    Some(value) => set(config, flag, &value)?,
                    None if flag.switch && variable(self.manner.off).is_some() => {
                        set(config, flag, "false")?;
                    }
                    None => {}
                }
            }
        }
        let mut rest = arguments.into_iter();
        while let Some(argument) = rest.next() {
            self.apply_one(config, &argument, &mut rest)?;
        }
        Ok(())
    }

    fn apply_one(
        &self,
        config: &mut C,
        argument: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), FlagError> {
        let text = argument.strip_prefix("--").filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| FlagError::NoFlag(argument.to_owned()))?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        // Dashes are what most other programs have; nothing is gained by refusing them.
        let name = name.replace('-', "_");
        if let Some(flag) = self.find(&name) {
            let value = match value {
                Some(value) => value,
                None if flag.switch => "true".to_owned(),
                None => rest.next().ok_or_else(|| FlagError::NoValue(name.clone()))?,
            };
            return set(config, flag, &value);
        }
        let negated = name.strip_prefix(self.manner.off).and_then(|name| self.find(name));
        match negated.filter(|flag| flag.switch && value.is_none()) {
            Some(flag) => set(config, flag, "false"),
            None => Err(self.unknown(&name)),
        }
    }

    fn find(&self, name: &str) -> Option<&Flag<C>> {
        self.flags.iter().find(|flag| flag.name == name || flag.alias == name && !name.is_empty())
    }

    fn unknown(&self, name: &str) -> FlagError {
        let plain = name.strip_prefix(self.manner.off).unwrap_or(name);
        if self.absent.contains(&plain) {
            return FlagError::Absent { name: plain.to_owned(), original: self.manner.name };
        }
        let names = self.flags.iter().flat_map(|flag| [flag.name, flag.alias]);
        let names = names.filter(|name| !name.is_empty());
        let near = names.map(|known| (distance(name, known), known)).min();
        // Further away it is a guess, not a typing error.
        let near = near.filter(|(distance, _)| *distance <= 2 + name.len() / 4);
        let name = name.to_owned();
        match near {
            Some((_, nearest)) => FlagError::Misspelt { name, nearest },
            None => FlagError::Unknown(name),
        }
    }

    /// A line or two for each flag.
    pub(crate) fn help(&self, usage: &str) -> String {
        let mut text = format!("{usage}\n\nflags:\n");
        for flag in self.flags {
            let form = if flag.switch { "[=true|false]" } else { "=VALUE" };
            // Writing into a String cannot fail.
            let _ = write!(text, "  --{}{form}\n        {}\n", flag.name, flag.help);
        }
        let Manner { variable, off, .. } = self.manner;
        let off = off.replace('_', if *off == "no_" { "-" } else { "_" });
        let _ = write!(
            text,
            "\nEach may also come from the environment as {variable}<FLAG>, and its value from a \
             file\nas --flag=file:///path. '--{off}switch' turns a switch off.\n"
        );
        text
    }
}

fn set<C>(config: &mut C, flag: &Flag<C>, value: &str) -> Result<(), FlagError> {
    let name = flag.name.to_owned();
    let value = match value.strip_prefix("file://") {
        None => value.to_owned(),
        Some(path) => {
            fs::read_to_string(path).map(|text| text.trim_end().to_owned()).map_err(|error| {
                let reason = error.to_string();
                FlagError::File { name: name.clone(), path: path.to_owned(), reason }
            })?
        }
    };
    (flag.set)(config, &value).map_err(|reason| FlagError::Invalid { name, value, reason })
}

// --- values ---

/// A number, an address, or whatever else reads itself.
pub(crate) fn parsed<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

pub(crate) fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

/// Comma-separated words.
pub(crate) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(crate) fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Config {
        port: u16,
        quiet: bool,
        work_dir: String,
    }

    const TABLE: Table<Config> = Table {
        manner: &MESOS,
        flags: &[
            value("port", "", "a port", |config, text| {
                config.port = parsed(text)?;
                Ok(())
            }),
            switch("quiet", "silent", "less noise", |config, text| {
                config.quiet = boolean(text)?;
                Ok(())
            }),
            value("work_dir", "", "a folder", |config, text| {
                text.clone_into(&mut config.work_dir);
                Ok(())
            }),
        ],
        absent: &["zk"],
    };

    fn apply(arguments: &[&str]) -> Result<Config, String> {
        let mut config = Config::default();
        let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        let environment = |name: &str| (name == "MESOS_PORT").then(|| "7".to_owned());
        TABLE.apply(&mut config, arguments, environment).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn flags_come_in_every_form_and_win_over_the_environment() {
        let expected = |port, quiet| Ok(Config { port, quiet, work_dir: "/w".to_owned() });
        assert_eq!(apply(&["--work_dir=/w"]), expected(7, false));
        assert_eq!(apply(&["--work-dir", "/w", "--port", "5"]), expected(5, false));
        assert_eq!(apply(&["--work_dir=/w", "--silent"]), expected(7, true));
        assert_eq!(apply(&["--work_dir=/w", "--quiet", "--no-quiet"]), expected(7, false));
        assert_eq!(apply(&["--work_dir=/w", "--quiet=true"]), expected(7, true));
    }

    #[test]
    fn the_manner_of_marathon() {
        let table = Table { manner: &MARATHON, ..TABLE };
        let apply = |arguments: &[&str], variable: &'static str| {
            let mut config = Config::default();
            let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
            let environment = |name: &str| (name == variable).then(String::new);
            table.apply(&mut config, arguments, environment).unwrap();
            config.quiet
        };
        assert!(apply(&[], "MARATHON_QUIET"));
        assert!(!apply(&["--quiet", "--disable_quiet"], ""));
        assert!(!apply(&[], "MARATHON_DISABLE_QUIET"));
        assert!(table.help("usage").contains("--disable_switch"));
    }

    #[test]
    fn values_may_come_from_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "/from/file\n").unwrap();
        let config = apply(&[&format!("--work_dir=file://{}", file.path().display())]).unwrap();
        assert_eq!(config.work_dir, "/from/file");
        assert!(apply(&["--work_dir=file:///no/such"]).unwrap_err().contains("/no/such"));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| apply(&[text]).unwrap_err();
        assert_eq!(error("--prot=1"), "unknown flag '--prot'; did you mean '--port'?");
        assert_eq!(error("--workdir=1"), "unknown flag '--workdir'; did you mean '--work_dir'?");
        assert_eq!(error("--something_else=1"), "unknown flag '--something_else'");
        assert!(error("--zk=zk://").contains("does not have yet"));
        assert!(error("port").contains("is no flag"));
        assert!(error("--port").contains("needs a value"));
        assert!(error("--port=x").starts_with("'--port' cannot be 'x': "));
        assert!(error("--quiet=perhaps").contains("expected true or false"));
    }
}
