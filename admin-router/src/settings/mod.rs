//! The configuration from a file, the environment and flags, each over the one before.
//!
//! Every setting has one name: `--data_dir=X`, `data_dir: X` in the file, `ADMINROUTER_DATA_DIR`
//! in the environment. The variables of the original are taken as well ([`env`]). Everything
//! that is wrong is told at once.

mod env;
mod file;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use crate::Origin;
use crate::config::{Config, Role};
use table::{SETTINGS, Setting};

/// What our own variables begin with.
const PREFIX: &str = "ADMINROUTER_";

/// A configuration, and what its operator should know about it.
#[derive(Debug)]
pub struct Settings {
    pub config: Config,
    /// For the log: settings that are taken and have no effect here.
    pub notes: Vec<String>,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct SettingsError(pub Vec<String>);

/// Reads a configuration. `flags` are of the forms `--name=value` and `--name value`; names may
/// be written with dashes.
pub fn from(
    flags: impl IntoIterator<Item = String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Settings, SettingsError> {
    let mut reader = Reader {
        config: Config::new(Role::Master, PathBuf::new()),
        notes: Vec::new(),
        errors: Vec::new(),
    };
    let mut flags = reader.flags(flags);
    if let Some(path) = flags.remove("config").or_else(|| environment("ADMINROUTER_CONFIG")) {
        reader.file(&path);
    }
    reader.environment(&environment);
    for setting in SETTINGS {
        if let Some(value) = flags.get(setting.name) {
            reader.set(setting, value, &format!("--{}", setting.name));
        }
    }
    reader.finish()
}

/// A line or two for each flag.
pub fn help() -> String {
    let mut text =
        String::from("flags:\n  --config=FILE\n        Settings as lines `name: value`.\n");
    for setting in SETTINGS {
        // Writing into a String cannot fail.
        let _ = write!(text, "  --{}=VALUE\n        {}\n", setting.name, setting.help);
    }
    let _ = write!(
        text,
        "\nEach may also come from the environment as {PREFIX}<FLAG>, or from the file of \
         --config.\nThe variables of DC/OS's Admin Router are taken under their own names.\n"
    );
    text
}

/// Collects settings and what is wrong with them.
struct Reader {
    config: Config,
    notes: Vec<String>,
    errors: Vec<String>,
}

// === impl Reader ===

impl Reader {
    /// The flags by their names; unknown ones are errors.
    fn flags(&mut self, flags: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut flags = flags.into_iter();
        while let Some(flag) = flags.next() {
            let Some(text) = flag.strip_prefix("--").filter(|text| !text.is_empty()) else {
                self.errors.push(format!("'{flag}' is no flag; flags have the form --name=value"));
                continue;
            };
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name.replace('-', "_"), Some(value.to_owned())),
                None => (text.replace('-', "_"), None),
            };
            if name != "config" && find(&name).is_none() {
                self.errors.push(unknown("flag", &format!("--{name}"), &name, "--"));
                continue;
            }
            match value.or_else(|| flags.next()) {
                Some(value) => {
                    found.insert(name, value);
                }
                None => self.errors.push(format!("'--{name}' needs a value: --{name}=...")),
            }
        }
        found
    }

