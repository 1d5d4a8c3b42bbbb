//! `dais cluster setup`: finds out what answers at a URL, logs in, and remembers it.

use super::authority;
use crate::config::{Config, Folder, keys};
use crate::context::{Context, client};
use crate::endpoints::{self, LocalGateway, Trust, whole};
use crate::failure;
use crate::json::{list, some_text, text};
use crate::login::{self, Flags, Outcome};
use crate::server::{Server, is_below, redirection};
use anyhow::{Context as _, bail};
use clap::Args;
use http::Uri;
use http_kit::client::Client;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Where the package service listens unless told otherwise.
const COSMOS_PORT: u16 = 7070;
/// How often a URL may point elsewhere before it is the cluster's.
const REDIRECTS: usize = 10;
/// The file with a cluster's authorities, beside its settings.
const AUTHORITIES: &str = "dcos_ca.crt";

#[derive(Debug, Default, Args)]
pub struct Setup {
    /// The cluster's URL.
    cluster: Option<String>,
    /// What to call it.
    #[arg(long)]
    name: Option<String>,
    /// Take any certificate: whoever sits in between can read and change everything.
    #[arg(long)]
    insecure: bool,
    /// Trust the authority that the cluster shows, without asking.
    #[arg(long)]
    no_check: bool,
    /// A PEM file with certificates of authorities to trust, beside the public ones.
    #[arg(long, value_name = "FILE")]
    ca_certs: Option<String>,
    /// Wait for answers as long as it takes.
    #[arg(long)]
    no_timeout: bool,
    #[command(flatten)]
    login: Flags,
}

/// What was found out about a cluster.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    id: String,
    name: String,
    gateway: Option<String>,
    mesos: Option<String>,
    marathon: Option<String>,
    cosmos: Option<String>,
}

/// What answers at a URL.
enum Site {
    /// A Mesos master, with its summary.
    Master(Value),
    /// Marathon, with what it says of itself.
    Marathon(Value),
    /// Anything else: a gateway, if it is one.
    Other,
}

/// How to reach a cluster.
struct Way {
    url: String,
    trust: Trust,
    /// Authorities to keep.
    authorities: Option<Vec<u8>>,
}

/// Asks servers that may or may not be there.
struct Probe {
    client: Client,
    token: Option<String>,
    /// The URL that the user gave: the token is for it, and for no server that it names.
    typed: Option<String>,
    verbosity: u8,
}

// === impl Setup ===

impl Setup {
    /// Sets up the cluster of this machine: its authority is in a file, and so is the password of
    /// its administrator.
    pub(in crate::commands) fn of_local(local: &LocalGateway, login: Flags) -> Setup {
        Setup { cluster: Some(local.url.clone()), login, ..Setup::default() }.with_files_of(local)
    }

    /// What was not given, taken from the files of the cluster of this machine.
    fn with_files_of(mut self, local: &LocalGateway) -> Setup {
        let path = |path: &PathBuf| Some(path.to_string_lossy().into_owned());
        if self.ca_certs.is_none() && !self.insecure {
            self.ca_certs = path(&local.ca_file);
        }
        if self.login == Flags::default() {
            self.login.username = Some(local.admin.clone());
            self.login.password_file = path(&local.password_file);
        }
        self
    }

