//! Where the cluster's servers are.
//!
//! The first of these that says something decides: `--url`; DAIS_URL or DCOS_URL;
//! DAIS_DATA_DIR, the folder of a `dais up`; the attached cluster of the configuration;
//! the default folder of `dais up`. Single servers named by DAIS_MARATHON_URL,
//! DAIS_COSMOS_URL, DAIS_MESOS_URL, or by marathon.url, package.cosmos_url and
//! core.mesos_master_url in the configuration, are where those say.

use crate::config::{Config, Folder, keys};
use crate::context::Globals;
use crate::json::some_text;
use crate::server::is_below;
use crate::terminal::Environment;
use anyhow::{Context, bail};
use http::Uri;
use http_kit::client::Authorities;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// How long to wait for an answer unless told otherwise, as the dcos CLI.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(180);

/// A cluster and how to reach it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cluster {
    /// Before all servers; they are paths below it.
    pub(crate) gateway: Option<String>,
    pub(crate) marathon: Option<String>,
    pub(crate) cosmos: Option<String>,
    pub(crate) mesos: Option<String>,
    /// The name server's HTTP interface.
    pub(crate) dns: Option<String>,
    /// The gateway, where it is known but not what everything goes through.
    pub(crate) beside: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) trust: Trust,
    pub(crate) timeout: Duration,
}

/// Which certificates are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of public authorities.
    #[default]
    Public,
    /// Those of the authorities in a file as well.
    Bundle(PathBuf),
    /// Those of the authorities in this bundle as well.
    Given(Vec<u8>),
    Any,
}

/// The gateway of a `dais up` on this machine, and how its first administrator logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalGateway {
    pub(crate) url: String,
    pub(crate) admin: String,
    pub(crate) password_file: PathBuf,
    pub(crate) ca_file: PathBuf,
}

/// How agents are reached.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mesos<'a> {
    Gateway(&'a str),
    /// At the addresses the master tells.
    Direct,
}

// === impl Cluster ===

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            gateway: None,
            marathon: None,
            cosmos: None,
            mesos: None,
            dns: None,
            beside: None,
            token: None,
            trust: Trust::Public,
            timeout: TIMEOUT,
        }
    }
}

impl Cluster {
    /// The cluster that is meant.
    pub(crate) fn find(env: &Environment, globals: &Globals) -> anyhow::Result<Cluster> {
        let mut cluster = Cluster::base(env, globals)?;
        cluster.settings(|name| match name {
            keys::TIMEOUT => env.first(&["DAIS_TIMEOUT", "DCOS_TIMEOUT"]),
            keys::SSL_VERIFY => env.first(&["DAIS_SSL_VERIFY", "DCOS_SSL_VERIFY"]),
            keys::TOKEN => env.first(&["DAIS_ACS_TOKEN", "DCOS_ACS_TOKEN"]),
            keys::MARATHON => env.get("DAIS_MARATHON_URL"),
            keys::COSMOS => env.get("DAIS_COSMOS_URL"),
            keys::MESOS => env.get("DAIS_MESOS_URL"),
            keys::DNS => env.get("DAIS_MESOS_DNS_URL"),
            _ => None,
        })?;
        cluster.check()?;
        Ok(cluster)
    }

