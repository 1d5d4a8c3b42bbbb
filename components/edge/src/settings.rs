//! Flags of the command line, named as the original's where it has them, and the environment.

use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cluster_events::asking::Server;
use http_kit::client::Authorities;

use crate::config::{AccessLog, Config, Credentials};

/// What is wrong with what was given.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("unknown flag '{0}'")]
    Unknown(String),
    #[error("'{0}' needs a value")]
    NoValue(String),
    #[error("'{flag}' cannot be '{value}': {reason}")]
    Invalid { flag: String, value: String, reason: String },
    #[error("cannot read {path}: {reason}")]
    File { path: PathBuf, reason: String },
    #[error("--group is needed: `external` by convention, or `*` for all apps")]
    NoGroup,
}

type Result<T> = std::result::Result<T, SettingsError>;

/// A flag: its names, what stands for its value in the help, and the help.
type Row = (&'static str, &'static str, &'static str);

const FLAGS: [Row; 32] = [
    (
        "--marathon",
        "URL",
        "Marathon, several times or with commas; by default the one of the cluster that started this, else http://master.mesos:8080 (-m)",
    ),
    ("--group", "NAME", "serve apps of this group, several times or with commas; * is all"),
    ("--strict-mode", "", "serve ports only whose labels say HAPROXY_n_ENABLED=true"),
    ("--health-check", "", "requests go only to tasks whose checks succeed (-H)"),
    ("--dont-bind-http-https", "", "no frontends for virtual hosts"),
    (
        "--ssl-certs",
        "PATH",
        "PEM files with chain and key, or folders of such, with commas; the first is the default",
    ),
    (
        "--min-serv-port-ip-per-task",
        "PORT",
        "first port for services of containers without one (10050)",
    ),
    ("--max-serv-port-ip-per-task", "PORT", "and the last (10100)"),
    ("--auth-credentials", "USER:PASSWORD", "as whom Marathon is asked, by basic authentication"),
    ("--auth-credential-file", "PATH", "a file with that"),
    ("--marathon-auth-credential-file", "PATH", "the same"),
    (
        "--dcos-auth-credentials",
        "PATH",
        "file of a service account (uid, private_key, login_endpoint) to log in to IAM with",
    ),
    ("--service-account-file", "PATH", "the same"),
    ("--iam", "URL", "where IAM is, if the account's file does not say it"),
    ("--marathon-ca-cert", "PATH", "PEM bundle that is trusted for Marathon"),
    ("--bind", "ADDRESS", "where to listen (0.0.0.0)"),
    ("--http-port", "PORT", "for virtual hosts (80)"),
    ("--https-port", "PORT", "for virtual hosts with TLS (443)"),
    ("--app-id-port", "PORT", "for the header X-Marathon-App-Id (9091)"),
    ("--stats-port", "PORT", "statistics and control (9090)"),
    ("--stats-bind", "ADDRESS", "where those are (as --bind)"),
    (
        "--service-ports",
        "RANGES",
        "ports that services may have, as 10000-10100,5432, or none (1-65535)",
    ),
    ("--timeout-connect", "SECONDS", "to a server (3)"),
    ("--timeout-server", "SECONDS", "for an answer, and between its parts (30)"),
    ("--timeout-client", "SECONDS", "between parts of a request (30)"),
    ("--timeout-tunnel", "SECONDS", "of connections without a byte (3600)"),
    ("--retries", "COUNT", "attempts after the first (3)"),
    ("--grace", "SECONDS", "for requests under way when it ends (20)"),
    ("--workers", "COUNT", "threads; 0 is one for each core (0)"),
    ("--access-log", "PATH", "a line of JSON for each request; - is the standard output"),
    (
        "--own-app",
        "ID",
        "the app that this is, which it does not serve ($FRAMEWORK_NAME, $MARATHON_APP_ID)",
    ),
    ("--log-level", "LEVEL", "trace, debug, info, warn or error (info)"),
];

/// Flags of the original that ask for what holds anyway, or for what is not needed here.
const ACCEPTED: [(&str, bool); 14] = [
    ("--sse", false),
    ("-s", false),
    ("--haproxy-map", false),
    ("--group-https-by-vhost", false),
    ("--skip-validation", false),
    ("--skip-config-cleanup", false),
    ("--haproxy-config", true),
    ("--command", true),
    ("-c", true),
    ("--max-reload-retries", true),
    ("--reload-interval", true),
    ("--archive-versions", true),
    ("--lru-cache-capacity", true),
    ("--max-backoff", true),
];

/// What a command line says.
#[derive(Debug)]
pub struct Settings {
    pub config: Config,
    pub log_level: String,
    /// For people, to be logged.
    pub notes: Vec<String>,
}

/// The flags, for `--help`.
pub fn help() -> String {
    let mut text = String::new();
    for (name, value, help) in FLAGS {
        let value = if value.is_empty() { String::new() } else { format!("={value}") };
        text.push_str(&format!("  {name}{value}\n        {help}\n"));
    }
    text.push_str(
        "\nCertificates may also come as texts in HAPROXY_SSL_CERT and HAPROXY_SSL_CERT0 to \
         HAPROXY_SSL_CERT100,\ncredentials in MARATHON_USER and MARATHON_PASSWORD.\n",
    );
    text
}

/// Reads flags and the environment; flags win.
pub fn from(
    arguments: impl IntoIterator<Item = String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Settings> {
    let mut reading = Reading {
        settings: Settings {
            config: Config::default(),
            log_level: "info".to_owned(),
            notes: Vec::new(),
        },
        marathons: Vec::new(),
        account: None,
        iam: None,
        stats_bind: None,
    };
    reading.environment(&variable)?;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        reading.flag(&name, value, &mut arguments)?;
    }
    reading.finish(&variable)
}

struct Reading {
    settings: Settings,
    marathons: Vec<Server>,
    account: Option<PathBuf>,
    iam: Option<String>,
    stats_bind: Option<std::net::IpAddr>,
}

// === impl Reading ===

impl Reading {
    fn environment(&mut self, variable: &impl Fn(&str) -> Option<String>) -> Result<()> {
        let config = &mut self.settings.config;
        let numbered = (0..=100).map(|number| format!("HAPROXY_SSL_CERT{number}"));
        let names = std::iter::once("HAPROXY_SSL_CERT".to_owned()).chain(numbered);
        let texts = names.filter_map(|name| variable(&name));
        config.certificates.texts = texts.filter(|text| !text.trim().is_empty()).collect();
        if let (Some(user), Some(password)) =
            (variable("MARATHON_USER"), variable("MARATHON_PASSWORD"))
        {
            config.credentials = basic(&format!("{user}:{password}"));
        }
        // The original calls itself so; Marathon calls every task so.
        let own = variable("FRAMEWORK_NAME").or_else(|| variable("MARATHON_APP_ID"));
        config.scope.own = own.map(|own| format!("/{}", own.trim_start_matches('/')).into());
        Ok(())
    }

    fn flag(
        &mut self,
        name: &str,
        value: Option<String>,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<()> {
        let name = match name {
            "-m" => "--marathon",
            "-H" => "--health-check",
            name => name,
        };
        if let Some((_, has_value)) = ACCEPTED.iter().find(|(known, _)| *known == name) {
            if *has_value && value.is_none() {
                rest.next();
            }
            self.settings.notes.push(format!("{name} has no effect here, and needs none"));
            return Ok(());
        }
        let row = FLAGS.iter().find(|(known, ..)| *known == name);
        let (_, wants, _) = row.ok_or_else(|| SettingsError::Unknown(name.to_owned()))?;
        if wants.is_empty() {
            let on = value.as_deref().is_none_or(|value| value == "true");
            self.switch(name, on);
            return Ok(());
        }
        let value = value.or_else(|| rest.next());
        let value = value.ok_or_else(|| SettingsError::NoValue(name.to_owned()))?;
        self.value(name, &value)
    }

    fn switch(&mut self, name: &str, on: bool) {
        let config = &mut self.settings.config;
        match name {
            "--strict-mode" => config.scope.strict = on,
            "--health-check" => config.scope.health_check = on,
            "--dont-bind-http-https" if on => (config.http_port, config.https_port) = (None, None),
            _ => {}
        }
    }

    fn value(&mut self, name: &str, value: &str) -> Result<()> {
        let invalid = |reason: String| SettingsError::Invalid {
            flag: name.to_owned(),
            // Some values are secrets, or lead to some.
            value: if name == "--auth-credentials" { "…".to_owned() } else { value.to_owned() },
            reason,
        };
        let seconds = || {
            let seconds = value.parse().map_err(|_| invalid("expecting seconds".to_owned()))?;
            Ok(std::time::Duration::from_secs(seconds))
        };
        let path = || PathBuf::from(value);
        let config = &mut self.settings.config;
        match name {
            "--marathon" => {
                for text in value.split(',').filter(|text| !text.is_empty()) {
                    let server = text.trim_end_matches('/').parse::<Server>();
                    self.marathons.push(server.map_err(|error| invalid(error.to_string()))?);
                }
            }
            "--group" => {
                let groups = value.split(',').map(str::trim).filter(|group| !group.is_empty());
                config.scope.groups.extend(groups.map(Arc::from));
            }
            "--ssl-certs" => {
                let paths = value.split(',').map(str::trim).filter(|path| !path.is_empty());
                config.certificates.paths = paths.map(PathBuf::from).collect();
            }
            "--min-serv-port-ip-per-task" => {
                let first = number(value).map_err(invalid)?;
                config.scope.pseudo_ports = first..=*config.scope.pseudo_ports.end();
            }
            "--max-serv-port-ip-per-task" => {
                let last = number(value).map_err(invalid)?;
                config.scope.pseudo_ports = *config.scope.pseudo_ports.start()..=last;
            }
            "--auth-credentials" => config.credentials = basic(value),
            "--auth-credential-file" | "--marathon-auth-credential-file" => {
                config.credentials = basic(read(path())?.trim());
            }
            "--dcos-auth-credentials" | "--service-account-file" => self.account = Some(path()),
            "--iam" => self.iam = Some(value.trim_end_matches('/').to_owned()),
            "--marathon-ca-cert" => {
                let authorities = Authorities::from_pem(read(path())?.as_bytes());
                config.authorities = authorities.map_err(|error| invalid(error.to_string()))?;
            }
            "--bind" => config.bind = number(value).map_err(invalid)?,
            "--http-port" => config.http_port = Some(number(value).map_err(invalid)?),
            "--https-port" => config.https_port = Some(number(value).map_err(invalid)?),
            "--app-id-port" => config.app_id_port = Some(number(value).map_err(invalid)?),
            "--stats-port" => config.stats_port = number(value).map_err(invalid)?,
            "--stats-bind" => self.stats_bind = Some(number(value).map_err(invalid)?),
            "--service-ports" => {
                let wrong = || invalid("expecting ports and ranges, or none".to_owned());
                config.service_ports = ranges(value).ok_or_else(wrong)?;
            }
            "--timeout-connect" => config.timeouts.connect = seconds()?,
            "--timeout-server" => config.timeouts.server = seconds()?,
            "--timeout-client" => config.timeouts.client = seconds()?,
            "--timeout-tunnel" => config.tunnel = seconds()?,
            "--retries" => config.timeouts.retries = number(value).map_err(invalid)?,
            "--grace" => config.grace = seconds()?,
            "--workers" => config.workers = number(value).map_err(invalid)?,
            "--access-log" => {
                config.access_log = match value {
                    "" => None,
                    "-" => Some(AccessLog::Stdout),
                    _ => Some(AccessLog::File(path())),
                };
            }
            "--own-app" => {
                config.scope.own = Some(format!("/{}", value.trim_start_matches('/')).into());
            }
            "--log-level" => value.clone_into(&mut self.settings.log_level),
            _ => return Err(SettingsError::Unknown(name.to_owned())),
        }
        Ok(())
    }

    fn finish(mut self, variable: &impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let config = &mut self.settings.config;
        if config.scope.groups.is_empty() {
            return Err(SettingsError::NoGroup);
        }
        if self.marathons.is_empty()
            && let Some(folder) = variable("DAIS_DATA_DIR")
            && let Some(marathon) = of_cluster(&PathBuf::from(folder))
        {
            self.settings.notes.push(format!("Marathon is at {marathon}, as the cluster says"));
            self.marathons.push(marathon);
        }
        if !self.marathons.is_empty() {
            config.marathons = self.marathons;
        }
        if let Some(file) = self.account {
            config.credentials = Credentials::Account { file, iam: self.iam };
        }
        config.stats_bind = self.stats_bind.unwrap_or(config.bind);
        Ok(self.settings)
    }
}

/// Where the Marathon of a cluster is that `dais up` started.
fn of_cluster(folder: &std::path::Path) -> Option<Server> {
    let text = std::fs::read(folder.join("endpoints.json")).ok()?;
    let endpoints: serde_json::Value = serde_json::from_slice(&text).ok()?;
    endpoints.get("marathon")?.as_str()?.parse().ok()
}

fn basic(credentials: &str) -> Credentials {
    Credentials::Fixed(format!("Basic {}", STANDARD.encode(credentials)).into())
}

fn read(path: PathBuf) -> Result<String> {
    std::fs::read_to_string(&path).map_err(|error| {
        let reason = error.to_string();
        SettingsError::File { path, reason }
    })
}

fn number<T: std::str::FromStr>(text: &str) -> std::result::Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.trim().parse().map_err(|error: T::Err| error.to_string())
}

/// `10000-10100,5432`; `none` is no port.
fn ranges(text: &str) -> Option<Vec<std::ops::RangeInclusive<u16>>> {
    if text == "none" {
        return Some(Vec::new());
    }
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
        (!range.is_empty() && *range.start() > 0).then_some(range)
    };
    text.split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str, variables: &[(&str, &str)]) -> Result<Settings> {
        let arguments = text.split_ascii_whitespace().map(str::to_owned);
        from(arguments, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_originals_command_line_is_understood() {
        let text = "--sse -m http://a:8080 --marathon=https://b --group external,internal \
                    --health-check --strict-mode --haproxy-map --max-reload-retries 3 \
                    --ssl-certs /a.pem,/folder --min-serv-port-ip-per-task 11000 \
                    --max-serv-port-ip-per-task 11010";
        let settings = settings(text, &[]).unwrap();
        let config = settings.config;
        assert_eq!(config.marathons.len(), 2);
        assert_eq!(config.scope.groups, ["external".into(), Arc::from("internal")]);
        assert!(config.scope.health_check && config.scope.strict);
        assert_eq!(config.scope.pseudo_ports, 11_000..=11_010);
        assert_eq!(config.certificates.paths.len(), 2);
        assert_eq!(settings.notes.len(), 3);
        assert_eq!((config.http_port, config.stats_port), (Some(80), 9090));
    }

    #[test]
    fn ports_and_places() {
        let text = "--group * --bind 127.0.0.1 --http-port 0 --stats-port=1 \
                    --service-ports 10000-10100,5432 --access-log -";
        let config = settings(text, &[]).unwrap().config;
        assert_eq!(config.stats_bind, config.bind);
        assert_eq!(config.service_ports, [10_000..=10_100, 5432..=5432]);
        assert_eq!(config.access_log, Some(AccessLog::Stdout));
        let config = settings("--group * --dont-bind-http-https --service-ports none", &[]);
        let config = config.unwrap().config;
        assert_eq!((config.http_port, config.https_port), (None, None));
        assert!(config.service_ports.is_empty());
    }

    #[test]
    fn the_environment_tells_of_certificates_and_of_the_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let endpoints = r#"{"marathon": "http://127.0.0.1:12345", "pid": 7}"#;
        std::fs::write(folder.path().join("endpoints.json"), endpoints).unwrap();
        let path = folder.path().display().to_string();
        let variables = [
            ("HAPROXY_SSL_CERT", "one"),
            ("HAPROXY_SSL_CERT7", "two"),
            ("DAIS_DATA_DIR", path.as_str()),
            ("MARATHON_APP_ID", "/edge-lb"),
            ("MARATHON_USER", "u"),
            ("MARATHON_PASSWORD", "geheim"),
        ];
        let settings = settings("--group external", &variables).unwrap();
        let config = settings.config;
        assert_eq!(config.certificates.texts, ["one", "two"]);
        assert_eq!(config.marathons[0].to_string(), "http://127.0.0.1:12345");
        assert_eq!(config.scope.own.as_deref(), Some("/edge-lb"));
        assert!(!format!("{config:?}").contains("geheim"));
        assert!(matches!(config.credentials, Credentials::Fixed(_)));
    }

    #[test]
    fn mistakes_are_told() {
        let error = |text: &str| settings(text, &[]).unwrap_err().to_string();
        assert!(error("").contains("--group"));
        assert!(error("--gruop x").contains("unknown flag '--gruop'"));
        assert!(error("--group").contains("needs a value"));
        assert!(error("--group x --http-port y").contains("--http-port"));
        assert!(error("--group x --marathon ftp://a").contains("ftp"));
        assert!(error("--group x --service-ports 5-1").contains("ranges"));
        assert!(error("--group x --auth-credential-file /none").contains("/none"));
    }

    #[test]
    fn every_flag_is_understood() {
        for (name, wants, _) in FLAGS {
            let value = match wants {
                "" => "",
                "URL" => "http://a:1",
                "ADDRESS" => "127.0.0.1",
                "PATH" if name.contains("auth-credential-file") || name.contains("ca-cert") => {
                    continue;
                }
                "RANGES" => "1-2",
                _ => "7",
            };
            let text = if value.is_empty() { name.to_owned() } else { format!("{name}={value}") };
            assert!(settings(&format!("--group x {text}"), &[]).is_ok(), "{text}");
        }
    }
}