    pub(in crate::commands) async fn run(
        mut self,
        context: &mut Context,
        folder: &Folder,
    ) -> anyhow::Result<()> {
        let env = context.io.environment();
        // The folder of a `dais up` tells what its servers cannot: where the others are.
        let own = match env.get("DAIS_DATA_DIR") {
            Some(folder) => Some(folder.into()),
            None => endpoints::data_dir(env),
        };
        let local = own.and_then(|folder| endpoints::Cluster::in_folder(&folder).ok());
        if let (None, Some(gateway)) = (&self.cluster, LocalGateway::find(env)) {
            self.cluster = Some(gateway.url.clone());
            self = self.with_files_of(&gateway);
        }
        let url = match (&self.cluster, &local) {
            (Some(url), _) => whole(url),
            (None, Some(endpoints::Cluster { mesos: Some(mesos), .. })) => mesos.clone(),
            (None, _) => bail!(
                "missing cluster URL, and no cluster of `dais up` runs here: \
                 dais cluster setup <url>"
            ),
        };
        let token = ["DAIS_CLUSTER_SETUP_ACS_TOKEN", "DCOS_CLUSTER_SETUP_ACS_TOKEN"];
        let token = env.first(&token);
        let way = self.way(context, url, token.clone()).await?;
        let mut probe = Probe {
            client: client(self.timeout(), &way.trust)?,
            token,
            typed: self.cluster.as_ref().map(|_| way.url.clone()),
            verbosity: context.verbosity(),
        };
        let found = match probe.look(&way.url).await? {
            Site::Master(summary) => {
                self.say_what_is_not_used(context)?;
                probe.plain(&way.url, &summary, local.as_ref()).await?
            }
            Site::Marathon(info) => {
                self.say_what_is_not_used(context)?;
                probe.of_marathon(&way.url, &info, local.as_ref()).await?
            }
            Site::Other => {
                if probe.token.is_none() {
                    probe.token = self.log_in(context, &probe, &way.url).await?;
                }
                probe.gateway(&way.url).await?
            }
        };
        let mut config = folder.config(&found.id)?;
        self.fill(&mut config, &found, probe.token.as_deref())?;
        if let Some(authorities) = &way.authorities {
            let path = config.keep(AUTHORITIES, authorities)?;
            config.set(keys::SSL_VERIFY, &path.to_string_lossy())?;
        }
        config.write()?;
        folder.attach(&config)?;
        let (name, url) = (config.name(), &way.url);
        context.io.note(format!("The cluster {name:?} at {url} is set up and attached."))?;
        if let Some(uid) = probe.token.as_deref().and_then(login::uid_of) {
            context.io.note(format!("You are logged in as {uid}."))?;
        }
        Ok(())
    }

    fn timeout(&self) -> Duration {
        if self.no_timeout { Duration::from_secs(86_400) } else { Duration::from_secs(20) }
    }

    /// Where the cluster is to be reached, and whose certificates are taken there.
    async fn way(
        &self,
        context: &mut Context,
        url: String,
        token: Option<String>,
    ) -> anyhow::Result<Way> {
        let mut way = Way { url, trust: self.trust(), authorities: None };
        if let Trust::Bundle(path) = &way.trust {
            way.trust.authorities()?;
            let bundle = std::fs::read(path);
            way.authorities =
                Some(bundle.with_context(|| format!("cannot read {}", path.display()))?);
        }
        let (timeout, verbosity) = (self.timeout(), context.verbosity());
        let canonical = loop {
            let server = Server::new(
                "the cluster",
                &way.url,
                client(timeout, &way.trust)?,
                token.clone(),
                verbosity,
            );
            match canonical(&server).await {
                Err(error) if authority::is_unknown(&error) && way.authorities.is_none() => {
                    let bundle = authority::fetch(&way.url, timeout, verbosity).await?;
                    if !self.no_check {
                        authority::confirm(&mut context.io, &bundle)?;
                    }
                    way.trust = Trust::Given(bundle.clone());
                    way.authorities = Some(bundle);
                }
                other => break other?,
            }
        };
        if canonical != way.url {
            context.io.note(format!("Continuing cluster setup with: {canonical}"))?;
            way.url = canonical;
        }
        Ok(way)
    }

    async fn log_in(
        &self,
        context: &mut Context,
        probe: &Probe,
        url: &str,
    ) -> anyhow::Result<Option<String>> {
        let server = probe.server(url);
        // A gateway that says nothing of logins may still be one that needs none.
        if !login::is_offered(&server).await? {
            self.say_what_is_not_used(context)?;
            return Ok(None);
        }
        match login::log_in(&mut context.io, &server, &self.login).await? {
            Outcome::Token(token) => Ok(Some(token)),
            Outcome::NotNeeded => {
                let text = "This cluster does not require authenticated requests. Skipping login.";
                context.io.note(text)?;
                Ok(None)
            }
        }
    }

    /// Flags of a login are taken for scripts' sake: whoever gave them should know.
    fn say_what_is_not_used(&self, context: &mut Context) -> anyhow::Result<()> {
        let given = self.login.names();
        if !given.is_empty() {
            let given = given.join(", ");
            context.io.note(format!("This cluster asks for no login: {given} is not used."))?;
        }
        Ok(())
    }

    fn trust(&self) -> Trust {
        match &self.ca_certs {
            _ if self.insecure => Trust::Any,
            Some(path) => Trust::Bundle(path.into()),
            None => Trust::Public,
        }
    }