    /// Names a URL that is none before anything is asked of it.
    fn check(&self) -> anyhow::Result<()> {
        let urls = [
            ("the cluster's URL", &self.gateway),
            (keys::MARATHON, &self.marathon),
            (keys::COSMOS, &self.cosmos),
            (keys::MESOS, &self.mesos),
            (keys::DNS, &self.dns),
        ];
        for (what, url) in urls {
            let Some(url) = url else { continue };
            let valid = url.parse::<Uri>().is_ok_and(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
            });
            if !valid {
                bail!("{what} is {url:?}; expected http://host:port or https://host:port");
            }
        }
        Ok(())
    }

    fn base(env: &Environment, globals: &Globals) -> anyhow::Result<Cluster> {
        let url = globals.url.clone().or_else(|| env.first(&["DAIS_URL", "DCOS_URL"]));
        if let Some(url) = url {
            let url = whole(&url);
            let configured = match Folder::find(env) {
                Ok(folder) => folder.for_url(&url)?,
                Err(_) => None,
            };
            return match configured {
                Some(config) => Cluster::configured(&config),
                None => Ok(Cluster { gateway: Some(url), ..Cluster::default() }),
            };
        }
        let folder = Folder::find(env);
        if let Some(data) = env.get("DAIS_DATA_DIR") {
            let data = Path::new(&data);
            // Who logged in there goes through its gateway.
            let login = LocalGateway::in_folder(data)
                .and_then(|local| folder.ok()?.logged_in(&local.url).ok()?);
            return match login {
                Some(config) => Cluster::configured(&config),
                None => Cluster::in_folder(data),
            };
        }
        let folder = folder?;
        if let Some(config) = folder.current(env)? {
            return Cluster::configured(&config);
        }
        let folder = data_dir(env).context(
            "no cluster is known: `dais cluster setup <url>` names one, `dais up` starts one",
        )?;
        Cluster::in_folder(&folder)
    }

    /// The cluster of a `dais up` in a folder.
    pub(crate) fn in_folder(folder: &Path) -> anyhow::Result<Cluster> {
        let path = folder.join("endpoints.json");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "no cluster runs in {} and none is attached: `dais up` starts one on this \
                 machine, `dais cluster setup <url>` names another",
                folder.display()
            ),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let value: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let at = |pointer| some_text(&value, pointer).map(whole);
        let ca = some_text(&value, "/ca_file").map(|file| folder.join(file));
        Ok(Cluster {
            trust: ca.filter(|file| file.exists()).map_or(Trust::Public, Trust::Bundle),
            marathon: at("/marathon"),
            cosmos: at("/cosmos"),
            mesos: at("/mesos_master"),
            dns: at("/dns_http"),
            beside: at("/gateway"),
            ..Cluster::default()
        })
    }

    /// The cluster a configuration describes.
    pub(crate) fn configured(config: &Config) -> anyhow::Result<Cluster> {
        let gateway = config.get(keys::URL).map(|url| whole(&url));
        let mut cluster = Cluster { gateway, ..Cluster::default() };
        cluster.settings(|name| config.get(name))?;
        Ok(cluster)
    }

    fn settings(&mut self, get: impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
        if let Some(text) = get(keys::TIMEOUT) {
            let seconds: u64 =
                text.parse().ok().filter(|seconds| *seconds >= 1).with_context(|| {
                    format!("core.timeout is {text:?}; expected whole seconds, 1 or more")
                })?;
            self.timeout = Duration::from_secs(seconds);
        }
        if let Some(text) = get(keys::SSL_VERIFY) {
            self.trust = Trust::of(&text);
        }
        let take = |place: &mut Option<String>, key| {
            if let Some(value) = get(key) {
                *place = Some(value);
            }
        };
        take(&mut self.token, keys::TOKEN);
        take(&mut self.marathon, keys::MARATHON);
        take(&mut self.cosmos, keys::COSMOS);
        take(&mut self.mesos, keys::MESOS);
        take(&mut self.dns, keys::DNS);
        for url in [&mut self.marathon, &mut self.cosmos, &mut self.mesos, &mut self.dns] {
            *url = url.as_deref().map(whole);
        }
        Ok(())
    }

    /// The token, if a URL is where it belongs: at the gateway it was got from.
    pub(crate) fn token_for(&self, url: &str) -> Option<String> {
        let own = self.gateway.as_ref().is_some_and(|gateway| is_below(url, gateway));
        self.token.clone().filter(|_| own)
    }

    pub(crate) fn marathon(&self) -> anyhow::Result<String> {
        self.place(&self.marathon, "/service/marathon", "Marathon")
    }

    pub(crate) fn mesos(&self) -> anyhow::Result<String> {
        self.place(&self.mesos, "/mesos", "Mesos master")
    }

    pub(crate) fn names(&self) -> anyhow::Result<String> {
        self.place(&self.dns, "/mesos_dns", "name server")
    }

    /// The URL of the gateway, whether or not this program goes through it.
    pub(crate) fn front(&self) -> Option<String> {
        self.gateway.clone().or_else(|| self.beside.clone())
    }

    /// The package service's URL, and what stands before its `/service` paths.
    pub(crate) fn cosmos(&self) -> anyhow::Result<(String, &'static str)> {
        let prefix = if self.cosmos.is_none() { "/cosmos" } else { "" };
        Ok((self.place(&self.cosmos, "", "package service")?, prefix))
    }

    pub(crate) fn agents(&self) -> Mesos<'_> {
        match &self.gateway {
            Some(gateway) if self.mesos.is_none() => Mesos::Gateway(gateway),
            _ => Mesos::Direct,
        }
    }

    fn place(&self, own: &Option<String>, below: &str, what: &str) -> anyhow::Result<String> {
        let gateway = || self.gateway.as_ref().map(|gateway| format!("{gateway}{below}"));
        own.clone().or_else(gateway).with_context(|| {
            format!("this cluster has no {what}; is it an older `dais up`? start it again")
        })
    }
}