    fn file(&mut self, path: &str) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.errors.push(format!("cannot read the file '{path}': {error}"));
                return;
            }
        };
        for line in file::parse(&text) {
            match line {
                Ok((number, name, value)) => {
                    let place = format!("{path}:{number}: {name}");
                    match find(&name) {
                        Some(setting) => self.set(setting, &value, &place),
                        None => self.errors.push(unknown("setting", &place, &name, "")),
                    }
                }
                Err((number, what)) => self.errors.push(format!("{path}:{number}: {what}")),
            }
        }
    }

    fn environment(&mut self, environment: &impl Fn(&str) -> Option<String>) {
        for original in env::ORIGINAL {
            // An empty variable is one that is not set, as for the original.
            let Some(value) = environment(original.name).filter(|value| !value.is_empty()) else {
                continue;
            };
            match (original.set)(&mut self.config, &value) {
                Ok(None) => {}
                Ok(Some(note)) => self.notes.push(format!("{}: {note}", original.name)),
                Err(error) => self.errors.push(format!("{}: {error}", original.name)),
            }
        }
        for setting in SETTINGS {
            let name = format!("{PREFIX}{}", setting.name.to_ascii_uppercase());
            if let Some(value) = environment(&name).filter(|value| !value.is_empty()) {
                self.set(setting, &value, &name);
            }
        }
    }

    fn set(&mut self, setting: &Setting, value: &str, place: &str) {
        if let Err(error) = (setting.set)(&mut self.config, value) {
            // The value of none is secret: those come from files.
            self.errors.push(format!("{place} cannot be '{value}': {error}"));
        }
    }

    fn finish(mut self) -> Result<Settings, SettingsError> {
        let config = &mut self.config;
        if config.data_dir.as_os_str().is_empty() {
            self.errors.push("--data_dir=DIR is needed: the gateway's key lives there".to_owned());
        }
        if config.plain.is_none() && config.tls.is_none() {
            let text = "--plain=IP:PORT or --tls=IP:PORT is needed, or both";
            self.errors.push(text.to_owned());
        }
        let (chain, key) = config.certificate.clone().unwrap_or_default();
        match (chain.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (true, true) => config.certificate = None,
            (false, false) => {}
            _ => self.errors.push("--certificate and --key go together".to_owned()),
        }
        if config.redirector.as_ref().is_some_and(|(url, _)| url.is_empty()) {
            config.redirector = None;
            let note = "OAUTH_CLIENT_ID: without OAUTH_AUTH_REDIRECTOR there is a login page";
            self.notes.push(note.to_owned());
        }
        if config.role == Role::Master {
            defaults(config);
        }
        match self.errors.is_empty() {
            true => Ok(Settings { config: self.config, notes: self.notes }),
            false => Err(SettingsError(self.errors)),
        }
    }
}

/// Where the original looks for Mesos and Marathon when nobody says it.
fn defaults(config: &mut Config) {
    let upstreams = &mut config.upstreams;
    if upstreams.mesos.is_empty() {
        upstreams.mesos.push(Origin::Http { host: "leader.mesos".into(), port: 5050 });
    }
    if upstreams.marathon.is_empty() {
        upstreams.marathon.push(Origin::Http { host: "127.0.0.1".into(), port: 8080 });
    }
}

fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// What is said about a name that is none, with the nearest that is one.
fn unknown(kind: &str, place: &str, name: &str, dashes: &str) -> String {
    let near = SETTINGS.iter().map(|known| (distance(name, known.name), known.name)).min();
    // Further away it is a guess, not a typing error.
    match near.filter(|(distance, _)| *distance <= 2 + name.len() / 4) {
        Some((_, near)) => format!("unknown {kind} '{place}'; did you mean '{dashes}{near}'?"),
        None => format!("unknown {kind} '{place}'"),
    }
}

