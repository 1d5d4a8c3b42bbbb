//! Starting and stopping.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_kit::client::Authorities;
use http_kit::guard::{FollowConfig, Guard, Mode, TokenSource, check_way, follow};
use http_kit::{Client, ClientConfig};
use proxy::tls::Certificates;
use proxy::{AccessLog, Policy, Server, ServerConfig, ServerError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Origin;
use crate::certificate::{self, CertificateError, Issued};
use crate::cluster::Cluster;
use crate::config::{Config, Role, Upstreams};
use crate::gateway::{Gateway, Parts};
use crate::knowledge::{self, Knowledge};
use crate::upstream_tls;

/// The largest answer that the gateway reads itself: the state of a large cluster, for the cache.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// How long the start waits for the policy. Afterwards requests are answered 503 until it comes.
const POLICY: Duration = Duration::from_secs(10);

/// A gateway that runs until its token is cancelled.
#[derive(Debug)]
pub struct Running {
    /// Where it listens without TLS.
    pub plain: Option<SocketAddr>,
    /// Where it listens with TLS.
    pub tls: Option<SocketAddr>,
    /// Ends when it has stopped.
    pub join: JoinHandle<Result<(), Error>>,
}

/// Why a gateway did not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the configuration is not usable: {0}")]
    Config(String),
    #[error("cannot read {path}")]
    Read { path: String, source: std::io::Error },
    #[error("cannot write the access log")]
    AccessLog(#[source] std::io::Error),
    #[error("there is no certificate")]
    Certificate(#[from] CertificateError),
    #[error("cannot serve")]
    Server(#[from] ServerError),
    #[error("a part of the gateway stopped unexpectedly")]
    Crashed,
}

/// What runs beside the engine.
struct Tasks {
    shutdown: CancellationToken,
    joins: Vec<JoinHandle<()>>,
}

/// Starts a gateway and returns when it answers requests.
pub async fn start(config: Config, shutdown: CancellationToken) -> Result<Running, Error> {
    start_with(config, None, shutdown).await
}

/// As [`start`], with knowledge of the cluster from elsewhere.
pub async fn start_with(
    config: Config,
    cluster: Option<Arc<dyn Cluster>>,
    shutdown: CancellationToken,
) -> Result<Running, Error> {
    // However it ends, all of it ends.
    let mut tasks = Tasks { shutdown: shutdown.child_token(), joins: Vec::new() };
    let started = begin(config, cluster, &mut tasks).await;
    let (server, plain, tls) = match started {
        Ok(started) => started,
        Err(error) => {
            tasks.end().await;
            return Err(error);
        }
    };
    let join = tokio::spawn(async move {
        let ended = server.await;
        let asked = tasks.shutdown.is_cancelled();
        tasks.end().await;
        outcome(ended.is_ok(), asked)
    });
    Ok(Running { plain, tls, join })
}

/// An engine that stops although nobody asked for it has lost a part of itself: whoever started it
/// has to see that it failed.
fn outcome(ended_well: bool, asked: bool) -> Result<(), Error> {
    if ended_well && asked { Ok(()) } else { Err(Error::Crashed) }
}

type Started = (JoinHandle<()>, Option<SocketAddr>, Option<SocketAddr>);

async fn begin(
    mut config: Config,
    known: Option<Arc<dyn Cluster>>,
    tasks: &mut Tasks,
) -> Result<Started, Error> {
    check(&config)?;
    complete(&mut config);
    let ca = match &config.ca_file {
        Some(path) => Some(read(path).await?),
        None => None,
    };
    let authorities = match &ca {
        Some(pem) => Authorities::from_pem(pem)
            .map_err(|error| Error::Config(format!("ca_file is not usable: {error}")))?,
        None => Authorities::default(),
    };
    let verified = upstream_tls::verified(&authorities);
    let client_config = ClientConfig {
        body_limit: LARGEST_ANSWER,
        authorities: authorities.clone(),
        plain_iam: config.plain_iam,
        ..ClientConfig::default()
    };
    let client = Client::new(client_config.clone());
    let (guard, tokens) = identity(&config, client_config, tasks).await;
    let certificates = certificate(&config, &client, &tokens, tasks).await?;
    let cluster = match known {
        Some(cluster) => cluster,
        None => cluster(&config, authorities, &verified, &tokens, tasks),
    };
    let parts = Parts { guard, cluster, client, tokens, tls: verified };
    let read = |source| Error::Read { path: "the error pages".to_owned(), source };
    let gateway = Gateway::new(&config, parts).map_err(read)?;
    let access_log = match &config.access_log {
        None => None,
        Some(path) if path.as_os_str() == "-" => {
            Some(AccessLog::stdout().map_err(Error::AccessLog)?)
        }
        Some(path) => Some(AccessLog::file(path).map_err(Error::AccessLog)?),
    };
    let server = ServerConfig {
        plain: config.plain,
        tls: config.tls.zip(certificates),
        workers: config.workers,
        routes: gateway.route_names(),
        access_log,
        trusted_proxies: config.trusted_proxies.clone(),
        ..ServerConfig::default()
    };
    let policy: Arc<dyn Policy> = Arc::new(gateway.clone());
    let running = Server::start(server, policy, tasks.shutdown.clone())?;
    let port = config.public_tls_port.or(running.tls_address.map(|address| address.port()));
    gateway.listening(port, Arc::clone(&running.metrics));
    Ok((running.join, running.plain_address, running.tls_address))
}

/// What cannot work is told at the start, not with the first request.
fn check(config: &Config) -> Result<(), Error> {
    let problem = |text: &str| Err(Error::Config(text.to_owned()));
    if config.plain.is_none() && config.tls.is_none() {
        return problem("there is no address to listen on");
    }
    let Upstreams { iam, mesos, marathon, mesos_dns, .. } = &config.upstreams;
    let asked = iam.iter().chain(mesos).chain(marathon).chain(mesos_dns);
    if let Some(socket) = asked.into_iter().find(|origin| matches!(origin, Origin::Unix(_))) {
        let text = format!("{socket}: IAM, Mesos, Marathon and Mesos-DNS need http or https");
        return problem(&text);
    }
    if let Some(iam) = config.upstreams.iam.as_ref().filter(|_| !config.plain_iam) {
        check_way(&iam.to_string()).map_err(|error| {
            Error::Config(format!("{error}; use https://, or --iam_plain=true"))
        })?;
    }
    let issues = config.tls.is_some() && config.certificate.is_none();
    let account = config.upstreams.iam.is_some() && config.service_account.is_some();
    if config.authentication && !account {
        return problem(
            "authentication needs IAM and a service account that may follow its policy; \
             ADMINROUTER_ACTIVATE_AUTH_MODULE=false serves everybody everything",
        );
    }
    if issues && !account {
        return problem(
            "TLS needs a certificate with its key, or IAM and a service account that may have \
             one signed",
        );
    }
    Ok(())
}

/// The names that the configuration leaves out.
fn complete(config: &mut Config) {
    if !config.names.is_empty() {
        return;
    }
    let local = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let addresses = [config.tls, config.plain].into_iter().flatten().map(|address| address.ip());
    let host = config.host_ip.into_iter().chain(addresses).filter(|ip| !ip.is_unspecified());
    let mut names: Vec<String> = host.map(|ip| ip.to_string()).collect();
    names.extend(local);
    // Kept in order: the first is who has no Host is sent to.
    let mut known = std::collections::BTreeSet::new();
    names.retain(|name| known.insert(name.clone()));
    config.names = names;
}

async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let error = |source| Error::Read { path: path.display().to_string(), source };
    tokio::fs::read(path).await.map_err(error)
}

/// The guard that follows IAM's policy, and the gateway's own token.
async fn identity(
    config: &Config,
    client: ClientConfig,
    tasks: &mut Tasks,
) -> (Guard, TokenSource) {
    let (Some(iam), Some(account)) = (&config.upstreams.iam, &config.service_account) else {
        return (Guard::disabled(), TokenSource::none());
    };
    let mode = if config.authentication { Mode::Strict } else { Mode::Disabled };
    let account = account.clone();
    let follow_config = FollowConfig { mode, iam: iam.to_string(), account, client };
    let following = follow(follow_config, tasks.shutdown.clone());
    tasks.joins.push(following.join);
    if config.authentication && tokio::time::timeout(POLICY, following.guard.ready()).await.is_err()
    {
        tracing::warn!("there is no policy from IAM yet; requests with a token are answered 503");
    }
    (following.guard, following.tokens)
}

async fn certificate(
    config: &Config,
    client: &Client,
    tokens: &TokenSource,
    tasks: &mut Tasks,
) -> Result<Option<Arc<Certificates>>, Error> {
    if config.tls.is_none() {
        return Ok(None);
    }
    let origin = match (&config.certificate, &config.upstreams.iam) {
        (Some((chain, key)), _) => {
            certificate::Origin::Given { chain: chain.clone(), key: key.clone() }
        }
        (None, Some(iam)) => certificate::Origin::Issued(Issued {
            folder: config.data_dir.join("tls"),
            names: config.names.clone(),
            iam: iam.to_string(),
            client: client.clone(),
            tokens: tokens.clone(),
        }),
        (None, None) => return Err(Error::Config("there is nobody to issue a certificate".into())),
    };
    let certificates = origin.first().await?;
    let keeper = origin.keep(Arc::clone(&certificates), tasks.shutdown.clone());
    tasks.joins.push(tokio::spawn(keeper));
    Ok(Some(certificates))
}

/// Knowledge of the cluster, on a master.
fn cluster(
    config: &Config,
    authorities: Authorities,
    verified: &Arc<rustls::ClientConfig>,
    tokens: &TokenSource,
    tasks: &mut Tasks,
) -> Arc<dyn Cluster> {
    if config.role == Role::Agent {
        return Arc::new(Knowledge::nothing());
    }
    let own = config.service_token.clone();
    let tokens = tokens.clone();
    let authorization: knowledge::Authorization = Arc::new(move || {
        let given = own.as_ref().and_then(|token| {
            let mut value =
                http::HeaderValue::from_str(&format!("token={}", token.expose())).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        let value = given.or_else(|| tokens.authorization());
        Box::pin(async move { value })
    });
    let service_tls = upstream_tls::unverified();
    // Without an authority that could have issued it, no certificate of theirs proves anything.
    let gateway_tls = match config.ca_file {
        Some(_) => Arc::clone(verified),
        None => Arc::clone(&service_tls),
    };
    let settings = knowledge::Settings {
        mesos: config.upstreams.mesos.clone(),
        marathon: config.upstreams.marathon.clone(),
        mesos_dns: config.upstreams.mesos_dns.clone(),
        authorization: Some(authorization),
        authorities,
        service_tls,
        host_ip: config.host_ip,
        gateway_tls,
        master_gateway: config.master_gateway(),
        agent_scheme: config.default_scheme,
        agent_port: config.agent_port,
        max_age: config.knowledge_max_age,
        timeout: config.knowledge_timeout,
    };
    let (knowledge, join) = knowledge::start(&settings, tasks.shutdown.clone());
    tasks.joins.push(join);
    Arc::new(knowledge)
}

// === impl Tasks ===

impl Tasks {
    async fn end(self) {
        self.shutdown.cancel();
        for join in self.joins {
            // An error says that it panicked, and was logged then.
            let _ = join.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Role;

    #[test]
    fn an_end_that_nobody_asked_for_is_a_failure() {
        assert!(outcome(true, true).is_ok());
        assert!(matches!(outcome(true, false), Err(Error::Crashed)));
        assert!(matches!(outcome(false, true), Err(Error::Crashed)));
    }

    #[test]
    fn iam_elsewhere_without_tls_has_to_be_wanted() {
        let check = |iam: &str, plain_iam: bool| {
            let mut config = Config::new(Role::Master, "/nowhere".into());
            config.plain = Some(([127, 0, 0, 1], 0).into());
            config.service_account = Some("/account.json".into());
            config.upstreams.iam = Some(iam.parse().unwrap());
            config.plain_iam = plain_iam;
            check(&config)
        };
        assert!(check("http://127.0.0.1:8101", false).is_ok());
        assert!(check("https://10.0.0.1:8101", false).is_ok());
        let refused = check("http://10.0.0.1:8101", false).unwrap_err();
        assert!(refused.to_string().contains("--iam_plain"), "{refused}");
        assert!(check("http://10.0.0.1:8101", true).is_ok());
    }
}