// === impl LocalGateway ===

impl LocalGateway {
    /// That of the `dais up` that is meant when none is named.
    pub(crate) fn find(env: &Environment) -> Option<LocalGateway> {
        let folder = env.get("DAIS_DATA_DIR").map(PathBuf::from).or_else(|| data_dir(env))?;
        LocalGateway::in_folder(&folder)
    }

    pub(crate) fn in_folder(folder: &Path) -> Option<LocalGateway> {
        let bytes = fs::read(folder.join("endpoints.json")).ok()?;
        let value: Value = serde_json::from_slice(&bytes).ok()?;
        let at = |pointer| some_text(&value, pointer);
        Some(LocalGateway {
            url: whole(at("/gateway")?),
            admin: at("/admin_user")?.to_owned(),
            password_file: folder.join(at("/admin_password_file")?),
            ca_file: folder.join(at("/ca_file")?),
        })
    }
}

// === impl Trust ===

impl Trust {
    /// From core.ssl_verify: true, false, or a path.
    pub(crate) fn of(text: &str) -> Trust {
        match text.to_ascii_lowercase().as_str() {
            "false" | "f" | "0" => Trust::Any,
            "true" | "t" | "1" => Trust::Public,
            _ => Trust::Bundle(PathBuf::from(text)),
        }
    }

    /// The authorities beside the public ones.
    pub(crate) fn authorities(&self) -> anyhow::Result<Authorities> {
        let path = match self {
            Trust::Bundle(path) => path,
            Trust::Given(bundle) => return Ok(Authorities::from_pem(bundle)?),
            Trust::Public | Trust::Any => return Ok(Authorities::default()),
        };
        let bundle = fs::read(path)
            .with_context(|| format!("cannot read the certificates in {}", path.display()))?;
        Authorities::from_pem(&bundle)
            .with_context(|| format!("cannot trust what is in {}", path.display()))
    }
}

