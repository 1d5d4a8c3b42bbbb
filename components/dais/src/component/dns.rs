//! `dais run dns`.

use super::{
    Logging,
    access::{self, Access, HasAccess},
    flags::{DNS, Flag, FlagError, Table, boolean, parsed, switch, value},
    until_signal,
};
use anyhow::{Context, bail};
use dns::names::IpSource;
use serde_json::Value;
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

#[derive(Debug)]
struct Config {
    service: dns::Config,
    /// In Mesos-DNS's form; flags come before it.
    file: Option<PathBuf>,
    logging: Logging,
    access: Access,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: dns::Config::new(Vec::new()),
            file: None,
            logging: Logging::default(),
            access: Access::default(),
        }
    }
}

impl HasAccess for Config {
    fn access(&mut self) -> &mut Access {
        &mut self.access
    }
}

/// A list between commas.
fn list<T>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(one).collect()
}

/// A name server: an address, or an address and a port.
fn resolver(text: &str) -> Result<SocketAddr, String> {
    let plain = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    plain.or_else(|_| text.parse()).map_err(|_| format!("'{text}' is no address of a server"))
}

/// `zone=address,address;zone=...`.
fn zone_resolvers(text: &str) -> Result<Vec<(String, Vec<SocketAddr>)>, String> {
    let zones = text.split(';').map(str::trim).filter(|zone| !zone.is_empty());
    let zones = zones.map(|zone| {
        let (name, servers) = zone.split_once('=').ok_or("expected zone=address,address;...")?;
        Ok((name.trim().to_owned(), list(servers, resolver)?))
    });
    zones.collect()
}