    fn fill(&self, config: &mut Config, found: &Found, token: Option<&str>) -> anyhow::Result<()> {
        config.set(keys::NAME, self.name.as_deref().unwrap_or(&found.name))?;
        let pairs = [
            (keys::URL, &found.gateway),
            (keys::MESOS, &found.mesos),
            (keys::MARATHON, &found.marathon),
            (keys::COSMOS, &found.cosmos),
        ];
        for (key, value) in pairs {
            match value {
                Some(value) => config.set(key, value)?,
                None => config.unset(key),
            }
        }
        if let Some(token) = token {
            config.set(keys::TOKEN, token)?;
        }
        // What an earlier setup trusted counts no more.
        match self.insecure {
            true => config.set(keys::SSL_VERIFY, "false"),
            false => {
                config.unset(keys::SSL_VERIFY);
                Ok(())
            }
        }
    }
}

// === impl Probe ===

impl Probe {
    /// What answers at a URL; an error when nothing does.
    async fn look(&self, url: &str) -> anyhow::Result<Site> {
        let server = self.server(url);
        if let Some(summary) = said(server.get("/state-summary").await)?.filter(is_master) {
            return Ok(Site::Master(summary));
        }
        if !login::is_offered(&server).await?
            && let Some(info) = said(server.get("/v2/info").await)?.filter(Value::is_object)
        {
            return Ok(Site::Marathon(info));
        }
        Ok(Site::Other)
    }

    /// A Mesos master without a gateway before it.
    async fn plain(
        &self,
        url: &str,
        summary: &Value,
        local: Option<&endpoints::Cluster>,
    ) -> anyhow::Result<Found> {
        let state = self.server(url).get("/state").await?;
        let local = local.filter(|local| local.mesos.as_deref() == Some(url));
        let marathon = list(&state, "/frameworks")
            .iter()
            .filter(|framework| text(framework, "/name") == "marathon")
            .find_map(|framework| some_text(framework, "/webui_url"))
            .map(whole);
        let marathon = local.and_then(|local| local.marathon.clone()).or(marathon);
        let cosmos = match local.and_then(|local| local.cosmos.clone()) {
            Some(cosmos) => Some(cosmos),
            None => self.cosmos_beside(url).await,
        };
        let id = some_text(&state, "/id").context("the master tells no id")?.to_owned();
        let name = [summary, &state].into_iter().find_map(|value| some_text(value, "/cluster"));
        let name = name.unwrap_or(&id).to_owned();
        Ok(Found { id, name, gateway: None, mesos: Some(url.to_owned()), marathon, cosmos })
    }

    /// Marathon, which knows its master.
    async fn of_marathon(
        &self,
        url: &str,
        info: &Value,
        local: Option<&endpoints::Cluster>,
    ) -> anyhow::Result<Found> {
        let master = text(info, "/marathon_config/master");
        anyhow::ensure!(
            !master.is_empty() && !master.starts_with("zk://"),
            "{url} is Marathon, which does not tell where its master is; give the master's URL"
        );
        let master = whole(master);
        let summary = self.server(&master).get("/state-summary").await?;
        let found = self.plain(&master, &summary, local).await?;
        Ok(Found { marathon: Some(url.to_owned()), ..found })
    }

    async fn gateway(&self, url: &str) -> anyhow::Result<Found> {
        let server = self.server(url);
        let id = cluster_id(&server).await.with_context(|| {
            format!("{url} is neither a cluster's gateway nor a Mesos master nor Marathon")
        })?;
        let summary = server.get("/mesos/state-summary").await.unwrap_or_default();
        let name = some_text(&summary, "/cluster").unwrap_or(&id).to_owned();
        Ok(Found { id, name, gateway: Some(url.to_owned()), ..Found::default() })
    }

    /// The package service on the master's machine, if it is there.
    async fn cosmos_beside(&self, master: &str) -> Option<String> {
        let (scheme, rest) = master.split_once("://")?;
        let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
        let url = format!("{scheme}://{host}:{COSMOS_PORT}");
        let accept = super::super::package::media_type("capabilities", "v1").ok()?;
        let server = self.server(&url);
        let answer =
            server.call(http::Method::GET, "/capabilities", None, None, Some(accept)).await;
        answer.ok().map(|_| url)
    }

    fn server(&self, url: &str) -> Server {
        let own = self.typed.as_ref().is_some_and(|typed| is_below(url, typed));
        let token = self.token.clone().filter(|_| own);
        Server::new("the cluster", url, self.client.clone(), token, self.verbosity)
    }
}