/// Where `dais up` keeps its cluster unless told otherwise.
pub(crate) fn data_dir(env: &Environment) -> Option<PathBuf> {
    let folder = |name| env.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME");
    let base = state.or_else(|| folder("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("dais"))
}

/// A URL with a scheme and without a slash at its end.
pub(crate) fn whole(url: &str) -> String {
    let url = url.trim();
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    url.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(endpoints: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("endpoints.json"), endpoints).unwrap();
        folder
    }

    const ENDPOINTS: &str = r#"{"mesos_master":"127.0.0.1:5050","agents":[],
        "marathon":"http://127.0.0.1:8080","cosmos":"http://127.0.0.1:7070/"}"#;

    #[test]
    fn a_url_of_a_cluster_that_is_set_up_brings_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let env = Environment::of([("DAIS_DIR", path), ("DAIS_URL", "https://b:8443/")]);
        for (id, url) in [("id-a", "https://a:8443"), ("id-b", "https://b:8443")] {
            let mut config = Folder::find(&env).unwrap().config(id).unwrap();
            config.set(keys::URL, url).unwrap();
            config.set(keys::TOKEN, id).unwrap();
            config.set(keys::SSL_VERIFY, "false").unwrap();
            config.write().unwrap();
        }
        let cluster = Cluster::find(&env, &Globals::default()).unwrap();
        assert_eq!(cluster.token_for("https://b:8443/x").as_deref(), Some("id-b"));
        assert_eq!(cluster.trust, Trust::Any);
        let env = Environment::of([("DAIS_DIR", path), ("DAIS_URL", "https://c:8443")]);
        let other = Cluster::find(&env, &Globals::default()).unwrap();
        assert_eq!((other.token, other.trust), (None, Trust::Public));
    }

    #[test]
    fn a_folder_of_dais_up_names_everything() {
        let folder = folder_with(ENDPOINTS);
        let env = Environment::of([("DAIS_DATA_DIR", folder.path().to_str().unwrap())]);
        let cluster = Cluster::find(&env, &Globals::default()).unwrap();
        assert_eq!(cluster.marathon().unwrap(), "http://127.0.0.1:8080");
        assert_eq!(cluster.mesos().unwrap(), "http://127.0.0.1:5050");
        assert_eq!(cluster.cosmos().unwrap(), ("http://127.0.0.1:7070".to_owned(), ""));
        assert_eq!(cluster.agents(), Mesos::Direct);
    }

    #[test]
    fn who_logged_in_to_it_goes_through_its_gateway() {
        let folder = folder_with(
            r#"{"mesos_master":"127.0.0.1:5050","gateway":"https://127.0.0.1:8443/",
            "admin_user":"admin","admin_password_file":"iam/admin-password",
            "ca_file":"/elsewhere/ca.crt"}"#,
        );
        let path = folder.path().to_str().unwrap();
        let env = Environment::of([("DAIS_DATA_DIR", path), ("HOME", path)]);
        let local = LocalGateway::find(&env).unwrap();
        assert_eq!(local.url, "https://127.0.0.1:8443");
        assert_eq!(local.password_file, folder.path().join("iam/admin-password"));
        assert_eq!(local.ca_file, Path::new("/elsewhere/ca.crt"));
        let find = || Cluster::find(&env, &Globals::default()).unwrap();
        assert_eq!(find().gateway, None, "nobody is logged in");
        let mut config = Folder::find(&env).unwrap().config("id").unwrap();
        config.set(keys::URL, &local.url).unwrap();
        config.write().unwrap();
        assert_eq!(find().gateway, None);
        config.set(keys::TOKEN, "secret").unwrap();
        config.write().unwrap();
        assert_eq!(find().mesos().unwrap(), "https://127.0.0.1:8443/mesos");
        assert_eq!(find().token_for(&local.url).as_deref(), Some("secret"));
    }

    #[test]
    fn a_gateway_has_everything_below_it() {
        let env = Environment::of([("DCOS_URL", "https://dcos.example.com/")]);
        let cluster = Cluster::find(&env, &Globals::default()).unwrap();
        let base = "https://dcos.example.com";
        assert_eq!(cluster.marathon().unwrap(), format!("{base}/service/marathon"));
        assert_eq!(cluster.mesos().unwrap(), format!("{base}/mesos"));
        assert_eq!(cluster.cosmos().unwrap(), (base.to_owned(), "/cosmos"));
        assert_eq!(cluster.agents(), Mesos::Gateway(base));
        let globals = Globals { url: Some("10.0.0.1".into()), ..Globals::default() };
        let cluster = Cluster::find(&env, &globals).unwrap();
        assert_eq!(cluster.gateway.as_deref(), Some("http://10.0.0.1"));
    }

    #[test]
    fn single_servers_may_be_elsewhere() {
        let env = Environment::of([
            ("DAIS_URL", "http://gate"),
            ("DAIS_MARATHON_URL", "mom:8081"),
            ("DCOS_TIMEOUT", "7"),
            ("DCOS_SSL_VERIFY", "False"),
        ]);
        let cluster = Cluster::find(&env, &Globals::default()).unwrap();
        assert_eq!(cluster.marathon().unwrap(), "http://mom:8081");
        assert_eq!(cluster.mesos().unwrap(), "http://gate/mesos");
        assert_eq!((cluster.timeout, cluster.trust), (Duration::from_secs(7), Trust::Any));
        let env = Environment::of([("DAIS_URL", "http://gate"), ("DCOS_TIMEOUT", "soon")]);
        let error = Cluster::find(&env, &Globals::default()).unwrap_err().to_string();
        assert!(error.contains("\"soon\"") && error.contains("1 or more"), "{error}");
        for url in ["http://[bad", "ftp://gate", "http://"] {
            let env = Environment::of([("DAIS_URL", url)]);
            let error = Cluster::find(&env, &Globals::default()).unwrap_err().to_string();
            assert!(error.contains("expected http://"), "{url}: {error}");
        }
    }

    #[test]
    fn a_bundle_is_read_and_what_is_none_is_named() {
        assert_eq!(Trust::of("True"), Trust::Public);
        assert_eq!(Trust::Public.authorities().unwrap(), Authorities::default());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let trust = Trust::of(path.to_str().unwrap());
        let error = || format!("{:#}", trust.authorities().unwrap_err());
        assert!(error().contains("cannot read the certificates in"), "{}", error());
        fs::write(&path, "no certificate").unwrap();
        assert!(error().contains("BEGIN CERTIFICATE"), "{}", error());
    }

    #[test]
    fn without_a_cluster_it_says_how_to_get_one() {
        let folder = tempfile::tempdir().unwrap();
        let env = Environment::of([("HOME", folder.path().to_str().unwrap())]);
        let error = Cluster::find(&env, &Globals::default()).unwrap_err().to_string();
        assert!(error.contains("dais up") && error.contains("cluster setup"), "{error}");
        let folder = folder_with(r#"{"mesos_master":"127.0.0.1:5050"}"#);
        let cluster = Cluster::in_folder(folder.path()).unwrap();
        let error = cluster.marathon().unwrap_err().to_string();
        assert!(error.contains("no Marathon"), "{error}");
    }
}