fn source(text: &str) -> Result<IpSource, String> {
    match text {
        "host" => Ok(IpSource::Host),
        "netinfo" => Ok(IpSource::Netinfo),
        "docker" => Ok(IpSource::Docker),
        "mesos" => Ok(IpSource::Mesos),
        _ => Err(format!("'{text}' is none of host, netinfo, docker and mesos")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    parsed(text).map(Duration::from_secs)
}

/// A flag that takes its value as it is read.
macro_rules! put {
    ($name:literal, $alias:literal, $help:literal, $field:ident, $read:expr) => {
        value($name, $alias, $help, |config, text| {
            config.service.$field = $read(text)?;
            Ok(())
        })
    };
}

/// The same that stands alone.
macro_rules! turn {
    ($name:literal, $alias:literal, $help:literal, $field:ident) => {
        switch($name, $alias, $help, |config, text| {
            config.service.$field = boolean(text)?;
            Ok(())
        })
    };
}

const FLAGS: &[Flag<Config>] = &[
    value("config", "", "A configuration of Mesos-DNS, as JSON.", |config, text| {
        config.file = Some(PathBuf::from(text));
        Ok(())
    }),
    value("masters", "", "The masters, between commas. Required.", |config, text| {
        config.service.masters = super::urls(text);
        Ok(())
    }),
    value("net", "", "Where the load balancer is, as a URL.", |config, text| {
        config.service.net = super::urls(text).pop();
        Ok(())
    }),
    value("work_dir", "", "Where what was known last is kept.", |config, text| {
        config.service.data_dir = Some(PathBuf::from(text));
        Ok(())
    }),
    put!("domain", "", "The domain of tasks. (mesos)", domain, parsed),
    put!("ttl", "", "How long answers hold, in seconds. (60)", ttl, parsed),
    put!(
        "srv_record_default_weight",
        "srvrecorddefaultweight",
        "Weight of SRV records. (1)",
        srv_record_default_weight,
        parsed
    ),
    put!("soa_mname", "soamname", "Name of this server. (ns1.mesos)", soa_mname, parsed),
    put!("soa_rname", "soarname", "Who is responsible. (root.ns1.mesos)", soa_rname, parsed),
    put!("soa_refresh", "soarefresh", "Of the SOA record, in seconds. (60)", soa_refresh, parsed),
    put!("soa_retry", "soaretry", "Of the SOA record, in seconds. (600)", soa_retry, parsed),
    put!("soa_expire", "soaexpire", "Of the SOA record, in seconds. (86400)", soa_expire, parsed),
    put!(
        "ip_sources",
        "ipsources",
        "Where addresses of tasks are taken from, in order: host, netinfo, docker, mesos. \
         (netinfo,mesos,host)",
        ip_sources,
        |text| list(text, source)
    ),
    turn!(
        "enforce_rfc952",
        "enforcerfc952",
        "Labels of at most 24 characters that begin with a letter. (false)",
        enforce_rfc952
    ),
    put!("listener", "", "Addresses to answer on. (127.0.0.1)", listeners, |text| list(
        text, parsed
    )),
    put!("port", "", "UDP and TCP port to answer on. (53)", port, parsed),
    put!("http_listener", "httplistener", "Address of the API. (127.0.0.1)", http_listener, parsed),
    put!("http_port", "httpport", "Port of the API. (8123)", http_port, parsed),
    turn!(
        "enumeration_on",
        "enumerationon",
        "Whether the API tells all names at once. (true)",
        enumeration_on
    ),
    turn!("external_on", "externalon", "Ask others for foreign names. (true)", external_on),
    turn!("recurse_on", "recurseon", "Say so, and do so. (true)", recurse_on),
    put!(
        "resolvers",
        "",
        "Who is asked for foreign names, in order. (those of /etc/resolv.conf)",
        resolvers,
        |text| list(text, resolver)
    ),
    put!(
        "zone_resolvers",
        "zoneresolvers",
        "Others for some zones: zone=address,address;zone=...",
        zone_resolvers,
        zone_resolvers
    ),
    put!("timeout", "", "How long each try takes, in seconds. (5)", timeout, seconds),
    put!(
        "trusted",
        "",
        "Networks whose machines may ask for foreign names. (loopback and private ones)",
        trusted,
        |text| list(text, parsed)
    ),
    put!("workers", "", "Threads that answer over UDP, on each address. (1)", workers, parsed),
    turn!(
        "set_truncate_bit",
        "settruncatebit",
        "Whether an answer that is cut says so. (true)",
        set_truncate_bit
    ),
    put!("zookeepers", "", "Addresses of ZooKeeper's servers.", zookeepers, |text| list(
        text, parsed
    )),
    put!("node_ips", "", "This node's own addresses.", node_ips, |text| list(text, parsed)),
    put!("public_ips", "", "This node's addresses from outside.", public_ips, |text| list(
        text, parsed
    )),
    value("cluster_id", "", "The name by which other clusters know this one.", |config, text| {
        config.service.cluster_id = Some(text.to_owned());
        Ok(())
    }),
    access::mode(),
    access::iam(),
    access::account(),
    value("logging_level", "", "trace, debug, info, warn or error. (info)", |config, text| {
        config.logging.set(text)
    }),
];

const TABLE: Table<Config> = Table {
    manner: &DNS,
    flags: FLAGS,
    absent: &["zk", "mesoshttpson", "cacertfile", "certfile", "keyfile", "mesosauthentication"],
};

/// Keys of the original's file without a meaning here: nothing is polled, and DNS and its API are
/// always on.
const IDLE: [&str; 5] =
    ["refreshseconds", "statetimeoutseconds", "zkdetectiontimeout", "dnson", "httpon"];

/// What `--help` prints.
pub(super) fn help() -> String {
    TABLE.help("usage: dais run dns --masters=URL [--flag=value]...")
}

/// A file of Mesos-DNS, as flags: its keys in any case, lists between commas.
fn arguments_of(file: &Value) -> anyhow::Result<Vec<String>> {
    let keys = file.as_object().context("expected a JSON object")?;
    let mut arguments = Vec::new();
    for (key, value) in keys {
        let name = key.to_ascii_lowercase();
        if IDLE.contains(&name.as_str()) {
            continue;
        }
        let text = text_of(value).with_context(|| format!("{key} cannot be {value}"))?;
        arguments.push(format!("--{name}={text}"));
    }
    Ok(arguments)
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Array(values) => {
            let words: Option<Vec<String>> = values.iter().map(text_of).collect();
            Some(words?.join(","))
        }
        Value::Object(zones) => {
            let zones = zones.iter().map(|(zone, one)| Some(format!("{zone}={}", text_of(one)?)));
            Some(zones.collect::<Option<Vec<String>>>()?.join(";"))
        }
        Value::Null => None,
    }
}

/// The file where one is named, then the environment and the arguments, so that the latter win.
fn configured(
    arguments: Vec<String>,
    environment: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Config> {
    let mut config = Config::default();
    TABLE.apply(&mut config, arguments.clone(), &environment)?;
    if let Some(path) = config.file.take() {
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let file: Value = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not JSON", path.display()))?;
        config = Config::default();
        let of_file = arguments_of(&file).with_context(|| path.display().to_string())?;
        let applied = TABLE.apply(&mut config, of_file, |_| None);
        applied
            .map_err(|error: FlagError| anyhow::Error::new(error))
            .with_context(|| path.display().to_string())?;
        TABLE.apply(&mut config, arguments, environment)?;
    }
    if config.service.masters.is_empty() {
        bail!("dns needs --masters=URL");
    }
    config.access.check()?;
    Ok(config)
}

/// Runs it until a signal.
pub(super) async fn run(arguments: Vec<String>) -> anyhow::Result<ExitCode> {
    let mut config = configured(arguments, |name| std::env::var(name).ok())?;
    crate::logging::start(&config.logging.level)?;
    let shutdown = until_signal()?;
    let granted = config.access.start(&shutdown)?;
    (config.service.guard, config.service.tokens) = (granted.guard.clone(), granted.tokens.clone());
    let running = dns::start(config.service, shutdown.clone()).await?;
    tracing::info!(udp = ?running.udp, http = %running.http, "names are answered");
    let ended = running.join.await;
    granted.end(&shutdown).await;
    ended?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str, arguments: &[&str]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, text).unwrap();
        let mut all = vec![format!("--config={}", path.display())];
        all.extend(arguments.iter().map(|text| (*text).to_owned()));
        configured(all, |_| None).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_of_the_original_is_understood() {
        let text = r#"{"masters": ["10.0.0.1:5050", "10.0.0.2:5050"], "refreshSeconds": 60,
            "ttl": 30, "domain": "example", "IPSources": ["host", "netinfo"], "port": 5353,
            "resolvers": ["8.8.8.8", "[::1]:54"], "externalon": false, "SOAMname": "ns1.example",
            "zoneResolvers": {"weave": ["172.17.0.1"]}, "listener": "0.0.0.0", "dnson": true}"#;
        let config = with_file(text, &["--port=5454"]).unwrap().service;
        assert_eq!(config.masters, ["http://10.0.0.1:5050", "http://10.0.0.2:5050"]);
        assert_eq!((config.ttl, config.domain.as_str(), config.port), (30, "example", 5454));
        assert_eq!(config.ip_sources, [IpSource::Host, IpSource::Netinfo]);
        assert_eq!(config.resolvers[1], "[::1]:54".parse().unwrap());
        assert_eq!(config.zone_resolvers[0].0, "weave");
        assert!(!config.external_on && config.recurse_on);
    }

    #[test]
    fn what_a_file_should_not_say_is_named() {
        let refused = |text: &str| with_file(text, &[]).unwrap_err();
        assert!(refused(r#"{"masters": ["a"], "zk": "zk://a/mesos"}"#).contains("zk"));
        assert!(refused(r#"{"masters": ["a"], "resolver": ["8.8.8.8"]}"#).contains("resolvers"));
        assert!(refused(r#"{"masters": ["a"], "IPSources": ["moon"]}"#).contains("moon"));
        assert!(refused(r#"{"masters": ["a"], "ttl": null}"#).contains("ttl"));
        assert!(refused("{}").contains("--masters"));
        assert!(refused("[]").contains("object"));
    }
}