/// The id of the cluster behind a gateway. Not everybody may see its metadata; what a login page
/// needs to know, everybody may.
async fn cluster_id(server: &Server) -> anyhow::Result<String> {
    let metadata = match server.get("/metadata").await {
        Err(error) if failure::is_forbidden(&error) => {
            server.get("/dcos-metadata/ui-config.json").await.map_err(|_| error)?
        }
        other => other?,
    };
    let places = ["/CLUSTER_ID", "/clusterConfiguration/id"];
    let id = places.iter().find_map(|place| some_text(&metadata, place));
    Ok(id.context("the cluster tells no id")?.to_owned())
}

/// What a server said; nothing where it refused, or answered no JSON.
fn said(answer: anyhow::Result<Value>) -> anyhow::Result<Option<Value>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is::<failure::Refused>() => Ok(None),
        Err(error) if error.chain().any(|cause| cause.is::<serde_json::Error>()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The URL that a cluster is at: where its front page is found. Only scheme, host and port
/// count, as the page may be a login.
async fn canonical(server: &Server) -> anyhow::Result<String> {
    let base = server.base();
    let mut place = format!("{base}/");
    for _ in 0..REDIRECTS {
        let answer = server.head(&place).await?;
        match redirection(&answer, &place) {
            Some(next) => {
                anyhow::ensure!(
                    may_continue(base, &next),
                    "{base} points to {next}; if that is the cluster, set it up by that URL"
                );
                place = next;
            }
            None if answer.status().is_success() => return Ok(same_path(base, &place)),
            // Masters have no front page, and some gateways show theirs to nobody.
            None => return Ok(base.to_owned()),
        }
    }
    bail!("{base} points elsewhere again and again")
}

/// Whether what was meant for a URL may go to another: on the same host, and never unencrypted
/// where it was to be encrypted.
fn may_continue(from: &str, to: &str) -> bool {
    let parse = |url: &str| url.parse::<Uri>().ok();
    let (Some(from), Some(to)) = (parse(from), parse(to)) else { return false };
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    let scheme = matches!(
        (from.scheme_str(), to.scheme_str()),
        (Some("http"), Some("http" | "https")) | (Some("https"), Some("https"))
    );
    scheme && host(&from).is_some() && host(&from) == host(&to)
}

/// `base`, but with the scheme, host and port of `place`.
fn same_path(base: &str, place: &str) -> String {
    let split = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at_checked(end)?;
        Some((format!("{scheme}://{}", host.to_ascii_lowercase()), path.to_owned()))
    };
    match (split(base), split(place)) {
        (Some((_, path)), Some((origin, _))) => whole(&format!("{origin}{path}")),
        _ => base.to_owned(),
    }
}

fn is_master(summary: &Value) -> bool {
    summary.pointer("/slaves").is_some_and(Value::is_array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_setup_trusts_only_what_it_verified() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().to_str().unwrap();
        let env = crate::terminal::Environment::of([("DAIS_DIR", path)]);
        let mut config = Folder::find(&env).unwrap().config("id-1").unwrap();
        let found = Found { id: "id-1".into(), name: "one".into(), ..Found::default() };
        let insecure = Setup { insecure: true, ..Setup::default() };
        insecure.fill(&mut config, &found, None).unwrap();
        assert_eq!(config.get(keys::SSL_VERIFY).as_deref(), Some("false"));
        Setup::default().fill(&mut config, &found, None).unwrap();
        assert_eq!(config.get(keys::SSL_VERIFY), None);
    }

    #[test]
    fn a_setup_continues_on_the_same_host_only() {
        assert!(may_continue("http://Gate:8000", "https://gate:8443/login?x"));
        assert!(may_continue("http://gate", "http://gate/mesos"));
        for (from, to) in [
            ("https://gate", "http://gate"),
            ("http://gate", "https://gate.evil.com/"),
            ("http://gate", "https://evil.com/gate"),
            ("http://gate", "ftp://gate/"),
            ("http://gate", "nonsense"),
        ] {
            assert!(!may_continue(from, to), "{from} {to}");
        }
        assert_eq!(same_path("http://G:80/x", "https://G:8443/login?a"), "https://g:8443/x");
        assert_eq!(same_path("http://g", "https://g/"), "https://g");
    }
}