/// How many letters must be added, dropped or changed to make one word of another.
pub fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.bytes().enumerate() {
        let mut previous = line;
        let mut current = line + 1;
        let mut next = vec![current];
        for (b, above) in right.bytes().zip(row.iter().skip(1)) {
            current = (previous + usize::from(a != b)).min(above + 1).min(current + 1);
            previous = *above;
            next.push(current);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Challenge;

    fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let base = ["--data_dir=/d", "--tls=127.0.0.1:8443"];
        let flags = base.iter().chain(flags).map(|flag| (*flag).to_owned());
        from(flags, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn errors(flags: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        read(flags, variables).unwrap_err().0
    }

    #[test]
    fn flags_are_over_the_environment_and_that_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# test\nworkers: 1\nchallenge: oauthjwt\nagent_port: 7\n")
            .unwrap();
        let config = format!("--config={}", file.path().display());
        let variables = [
            ("ADMINROUTER_WORKERS", "2"),
            ("ADMINROUTER_AGENT_PORT", "8"),
            ("HOST_IP", "10.0.0.1"),
        ];
        let read = read(&[&config, "--workers", "3", "--agent-port=9"], &variables).unwrap().config;
        assert_eq!((read.workers, read.agent_port), (3, 9));
        assert_eq!(read.challenge, Challenge::Oauth);
        assert_eq!(read.host_ip, Some([10, 0, 0, 1].into()));
    }

    #[test]
    fn the_originals_variables_are_taken() {
        let variables = [
            ("DEFAULT_SCHEME", "https://"),
            ("UPSTREAM_MESOS", "http://10.0.0.2:5050"),
            ("UPSTREAM_MARATHON", "http://10.0.0.3:8080"),
            ("SERVICE_AUTH_TOKEN", "secret"),
            ("EXHIBITOR_ADMIN_HTTPBASICAUTH_CREDS", "admin:pw"),
            ("AUTH_ERROR_PAGE_DIR_PATH", "/pages"),
            ("OAUTH_CLIENT_ID", "id"),
            ("OAUTH_AUTH_REDIRECTOR", "https://auth.example.com/"),
            ("CACHE_MAX_AGE_HARD_LIMIT", "100"),
            ("CACHE_BACKEND_REQUEST_TIMEOUT", "10"),
            ("CACHE_POLL_PERIOD", "25"),
            ("ADMINROUTER_ACTIVATE_AUTH_MODULE", "False"),
        ];
        let Settings { config, notes } = read(&[], &variables).unwrap();
        assert_eq!(config.default_scheme, proxy::Scheme::Https);
        assert_eq!(config.master_port, None);
        assert_eq!(config.upstreams.mesos, ["http://10.0.0.2:5050".parse().unwrap()]);
        assert_eq!(config.upstreams.marathon, ["http://10.0.0.3:8080".parse().unwrap()]);
        assert_eq!(config.service_token.unwrap().expose(), "secret");
        assert_eq!(config.exhibitor_credentials.unwrap().expose(), "admin:pw");
        assert_eq!(config.site.error_pages, Some("/pages".into()));
        assert_eq!(
            config.redirector,
            Some(("https://auth.example.com".to_owned(), "id".to_owned()))
        );
        assert_eq!(config.knowledge_max_age.as_secs(), 100);
        assert_eq!(config.knowledge_timeout.as_secs(), 10);
        assert!(config.authentication, "only the literal false switches it off");
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with("CACHE_POLL_PERIOD: "));
        let off = read(&[], &[("ADMINROUTER_ACTIVATE_AUTH_MODULE", "false")]).unwrap();
        assert!(!off.config.authentication);
    }

    #[test]
    fn what_the_original_has_by_default() {
        let upstreams = read(&[], &[]).unwrap().config.upstreams;
        assert_eq!(upstreams.mesos[0].to_string(), "http://leader.mesos:5050");
        assert_eq!(upstreams.marathon[0].to_string(), "http://127.0.0.1:8080");
        assert!(read(&["--role=agent"], &[]).unwrap().config.upstreams.mesos.is_empty());
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let variables = [("CACHE_POLL_PERIOD", "soon"), ("SECRET_KEY_FILE_PATH", "/k")];
        let told = errors(
            &[
                "--wokers=1",
                "--workers=many",
                "--iam=localhost:1",
                "x",
                "--certificate=/c",
                "--names=*.example.com,*",
            ],
            &variables,
        );
        let begin = [
            "unknown flag '--wokers'; did you mean '--workers'?",
            "'x' is no flag",
            "SECRET_KEY_FILE_PATH: ",
            "CACHE_POLL_PERIOD: ",
            "--iam cannot be 'localhost:1': expected http://host:port",
            "--workers cannot be 'many': ",
            "--names cannot be '*.example.com,*': '*' is neither",
            "--certificate and --key go together",
        ];
        assert_eq!(told.len(), begin.len(), "{told:#?}");
        for begin in begin {
            assert!(told.iter().any(|line| line.starts_with(begin)), "{begin}: {told:#?}");
        }
        // Those are asked by the gateway itself, which speaks HTTP to addresses only.
        let socket = "unix:/run/x.sock";
        for name in ["iam", "mesos", "marathon", "mesos_dns"] {
            let told = errors(&[&format!("--{name}={socket}")], &[]).concat();
            assert!(told.contains("cannot be asked at a socket"), "{name}: {told}");
        }
        let told = errors(&[], &[("UPSTREAM_MESOS", socket), ("UPSTREAM_MARATHON", socket)]);
        assert_eq!(told.len(), 2, "{told:?}");
        let nothing = from([], |_| None).unwrap_err();
        assert!(nothing.to_string().contains("--data_dir=DIR is needed"));
    }

    #[test]
    fn errors_of_files_name_the_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "workers: 1\n\nwoorkers: 2\nnonsense\n").unwrap();
        let path = file.path().display();
        let told = errors(&[&format!("--config={path}")], &[]);
        assert_eq!(
            told,
            [
                format!("unknown setting '{path}:3: woorkers'; did you mean 'workers'?"),
                format!("{path}:4: expected 'name: value'"),
            ]
        );
    }

    #[test]
    fn no_secret_stands_in_an_error_or_a_debug_text() {
        let secret = [("EXHIBITOR_ADMIN_HTTPBASICAUTH_CREDS", "hunter2")];
        assert!(!errors(&[], &secret).concat().contains("hunter2"));
        let secret = [("SERVICE_AUTH_TOKEN", "hunter2")];
        assert!(!format!("{:?}", read(&[], &secret).unwrap()).contains("hunter2"));
    }
}
